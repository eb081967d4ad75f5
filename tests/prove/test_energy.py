"""Claims about scalars of the states: proofs are attacked, certificates changed, thresholds moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odespec.certificate.auditor import audit_text
from odespec.certificate.auditor.core import digest
from odespec.diagnostics import Report
from odespec.ir.differentiate import gradient
from odespec.ir.expr import leaf, substitute, total
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import lower, state_leaves
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.energy import problems
from odespec.prove.energy.curvature import curvature
from odespec.prove.energy.scalar import core
from odespec.prove.gram.exact import verify
from odespec.prove.gram.expand import RULES
from odespec.prove.gram.pencil import build, layout
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation
from odespec.prove.relate.intervals import Intervals
from odespec.prove.relate.realise import defects, realise
from odespec.prove.relate.relations import NoRelation
from odespec.prove.verdict import Options, Verdict
from odespec.replay import replay
from odespec.solvers.quadratic import Quadratic
from odespec.weights.sampling import sample, sample_inputs

SKEW = "dim d = 3\nstate x[d]\nparam S[d, d] : skew\nconstraint norm(S) <= 1\n"
GRADIENT = (
    "dim d = 3, m = 4\nstate x[d]\nparam W[m, d], b[m]\nlet V = sum({0}(W @ x + b))\nx' = -grad(V, x)\n"
    "constraint norm(W) <= 1\n"
)


def loaded(folder: Path, text: str) -> Spec:
    path = folder / "m.ode"
    path.write_text(f"model M\n{text}\n", encoding="utf-8")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec


def model_of(spec: Spec) -> Model:
    (section,) = spec.sections
    assert isinstance(section, Model)
    return section


def verdict(folder: Path, text: str) -> Verdict:
    spec = loaded(folder, text)
    model = model_of(spec)
    return decide(spec, model, model.claims[0], Options())


def solved(solver: str, steps: int, end: str) -> str:
    return f"solver {solver}(steps = {steps})\ntime 0 .. {end}\n"


# --- thresholds --------------------------------------------------------------------------

THRESHOLDS = [
    (SKEW + "x' = S @ x - 0.1*x\nclaim dissipates(dot(x, x))\n", "euler", "0.198", "0.1981"),
    (GRADIENT.format("logcosh") + "claim dissipates(V)\n", "euler", "2", "2.02"),
    (GRADIENT.format("softplus") + "claim dissipates(V)\n", "euler", "8", "8.08"),
    (SKEW + "x' = S @ x\nclaim dissipates(norm(x))\n", "rk4", "2.828", "2.86"),
    (SKEW + "x' = -x + S @ tanh(x)\nclaim dissipates(0.5*norm(x)^2)\n", "euler", "1", "1.01"),
]


@pytest.mark.parametrize(("text", "solver", "within", "beyond"), THRESHOLDS)
def test_the_verdict_moves_with_the_step(tmp_path: Path, text: str, solver: str, within: str, beyond: str) -> None:
    assert verdict(tmp_path, text + solved(solver, 1, within)).verdict == "proved"
    assert verdict(tmp_path, text + solved(solver, 1, beyond)).verdict == "refuted"


@pytest.mark.parametrize(
    ("tableau", "wanted"),
    [
        ("A = [[1/2]], b = [1]", "proved"),
        ("A = [[101/200]], b = [1]", "refuted"),
        ("A = [[1/4, 1/4 - sqrt(3)/6], [1/4 + sqrt(3)/6, 1/4]], b = [1/2, 1/2]", "proved"),
        ("A = [[1/4, 1/4 - sqrt(3)/6], [1/4 + sqrt(3)/6, 101/400]], b = [1/2, 1/2]", "refuted"),
    ],
)
def test_the_verdict_moves_with_an_entry_of_the_tableau(tmp_path: Path, tableau: str, wanted: str) -> None:
    text = f"{SKEW}x' = S @ x\nsolver tableau({tableau}, steps = 2)\ntime 0 .. 1\nclaim conserves(dot(x, x))"
    assert verdict(tmp_path, text).verdict == wanted


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        ("dissipates(-dot(x, x))", "refuted"),
        ("dissipates(dot(x, x) + 3)", "proved"),
        ("conserves(3 - 2*norm(x))", "refuted"),
        ("dissipates(tanh(dot(x, x)))", "proved"),
        ("dissipates(sqrt(dot(x, x)))", "proved"),
    ],
)
def test_monotone_functions_around_the_scalar(tmp_path: Path, claim: str, wanted: str) -> None:
    text = f"{SKEW}x' = S @ x - x\n{solved('backward_euler', 2, '1')}claim {claim}"
    assert verdict(tmp_path, text).verdict == wanted


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        ("dissipates(dot(x, x) + sum(x)^2)", "proved"),
        ("dissipates(dot(x, x) - sum(x)^2)", "refuted"),
        ("dissipates(dot(x, x) - 2*sum(x)*mean(x))", "refuted"),
    ],
)
def test_the_shape_of_the_scalar_matters_where_m_is_not_zero(tmp_path: Path, claim: str, wanted: str) -> None:
    text = f"state x[3]\nx' = -x\n{solved('radau5', 2, '1')}claim {claim}"
    assert verdict(tmp_path, text).verdict == wanted


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [("conserves(mean(x))", "proved"), ("conserves(dot(x, x))", "unknown"), ("dissipates(sum(x))", "proved")],
)
def test_an_adaptive_solver_keeps_what_steps_of_every_size_keep(tmp_path: Path, claim: str, wanted: str) -> None:
    text = "state x[3]\nparam W[3, 3]\nlet g = W @ tanh(x)\nx' = g - mean(g)\n"
    text += f"solver dopri5(rtol = 1e-5, atol = 1e-5)\ntime 0 .. 1\nclaim {claim}"
    assert verdict(tmp_path, text).verdict == wanted


def test_a_scalar_with_weights_of_each_step_is_not_one_scalar(tmp_path: Path) -> None:
    text = "dim d = 2\nstate x[d]\nparam P[d, d] : psd per step\nx' = -x\n" + solved("euler", 2, "1")
    found = verdict(tmp_path, text + "claim dissipates(dot(x, P @ x))")
    assert found.verdict == "unknown" and "each step" in found.reason


# --- certificates ------------------------------------------------------------------------

CERTIFICATES = {
    "tableau": SKEW + "x' = S @ x\n" + solved("gauss2", 1, "1/2") + "claim conserves(dot(x, x))",
    "shape": SKEW + "x' = S @ x\n" + solved("radau5", 1, "1/2") + "claim dissipates(norm(x))",
    "potential": GRADIENT.format("logcosh") + solved("euler", 1, "2") + "claim dissipates(V)",
    "composed": "dim d = 2\nstate q[d], p[d]\nparam J[d, d] : skew\nq' = p\np' = -q\n"
    + solved("yoshida4", 1, "1")
    + "claim conserves(dot(q, J @ p))",
    "multistep": "dim d = 3\nstate x[d]\nparam W[d, d]\nconstraint norm(W) <= 1/4\nlet g = W @ tanh(x)\n"
    + "x' = g - mean(g)\n"
    + solved("bdf2", 4, "1")
    + "claim conserves(sum(x))",
    "flow": GRADIENT.format("softplus") + solved("rk4", 1, "1") + "claim dissipates(V) of flow",
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_belong_to_their_spec(tmp_path: Path, name: str) -> None:
    found = verdict(tmp_path, CERTIFICATES[name])
    assert found.certificate is not None
    assert against(found.certificate.text(), tmp_path / "m.ode", {}) == []


Place = tuple[Any, ...]


def leaves_of(data: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        yield path, data
        return
    for key, value in items:
        yield from leaves_of(value, (*path, key))


def others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 0]
    try:
        x = Fraction(value)
    except ValueError:
        return [value + "x", "upper", "lower", "rate", "change", "kick", "shape", "sector", "skew"]
    return [str(y) for y in (x + 1, -x, x * Fraction(101, 100), Fraction(0)) if y != x]


def changed(body: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """With another value at each leaf; parts about solvability are those of another file's tests."""
    for path, value in leaves_of({k: body[k] for k in ("claim", "proof", "assumptions", "kind", "slack")}):
        if path[:2] == ("proof", "solvability"):
            continue
        for new in others(value):
            copy = deepcopy(body)
            parent: Any = copy
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = new
            yield path, copy


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_changed_certificate_is_rejected_or_proves_what_it_states(tmp_path: Path, name: str) -> None:
    found = verdict(tmp_path, CERTIFICATES[name])
    assert found.certificate is not None and holds(found.certificate.body)
    counts = {True: 0, False: 0}
    for path, body in changed(found.certificate.body):
        accepted = audit_text(json.dumps({**body, "digest": digest(body)})).ok
        counts[accepted] += 1
        assert not accepted or holds(body), path
    assert counts[False] > counts[True]


