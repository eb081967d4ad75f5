"""Interval analysis: bounds on the entries of expressions, in rational numbers rounded outward.

Every interval encloses every entry of the tensor, for all values of the leaves within what is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import prod

from odespec.activations import ACTIVATIONS, Interval
from odespec.exact import Undecided
from odespec.ir.expr import Expr, postorder
from odespec.ir.intervals import (
    REAL,
    hull,
    inverse,
    magnitude,
    meet,
    plus,
    point,
    power,
    root_above,
    rounded,
    scaled,
    square,
    times,
)

__all__ = ["REAL", "hull", "inverse", "magnitude", "meet", "plus", "power", "ranges", "rounded", "square", "times"]


def ranges(exprs: Iterable[Expr], known: Mapping[Expr, Interval]) -> dict[Expr, Interval]:
    """An enclosure for every node of some expressions. ``known``: enclosures of any of them, leaves above all."""
    found: dict[Expr, Interval] = {}
    for node in postorder(*exprs):
        interval = rounded(_RULES[node.op](node, found)) if node.op in _RULES else REAL
        found[node] = meet(interval, known[node]) if node in known else interval
    return found


# --- operations ------------------------------------------------------------------

Found = Mapping[Expr, Interval]
ZERO = Interval(Fraction(0), Fraction(0))
UNIT = Interval(Fraction(0), Fraction(1))
POSITIVE = Interval(Fraction(0), None)


def _number(node: Expr, found: Found) -> Interval:
    try:
        return point(node.data)  # type: ignore[arg-type]
    except Undecided:
        return REAL


def _array(node: Expr, found: Found) -> Interval:
    pending, result = [node.data], None
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending.extend(item)
            continue
        interval = point(item)  # type: ignore[arg-type]
        result = interval if result is None else hull(result, interval)
    return result or REAL


def _eye(node: Expr, found: Found) -> Interval:
    return UNIT if prod(node.shape) > 1 else Interval(Fraction(1), Fraction(1))


def _add(node: Expr, found: Found) -> Interval:
    return plus(found[node.args[0]], found[node.args[1]])


def _mul(node: Expr, found: Found) -> Interval:
    a, b = node.args
    return square(found[a]) if a == b else times(found[a], found[b])


def _div(node: Expr, found: Found) -> Interval:
    return times(found[node.args[0]], inverse(found[node.args[1]]))


def _pow(node: Expr, found: Found) -> Interval:
    return power(found[node.args[0]], node.data)  # type: ignore[arg-type]


def _matmul(node: Expr, found: Found) -> Interval:
    a, b = node.args
    return scaled(times(found[a], found[b]), b.shape[0])


def _same(node: Expr, found: Found) -> Interval:
    return found[node.args[0]]


def _with_zero(node: Expr, found: Found) -> Interval:
    return hull(found[node.args[0]], ZERO) if node.shape[0] > 1 or node.op == "offdiag" else found[node.args[0]]


def _conv(node: Expr, found: Found) -> Interval:
    return hull(found[node.args[0]], ZERO)


def _apply(node: Expr, found: Found) -> Interval:
    """A kernel entry meets an entry once at most for each entry of the kernel and each channel of the other side."""
    operator, x = node.args
    kernel = operator.args[0] if operator.op == "transpose" else operator
    if kernel.op != "conv":
        return REAL
    shape = kernel.args[0].shape
    count = prod(shape)
    if kernel.data.padding == "reflect":  # type: ignore[attr-defined]
        count *= 2 ** (len(shape) - 2)
    return hull(scaled(times(found[operator], found[x]), count), ZERO)


def _act(node: Expr, found: Found) -> Interval:
    assert isinstance(node.data, tuple)
    name, parameters = node.data
    x = found[node.args[0]]
    return ACTIVATIONS[name].range_on(x.lower, x.upper, parameters)


def _softmax(node: Expr, found: Found) -> Interval:
    return UNIT


def _layernorm(node: Expr, found: Found) -> Interval:
    """One coordinate of n centred ones holds ``(n - 1) / n`` of their squares at most."""
    n = node.shape[node.data[0]]  # type: ignore[index]
    size = root_above(Fraction(n - 1))
    return Interval(-size, size)


def _sum(node: Expr, found: Found) -> Interval:
    x = node.args[0]
    axes = range(len(x.shape)) if node.data is None else node.data
    return scaled(found[x], prod(x.shape[i] for i in axes))  # type: ignore[attr-defined]


def _dot(node: Expr, found: Found) -> Interval:
    a, b = node.args
    return scaled(square(found[a]) if a == b else times(found[a], found[b]), prod(a.shape))


def _norm(node: Expr, found: Found) -> Interval:
    x = node.args[0]
    size = magnitude(found[x])
    if size is None:
        return POSITIVE
    n = prod(x.shape)
    factor = {2: root_above(Fraction(n)), 1: Fraction(n)}.get(node.data, Fraction(1))  # type: ignore[call-overload]
    return Interval(Fraction(0), size * factor)


def _opnorm(node: Expr, found: Found) -> Interval:
    x = node.args[0]
    size = magnitude(found[x])
    if size is None or len(x.shape) != 2 or x.op in ("conv", "transpose"):
        return POSITIVE
    m, n = x.shape
    factor = {2: root_above(Fraction(m * n)), 1: Fraction(m)}.get(node.data, Fraction(n))  # type: ignore[call-overload]
    return Interval(Fraction(0), size * factor)


def _bound(node: Expr, found: Found) -> Interval:
    return Interval(Fraction(1, 10**12), None)


_RULES: dict[str, Callable[[Expr, Found], Interval]] = {
    "const": _number,
    "full": _number,
    "array": _array,
    "eye": _eye,
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "matmul": _matmul,
    "transpose": _same,
    "min": _same,
    "max": _same,
    "mean": _same,
    "channel": _same,
    "pool": _same,
    "diag": _with_zero,
    "offdiag": _with_zero,
    "conv": _conv,
    "apply": _apply,
    "act": _act,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "sum": _sum,
    "dot": _dot,
    "norm": _norm,
    "opnorm": _opnorm,
    "bound": _bound,
}
