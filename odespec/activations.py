"""The registry of elementwise functions: slopes, values, derivative, and how each framework writes them.

An entry is data; whatever needs to know something of an activation reads it here. Slope intervals are those of all
difference quotients ``(f(x) - f(y)) / (x - y)``, enclosed outward in rational numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import erf
from typing import TYPE_CHECKING

from odespec.exact import root
from odespec.ir.expr import Expr, act, add, const, div, full, mul, neg, power, sub

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Parameters = tuple[Fraction, ...]
ONE, HALF, ZERO = Fraction(1), Fraction(1, 2), Fraction(0)


@dataclass(frozen=True, slots=True)
class Interval:
    """``lower <= value <= upper``; None where there is no bound."""

    lower: Fraction | None
    upper: Fraction | None


REAL = Interval(None, None)


def _always(interval: Interval) -> Callable[[Parameters], Interval]:
    return lambda parameters: interval


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise function.

    ``torch`` and ``jax`` are templates in ``{x}`` (a name: it may occur more than once) and the names of the parameters.
    ``slope_within`` and ``range_within`` give the interval on ``[low, high]`` (None: unbounded on that side), where that
    is known more closely. ``nameable``: whether a spec may call it; the others occur in derivatives.
    """

    name: str
    doc: str
    slope: Callable[[Parameters], Interval]
    derivative: Callable[[Expr, Parameters], Expr]
    numpy: Callable[[Array, Parameters], Array]
    torch: str
    jax: str
    range: Callable[[Parameters], Interval] = _always(REAL)
    parameters: tuple[str, ...] = ()
    slope_within: Callable[[Fraction | None, Fraction | None, Parameters], Interval] | None = None
    range_within: Callable[[Fraction | None, Fraction | None, Parameters], Interval] | None = None
    odd: bool = False
    convex: bool = False
    nameable: bool = True

    def slope_on(self, low: Fraction | None, high: Fraction | None, parameters: Parameters = ()) -> Interval:
        """The slopes between arguments in ``[low, high]``."""
        if self.slope_within is None:
            return self.slope(parameters)
        return self.slope_within(low, high, parameters)

    def range_on(self, low: Fraction | None, high: Fraction | None, parameters: Parameters = ()) -> Interval:
        """The values at arguments in ``[low, high]``."""
        if self.range_within is None:
            return self.range(parameters)
        return self.range_within(low, high, parameters)


ACTIVATIONS: dict[str, Activation] = {}


def register(activation: Activation) -> Activation:
    """Make an activation known under its name. Raises ValueError where the name is taken."""
    if activation.name in ACTIVATIONS:
        raise ValueError(f"there is already an activation `{activation.name}`")
    ACTIVATIONS[activation.name] = activation
    return activation


def derivative(e: Expr) -> Expr:
    """The derivative of an ``act`` node at its argument."""
    name, parameters = named(e)
    return ACTIVATIONS[name].derivative(e.args[0], parameters)


def named(e: Expr) -> tuple[str, Parameters]:
    """The name and the parameters of an ``act`` node."""
    assert e.op == "act" and isinstance(e.data, tuple)
    return e.data[0], e.data[1]


def _constant(value: Fraction | int) -> Callable[[Expr, Parameters], Expr]:
    return lambda x, p: full(value, x.shape)


def _one_minus(e: Expr) -> Expr:
    return sub(const(1), e)


def _np() -> object:
    import numpy

    return numpy


def _sigmoid(x: Array, p: Parameters = ()) -> Array:
    import numpy as np

    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _erf(x: Array, p: Parameters = ()) -> Array:
    import numpy as np

    return np.asarray(np.frompyfunc(erf, 1, 1)(x), dtype=np.float64)


def _ufunc(name: str) -> Callable[[Array, Parameters], Array]:
    def evaluate(x: Array, p: Parameters) -> Array:
        import numpy as np

        result: Array = getattr(np, name)(x)
        return result

    return evaluate


def _numpy(code: Callable[..., Array]) -> Callable[[Array, Parameters], Array]:
    def evaluate(x: Array, p: Parameters) -> Array:
        import numpy as np

        return code(np, x, *(float(a) for a in p))

    return evaluate


def interval(lower: Fraction | int | str | None, upper: Fraction | int | str | None) -> Interval:
    return Interval(None if lower is None else Fraction(lower), None if upper is None else Fraction(upper))


def _leaky_slope(p: Parameters) -> Interval:
    return Interval(min(p[0], ONE), max(p[0], ONE))


