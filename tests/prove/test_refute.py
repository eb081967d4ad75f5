"""False claims are refuted by arrays that plain NumPy confirms; true claims never are."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest

from odespec import api
from odespec.ir.model import Model
from odespec.program.lower import lower
from odespec.prove.refute.counterexample import Counterexample, replay_numpy
from odespec.prove.refute.distance import Budget, refute
from odespec.prove.refute.search import Effort
from odespec.weights.membership import violations

GRADIENT_FLOW = """
dim d = {d}, m = {m}
state x[d]
param W[m, d], b[m]
x' = -W.T @ {act}(W @ x + b)
constraint norm(W) <= 1
"""
SKEW = "state x[4]\nparam S[4, 4] : skew\nx' = S @ x - {g}*x\nconstraint norm(S) <= 1\n"
RECURRENT = """state x[3]
param W[3, 3], U[3, 2]
input u[2] per step
x' = -x + W @ tanh(x) + U @ u
constraint norm(W{p}) <= {c}
"""
RESIDUAL = "state x[3]\nparam W[3, 3], b[3]\nx' = {act}(W @ x + b)\nconstraint norm(W{p}) <= 1\n"


def flow(act: str = "relu", d: int = 4, m: int = 5) -> str:
    return GRADIENT_FLOW.format(act=act, d=d, m=m)


FALSE = {
    "euler_h2_1": (flow(), "euler(steps = 1)", "2.1", "nonexpansive", 1.1),
    "euler_just_beyond": (flow(), "euler(steps = 1)", "2.000001", "nonexpansive", 1.000001),
    "many_steps": (flow(d=64, m=128), "euler(steps = 32)", "67.2", "nonexpansive", None),
    "rk4_beyond_the_real_interval": (flow(), "rk4(steps = 1)", "2.81", "nonexpansive", None),
    "midpoint": (flow(), "midpoint(steps = 1)", "0.5", "nonexpansive", None),
    "sigmoid": (flow("sigmoid"), "euler(steps = 1)", "8.1", "nonexpansive", None),
    "softplus_saturates": (flow("softplus"), "euler(steps = 1)", "2.02", "nonexpansive", None),
    "not_monotone": (flow("abs"), "euler(steps = 1)", "0.1", "nonexpansive", 1.1),
    "zero_weights": (flow(), "euler(steps = 1)", "1", "contractive(rate = 0.1)", 1.0),
    "implicit_zero_weights": (flow(), "implicit_midpoint(steps = 4)", "4", "contractive(rate = 0.05)", 1.0),
    "lower_gradient": (flow(), "euler(steps = 1)", "0.5", "gradient in [0.51, 1]", 0.5),
    "fold": ("state x[2]\nx' = abs(x) - x\n", "euler(steps = 1)", "1", "gradient in [0.1, 1]", None),
    "skew": (SKEW.format(g=0), "euler(steps = 10)", "1", "lipschitz <= 1.0455", 1.01**5),
    "skew_damped": (SKEW.format(g="0.01"), "euler(steps = 50)", "5", "nonexpansive", None),
    "recurrent": (RECURRENT.format(p="", c=1.02), "euler(steps = 1)", "0.5", "nonexpansive", None),
    "recurrent_inf": (
        RECURRENT.format(p=", inf", c=0.5), "euler(steps = 1)", "1", "lipschitz(norm = inf) <= 0.49", None,
    ),
    "residual_inf": (
        RESIDUAL.format(act="relu", p=", inf"), "euler(steps = 2)", "1", "lipschitz(norm = inf) <= 2.2", 2.25,
    ),
    "residual_one": (RESIDUAL.format(act="relu", p=", 1"), "euler(steps = 2)", "1", "lipschitz(norm = 1) <= 2.2", 2.25),
    "softmax": (RESIDUAL.format(act="softmax", p=""), "euler(steps = 1)", "1", "lipschitz <= 1.49", None),
    "verlet": (
        "state q[3], p[3]\nparam K[3, 3], b[3]\nq' = p\np' = -K.T @ tanh(K @ q + b)\nconstraint norm(K) <= 1\n",
        "verlet(steps = 1)", "0.1", "nonexpansive", None,
    ),
    "orthogonal": (
        "state x[4]\nparam W[4, 4] : orthogonal\nparam b[4]\nx' = -W.T @ leaky_relu(W @ x + b, 0.1)\n",
        "euler(steps = 1)", "1", "contractive(rate = 0.1119)", 0.9,
    ),
    "domain": (
        "state x[1]\nx' = 20 - square(x)\ndomain x in [0, 1]\n", "euler(steps = 2)", "0.6", "nonexpansive", None,
    ),
    "stochastic": (
        "state x[5]\nparam A[5, 5] : stochastic\nx' = A @ x - x\n", "euler(steps = 1)", "1", "nonexpansive", None,
    ),
    "time": ("state x[2]\nx' = -t*x\n", "euler(steps = 4)", "6", "nonexpansive", None),
    "product": ("state x[2], y[2]\nx' = -x * y\ny' = -y\n", "euler(steps = 1)", "0.1", "nonexpansive", None),
    "output": (flow() + "output y = 3 * x\n", "euler(steps = 1)", "1", "lipschitz <= 2.9 of output", 3.0),
    "per_step": (
        "state x[3]\nparam W[3, 3] per step\nx' = W @ x\nconstraint norm(W) <= 1\n",
        "euler(steps = 3)", "3", "lipschitz <= 7.9", 8.0,
    ),
}  # fmt: skip
TRUE = {
    "euler_at_the_threshold": (flow(), "euler(steps = 1)", "2", "nonexpansive"),
    "heun": (flow(), "heun(steps = 1)", "2", "nonexpansive"),
    "rk3_at_its_radius": (flow(), "rk3(steps = 1)", "1", "nonexpansive"),
    "gradient": (flow(), "euler(steps = 2)", "2", "gradient in [0, 1]"),
    "backward_euler": (flow(), "backward_euler(steps = 2)", "100", "nonexpansive"),
    "skew_implicit": (SKEW.format(g=0), "implicit_midpoint(steps = 3)", "3", "gradient in [1, 1]"),
    "skew_bound": (SKEW.format(g=0), "euler(steps = 10)", "1", "lipschitz <= 1.0511"),
    "recurrent": (RECURRENT.format(p="", c=1), "euler(steps = 2)", "1", "nonexpansive"),
    "residual_tight": (RESIDUAL.format(act="relu", p=""), "euler(steps = 2)", "1", "lipschitz <= 2.25"),
}


def model_of(folder: Path, body: str, solver: str, time: str, claim: str) -> Model:
    path = folder / "m.ode"
    path.write_text(f"model M\n{body}solver {solver}\ntime 0 .. {time}\nclaim {claim}\n")
    section = api.load(path).sections[0]
    assert isinstance(section, Model)
    return section


@pytest.mark.parametrize("name", FALSE)
def test_false_claims_are_refuted(tmp_path: Path, name: str) -> None:
    body, solver, time, claim, ratio = FALSE[name]
    model = model_of(tmp_path, body, solver, time, claim)
    program = lower(model)
    found = refute(program, model.claims[0])
    assert found is not None
    assert found.violated(found.measured)
    assert violations(model, found.weights, found.x, [found.inputs[u.name] for u in model.inputs]) == []
    assert replay_numpy(program, found) == pytest.approx(found.measured, rel=1e-13)
    if ratio is not None:
        assert found.measured == pytest.approx(ratio, rel=0.05 if name == "lower_gradient" else 1e-6)


@pytest.mark.parametrize("name", TRUE)
def test_true_claims_are_not(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, *TRUE[name])
    assert refute(lower(model), model.claims[0], budget=Budget(effort=Effort(400, 12, 40, 8))) is None


def norm2(v: np.ndarray) -> float:
    return float(np.sqrt((v * v).sum()))


def counterexample(folder: Path, name: str) -> Counterexample:
    model = model_of(folder, *FALSE[name][:4])
    found = refute(lower(model), model.claims[0])
    assert found is not None
    return found


def test_plain_numpy_agrees_on_a_gradient_flow(tmp_path: Path) -> None:
    found = counterexample(tmp_path, "many_steps")
    W, b = found.weights["W"], found.weights["b"]
    assert W.shape == (128, 64) and np.linalg.norm(W, 2) <= 1 + 1e-15
    ends = []
    for (x,) in (found.x, found.y):
        for _ in range(32):
            x = x - 2.1 * (W.T @ np.maximum(W @ x + b, 0))
        ends.append(x)
    ratio = norm2(ends[1] - ends[0]) / norm2(found.y[0] - found.x[0])
    assert ratio > 1.0001 and ratio == pytest.approx(found.measured, rel=1e-9)


def test_plain_numpy_agrees_on_explicit_midpoint(tmp_path: Path) -> None:
    found = counterexample(tmp_path, "midpoint")
    W, b = found.weights["W"], found.weights["b"]

    def f(x: np.ndarray) -> np.ndarray:
        return -W.T @ np.maximum(W @ x + b, 0)

    ends = [x + 0.5 * f(x + 0.25 * f(x)) for (x,) in (found.x, found.y)]
    ratio = norm2(ends[1] - ends[0]) / norm2(found.y[0] - found.x[0])
    assert 1 + 1e-9 < ratio < 1.0029
    assert np.linalg.norm(W, 2) <= 1 + 1e-15


def test_plain_numpy_agrees_on_a_skew_matrix_in_the_norm_of_the_states(tmp_path: Path) -> None:
    found = counterexample(tmp_path, "skew_damped")
    S = found.weights["S"]
    assert np.array_equal(S, -S.T)
    step = np.eye(4) + 0.1 * (S - 0.01 * np.eye(4))
    e = found.y[0] - found.x[0]
    ratio = norm2(np.linalg.matrix_power(step, 50) @ e) / norm2(e)
    assert ratio > 1.1 and ratio == pytest.approx(found.measured, rel=1e-9)


def test_plain_numpy_agrees_on_a_recurrent_cell_in_the_maximum_norm(tmp_path: Path) -> None:
    found = counterexample(tmp_path, "recurrent_inf")
    W, U, u = found.weights["W"], found.weights["U"], found.inputs["u"]
    assert np.abs(W).sum(axis=1).max() <= 0.5 and u.shape == (1, 2)
    ends = [W @ np.tanh(x) + U @ u[0] for (x,) in (found.x, found.y)]
    assert np.abs(ends[1] - ends[0]).max() / np.abs(found.y[0] - found.x[0]).max() > 0.49


def test_the_sentence_shows_the_smallest_arrays(tmp_path: Path) -> None:
    found = counterexample(tmp_path, "euler_h2_1")
    assert "W = [[1]]" in found.sentence or "W = [[-1]]" in found.sentence
    assert "a distance of 1 to 1.1" in found.sentence


def test_the_outcome_is_a_function_of_the_seed(tmp_path: Path) -> None:
    model = model_of(tmp_path, *FALSE["midpoint"][:4])
    first, second = (refute(lower(model), model.claims[0], seed=3) for _ in range(2))
    assert first is not None and second is not None
    assert first.data() == second.data()


def test_easy_refutations_are_quick(tmp_path: Path) -> None:
    model = model_of(tmp_path, *FALSE["euler_h2_1"][:4])
    program = lower(model)
    refute(program, model.claims[0])
    start = process_time()
    assert refute(program, model.claims[0]) is not None
    assert process_time() - start < 0.3


def test_a_deadline_only_stops(tmp_path: Path) -> None:
    model = model_of(tmp_path, *FALSE["euler_h2_1"][:4])
    assert refute(lower(model), model.claims[0], budget=Budget(deadline=0.0)) is None


def test_violations_by_rounding_alone_do_not_count(tmp_path: Path) -> None:
    """At a scale of 1e6 float64 shows ratios above one for the identity map; they are no counterexamples."""
    body = "state x[3]\nparam b[3]\ndomain norm(x) <= 1000000\nx' = 0*x + b\n"
    model = model_of(tmp_path, body, "euler(steps = 3)", "3", "nonexpansive")
    assert refute(lower(model), model.claims[0]) is None


@pytest.mark.parametrize("claim", ["nonexpansive(metric = some)", "symplectic", "stable"])
def test_other_claims_are_left_alone(tmp_path: Path, claim: str) -> None:
    body = "state x[2], y[2]\nx' = y\ny' = -x\n"
    model = model_of(tmp_path, body, "symplectic_euler(steps = 1)", "1", claim)
    assert refute(lower(model), model.claims[0]) is None
