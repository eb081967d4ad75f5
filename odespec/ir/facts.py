"""What is known of a weight from its constraints and its structure: bounds on norms, singular values, entries, …"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from fractions import Fraction

from odespec import exact
from odespec.exact import Real, Undecided
from odespec.ir.expr import Expr, depends_on
from odespec.ir.model import Relation
from odespec.ir.numbers import absolute
from odespec.ir.relations import is_number, not_less
from odespec.records import dataclass

Cause = Relation | str | None


@dataclass(frozen=True, slots=True)
class Side:
    """One bound, and where it comes from: a relation, a structure, or None for what always holds."""

    value: Real
    cause: Cause


@dataclass(slots=True)
class Facts:
    """What is known of one operand: by ``(quantity, "lower" or "upper")`` the tightest bound.

    ``kind``: "vector" (its norms are those of all entries), "matrix" (operator norms), or "other", of which no
    inequality between norms is used.
    """

    operand: Expr
    kind: str
    structure: str | None
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)

    def add(self, quantity: str, end: str, value: Real, cause: Cause) -> None:
        old = self.sides.get((quantity, end))
        if old is None or (not_less(value, old.value) if end == "lower" else not_less(old.value, value)):
            self.sides[quantity, end] = Side(value, cause)

    def get(self, quantity: str, end: str) -> Side | None:
        return self.sides.get((quantity, end))


def gather(relations: list[Relation], structures: Mapping[Expr, str]) -> list[Facts]:
    found: dict[Expr, Facts] = {}
    for r in relations:
        factor, operand = _scale(r.operand)
        facts = found.get(operand)
        if facts is None:
            facts = found[operand] = Facts(operand, _kind(operand), structures.get(operand))
            _always(facts)
        _take(facts, r, factor)
    return list(found.values())


def _kind(operand: Expr) -> str:
    if depends_on(operand, "state"):
        return "vector"
    if depends_on(operand, "input") and len(operand.shape) == 2:
        return "other"
    return {0: "vector", 1: "vector", 2: "matrix"}.get(len(operand.shape), "other")


def _scale(e: Expr) -> tuple[Real, Expr]:
    """``c, E`` of ``c * E``."""
    if e.op == "mul" and e.args[0].op == "const" and e.args[0].data != 0:
        return e.args[0].data, e.args[1]  # type: ignore[return-value]
    return Fraction(1), e


def _take(facts: Facts, r: Relation, factor: Real) -> None:
    quantity = f"norm{r.p}" if r.quantity == "norm" else r.quantity
    ends = {"lower": r.lower, "upper": r.upper}
    try:
        if quantity in ("entries", "eig") and exact.sign(factor) < 0:
            ends = {"lower": r.upper, "upper": r.lower}
        elif quantity not in ("entries", "eig"):
            factor = absolute(factor)
        for end, value in ends.items():
            if is_number(value):
                facts.add(quantity, end, value / factor, r)  # type: ignore[operator]
    except Undecided:
        return


def _always(facts: Facts) -> None:
    zero = Fraction(0)
    for quantity in ("norm2", "norm1", "norminf", "sigma", "degree"):
        facts.add(quantity, "lower", zero, None)
    for quantity, end, value in _of_structure(facts, facts.structure):
        facts.add(quantity, end, value, facts.structure)


def _of_structure(facts: Facts, structure: str | None) -> Iterator[tuple[str, str, Real]]:
    one, zero = Fraction(1), Fraction(0)
    if structure is None or len(facts.operand.shape) != 2:
        return
    m, n = facts.operand.shape
    if structure == "psd":
        yield "eig", "lower", zero
    elif structure == "skew" and m % 2:
        yield "sigma", "upper of the least", zero
    elif structure == "orthogonal":
        yield from (("norm2", "lower", one), ("norm2", "upper", one), ("sigma", "lower", one), ("sigma", "upper", one))
        yield from (("norminf", "upper", root(n)), ("norm1", "upper", root(m)))
        yield from (("norm1", "lower", one),) if m >= n else (("norminf", "lower", one),)
        yield from (("entries", "lower", -one), ("entries", "upper", one))
    elif structure in ("stochastic", "doubly_stochastic"):
        yield from (("entries", "lower", zero), ("entries", "upper", one))
        yield from (("norminf", "lower", one), ("norminf", "upper", one))
        yield from (("norm2", "lower", root(Fraction(m, n))), ("norm1", "lower", Fraction(m, n)))
        if structure == "doubly_stochastic":
            yield from (("norm2", "upper", one), ("norm1", "upper", one))


def root(x: Fraction | int) -> Real:
    return exact.root(Fraction(x), 2)