def _sigmoid_slope(x: Expr, p: Parameters) -> Expr:
    s = act("sigmoid", x)
    return mul(s, _one_minus(s))


def _silu_slope(x: Expr, p: Parameters) -> Expr:
    s = act("sigmoid", x)
    return add(s, mul(x, mul(s, _one_minus(s))))


def _gelu_slope(x: Expr, p: Parameters) -> Expr:
    normal = mul(const(HALF), add(const(1), act("erf", mul(const(root(HALF, 2)), x))))
    return add(normal, mul(x, act("gauss", x)))


def _erf_slope(x: Expr, p: Parameters) -> Expr:
    two = root(Fraction(2), 2)
    return mul(const(2 * two), act("gauss", mul(const(two), x)))


def _leaky_derivative(x: Expr, p: Parameters) -> Expr:
    return add(const(p[0]), mul(const(1 - p[0]), act("step", x)))


SOFTPLUS = "torch.nn.functional.softplus({0}, threshold=40.0)"

for _activation in (
    Activation(
        "identity", "x", _always(interval(1, 1)), _constant(1), lambda x, p: x, "{x}", "{x}", odd=True, convex=True
    ),
    Activation(
        "tanh",
        "hyperbolic tangent",
        _always(interval(0, 1)),
        lambda x, p: _one_minus(power(act("tanh", x), Fraction(2))),
        _ufunc("tanh"),
        "torch.tanh({x})",
        "jnp.tanh({x})",
        _always(interval(-1, 1)),
        odd=True,
    ),
    Activation(
        "relu",
        "max(x, 0)",
        _always(interval(0, 1)),
        lambda x, p: act("step", x),
        _numpy(lambda np, x: np.maximum(x, 0.0)),
        "torch.relu({x})",
        "jax.nn.relu({x})",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "leaky_relu",
        "x where positive, else a x",
        _leaky_slope,
        _leaky_derivative,
        _numpy(lambda np, x, a: np.where(x > 0, x, a * x)),
        "torch.nn.functional.leaky_relu({x}, {a})",
        "jax.nn.leaky_relu({x}, {a})",
        lambda p: interval(0, None) if p[0] <= 0 else REAL,
        parameters=("a",),
    ),
    Activation(
        "sigmoid",
        "1 / (1 + exp(-x))",
        _always(interval(0, "1/4")),
        _sigmoid_slope,
        _sigmoid,
        "torch.sigmoid({x})",
        "jax.nn.sigmoid({x})",
        _always(interval(0, 1)),
    ),
    Activation(
        "softplus",
        "log(1 + exp(x))",
        _always(interval(0, 1)),
        lambda x, p: act("sigmoid", x),
        _numpy(lambda np, x: np.logaddexp(0.0, x)),
        "torch.nn.functional.softplus({x}, threshold=40.0)",
        "jax.nn.softplus({x})",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "elu",
        "x where positive, else exp(x) - 1",
        _always(interval(0, 1)),
        lambda x, p: act("exp", sub(x, act("relu", x))),
        _numpy(lambda np, x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))),
        "torch.nn.functional.elu({x})",
        "jax.nn.elu({x})",
        _always(interval(-1, None)),
        convex=True,
    ),
    Activation(
        "silu",
        "x sigmoid(x)",
        _always(interval("-0.099839353211", "1.099839353211")),
        _silu_slope,
        lambda x, p: x * _sigmoid(x),
        "torch.nn.functional.silu({x})",
        "jax.nn.silu({x})",
        _always(interval("-0.278464542762", None)),
    ),
    Activation(
        "gelu",
        "x Phi(x) with the normal distribution Phi (the erf form)",
        _always(interval("-0.128904145151", "1.128904145151")),
        _gelu_slope,
        lambda x, p: 0.5 * x * (1.0 + _erf(x * 0.5**0.5)),
        "torch.nn.functional.gelu({x})",
        "jax.nn.gelu({x}, approximate=False)",
        _always(interval("-0.169971207480", None)),
    ),
    Activation(
        "softsign",
        "x / (1 + |x|)",
        _always(interval(0, 1)),
        lambda x, p: power(add(const(1), act("abs", x)), Fraction(-2)),
        _numpy(lambda np, x: x / (1.0 + np.abs(x))),
        "torch.nn.functional.softsign({x})",
        "jax.nn.soft_sign({x})",
        _always(interval(-1, 1)),
        odd=True,
    ),
    Activation(
        "hardtanh",
        "x cut to [-1, 1]",
        _always(interval(0, 1)),
        lambda x, p: act("step", _one_minus(act("abs", x))),
        _numpy(lambda np, x: np.clip(x, -1.0, 1.0)),
        "torch.nn.functional.hardtanh({x})",
        "jax.nn.hard_tanh({x})",
        _always(interval(-1, 1)),
        odd=True,
    ),
    Activation(
        "arctan",
        "inverse tangent",
        _always(interval(0, 1)),
        lambda x, p: power(add(const(1), power(x, Fraction(2))), Fraction(-1)),
        _ufunc("arctan"),
        "torch.atan({x})",
        "jnp.arctan({x})",
        _always(interval("-1.570796326795", "1.570796326795")),
        odd=True,
    ),
    Activation(
        "erf",
        "the error function",
        _always(interval(0, "1.128379167096")),
        _erf_slope,
        _erf,
        "torch.erf({x})",
        "jax.lax.erf({x})",
        _always(interval(-1, 1)),
        odd=True,
    ),
    Activation(
        "sin",
        "sine",
        _always(interval(-1, 1)),
        lambda x, p: act("cos", x),
        _ufunc("sin"),
        "torch.sin({x})",
        "jnp.sin({x})",
        _always(interval(-1, 1)),
        odd=True,
    ),
    Activation(
        "cos",
        "cosine",
        _always(interval(-1, 1)),
        lambda x, p: neg(act("sin", x)),
        _ufunc("cos"),
        "torch.cos({x})",
        "jnp.cos({x})",
        _always(interval(-1, 1)),
    ),
    Activation(
        "abs",
        "|x|",
        _always(interval(-1, 1)),
        lambda x, p: act("sign", x),
        _ufunc("abs"),
        "torch.abs({x})",
        "jnp.abs({x})",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "logcosh",
        "log(cosh(x))",
        _always(interval(-1, 1)),
        lambda x, p: act("tanh", x),
        _numpy(lambda np, x: np.abs(x) + np.log1p(np.exp(-2.0 * np.abs(x))) - np.log(2.0)),
        "({x} + torch.nn.functional.softplus(-2.0 * {x}, threshold=40.0) - 0.6931471805599453)",
        "({x} + jax.nn.softplus(-2.0 * {x}) - 0.6931471805599453)",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "exp",
        "exponential",
        _always(interval(0, None)),
        lambda x, p: act("exp", x),
        _ufunc("exp"),
        "torch.exp({x})",
        "jnp.exp({x})",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "log",
        "natural logarithm",
        _always(interval(0, None)),
        lambda x, p: div(const(1), x),
        _ufunc("log"),
        "torch.log({x})",
        "jnp.log({x})",
    ),
    Activation(
        "sqrt",
        "square root",
        _always(interval(0, None)),
        lambda x, p: div(const(HALF), act("sqrt", x)),
        _ufunc("sqrt"),
        "torch.sqrt({x})",
        "jnp.sqrt({x})",
        _always(interval(0, None)),
    ),
    Activation(
        "square",
        "x^2",
        _always(REAL),
        lambda x, p: mul(const(2), x),
        _ufunc("square"),
        "torch.square({x})",
        "jnp.square({x})",
        _always(interval(0, None)),
        convex=True,
    ),
    Activation(
        "step",
        "1 where positive, else 0",
        _always(interval(0, None)),
        _constant(0),
        _numpy(lambda np, x: np.where(x > 0, 1.0, 0.0)),
        "({x} > 0).to({x}.dtype)",
        "({x} > 0).astype({x}.dtype)",
        _always(interval(0, 1)),
        nameable=False,
    ),
    Activation(
        "sign",
        "-1, 0 or 1",
        _always(interval(0, None)),
        _constant(0),
        _ufunc("sign"),
        "torch.sign({x})",
        "jnp.sign({x})",
        _always(interval(-1, 1)),
        odd=True,
        nameable=False,
    ),
    Activation(
        "gauss",
        "the normal density exp(-x^2/2) / sqrt(2 pi)",
        _always(interval("-0.241970724520", "0.241970724520")),
        lambda x, p: neg(mul(x, act("gauss", x))),
        _numpy(lambda np, x: np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)),
        "(torch.exp(-0.5 * {x} * {x}) * 0.3989422804014327)",
        "(jnp.exp(-0.5 * {x} * {x}) * 0.3989422804014327)",
        _always(interval(0, "0.398942280402")),
        nameable=False,
    ),
):
    register(_activation)
