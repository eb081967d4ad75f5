"""Claims in mean square, and claims on every path of the noise: thresholds, attacks, certificates, counterexamples."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from itertools import islice
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "certificate"))

from test_audit_mutations import edited, mutations, part_proved

from odespec.certificate.auditor import audit_text, digest
from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.ir.model import Model, Spec
from odespec.program.interpret import run
from odespec.program.lower import lower
from odespec.prove.against import against
from odespec.prove.against.expected import cubature
from odespec.prove.decide import decide
from odespec.prove.refute.confined import NotConfined, lower_bound
from odespec.prove.refute.counterexample import parse
from odespec.prove.refute.secondmoment import moments
from odespec.prove.verdict import Options, Verdict
from odespec.replay import replay
from odespec.source import Source
from odespec.weights.sampling import sample


def spec_of(field: str, claim: str, solver: str = "euler_maruyama", steps: int = 4, *, extra: str = "") -> Spec:
    text = f"model A\ndim d = 3\nstate x[d]\nnoise w[d], v\nparam W[d, d], S[d, d] : skew\nparam b[d]\n{extra}"
    text += f"x' = {field}\nconstraint norm(W) <= 1\nconstraint norm(S) <= 1\n"
    text += f"solver {solver}(steps = {steps})\ntime 0 .. 1\nclaim {claim}\n"
    text = text.replace(", S[d, d] : skew\n", "\nparam S[d, d] : skew\n")
    report = Report()
    spec = load_source(Source("a.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec


def decided(*args: Any, **kwargs: Any) -> tuple[Verdict, Spec]:
    spec = spec_of(*args, **kwargs)
    section = spec.sections[0]
    return decide(spec, section, section.claims[0], Options()), spec


# --- thresholds ------------------------------------------------------------------------

FACTORS = [
    ("-x + 0.5*x*w", "euler_maruyama", (0.75**2 + 0.25 / 4) ** 2),
    ("-x + 0.5*x*w", "milstein", (0.75**2 + 0.25 / 4 + 0.25**2 / 32) ** 2),
    ("-x + 0.3*W @ (x*w)", "euler_maruyama", (0.75**2 + 0.25 * 0.09) ** 2),
    ("-W.T @ tanh(W @ x + b) + 0.5*x*v", "euler_maruyama", (1 + 0.25 / 4) ** 2),
    ("S @ x + 0.5*x*v", "euler_maruyama", (1 + 1 / 16 + 1 / 16) ** 2),
]


@pytest.mark.parametrize(("field", "solver", "factor"), FACTORS)
def test_the_verdict_turns_at_the_exact_factor(field: str, solver: str, factor: float) -> None:
    for scale, wanted in ((1.01, "proved"), (0.99, "refuted")):
        verdict, _ = decided(field, f"lipschitz <= {factor * scale:.6f} in mean square", solver)
        assert verdict.verdict == wanted, verdict.reason


@pytest.mark.parametrize("strength", [0.99, 1.01])
def test_the_flow_turns_where_ito_says(strength: float) -> None:
    """``2 mu + s^2 = 0``."""
    verdict, _ = decided(f"-0.5*x + {strength}*x*w", "nonexpansive of flow in mean square")
    assert verdict.verdict == ("proved" if strength < 1 else "refuted"), verdict.reason


@pytest.mark.parametrize("solver", ["euler_maruyama", "milstein", "stochastic_heun"])
def test_a_rotation_by_noise_is_not_taken_for_an_isometry(solver: str) -> None:
    """In the sense of Stratonovich it is one. Ito's formula has the further term."""
    for claim in ("nonexpansive of flow", "nonexpansive of flow in mean square", "nonexpansive in mean square"):
        assert decided("(S @ x)*v", claim, solver)[0].verdict != "proved", claim
    assert decided("(S @ x)*v", "nonexpansive of flow in mean square", solver)[0].verdict == "refuted"


def test_the_rate_is_that_of_the_root() -> None:
    """0.9^2 + 0.1 = 0.91 a step: the root of the expected square falls at the rate -5 log 0.91 = 0.47."""
    for rate, wanted in ((0.47, "proved"), (0.48, "refuted")):
        verdict, _ = decided("-x + x*w", f"contractive(rate = {rate}) in mean square", steps=10)
        assert verdict.verdict == wanted, verdict.reason


