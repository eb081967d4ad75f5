"""Functions whose slopes are bounded only on a bounded domain."""

from __future__ import annotations

from fractions import Fraction

from odespec import elementary as el
from odespec.activations.curves import DOWN, UP, Curve, Interval, interval, turn
from odespec.activations.entry import from_curves, register
from odespec.activations.numeric import ufunc
from odespec.exact import enclose, root
from odespec.ir.expr import act, const, div, mul

ZERO = interval(0, 0)
BEGIN = Fraction(0)


def _exp(x: Fraction) -> Interval:
    return Interval(el.exp(Fraction(el.LARGEST))[0], None) if x > el.LARGEST else Interval(*el.exp(x))


def _sqrt(x: Fraction) -> Interval:
    return Interval(*enclose(root(x, 2), el.BITS))


def _sqrt_slope(x: Fraction) -> Interval:
    low, high = el.inverse(enclose(root(4 * x, 2), el.BITS))
    return Interval(low, high)


_EXP = Curve(_exp, ZERO, UP)

for _entry in (
    from_curves(
        "exp",
        "exponential",
        _EXP,
        _EXP,
        lambda x, p: act("exp", x),
        ufunc("exp"),
        "torch.exp({x})",
        "jnp.exp({x})",
        convex=True,
    ),
    from_curves(
        "log",
        "natural logarithm, of positive numbers",
        Curve(lambda x: Interval(1 / x, 1 / x), UP, ZERO, begin=BEGIN),
        Curve(lambda x: Interval(*el.log(x)), DOWN, UP, begin=BEGIN),
        lambda x, p: div(const(1), x),
        ufunc("log"),
        "torch.log({x})",
        "jnp.log({x})",
    ),
    from_curves(
        "sqrt",
        "square root, of numbers that are not negative",
        Curve(_sqrt_slope, UP, ZERO, begin=BEGIN),
        Curve(_sqrt, ZERO, UP, begin=BEGIN),
        lambda x, p: div(const(Fraction(1, 2)), act("sqrt", x)),
        ufunc("sqrt"),
        "torch.sqrt({x})",
        "jnp.sqrt({x})",
    ),
    from_curves(
        "square",
        "x^2",
        Curve(lambda x: Interval(2 * x, 2 * x), DOWN, UP),
        Curve(lambda x: Interval(x * x, x * x), UP, UP, (turn(0, 0, 0),)),
        lambda x, p: mul(const(2), x),
        ufunc("square"),
        "torch.square({x})",
        "jnp.square({x})",
        convex=True,
    ),
):
    register(_entry)
