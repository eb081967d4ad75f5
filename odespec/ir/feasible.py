"""Constraints that nothing obeys: a claim under them would hold for no reason.

For each operand the bounds on its norms, singular values, eigenvalues and entries are gathered, those of its structure
included, and every inequality that ties two of them (Horn & Johnson, "Matrix Analysis", 2013, section 5.6) is tested in
exact arithmetic. What is reported is impossible for certain; what is not may still be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from odespec import exact
from odespec.activations import Interval
from odespec.exact import Undecided
from odespec.ir.expr import Expr
from odespec.ir.facts import Facts, Side, gather
from odespec.ir.inequalities import inequalities
from odespec.ir.model import Relation
from odespec.ir.ranges import meet, ranges
from odespec.ir.relations import is_number, not_less
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Conflict:
    """``relation`` cannot hold; ``other`` is the relation that it contradicts, if one does."""

    relation: Relation
    other: Relation | None
    why: str


def conflicts(relations: Iterable[Relation], structures: Mapping[Expr, str]) -> list[Conflict]:
    """One conflict at most for each operand."""
    relations = list(relations)
    found: list[Conflict] = []
    told: set[Expr] = set()
    for facts in gather(relations, structures):
        conflict = _first(facts)
        if conflict is not None:
            found.append(conflict)
            told.add(facts.operand)
    return found + [c for c in _by_ranges(relations, structures) if c.relation.operand not in told]


def _first(facts: Facts) -> Conflict | None:
    try:
        for low, high, why in inequalities(facts):
            conflict = _conflict(low, high, why)
            if conflict is not None:
                return conflict
    except Undecided:
        pass
    return None


def _conflict(low: Side, high: Side, why: str) -> Conflict | None:
    """The conflict in ``low <= high``, if there is one."""
    if not not_less(low.value, high.value):
        return None
    causes = [s.cause for s in (low, high)]
    stated = [c for c in causes if isinstance(c, Relation)]
    if not stated:
        return None
    held = next((c for c in causes if isinstance(c, str)), None)
    reason = f"{why}, and it is `{held}`" if held else why
    other = stated[0] if len(stated) > 1 and stated[0] is not stated[1] else None
    return Conflict(stated[-1], other, reason)


# --- by interval analysis --------------------------------------------------------------


def _by_ranges(relations: list[Relation], structures: Mapping[Expr, str]) -> Iterator[Conflict]:
    """Relations on the entries of expressions that the bounds on what they are made of exclude."""
    entries = [r for r in relations if r.quantity == "entries"]
    known: dict[Expr, Interval] = {}
    for r in entries:
        if not r.operand.args:
            known[r.operand] = meet(known.get(r.operand, Interval(None, None)), _interval(r))
    for e, structure in structures.items():
        if structure in ("stochastic", "doubly_stochastic"):
            known[e] = meet(known.get(e, Interval(None, None)), Interval(Fraction(0), Fraction(1)))
    compound = [r for r in entries if r.operand.args]
    found = ranges([r.operand for r in compound], known)
    for r in compound:
        both = meet(found[r.operand], _interval(r))
        if both.lower is not None and both.upper is not None and both.lower > both.upper:
            yield Conflict(r, None, "the other constraints keep its values away from there")


def _interval(r: Relation) -> Interval:
    try:
        lower = exact.enclose(r.lower)[0] if is_number(r.lower) else None  # type: ignore[arg-type]
        upper = exact.enclose(r.upper)[1] if is_number(r.upper) else None  # type: ignore[arg-type]
    except Undecided:
        return Interval(None, None)
    return Interval(lower, upper)
