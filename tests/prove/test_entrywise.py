"""The entrywise engine against actual networks: no bound is beaten, every term is an actual difference."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import entrywise_models as models

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.engines.distance import step_program
from odespec.prove.entrywise.corners import Side, corners, of_rows
from odespec.prove.entrywise.parts import parts_of
from odespec.prove.entrywise.plans import plans
from odespec.prove.entrywise.realise import outside
from odespec.prove.refute.distance import Budget, refute
from odespec.prove.refute.search import Effort
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import horizon_of, targets
from odespec.prove.verdict import Options, Verdict

TINY = Budget(effort=Effort(samples=120, starts=6, rounds=10), sizes=(1, 2, 3), operations=3_000)


def spec_of(text: str, folder: Path) -> Spec:
    spec = models.loaded(text, folder)
    assert spec is not None, text
    return spec


def verdict_of(text: str, folder: Path) -> Verdict:
    spec = spec_of(text, folder)
    return decide(spec, spec.sections[0], spec.sections[0].claims[0], Options(refute=False))


@pytest.mark.parametrize("seed", range(20))
def test_no_random_bound_is_beaten(seed: int, tmp_path: Path) -> None:
    spec = spec_of(models.source(random.Random(seed + 3000)), tmp_path)
    model = spec.sections[0]
    assert isinstance(model, Model)
    claim = model.claims[0]
    program = step_program(model, claim.subject)
    horizon = horizon_of(program, claim)
    (target,) = targets(claim, horizon, Fraction(0))
    try:
        found = list(plans(parts_of(spec, program, claim), program, target, horizon))
    except NoRelation:
        return
    if found:
        best = min(plan.growth for plan in found)
        beaten = replace(claim, upper=Fraction(best) * Fraction(1_000_001, 1_000_000))
        assert refute(program, beaten, seed=seed, budget=TINY) is None, models.source(random.Random(seed + 3000))


@pytest.mark.parametrize("seed", range(10))
def test_the_terms_are_the_actual_differences(seed: int, tmp_path: Path) -> None:
    text = models.source(random.Random(seed + 100), claim="lipschitz(norm = {p}) <= 1e9")
    found = verdict_of(text, tmp_path)
    if found.certificate is not None:
        assert against(found.certificate.text(), tmp_path / "random.ode", {}) == [], text


def test_most_random_models_have_a_bound(tmp_path: Path) -> None:
    texts = [models.source(random.Random(s), claim="lipschitz(norm = {p}) <= 1e9") for s in range(100, 110)]
    assert sum(verdict_of(text, tmp_path).verdict == "proved" for text in texts) >= 7


# --- thresholds ------------------------------------------------------------------------------

DOMINANT = """model M
dim d = 4
state x[d]
param V[d, d], b[d]
x' = {act}((offdiag(V) - {c}*I) @ x + b)
constraint norm(offdiag(V), {p}) <= 1
solver {solver}(steps = {n})
time 0 .. {end}
claim {claim}
"""


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"end": "2"}, {"end": "2.02"}),
        ({}, {"c": "0.99"}),
        ({"act": "relu"}, {"act": "leaky_relu{a}"}),
        ({"solver": "heun"}, {"solver": "heun", "end": "2.02"}),
        ({"solver": "ssprk3"}, {"solver": "ssprk3", "end": "2.02"}),
        ({"solver": "implicit_midpoint", "end": "4"}, {"solver": "implicit_midpoint", "end": "4.04"}),
        ({"solver": "trapezoid", "end": "4"}, {"solver": "trapezoid", "end": "4.04"}),
        ({"solver": "sdirk2", "end": "4.82"}, {"solver": "sdirk2", "end": "4.85"}),
        ({"solver": "backward_euler", "end": "100"}, {"solver": "backward_euler", "end": "100", "c": "0.99"}),
        ({"claim": "nonexpansive(norm = inf) of flow"}, {"claim": "nonexpansive(norm = inf) of flow", "c": "0.99"}),
        ({"claim": "gradient(norm = inf) in [0, 1]"}, {"claim": "gradient(norm = inf) in [0, 0.99]"}),
        ({"c": "1.5", "end": "0.2", "claim": "gradient(norm = inf) in [0.5625, 1]"},
         {"c": "1.5", "end": "0.2", "claim": "gradient(norm = inf) in [0.5626, 1]"}),
    ],
)  # fmt: skip
def test_thresholds_are_sharp(good: dict[str, str], bad: dict[str, str], tmp_path: Path) -> None:
    """By one per cent, of the step, of a slope or of a coefficient, the verdict moves."""
    plain = {"act": "tanh", "c": "1", "p": "inf", "solver": "euler", "n": "2", "end": "2"}
    plain["claim"] = "nonexpansive(norm = inf)"
    texts = [DOMINANT.format(**{**plain, **changes}) for changes in (good, bad)]
    texts = [
        t.replace("leaky_relu{a}((offdiag(V) - 1*I) @ x + b)", "leaky_relu((offdiag(V) - 1*I) @ x + b, 1.01)")
        for t in texts
    ]
    assert [verdict_of(t, tmp_path).verdict for t in texts] == ["proved", "unknown"]


def test_a_column_bound_says_nothing_of_rows(tmp_path: Path) -> None:
    text = DOMINANT.format(act="tanh", c="1", p="1", solver="euler", n="2", end="2", claim="nonexpansive(norm = inf)")
    assert verdict_of(text, tmp_path).verdict == "unknown"


# --- what is known of rows -----------------------------------------------------------------


def test_corners_hold_all_rows_that_are_allowed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        matrix = rng.standard_normal((4, 4)) * rng.choice([0.1, 1.0], (4, 4))
        size = Fraction(float(np.abs(matrix).sum(axis=1).max()))
        diagonal = np.diag(matrix)
        side = Side(((Fraction(0), size),), low=Fraction(float(diagonal.min())), high=Fraction(float(diagonal.max())))
        assert outside(matrix, corners(side)) < 1e-12
        assert outside(matrix, of_rows([[Fraction(float(x)) for x in row] for row in matrix])) < 1e-12
        around = Side(((Fraction(1), Fraction(float(np.abs(matrix - np.eye(4)).sum(axis=1).max()))),))
        assert outside(matrix, corners(around)) < 1e-12


def test_corners_are_attained() -> None:
    """Each corner of a ball cut at its diagonal is a row that the bounds allow; (1, 0) adds nothing to (1/2, 1/2)."""
    side = Side(((Fraction(0), Fraction(1)),), others=Fraction(1, 2), low=Fraction(-1, 4), high=Fraction(2))
    assert set(corners(side).corners) == {
        (Fraction(-1, 4), Fraction(1, 2)),
        (Fraction(1, 2), Fraction(1, 2)),
    }


def test_what_a_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ode"
    path.write_text("""model A
