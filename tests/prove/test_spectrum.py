"""`stable` end to end: verdicts on both sides of thresholds, certificates and what changes of them do, counterexamples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odespec.certificate.auditor import audit_text, digest
from odespec.certificate.auditor.characteristic import characteristic
from odespec.certificate.auditor.core import Ledger
from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.gram.exact import verify
from odespec.prove.gram.pencil import build, layout
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation
from odespec.prove.spectrum.frozen import freeze
from odespec.prove.spectrum.refute import refute
from odespec.prove.verdict import Options, Task, Verdict
from odespec.replay import replay

Q = Fraction
GRADIENT = ("state x[d]\nparam W[m, d], b[m]", "x' = -W.T @ tanh(W @ x + b)", ["norm(W) <= 1"])
SKEW = ("state x[d]\nparam S[d, d] : skew", "x' = S @ x", ["norm(S) <= 1"])
DAMPED = ("state x[d]\nparam S[d, d] : skew\nparam b[d]", "x' = tanh((S - 1/2*I) @ x + b)", ["norm(S) <= 2"])
OSCILLATOR = ("state x[d]\nstate x'[d]\nparam K[m, d], b[m]", "x'' = -K.T @ tanh(K @ x + b)", ["norm(K) <= 1"])
FRICTION = (OSCILLATOR[0], "x'' = -K.T @ tanh(K @ x + b) - 1/2*x'", OSCILLATOR[2])
UNCERTAIN = (
    OSCILLATOR[0] + "\nparam g",
    "x'' = -K.T @ tanh(K @ x + b) - g*x'",
    ["norm(K) <= 1", "g in [1/2, 1]"],
)
PAIR = (
    "state y[d]\nstate z[d]\nparam K[d, d], b[d], c[d]",
    "y' = tanh(K.T @ z + c)\nz' = -tanh(K @ y + b)",
    ["norm(K) <= 1"],
)
RECURRENT = ("state x[d]\nparam W[d, d], b[d]", "x' = -x + tanh(W @ x + b)", ["norm(W) <= 1"])
MOMENTUM = (
    "state x[d], v[d]\nparam A[d, d] : symmetric",
    "x+ = x + 9/10*v - A @ x\nv+ = 9/10*v - A @ x",
    ["eig(A) in [0, {c}]"],
)
STOCHASTIC = ("state x[d]\nparam A[d, d] : stochastic", "x' = {c}*(A @ x - x)", [])


def spec_text(parts: tuple[str, str, list[str]], solver: str, time: str, claim: str = "stable", c: str = "1") -> str:
    declared, field, constraints = parts
    lines = [
        "model M",
        "dim d = 3, m = 4",
        declared,
        field,
        *(f"constraint {x}" for x in constraints),
        f"solver {solver}",
    ]
    lines += [f"time 0 .. {time}"] if time else []
    return "\n".join([*lines, f"claim {claim}", ""]).replace("{c}", c)


def loaded(text: str, folder: Path) -> tuple[Spec, Path]:
    path = folder / "m.ode"
    path.write_text(text, encoding="utf-8")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec, path


def decided(text: str, folder: Path) -> Verdict:
    spec, _ = loaded(text, folder)
    return decide(spec, spec.sections[0], spec.sections[0].claims[0], Options())


THRESHOLDS = [
    (GRADIENT, "euler(steps = 10)", "20"),
    (GRADIENT, "rk4(steps = 1000)", "2785.2"),
    (GRADIENT, "ab2(steps = 10)", "10"),
    (SKEW, "leapfrog(steps = 10)", "10"),
    (SKEW, "rk4(steps = 1000)", "2828.4"),
    (DAMPED, "euler(steps = 17)", "4"),
    (OSCILLATOR, "verlet(steps = 10)", "20"),
    (FRICTION, "euler(steps = 10)", "5"),
    (UNCERTAIN, "euler(steps = 10)", "5"),
    (PAIR, "symplectic_euler(steps = 10)", "20"),
    (RECURRENT, "euler(steps = 10)", "10"),
]


@pytest.mark.parametrize(("parts", "solver", "time"), THRESHOLDS, ids=lambda v: str(v)[:24])
def test_one_per_cent_decides(parts: Any, solver: str, time: str, tmp_path: Path) -> None:
    """At the largest stable time the claim is proved, one per cent beyond it is refuted."""
    inside = decided(spec_text(parts, solver, time), tmp_path)
    assert inside.verdict == "proved", inside.reason
    assert "may still" in inside.reason and "does not imply `nonexpansive`" in inside.reason
    outside = decided(spec_text(parts, solver, f"{float(time) * 1.01:.6g}"), tmp_path)
    assert outside.verdict == "refuted", outside.reason
    assert outside.counterexample is not None and outside.counterexample.measured > outside.counterexample.bound


@pytest.mark.parametrize(
    ("parts", "solver", "time", "good", "bad"),
    [(MOMENTUM, "map(steps = 5)", "", "3.8", "3.83"), (STOCHASTIC, "euler(steps = 5)", "5", "1", "1.01")],
)
def test_a_number_of_the_spec_decides(parts: Any, solver: str, time: str, good: str, bad: str, tmp_path: Path) -> None:
    assert decided(spec_text(parts, solver, time, c=good), tmp_path).verdict == "proved"
    assert decided(spec_text(parts, solver, time, c=bad), tmp_path).verdict == "refuted"


@pytest.mark.parametrize(
    ("field", "truth"),
    [
        ("x' = -W.T @ relu(W @ x + b)", True),
        ("x' = -W.T @ silu(W @ x + b)", False),
        ("x' = W.T @ relu(W @ x + b)", False),
        ("x' = -x^3 - W.T @ W @ x + 0*mean(b)", True),
    ],
)
def test_of_the_flow(field: str, truth: bool, tmp_path: Path) -> None:
    """silu has negative slopes; a positive semidefinite Jacobian grows; cubes have no bound above, and need none."""
    text = spec_text((GRADIENT[0], field, ["norm(W) <= 1"]), "euler(steps = 3)", "1", "stable of flow")
    verdict = decided(text, tmp_path)
    assert verdict.verdict == ("proved" if truth else "refuted"), verdict.reason


def test_stable_does_not_mean_nonexpansive(tmp_path: Path) -> None:
    """``D (S - g I)`` expands distances, and no frozen eigenvalue sees it."""
    text = spec_text(DAMPED, "euler(steps = 17)", "4") + "claim nonexpansive\n"
    spec, _ = loaded(text, tmp_path)
    verdicts = [decide(spec, spec.sections[0], c, Options()).verdict for c in spec.sections[0].claims]
    assert verdicts == ["proved", "refuted"]


def test_an_irrational_step_is_not_rounded(tmp_path: Path) -> None:
    assert decided(spec_text(GRADIENT, "euler(steps = 1)", "sqrt(5)"), tmp_path).verdict == "refuted"
    assert decided(spec_text(GRADIENT, "euler(steps = 1)", "sqrt(4 - 1/1000)"), tmp_path).verdict == "proved"


# --- the frozen field ----------------------------------------------------------------


def test_each_function_has_one_slope_for_all_stages(tmp_path: Path) -> None:
    """Also where it is read twice; a product of two factors has one frozen value for each."""
    text = spec_text(
        (GRADIENT[0], "x' = tanh(x) + tanh(x)*sigmoid(x) + 0*mean(b)*(W.T @ W @ x)", []), "rk4(steps = 2)", "1"
    )
    spec, _ = loaded(text, tmp_path)
    model = spec.sections[0]
    assert isinstance(model, Model)
    frozen = freeze(model)
    kinds = sorted(kind for kind, _ in frozen.values.values())
    assert kinds == ["slope", "slope", "value", "value"]


# --- certificates ------------------------------------------------------------------------

CERTIFIED = [
    spec_text(GRADIENT, "rk4(steps = 1000)", "2785"),
    spec_text(DAMPED, "euler(steps = 17)", "4"),
    spec_text(RECURRENT, "euler(steps = 10)", "10"),
    spec_text(PAIR, "verlet(steps = 10)", "20"),
    spec_text(STOCHASTIC, "euler(steps = 5)", "5"),
    spec_text(GRADIENT, "gauss2(steps = 1)", "30"),
    spec_text(RECURRENT, "etd1(steps = 2)", "30"),
    spec_text(UNCERTAIN, "symplectic_euler(steps = 10)", "10"),
]


def certificate(text: str, folder: Path) -> tuple[dict[str, Any], Path]:
    spec, path = loaded(text, folder)
    verdict = decide(spec, spec.sections[0], spec.sections[0].claims[0], Options())
    assert verdict.certificate is not None, verdict.reason
    return json.loads(verdict.certificate.text()), path


def signed(data: Any) -> str:
    return json.dumps({**data, "digest": digest(data)})


@pytest.mark.parametrize("text", CERTIFIED, ids=range(len(CERTIFIED)))
def test_certificates_belong_to_their_spec_alone(text: str, tmp_path: Path) -> None:
    data, path = certificate(text, tmp_path)
    assert against(signed(data), path, {}) == []
    for key, value in (("steps", data["steps"] + 1), ("time", str(Q(data["time"]) + 1))):
        assert against(signed({**data, key: value}), path, {}) != []
    changed = json.loads(json.dumps(data))
    changed["proof"]["components"][0]["matrix"][0][0] = ["0", "1/2"]
    assert against(signed(changed), path, {}) != []
    changed = json.loads(json.dumps(data))
    changed["proof"]["components"][0]["operator"]["shift"] = "-1/7"
    assert against(signed(changed), path, {}) != []


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def others(value: Any) -> Iterator[Any]:
    yield from (None, [], "x", "0", "1", 3)
    if isinstance(value, bool):
        yield not value
    if isinstance(value, str):
        yield from {"symmetric": ["any", "skew"], "any": ["symmetric", "skew"], "skew": ["any"]}.get(value, [])
        try:
            x = Q(value)
        except (ValueError, ZeroDivisionError):
            return
        yield from map(str, (-x, 2 * x, x / 2, x * Q(101, 100), x * Q(99, 100), x + Q(1, 10**9), x - 1))


@pytest.mark.parametrize("number", [1, 3, 4])
def test_what_is_changed_is_rejected_or_still_a_proof(number: int, tmp_path: Path) -> None:
    """With a fresh digest; judged by floating point and by the prover's own exact arithmetic."""
    data, _ = certificate(CERTIFIED[number], tmp_path)
    counts = {True: 0, False: 0}
    for place_number, (path, value) in enumerate(leaves(data)):
        if path == ("digest",):
            continue
        # Every other value for each leaf: what one leaves out the next takes.
        for new in islice(others(value), place_number % 2, None, 2):
            changed = json.loads(json.dumps(data))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = new
            if changed == data:
                continue
            result = audit_text(signed(changed))
            counts[result.ok] += 1
            assert not result.ok or judged(changed), (path, value, new)
    assert counts[False] > counts[True] > 0


