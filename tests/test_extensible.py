"""A new activation and a new tableau are one entry each: the prover, the formatter and the emitter read it from there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import odespec
from odespec.activations import ACTIVATIONS, Activation, Interval
from odespec.activations import register as register_activation
from odespec.ir.expr import const, full
from odespec.solvers import SOLVERS, Method
from odespec.solvers import register as register_solver
from odespec.solvers.method import runge_kutta

SPEC = """model Registered
dim d = 3, m = 4
state x[d]
param W[m, d], b[m]
x' = -W.T @ halfrelu(W @ x + b)
constraint norm(W) <= 1
solver twostage(steps = 2)
time 0 .. {end}
claim nonexpansive
"""


@pytest.fixture
def registered():
    """An activation with slopes in [0, 1/2], and Heun's method under another name."""
    half = Fraction(1, 2)
    activation = Activation(
        name="halfrelu",
        doc="half of relu",
        slope=lambda parameters: Interval(Fraction(0), half),
        derivative=lambda x, parameters: full(0, x.shape) if x.shape else const(0),
        numpy=lambda x, parameters: np.maximum(x, 0) / 2,
        torch="0.5 * torch.relu({x})",
        jax="0.5 * jax.nn.relu({x})",
    )
    register_activation(activation)
    register_solver(
        Method("twostage", "explicit", ("steps",), 2, "Heun (1900)", "test", runge_kutta("0; 1", "1/2 1/2"))
    )
    yield
    del ACTIVATIONS["halfrelu"], SOLVERS["twostage"]


@pytest.mark.parametrize(("h", "expected"), [("4", "proved"), ("41/10", "refuted")])
def test_proved_with_what_was_registered(registered, tmp_path: Path, h: str, expected: str) -> None:
    """Slopes up to 1/2 double the threshold of Heun's method, which is 2."""
    path = tmp_path / "registered.ode"
    path.write_text(SPEC.format(end=2 * Fraction(h)))
    spec = odespec.load(path)
    results = odespec.check(spec)
    assert results[0].verdicts[0].verdict == expected, results[0].verdicts[0].reason
    for target in ("torch", "jax"):
        assert "relu" in odespec.compile(spec, target, checked=results, force=True).source