dim d = 2
state x[d]
param W[d, d]
x' = (W @ x) * x
solver euler(steps = 1)
time 0 .. 1
claim nonexpansive(norm = inf)
""")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None
    found = decide(spec, spec.sections[0], spec.sections[0].claims[0], Options(refute=False))
    assert found.verdict == "unknown"
    assert "not bounded" in found.reason or "known" in found.reason


@pytest.mark.parametrize(("bound", "wanted"), [("9", "unknown"), ("26.6", "proved")])
def test_a_domain_bounds_the_start_and_not_the_stages(bound: str, wanted: str, tmp_path: Path) -> None:
    """The second stage leaves the box: its slope is 3 (x + x^3)^2, up to 12, and the step's 26.5 where x = 1."""
    text = f"""model A
dim d = 2
state x[d]
domain x in [-1, 1]
x' = x^3
solver heun(steps = 1)
time 0 .. 1
claim lipschitz(norm = inf) <= {bound}
"""
    assert verdict_of(text, tmp_path).verdict == wanted


def test_a_domain_that_is_left_bounds_nothing_later(tmp_path: Path) -> None:
    text = """model A
dim d = 2
state x[d]
domain x in [-1, 1]
x' = x^3
solver euler(steps = 2)
time 0 .. 1
claim lipschitz(norm = inf) <= 6.25
"""
    assert verdict_of(text, tmp_path).verdict == "unknown"
