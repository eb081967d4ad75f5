"""Tubes around exact solutions: they hold solutions known in closed form, and decide claims where slopes have no bound."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from odespec import api
from odespec.activations import ACTIVATIONS
from odespec.ir.expr import leaf
from odespec.ir.model import Model
from odespec.program.directional import directional
from odespec.prove.engines.distance import step_program
from odespec.prove.refute import enclosure, tube
from odespec.prove.refute.balls import Ball, enclose
from odespec.prove.refute.counterexample import replay_numpy
from odespec.prove.refute.distance import Budget, refute
from odespec.prove.refute.enclosure import flow, ratio_bounds
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.search import Effort
from odespec.weights.arithmetic import FLOAT
from odespec.weights.evaluate import evaluate, plan

Array = np.ndarray


def model_of(folder: Path, body: str, time: str, claim: str = "nonexpansive of flow") -> Model:
    path = folder / "m.ode"
    path.write_text(f"model M\n{body}solver rk4(steps = 20)\ntime {time}\nclaim {claim}\n")
    section = api.load(path).sections[0]
    assert isinstance(section, Model)
    return section


# --- solutions in closed form ------------------------------------------------------

VINOGRAD = """state x
state y
x' = (-1 + 1.5*cos(t)^2)*x + (1 - 1.5*sin(t)*cos(t))*y
y' = (-1 - 1.5*sin(t)*cos(t))*x + (-1 + 1.5*sin(t)^2)*y
"""


def cubic(x: Array, t: float) -> Array:
    return np.asarray(np.sign(x) / np.sqrt(1 - (1 - 1 / np.asarray(x) ** 2) * np.exp(2 * t)))


def logistic(x: Array, t: float) -> Array:
    return np.asarray(x * np.exp(t) / (1 + x * np.expm1(t)))


def vinograd(z: Array, t: float) -> Array:
    grows, falls = np.exp(t / 2), np.exp(-t)
    columns = np.array([[np.cos(t) * grows, np.sin(t) * falls], [-np.sin(t) * grows, np.cos(t) * falls]])
    return np.asarray(columns @ z)


KNOWN: dict[str, tuple[str, float, Callable[[Array, float], Array], float, float]] = {
    "cubic": ("state x[1]\nx' = -x + x^3\n", 2.0, cubic, 0.3, 1.005),
    "decay": ("state x[1]\nx' = -x * x * x\n", 1.5, lambda x, t: x / np.sqrt(1 + 2 * x * x * t), 0.1, 2.0),
    "logistic": ("state x[1]\nx' = x - square(x)\n", 2.0, logistic, 0.05, 1.8),
    "blowing_up": ("state x[1]\nx' = exp(x)\n", 0.5, lambda x, t: -np.log(np.exp(-x) - t), -2.0, 0.5),
    "quotient": ("state x[1]\nx' = 1 / x\n", 2.0, lambda x, t: np.sqrt(x * x + 2 * t), 0.5, 3.0),
    "root": ("state x[1]\nx' = -sqrt(x)\n", 1.0, lambda x, t: (np.sqrt(x) - t / 2) ** 2, 1.0, 3.0),
    "timed": ("state x[1]\nx' = -t * x + sin(t)\n", 2.0, lambda x, t: x * np.exp(-t * t / 2), -3.0, 3.0),
    "vinograd": (VINOGRAD, 8.0, vinograd, -1.0, 1.0),
    "rotation": (
        "state x\nstate y\nx' = y * norm(x*ones[1] + 2*ones[1])^0\ny' = -x * cos(0*t)\n", 3.0,
        lambda z, t: np.array([np.cos(t) * z[0] + np.sin(t) * z[1], np.cos(t) * z[1] - np.sin(t) * z[0]]), -2.0, 2.0,
    ),
}  # fmt: skip
FAR, NEAR = Decimal("1e-6"), Decimal("1e6")


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_ratio_is_enclosed(tmp_path: Path, name: str, seed: int) -> None:
    body, time, solution, low, high = KNOWN[name]
    model = model_of(tmp_path, body, f"0 .. {time}")
    n = 2 if "state y" in body else 1
    x, y = np.random.default_rng(seed).uniform(low, high, (2, n))
    exact = np.linalg.norm(solution(y, time) - solution(x, time)) / np.linalg.norm(y - x)
    tight = Goal("upper", 2, Decimal(float(exact)) * Decimal("0.99"))
    bounds = ratio_bounds(flow(model, {}, {}), tight, x, y)
    assert bounds is not None and bounds[0] <= exact * (1 + 1e-13) and exact * (1 - 1e-13) <= bounds[1]
    assert bounds[1] - bounds[0] <= 0.1 * exact


@pytest.mark.parametrize(
    ("field", "x", "time"),
    [("x' = -x + x^3", 1.01, "2"), ("x' = exp(x)", 1.0, "1"), ("x' = square(x)", 1.0, "1"), ("x' = 1/x", 0.0, "1"),
     ("x' = -sqrt(x)", 0.2, "1"), ("x' = log(x)", 0.5, "1")],
)  # fmt: skip
def test_solutions_that_end_early_are_not_enclosed(tmp_path: Path, field: str, x: float, time: str) -> None:
    model = model_of(tmp_path, f"state x[1]\n{field}\n", f"0 .. {time}")
    for goal in (Goal("upper", 2, FAR), Goal("upper", 2, NEAR)):
        assert ratio_bounds(flow(model, {}, {}), goal, np.array([x]), np.array([x - 0.1])) is None


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    field=st.sampled_from(
        ["tanh(W @ x) * x - x", "W @ (x * x) - x^3", "softmax(W @ x) - t*x", "relu(W @ x + b) / (1 + dot(x, x))"]
    ),
)
def test_random_fields_are_enclosed(tmp_path_factory: pytest.TempPathFactory, seed: int, field: str) -> None:
    body = f"state x[2]\nparam W[2, 2], b[2]\nx' = {field} + 0*b\n"
    model = model_of(tmp_path_factory.mktemp("f"), body, "0 .. 1")
    rng = np.random.default_rng(seed)
    W, b, x, y = rng.uniform(-1, 1, (2, 2)), rng.uniform(-1, 1, 2), *rng.uniform(-1, 1, (2, 2))
    made = flow(model, {"W": W, "b": b}, {})
    bounds = ratio_bounds(made, Goal("upper", 2, FAR), x, y)
    if bounds is None:
        return

    def right(t: float, z: Array) -> Array:
        leaves = {("param", "W"): W, ("param", "b"): b, ("state", "x"): z, ("time", None): np.asarray(t)}
        return evaluate(plan(model.field), FLOAT, leaves)[0]

    ends = [solve_ivp(right, (0, 1), v, rtol=1e-12, atol=1e-13, max_step=0.01).y[:, -1] for v in (x, y)]
    exact = np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(y - x)
    assert bounds[0] - 1e-8 <= exact <= bounds[1] + 1e-8


def test_the_bound_of_the_error_is_no_larger_than_the_tube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With defects said to be a little smaller than they are, the exact end would fall outside at once."""
    model = model_of(tmp_path, "state x[1]\nx' = x + square(x)\n", "0 .. 1")
    made, x = flow(model, {}, {}), np.array([[0.1]])
    what = tube.fields(made.states, model.field)
    ends, errors = enclosure._tubes(made, what, x, 20)
    with mpmath.workdps(30):
        exact = mpmath.odefun(lambda t, z: z + z * z, 0, mpmath.mpf(0.1))(1)
        error = abs(float(exact - mpmath.mpf(float(ends[0, 0]))))
    assert 0 < error <= errors[0] < 1e-2
    real = tube.defects
    monkeypatch.setattr(tube, "defects", lambda *args: 1e-6 * real(*args))
    assert enclosure._tubes(made, what, x, 20)[1][0] < error