def holds(body: dict[str, Any]) -> bool:
    """Whether what a certificate states follows, by the prover's own arithmetic instead of the auditor's."""
    proof, claim = body["proof"], body["claim"]["resolved"]
    flow, both = claim.endswith("of flow"), proof["constant"]
    if claim.startswith("conserves") and not both:
        return False
    tableau = proof["tableau"][0] if proof["tableau"] else None
    roles = ("rate",) if flow or tableau else ("drift", "kick") if proof["composed"] else ("change",)
    needed = {(r, s) for r in roles for s in (("upper", "lower") if both else ("upper",))}
    for method in proof["multistep"]:
        alpha = [Fraction(x) for x in method["alpha"]]
        needed = {("rate", s) for s in ("upper", "lower")}
        if not both or sum(alpha) != 0 or alpha[-1] == 0:
            return False
    if tableau is not None and not flow:
        exact, stable, positive = method_facts(tableau)
        if not (both or positive):
            return False
        if tableau["degree"] > 1 and not exact:
            if both or not stable:
                return False
            needed.add(("shape", "lower"))
    given = {(p["role"], p["sense"]) for p in proof["parts"]}
    return (
        needed <= given and all(map(part_holds, proof["parts"])) and all(map(part_holds, proof["solvability"].values()))
    )


