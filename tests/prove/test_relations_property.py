"""Relations hold for actual differences of runs, and no run exceeds the bound."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import hand_models as b
import random_models as r

from odespec.ir.model import Model
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import lower
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.realise import defects, ratio, realise
from odespec.prove.relate.relations import NoRelation, read_flow, read_solvability, read_step
from odespec.weights.sampling import NoSample, sample, sample_inputs

TOLERANCE = 1e-8
LARGEST = 20
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def runs(model: Model, rng: np.random.Generator, count: int):
    """Pairs of runs of a model under the same random weights and inputs."""
    program = lower(model)
    for _ in range(count):
        try:
            weights, inputs = sample(model, rng), sample_inputs(model, rng)
            first, second = r.pair(rng, [s.shape for s in model.states])
            yield tuple(environments(program, weights, x, inputs) for x in (first, second))
        except (NoSample, ConvergenceError):
            continue


def bound(problem: GramProblem, *, below: bool = False) -> float:
    """The worst case; no bound where the problem is large (relations are still tested) or not solved."""
    found = worst_case(problem) if len(problem.basis) <= LARGEST else None
    if found is None or found.status != "solved":
        return -np.inf if below else np.inf
    return found.value


def assert_holds(reading, value: float, first, second, *, lower: bool = False) -> None:
    vectors = realise(reading, first, second)
    for defect in defects(reading.problem, vectors):
        assert defect.size <= TOLERANCE, (defect.relation.rule, defect.relation.why, defect.size)
    found = ratio(reading.problem, vectors)
    if np.isfinite(found):
        room = 1e-6 * max(1.0, abs(value))
        assert found >= value - room if lower else found <= value + room


@SETTINGS
@given(r.models(), st.integers(0, 2**32 - 1), st.booleans())
def test_step(model: Model, seed: int, below: bool) -> None:
    """A relation that fails, or a ratio beyond the worst case, would be a wrong proof."""
    program = lower(model)
    try:
        reading = read_step(program, lower=below, steps=program.steps)
    except NoRelation:
        return
    value = bound(reading.problem, below=below)
    for first, second in runs(model, np.random.default_rng(seed), 4):
        assert_holds(reading, value, first, second, lower=below)


@SETTINGS
@given(r.models(), st.integers(0, 2**32 - 1))
def test_flow(model: Model, seed: int) -> None:
    try:
        reading = read_flow(model, lower=False)
    except NoRelation:
        return
    value = bound(reading.problem)
    for first, second in runs(model, np.random.default_rng(seed), 4):
        assert_holds(reading, value, first, second)


@SETTINGS
@given(r.models(), st.integers(0, 2**32 - 1))
def test_stage_equations(model: Model, seed: int) -> None:
    """Any two sets of stage values over one state: their distance against that of their residuals."""
    program = lower(model)
    try:
        reading = read_solvability(program)
    except NoRelation:
        return
    if reading is None:
        return
    value = bound(reading.problem)
    rng = np.random.default_rng(seed)
    for first, _ in runs(model, rng, 3):
        unknowns = [u for s in program.solves for u in s.unknowns]
        one, two = ([{**env, **{u: rng.standard_normal(u.shape) for u in unknowns}} for env in first] for _ in "ab")
        assert_holds(reading, value, one, two)


def test_weights_outside_the_constraint_break_a_relation() -> None:
    """The test above can fail: with a norm of two where one is allowed, a relation does."""
    field, constraints = b.gradient_flow("identity")
    model = b.model(field, constraints=constraints)
    program = lower(model)
    reading = read_step(program, lower=False)
    rng = np.random.default_rng(0)
    W = rng.standard_normal((4, 3))
    weights = {"W": 2 * W / np.linalg.norm(W, 2), "b": np.zeros(4)}
    pair = [environments(program, weights, [rng.standard_normal(3)]) for _ in range(2)]
    assert max(d.size for d in defects(reading.problem, realise(reading, *pair))) > 1e-3


@pytest.mark.parametrize("name", r.SLOPED)
def test_every_activation(name: str) -> None:
    field, constraints = b.gradient_flow(name)
    model = b.model(field, solver="rk4", constraints=constraints)
    reading = read_step(lower(model), lower=False)
    value = worst_case(reading.problem).value
    for first, second in runs(model, np.random.default_rng(1), 10):
        assert_holds(reading, value, first, second)
