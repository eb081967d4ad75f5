"""Invariants: proofs that survive attacks, thresholds on both sides, and certificates that cannot be changed unnoticed."""

from __future__ import annotations

import copy
import json
import random
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odespec.activations import Interval
from odespec.certificate.auditor import audit_text
from odespec.certificate.build import serialise
from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.program.lower import NotLowered
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.engines.invariant import program_of
from odespec.prove.invariant.bernstein import bounds, nonnegative
from odespec.prove.invariant.polynomial import Polynomial, allow, names
from odespec.prove.invariant.refute import refute
from odespec.prove.refute.counterexample import save
from odespec.prove.verdict import Options, Task, Verdict
from odespec.replay import replay

sys.path.insert(0, str(Path(__file__).parent))

from random_invariants import random_spec

GATED = """model Gated
state x[2]
param W[2, 2], V[2, 2], b[2]
let z = sigmoid(W @ x + b)
x' = z * (tanh(V @ x) - x)
solver {solver}(steps = 1)
time 0 .. {h}
claim invariant x in [-1, 1]
"""


def decided(text: str, folder: Path) -> tuple[Spec, Model, Verdict]:
    path = folder / "spec.ode"
    path.write_text(text, encoding="utf-8")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    (model,) = spec.sections
    assert isinstance(model, Model)
    return spec, model, decide(spec, model, model.claims[0], Options())


# --- proofs and attacks ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(16))
def test_what_is_proved_survives_attacks(seed: int, tmp_path: Path) -> None:
    spec, model, verdict = decided(random_spec(seed), tmp_path)
    claim = model.claims[0]
    if verdict.verdict == "refuted":
        assert verdict.counterexample is not None
        save(verdict.counterexample, tmp_path / "found.safetensors")
        assert replay(tmp_path / "found.safetensors", "numpy", tmp_path).violated
    if verdict.verdict != "proved":
        return
    assert verdict.certificate is not None
    assert against(verdict.certificate.text(), tmp_path / "spec.ode", {}) == []
    try:
        program = program_of(Task(spec, model, claim, Options(), None))
    except NotLowered:
        return
    assert all(refute(program, claim, claim.subject == "flow", seed=s) is None for s in (11, 12))


@pytest.mark.parametrize(
    ("solver", "threshold"),
    [("euler", 1), ("heun", 1), ("ssprk3", 1), ("fused_euler", None)],
)
def test_the_step_decides(solver: str, threshold: int | None, tmp_path: Path) -> None:
    """Just below the step at which the convex combination ends it is proved, just above it is refuted."""
    if threshold is None:
        text = GATED.format(solver=solver, h=50).replace("z * (tanh(V @ x) - x)", "-z * x + z * tanh(V @ x)")
        assert decided(text, tmp_path)[2].verdict == "proved"
        return
    assert decided(GATED.format(solver=solver, h=threshold), tmp_path)[2].verdict == "proved"
    beyond = Fraction(threshold) * Fraction(101, 100)
    assert decided(GATED.format(solver=solver, h=beyond), tmp_path)[2].verdict == "refuted"


@pytest.mark.parametrize(("bound", "verdict"), [("1", "proved"), ("0.99", "refuted")])
def test_the_bound_decides(bound: str, verdict: str, tmp_path: Path) -> None:
    text = GATED.format(solver="euler", h=1).replace("[-1, 1]", f"[-{bound}, {bound}]")
    assert decided(text, tmp_path)[2].verdict == verdict


@pytest.mark.parametrize(("degree", "verdict"), [("3", "proved"), ("4", "refuted")])
def test_the_degree_of_a_graph_decides(degree: str, verdict: str, tmp_path: Path) -> None:
    text = (
        f"model G\nstate x[6]\ngraph G[6]\nconstraint degree(G) <= {degree}\nx' = -laplacian(G) @ x\n"
        "solver euler(steps = 3)\ntime 0 .. 1\nclaim invariant x in [min(x(0)), max(x(0))]\n"
    )
    found = decided(text, tmp_path)[2]
    assert found.verdict == verdict
    if found.counterexample is not None:
        save(found.counterexample, tmp_path / "found.safetensors")
        assert replay(tmp_path / "found.safetensors", "numpy", tmp_path).violated


def test_a_field_without_unique_solutions_is_not_proved(tmp_path: Path) -> None:
    """From zero the equation x' = sqrt(|x|) has a solution that grows, though the field is zero there."""
    text = "model R\nstate x\nx' = sqrt(abs(x))\nsolver rk4(steps = 5)\ntime 0 .. 1\nclaim invariant x <= 0 of flow\n"
    assert decided(text, tmp_path)[2].verdict == "unknown"


def test_a_domain_holds_at_the_start_only(tmp_path: Path) -> None:
    """The domain of y says nothing of later steps, in which it leads x out."""
    text = (
        "model D\nstate x, y\ndomain y in [0, 1]\nx' = -y * x\ny' = 9 * y\nsolver euler(steps = 4)\n"
        "time 0 .. 2\nclaim invariant x >= 0\n"
    )
    assert decided(text, tmp_path)[2].verdict == "refuted"


def test_nothing_is_proved_of_a_start_outside(tmp_path: Path) -> None:
    """The step keeps [1, 2], but the only start is zero."""
    text = "model V\nstate x = {}\nx' = 3/2 - x\nsolver euler(steps = 2)\ntime 0 .. 1\nclaim invariant x in [1, 2]\n"
    assert decided(text.format("0"), tmp_path)[2].verdict != "proved"
    assert decided(text.format("1"), tmp_path)[2].verdict == "proved"


