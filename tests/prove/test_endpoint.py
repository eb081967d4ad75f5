"""Claims from an input and to the output: thresholds, attacks on what is proved, certificates, counterexamples."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from itertools import islice
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "certificate"))

from test_audit_mutations import mutations, part_proved

from odespec.certificate.auditor import audit_text, digest
from odespec.certificate.auditor import endpoint as auditor
from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.ir.model import Model, Spec
from odespec.program.interpret import output, run
from odespec.program.lower import lower
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.refute.counterexample import parse
from odespec.prove.relate.relations import NoRelation
from odespec.prove.relate.segments import Segment, read_segment
from odespec.prove.verdict import Options, Verdict
from odespec.replay import replay
from odespec.source import Source
from odespec.weights.sampling import sample, sample_inputs

Q = Fraction


def spec_of(body: str, claim: str, solver: str = "euler(steps = 4)", time: str = "0 .. 1") -> Spec:
    when = "" if solver.startswith("map") else f"time {time}\n"
    text = f"model A\ndim d = 3, k = 2\n{body}\nsolver {solver}\n{when}claim {claim}\n"
    report = Report()
    spec = load_source(Source("a.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec


def decided(*args: str) -> tuple[Verdict, Spec]:
    spec = spec_of(*args)
    section = spec.sections[0]
    return decide(spec, section, section.claims[0], Options()), spec


PUSHED = """state x[d]
input u[k]
param B[d, k], C[k, d]
x' = -x + B @ u
constraint norm(B) <= 1
constraint norm(C) <= 2
output y = C @ x"""
FLOW = """state x[d]
input u[k]
param W[d, d], b[d], C[k, d]
x' = -W.T @ tanh(W @ x + b)
constraint norm(W) <= 1
constraint norm(C) <= 1
output y = C @ x + u"""
RECURRENT = """state h[d] = 0
input u[k] per step
param W[d, d], U[d, k]
h+ = tanh(W @ h + U @ u)
constraint norm(W) <= 0.5
constraint norm(U) <= 1"""
SECOND = """state x[d]
state v[d] = 0
input f[d] per step
param W[d, d]
x' = v
v' = -W.T @ tanh(W @ x) - v + f
constraint norm(W) <= 1
output y = x"""
ENCODED = """input u[k]
param E[d, k], W[d, d], C[k, d]
state x[d] = E @ u
x' = -W.T @ relu(W @ x)
constraint norm(E) <= 1
constraint norm(W) <= 1
constraint norm(C) <= 1
output y = C @ x"""
RK4 = 1 - 0.25 + 0.25**2 / 2 - 0.25**3 / 6 + 0.25**4 / 24

FACTORS = [
    (PUSHED, "by u", "euler(steps = 4)", 1 - 0.75**4),
    (PUSHED, "by u of output", "rk4(steps = 4)", 2 * (1 - RK4**4)),
    (PUSHED, "by u", "backward_euler(steps = 4)", 1 - 0.8**4),
    (PUSHED, "of output", "heun(steps = 4)", 2 * (1 - 0.25 + 0.25**2 / 2) ** 4),
    (FLOW, "by u of output", "euler(steps = 4)", 1.0),
    (FLOW, "of output", "implicit_midpoint(steps = 4)", 1.0),
    (RECURRENT, "by u", "map(steps = 6)", sqrt(sum(0.25**j for j in range(6)))),
    (ENCODED, "by u of output", "euler(steps = 4)", 1.0),
]


def claim_of(kind: str, number: float) -> str:
    by = "(by = u)" if "by u" in kind else ""
    return f"lipschitz{by} <= {number:.6f}" + (" of output" if "output" in kind else "")


@pytest.mark.parametrize(("body", "kind", "solver", "factor"), FACTORS)
def test_the_verdict_turns_at_the_exact_factor(body: str, kind: str, solver: str, factor: float) -> None:
    for scale, wanted in ((1.01, "proved"), (0.99, "refuted")):
        verdict, _ = decided(body, claim_of(kind, factor * scale), solver)
        assert verdict.verdict == wanted, verdict.reason


def test_tight_claims_are_proved_exactly() -> None:
    integral = "state x[d]\ninput u[d] per step\nx' = u"
    assert decided(integral, "lipschitz(by = u) <= 1/2", "euler(steps = 4)")[0].verdict == "proved"
    assert decided(integral, "lipschitz(by = u) <= 0.4999", "euler(steps = 4)")[0].verdict == "refuted"
    assert decided(FLOW, "nonexpansive of output")[0].verdict == "proved"
    assert decided(ENCODED, "lipschitz(by = u) <= 1 of output")[0].verdict == "proved"


def test_a_start_that_depends_on_the_rest_counts() -> None:
    body = "state x[d]\nstate a[k] = V @ x\nparam V[k, d]\nx' = -x\na' = -a\nconstraint norm(V) <= 1"
    exact = sqrt(2) * 0.75**4
    for scale, wanted in ((1.01, "proved"), (0.99, "refuted")):
        verdict, _ = decided(body, f"lipschitz <= {exact * scale:.6f}")
        assert verdict.verdict == wanted, verdict.reason


def test_of_the_output_can_be_proved_what_is_false_of_the_states() -> None:
    """From rest, a position that is pulled back moves no farther; the velocity does."""
    assert decided(SECOND, "nonexpansive of output")[0].verdict == "proved"
    assert decided(SECOND, "nonexpansive")[0].verdict == "refuted"


# --- attacks ---------------------------------------------------------------------------

ATTACKED = [
    (PUSHED, "lipschitz(by = u) <= 0.7", "euler(steps = 4)"),
    (RECURRENT, "lipschitz(by = u) <= 1.2", "map(steps = 5)"),
    (SECOND, "lipschitz(by = f) <= 0.3 of output", "euler(steps = 4)"),
    (ENCODED, "lipschitz(by = u) <= 1 of output", "ssprk3(steps = 3)"),
    (FLOW, "nonexpansive of output", "rk4(steps = 2)"),
]


@pytest.mark.parametrize(("body", "claim", "solver"), ATTACKED)
def test_what_is_proved_withstands_random_weights(body: str, claim: str, solver: str) -> None:
    verdict, spec = decided(body, claim, solver)
    assert verdict.verdict == "proved", verdict.reason
    model = spec.sections[0]
    assert isinstance(model, Model)
    program, rng, stated = lower(model), np.random.default_rng(8), model.claims[0]
    limit = float(stated.upper) if stated.upper is not None else 1.0
    for _ in range(60):
        weights, size = sample(model, rng), 10.0 ** rng.uniform(-2, 2)
        inputs = sample_inputs(model, rng)
        states = [size * rng.standard_normal(s.shape) for s in model.free_states]
        runs = [(states, inputs), (list(states), list(inputs))]
        if stated.by is not None:
            (i,) = [i for i, u in enumerate(model.inputs) if u.name == stated.by]
            runs[1][1][i] = inputs[i] + size * rng.standard_normal(inputs[i].shape)
            before = np.linalg.norm(runs[1][1][i] - inputs[i])
        else:
            runs[1] = ([s + size * rng.standard_normal(s.shape) for s in states], inputs)
            before = np.linalg.norm(np.concatenate([(a - b).ravel() for a, b in zip(states, runs[1][0], strict=True)]))
        ends = [run(program, weights, x, u) for x, u in runs]
        if stated.subject == "output":
            ends = [output(program, weights, e, u) for e, (_, u) in zip(ends, runs, strict=True)]
        after = np.linalg.norm(np.concatenate([(a - b).ravel() for a, b in zip(*ends, strict=True)]))
        assert after <= limit * before * (1 + 1e-9) + 1e-12 * size


# --- certificates ------------------------------------------------------------------------

CERTIFIED = [
    (PUSHED, "lipschitz(by = u) <= 1.4 of output", "euler(steps = 4)"),
    (RECURRENT, "lipschitz(by = u) <= 1.2", "map(steps = 5)"),
    (FLOW, "gradient in [0, 1] of output", "implicit_midpoint(steps = 4)"),
    (SECOND, "lipschitz <= 1.3 of output", "euler(steps = 6)"),
    (FLOW, "lipschitz(by = u) <= 1 of output", "euler(steps = 4)"),
]


def signed(data: Any) -> str:
    return json.dumps({**data, "digest": digest(data)})


def within(c: Any) -> bool:
    """Whether the bounds of the parts give the claim, in floating point, by a formula written anew."""
    claim, steps = "".join(c["claim"]["resolved"].split()), c["steps"]
    parts, slack = c["proof"]["parts"], float(Q(c["slack"]))
    sides = ["lower", "upper"] if claim.startswith("gradient") else ["upper"]
    numbers = claim.split("[")[1].split("]")[0].split(",") if "[" in claim else [claim.split("<=")[-1].split("of")[0]]
    for stated, side, number in zip(c["proof"]["conclusion"], sides, numbers, strict=True):
        limit = float(Q(number)) if "<=" in claim or "[" in claim else 1.0
        uses = [(parts[u["part"]], u["times"]) for u in stated["chain"]]
        if not uses:
            assert side == "lower" and limit <= 0
            continue
        assert all(p["sense"] == side for p, _ in uses)
        root = {p["role"]: sqrt(Q(p["tau"])) for p, _ in uses}
        if "by=" in claim and "way" not in root:
            r, s, g = (root.get(k, 0.0) for k in ("step", "start", "input"))
            p, q = (root.get("output", 1.0), root.get("direct", 0.0))
            factors = [p * g * r ** (steps - 1 - k) for k in range(steps)]
            factors[0] += p * r**steps * s
            factors[-1] += q
            total = sqrt(sum(f * f for f in factors)) if c["proof"]["moved"] == "sequence" else sum(factors)
        else:
            total = float(np.prod([sqrt(Q(p["tau"])) ** n for p, n in uses]))
            counted = sum(auditor.segment(p["segment"])[1] * n for p, n in uses)
            assert counted == steps
        good = total <= limit * (1 + slack) + 1e-12 if side == "upper" else total >= limit * (1 - slack) - 1e-12
        if not good:
            return False
    return True


@pytest.mark.parametrize(("body", "claim", "solver"), CERTIFIED)
def test_a_changed_certificate_is_rejected_or_proves_what_it_states(body: str, claim: str, solver: str) -> None:
    verdict, _ = decided(body, claim, solver)
    assert verdict.certificate is not None, verdict.reason
    data = json.loads(verdict.certificate.text())
    assert data["kind"] == "endpoint" and audit_text(signed(data)).ok and within(data)
    counts = {True: 0, False: 0}
    heavy = len(json.dumps(data)) > 8000
    for name, mutant in islice(mutations(data), 0, None, 41 if heavy else 11):
        if mutant == data:
            continue
        ok = audit_text(signed(mutant)).ok
        counts[ok] += 1
        assert not ok or (all(map(part_proved, mutant["proof"]["parts"])) and within(mutant)), name
    assert counts[False] > 4 * counts[True]


@pytest.mark.parametrize(("body", "claim", "solver"), CERTIFIED)
def test_certificates_belong_to_their_spec(body: str, claim: str, solver: str, tmp_path: Path) -> None:
    verdict, spec = decided(body, claim, solver)
    path = tmp_path / "a.ode"
    path.write_text(spec.source.text)
    assert verdict.certificate is not None
    assert against(verdict.certificate.text(), path, {}) == []
    for k, part in enumerate(verdict.certificate.body["proof"]["parts"]):
        data = json.loads(verdict.certificate.text())
        data["proof"]["parts"][k]["numerator"] = [[a, b, str(Q(c) / 2)] for a, b, c in part["numerator"]]
        if part["role"] != "solvability":
            assert against(signed(data), path, {}) != [], part["role"]


def test_a_way_of_which_no_part_speaks_is_found(tmp_path: Path) -> None:
    """Without the part about the output's own input the auditor has no objection; the spec has."""
    verdict, spec = decided(FLOW, "lipschitz(by = u) <= 1 of output")
    assert verdict.certificate is not None
    data = json.loads(verdict.certificate.text())
    roles = {p["role"] for p in data["proof"]["parts"]}
    assert "direct" in roles or roles == {"way"}
    path = tmp_path / "a.ode"
    path.write_text(spec.source.text)
    data["proof"]["moved"] = "sequence"
    assert against(signed(data), path, {}) != []
    skipped, spec = decided(PUSHED + " + u", "lipschitz(by = u) <= 2.5 of output")
    assert skipped.certificate is not None, skipped.reason
    path.write_text(spec.source.text)
    data = json.loads(skipped.certificate.text())
    parts = data["proof"]["parts"]
    (direct,) = [k for k, p in enumerate(parts) if p["role"] == "direct"]
    assert direct == len(parts) - 1
    parts.pop()
    data["proof"]["conclusion"][0]["chain"].pop()
    assert audit_text(signed(data)).ok
    assert any("direct" in reason for reason in against(signed(data), path, {}))