@pytest.mark.parametrize(
    ("field", "solver"),
    [("-W.T @ softplus(W @ x + b) + W @ w", "euler_maruyama"), ("tanh(-x + b) + b*v", "stochastic_heun")],
)
def test_additive_noise_changes_nothing(field: str, solver: str) -> None:
    for claim in ("nonexpansive", "nonexpansive in mean square", "nonexpansive of flow"):
        assert decided(field, claim, solver)[0].verdict == "proved", claim
    assert decided(field, "lipschitz <= 0.2", solver)[0].verdict == "refuted"


def test_no_bound_holds_on_every_path_of_multiplicative_noise() -> None:
    for solver in ("euler_maruyama", "milstein", "stochastic_heun"):
        verdict, _ = decided("-x + 0.1*x*w", "lipschitz <= 100", solver)
        assert verdict.verdict == "refuted", verdict.reason
        assert verdict.counterexample is not None and verdict.counterexample.inputs["w"].shape == (4, 3)
    assert decided("-x + 0.1*x*w", "lipschitz <= 100 of flow")[0].verdict == "unknown"


# --- attacks ---------------------------------------------------------------------------

ATTACKED = [
    ("-x - W.T @ tanh(W @ x + b) + 0.4*sin(x)*w", "milstein", 1.2),
    ("-2*x + S @ x + tanh(W @ x)*v", "euler_maruyama", 1.1),
    ("-x + 0.5*W @ (tanh(x)*w) + 0.1*x*v", "euler_maruyama", 1.0),
    ("-x + S @ x*v", "stochastic_heun", 1.0),
]


@pytest.mark.parametrize(("field", "solver", "bound"), ATTACKED)
def test_what_is_proved_of_a_step_withstands_random_weights(field: str, solver: str, bound: float) -> None:
    verdict, spec = decided(field, f"lipschitz <= {bound} in mean square", solver)
    assert verdict.verdict == "proved", verdict.reason
    assert verdict.certificate is not None
    step_bound = max(float(eval_fraction(p["tau"])) for p in verdict.certificate.body["proof"]["parts"])
    model = spec.sections[0]
    assert isinstance(model, Model)
    program, rng = lower(model, noise=True), np.random.default_rng(3)
    points = list(cubature(4))
    noise = {"w": np.stack([p[:3] for _, p in points])[:, None], "v": np.stack([p[3] for _, p in points])[:, None]}
    noise = {
        n: np.concatenate([v / 2, np.zeros_like(v), np.zeros_like(v), np.zeros_like(v)], 1) for n, v in noise.items()
    }
    single = lower(spec_of(field, "nonexpansive", solver, 4).sections[0], noise=True)  # type: ignore[arg-type]
    del program
    for _ in range(40):
        weights = sample(single.model, rng)
        size = 10.0 ** rng.uniform(-3, 2)
        x, y = size * rng.standard_normal(3), size * rng.standard_normal(3)
        first, second = (run(single, weights, [v], noise=noise, trajectory=True)[0][:, 1] for v in (x, y))
        expected = sum(p * np.sum((a - b) ** 2) for (p, _), a, b in zip(points, first, second, strict=True))
        assert expected <= step_bound * np.sum((x - y) ** 2) * (1 + 1e-9)


def eval_fraction(text: str) -> float:
    top, _, bottom = text.partition("/")
    return int(top) / int(bottom or 1)


# --- certificates ------------------------------------------------------------------------

CERTIFIED = [
    ("-x + 0.5*x*w", "contractive(rate = 0.8) in mean square", "milstein"),
    ("-W.T @ tanh(W @ x + b) - x + 0.5*x*v", "nonexpansive of flow in mean square", "euler_maruyama"),
    ("tanh(-x) + b*v", "nonexpansive in mean square", "stochastic_heun"),
]


def signed(data: Any) -> str:
    return json.dumps({**data, "digest": digest(data)})