# --- balls -------------------------------------------------------------------------

SCALARS = sorted(n for n, a in ACTIVATIONS.items() if a.nameable and n not in ("log", "sqrt"))


@pytest.mark.parametrize("name", SCALARS)
def test_activations_and_their_slopes_are_enclosed(name: str) -> None:
    from fractions import Fraction

    from odespec.ir.expr import act

    x, rng = leaf("state", "x", ()), np.random.default_rng(5)
    parameters = tuple(Fraction(1, 10) for _ in ACTIVATIONS[name].parameters)
    value = act(name, x, parameters)
    (slope,) = directional((value,), {x: leaf("direction", "x", ())})
    middle, radius = rng.normal(size=400) * 2, np.exp(rng.uniform(-12, 0.5, 400))
    middle[:50] = np.round(middle[:50])
    box = {("state", "x"): Ball(middle, radius), ("direction", "x"): Ball(np.asarray(1.0), np.asarray(0.0))}
    found, steep = enclose(plan((value, slope)), box)
    ends = middle + radius * rng.uniform(-1, 1, (2, 40, 400))
    ends[:, 0], ends[0, 1], ends[1, 2] = np.stack([middle - radius, middle + radius]), middle, middle + radius
    values = ACTIVATIONS[name].numpy(ends, parameters)
    assert (np.abs(values - found.middle) <= found.radius).all()
    gap = ends[1] - ends[0]
    apart = np.abs(gap) > 1e-7
    quotients = (values[1] - values[0])[apart] / gap[apart]
    room = 1e-8
    away = np.abs(quotients - np.broadcast_to(steep.middle, gap.shape)[apart])
    assert (away <= np.broadcast_to(steep.radius, gap.shape)[apart] + room).all()


