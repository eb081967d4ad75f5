"""Claims about the flow: refuted only by enclosed solutions, which hold what an independent integrator finds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from odespec import api
from odespec.ir.model import Model
from odespec.prove.engines.distance import step_program
from odespec.prove.refute.counterexample import replay_numpy
from odespec.prove.refute.distance import Budget, refute
from odespec.prove.refute.enclosure import flow, ratio_bounds
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.search import Effort

FALSE = {
    "non_normal": ("state x[1], y[1]\nx' = -x + 10*y\ny' = -y\n", "rk4(steps = 5)", "1", "nonexpansive of flow"),
    "skew_field_decays_nowhere": (
        "state x[4]\nparam S[4, 4] : skew\nx' = S @ x\nconstraint norm(S) <= 1\n",
        "euler(steps = 4)", "2", "contractive(rate = 0.01) of flow",
    ),
    "residual": (
        "state x[3]\nparam W[3, 3], b[3]\nx' = tanh(W @ x + b)\nconstraint norm(W) <= 1\n",
        "dopri5(rtol = 1e-3, atol = 1e-6)", "1", "lipschitz <= 2.5 of flow",
    ),
    "per_step": (
        "state x[3]\nparam W[3, 3] per step\nx' = W @ relu(x)\nconstraint norm(W) <= 1\n",
        "euler(steps = 2)", "1", "lipschitz <= 2.5 of flow",
    ),
    "lower": (
        "state x[3]\nparam W[3, 3], b[3]\nx' = -W.T @ tanh(W @ x + b)\nconstraint norm(W) <= 1\n",
        "euler(steps = 1)", "1", "gradient in [1/2, 1] of flow",
    ),
}  # fmt: skip
TRUE = {
    "gradient_flow_tight": (
        "state x[3]\nparam W[4, 3], b[4]\nx' = -W.T @ tanh(W @ x + b)\nconstraint norm(W) <= 3\n",
        "euler(steps = 1)", "2", "nonexpansive of flow",
    ),
    "recurrent_tight": (
        "state x[3]\nparam W[3, 3]\nx' = -x + W @ tanh(x)\nconstraint norm(W) <= 1/2\n",
        "euler(steps = 2)", "1", "contractive(rate = 0.5) of flow",
    ),
    "logarithmic_norm_alone_refutes_nothing": (
        "state x[1], y[1]\nx' = -x + 10*y\ny' = -y\n", "rk4(steps = 5)", "10", "nonexpansive of flow",
    ),
}  # fmt: skip


def model_of(folder: Path, body: str, solver: str, time: str, claim: str) -> Model:
    path = folder / "m.ode"
    path.write_text(f"model M\n{body}solver {solver}\ntime 0 .. {time}\nclaim {claim}\n")
    section = api.load(path).sections[0]
    assert isinstance(section, Model)
    return section


@pytest.mark.parametrize("name", FALSE)
def test_false_claims_are_refuted(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, *FALSE[name])
    program = step_program(model, model.claims[0].subject)
    found = refute(program, model.claims[0])
    assert found is not None and found.subject == "flow"
    assert found.violated(found.measured)
    assert replay_numpy(program, found) == found.measured


@pytest.mark.parametrize("name", TRUE)
def test_true_claims_are_not(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, *TRUE[name])
    budget = Budget(effort=Effort(200, 8, 20, 8))
    assert refute(step_program(model, model.claims[0].subject), model.claims[0], budget=budget) is None


def test_an_independent_integrator_sees_the_violation(tmp_path: Path) -> None:
    model = model_of(tmp_path, *FALSE["residual"])
    found = refute(step_program(model, model.claims[0].subject), model.claims[0])
    assert found is not None
    W, b = found.weights["W"], found.weights["b"]
    ends = [
        solve_ivp(lambda t, z: np.tanh(W @ z + b), (0, 1), x, rtol=1e-11, atol=1e-12).y[:, -1]
        for (x,) in (found.x, found.y)
    ]
    ratio = np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(found.y[0] - found.x[0])
    assert ratio >= found.measured > 2.5


UPPER = Goal("upper", 2, Decimal(1))
FAR = Goal("upper", 2, Decimal(100))
"""Decided at once, so that the enclosure is not made tighter than its first form."""


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_linear_flows_are_enclosed(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    body = "state x[3]\nparam W[3, 3], b[3]\nx' = W @ x + b\n"
    model = model_of(tmp_path_factory.mktemp("f"), body, "euler(steps = 1)", "2", "nonexpansive of flow")
    rng = np.random.default_rng(seed)
    W, b, x, y = rng.standard_normal((3, 3)) * 2, rng.standard_normal(3), *rng.standard_normal((2, 3))
    bounds = ratio_bounds(flow(model, {"W": W, "b": b}, {}), UPPER, x, y)
    assert bounds is not None
    exact = np.linalg.norm(expm(2 * W) @ (y - x)) / np.linalg.norm(y - x)
    assert bounds[0] <= bounds[1] <= bounds[0] * (1 + 1e-14)
    assert bounds[0] == pytest.approx(exact, rel=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), act=st.sampled_from(["tanh", "relu", "sin", "gelu"]))
def test_other_flows_are_enclosed(tmp_path_factory: pytest.TempPathFactory, seed: int, act: str) -> None:
    body = f"state x[3]\nparam W[3, 3], b[3]\nx' = {act}(W @ x + b + sin(t)) - x\n"
    model = model_of(tmp_path_factory.mktemp("f"), body, "euler(steps = 1)", "1.5", "nonexpansive of flow")
    rng = np.random.default_rng(seed)
    W, b, x, y = rng.standard_normal((3, 3)), rng.standard_normal(3), *rng.standard_normal((2, 3))
    bounds = ratio_bounds(flow(model, {"W": W, "b": b}, {}), FAR, x, y)
    assert bounds is not None
    from odespec.activations import ACTIVATIONS

    def f(t: float, z: np.ndarray) -> np.ndarray:
        return ACTIVATIONS[act].numpy(W @ z + b + np.sin(t), ()) - z

    ends = [solve_ivp(f, (0, 1.5), v, rtol=1e-10, atol=1e-11, max_step=0.01).y[:, -1] for v in (x, y)]
    exact = np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(y - x)
    assert bounds[0] <= exact <= bounds[1]


def test_enclosures_are_made_as_tight_as_a_decision_needs(tmp_path: Path) -> None:
    body = "state x[1]\nparam w\nx' = tanh(w*x)\n"
    model = model_of(tmp_path, body, "euler(steps = 1)", "1", "lipschitz <= 2.71 of flow")
    goal = Goal("upper", 2, Decimal("2.71"))
    bounds = ratio_bounds(flow(model, {"w": np.array(1.0)}, {}), goal, np.array([0.0]), np.array([0.01]))
    assert bounds is not None and 2.71 < bounds[0] < np.e < bounds[1] + 1e-3


@pytest.mark.parametrize("field", ["x' = x * x * x", "x' = exp(x)", "x' = -t / x"])
def test_solutions_without_an_end_are_not_enclosed(tmp_path: Path, field: str) -> None:
    model = model_of(tmp_path, f"state x[2]\n{field}\n", "euler(steps = 1)", "1", "nonexpansive of flow")
    assert ratio_bounds(flow(model, {}, {}), UPPER, np.zeros(2), np.ones(2)) is None
