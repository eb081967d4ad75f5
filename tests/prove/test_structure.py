"""``symplectic``, ``reversible``, ``invertible``: words, moves, counterexamples, and certificates that are changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from structure_specs import leaves, model_of, others, replaced, resealed, verdict, verdicts

from odespec.certificate.auditor import audit_text
from odespec.ir.expr import TIME, Expr, leaf
from odespec.ir.model import Model
from odespec.program.interpret import jacobian
from odespec.program.lower import lower
from odespec.program.tangents import differentiate
from odespec.prove.against import against
from odespec.prove.refute.counterexample import parse, replay_numpy
from odespec.prove.refute.onestep import at_step, one_step
from odespec.prove.structure.hamiltonian import blocks, is_hamiltonian, pairs
from odespec.prove.structure.realise import words_as_matrix
from odespec.prove.structure.twoform import canonical_form, defect
from odespec.weights.sampling import sample

PAIR = """model M
dim d = 3, m = 2
state q[d], p[d]
param K[m, d], L[m, d], b[m], c[d], g
param S[d, d] : symmetric
param A[d, d] : skew
constraint norm(K) <= 1
constraint norm(L) <= 1
constraint g in [0, 1]
{equations}
solver {solver}
time 0 .. 1
claim {claim}
"""
HAMILTONIANS = (
    "sum(logcosh(K @ q + b)) + dot(p, p)/2",
    "sum(logcosh(K @ q + L @ p + b))",
    "dot(q, S @ q)/2 + dot(p, A @ q) + sum(cos(p))",
    "sum(q^2*p^2) + g*t*sum(softplus(q))",
    "exp(-dot(q, q))*dot(c, p)",
    "norm(q)^2*sum(cos(p)) + sum(tanh(K @ q)*(L @ p))",
)
BROKEN = ("- p/2", "+ A @ q", "- g*p", "+ tanh(S @ q)", "+ sum(p)*c")


def equations(H: str, extra: str = "") -> str:
    return f"let H = {H}\nq' = grad(H, p)\np' = -grad(H, q) {extra}"


def pair(H: str, solver: str, claim: str, extra: str = "") -> str:
    return PAIR.format(equations=equations(H, extra), solver=solver, claim=claim)


def leaf_values(model: Model, rng: np.random.Generator) -> dict[Expr, Any]:
    weights = sample(model, rng)
    env: dict[Expr, Any] = {TIME: np.asarray(rng.uniform(0, 1))}
    env |= {leaf("param", p.name, p.shape): np.asarray(weights[p.name]) for p in model.params}
    env |= {leaf("state", s.name, s.shape): rng.standard_normal(s.shape) for s in model.states}
    return env


# --- words -----------------------------------------------------------------------


@pytest.mark.parametrize("H", HAMILTONIANS)
def test_words_are_the_derivative(H: str) -> None:
    model = model_of(pair(H, "rk4(steps = 1)", "symplectic of flow"))
    found = blocks({s.name: f for s, f in zip(model.states, model.field, strict=True)}, model)
    rng = np.random.default_rng(1)
    for _ in range(5):
        env = leaf_values(model, rng)
        for by in model.states:
            at = leaf("state", by.name, by.shape)
            moves = differentiate(model.field, env, {at: np.eye(3)})[1]
            for s, move in zip(model.states, moves, strict=True):
                own = words_as_matrix(found.get((s.name, by.name), {}), s.shape, by.shape, env)
                wanted = np.zeros((3, 3)) if move is None else np.broadcast_to(move, (3, 3)).T
                assert np.abs(own - wanted).max() <= 1e-9 * (1 + np.abs(wanted).max())


@pytest.mark.parametrize("H", HAMILTONIANS)
def test_a_hamiltonian_field_is_seen_and_its_flow_keeps_the_two_form(H: str) -> None:
    assert verdict(pair(H, "rk4(steps = 1)", "symplectic of flow")).verdict == "proved"


@pytest.mark.parametrize("extra", BROKEN)
@pytest.mark.parametrize("H", HAMILTONIANS[:2])
def test_what_is_added_to_a_hamiltonian_field_breaks_it(H: str, extra: str) -> None:
    text = pair(H, "rk4(steps = 1)", "symplectic of flow", extra)
    model = model_of(text)
    found = blocks({s.name: f for s, f in zip(model.states, model.field, strict=True)}, model)
    assert not is_hamiltonian(found, pairs(model))
    verdict_ = verdict(text)
    assert verdict_.verdict == "refuted" and verdict_.counterexample is not None
    again = replay_numpy(lower(model), parse(verdict_.counterexample.data()))
    assert verdict_.counterexample.violated(again)


# --- steps -----------------------------------------------------------------------

SYMPLECTIC = (
    (HAMILTONIANS[0], "verlet(steps = 2)"),
    (HAMILTONIANS[0], "yoshida4(steps = 2)"),
    (HAMILTONIANS[0], "symplectic_euler(steps = 2)"),
    (HAMILTONIANS[0], "imex_euler(steps = 2)"),
    (HAMILTONIANS[0], "implicit_midpoint(steps = 4)"),
    (HAMILTONIANS[1], "gauss2(steps = 4)"),
)
OTHERS = ("euler", "heun", "rk4", "trapezoid", "backward_euler", "leapfrog", "etd1")


@pytest.mark.parametrize(("H", "solver"), SYMPLECTIC)
def test_proved_steps_keep_the_two_form(H: str, solver: str) -> None:
    """On random extreme weights and states, with an interpreter that knows nothing of words."""
    text = pair(H, solver, "symplectic")
    assert verdict(text).verdict == "proved"
    model = model_of(text)
    program = lower(one_step(model, 0))
    rng = np.random.default_rng(2)
    for _ in range(8):
        weights = at_step(model, sample(model, rng), 0)
        J = jacobian(program, weights, [rng.standard_normal(3) for _ in range(2)])
        assert defect(J, canonical_form(model, pairs(model))) < 1e-8 * (1 + np.abs(J).max() ** 2)


@pytest.mark.parametrize("name", OTHERS)
def test_other_methods_are_refuted(name: str) -> None:
    found = verdict(pair(HAMILTONIANS[0], f"{name}(steps = 4)", "symplectic"))
    assert found.verdict == "refuted" and found.counterexample is not None


def test_an_adaptive_method_is_refuted() -> None:
    found = verdict(pair(HAMILTONIANS[0], "dopri5(rtol = 1e-3, atol = 1e-6)", "symplectic"))
    assert found.verdict == "refuted" and found.counterexample is not None


def test_one_per_cent_of_a_tableau_breaks_it() -> None:
    half = "tableau(A = [[{}]], b = [1], steps = 4)"
    assert verdict(pair(HAMILTONIANS[0], half.format("1/2"), "symplectic")).verdict == "proved"
    assert verdict(pair(HAMILTONIANS[0], half.format("101/200"), "symplectic")).verdict == "refuted"


# --- moves -----------------------------------------------------------------------

MAP = """model M
state x[2], y[2]
param W[2, 2], V[2, 2], k[2], g
param Q[2, 2] : orthogonal
constraint k in [1/10, 2]
constraint g in [0, 1]
{equations}
solver map(steps = 3)
claim reversible
claim invertible
"""
REVERSIBLE = (
    "x+ = x + tanh(W @ y)\ny+ = y + relu(V @ (x + tanh(W @ y)))",
    "x+ = y\ny+ = -x + tanh(W @ y)",
    "x+ = k*x + y\ny+ = Q @ y",
    "y+ = 0.9*y + 0.1*tanh(W @ x)\nx+ = x + 0.9*y + 0.1*tanh(W @ x)",
    "x+ = Q.T @ leaky_relu(x, 1/5) - sin(y)\ny+ = 2*y",
    "x+ = (1 + g)*x + y*y\ny+ = exp(tanh((1 + g)*x + y*y))*y",
)
COLLIDING = (
    "x+ = x + tanh(W @ y)\ny+ = y + relu(V @ x)",
    "x+ = g*x + y\ny+ = y",
    "x+ = W @ x\ny+ = y",
    "x+ = tanh(W @ x)\ny+ = y",
    "x+ = relu(x)\ny+ = y",
    "x+ = x + y\ny+ = x + y",
)


@pytest.mark.parametrize("equations", REVERSIBLE)
def test_sequences_of_moves_are_reversible(equations: str, tmp_path: Path) -> None:
    text = MAP.format(equations=equations)
    path = tmp_path / "a.ode"
    path.write_text(text)
    for found in verdicts(text):
        assert found.verdict == "proved" and found.certificate is not None, found.reason
        assert against(found.certificate.text(), path, {}) == []


@pytest.mark.parametrize("equations", COLLIDING)
def test_maps_that_are_not_one_to_one_are_refuted(equations: str) -> None:
    text = MAP.format(equations=equations)
    for found in verdicts(text):
        assert found.verdict == "refuted" and found.counterexample is not None, found.reason
        read = parse(found.counterexample.data())
        assert read.violated(replay_numpy(lower(model_of(text)), read))


def test_injective_maps_that_are_nearly_flat_are_not_refuted() -> None:
    """x - tanh(x) has a derivative of zero at zero and is a bijection; tanh(x) is one to one, though flat far away."""
    for field in ("x - tanh(x)", "tanh(10*x)", "x^3", "x + 0.999*sin(x)"):
        text = f"model M\nstate x[1]\nx+ = {field}\nsolver map(steps = 1)\nclaim invertible\n"
        assert verdict(text).verdict in ("unknown", "proved"), field


# --- distances -------------------------------------------------------------------

FLOW = """model M
state x[2]
param W[2, 2], b[2]
constraint norm(W) <= 1
x' = -W.T @ {s}(W @ x + b)
solver {solver}(steps = 1)
time 0 .. {h}
claim invertible
"""


@pytest.mark.parametrize("s", ["relu", "tanh"])
@pytest.mark.parametrize(("solver", "threshold"), [("euler", 1.0), ("implicit_midpoint", 2.0)])
def test_a_gradient_step_folds_beyond_its_threshold(s: str, solver: str, threshold: float) -> None:
    for factor, wanted in ((0.99, "proved"), (1.01, "refuted")):
        assert verdict(FLOW.format(s=s, solver=solver, h=threshold * factor)).verdict == wanted


def test_a_proved_step_keeps_its_orientation() -> None:
    model = model_of(FLOW.format(s="relu", solver="heun", h=0.9))
    assert verdict(FLOW.format(s="relu", solver="heun", h=0.9)).verdict == "proved"
    program, rng = lower(one_step(model, 0)), np.random.default_rng(3)
    for _ in range(100):
        J = jacobian(program, sample(model, rng), [3 * rng.standard_normal(2)])
        assert np.linalg.det(J) > 0


FLOWS = {
    "V @ tanh(W @ x)*sigmoid(x)": "proved",
    "x*sigmoid(W @ x)": "unknown",
    "x*x": "unknown",
    "exp(tanh(x)) + W @ x": "proved",
    "exp(x)": "unknown",
    "softmax(W @ x)/t": "unknown",
    "(1 + t)*layernorm(x)": "proved",
}


@pytest.mark.parametrize("field", FLOWS)
def test_lipschitz_fields_have_invertible_flows(field: str) -> None:
    head = f"model M\nstate x[2]\nparam W[2, 2], V[2, 2]\nx' = {field}\n"
    text = f"{head}solver euler(steps = 1)\ntime 0 .. 1\nclaim invertible of flow\n"
    assert verdict(text).verdict == FLOWS[field]


# --- certificates ----------------------------------------------------------------

CERTIFIED = {
    "runge-kutta": pair(HAMILTONIANS[1], "implicit_midpoint(steps = 4)", "symplectic"),
    "shears": pair(HAMILTONIANS[0], "verlet(steps = 2)", "symplectic"),
    "flow": pair(HAMILTONIANS[2], "rk4(steps = 2)", "symplectic of flow"),
    "moves": MAP.format(equations=REVERSIBLE[2]).replace("claim reversible\n", ""),
    "rules": FLOW.format(s="tanh", solver="euler", h=1).replace("claim invertible", "claim invertible of flow"),
}


@pytest.mark.parametrize("name", CERTIFIED)
def test_certificates_belong_to_their_spec(name: str, tmp_path: Path) -> None:
    certificate = verdict(CERTIFIED[name]).certificate
    assert certificate is not None
    path = tmp_path / "a.ode"
    path.write_text(CERTIFIED[name])
    assert audit_text(certificate.text()).ok and against(certificate.text(), path, {}) == []
    body = json.loads(certificate.text())
    assert against(resealed({**body, "steps": body["steps"] + 1}), path, {}) != []


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_changed_certificate_is_rejected_or_proves_what_it_states(name: str) -> None:
    certificate = verdict(CERTIFIED[name]).certificate
    assert certificate is not None
    body = json.loads(certificate.text())
    changed = 0
    for path, value in list(leaves(body["proof"])):
        if {"forward", "parts", "part", "back"} & set(path):
            continue  # proofs by inner products have tests of their own
        for new in others(value):
            if new == value and type(new) is type(value):
                continue
            changed += 1
            proof = replaced(body["proof"], path, new)
            if audit_text(resealed({**body, "proof": proof})).ok:
                assert judged(proof), (path, value, new)
    assert changed > 50


def test_a_certificate_of_another_claim_is_rejected() -> None:
    certificate = verdict(CERTIFIED["moves"]).certificate
    assert certificate is not None
    body = json.loads(certificate.text())
    body["claim"] = {**body["claim"], "text": "symplectic", "resolved": "symplectic"}
    body["spec"]["files"][0]["text"] = body["spec"]["files"][0]["text"].replace("claim invertible", "claim symplectic")
    assert not audit_text(resealed(body)).ok


def judged(proof: dict[str, Any]) -> bool:
    """What a proof states, tried with random matrices in place of its letters: every other thought than the auditor's."""
    data, route = proof["data"], proof["route"]
    if route == "moves":
        apart = all(m["slot"] not in m["reads"] for m in data["moves"])
        return apart and all(abs(float_of(data, x)) > 0 for m in data["moves"] for x in m["numbers"])
    if route == "lipschitz rules":
        return rules_judged(data)
    rng = np.random.default_rng(4)
    size = 3
    letters = [random_letter(x, size * size, size, rng) for x in data["letters"]]
    names = [(p["position"], p["momentum"]) for p in data["pairs"]]
    if route == "shears":
        return all(form_defect(data, s["derivative"], names, letters) < 1e-9 for s in data["shears"])
    tableau = True
    if route == "runge-kutta":
        A = np.array([[float_of(data, a) for a in row] for row in data["A"]])
        b = np.array([float_of(data, x) for x in data["b"]])
        tableau = np.abs(b[:, None] * A + (b[:, None] * A).T - np.outer(b, b)).max() < 1e-12
    return tableau and form_defect(data, data["derivative"], names, letters) < 1e-9


