"""A new activation and a new tableau are entries of their registries, and nothing else has to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from odespec import activations, solvers
from odespec.activations import Activation, Interval
from odespec.api import check, load
from odespec.ir.expr import full
from odespec.solvers.method import Method, runge_kutta

SPEC = """
model New
dim d = 3, m = 4
state x[d]
param W[m, d], b[m]
x' = -W.T @ triple_relu(W @ x + b)
constraint norm(W) <= 1
solver thirds(steps = 2)
time 0 .. {end}
claim nonexpansive
"""


@pytest.fixture
def registered() -> Iterator[None]:
    """``triple_relu(x) = max(0, 3 x)``, and SSPRK(2,2) under a name of its own."""
    activations.register(
        Activation(
            name="triple_relu",
            doc="max(0, 3 x)",
            slope=lambda p: Interval(Fraction(0), Fraction(3)),
            derivative=lambda x, p: full(3, x.shape),
            numpy=lambda x, p: np.maximum(0.0, 3.0 * x),
            torch="torch.relu(3 * {x})",
            jax="jax.nn.relu(3 * {x})",
        )
    )
    solvers.register(Method("thirds", "explicit", ("steps",), 2, "a test", "a test", runge_kutta("0; 1", "1/2 1/2")))
    yield
    del activations.ACTIVATIONS["triple_relu"]
    del solvers.SOLVERS["thirds"]


@pytest.mark.parametrize(("end", "verdict"), [("4/3", "proved"), ("1.4", "refuted")])
def test_a_claim_is_decided_with_them(registered: None, tmp_path: Path, end: str, verdict: str) -> None:
    """The threshold is h <= 2 / 3 for two steps: 4/3 in all."""
    path = tmp_path / "new.ode"
    path.write_text(SPEC.format(end=end))
    (checked,) = check(load(path))
    assert checked.verdicts[0].verdict == verdict
