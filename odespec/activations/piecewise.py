"""Activations of straight pieces, and the steps that are their derivatives."""

from __future__ import annotations

from fractions import Fraction

from odespec.activations.curves import DOWN, UP, Curve, End, Interval, Parameters, Pieces, hull, interval, turn
from odespec.activations.entry import Activation, from_curves, register
from odespec.activations.numeric import numeric, ufunc
from odespec.ir.expr import Expr, act, add, const, full, mul, sub

ZERO, ONE = Fraction(0), Fraction(1)


def _exactly(value: Fraction) -> Interval:
    return Interval(value, value)


def _leaky(x: Fraction, p: Parameters) -> Fraction:
    return x if x > 0 else p[0] * x


def leaky_range(low: End, high: End, p: Parameters) -> Interval:
    """The values of ``leaky_relu`` on an interval."""
    a = p[0]
    left = (DOWN if a > 0 else UP if a < 0 else interval(0, 0)) if low is None else _exactly(_leaky(low, p))
    parts = [left, UP if high is None else _exactly(_leaky(high, p))]
    if (low is None or low < 0) and (high is None or high > 0):
        parts.append(interval(0, 0))
    return hull(parts)


def _leaky_derivative(x: Expr, p: Parameters) -> Expr:
    return add(const(p[0]), mul(const(1 - p[0]), act("step", x)))


register(
    from_curves(
        "identity",
        "x",
        Pieces((), lambda p: (ONE,)),
        Curve(_exactly, DOWN, UP),
        lambda x, p: full(1, x.shape),
        lambda x, p: x,
        "{x}",
        "{x}",
        odd=True,
        convex=True,
    )
)
register(
    from_curves(
        "relu",
        "max(x, 0)",
        Pieces((ZERO,), lambda p: (ZERO, ONE)),
        Curve(lambda x: _exactly(max(x, ZERO)), interval(0, 0), UP),
        lambda x, p: act("step", x),
        numeric(lambda np, x: np.maximum(x, 0.0)),
        "torch.relu({x})",
        "jax.nn.relu({x})",
        convex=True,
    )
)
_LEAKY = Pieces((ZERO,), lambda p: (p[0], ONE))
register(
    Activation(
        "leaky_relu",
        "x where positive, else a x",
        _LEAKY.everywhere,
        _leaky_derivative,
        numeric(lambda np, x, a: np.where(x > 0, x, a * x)),
        "torch.nn.functional.leaky_relu({x}, {a})",
        "jax.nn.leaky_relu({x}, {a})",
        lambda p: leaky_range(None, None, p),
        parameters=("a",),
        slope_within=_LEAKY.within,
        range_within=leaky_range,
    )
)
register(
    from_curves(
        "abs",
        "|x|",
        Pieces((ZERO,), lambda p: (-ONE, ONE)),
        Curve(lambda x: _exactly(abs(x)), UP, UP, (turn(0, 0, 0),)),
        lambda x, p: act("sign", x),
        ufunc("abs"),
        "torch.abs({x})",
        "jnp.abs({x})",
        convex=True,
    )
)
register(
    from_curves(
        "hardtanh",
        "x cut to [-1, 1]",
        Pieces((-ONE, ONE), lambda p: (ZERO, ONE, ZERO)),
        Curve(lambda x: _exactly(min(max(x, -ONE), ONE)), interval(-1, -1), interval(1, 1)),
        lambda x, p: act("step", sub(const(1), act("abs", x))),
        numeric(lambda np, x: np.clip(x, -1.0, 1.0)),
        "torch.nn.functional.hardtanh({x})",
        "jax.nn.hard_tanh({x})",
        odd=True,
    )
)
register(
    Activation(
        "step",
        "1 where positive, else 0",
        lambda p: interval(0, None),
        lambda x, p: full(0, x.shape),
        numeric(lambda np, x: np.where(x > 0, 1.0, 0.0)),
        "({x} > 0).to({x}.dtype)",
        "({x} > 0).astype({x}.dtype)",
        lambda p: interval(0, 1),
        nameable=False,
    )
)
register(
    Activation(
        "sign",
        "-1, 0 or 1",
        lambda p: interval(0, None),
        lambda x, p: full(0, x.shape),
        ufunc("sign"),
        "torch.sign({x})",
        "jnp.sign({x})",
        lambda p: interval(-1, 1),
        odd=True,
        nameable=False,
    )
)