def within(c: Any) -> bool:
    """Whether the bounds of the parts give the claim, in floating point, the claim read anew."""
    claim = c["claim"]["resolved"].strip()
    if not claim.endswith(" in mean square"):
        return False
    claim = claim.removesuffix(" in mean square")
    flow = claim.endswith(" of flow")
    (stated,) = c["proof"]["conclusion"]
    growth = 1.0
    for use in stated["parts"]:
        part = c["proof"]["parts"][use["part"]]
        tau = eval_fraction(part["tau"])
        assert part["sense"] == "upper" and part["role"].removeprefix("square-") == ("flow" if flow else "step")
        growth *= exp(tau * eval_fraction(c["time"])) if flow else sqrt(tau) ** use["steps"]
    number = claim.split("=")[-1].split(")")[0].split(" of ")[0].strip() if "=" in claim else "1"
    limit = exp(-eval_fraction(number) * eval_fraction(c["time"])) if "rate" in claim else eval_fraction(number)
    return growth <= limit * (1 + eval_fraction(c["slack"])) + 1e-12


@pytest.mark.parametrize(("field", "claim", "solver"), CERTIFIED)
def test_a_changed_certificate_is_rejected_or_proves_what_it_states(field: str, claim: str, solver: str) -> None:
    verdict, _ = decided(field, claim, solver)
    assert verdict.certificate is not None, verdict.reason
    data = json.loads(verdict.certificate.text())
    assert audit_text(signed(data)).ok and within(data)
    counts = {True: 0, False: 0}
    for name, mutant in islice(mutations(data), 0, None, 7):
        if mutant == data:
            continue
        ok = audit_text(signed(mutant)).ok
        counts[ok] += 1
        assert not ok or (all(map(part_proved, mutant["proof"]["parts"])) and within(mutant)), name
    assert counts[False] > 4 * counts[True]


def test_a_certificate_of_distances_is_none_of_squares() -> None:
    """The same bound, stated for the other claim: the text of the claim, and the role of the part, tell them apart."""
    verdict, _ = decided("-x + 0.5*x*w", "contractive(rate = 0.8) in mean square", "milstein")
    assert verdict.certificate is not None
    data = json.loads(verdict.certificate.text())
    plain = edited(data, ("claim", "resolved"), lambda p, k: p.__setitem__(k, p[k].removesuffix(" in mean square")))
    assert not audit_text(signed(plain)).ok
    text = data["spec"]["files"][0]["text"]
    assert "in mean square" in text and not audit_text(signed({**plain, "assumptions": plain["assumptions"][:3]})).ok


@pytest.mark.parametrize(("field", "claim", "solver"), CERTIFIED)
def test_certificates_belong_to_their_spec(field: str, claim: str, solver: str, tmp_path: Path) -> None:
    verdict, spec = decided(field, claim, solver)
    path = tmp_path / "a.ode"
    path.write_text(spec.source.text)
    assert verdict.certificate is not None
    assert against(verdict.certificate.text(), path, {}) == []
    data = json.loads(verdict.certificate.text())
    part = data["proof"]["parts"][0]
    part["numerator"] = [[a, b, str(2 * Fraction(c))] for a, b, c in part["numerator"]]
    assert against(signed(data), path, {}) != []


# --- counterexamples ---------------------------------------------------------------------

BROKEN = [
    ("-W.T @ tanh(W @ x + b) + 0.5*x*w", "nonexpansive in mean square", "milstein", 4),
    ("-W.T @ tanh(W @ x + b) + 0.5*x*w", "nonexpansive of flow in mean square", "milstein", 4),
    ("-x + 2*tanh(W @ x)*w", "lipschitz <= 1.9 in mean square", "euler_maruyama", 1),
    ("-x + 3*W @ (x*w)", "nonexpansive in mean square", "euler_maruyama", 4),
]


@pytest.mark.parametrize(("field", "claim", "solver", "steps"), BROKEN)
def test_counterexamples_are_replayed(field: str, claim: str, solver: str, steps: int, tmp_path: Path) -> None:
    verdict, _ = decided(field, claim, solver, steps)
    assert verdict.verdict == "refuted" and verdict.counterexample is not None, verdict.reason
    path = tmp_path / "found.counterexample"
    path.write_bytes(verdict.counterexample.data())
    assert parse(path.read_bytes()).quantity == "root of the expected square"
    shown = replay(path, "numpy", tmp_path)
    assert shown.violated and shown.measured == pytest.approx(verdict.counterexample.measured, rel=1e-12)


