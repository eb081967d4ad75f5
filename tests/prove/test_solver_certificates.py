"""Claims about multistep and exponential steps: certificates, their mutations, their tests against the spec, thresholds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import islice
from math import exp, expm1
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "certificate"))
sys.path.insert(0, str(Path(__file__).parent))

from solver_specs import PLAIN, parsed
from test_audit_mutations import mutations, part_proved

from odespec.certificate.auditor import audit_text, digest
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.gram.exact import verify
from odespec.prove.gram.expand import Terms, form, inner
from odespec.prove.gram.pencil import build, layout
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation, Vector
from odespec.prove.verdict import Options, Verdict

Q = Fraction

LEAKY = "param W[d, d]\nx' = -x + W @ tanh(x)\nconstraint norm(W) <= {c}\n"
GRADIENT = "param W[m, d], b[m]\nx' = -W.T @ relu(W @ x + b)\nconstraint norm(W) <= 1\n"
SKEW = "param S[d, d] : skew\nx' = S @ x\nconstraint norm(S) <= 1\n"


def spec_text(field: str, solver: str, time: str, claim: str) -> str:
    return f"{PLAIN}{field}solver {solver}\ntime 0 .. {time}\nclaim {claim}\n"


def decided(text: str) -> Verdict:
    spec = parsed(text)
    return decide(spec, spec.sections[0], spec.sections[0].claims[0], Options())


MADE = {
    "whole": spec_text(LEAKY.format(c="0.5"), "ab2(steps = 2)", "1", "gradient in [0.1, 1]"),
    "small": spec_text("x' = -x + 0.5*tanh(x)\n", "ab2(steps = 1, start = euler)", "1/2", "gradient in [0.1, 1]"),
    "form": spec_text(SKEW, "leapfrog(steps = 100)", "50", "lipschitz <= 2"),
    "implicit": spec_text(LEAKY.format(c="0.5"), "bdf2(steps = 30)", "10", "nonexpansive"),
    "implicit start": spec_text("x' = -x\n", "ab2(steps = 30, start = backward_euler)", "1", "nonexpansive"),
    "exponential": spec_text(LEAKY.format(c="1"), "etd1(steps = 5)", "5", "nonexpansive"),
    "exponential rate": spec_text(
        SKEW.replace("S @ x", "(S - 0.5*I) @ x"), "etd1(steps = 5)", "5", "contractive(rate = 0.5)"
    ),
    "relations": spec_text("x' = -x + 0.5*tanh(x)\n", "etd1(steps = 2)", "2", "contractive(rate = 0.2)"),
}
MADE |= {
    "entries, all steps": """model M
state x[2]
const M = [[-1, 10], [0, -1]]
x' = M @ x
solver ab2(steps = 50)
time 0 .. 5
claim lipschitz <= 6
""",
    "entries, a form": """model M
state x[2]
param b[2]
const M = [[-1, 1/2], [0, -1]]
x' = M @ x + 0.1*tanh(M @ x + b)
solver bdf2(steps = 30)
time 0 .. 30
claim nonexpansive
""",
    "given initial value": """model M
dim d = 3
state x[d]
param R[d, d]
state y[d] = R @ tanh(x)
x' = -x + y
y' = -y
constraint norm(R) <= 1/2
solver ab2(steps = 10)
time 0 .. 2
claim lipschitz <= 1.5
""",
}
KINDS = {"exponential": "exponential", "exponential rate": "exponential", "relations": "gram"}


@cache
def made(name: str) -> dict[str, Any]:
    verdict = decided(MADE[name])
    assert verdict.certificate is not None, verdict.reason
    return json.loads(verdict.certificate.text())


def signed(data: Any) -> str:
    if isinstance(data, dict) and "digest" in data:
        data = {**data, "digest": digest(data)}
    return json.dumps(data)


@pytest.mark.parametrize("name", MADE)
def test_certificates_are_accepted_and_belong_to_their_spec(name: str, tmp_path: Path) -> None:
    data = made(name)
    assert data["kind"] == KINDS.get(name, "multistep")
    result = audit_text(json.dumps(data))
    assert result.ok, result.reasons
    path = tmp_path / "test.ode"
    path.write_text(MADE[name])
    assert against(json.dumps(data), path, {}) == []


# --- what is changed is rejected, or proved by other code --------------------------


def relations_of(part: Any, names: dict[str, int]) -> tuple[Relation, ...]:
    return tuple(
        Relation(
            r["rule"],
            tuple((n, tuple(vector(v, names) for v in vs)) for n, vs in r["vectors"].items()),
            tuple((n, Q(x)) for n, x in r["numbers"].items()),
            r["why"],
        )
        for r in part["relations"]
    )


def vector(pairs: Any, names: dict[str, int]) -> Vector:
    return tuple(sorted((names[n], Q(c)) for n, c in pairs))


def form_proved(part: Any, weights: Any) -> bool:
    """A part of a quadratic form as a problem of the prover's: which of V and the distance is bounded by which."""
    names = {v["name"]: k for k, v in enumerate(part["basis"])}
    values: dict[str, Terms] = {}
    for when in ("before", "after"):
        at = {n: vector(v, names) for n, v in part[when].items()}
        values[when] = {}
        for a, b, c in weights if at else ():
            inner(at[a], at[b], Q(c), values[when])
    distance: Terms = {}
    for v in part["distance"]:
        inner(vector(v, names), vector(v, names), 1, distance)
    below, above = {
        "step": (values["after"], values["before"]),
        "below": (distance, values["before"]),
        "above": (values["before"], distance),
    }[part["role"]]
    basis = tuple(BasisVector(v["name"], 0) for v in part["basis"])
    problem = GramProblem("step", basis, relations_of(part, names), form(below), form(above))
    numbers = [Q(x) for r in part["relations"] for m in r["multipliers"] for x in m]
    return layout(problem).count == len(numbers) and verify(build(problem, Q(part["tau"]), layout(problem)), numbers)


