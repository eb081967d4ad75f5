"""Counterexamples in metrics: they replay, they are not found where the claim is true, and they do not survive a change."""

from __future__ import annotations

from dataclasses import replace
from decimal import localcontext
from pathlib import Path

import numpy as np
import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.program.lower import lower
from odespec.prove.decide import decide
from odespec.prove.refute.counterexample import BadCounterexample, Counterexample, parse, replay_numpy, save
from odespec.prove.refute.distance import Budget
from odespec.prove.refute.metric import refute_metric
from odespec.prove.refute.metricflow import refute_metric_flow
from odespec.prove.refute.radius import by_traces
from odespec.prove.refute.search import Effort
from odespec.prove.verdict import Options
from odespec.replay import ReplayError, replay
from odespec.weights.arithmetic import CONTEXT, DECIMAL

NAIS = """model A
dim d = 5
state x[d]
param R[d, d], b[d]
x+ = x + {h}*tanh(-(R.T@R + 0.1*I)@x + b)
constraint norm(R) <= 0.9
solver map(steps = 3)
claim nonexpansive(metric = {metric})
"""
FLOW = """model A
dim d = 3
state x[d], v[d]
param W[d, d], b[d]
x' = v
v' = tanh(W@x + b) - v
constraint norm(W) <= 0.75
solver rk4(steps = 4)
time 0 .. 2
claim nonexpansive(metric = some) of flow
"""


LITTLE = Budget(effort=Effort(samples=200, starts=8, rounds=30))


def loaded(path: Path, text: str) -> tuple[Spec, Model]:
    path.write_text(text, encoding="utf-8")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    assert isinstance(spec.sections[0], Model)
    return spec, spec.sections[0]


def refuted(path: Path, text: str) -> Counterexample:
    spec, model = loaded(path, text)
    verdict = decide(spec, model, model.claims[0], Options())
    assert verdict.verdict == "refuted" and verdict.counterexample is not None, verdict.reason
    return verdict.counterexample


@pytest.mark.parametrize("metric", ["some", "R.T@R + 0.1*I"])
@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_they_replay_through_the_whole_map(tmp_path: Path, metric: str, target: str) -> None:
    found = refuted(tmp_path / "a.ode", NAIS.format(h="2.3", metric=metric))
    save(found, tmp_path / "found.safetensors")
    shown = replay(tmp_path / "found.safetensors", target, tmp_path)
    assert shown.violated and abs(shown.measured - found.measured) < 1e-6 * found.measured
    assert parse(found.data()).quantity == found.quantity


def test_those_of_the_flow_are_the_interpreters(tmp_path: Path) -> None:
    found = refuted(tmp_path / "a.ode", FLOW)
    save(found, tmp_path / "found.safetensors")
    assert replay(tmp_path / "found.safetensors", "numpy", tmp_path).violated
    with pytest.raises(ReplayError):
        replay(tmp_path / "found.safetensors", "torch", tmp_path)


@pytest.mark.parametrize("metric", ["some", "R.T@R + 0.1*I"])
def test_other_weights_do_not_show_it(tmp_path: Path, metric: str) -> None:
    text = NAIS.format(h="2.3", metric=metric)
    found = refuted(tmp_path / "a.ode", text)
    _, model = loaded(tmp_path / "a.ode", text)
    harmless = {n: w * 0.5 for n, w in found.weights.items()}
    assert not found.violated(replay_numpy(lower(model), replace(found, weights=harmless)))
    with pytest.raises(BadCounterexample):
        replay_numpy(lower(model), replace(found, weights={**found.weights, "R": 2 * found.weights["R"] + np.eye(5)}))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("metric", ["some", "R.T@R + 0.1*I"])
def test_true_claims_are_not_refuted(tmp_path: Path, seed: int, metric: str) -> None:
    _, model = loaded(tmp_path / "a.ode", NAIS.format(h="2.19", metric=metric).replace("tanh", "relu"))
    assert refute_metric(lower(model), model.claims[0], seed=seed, budget=LITTLE) is None


def test_a_stable_flow_is_not_refuted(tmp_path: Path) -> None:
    _, model = loaded(tmp_path / "a.ode", FLOW.replace("tanh(W@x + b) - v", "-W.T@tanh(W@x + b) - v"))
    assert refute_metric_flow(model, model.claims[0], seed=0, budget=Budget()) is None


def test_a_domain_without_an_inside_refutes_no_metric(tmp_path: Path) -> None:
    """On the line where x1 + x2 is zero the map halves distances; its derivative across it means nothing."""
    text = """model A
const M = [[1.25, 0.75], [0.75, 1.25]]
state x[2]
x+ = M@x
solver map(steps = 1)
domain sum(x) == 0
claim nonexpansive(metric = some)
"""
    spec, model = loaded(tmp_path / "a.ode", text)
    assert decide(spec, model, model.claims[0], Options()).verdict != "refuted"


def test_traces_bound_the_spectral_radius_from_below() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 5):
        for _ in range(10):
            matrix = rng.standard_normal((n, n))
            with localcontext(CONTEXT):
                bound = float(by_traces(DECIMAL.cast(matrix)))
            true = float(np.abs(np.linalg.eigvals(matrix)).max())
            assert 0.9 * true <= bound <= true * (1 + 1e-12)
