"""Enclosures of expressions by balls, many at a time: a middle and a radius for every entry, in float64.

Each rule bounds how far the result can be from the float64 value in the middle, and adds an allowance for rounding
far above that of the operation (Rump, "Fast and parallel interval arithmetic", BIT 39, 1999). Radii that are not finite
mean that nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

import numpy as np

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.evaluate import Plan, Unsupported, evaluate, plan

ROUNDING = 1e-13
"""Of one operation, relative: some five hundred units in the last place."""
TINY = 1e-290
"""Absolute: far above what underflow can lose."""


@dataclass(frozen=True, slots=True)
class Ball:
    """All tensors within ``radius`` of ``middle``, entry by entry; batch axes stand before those of the shape."""

    middle: Array
    radius: Array

    @property
    def size(self) -> Array:
        """The largest absolute values."""
        return np.asarray(np.abs(self.middle) + self.radius)


def exactly(value: Array) -> Ball:
    middle = np.asarray(value, dtype=np.float64)
    return Ball(middle, np.zeros_like(middle))


Leaves = Mapping[tuple[str, object], Ball]


def enclose(what: Plan, leaves: Leaves) -> list[Ball]:
    """Balls around the roots. Raises `Unsupported` for operations without a rule."""
    values: list[Ball] = []
    with np.errstate(all="ignore"):
        for node, args in zip(what.nodes, what.args, strict=True):
            known = leaves.get((node.op, node.data)) if not node.args else None
            values.append(known if known is not None else _value(node, [values[i] for i in args]))
    return [values[i] for i in what.roots]


def _value(node: Expr, args: list[Ball]) -> Ball:
    if not node.args:
        return _inflated(_operate(node), 0.0)
    rule = _RULES.get(node.op)
    if rule is None:
        raise Unsupported(node.op)
    found = rule(node, args)
    lost = ~(np.isfinite(found.middle) & np.isfinite(found.radius))
    return Ball(np.where(lost, 0.0, found.middle), np.where(lost, np.inf, found.radius))


def _operate(node: Expr, *args: Array) -> Array:
    """The node's operation on arrays."""
    fresh = tuple(Expr("input", (), a.shape, i) for i, a in enumerate(node.args))
    alone = plan((Expr(node.op, fresh, node.shape, node.data),))
    return evaluate(alone, FLOAT, {("input", i): v for i, v in enumerate(args)})[0]


def _inflated(middle: Array, radius: Array | float, size: Array | float | None = None) -> Ball:
    """A ball with room for rounding in numbers of a size (None: that of the middle)."""
    size = np.abs(middle) if size is None else size
    return Ball(middle, np.asarray(radius * (1 + ROUNDING) + ROUNDING * size + TINY))


def _count(node: Expr) -> int:
    """How many numbers an operation adds up, at most: its rounding grows with them."""
    return max(1, *(prod(a.shape) for a in node.args)) // 50 + 1


# --- rules -----------------------------------------------------------------------


def _linear(node: Expr, args: list[Ball]) -> Ball:
    """An operation that is linear with coefficients which are not negative."""
    (x,) = args
    return _inflated(
        _operate(node, x.middle), _operate(node, x.radius), _operate(node, np.abs(x.middle)) * _count(node)
    )


def _add(node: Expr, args: list[Ball]) -> Ball:
    a, b = args
    return _inflated(
        _operate(node, a.middle, b.middle),
        _operate(node, a.radius, b.radius),
        _operate(node, np.abs(a.middle), np.abs(b.middle)),
    )


def _product(node: Expr, args: list[Ball]) -> Ball:
    """Bilinear: ``|a b - m n| <= |a| s + r |n|`` for radii r and s."""
    a, b = args
    if node.op == "mul" and node.args[0] == node.args[1]:
        least, most = _sizes(a)
        return _between(least**2, most**2, 3.0)
    radius = _operate(node, a.size, _finite(b.radius)) + _operate(node, _finite(a.radius), np.abs(b.middle))
    if not (np.isfinite(a.radius).all() and np.isfinite(b.radius).all()):
        raise Unsupported("a product of what is not bounded")
    size = _operate(node, np.abs(a.middle), np.abs(b.middle)) * _count(node)
    return _inflated(_operate(node, a.middle, b.middle), radius, size)


def _finite(v: Array) -> Array:
    return np.where(np.isfinite(v), v, 0.0)


def _divide(node: Expr, args: list[Ball]) -> Ball:
    """``|a/b - m/n| <= (r + |m/n| s) / (|n| - s)``."""
    a, b = args
    least = np.abs(b.middle) - b.radius * (1 + ROUNDING)
    if not (least > 0).all():
        raise Unsupported("a division by what may be zero")
    quotient = _operate(node, a.middle, b.middle)
    moved = _operate(node, a.radius, least)
    share = _operate(node, np.abs(a.middle), np.abs(b.middle) * least / np.maximum(b.radius, TINY))
    return _inflated(quotient, moved + share)