def method_facts(tableau: dict[str, Any]) -> tuple[bool, bool, bool]:
    """Whether M is zero, whether it is positive semidefinite (in floats, with room), whether b is not negative."""
    A = [[number(x, tableau["root"]) for x in row] for row in tableau["A"]]
    b = [number(x, tableau["root"]) for x in tableau["b"]]
    k = range(len(b))
    M = [[b[i] * A[i][j] + b[j] * A[j][i] - b[i] * b[j] for j in k] for i in k]
    smallest = float(np.linalg.eigvalsh(np.array([[float(x) for x in row] for row in M]))[0])
    return not any(x.sign for row in M for x in row), smallest > -1e-12, all(x.sign >= 0 for x in b)


def number(pair: list[str], root: int) -> Quadratic:
    p, q = map(Fraction, pair)
    return Quadratic(p, q, root) if q else Quadratic(p)


def part_holds(part: dict[str, Any]) -> bool:
    place = {v["name"]: i for i, v in enumerate(part["basis"])}

    def vector(terms: list[list[str]]) -> tuple[tuple[int, Fraction], ...]:
        return tuple(sorted((place[n], Fraction(c)) for n, c in terms))

    def form(terms: list[list[str]]) -> Any:
        return tuple(sorted((tuple(sorted((place[a], place[b]))), Fraction(c)) for a, b, c in terms))

    relations = tuple(
        Relation(
            r["rule"],
            tuple((n, tuple(map(vector, vs))) for n, vs in r["vectors"].items()),
            tuple((n, Fraction(x)) for n, x in r["numbers"].items()),
            r["why"],
        )
        for r in part["relations"]
    )
    if any(r.rule not in RULES for r in relations):
        return False
    basis = tuple(BasisVector(v["name"], 0) for v in part["basis"])  # spaces lie in their direct sum
    below = form(part.get("denominator", []))
    problem = GramProblem(part["role"], basis, relations, form(part["numerator"]), below, part["sense"] == "lower")
    values = [Fraction(x) for r in part["relations"] for m in r["multipliers"] for x in m]
    plan = layout(problem)
    signs = all(
        c.kind == "zero" or len(c.forms) > 1 or Fraction(m[0]) >= 0
        for group, r in zip(plan.constraints, part["relations"], strict=True)
        for c, m in zip(group, r["multipliers"], strict=True)
    )
    return signs and verify(build(problem, Fraction(part.get("tau", "0")), plan), values)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("potential", ("parts", 0, "relations", 0, "numbers", "k"), "2"),
        ("tableau", ("tableau", 0, "A", 0, 0, 0), "1/3"),
        ("tableau", ("tableau", 0, "degree"), 1),
        ("shape", ("monotone",), False),
    ],
)
def test_facts_of_another_network_are_noticed(tmp_path: Path, name: str, path: Place, value: Any) -> None:
    found = verdict(tmp_path, CERTIFICATES[name])
    assert found.certificate is not None
    body = deepcopy(found.certificate.body)
    parent: Any = body["proof"]
    for key in path[:-1]:
        parent = parent[key]
    assert parent[path[-1]] != value
    parent[path[-1]] = value
    assert against(json.dumps({**body, "digest": digest(body)}), tmp_path / "m.ode", {})


