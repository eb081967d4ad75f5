"""Constraints sorted by the one parameter that they restrict, in the few forms that a parametrisation can hold."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod

from odespec.exact import Real
from odespec.ir.expr import Convolution, Expr
from odespec.ir.model import Relation
from odespec.records import dataclass

MATRIX_NORMS = {2: "spectral", "inf": "rows", 1: "columns"}
VECTOR_NORMS = {2: "euclid", "inf": "entries", 1: "absolute"}
NORMS = ("spectral", "rows", "columns", "euclid", "absolute", "conv")


@dataclass(frozen=True, slots=True)
class Limit:
    """``lower <= quantity of the parameter <= upper``.

    ``quantity``: ``spectral``, ``rows``, ``columns`` (matrix norms 2, inf, 1), ``euclid``, ``absolute`` (vector norms
    2, 1), ``conv`` (norm of the circular convolution), ``entries``, ``eig``, ``sigma``, ``sum`` (over ``axes``, an
    equation), ``skew_part`` and ``symmetric_part`` (the 2-norms of ``w - w.T`` and ``w + w.T``).
    """

    relation: Relation
    quantity: str
    lower: Real | None
    upper: Real | None
    axes: tuple[int, ...] = ()
    convolution: Convolution | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of one parameter."""

    all: tuple[Limit, ...] = ()

    def of(self, quantity: str) -> tuple[Limit, ...]:
        return tuple(x for x in self.all if x.quantity == quantity)

    @property
    def norms(self) -> tuple[Limit, ...]:
        return tuple(x for x in self.all if x.quantity in NORMS)

    def interval(self, quantity: str) -> tuple[Real | None, Real | None]:
        """The intersection of all limits of a quantity; None where a side is free."""
        lower: Real | None = None
        upper: Real | None = None
        for x in self.of(quantity):
            lower, upper = most(lower, x.lower), least(upper, x.upper)
        return lower, upper


def least(a: Real | None, b: Real | None) -> Real | None:
    """The smaller of two bounds, None being infinite."""
    if a is None or b is None:
        return b if a is None else a
    return a if a <= b else b


def most(a: Real | None, b: Real | None) -> Real | None:
    """The larger of two bounds, None being minus infinity."""
    if a is None or b is None:
        return b if a is None else a
    return a if a >= b else b


Unread = tuple[Relation, str]


def read_limits(constraints: Iterable[Relation]) -> tuple[dict[str, Limits], tuple[Unread, ...]]:
    """Sort constraints by parameter; the second part has those of another form, each with the reason."""
    sorted_: dict[str, list[Limit]] = {}
    unread: list[Unread] = []
    for relation in constraints:
        found = _read(relation)
        if isinstance(found, str):
            unread.append((relation, found))
        elif found is not None:
            sorted_.setdefault(found[0], []).append(found[1])
    return {name: Limits(tuple(own)) for name, own in sorted_.items()}, tuple(unread)


@dataclass(frozen=True, slots=True)
class _Operand:
    """An expression without its constant factor and transposes."""

    base: Expr
    factor: Real
    transposed: bool


def _strip(e: Expr) -> _Operand:
    factor: Real = Fraction(1)
    transposed = False
    while True:
        if e.op == "mul" and e.args[0].op == "const":
            factor, e = factor * e.args[0].data, e.args[1]  # type: ignore[operator]
        elif e.op == "transpose":
            transposed, e = not transposed, e.args[0]
        else:
            return _Operand(e, factor, transposed)


def _read(relation: Relation) -> tuple[str, Limit] | str | None:
    """A parameter and its limit; None for a constraint that says nothing; a reason where there is no such form."""
    lower, upper = relation.lower, relation.upper
    if isinstance(lower, Expr) or isinstance(upper, Expr):
        return "its bound is not a number"
    operand = _strip(relation.operand)
    if operand.factor == 0:
        return "it restricts no parameter"
    readers = {"norm": _norm, "sigma": _sigma, "eig": _eig, "entries": _entries}
    reader = readers.get(relation.quantity)
    return reader(relation, operand, lower, upper) if reader else f"no parametrisation holds its {relation.quantity}"


Found = tuple[str, Limit] | str | None
_COMPOSITE = "no parametrisation holds a constraint on a composite expression"


