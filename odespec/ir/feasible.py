"""Constraints that nothing obeys: a claim under them would hold for no reason.

For each operand the bounds on its norms, singular values, eigenvalues and entries are gathered, those of its structure
included, and every inequality that ties two of them (Horn & Johnson, "Matrix Analysis", 2013, section 5.6) is tested in
exact arithmetic. What is reported is impossible for certain; what is not may still be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from odespec import exact
from odespec.activations import Interval
from odespec.exact import Real, Undecided
from odespec.ir.expr import Expr
from odespec.ir.model import Relation
from odespec.ir.numbers import absolute, larger, show
from odespec.ir.ranges import meet, ranges
from odespec.ir.relations import is_number, not_less

Cause = Relation | str | None


@dataclass(frozen=True, slots=True)
class Side:
    """One bound, and where it comes from: a relation, a structure, or None for what always holds."""

    value: Real
    cause: Cause


@dataclass(slots=True)
class Facts:
    """What is known of one operand: by ``(quantity, "lower" or "upper")`` the tightest bound."""

    operand: Expr
    vector: bool
    structure: str | None
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)

    def add(self, quantity: str, end: str, value: Real, cause: Cause) -> None:
        old = self.sides.get((quantity, end))
        if old is None or (not_less(value, old.value) if end == "lower" else not_less(old.value, value)):
            self.sides[quantity, end] = Side(value, cause)

    def get(self, quantity: str, end: str) -> Side | None:
        return self.sides.get((quantity, end))


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
    for facts in _gather(relations, structures):
        conflict = _first(facts)
        if conflict is not None:
            found.append(conflict)
            told.add(facts.operand)
    return found + [c for c in _by_ranges(relations, structures) if c.relation.operand not in told]


def _first(facts: Facts) -> Conflict | None:
    try:
        for low, high, why in _inequalities(facts):
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


# --- gathering -------------------------------------------------------------------


def _gather(relations: list[Relation], structures: Mapping[Expr, str]) -> list[Facts]:
    found: dict[Expr, Facts] = {}
    for r in relations:
        factor, operand = _scale(r.operand)
        facts = found.get(operand)
        if facts is None:
            vector = len(operand.shape) != 2 or operand.op == "state"
            facts = found[operand] = Facts(operand, vector, structures.get(operand))
            _always(facts)
        _take(facts, r, factor)
    return list(found.values())


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


# --- inequalities ------------------------------------------------------------------


def _inequalities(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    """Pairs that must be in order, with the reason."""
    quantities = dict.fromkeys(q for q, _ in facts.sides)
    for quantity in quantities:
        low, high = facts.get(quantity, "lower"), facts.get(quantity, "upper")
        if low and high:
            yield low, high, _between(quantity, low, high)
    if facts.vector:
        yield from _of_vector(facts)
    else:
        yield from _of_matrix(facts)


def _between(quantity: str, low: Side, high: Side) -> str:
    name = {"norm2": "the norm", "norm1": "the 1-norm", "norminf": "the inf-norm", "sigma": "a singular value",
            "eig": "an eigenvalue", "entries": "an entry", "degree": "a degree"}[quantity]  # fmt: skip
    if low.cause is None:
        return f"{name} is not negative"
    return f"{name} would be at least {show(low.value)} and at most {show(high.value)}"


def _tied(
    facts: Facts, low: tuple[str, str], factor: Real, high: tuple[str, str], why: str
) -> Iterator[tuple[Side, Side, str]]:
    """``low <= factor * high``, if both are bounded."""
    a, b = facts.get(*low), facts.get(*high)
    if a and b:
        yield a, Side(b.value * factor, b.cause), why


def _of_matrix(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    m, n = facts.operand.shape
    two, one, most = ("norm2", "upper"), ("norm1", "upper"), ("norminf", "upper")
    unit: Real = Fraction(1)
    yield from _tied(facts, ("sigma", "lower"), unit, two, "no singular value is above the norm")
    yield from _tied(facts, ("norm2", "lower"), unit, ("sigma", "upper"), "the norm is the largest singular value")
    yield from _tied(facts, ("norminf", "lower"), root(n), two, "the inf-norm is at most sqrt(columns) times the norm")
    yield from _tied(facts, ("norm1", "lower"), root(m), two, "the 1-norm is at most sqrt(rows) times the norm")
    for low in (("norm2", "lower"), ("sigma", "lower")):
        yield from _tied(facts, low, root(m), most, "the norm is at most sqrt(rows) times the inf-norm")
        yield from _tied(facts, low, root(n), one, "the norm is at most sqrt(columns) times the 1-norm")
        yield from _geometric_mean(facts, low)
    yield from _of_least(facts)
    yield from _of_eigenvalues(facts)
    yield from _of_entries(facts, m, n)


def _geometric_mean(facts: Facts, low: tuple[str, str]) -> Iterator[tuple[Side, Side, str]]:
    a, b, c = facts.get(*low), facts.get("norm1", "upper"), facts.get("norminf", "upper")
    if a and b and c and not not_less(Fraction(0), a.value):
        cause = b.cause if isinstance(b.cause, Relation) else c.cause
        yield (
            Side(a.value * a.value, a.cause),
            Side(b.value * c.value, cause),
            "norm^2 is at most 1-norm times inf-norm",
        )


def _of_least(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    least, lower = facts.get("sigma", "upper of the least"), facts.get("sigma", "lower")
    if least and lower:
        yield lower, least, "a skew matrix of odd size is singular"


def _of_eigenvalues(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    low, high, norm = facts.get("eig", "lower"), facts.get("eig", "upper"), facts.get("norm2", "upper")
    why = "no eigenvalue is above the norm in absolute value"
    if norm and low:
        yield low, norm, why
    if norm and high:
        yield Side(high.value * -1, high.cause), norm, why
    if low and high:
        size = larger(absolute(low.value), absolute(high.value))
        for quantity in ("norm2", "sigma"):
            least = facts.get(quantity, "lower")
            if least:
                yield least, Side(size, high.cause if isinstance(high.cause, Relation) else low.cause), why
    trace = "the mean of the eigenvalues is that of the diagonal"
    unit = Fraction(1)
    yield from _tied(facts, ("eig", "lower"), unit, ("entries", "upper"), trace)
    yield from _tied(facts, ("entries", "lower"), unit, ("eig", "upper"), trace)


def _sizes(facts: Facts) -> tuple[Side | None, Side | None]:
    """The least and the largest absolute value of an entry, where they are bounded (the least: above zero)."""
    low, high = facts.get("entries", "lower"), facts.get("entries", "upper")
    zero = Fraction(0)
    least = None
    if low and not_less(low.value, zero):
        least = low
    elif high and not_less(zero, high.value):
        least = Side(high.value * -1, high.cause)
    if not (low and high):
        return least, None
    from_low = not_less(absolute(low.value), absolute(high.value))
    side = low if from_low else high
    cause = side.cause if isinstance(side.cause, Relation) else (high if from_low else low).cause
    return least, Side(absolute(side.value), cause)


def _of_entries(facts: Facts, m: int, n: int) -> Iterator[tuple[Side, Side, str]]:
    least, most = _sizes(facts)
    why = "entries of that size leave no room"
    factors: dict[str, Real] = {"norm2": root(m * n), "norminf": Fraction(n), "norm1": Fraction(m)}
    for quantity, factor in factors.items():
        upper, lower = facts.get(quantity, "upper"), facts.get(quantity, "lower")
        if least and upper:
            yield Side(least.value * factor, least.cause), upper, why
        if most and lower:
            yield lower, Side(most.value * factor, most.cause), why
    lower = facts.get("sigma", "lower")
    if most and lower:
        yield lower, Side(most.value * root(max(m, n)), most.cause), why
    yield from _of_pattern(facts, least, m, n)


def _of_pattern(facts: Facts, least: Side | None, m: int, n: int) -> Iterator[tuple[Side, Side, str]]:
    """Zeros and sums that a structure asks for."""
    zero = Side(Fraction(0), None)
    if least and facts.structure == "skew":
        yield least, zero, "the diagonal of a skew matrix is zero"
    if least and facts.structure == "diagonal" and n > 1:
        yield least, zero, "off its diagonal the matrix is zero"
    if least and facts.structure == "orthogonal" and min(m, n) > 1:
        yield least, zero, "columns of one sign are not orthogonal"
    if facts.structure in ("stochastic", "doubly_stochastic"):
        share = Side(Fraction(1, n), None)
        low, high = facts.get("entries", "lower"), facts.get("entries", "upper")
        if low:
            yield low, share, "each row sums to one"
        if high:
            yield share, high, "each row sums to one"


def _of_vector(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    n = prod(facts.operand.shape)
    why = "the norms of one vector differ by no such factor"
    factors: dict[tuple[str, str], Real] = {
        ("norminf", "norm2"): Fraction(1),
        ("norm2", "norm1"): Fraction(1),
        ("norminf", "norm1"): Fraction(1),
        ("norm2", "norminf"): root(n),
        ("norm1", "norm2"): root(n),
        ("norm1", "norminf"): Fraction(n),
    }
    for (small, large), factor in factors.items():
        yield from _tied(facts, (small, "lower"), factor, (large, "upper"), why)
    least, most = _sizes(facts)
    sums: dict[str, Real] = {"norm2": root(n), "norminf": Fraction(1), "norm1": Fraction(n)}
    for quantity, factor in sums.items():
        upper, lower = facts.get(quantity, "upper"), facts.get(quantity, "lower")
        if least and upper:
            yield Side(least.value * factor, least.cause), upper, "entries of that size leave no room"
        if most and lower:
            yield lower, Side(most.value * factor, most.cause), "entries of that size leave no room"


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
