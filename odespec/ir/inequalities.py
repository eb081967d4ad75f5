"""The inequalities between norms, singular values, eigenvalues and entries of one matrix or vector.

Horn & Johnson, "Matrix Analysis", 2013, section 5.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod

from odespec.exact import Real
from odespec.ir.facts import Facts, Side, root
from odespec.ir.model import Relation
from odespec.ir.numbers import absolute, larger, show
from odespec.ir.relations import not_less


def inequalities(facts: Facts) -> Iterator[tuple[Side, Side, str]]:
    """Pairs that must be in order, with the reason."""
    quantities = dict.fromkeys(q for q, _ in facts.sides)
    for quantity in quantities:
        low, high = facts.get(quantity, "lower"), facts.get(quantity, "upper")
        if low and high:
            yield low, high, _between(quantity, low, high)
    if facts.kind == "vector":
        yield from _of_vector(facts)
    elif facts.kind == "matrix":
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