def judged(c: Any) -> bool:
    """Whether what a certificate states follows from it, by other code than the auditor's."""
    proof = c["proof"]
    if not all(part_proved(json.dumps(p)) for p in proof["parts"]):
        return False
    scheme = proof["scheme"]
    if scheme["family"] != "flow" and Q(scheme["h"]) * c["steps"] != Q(c["time"]):
        return False
    return all(component_judged(scheme, x, proof["parts"]) for x in proof["components"])


def component_judged(scheme: Any, component: Any, parts: Any) -> bool:
    """No root is outside at a thousand points of the stated region."""
    family = characteristic(scheme, component, Ledger())
    numbers = [[float(a) for a in p] for p in family]
    rng = np.random.default_rng(0)
    for k in points(component["operator"], parts, rng):
        roots = np.roots([sum(a * k**i for i, a in enumerate(p)) for p in numbers][::-1])
        if max(abs(roots), default=0.0) > 1 + 1e-6:
            return False
    return True


def points(o: Any, parts: Any, rng: np.random.Generator) -> Iterator[complex]:
    """Of the region that an operator's bounds allow, extreme ones above all."""
    shift = float(Q(o["shift"]))
    if o["sums"] is not None:
        radius = sum(abs(float(Q(c))) * np.prod([float(Q(n)) for n in ns]) for c, ns in o["sums"]["words"])
        yield from (shift + radius * np.exp(1j * t) for t in np.linspace(0, 6.28, 200))
        return
    if o["disc"] is not None:
        radius = float(Q(parts[o["disc"]["part"]]["tau"])) ** 0.5
        yield from (float(Q(o["centre"])) + shift + radius * np.exp(1j * t) for t in np.linspace(0, 6.28, 200))
        return
    low = -50.0 if o["low"] is None else float(Q(parts[o["low"]["part"]]["tau"]))
    high = 50.0 if o["high"] is None else float(Q(parts[o["high"]["part"]]["tau"]))
    size = 50.0 if o["size"] is None else float(Q(parts[o["size"]["part"]]["tau"])) ** 0.5
    if o["kind"] == "symmetric":
        size = 0.0
    if o["kind"] == "skew":
        low = high = 0.0
    ends = [float(Q(x)) if x is not None else 50.0 for x in o["factor"]] or [1.0, 1.0]
    for _ in range(200):
        w = complex(rng.choice([low, high, rng.uniform(low, high)]), size * rng.choice([-1.0, 1.0, rng.uniform(-1, 1)]))
        yield shift + rng.choice([*ends, rng.uniform(*ends)]) * w


