"""Smooth activations with bounded slopes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec import elementary as el
from odespec.activations.curves import UP, Curve, Interval, Parameters, Wave, interval, turn
from odespec.activations.entry import Activation, from_curves, register
from odespec.activations.numeric import erf, gelu, numeric, sigmoid, ufunc
from odespec.elementary import Bounds
from odespec.exact import root
from odespec.ir.expr import Expr, act, add, const, mul, neg, power, sub

ZERO = interval(0, 0)
ONE = interval(1, 1)


def _at(bounds: Callable[[Fraction], Bounds]) -> Callable[[Fraction], Interval]:
    return lambda x: Interval(*bounds(x))


def _peaked(bounds: Callable[[Fraction], Bounds], lower: str, upper: str) -> Curve:
    """A positive function that falls on both sides of its maximum at 0 towards zero."""
    return Curve(_at(bounds), ZERO, ZERO, (turn(0, lower, upper),))


def _logistic_slope(x: Fraction) -> Bounds:
    low, high = el.sigmoid(x)
    return el.mul((low, high), (1 - high, 1 - low))


def _silu_slope(x: Fraction) -> Bounds:
    return el.add(el.sigmoid(x), el.mul((x, x), _logistic_slope(x)))


def _gelu_slope(x: Fraction) -> Bounds:
    return el.add(el.normal(x), el.mul((x, x), el.gauss(x)))


def _elu_slope(x: Fraction) -> Bounds:
    return (Fraction(1), Fraction(1)) if x > 0 else el.exp(x)


def _elu(x: Fraction) -> Bounds:
    return (x, x) if x > 0 else el.add(el.exp(x), (Fraction(-1), Fraction(-1)))


def _one_minus(e: Expr) -> Expr:
    return sub(const(1), e)


def _sigmoid_derivative(x: Expr, p: Parameters) -> Expr:
    s = act("sigmoid", x)
    return mul(s, _one_minus(s))


def _silu_derivative(x: Expr, p: Parameters) -> Expr:
    return add(act("sigmoid", x), mul(x, _sigmoid_derivative(x, p)))


def _gelu_derivative(x: Expr, p: Parameters) -> Expr:
    half = Fraction(1, 2)
    normal = mul(const(half), add(const(1), act("erf", mul(const(root(half, 2)), x))))
    return add(normal, mul(x, act("gauss", x)))


def _erf_derivative(x: Expr, p: Parameters) -> Expr:
    two = root(Fraction(2), 2)
    return mul(const(2 * two), act("gauss", mul(const(two), x)))


_TANH_SLOPE = _peaked(lambda x: el.scaled(4, _logistic_slope(2 * x)), "1", "1")
_SOFTSIGN_SLOPE = _peaked(lambda x: (1 / (1 + abs(x)) ** 2,) * 2, "1", "1")
_ARCTAN_SLOPE = _peaked(lambda x: (1 / (1 + x * x),) * 2, "1", "1")
_ERF_SLOPE = _peaked(el.bell, "1.12837916709551257389", "1.12837916709551257390")
_GAUSS = _peaked(el.gauss, "0.39894228040143267793", "0.39894228040143267794")
_SIGMOID = Curve(_at(el.sigmoid), ZERO, ONE)
_TANH = Curve(_at(el.tanh), interval(-1, -1), ONE)
_HALF_PI = Interval(*el.half_pi())

_ENTRIES: tuple[Activation, ...] = (
    from_curves(
        "tanh",
        "hyperbolic tangent",
        _TANH_SLOPE,
        _TANH,
        lambda x, p: _one_minus(power(act("tanh", x), Fraction(2))),
        ufunc("tanh"),
        "torch.tanh({x})",
        "jnp.tanh({x})",
        odd=True,
    ),
    from_curves(
        "sigmoid",
        "1 / (1 + exp(-x))",
        _peaked(_logistic_slope, "1/4", "1/4"),
        _SIGMOID,
        _sigmoid_derivative,
        sigmoid,
        "torch.sigmoid({x})",
        "jax.nn.sigmoid({x})",
    ),
    from_curves(
        "softplus",
        "log(1 + exp(x))",
        _SIGMOID,
        Curve(_at(el.softplus), ZERO, UP),
        lambda x, p: act("sigmoid", x),
        numeric(lambda np, x: np.logaddexp(0.0, x)),
        "torch.nn.functional.softplus({x}, threshold=40.0)",
        "jax.nn.softplus({x})",
        convex=True,
    ),
    from_curves(
        "elu",
        "x where positive, else exp(x) - 1",
        Curve(_at(_elu_slope), ZERO, ONE),
        Curve(_at(_elu), interval(-1, -1), UP),
        lambda x, p: act("exp", sub(x, act("relu", x))),
        numeric(lambda np, x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))),
        "torch.nn.functional.elu({x})",
        "jax.nn.elu({x})",
        convex=True,
    ),
    from_curves(
        "silu",
        "x sigmoid(x)",
        Curve(
            _at(_silu_slope),
            ZERO,
            ONE,
            (
                turn("-2.399357280515467667", "-0.09983932012886691697", "-0.09983932012886691695"),
                turn("2.399357280515467667", "1.09983932012886691695", "1.09983932012886691697"),
            ),
        ),
        Curve(
            _at(lambda x: el.mul((x, x), el.sigmoid(x))),
            ZERO,
            UP,
            (turn("-1.278464542761073795", "-0.27846454276107379511", "-0.27846454276107379510"),),
        ),
        _silu_derivative,
        lambda x, p: x * sigmoid(x),
        "torch.nn.functional.silu({x})",
        "jax.nn.silu({x})",
    ),
    from_curves(
        "gelu",
        "x Phi(x) with the normal distribution Phi (the erf form)",
        Curve(
            _at(_gelu_slope),
            ZERO,
            ONE,
            (
                turn("-1.414213562373095049", "-0.12890414518515478635", "-0.12890414518515478633"),
                turn("1.414213562373095049", "1.12890414518515478633", "1.12890414518515478635"),
            ),
        ),
        Curve(
            _at(lambda x: el.mul((x, x), el.normal(x))),
            ZERO,
            UP,
            (turn("-0.751791524693564457", "-0.16997120747990366170", "-0.16997120747990366169"),),
        ),
        _gelu_derivative,
        gelu,
        "torch.nn.functional.gelu({x})",
        "jax.nn.gelu({x}, approximate=False)",
    ),
    from_curves(
        "softsign",
        "x / (1 + |x|)",
        _SOFTSIGN_SLOPE,
        Curve(lambda x: Interval(x / (1 + abs(x)), x / (1 + abs(x))), interval(-1, -1), ONE),
        lambda x, p: power(add(const(1), act("abs", x)), Fraction(-2)),
        numeric(lambda np, x: x / (1.0 + np.abs(x))),
        "torch.nn.functional.softsign({x})",
        "jax.nn.soft_sign({x})",
        odd=True,
    ),
    from_curves(
        "arctan",
        "inverse tangent",
        _ARCTAN_SLOPE,
        Curve(_at(el.atan), Interval(*el.scaled(-1, el.half_pi())), _HALF_PI),
        lambda x, p: power(add(const(1), power(x, Fraction(2))), Fraction(-1)),
        ufunc("arctan"),
        "torch.atan({x})",
        "jnp.arctan({x})",
        odd=True,
    ),
    from_curves(
        "erf",
        "the error function",
        _ERF_SLOPE,
        Curve(_at(el.erf), interval(-1, -1), ONE),
        _erf_derivative,
        erf,
        "torch.erf({x})",
        "jax.lax.erf({x})",
        odd=True,
    ),
    from_curves(
        "sin",
        "sine",
        Wave(_at(el.cos), 0),
        Wave(_at(el.sin), 1),
        lambda x, p: act("cos", x),
        ufunc("sin"),
        "torch.sin({x})",
        "jnp.sin({x})",
        odd=True,
    ),
    from_curves(
        "cos",
        "cosine",
        Wave(_at(lambda x: el.scaled(-1, el.sin(x))), 3),
        Wave(_at(el.cos), 0),
        lambda x, p: neg(act("sin", x)),
        ufunc("cos"),
        "torch.cos({x})",
        "jnp.cos({x})",
    ),
    from_curves(
        "logcosh",
        "log(cosh(x))",
        _TANH,
        Curve(_at(el.logcosh), UP, UP, (turn(0, 0, 0),)),
        lambda x, p: act("tanh", x),
        numeric(lambda np, x: np.abs(x) + np.log1p(np.exp(-2.0 * np.abs(x))) - np.log(2.0)),
        "({x} + torch.nn.functional.softplus(-2.0 * {x}, threshold=40.0) - 0.6931471805599453)",
        "({x} + jax.nn.softplus(-2.0 * {x}) - 0.6931471805599453)",
        convex=True,
    ),
    from_curves(
        "gauss",
        "the normal density exp(-x^2/2) / sqrt(2 pi)",
        Curve(
            _at(lambda x: el.mul((-x, -x), el.gauss(x))),
            ZERO,
            ZERO,
            (
                turn(-1, "0.24197072451914334979", "0.24197072451914334980"),
                turn(1, "-0.24197072451914334980", "-0.24197072451914334979"),
            ),
        ),
        _GAUSS,
        lambda x, p: neg(mul(x, act("gauss", x))),
        numeric(lambda np, x: np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)),
        "(torch.exp(-0.5 * {x} * {x}) * 0.3989422804014327)",
        "(jnp.exp(-0.5 * {x} * {x}) * 0.3989422804014327)",
        nameable=False,
    ),
)
for _entry in _ENTRIES:
    register(_entry)