# --- counterexamples ---------------------------------------------------------------------


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_counterexamples_are_replayed(target: str, tmp_path: Path) -> None:
    if target != "numpy":
        pytest.importorskip(target)
    cases = [
        (PUSHED, "lipschitz(by = u) <= 1.3 of output", "euler(steps = 4)"),
        (RECURRENT, "lipschitz(by = u) <= 1.1", "map(steps = 4)"),
        (FLOW, "gradient in [0.5, 1] of output", "euler(steps = 4)"),
    ]
    for body, claim, solver in cases:
        verdict, _ = decided(body, claim, solver)
        assert verdict.verdict == "refuted" and verdict.counterexample is not None, verdict.reason
        path = tmp_path / "found.counterexample"
        path.write_bytes(verdict.counterexample.data())
        assert parse(path.read_bytes()).states == (("u",) if "by" in claim else ("x",))
        shown = replay(path, target, tmp_path)
        assert shown.violated and shown.measured == pytest.approx(verdict.counterexample.measured, rel=1e-9, abs=1e-12)


def test_an_input_outside_its_domain_refutes_nothing() -> None:
    body = "state x[d] = 0\ninput u[d]\nx' = u * tanh(u)\ndomain u in [0, 1/2]"
    steep = 0.5 / np.cosh(0.5) ** 2 + np.tanh(0.5)
    assert decided(body, f"lipschitz(by = u) <= {steep * 0.99:.6f}")[0].verdict == "refuted"
    assert decided(body, f"lipschitz(by = u) <= {steep * 1.01:.6f}")[0].verdict != "refuted"


# --- segments ----------------------------------------------------------------------------


def test_what_is_not_bounded_has_no_relation() -> None:
    spec = spec_of("state x[d]\ninput u[d]\nx' = u * x", "lipschitz(by = u) <= 2")
    program = lower(spec.sections[0])  # type: ignore[arg-type]
    with pytest.raises(NoRelation, match="not bounded"):
        read_segment(program, Segment(False, 2, False, "u"))
    assert decided("state x[d]\ninput u[d]\nx' = u * x", "lipschitz(by = u) <= 2")[0].verdict == "refuted"


def test_the_roots_of_the_auditor_enclose() -> None:
    for x in (Q(2), Q(9, 4), Q(1, 3), Q(0), Q(10**30 + 1), Q(1, 10**30)):
        low, high = auditor.root(x)
        assert low * low <= x <= high * high and high - low <= (1 + x) / 2**200
    assert auditor.root(Q(9, 4)) == (Q(3, 2), Q(3, 2))