@cache
def part_proved(written: str) -> bool:
    """The identity of a part, by the prover's own arithmetic."""
    part = json.loads(written)
    names = {v["name"]: k for k, v in enumerate(part["basis"])}
    relations = [
        Relation(
            r["rule"],
            tuple(
                (n, tuple(tuple(sorted((names[x], Q(c)) for x, c in v)) for v in vs)) for n, vs in r["vectors"].items()
            ),
            tuple((n, Q(x)) for n, x in r["numbers"].items()),
            r["why"],
        )
        for r in part["relations"]
    ]
    forms = [
        tuple(sorted(((min(names[a], names[b]), max(names[a], names[b])), Q(c)) for a, b, c in part[key]))
        for key in ("numerator", "denominator")
    ]
    basis = tuple(BasisVector(v["name"], 0) for v in part["basis"])
    problem = GramProblem(part["role"], basis, tuple(relations), forms[0], forms[1], part["sense"] == "lower")
    values = [Q(x) for r in part["relations"] for m in r["multipliers"] for x in m]
    return verify(build(problem, Q(part["tau"]), layout(problem)), values)


# --- counterexamples ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "emitted"),
    [
        (spec_text(GRADIENT, "rk4(steps = 3)", "9"), True),
        (spec_text(SKEW, "leapfrog(steps = 10)", "11"), False),
        (spec_text(PAIR, "verlet(steps = 2)", "5"), True),
        (
            spec_text(RECURRENT, "euler(steps = 10)", "1", "stable of flow").replace("norm(W) <= 1", "norm(W) <= 2"),
            False,
        ),
    ],
)
def test_counterexamples_replay(text: str, emitted: bool, tmp_path: Path) -> None:
    verdict = decided(text, tmp_path)
    found = verdict.counterexample
    assert verdict.verdict == "refuted" and found is not None and "eigenvalue" in found.sentence
    assert (found.quantity == "eigenvalue of the step") == emitted
    path = tmp_path / "c.safetensors"
    path.write_bytes(found.data())
    for target in ("numpy", *(("torch",) if emitted else ())):
        folder = tmp_path / target
        folder.mkdir()
        again = replay(path, target, folder)
        assert again.violated and again.measured == pytest.approx(found.measured, rel=1e-5)


def test_a_double_eigenvalue_is_seen(tmp_path: Path) -> None:
    """A Jordan block has no well-conditioned eigenvectors, a multiple of the identity no single one."""
    jordan = ("const M = [[-1, 10], [0, -1]]\nstate x[2]", "x' = M @ x", [])
    scalar = ("state x[d]\nparam a", "x' = -a*x", ["a in [0, 2.1]"])
    assert decided(spec_text(jordan, "euler(steps = 10)", "21"), tmp_path).verdict == "refuted"
    assert decided(spec_text(jordan, "euler(steps = 10)", "20"), tmp_path).verdict == "proved"
    assert decided(spec_text(scalar, "euler(steps = 10)", "10"), tmp_path).verdict == "refuted"


@pytest.mark.parametrize("number", range(6))
def test_nothing_is_both_proved_and_refuted(number: int, tmp_path: Path) -> None:
    """At the threshold the search for counterexamples finds none, from other seeds."""
    parts, solver, time = THRESHOLDS[number]
    spec, _ = loaded(spec_text(parts, solver, time), tmp_path)
    model = spec.sections[0]
    assert isinstance(model, Model)
    assert refute(Task(spec, model, model.claims[0], Options(seed=number + 1), None)) is None