def _power(node: Expr, args: list[Ball]) -> Ball:
    (x,) = args
    exponent = node.data
    assert isinstance(exponent, Fraction)
    if exponent.denominator == 1 and exponent > 0 and exponent.numerator % 2 == 0:
        least, most = _sizes(x)
        return _between(_operate(node, least), _operate(node, most), float(exponent) + 1)
    if exponent.denominator == 1 and exponent > 0:
        slope = float(exponent) * x.size ** float(exponent - 1)
        return _inflated(_operate(node, x.middle), slope * x.radius, x.size ** float(exponent) * float(exponent))
    low, high = x.middle - x.radius, x.middle + x.radius
    if not ((low > 0).all() or (exponent.denominator == 1 and ((low > 0) | (high < 0)).all())):
        raise Unsupported("a power of what may be zero")
    return _between(_operate(node, low), _operate(node, high), abs(float(exponent)) + 1)


def _sizes(x: Ball) -> tuple[Array, Array]:
    """The least and the largest absolute values."""
    return np.maximum(np.abs(x.middle) * (1 - ROUNDING) - x.radius, 0.0), x.size


def _between(a: Array, b: Array, units: float = 1.0) -> Ball:
    size = np.maximum(np.abs(a), np.abs(b)) * units
    return _inflated((a + b) / 2, np.abs(b - a) / 2, size)


def _act(node: Expr, args: list[Ball]) -> Ball:
    """Monotone: between the values at the ends. Else within the steepest slope times the radius."""
    (x,) = args
    name, parameters = named(node)
    if name in ("square", "abs"):
        least, most = _sizes(x)
        return _between(_operate(node, least), _operate(node, most), 3.0)
    slope = ACTIVATIONS[name].slope(parameters)
    if slope.lower is not None and slope.lower >= 0:
        margin = x.radius * (1 + ROUNDING) + ROUNDING * np.abs(x.middle)
        found = _between(_operate(node, x.middle - margin), _operate(node, x.middle + margin))
    elif slope.lower is not None and slope.upper is not None:
        steepest = float(max(-slope.lower, slope.upper)) * (1 + ROUNDING)
        found = _inflated(_operate(node, x.middle), steepest * (x.radius + ROUNDING * np.abs(x.middle)))
    else:
        raise Unsupported(name)
    return Ball(found.middle, found.radius + ROUNDING)


def _size(node: Expr, args: list[Ball]) -> Ball:
    """Norms: the triangle inequality."""
    (x,) = args
    middle = _operate(node, x.middle)
    return _inflated(middle, _operate(node, x.radius), np.abs(middle) * _count(node))


def _extreme(node: Expr, args: list[Ball]) -> Ball:
    """The largest or smallest entry moves no more than the entry that moves most."""
    (x,) = args
    axes = tuple(range(-len(node.args[0].shape), 0))
    return _inflated(_operate(node, x.middle), np.max(x.radius, axis=axes))


def _bound(node: Expr, args: list[Ball]) -> Ball:
    """The bound of a norm that the emitted code computes of a weight: that number itself."""
    (x,) = args
    if x.radius.any():
        raise Unsupported("the norm of what is not exactly known")
    return exactly(_operate(node, x.middle))


def _softmax(node: Expr, args: list[Ball]) -> Ball:
    """With no entry moved by more than r, each quotient changes by a factor of ``exp(2 r)`` at most."""
    (x,) = args
    axes = tuple(range(-len(node.shape), 0))
    worst = np.max(x.radius, axis=axes, keepdims=True)
    middle = _operate(node, x.middle)
    found = _inflated(middle, middle * np.expm1(2 * worst), np.abs(middle) * _count(node))
    return Ball(found.middle, found.radius + ROUNDING * (1 + np.max(x.size, axis=axes, keepdims=True)))


_Rule = Callable[[Expr, list[Ball]], Ball]
_RULES: dict[str, _Rule] = {
    "add": _add,
    "mul": _product,
    "matmul": _product,
    "apply": _product,
    "dot": _product,
    "compose": _product,
    "div": _divide,
    "pow": _power,
    "act": _act,
    "norm": _size,
    "min": _extreme,
    "max": _extreme,
    "softmax": _softmax,
    "bound": _bound,
    **dict.fromkeys(("sum", "mean", "transpose", "diag", "offdiag", "channel", "pool", "conv", "lifted"), _linear),
}

__all__ = ["Ball", "enclose", "exactly"]