# --- polynomials on boxes ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_bernstein_agrees_with_samples(seed: int) -> None:
    rng = random.Random(seed)
    allow(10**6)
    p: Polynomial = {}
    for _ in range(rng.randint(1, 5)):
        powers = tuple((n, rng.randint(1, 3)) for n in "xyz" if rng.random() < 0.6)
        p[powers] = Fraction(rng.randint(-4, 6), rng.randint(1, 3))
    p = {m: c for m, c in p.items() if c}
    ends = [(0, 1), (-1, 1), (-2, 0), (0, None), (None, 1), (None, None)]
    ranges = {}
    for n in "xyz":
        low, high = rng.choice(ends)
        ranges[n] = Interval(None if low is None else Fraction(low), None if high is None else Fraction(high))
    good, _ = nonnegative(p, ranges)
    inside = bounds(p, ranges)
    grid = {n: _grid(r) for n, r in ranges.items()}
    used = sorted(names(p))
    values = []
    for point in product(*(grid[n] for n in used)):
        at = dict(zip(used, point, strict=True))
        values.append(sum((c * np.prod([at[n] ** k for n, k in m], initial=1) for m, c in p.items()), Fraction(0)))
    assert not good or min(values, default=Fraction(0)) >= 0
    assert inside.lower is None or min(values, default=inside.lower) >= inside.lower
    assert inside.upper is None or max(values, default=inside.upper) <= inside.upper


def _grid(r: Interval) -> list[Fraction]:
    low = r.lower if r.lower is not None else (r.upper or Fraction(0)) - 50
    high = r.upper if r.upper is not None else (r.lower or Fraction(0)) + 50
    return [low + (high - low) * Fraction(k, 6) for k in range(7)]


# --- certificates --------------------------------------------------------------------------

SPECS = {
    "box": GATED.format(solver="heun", h=1),
    "implicit": (
        "model I\nstate x[2]\nparam A[2, 2] : stochastic\nx' = A @ x - x\nsolver backward_euler(steps = 2)\n"
        "time 0 .. 3\nclaim invariant x in [-1, 1]\n"
    ),
    "ball": (
        "model B\nstate x[2]\nparam W[2, 2], b[2]\nx' = -x + tanh(W @ x + b)\nsolver euler(steps = 2)\n"
        "time 0 .. 1\nclaim invariant norm(x) <= 2\n"
    ),
    "tube": (
        "model T\nstate x[2] = 0\nparam b[2]\nx' = tanh(x + b)\nsolver euler(steps = 2)\ntime 0 .. 1\n"
        "claim invariant x in [-1, 1]\n"
    ),
    "flow": GATED.format(solver="euler", h=1).replace("[-1, 1]", "[-1, 1] of flow"),
    "growth": (
        "model N\nstate x[2]\nparam S[2, 2] : skew\nconstraint norm(S) <= 1\ndomain norm(x) <= 1\nx' = S @ x\n"
        "solver euler(steps = 2)\ntime 0 .. 1\nclaim invariant norm(x) <= 1.5\n"
    ),
}


def leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(data, dict):
        return [p for k, v in data.items() for p in leaves(v, (*path, k))]
    if isinstance(data, list):
        return [p for k, v in enumerate(data) for p in leaves(v, (*path, k))]
    return [path]


def changed(data: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    if isinstance(old, bool):
        new: Any = not old
    elif isinstance(old, int):
        new = old + rng.choice((1, -1))
    elif old is None:
        new = "0"
    else:
        try:
            new = str(Fraction(old) + rng.choice((Fraction(1, 7), Fraction(-1, 7), 1, -1)))
        except ValueError:
            new = old + "x"
    place[path[-1]] = new
    return data


@pytest.mark.parametrize("name", SPECS)
def test_changed_certificates_are_rejected_or_belong_to_no_spec(name: str, tmp_path: Path) -> None:
    """With a fresh digest: either the auditor rejects it, or what it states now is not said of the spec."""
    _, _, verdict = decided(SPECS[name], tmp_path)
    assert verdict.verdict == "proved" and verdict.certificate is not None
    body = json.loads(verdict.certificate.text())
    assert against(serialise({k: v for k, v in body.items() if k != "digest"}), tmp_path / "spec.ode", {}) == []
    body.pop("digest")
    rng, kept = random.Random(5), []
    places = [p for p in leaves(body) if p[0] not in ("odespec", "format") and p[:2] != ("spec", "files")]
    for path in places:
        text = serialise(changed(body, path, rng))
        if audit_text(text).ok:
            kept.append((path, text))
    for path, text in rng.sample(kept, min(6, len(kept))):
        try:
            reasons = against(text, tmp_path / "spec.ode", {})
        except ValueError:
            continue
        assert reasons, path


def test_a_claim_cannot_be_borrowed(tmp_path: Path) -> None:
    """The proof of a wide box is none of a narrow one."""
    wide = GATED.format(solver="euler", h=1).replace("[-1, 1]", "[-2, 2]")
    _, _, verdict = decided(wide + "claim invariant x in [-1/2, 1/2]\n", tmp_path)
    assert verdict.certificate is not None
    body = json.loads(verdict.certificate.text())
    body.pop("digest")
    body["claim"] |= {"text": "invariant x in [-1/2, 1/2]", "resolved": "invariant x in [-1/2, 1/2]"}
    assert not audit_text(serialise(body)).ok
    body["proof"]["relations"][0]["text"] = "x in [-1/2, 1/2]"
    assert not audit_text(serialise(body)).ok
