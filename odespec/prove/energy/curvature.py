"""The slopes of the derivative of an elementwise function: between which bounds it is convex."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.ir.differentiate import gradient
from odespec.ir.expr import Expr, add, const, full, leaf, mul, postorder, total
from odespec.ir.ranges import REAL, times
from odespec.prove.energy.factors import monomials

JUMPS = ("step", "sign")


def curvature(template: Expr, enclosed: Callable[[Expr], Interval]) -> Interval:
    """Of a function of the leaf z: bounds of all difference quotients of its derivative. ``enclosed`` bounds entries."""
    z = leaf("stage", "z", template.shape)
    slope = gradient(total(template), z)
    if _jumps(slope):
        slope = _plain(slope)
    scale, inner = Fraction(1), slope
    while inner.op == "mul" and inner.args[0].op == "const" and isinstance(inner.args[0].data, Fraction):
        scale, inner = scale * inner.args[0].data, inner.args[1]
    if inner.op == "act" and inner.args[0] == z:
        name, parameters = named(inner)
        return times(Interval(scale, scale), ACTIVATIONS[name].slope(parameters))
    if _jumps(slope):
        return REAL
    # A continuous slope, smooth in pieces, is bounded by its derivative where there is one.
    return enclosed(gradient(total(slope), z))


def _jumps(slope: Expr) -> bool:
    return any(n.op == "act" and named(n)[0] in JUMPS for n in postorder(slope))


def _plain(slope: Expr) -> Expr:
    """Multiplied out where it is a product, so that ``relu(z) * step(z)`` is seen to be continuous."""
    parts = monomials(slope) if slope.op in ("mul", "div", "pow") else None
    if not parts:
        return slope
    result = full(0, slope.shape)
    for m in parts:
        e = m.vector if m.vector is not None else full(1, slope.shape)
        for factor in (*m.factors, *m.scalars):
            e = mul(e, factor)
        result = add(result, mul(const(m.number), e))
    return result
