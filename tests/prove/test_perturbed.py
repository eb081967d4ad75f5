"""One per cent of a step, a slope, a tableau entry or a norm bound: the verdict moves as the Gram bound says.

Nothing here states a verdict. Numbers of a spec are drawn near its threshold, or set one per cent to either side of it,
and the verdict must be ``proved`` where the numerical worst case is within the claim, and not where it is beyond. The
thresholds themselves are found by bisection with the worst case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from odespec.activations import ACTIVATIONS, Activation, Interval, register
from odespec.diagnostics import Report
from odespec.ir.expr import const, full
from odespec.ir.load import load_source
from odespec.ir.model import Model, Spec
from odespec.program.lower import lower
from odespec.prove.decide import decide
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.relations import flow_problem, step_problem
from odespec.prove.verdict import Options, Verdict
from odespec.source import Source

Q = Fraction
FAR = 1e-6
"""A worst case nearer to the claim than this, relatively, tells nothing in floating point."""


def spec_of(text: str) -> tuple[Spec, Model]:
    report = Report()
    spec = load_source(Source("perturbed.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    model = spec.sections[0]
    assert isinstance(model, Model)
    return spec, model


def verdict_of(text: str) -> Verdict:
    spec, model = spec_of(text)
    return decide(spec, model, model.claims[0], Options(seconds=None))


def worst(text: str) -> float:
    """The largest factor on distances over one step that the relations allow; for a flow, exp of the log norm."""
    _, model = spec_of(text)
    if model.claims[0].subject == "flow":
        return float(np.exp(worst_case(flow_problem(model, lower=False)).value))
    return sqrt(max(worst_case(step_problem(lower(model), lower=False)).value, 0.0))


def agrees(text: str, allowed: float = 1.0) -> str:
    """The verdict on a spec of one step, once it agrees with the worst case; a proof states no less than that."""
    number, found = worst(text), verdict_of(text)
    assert abs(number - allowed) > FAR or number <= allowed + 1e-9, "too near to tell"
    assert (found.verdict == "proved") == (number <= allowed + 1e-9), (text, number, found.verdict, found.reason)
    if found.counterexample is not None:
        assert found.counterexample.measured > allowed
    return found.verdict


def threshold(text_of: Callable[[Fraction], str], low: Fraction, high: Fraction) -> Fraction:
    """The number up to which the worst case stays at one, to a thousandth of the interval."""
    assert worst(text_of(low)) <= 1 + 1e-7 < worst(text_of(high))
    width = (high - low) / 1000
    while high - low > width:
        middle = (low + high) / 2
        low, high = (middle, high) if worst(text_of(middle)) <= 1 + 1e-7 else (low, middle)
    return low.limit_denominator(10**6)


def either_side(text_of: Callable[[Fraction], str], at: Fraction) -> None:
    """One per cent below and above the threshold the verdicts differ."""
    verdicts = [agrees(text_of(at * factor)) for factor in (Q(99, 100), Q(101, 100))]
    assert verdicts[0] == "proved" != verdicts[1]


GRADIENT = """model Perturbed
dim d = 2
state x[d]
param W[d, d], b[d]
x' = -W.T @ {activation}(W @ x + b{parameter})
constraint norm(W) <= {bound}
solver {solver}
time 0 .. {h}
claim nonexpansive
"""


def gradient(
    h: Fraction,
    solver: str = "euler(steps = 1)",
    bound: Fraction | int = 1,
    activation: str = "relu",
    parameter: str = "",
) -> str:
    return GRADIENT.format(h=h, solver=solver, bound=bound, activation=activation, parameter=parameter)


# --- the step ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["euler", "heun", "rk3", "rk4", "ssprk3", "ralston", "rk38", "trapezoid"])
def test_the_step(name: str) -> None:
    def at(h: Fraction) -> str:
        return gradient(h, f"{name}(steps = 1)")

    either_side(at, threshold(at, Q(1, 10), Q(5)))


def test_the_step_of_damped_skew() -> None:
    def at(h: Fraction) -> str:
        return (
            "model Perturbed\ndim d = 2\nstate x[d]\nparam S[d, d] : skew\nx' = S @ x - x/10\n"
            f"constraint norm(S) <= 1\nsolver euler(steps = 1)\ntime 0 .. {h}\nclaim nonexpansive\n"
        )

    either_side(at, threshold(at, Q(1, 100), Q(1)))


@pytest.mark.parametrize("seed", range(8))
def test_steps_drawn_near_the_threshold(seed: int) -> None:
    """Within three per cent of where it turns, on a random side, with a random bound on the weights."""
    rng = np.random.default_rng(seed)
    bound = Q(int(rng.integers(5, 20)), 10)
    name = ("euler", "heun", "rk4", "trapezoid")[seed % 4]
    turn = {"euler": 2, "heun": 2, "rk4": 2, "trapezoid": 4}[name] / bound**2
    agrees(
        gradient(turn * (1 + Q(int(rng.choice([-1, 1])) * int(rng.integers(2, 30)), 1000)), f"{name}(steps = 1)", bound)
    )


# --- slopes and bounds ---------------------------------------------------------


def test_the_bound_of_a_norm() -> None:
    def at(bound: Fraction) -> str:
        return gradient(Q(3, 2), bound=bound)

    either_side(at, threshold(at, Q(1, 2), Q(2)))


def test_the_bound_of_a_norm_of_flow() -> None:
    def at(bound: Fraction) -> str:
        return gradient(Q(1)).replace("claim nonexpansive", "claim nonexpansive of flow").replace(
            "x' = -W.T @ relu(W @ x + b)", "x' = tanh(W @ x + b) - 7/10*x"
        ).replace("norm(W) <= 1", f"norm(W) <= {bound}")  # fmt: skip

    either_side(at, threshold(at, Q(1, 10), Q(2)))


def test_the_slope_of_leaky_relu() -> None:
    """With a slope a > 1 on the left the threshold of the step is 2/a, and turns where a does."""

    def at(slope: Fraction) -> str:
        return gradient(Q(8, 5), activation="leaky_relu", parameter=f", {slope}")

    either_side(at, threshold(at, Q(1), Q(2)))


def test_a_slope_of_leaky_relu_that_decides_a_rate() -> None:
    """contractive(rate = 1/2) over one step needs the least slope to be at least (1 - exp(-1/2)) / h."""

    def at(slope: Fraction) -> str:
        return (
            gradient(Q(1), activation="leaky_relu", parameter=f", {slope}")
            .replace("param W[d, d], b[d]", "param W[d, d] : orthogonal\nparam b[d]")
            .replace("constraint norm(W) <= 1\n", "")
            .replace("claim nonexpansive", "claim contractive(rate = 1/2)")
        )

    turn, allowed = Q(1 - float(np.exp(-0.5))).limit_denominator(10**6), float(np.exp(-0.5))
    verdicts = [agrees(at(turn * f), allowed) for f in (Q(99, 100), Q(101, 100))]
    assert verdicts[1] == "proved" != verdicts[0]


@pytest.fixture
def steep() -> Iterator[Callable[[Fraction], None]]:
    """Registers ``steep``: ``s max(x, 0)``, with slopes in [0, s]."""

    def make(slope: Fraction) -> None:
        ACTIVATIONS.pop("steep", None)
        register(
            Activation(
                name="steep",
                doc="a steeper relu",
                slope=lambda parameters: Interval(Q(0), slope),
                derivative=lambda x, parameters: full(0, x.shape) if x.shape else const(0),
                numpy=lambda x, parameters: np.maximum(x, 0) * float(slope),
                torch="torch.relu({x})",
                jax="jax.nn.relu({x})",
            )
        )

    yield make
    ACTIVATIONS.pop("steep", None)


def test_the_slope_of_a_registered_activation(steep: Callable[[Fraction], None]) -> None:
    def at(slope: Fraction) -> str:
        steep(slope)
        return gradient(Q(1), "rk4(steps = 1)", activation="steep")

    either_side(at, threshold(at, Q(1), Q(3)))


# --- one entry of a tableau ----------------------------------------------------


def tableau(entry: Fraction, weight: Fraction) -> str:
    """Two stages, consistent: Heun's with entry 1 and weight 1/2."""
    return f"tableau(A = [[0, 0], [{entry}, 0]], b = [{1 - weight}, {weight}], steps = 1)"


def test_one_entry_of_a_tableau() -> None:
    def at(entry: Fraction) -> str:
        return gradient(Q(19, 10), tableau(entry, Q(1, 2)))

    either_side(at, threshold(at, Q(1), Q(3, 2)))


@pytest.mark.parametrize("seed", range(6))
def test_entries_of_a_tableau_drawn_near_heun(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    entry, weight = (1 + Q(int(rng.integers(-10, 11)), 1000) for _ in range(2))
    agrees(gradient(Q(2) + Q(int(rng.choice([-5, 5])), 100), tableau(entry, weight / 2)))


def test_one_weight_of_a_tableau() -> None:
    def at(weight: Fraction) -> str:
        return gradient(Q(3, 2), tableau(Q(1), weight))

    either_side(at, threshold(at, Q(1, 2), Q(9, 10)))
