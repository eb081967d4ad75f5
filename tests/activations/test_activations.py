"""Every entry of the registry: slopes and ranges by interval arithmetic, derivatives, both frameworks' templates."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from odespec.activations import ACTIVATIONS, Activation, Interval, derivative, named, register
from odespec.ir.expr import act, leaf
from odespec.program.interpret import evaluate

flint.ctx.prec = 300
LEAKS = (Fraction(1, 10), Fraction(-1, 2), Fraction(3), Fraction(0))
POSITIVE = ("log", "sqrt")
STEPS = ("step", "sign")


@pytest.fixture
def float64():
    """64-bit types in JAX for one test: the setting is the whole process's."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def choices() -> list[tuple[str, tuple[Fraction, ...]]]:
    return [(n, (a,)) for n in ACTIVATIONS if n == "leaky_relu" for a in LEAKS] + [
        (n, ()) for n, a in ACTIVATIONS.items() if not a.parameters
    ]


EVERY = pytest.mark.parametrize(("name", "parameters"), choices())


def arb(x: Fraction) -> flint.arb:
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def phi(x: flint.arb) -> flint.arb:
    return (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()


def normal(x: flint.arb) -> flint.arb:
    return (1 + (x / flint.arb(2).sqrt()).erf()) / 2


def logistic(x: flint.arb) -> flint.arb:
    return 1 / (1 + (-x).exp())


VALUES: dict[str, Callable[[flint.arb], flint.arb]] = {
    "identity": lambda x: x,
    "tanh": lambda x: x.tanh(),
    "relu": lambda x: x if x > 0 else flint.arb(0),
    "sigmoid": logistic,
    "softplus": lambda x: (1 + x.exp()).log(),
    "elu": lambda x: x if x > 0 else x.exp() - 1,
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * normal(x),
    "softsign": lambda x: x / (1 + abs(x)),
    "hardtanh": lambda x: x if abs(x) <= 1 else x / abs(x),
    "arctan": lambda x: x.atan(),
    "erf": lambda x: x.erf(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "abs": abs,
    "logcosh": lambda x: x.cosh().log(),
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "sqrt": lambda x: x.sqrt(),
    "square": lambda x: x * x,
    "step": lambda x: flint.arb(1 if x > 0 else 0),
    "sign": lambda x: flint.arb(0) if x == 0 else x / abs(x),
    "gauss": phi,
}


def value(name: str, x: Fraction, parameters: tuple[Fraction, ...]) -> flint.arb:
    if name == "leaky_relu":
        return arb(x if x > 0 else parameters[0] * x)
    return VALUES[name](arb(x))


def inside(x: flint.arb, bounds: Interval) -> bool:
    """No part of the ball that is beyond doubt lies outside."""
    return not (bounds.lower is not None and x < arb(bounds.lower)) and not (
        bounds.upper is not None and x > arb(bounds.upper)
    )


def points(name: str, count: int, seed: int) -> list[Fraction]:
    rng = random.Random(seed)
    scales = [Fraction(1, 1000), Fraction(1, 3), Fraction(1), Fraction(3), Fraction(20)]
    drawn = [Fraction(rng.randint(-(10**6), 10**6), 10**6) * rng.choice(scales) for _ in range(count)]
    drawn += [Fraction(k) for k in range(-3, 4)]
    return sorted({abs(x) + Fraction(1, 10**6) if name in POSITIVE else x for x in drawn})


@EVERY
def test_difference_quotients_stay_within_the_slopes(name: str, parameters: tuple[Fraction, ...]) -> None:
    entry = ACTIVATIONS[name]
    everywhere = entry.slope(parameters)
    rng = random.Random(7)
    xs = points(name, 60, 1)
    for _ in range(400):
        x, y = sorted(rng.sample(xs, 2))
        quotient = (value(name, y, parameters) - value(name, x, parameters)) / arb(y - x)
        assert inside(quotient, everywhere)
        low, high = x - rng.choice([0, 1, Fraction(1, 7)]), y + rng.choice([0, 2, Fraction(1, 9)])
        assert inside(quotient, entry.slope_on(low, high, parameters)), (x, y)
        assert inside(quotient, entry.slope_on(None, high, parameters))
        assert inside(quotient, entry.slope_on(low, None, parameters))


@EVERY
def test_values_stay_within_the_range(name: str, parameters: tuple[Fraction, ...]) -> None:
    entry = ACTIVATIONS[name]
    rng = random.Random(3)
    xs = points(name, 60, 2)
    for x in xs:
        exact = value(name, x, parameters)
        below, above = x - rng.choice([0, 1, Fraction(1, 7)]), x + rng.choice([0, 2, Fraction(1, 9)])
        assert inside(exact, entry.range(parameters))
        for low, high in ((below, above), (None, above), (below, None), (x, x)):
            assert inside(exact, entry.range_on(low, high, parameters)), x


TRUE_SLOPES: dict[str, Callable[[], tuple[flint.arb, flint.arb]]] = {
    "identity": lambda: (flint.arb(1), flint.arb(1)),
    "sigmoid": lambda: (flint.arb(0), flint.arb(1) / 4),
    "erf": lambda: (flint.arb(0), 2 / flint.arb.pi().sqrt()),
    "sin": lambda: (flint.arb(-1), flint.arb(1)),
    "cos": lambda: (flint.arb(-1), flint.arb(1)),
    "abs": lambda: (flint.arb(-1), flint.arb(1)),
    "logcosh": lambda: (flint.arb(-1), flint.arb(1)),
    "gauss": lambda: (-phi(flint.arb(1)), phi(flint.arb(1))),
    "gelu": lambda: gelu_ends(),
    "silu": lambda: silu_ends(),
} | {
    name: (lambda: (flint.arb(0), flint.arb(1)))
    for name in ("tanh", "relu", "softplus", "elu", "softsign", "hardtanh", "arctan")
}


def gelu_ends() -> tuple[flint.arb, flint.arb]:
    """The second derivative ``(2 - x^2) phi(x)`` vanishes at plus and minus the root of two alone."""
    root = flint.arb(2).sqrt()
    return normal(-root) - root * phi(root), normal(root) + root * phi(root)


def silu_ends() -> tuple[flint.arb, flint.arb]:
    """The second derivative has the sign of ``2 - x tanh(x/2)``, which falls in |x|: bisect its zero."""
    low, high = flint.arb(2), flint.arb(3)
    for _ in range(280):
        middle = ((low + high) / 2).mid()
        low, high = (middle, high) if 2 - middle * (middle / 2).tanh() > 0 else (low, middle)
    turn = low.union(high)
    s = logistic(turn)
    slope = s + turn * s * (1 - s)
    return 1 - slope, slope


@pytest.mark.parametrize("name", sorted(TRUE_SLOPES))
def test_slope_intervals_enclose_the_true_ones_tightly(name: str) -> None:
    found = ACTIVATIONS[name].slope(())
    low, high = TRUE_SLOPES[name]()
    assert found.lower is not None and found.upper is not None
    assert not low < arb(found.lower) and not high > arb(found.upper)
    assert low - arb(found.lower) < flint.arb("1e-12") and arb(found.upper) - high < flint.arb("1e-12")


def test_every_bounded_slope_is_checked() -> None:
    slopes = {n: a.slope(()) for n, a in ACTIVATIONS.items() if not a.parameters}
    assert {n for n, s in slopes.items() if None not in (s.lower, s.upper)} == set(TRUE_SLOPES)


@EVERY
def test_bounds_on_an_interval_are_tight(name: str, parameters: tuple[Fraction, ...]) -> None:
    """The extremes of many quotients and values come as close to the bounds as the arguments' spacing lets them."""
    if name in STEPS:
        pytest.skip("its bounds are the same everywhere")
    entry = ACTIVATIONS[name]
    ends = [(Fraction(1, 5), Fraction(3, 2)), (Fraction(2), Fraction(5))]
    if name not in POSITIVE:
        ends += [(Fraction(-3), Fraction(-1, 2)), (Fraction(-3), Fraction(4))]
    for low, high in ends:
        # a grid that has the kinks
        grid = np.array([float(low + Fraction(k, 9000)) for k in range(int((high - low) * 9000) + 1)])
        values = entry.numpy(grid, parameters)
        quotients = np.diff(values) / np.diff(grid)
        bend = np.abs(np.diff(quotients)).max() + 1e-9
        bounds, slopes = entry.range_on(low, high, parameters), entry.slope_on(low, high, parameters)
        assert None not in (bounds.lower, bounds.upper, slopes.lower, slopes.upper)
        assert values.min() - float(bounds.lower) < 1e-8 and float(bounds.upper) - values.max() < 1e-8
        assert quotients.min() - float(slopes.lower) < bend and float(slopes.upper) - quotients.max() < bend


@EVERY
def test_derivatives_agree_with_central_differences(name: str, parameters: tuple[Fraction, ...]) -> None:
    if name in STEPS:
        pytest.skip("its derivative is zero wherever it has one")
    x = leaf("state", "x", (200,))
    rng = np.random.default_rng(5)
    at = rng.uniform(0.1, 4.0, 200) if name in POSITIVE else rng.uniform(-4.0, 4.0, 200)
    at = at[np.minimum(np.abs(at), np.abs(np.abs(at) - 1.0)) > 1e-3]
    at = np.resize(at, 200)
    entry, h = ACTIVATIONS[name], 1e-5
    exact = evaluate([derivative(act(name, x, parameters))], {x: at})[0]
    approximate = (entry.numpy(at + h, parameters) - entry.numpy(at - h, parameters)) / (2 * h)
    np.testing.assert_allclose(np.broadcast_to(exact, at.shape), approximate, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["logcosh", "softplus", "elu", "relu", "sigmoid"])
def test_derivatives_have_no_overflow_far_out(name: str) -> None:
    x = leaf("state", "x", (2,))
    at = np.array([-900.0, 900.0])
    with np.errstate(over="raise", invalid="raise"):
        slopes = np.broadcast_to(evaluate([derivative(act(name, x))], {x: at})[0], (2,))
        values = ACTIVATIONS[name].numpy(at, ())
    assert np.all(np.isfinite(slopes)) and np.all(np.isfinite(values))


def inputs(name: str) -> np.ndarray:
    far = np.array([1e-12, 1e-3, 0.5, 1.0, 3.0, 19.0, 21.0, 38.0, 100.0, 700.0])
    rng = np.random.default_rng(0)
    near = rng.uniform(0.0, 5.0, 50)
    both = np.concatenate([far, near])
    if name == "exp":
        both = np.minimum(both, 100.0)
    return both if name in POSITIVE else np.concatenate([both, -both, [0.0]])


def filled(template: str, entry: Activation, parameters: tuple[Fraction, ...]) -> str:
    numbers = dict(zip(entry.parameters, (repr(float(p)) for p in parameters), strict=True))
    return template.format(x="x", **numbers)


@EVERY
def test_torch_template(name: str, parameters: tuple[Fraction, ...]) -> None:
    entry, at = ACTIVATIONS[name], inputs(name)
    x = torch.tensor(at, dtype=torch.float64)
    result = eval(filled(entry.torch, entry, parameters), {"torch": torch}, {"x": x})
    np.testing.assert_allclose(result.numpy(), entry.numpy(at, parameters), rtol=2e-14, atol=4e-16)


@EVERY
def test_jax_template(float64, name: str, parameters: tuple[Fraction, ...]) -> None:
    entry, at = ACTIVATIONS[name], inputs(name)
    result = eval(filled(entry.jax, entry, parameters), {"jax": jax, "jnp": jnp}, {"x": jnp.asarray(at)})
    np.testing.assert_allclose(np.asarray(result), entry.numpy(at, parameters), rtol=2e-14, atol=4e-16)


@EVERY
def test_gradients_through_the_templates_are_the_derivative(
    float64, name: str, parameters: tuple[Fraction, ...]
) -> None:
    entry, at = ACTIVATIONS[name], inputs(name)
    at = at[np.abs(at) > 1e-6]
    leaf_x = leaf("state", "x", at.shape)
    exact = np.broadcast_to(evaluate([derivative(act(name, leaf_x, parameters))], {leaf_x: at})[0], at.shape)
    keep = np.abs(np.abs(at) - 1.0) > 1e-9 if name == "hardtanh" else np.full(at.shape, True)
    if name not in STEPS:
        x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
        eval(filled(entry.torch, entry, parameters), {"torch": torch}, {"x": x}).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy()[keep], exact[keep], rtol=1e-11, atol=1e-14)
    code = compile(filled(entry.jax, entry, parameters), "jax", "eval")
    slope = jax.grad(lambda v: jnp.sum(eval(code, {"jax": jax, "jnp": jnp}, {"x": v})))(jnp.asarray(at))
    np.testing.assert_allclose(np.asarray(slope)[keep], exact[keep], rtol=1e-11, atol=1e-14)


@EVERY
def test_flags(name: str, parameters: tuple[Fraction, ...]) -> None:
    entry = ACTIVATIONS[name]
    at = np.linspace(0.01, 5.0, 500)
    if entry.odd:
        np.testing.assert_allclose(entry.numpy(-at, parameters), -entry.numpy(at, parameters), rtol=1e-14)
    grid = np.linspace(0.1, 5.0, 500) if name in POSITIVE else np.linspace(-5.0, 5.0, 1001)
    if entry.convex:
        assert np.all(np.diff(entry.numpy(grid, parameters), 2) >= -1e-12)


def test_the_language_is_complete() -> None:
    language = (
        "tanh relu leaky_relu sigmoid softplus elu silu gelu softsign hardtanh arctan erf sin cos abs logcosh identity "
        "exp log sqrt square"
    )
    assert {n for n, a in ACTIVATIONS.items() if a.nameable} == set(language.split())
    assert all(a.doc and a.name == n for n, a in ACTIVATIONS.items())


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="already"):
        register(ACTIVATIONS["tanh"])


def test_named() -> None:
    assert named(act("leaky_relu", leaf("state", "x", ()), (Fraction(1, 5),))) == ("leaky_relu", (Fraction(1, 5),))
