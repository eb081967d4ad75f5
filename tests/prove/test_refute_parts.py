"""Unique solvability, the second opinion, and the exact evaluation against the interpreter."""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest

from odespec import api
from odespec.ir.model import Model
from odespec.program.interpret import run
from odespec.program.lower import lower
from odespec.prove.refute.confirm import confirm
from odespec.prove.refute.goal import Goal, goals
from odespec.prove.refute.mapping import apply, network
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.weights.arithmetic import CONTEXT, DECIMAL, EXACT, FLOAT
from odespec.weights.sampling import sample, sample_inputs, sample_states
from odespec.weights.steps import prepare

MODELS = {
    "gradient_flow": "state x[3]\nparam W[4, 3], b[4]\nx' = -W.T @ softplus(W @ x + b)\nconstraint norm(W) <= 2\n",
    "two_states": "state x[2], y[3]\nparam A[2, 3], B[3, 2]\ninput u[2] per step\n"
    "x' = A @ tanh(y) + u\ny' = sigmoid(B @ x) * y\nconstraint norm(A) <= 1\nconstraint norm(B) <= 1\n",
    "convolution": "state u[2, 4, 4]\nparam K[3, 2, 3, 3], b[3]\n"
    "u' = -conv(K, padding = zero).T @ relu(conv(K, padding = zero) @ u + channel(b))\nconstraint K in [-1/4, 1/4]\n",
    "whole_vector": "state x[4]\nparam W[4, 4], a\nx' = softmax(W @ x) - a*layernorm(x) - mean(x)\n"
    "constraint norm(W) <= 1\nconstraint a in [0, 1]\n",
    "rows": "state X[3, 2]\nparam A[3, 3] : stochastic\nparam W[2, 2]\nX' = A @ X @ W - X\nconstraint norm(W) <= 1\n",
    "given_start": "state x[3], a[3] = 2*x\nparam W[3, 3] per step\n"
    "x' = W @ a - t*x\na' = gelu(x)\nconstraint norm(W) <= 1\n",
    "powers": "state x[3]\nx' = (1 + square(x))^(-1/3) - x / (2 + abs(x))\n",
}


def model_of(folder: Path, body: str, solver: str = "rk3(steps = 2)", claim: str = "nonexpansive") -> Model:
    path = folder / "m.ode"
    path.write_text(f"model M\n{body}solver {solver}\ntime 0 .. 1\nclaim {claim}\n")
    section = api.load(path).sections[0]
    assert isinstance(section, Model)
    return section


@pytest.mark.parametrize("solver", ["rk3(steps = 2)", "implicit_midpoint(steps = 2)"])
@pytest.mark.parametrize("name", MODELS)
def test_all_arithmetics_agree_with_the_interpreter(tmp_path: Path, name: str, solver: str) -> None:
    model = model_of(tmp_path, MODELS[name], solver)
    rng = np.random.default_rng(5)
    weights, states = sample(model, rng), [0.3 * rng.standard_normal(s.shape) for s in model.free_states]
    inputs = [0.3 * rng.standard_normal(u.shape if not u.per_step else (2, *u.shape)) for u in model.inputs]
    program = lower(model)
    expected = np.concatenate([v.ravel() for v in run(program, weights, states, inputs)])
    net = network(program, "map")
    named = {u.name: v for u, v in zip(model.inputs, inputs, strict=True)}
    x = np.concatenate([s.ravel() for s in states])
    np.testing.assert_allclose(apply(net, FLOAT, weights, x, named), expected, rtol=1e-9, atol=1e-9)
    with localcontext(CONTEXT):
        fine = apply(net, DECIMAL, weights, DECIMAL.cast(x), named)
        np.testing.assert_allclose(fine.astype(float), expected, rtol=1e-9, atol=1e-11)


def test_fractions_are_exact(tmp_path: Path) -> None:
    model = model_of(tmp_path, "state x[2]\nparam W[2, 2]\nx' = relu(W @ x) / 3\n", "euler(steps = 1)")
    net = network(lower(model), "map")
    W, x = np.array([[1.0, 2.0], [-1.0, 0.0]]), np.array([1.0, 3.0])
    image = apply(net, EXACT, {"W": W}, EXACT.cast(x), {})
    assert [str(v) for v in image] == ["10/3", "3"]


@pytest.mark.parametrize(
    ("field", "weight", "unique"),
    [
        ("-w*relu(x + b)", 5.0, True),
        ("w*relu(x + b)", 0.9, True),
        ("w*relu(x + b)", 1.5, False),
        ("w*x", 3.0, True),
        ("w*x", 1.0, False),
        ("w*exp(x)", 0.1, False),
        ("w*sin(x)", 0.5, True),
        ("w*sin(x)", -2.0, False),
    ],
)
def test_unique_solvability_of_backward_euler(tmp_path: Path, field: str, weight: float, unique: bool) -> None:
    body = f"state x[2]\nparam w, b[2]\nx' = {field} + b\n"
    model = model_of(tmp_path, body, "backward_euler(steps = 1)")
    held = {"w": np.array(weight), "b": np.array([0.5, -1.0])}
    assert uniquely_solvable(prepare(lower(model)), held, {}) is unique


def test_a_pair_at_a_fold_without_unique_solution_refutes_nothing(tmp_path: Path) -> None:
    model = model_of(
        tmp_path, "state x[1]\nparam w\nx' = w*relu(x)\nconstraint w in [0, 3/2]\n", "backward_euler(steps = 1)"
    )
    net = network(lower(model), "map")
    goal = goals(model, model.claims[0])[0]
    assert confirm(net, goal, {"w": np.array(1.5)}, {}, np.array([-1.0]), np.array([-2.0])) is None


def test_confirmation_wants_members_and_a_margin(tmp_path: Path) -> None:
    model = model_of(
        tmp_path, "state x[2]\nparam w\nx' = w*x\nconstraint w in [0, 1]\n", "euler(steps = 1)", "lipschitz <= 2"
    )
    net = network(lower(model), "map")
    x, y = np.zeros(2), np.array([1.0, 0.0])
    low, tight = Goal("upper", 2, Decimal("1.5")), Goal("upper", 2, Decimal(2))
    found = confirm(net, low, {"w": np.array(1.0)}, {}, x, y)
    assert found is not None and found.ratio == 2.0
    assert confirm(net, tight, {"w": np.array(1.0)}, {}, x, y) is None
    assert confirm(net, low, {"w": np.array(np.nextafter(1, 2))}, {}, x, y) is None
    assert confirm(net, low, {"w": np.array(1.0)}, {}, x, x) is None
    assert confirm(net, Goal("upper", 2, Decimal("1.9999999999")), {"w": np.array(1.0)}, {}, x, y) is None


@pytest.mark.parametrize("name", MODELS)
def test_samples_of_every_kind_run(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, MODELS[name])
    rng = np.random.default_rng(0)
    final = run(lower(model), sample(model, rng), sample_states(model, rng), sample_inputs(model, rng))
    assert [f.shape for f in final] == [s.shape for s in model.states]
