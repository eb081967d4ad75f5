"""Activations to fifty digits against interval arithmetic, and against the registry's float64."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.activations import ACTIVATIONS
from odespec.weights.arithmetic import CONTEXT, DECIMAL
from odespec.weights.digits import FUNCTIONS, pi

BALLS = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: (1 + x.exp()).log(),
    "silu": lambda x: x / (1 + (-x).exp()),
    "gelu": lambda x: x * (1 + (x / flint.arb(2).sqrt()).erf()) / 2,
    "erf": lambda x: x.erf(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "arctan": lambda x: x.atan(),
    "logcosh": lambda x: x.cosh().log(),
    "gauss": lambda x: (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt(),
    "exp": lambda x: x.exp(),
}
NUMBERS = st.floats(-60, 60) | st.sampled_from([0.0, -0.0, 1e-300, -1e-9, 11.9, -12.3, 59.5])


@pytest.mark.parametrize("name", sorted(BALLS))
@settings(deadline=None)
@given(x=NUMBERS)
def test_agrees_with_interval_arithmetic(name: str, x: float) -> None:
    with localcontext(CONTEXT):
        value = FUNCTIONS[name](Decimal(x))
        scale = max(abs(value), Decimal(1))
    before, flint.ctx.prec = flint.ctx.prec, 300
    try:
        exact = BALLS[name](flint.arb(x))
        assert abs(flint.arb(str(value)) - exact) < flint.arb(str(scale)) * flint.arb("1e-46")
    finally:
        flint.ctx.prec = before


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_activation_agrees_with_the_registry(name: str) -> None:
    entry = ACTIVATIONS[name]
    parameters = (Fraction(1, 8),) * len(entry.parameters)
    points = np.array([0.25, 1.5, 3.0, 17.0] if name in ("log", "sqrt") else [-17.0, -2.5, -0.25, 0.0, 1.5, 17.0])
    with localcontext(CONTEXT):
        values = DECIMAL.act(name, parameters, DECIMAL.cast(points)).astype(float)
    np.testing.assert_allclose(values, entry.numpy(points, parameters), rtol=1e-14, atol=1e-15)


def test_the_registry_has_nothing_without_fifty_digits() -> None:
    from odespec import activations  # noqa: F401

    assert {n for n, a in ACTIVATIONS.items() if a.nameable} <= set(FUNCTIONS)


def test_pi() -> None:
    assert str(pi(60)).startswith("3.14159265358979323846264338327950288419716939937510582097494")


def test_large_angles_keep_their_digits_and_absurd_ones_are_refused() -> None:
    with localcontext(CONTEXT):
        assert abs(float(FUNCTIONS["sin"](Decimal("1e22"))) - -0.8522008497671888) < 1e-15
        with pytest.raises(InvalidOperation):
            FUNCTIONS["cos"](Decimal("1e5000"))


def test_unknown_activations_are_perturbed_beyond_their_last_digits() -> None:
    from dataclasses import replace

    entry = replace(ACTIVATIONS["tanh"], name="tanh_of_a_test")
    ACTIVATIONS[entry.name] = entry
    try:
        points = np.linspace(-2, 2, 9)
        moved = DECIMAL.act(entry.name, (), DECIMAL.cast(points)).astype(float)
    finally:
        del ACTIVATIONS[entry.name]
    assert (moved != np.tanh(points)).any()
    np.testing.assert_allclose(moved, np.tanh(points), rtol=1e-12)