def float_of(data: dict[str, Any], written: list[str]) -> float:
    from fractions import Fraction

    root = float(Fraction(data["field"]["of"])) ** (1 / data["field"]["degree"])
    return float(sum(float(Fraction(c)) * root**k for k, c in enumerate(written)))


def random_letter(letter: dict[str, Any], n: int, size: int, rng: np.random.Generator) -> Any:
    if letter["side"] == "scalar":
        return rng.standard_normal() * np.eye(n)
    side = letter["side"]
    M = rng.standard_normal((n, n)) if side == "none" else rng.standard_normal((size, size))
    if letter["symmetry"]:
        M = M + letter["symmetry"] * M.T
    return M if side == "none" else np.kron(M, np.eye(size)) if side == "left" else np.kron(np.eye(size), M)


def form_defect(data: dict[str, Any], derivative: Any, names: list[tuple[str, str]], letters: list[Any]) -> float:
    n = 9
    order = [q for q, _ in names] + [p for _, p in names]
    A = np.zeros((n * len(order), n * len(order)))
    for block in derivative:
        i, j = order.index(block["of"]), order.index(block["by"])
        for word in block["words"]:
            M = float_of(data, word["coefficient"]) * np.eye(n)
            for k, turned in word["letters"]:
                M = M @ (letters[k].T if turned else letters[k])
            A[n * i : n * i + n, n * j : n * j + n] += M
    half = n * len(names)
    omega = np.block([[np.zeros((half, half)), np.eye(half)], [-np.eye(half), np.zeros((half, half))]])
    return float(np.abs(omega @ A + A.T @ omega).max() / (1 + np.abs(A).max()))


def rules_judged(data: dict[str, Any]) -> bool:
    """One-dimensional functions that the rules allow, at their worst: difference quotients far out must stay bounded."""
    far = np.array([1e3, 1e6])
    values: list[Any] = []
    worst = {
        "linear": lambda *a: sum(a),
        "product": lambda a, b: a * b,
        "quotient": lambda a, b: a / b,
        "bounded": lambda *a: np.tanh(sum(a)),
        "smooth": lambda *a: sum(a) ** 2,
    }
    for node in data["nodes"]:
        args = [values[k] for k in node["args"]]
        values.append(
            far
            if node["rule"] == "state"
            else 2.0 + 0 * far
            if node["rule"] == "constant"
            else worst[node["rule"]](*args)
        )
    return all(abs(values[k][1] - values[k][0]) <= 1e3 * (far[1] - far[0]) for k in data["field"])