def test_a_path_is_replayed_through_emitted_code(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    verdict, _ = decided("-x + 0.5*x*w", "nonexpansive", "milstein")
    assert verdict.counterexample is not None
    path = tmp_path / "found.counterexample"
    path.write_bytes(verdict.counterexample.data())
    for target in ("numpy", "torch"):
        shown = replay(path, target, tmp_path)
        assert shown.violated and shown.measured == pytest.approx(verdict.counterexample.measured, rel=1e-9)


def test_the_expected_square_of_a_counterexample_is_that_of_many_paths() -> None:
    """By simulation of the emitted steps, within what four standard errors leave."""
    verdict, spec = decided("-W.T @ tanh(W @ x + b) + 0.5*x*w", "nonexpansive in mean square", "milstein")
    found, model = verdict.counterexample, spec.sections[0]
    assert found is not None and isinstance(model, Model)
    program, rng = lower(model, noise=True), np.random.default_rng(0)
    noise = {"w": rng.standard_normal((20_000, 4, 3)) / 2, "v": np.zeros((20_000, 4))}
    first, second = (run(program, found.weights, list(v), noise=noise)[0] for v in (found.x, found.y))
    squares = np.sum((first - second) ** 2, axis=-1) / np.sum((found.x[0] - found.y[0]) ** 2)
    assert abs(squares.mean() - found.measured**2) < 4 * squares.std() / sqrt(len(squares))


# --- what is not linear --------------------------------------------------------------------

CONFINED = [
    ("-x + 1.5*tanh(x)*w", "euler_maruyama", {}, 0.0, 1e-9),
    ("-x + 2*tanh(W @ x + b) + 0.1*w", "euler_maruyama", {"W": np.diag([1.0, 0, 0])}, 0.0, 0.01),
    ("-0.5*W.T @ tanh(W @ x + b) + 0.5*sin(x)*w", "milstein", {"W": np.diag([-1.0, 0, 0])}, 0.3, 1e-3),
]


@pytest.mark.parametrize(("field", "solver", "own", "state", "gap"), CONFINED)
def test_bounds_from_below_are_below_what_many_paths_show(
    field: str, solver: str, own: dict[str, np.ndarray], state: float, gap: float
) -> None:
    model = spec_of(field, "nonexpansive", solver).sections[0]
    assert isinstance(model, Model)
    program, rng = lower(model, noise=True), np.random.default_rng(1)
    weights = {"W": np.zeros((3, 3)), "S": np.zeros((3, 3)), "b": np.zeros(3)} | own
    bound = lower_bound(moments(program, False), weights, {}, state, state + gap)
    noise = {"w": rng.standard_normal((40_000, 4, 3)) / 2, "v": np.zeros((40_000, 4))}
    ends = [run(program, weights, [np.array([s, 0, 0])], noise=noise)[0] for s in (state, state + gap)]
    squares = np.sum((ends[1] - ends[0]) ** 2, axis=-1) / gap**2
    error = 4 * squares.std() / sqrt(len(squares))
    assert 0.25 * squares.mean() < bound**2 <= squares.mean() + error


def test_a_bound_from_below_needs_an_entry_that_reads_no_other() -> None:
    model = spec_of("-x + sum(x)*tanh(x)*v", "nonexpansive").sections[0]
    assert isinstance(model, Model)
    weights = {"W": np.zeros((3, 3)), "S": np.zeros((3, 3)), "b": np.zeros(3)}
    with pytest.raises(NotConfined, match="sum"):
        lower_bound(moments(lower(model, noise=True), False), weights, {}, 0.0, 1.0)
    model = spec_of("-x + W @ tanh(x) + x*w", "nonexpansive").sections[0]
    assert isinstance(model, Model)
    with pytest.raises(NotConfined, match="mixes"):
        lower_bound(moments(lower(model, noise=True), False), weights | {"W": np.ones((3, 3))}, {}, 0.0, 1.0)


def test_nonlinear_steps_are_refuted_by_bounds_from_below(tmp_path: Path) -> None:
    verdict, _ = decided("-x + 1.5*tanh(x)*w", "nonexpansive in mean square", steps=10)
    assert verdict.verdict == "refuted" and verdict.counterexample is not None
    assert "at least" in verdict.reason
    path = tmp_path / "found.counterexample"
    path.write_bytes(verdict.counterexample.data())
    assert replay(path, "numpy", tmp_path).measured == pytest.approx(verdict.counterexample.measured, rel=1e-12)
    assert decided("-x + 1.5*tanh(x)*w", "lipschitz <= 1.19 in mean square", steps=10)[0].verdict == "proved"
