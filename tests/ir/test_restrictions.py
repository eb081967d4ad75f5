"""Constraints that nothing obeys are found, and none that something obeys is reported; solvers, times and claims."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.diagnostics import Report
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, leaf
from odespec.ir.feasible import conflicts
from odespec.ir.load import load_source
from odespec.ir.model import Relation
from odespec.source import Source, Span

TAIL = "solver euler(steps = 4)\ntime 0 .. 1\n"
SPAN = Span(Source("t.ode", ""), 0, 0)


def errors(text: str) -> list[str]:
    report = Report()
    load_source(Source("t.ode", text), {}, report, Path("/nonexistent"))
    return [d.code for d in report.errors]


# --- constraints -----------------------------------------------------------------------

HEAD = """model A
dim d = 3, m = 5
state x[d]
param W[m, d], b[m]
param S[d, d] : skew
param P[d, d] : psd
param Q[m, d] : orthogonal
param A[d, d] : stochastic
param D[d, d] : diagonal
param Y[d, d] : symmetric
param c
input u[d]
x' = W.T @ tanh(W @ x + b) + (S + P + A + D + Y) @ x + Q.T @ Q @ x + c*u
"""


@pytest.mark.parametrize(
    "lines",
    [
        "norm(W) <= -1",
        "norm(W) <= 1; norm(W) >= 2",
        "norm(W) <= 1; norm(2*W) >= 3",
        "norm(W) == 1; norm(W) == 2",
        "sigma(W) in [2, 3]; norm(W) <= 1",
        "sigma(W) in [-2, -1]",
        "sigma(W) in [0, 1]; norm(W) >= 3/2",
        "norm(W, inf) <= 1/4; norm(W) >= 1",
        "norm(W, 1) <= 1/4; norm(W) >= 1",
        "norm(W, 1) <= 1/2; norm(W, inf) <= 1/2; norm(W) >= 0.51",
        "W in [0.1, 0.2]; norm(W) >= 1",
        "W in [0.3, 1]; norm(W) <= 1",
        "W >= 1; W <= 1/2",
        "W in [1, 2]; sum(W, 0) == 0",
        "W in [-1e-9, 1e-9]; sum(W) == 1",
        "eig(P) in [-2, -1]",
        "eig(Y) in [2, 3]; norm(Y) <= 1",
        "eig(Y) in [-3, -2]; norm(Y) <= 1",
        "eig(Y) in [-1/2, 1/2]; norm(Y) >= 1",
        "eig(Y) in [2, 3]; Y in [0, 1]",
        "sigma(S) in [0.1, 1]",
        "S in [0.1, 1]",
        "norm(Q) <= 1/2",
        "norm(Q) >= 2",
        "sigma(Q) in [1/4, 1/2]",
        "Q in [-0.1, 0.1]",
        "Q in [0.1, 1]",
        "norm(A, inf) <= 0.9",
        "norm(A) <= 0.9",
        "A in [0.4, 1]",
        "A in [0, 0.3]",
        "A in [2, 3]",
        "D in [1, 2]",
        "norm(b) <= 1; b >= 1",
        "norm(b, inf) <= 1; norm(b) >= 3",
        "norm(b, 1) <= 1; norm(b) >= 2",
        "c <= 0; c >= 1",
        "abs(c) <= -1",
        "square(c) + 1 <= 1/2",
    ],
)
def test_impossible(lines: str) -> None:
    text = HEAD + "".join(f"constraint {line.strip()}\n" for line in lines.split(";")) + TAIL
    assert errors(text) == ["ODE421"]


@pytest.mark.parametrize(
    "lines",
    [
        "norm(W) <= 0",
        "norm(W) == 1; W in [-1, 1]",
        "sigma(W) in [1, 1]; norm(W) <= 1",
        "sigma(W) in [-1, 1]",
        "norm(W, 1) <= 1/2; norm(W, inf) <= 1/2; norm(W) >= 1/2",
        "W in [1/4, 1]; norm(W) <= 1",
        "W in [-1, 1]; sum(W, 0) == 0",
        "eig(P) in [-1, 0]",
        "eig(Y) in [-1, 1]; norm(Y) >= 1",
        "eig(W.T @ W) in [0, 1]",
        "eig(Y + W.T @ Y @ W) in [0, 1]".replace("W.T @ Y @ W", "S @ Y @ S.T"),
        "sigma(S) in [0, 1]",
        "norm(S) <= sqrt(2)",
        "norm(Q) <= 1",
        "Q in [-1/2, 1/2]",
        "Q in [0, 1]",
        "A in [1/3, 1/3]",
        "D in [0, 1]",
        "eig(D) in [-1, 0]",
        "norm(b, 1) <= 1; norm(b) >= 1",
        "norm(W - 2*S @ W.T @ W) <= 1".replace("W - 2*S @ W.T @ W", "S - 2*W.T @ W"),
    ],
)
def test_possible(lines: str) -> None:
    text = HEAD + "".join(f"constraint {line.strip()}\n" for line in lines.split(";")) + TAIL
    assert errors(text) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("constraint norm(x) <= 1", "ODE220"),
        ("constraint norm(u) <= 1", "ODE220"),
        ("constraint t <= 1", "ODE220"),
        ("domain norm(W) <= 1", "ODE220"),
        ("constraint 2 <= 1", "ODE422"),
        ("constraint W in [2, 1]", "ODE420"),
        ("constraint sigma(b) in [0, 1]", "ODE322"),
        ("constraint eig(W) in [0, 1]", "ODE322"),
        ("constraint eig(S) in [0, 1]", "ODE322"),
        ("constraint eig(S + W.T @ W) in [0, 1]", "ODE322"),
        ("constraint norm(W, 3) <= 1", "ODE416"),
        ("constraint norm(W) <= c", "ODE211"),
        ("constraint norm(W) <= tanh(1)", "ODE211"),
        ("constraint norm(conv(W)) <= 1", "ODE315"),
        ("constraint norm(I) <= 1", "ODE310"),
        ("constraint degree(W) <= 1", "ODE321"),
        ("constraint degree(G) <= 1", "ODE201"),
        ("domain sigma(u) in [0, 1]", "ODE423"),
        ("domain x in [1, 2]\ndomain norm(x) <= 1", "ODE421"),
        ("domain u >= 1\ndomain u <= 0", "ODE421"),
    ],
)
def test_mistakes_of_relations_come_alone(line: str, code: str) -> None:
    assert errors(HEAD + line + "\n" + TAIL) == [code]


STRUCTURES = ("none", "skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic", "doubly_stochastic")


def member(structure: str, m: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """A random matrix of a structure, often an extreme one."""
    if structure in ("skew", "symmetric", "psd", "diagonal", "doubly_stochastic"):
        n = m
    v = rng.choice([rng.normal(size=(m, n)), np.round(rng.normal(size=(m, n))), np.ones((m, n))])
    if structure == "skew":
        return v - v.T
    if structure == "symmetric":
        return v + v.T
    if structure == "psd":
        return v @ v.T
    if structure == "diagonal":
        return np.diag(np.diag(v))
    if structure == "orthogonal":
        q = np.linalg.qr(rng.normal(size=(max(m, n), min(m, n))))[0]
        return np.eye(m, n) if rng.random() < 0.3 else q if m >= n else q.T
    if structure == "stochastic":
        return rng.dirichlet(np.ones(n) * rng.choice([0.1, 1, 100]), size=m)
    if structure == "doubly_stochastic":
        weights = rng.dirichlet(np.ones(3))
        return sum(w * np.eye(n)[rng.permutation(n)] for w in weights)
    return v


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STRUCTURES), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_what_a_matrix_obeys_is_never_impossible(structure: str, m: int, n: int, seed: int) -> None:
    """Every quantity of an actual matrix, with a hair of room, contradicts none of the others."""
    rng = np.random.default_rng(seed)
    a = member(structure, m, n, rng)
    operand = leaf("param", "W", a.shape)
    singular = np.linalg.svd(a, compute_uv=False)
    quantities = [("norm", 2, singular[0], singular[0]), ("sigma", 2, singular[-1], singular[0]),
                  ("entries", 2, a.min(), a.max()), ("norm", 1, *[np.abs(a).sum(0).max()] * 2),
                  ("norm", "inf", *[np.abs(a).sum(1).max()] * 2), ("entries", "sum", a.sum(), a.sum())]  # fmt: skip
    if structure in ("symmetric", "psd", "diagonal"):
        eig = np.linalg.eigvalsh(a)
        quantities.append(("eig", 2, eig[0], eig[-1]))
    relations = []
    for quantity, p, low, high in quantities:
        e: Expr = ex.total(operand) if p == "sum" else operand
        factor = Fraction(int(rng.choice([1, 1, 2, -3])))
        scaled = ex.mul(ex.const(factor), e)
        ends = sorted((Fraction(low) * factor, Fraction(high) * factor))
        if quantity in ("norm", "sigma"):
            ends = [Fraction(low) * abs(factor), Fraction(high) * abs(factor)]
        room = Fraction(1, 10**9) * (1 + max(abs(x) for x in ends))
        lower = ends[0] - room if rng.random() < 0.8 else None
        upper = ends[1] + room if rng.random() < 0.8 else None
        relations.append(Relation(quantity, scaled, lower, upper, SPAN, 2 if p == "sum" else p))
    structures = {} if structure == "none" else {operand: structure}
    assert conflicts(relations, structures) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_what_a_vector_obeys_is_never_impossible(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    v = rng.choice([rng.normal(size=n), np.round(rng.normal(size=n)), np.ones(n)])
    operand = leaf("state", "x", (n,))
    relations = [
        Relation(
            "norm",
            operand,
            Fraction(size) * Fraction(999999, 1000000),
            Fraction(size) * Fraction(1000001, 1000000),
            SPAN,
            p,
        )
        for p, size in ((2, np.linalg.norm(v)), (1, np.abs(v).sum()), ("inf", np.abs(v).max()))
    ]
    relations.append(Relation("entries", operand, Fraction(v.min()), Fraction(v.max()), SPAN))
    assert conflicts(relations, {}) == []


# --- solvers and time ----------------------------------------------------------------------

PLAIN = "model A\ndim d = 2\nstate x[d]\nparam W[d, d]\nx' = W @ x\n"
PAIR = "model A\ndim d = 2\nstate q[d], p[d]\nq' = p\np' = -q\n"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("solver eulr(steps = 2)\ntime 0 .. 1", "ODE401"),
        ("solver euler(step = 2)\ntime 0 .. 1", "ODE304"),
        ("solver euler(2)\ntime 0 .. 1", "ODE403"),
        ("solver euler(steps = 0)\ntime 0 .. 1", "ODE403"),
        ("solver euler(steps = -3)\ntime 0 .. 1", "ODE403"),
        ("solver euler(steps = 1.5)\ntime 0 .. 1", "ODE403"),
        ("solver euler(steps = many)\ntime 0 .. 1", "ODE201"),
        ("solver euler(steps = 9^9^9)\ntime 0 .. 1", "ODE212"),
        ("solver euler(steps = 10^9)\ntime 0 .. 1", "ODE403"),
        ("solver euler\ntime 0 .. 1", "ODE404"),
        ("solver dopri5(rtol = 0)\ntime 0 .. 1", "ODE403"),
        ("solver dopri5(steps = 4, rtol = 1e-3)\ntime 0 .. 1", "ODE403"),
        ("solver ab2(steps = 4, start = heum)\ntime 0 .. 1", "ODE401"),
        ("solver ab2(steps = 4, start = dopri5)\ntime 0 .. 1", "ODE403"),
        ("solver imex_euler(steps = 4, linear = W)\ntime 0 .. 1", "ODE403"),
        ("solver verlet(steps = 4)\ntime 0 .. 1", "ODE406"),
        ("solver euler_maruyama(steps = 4)\ntime 0 .. 1", "ODE409"),
        ("solver map(steps = 4)\ntime 0 .. 1", "ODE410"),
        ("solver tableau(A = [[0]], steps = 2)\ntime 0 .. 1", "ODE411"),
        ("solver tableau(A = [[0, 0]], b = [1], steps = 2)\ntime 0 .. 1", "ODE411"),
        ("solver tableau(A = [[0]], b = 1, steps = 2)\ntime 0 .. 1", "ODE411"),
        ("solver tableau(A = [[x]], b = [1], steps = 2)\ntime 0 .. 1", "ODE211"),
        ("time 0 .. 1", "ODE405"),
        ("solver euler(steps = 2)", "ODE405"),
        ("solver euler(steps = 2)\ntime 1 .. 1", "ODE412"),
        ("solver euler(steps = 2)\ntime 1 .. -1", "ODE412"),
        ("solver euler(steps = 2)\ntime sqrt(2) .. 2^(1/2)", "ODE412"),
        ("solver euler(steps = 2)\ntime 0 .. 1 save 1", "ODE413"),
        ("solver euler(steps = 2)\ntime 0 .. 1 save 4", "ODE413"),
        ("solver euler(steps = 2)\ntime 0 .. 1\ntime 0 .. 2", "ODE222"),
    ],
)
def test_mistakes_of_solvers_come_alone(lines: str, code: str) -> None:
    assert errors(PLAIN + lines + "\n") == [code]


@pytest.mark.parametrize(
    "lines",
    [
        "solver euler(steps = auto)\ntime 0 .. 1 save 3",
        "solver dopri5\ntime 0 .. 1 save 7",
        "solver dopri5(rtol = 1e-5, atol = 1e-7, max_steps = 100)\ntime 0 .. 1",
        "solver tsit5(steps = 12)\ntime -1 .. 1 save 5",
        "solver bdf2(steps = 4, start = implicit_midpoint)\ntime 0 .. 1",
        "solver etd1(steps = 4, linear = W @ x)\ntime 0 .. 1",
        "solver tableau(A = [[0, 0], [1, 0]], b = [1/2, 1/2], steps = 2)\ntime 0 .. sqrt(2)",
    ],
)
def test_solvers_that_fit(lines: str) -> None:
    assert errors(PLAIN + lines + "\n") == []


@pytest.mark.parametrize(
    ("equations", "solver", "code"),
    [
        ("q' = p\np' = -q - p", "verlet", "ODE407"),
        ("q' = p + q\np' = -q", "yoshida4", "ODE407"),
        ("q' = p + q\np' = -q - p", "symplectic_euler", None),
        ("q' = p\np' = -q*t", "verlet", None),
    ],
)
def test_separability(equations: str, solver: str, code: str | None) -> None:
    text = f"model A\ndim d = 2\nstate q[d], p[d]\n{equations}\nsolver {solver}(steps = 2)\ntime 0 .. 1\n"
    assert errors(text) == ([code] if code else [])


def test_second_order_equations_are_pairs() -> None:
    text = "model A\nstate x[2]\nx'' = -x\nsolver verlet(steps = 2)\ntime 0 .. 1\n"
    assert errors(text) == []
    assert errors(text.replace("-x\n", "-x - x'\n")) == ["ODE407"]


@pytest.mark.parametrize(
    ("term", "good"),
    [("w", True), ("2*w/3", True), ("tanh(x)*w", True), ("B @ w", True), ("(B + x*w @ w)", None), ("w*w", False),
     ("w/w", False), ("x/w", False), ("tanh(w)", False), ("norm(w)*x", False), ("sum(w)*x", True), ("w^2", False)],
)  # fmt: skip
def test_noise_enters_linearly(term: str, good: bool | None) -> None:
    text = f"model A\nstate x[2]\nparam B[2, 2]\nnoise w[2]\nx' = -B @ x + {term}\n"
    found = errors(text + "solver milstein(steps = 2)\ntime 0 .. 1\n")
    assert found == ([] if good else ["ODE320"] if good is False else ["ODE302"])


# --- claims --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ("nonexpanding", "ODE414"),
        ("nonexpansive(norms = inf)", "ODE304"),
        ("nonexpansive(norm = 3)", "ODE416"),
        ("nonexpansive(norm = linf)", "ODE416"),
        ("nonexpansive(metric = W)", "ODE426"),
        ("nonexpansive(metric = [[1, 2], [2, 1]])", "ODE426"),
        ("nonexpansive(metric = [[1, 2], [0, 1]])", "ODE426"),
        ("nonexpansive(2)", "ODE417"),
        ("nonexpansive <= 2", "ODE417"),
        ("contractive", "ODE417"),
        ("contractive(rate = -1)", "ODE418"),
        ("lipschitz", "ODE417"),
        ("lipschitz >= 1", "ODE417"),
        ("lipschitz <= -1", "ODE418"),
        ("lipschitz <= W", "ODE211"),
        ("lipschitz(by = x) <= 1", "ODE424"),
        ("lipschitz(by = v) <= 1", "ODE201"),
        ("gradient in [1, 0]", "ODE418"),
        ("gradient in [-1, 0]", "ODE418"),
        ("gradient <= 1", "ODE417"),
        ("order >= 0", "ODE418"),
        ("order >= 3/2", "ODE418"),
        ("order >= 2 of flow", "ODE419"),
        ("stable of output", "ODE419"),
        ("nonexpansive of output", "ODE419"),
        ("nonexpansive of water", "ODE419"),
        ("nonexpansive in mean square", "ODE425"),
        ("stable in mean square", "ODE419"),
        ("conserves(x)", "ODE317"),
        ("conserves(norm(W))", "ODE422"),
        ("conserves", "ODE417"),
        ("dissipates(dot(x, x), 2)", "ODE417"),
        ("dissipates(t*dot(x, x))", "ODE220"),
        ("invariant x in [1, 0]", "ODE420"),
        ("invariant norm(W) <= 1", "ODE422"),
        ("invariant x <= x", "ODE220"),
        ("invariant sum(x) <= x(0)", "ODE306"),
    ],
)
def test_mistakes_of_claims_come_alone(claim: str, code: str) -> None:
    assert errors(PLAIN + TAIL + f"claim {claim}\n") == [code]


@pytest.mark.parametrize(
    "claim",
    [
        "not nonexpansive(norm = 1) of flow",
        "nonexpansive(metric = some)",
        "nonexpansive(metric = [[2, 1], [1, 2]])",
        "contractive(rate = 0.1, norm = inf)",
        "lipschitz <= sqrt(2)",
        "gradient in [0, 1]",
        "invariant x in [min(x(0)), max(x(0))]",
        "invariant norm(x) <= norm(x(0))",
        "invariant x >= 0",
        "conserves(dot(x, W @ x)) of flow",
        "order >= 1",
        "invertible",
        "reversible",
        "symplectic",
        "stable of flow",
    ],
)
def test_claims_that_are_well_written(claim: str) -> None:
    assert errors(PLAIN + TAIL + f"claim {claim}\n") == []


def test_norms_of_states_with_two_axes_are_over_all_entries() -> None:
    head = "model A\nstate X[3, 3], Y[3, 3]\nX' = -X\nY' = -Y\n"
    assert errors(head + "domain norm(X - Y) >= 3\ndomain norm(X - Y, inf) <= 1\n" + TAIL) == []
    assert errors(head + "domain norm(X) >= 3.1\ndomain norm(X, inf) <= 1\n" + TAIL) == ["ODE421"]


def test_norms_of_convolutions_are_not_compared_with_each_other() -> None:
    head = "model A\nstate u[2, 8]\nparam K[2, 2, 3]\nu' = conv(K) @ u\n"
    assert errors(head + "constraint norm(conv(K)) >= 3\nconstraint norm(conv(K), 1) <= 3\n" + TAIL) == []
    assert errors(head + "constraint norm(conv(K)) >= 3\nconstraint norm(conv(K)) <= 2\n" + TAIL) == ["ODE421"]