def test_a_numerator_that_is_not_the_change_is_noticed(tmp_path: Path) -> None:
    found = verdict(tmp_path, CERTIFICATES["potential"])
    assert found.certificate is not None
    body = deepcopy(found.certificate.body)
    numerator = body["proof"]["parts"][0]["numerator"]
    numerator[0][2] = str(2 * Fraction(numerator[0][2]))
    assert against(json.dumps({**body, "digest": digest(body)}), tmp_path / "m.ode", {})


# --- random specs ------------------------------------------------------------------------

FIELDS = [
    "S @ x", "-x", "-W.T @ tanh(W @ x + b)", "W @ relu(x)", "-relu(x)", "S @ tanh(x)", "tanh(x) * (S @ x)", "P @ x",
    "-P @ x", "b", "sigmoid(dot(b, x)) * (S @ x)", "-x^3", "W @ x - mean(W @ x)", "u", "-0.1*layernorm(x)", "sin(t)*x",
    "softmax(x)", "-grad(V, x)", "(W - W.T) @ grad(V, x)", "x*x", "abs(x)", "-silu(x)",
]  # fmt: skip
SCALARS = [
    "dot(x, x)", "sum(x)", "norm(x)", "V", "dot(x, P @ x)", "sum(logcosh(x))", "dot(b, x)", "sum(x^4)",
    "sum(softplus(W @ x))", "mean(x*x) + sum(x)", "sum(relu(x)^2)", "dot(x, S @ x)", "sum(cos(x))", "dot(x, W @ tanh(x))",
]  # fmt: skip
SOLVERS = ["euler", "heun", "rk4", "implicit_midpoint", "map", "euler", "midpoint"]
HEAD = (
    "dim d = 2\nstate x[d]\ninput u[d]\nparam W[d, d], b[d]\nparam S[d, d] : skew\nparam P[d, d] : psd\n"
    "constraint norm(W) <= 1\nconstraint norm(S) <= 1\nconstraint norm(P) <= 1\nlet V = sum(logcosh(W @ x + b))\n"
)


def random_spec(rng: np.random.Generator) -> str:
    terms = rng.choice(FIELDS, size=rng.integers(1, 3), replace=False)
    solver, claim = rng.choice(SOLVERS), rng.choice(["conserves", "dissipates"])
    end = rng.choice(["1/10", "1", "2"])
    flow = " of flow" if rng.random() < 0.3 and solver != "map" else ""
    field = " + ".join(str(t).replace("sin(t)*", "") if solver == "map" else str(t) for t in terms)
    head = f"x+ = {field}\nsolver map(steps = 2)\n" if solver == "map" else f"x' = {field}\n{solved(solver, 2, end)}"
    return f"{HEAD}{head}claim {claim}({rng.choice(SCALARS)}){flow}"


def environment(model: Model, rng: np.random.Generator) -> Any:
    """The leaves of one step from a random state, with the step's program; None where it cannot be solved."""
    program = lower(model)
    scale = 10.0 ** rng.uniform(-2, 1)
    states = [scale * rng.standard_normal(s.shape) for s in model.states]
    try:
        env = environments(program, sample(model, rng), states, sample_inputs(model, rng))[0]
    except ConvergenceError:
        return None
    return program, env