# --- verdicts ----------------------------------------------------------------------

FALSE = {
    "cubic": ("state x[4]\nx' = -x + x^3\ndomain x in [-1.01, 1.01]\n", "0 .. 2", "nonexpansive of flow"),
    "vinograd": (VINOGRAD, "0 .. 20", "lipschitz <= 10 of flow"),
    "logistic": ("state x[2]\nx' = x - x*x\ndomain x in [0, 1]\n", "0 .. 1", "lipschitz <= 2.5 of flow"),
    "lower": ("state x[3]\nx' = -x - x^3\ndomain x in [-2, 2]\n", "0 .. 1", "gradient in [0.3, 1] of flow"),
    "gate": ("state x[2]\nparam w[2]\nx' = sigmoid(x) * x - w^2*x\n", "0 .. 1", "nonexpansive of flow"),
    "rayleigh": ("state x\nstate v\nx' = v\nv' = -x + v - v^3\n", "0 .. 3", "nonexpansive of flow"),
    "timed": ("state x[3]\nx' = (t - 1) * x\n", "0 .. 2.1", "nonexpansive of flow"),
    "late": ("state x[2]\nx' = (2 - t) * x\n", "1 .. 2", "lipschitz <= 1.64 of flow"),
}  # fmt: skip
TRUE = {
    "cubic_inside": ("state x[4]\nx' = -x + x^3\ndomain x in [-0.57, 0.57]\n", "0 .. 2", "nonexpansive of flow"),
    "logistic": ("state x[2]\nx' = x - x*x\ndomain x in [0, 1]\n", "0 .. 1", "lipschitz <= 2.7183 of flow"),
    "timed": ("state x[3]\nx' = (t - 1) * x\n", "0 .. 2", "nonexpansive of flow"),
    "late": ("state x[2]\nx' = (2 - t) * x\n", "1 .. 2", "lipschitz <= 1.65 of flow"),
    "vinograd": (VINOGRAD, "0 .. 1", "lipschitz <= 1.65 of flow"),
}  # fmt: skip
BUDGET = Budget(effort=Effort(400, 12, 40, 8))
LITTLE = Budget(effort=Effort(200, 8, 20, 8))


@pytest.mark.parametrize("name", FALSE)
def test_false_claims_are_refuted(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, *FALSE[name])
    program = step_program(model, "flow")
    found = refute(program, model.claims[0], budget=BUDGET)
    assert found is not None and found.subject == "flow" and found.violated(found.measured)
    assert replay_numpy(program, found) == found.measured


@pytest.mark.parametrize("name", TRUE)
def test_true_claims_are_not(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, *TRUE[name])
    assert refute(step_program(model, "flow"), model.claims[0], budget=LITTLE) is None


def test_the_bound_of_a_norm_is_the_number_that_is_computed(tmp_path: Path) -> None:
    model = model_of(tmp_path, "state x[2]\nparam W[2, 2]\nx' = (2/norm(W)^2)*W @ x - x^3\n", "0 .. 1")
    made, x, y = flow(model, {"W": np.diag([2.0, 1.0])}, {}), np.array([1.0, 0.5]), np.array([0.0, 0.5])
    bounds = ratio_bounds(made, Goal("upper", 2, Decimal("0.9")), x, y)
    assert bounds is not None and bounds[0] <= 1.0 <= bounds[1] <= bounds[0] * 1.1