def within(c: Any, kind: str, number: str, growth: float) -> bool:
    """The claim's inequality in floating point, the claim read anew."""
    upper, slack, x = kind != "lower", float(Q(c["slack"])), Q(number)
    limit = exp(-float(x) * float(Q(c["time"]))) if kind == "contractive" else float(x)
    text = c["claim"]["resolved"].split("=")[-1].split("[")[-1]
    written = [Q(y.strip(" )]")) for y in text.split(",")] if "nonexp" not in text else [Q(1)]
    holds = growth <= limit * (1 + slack) + 1e-12 if upper else growth >= limit * (1 - slack) - 1e-12
    return holds and x in written


def proved(c: Any) -> bool:
    """Whether all that a certificate states follows from it; by other code than the auditor's."""
    return exponential_proved(c) if c["kind"] == "exponential" else multistep_proved(c)


def multistep_proved(c: Any) -> bool:
    proof = c["proof"]
    if not all(part_proved(p) for p in (*proof["whole"], *proof["solvability"].values())):
        return False
    if not all(form_proved(p, proof["form"]) for p in proof["parts"]):
        return False
    for s in proof["conclusion"]:
        if s["by"] == "nothing":
            if s["kind"] != "lower" or Q(s["number"]) > 0:
                return False
            continue
        if s["by"] == "whole":
            sense = "lower" if s["kind"] == "lower" else "upper"
            (tau,) = (float(Q(p["tau"])) for p in proof["whole"] if p["sense"] == sense)
            growth = tau**0.5
        else:
            taus = {p["role"]: float(Q(p["tau"])) for p in proof["parts"]}
            growth = (taus["above"] * taus["below"]) ** 0.5 * taus["step"] ** ((c["steps"] - proof["begin"]) / 2)
        if not within(c, s["kind"], s["number"], growth):
            return False
    return {n for n, implicit in proof["implicit"].items() if implicit} == set(proof["solvability"])


def exponential_proved(c: Any) -> bool:
    proof = c["proof"]
    if not all(part_proved(p) for p in (proof["growth"], *proof["rest"])):
        return False
    mu, gain = float(Q(proof["growth"]["tau"])), float(Q(proof["gain"]))
    if any(Q(p["tau"]) > Q(proof["gain"]) ** 2 for p in proof["rest"]) or (gain and not proof["rest"]):
        return False
    h = float(Q(c["time"])) / c["steps"]
    step = 1 + expm1(h * mu) + gain * (expm1(h * mu) / mu if mu else h)
    return within(c, proof["conclusion"]["kind"], proof["conclusion"]["number"], step ** c["steps"])