def _norm(relation: Relation, operand: _Operand, lower: Real | None, upper: Real | None) -> Found:
    if lower is not None and lower > 0:
        return "no parametrisation holds a lower bound of a norm"
    if upper is None:
        return None
    upper = upper / _size(operand.factor)
    base = operand.base
    if base.op == "diag" and base.args[0].op == "param":
        return _limit(relation, base.args[0], "entries", -1 * upper, upper)
    if base.op == "conv":
        return _convolution(relation, base, upper)
    part = _part(base) if relation.p == 2 else None
    if part is not None:
        return _limit(relation, part[0], part[1], None, upper / part[2])
    if base.op != "param":
        return _COMPOSITE
    if len(base.shape) == 2:
        p = {"inf": 1, 1: "inf", 2: 2}[relation.p] if operand.transposed else relation.p
        return _limit(relation, base, MATRIX_NORMS[p], None, upper)
    quantity = VECTOR_NORMS[relation.p] if base.shape else "entries"
    return _limit(relation, base, quantity, -1 * upper if quantity == "entries" else None, upper)


def _part(e: Expr) -> tuple[Expr, str, Real] | None:
    """The parameter w of ``a*w - a*w.T`` or ``a*w + a*w.T``, the part that it is, and the size of a."""
    if e.op != "add":
        return None
    a, b = _strip(e.args[0]), _strip(e.args[1])
    if a.base.op != "param" or a.base != b.base or a.transposed == b.transposed:
        return None
    if a.factor == b.factor:
        return a.base, "symmetric_part", _size(a.factor)
    return (a.base, "skew_part", _size(a.factor)) if a.factor == -1 * b.factor else None


def _convolution(relation: Relation, base: Expr, upper: Real) -> Found:
    """Exact only where the Fourier transform diagonalises the operator: circular padding, stride 1."""
    kernel, how = base.args[0], base.data
    assert isinstance(how, Convolution)
    if kernel.op != "param":
        return _COMPOSITE
    if relation.p != 2:
        return f"no parametrisation holds the norm {relation.p} of a convolution"
    if how.padding != "circular" or how.stride != 1:
        return "only the norm of a circular convolution of stride 1 is held"
    if any(k > n for k, n in zip(kernel.shape[2:], how.spatial, strict=True)):
        return "its kernel is larger than the grid"
    return _limit(relation, kernel, "conv", None, upper, convolution=how)


def _sigma(relation: Relation, operand: _Operand, lower: Real | None, upper: Real | None) -> Found:
    if lower is None or lower <= 0:
        return _norm(relation, operand, None, upper)
    if operand.base.op != "param" or len(operand.base.shape) != 2:
        return _COMPOSITE
    size = _size(operand.factor)
    return _limit(relation, operand.base, "sigma", lower / size, None if upper is None else upper / size)


def _eig(relation: Relation, operand: _Operand, lower: Real | None, upper: Real | None) -> Found:
    base = operand.base
    lower, upper = _divided(lower, upper, operand.factor)
    if base.op == "diag" and base.args[0].op == "param":
        return _limit(relation, base.args[0], "entries", lower, upper)
    return _limit(relation, base, "eig", lower, upper) if base.op == "param" else _COMPOSITE


def _entries(relation: Relation, operand: _Operand, lower: Real | None, upper: Real | None) -> Found:
    base = operand.base
    lower, upper = _divided(lower, upper, operand.factor)
    if base.op == "param":
        return _limit(relation, base, "entries", lower, upper)
    inner = _strip(base.args[0]) if base.op in ("sum", "mean") else None
    if inner is None or inner.base.op != "param" or inner.transposed or lower is None or lower != upper:
        return _COMPOSITE
    axes = tuple(range(len(inner.base.shape))) if base.data is None else base.data
    assert isinstance(axes, tuple)
    count = prod(inner.base.shape[i] for i in axes) if base.op == "mean" else 1
    value = lower * count / inner.factor
    return _limit(relation, inner.base, "sum", value, value, axes)


def _limit(
    relation: Relation,
    param: Expr,
    quantity: str,
    lower: Real | None,
    upper: Real | None,
    axes: tuple[int, ...] = (),
    convolution: Convolution | None = None,
) -> Found:
    return str(param.data), Limit(relation, quantity, lower, upper, axes, convolution)


def _size(factor: Real) -> Real:
    return factor if factor > 0 else -1 * factor


def _divided(lower: Real | None, upper: Real | None, factor: Real) -> tuple[Real | None, Real | None]:
    sides = tuple(None if side is None else side / factor for side in (lower, upper))
    return (sides[0], sides[1]) if factor > 0 else (sides[1], sides[0])