@pytest.mark.parametrize("seed", range(30))
def test_relations_hold_and_verdicts_stand(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = random_spec(rng)
    spec = loaded(tmp_path, text)
    model = model_of(spec)
    claim = model.claims[0]
    assert claim.scalar is not None
    found = decide(spec, model, claim, Options())
    if found.counterexample is not None:
        path = tmp_path / "c.safetensors"
        path.write_bytes(found.counterexample.data())
        assert replay(path, "numpy", tmp_path).violated
    _relations_hold(model, rng)
    if found.verdict == "proved":
        assert found.certificate is not None
        assert against(found.certificate.text(), tmp_path / "m.ode", {}) == []
        for _ in range(60):
            _stands(model, rng, text)


def _relations_hold(model: Model, rng: np.random.Generator) -> None:
    claim = model.claims[0]
    assert claim.scalar is not None
    try:
        reading = (
            problems.rate(model, core(claim.scalar))
            if claim.subject == "flow"
            else problems.change(lower(model), core(claim.scalar))
        )
    except NoRelation:
        return
    for _ in range(8):
        made = environment(model, rng)
        if made is None:
            continue
        realised = realise(reading, (made[1],), (made[1],))
        for defect in defects(reading.problem, realised):
            assert defect.size < 1e-6, (defect.relation.rule, defect.relation.why)


def _stands(model: Model, rng: np.random.Generator, text: str) -> None:
    """The scalar does not change (grow) over a random step, or along the flow."""
    claim = model.claims[0]
    made = environment(model, rng)
    if made is None or claim.scalar is None:
        return
    program, env = made
    if claim.subject == "flow":
        h = 1e-6
        after = [env[s] + h * f for s, f in zip(state_leaves(model), evaluate(model.field, env), strict=True)]
        room = 1e-5 * h
    else:
        after, room = evaluate(program.update, env), 1e-9
    ends = [env, env | dict(zip(state_leaves(model), after, strict=True))]
    first, second = (float(evaluate([claim.scalar], e)[0]) for e in ends)
    change = abs(second - first) if claim.name == "conserves" else second - first
    size = sum(float(np.sum(np.square(v))) for v in after) + abs(first) + 1.0
    assert change <= room * size, text


# --- the parts -----------------------------------------------------------------------------

POTENTIALS = ["logcosh(z)", "softplus(z)", "relu(z)^2/2", "z^4", "silu(z)", "cos(z)", "exp(z)", "elu(z)", "relu(z)",
              "abs(z)", "z^4/4 - 3*z^2", "tanh(z)", "square(tanh(z))", "gelu(z)", "z*tanh(z)", "arctan(z)*z"]  # fmt: skip


@pytest.mark.parametrize("written", POTENTIALS)
def test_the_curvature_bounds_the_slopes_of_the_derivative(tmp_path: Path, written: str) -> None:
    text = f"state z[1]\nz' = -z\n{solved('euler', 1, '1')}claim conserves(sum({written}))"
    claim = model_of(loaded(tmp_path, text)).claims[0]
    assert claim.scalar is not None
    z = leaf("stage", "z", (1,))
    (template,) = substitute((claim.scalar,), {leaf("state", "z", (1,)): z})
    template = template.args[0]
    inside = curvature(template, Intervals(()).of)
    rng = np.random.default_rng(0)
    slope = gradient(total(template), z)
    for _ in range(300):
        a, b = rng.standard_normal(2) * 10.0 ** rng.uniform(-3, 0.6)
        first, second = (float(evaluate([slope], {z: np.array([x])})[0][0]) for x in (a, b))
        quotient = (first - second) / (a - b)
        room = 1e-9 * (1 + abs(quotient)) + 1e-13 * (abs(first) + abs(second)) / abs(a - b)
        assert inside.lower is None or quotient >= float(inside.lower) - room
        assert inside.upper is None or quotient <= float(inside.upper) + room


@pytest.mark.parametrize(
    "written", ["norm(x)", "-2*norm(x)^2 + 1", "sqrt(dot(x, x))", "exp(sum(x))", "dot(x, x)^3", "tanh(sum(x))/3"]
)
def test_the_core_grows_with_the_scalar(tmp_path: Path, written: str) -> None:
    claim = model_of(
        loaded(tmp_path, f"state x[3]\nx' = -x\n{solved('euler', 1, '1')}claim conserves({written})")
    ).claims[0]
    assert claim.scalar is not None
    inner, x, rng = core(claim.scalar), leaf("state", "x", (3,)), np.random.default_rng(1)
    assert inner != claim.scalar
    values = [[float(v) for v in evaluate([inner, claim.scalar], {x: rng.standard_normal(3)})] for _ in range(50)]
    order = sorted(values)
    assert [v[1] for v in order] == sorted(v[1] for v in values)