def some(data: Any, count: int) -> Iterator[tuple[str, Any]]:
    """So many mutations, spread over all leaves (the step has no factor with the number of changes of a leaf)."""
    total = sum(1 for _ in mutations(data))
    yield from islice(mutations(data), 0, None, max(1, total // count) | 1)


@pytest.mark.parametrize("name", ["small", "form", "implicit start", "exponential", "exponential rate"])
def test_with_a_fresh_digest_what_is_accepted_is_proved(name: str) -> None:
    data = made(name)
    assert proved(data)
    counts = {True: 0, False: 0}
    for what, mutant in some(data, 300):
        if mutant == data:
            continue
        result = audit_text(signed(mutant))
        counts[result.ok] += 1
        assert not result.ok or proved(mutant), what
    assert counts[False] > 8 * counts[True] > 0


# --- what is changed in the facts does not belong to the spec ------------------------


def changed(data: Any, *path: Any, to: Any) -> str:
    copy = json.loads(json.dumps(data))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return signed(copy)


def test_certificates_of_another_network_are_found_out(tmp_path: Path) -> None:
    """Each of these is accepted, or may be, as a proof of what it states; but its facts are not those of the spec."""
    path = tmp_path / "test.ode"
    path.write_text(MADE["form"])
    data = made("form")
    assert against(changed(data, "proof", "begin", to=0), path, {})
    assert against(changed(data, "steps", to=99), path, {})
    role = [p["role"] for p in data["proof"]["parts"]].index("step")
    part = data["proof"]["parts"][role]
    name = next(iter(part["after"]))
    assert against(changed(data, "proof", "parts", role, "after", name, to=part["before"][name]), path, {})
    skew = next(k for k, r in enumerate(part["relations"]) if r["rule"] == "skew")
    assert against(changed(data, "proof", "parts", role, "relations", skew, "rule", to="symmetric"), path, {})
    path.write_text(MADE["exponential"])
    data = made("exponential")
    assert against(changed(data, "proof", "rest", to=[]), path, {})
    a, b, c = data["proof"]["growth"]["numerator"][0]
    assert against(changed(data, "proof", "growth", "numerator", 0, to=[a, b, str(2 * Q(c))]), path, {})


# --- thresholds ------------------------------------------------------------------------

MIXED = "param S[d, d] : skew\n" + GRADIENT.replace("-W.T", "S @ x - W.T")
SIDES = [
    ("imex_euler, explicit gradient flow, h = 2", MIXED, "imex_euler(steps = 2)", "4", "4.04", "nonexpansive"),
    ("leapfrog in the limit of its stability, h = 1", SKEW, "leapfrog(steps = 400)", "396", "404", "lipschitz <= 20"),
    ("ab2, nearly h = 1 of a leak", "x' = -x\n", "ab2(steps = 1000)", "999", "1010", "lipschitz <= 2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "solver", "inside", "outside", "claim"), SIDES, ids=[s[0] for s in SIDES])
def test_a_step_one_per_cent_longer_moves_the_verdict(
    name: str, field: str, solver: str, inside: str, outside: str, claim: str
) -> None:
    assert decided(spec_text(field, solver, inside, claim)).verdict == "proved"
    assert decided(spec_text(field, solver, outside, claim)).verdict == "refuted"


@pytest.mark.parametrize("solver", ["etd1(steps = 3)", "imex_euler(steps = 3)", "fused_euler(steps = 3)"])
def test_a_leak_outweighs_a_gain_of_one_and_no_larger_one(solver: str) -> None:
    """At every step size, also a large one."""
    assert decided(spec_text(LEAKY.format(c="1"), solver, "30", "nonexpansive")).verdict == "proved"
    assert decided(spec_text(LEAKY.format(c="1.01"), solver, "30", "nonexpansive")).verdict == "refuted"


def test_exactly_the_decay_of_an_exponential_is_proved() -> None:
    field = SKEW.replace("S @ x", "(S - 1/3*I) @ x")
    assert decided(spec_text(field, "etd1(steps = 7)", "3", "contractive(rate = 1/3)")).verdict == "proved"
    assert decided(spec_text(field, "etd1(steps = 7)", "3", "contractive(rate = 0.3334)")).verdict == "refuted"


def test_a_given_initial_value_that_amplifies_is_seen() -> None:
    text = MADE["given initial value"].replace("1/2", "3").replace("lipschitz <= 1.5", "nonexpansive")
    assert decided(text).verdict == "refuted"


def test_the_worst_of_a_known_matrix_is_met_from_both_sides() -> None:
    """Two per cent below and above the norm of the map, which NumPy gives."""
    M, x = np.array([[-1.0, 10.0], [0.0, -1.0]]), np.eye(2)
    xs = [x, x + 0.05 * (M @ x + M @ (x + 0.1 * M @ x))]
    for _ in range(49):
        xs.append(xs[-1] + 0.1 * (1.5 * M @ xs[-1] - 0.5 * M @ xs[-2]))
    worst = Fraction(float(np.linalg.norm(xs[-1], 2))).limit_denominator(10**6)
    text = MADE["entries, all steps"]
    assert decided(text.replace("<= 6", f"<= {worst * Q(102, 100)}")).verdict == "proved"
    assert decided(text.replace("<= 6", f"<= {worst * Q(98, 100)}")).verdict == "refuted"


def test_adaptive_methods_are_referred_to_their_flow() -> None:
    verdict = decided(spec_text(GRADIENT, "dopri5(rtol = 1e-5, atol = 1e-7)", "1", "nonexpansive"))
    assert verdict.verdict == "unknown" and "of flow" in verdict.reason


def test_an_implicit_start_is_solved_for_by_the_search_too() -> None:
    """Its equations have one solution, which is checked before a counterexample counts; scalars are no arrays there."""
    field = "param g\nx' = -(1 + t)*x - g*x\nconstraint g in [-3, -2]\n"
    for solver in ("bdf2(steps = 3)", "ab2(steps = 3, start = implicit_midpoint)"):
        assert decided(spec_text(field, solver, "0.3", "nonexpansive")).verdict == "refuted"
