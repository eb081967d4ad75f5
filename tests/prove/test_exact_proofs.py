"""Exact proofs of Gram problems made by hand: Runge-Kutta steps of gradient flows and of linear fields."""

from __future__ import annotations

from fractions import Fraction

import pytest

from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.expand import combine, expand, form, inner
from odespec.prove.gram.ldl import is_psd
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation, Vector

Q = Fraction
ONE = Q(1)
TABLEAUX: dict[str, tuple[list[list[str]], list[str]]] = {
    "euler": ([["0"]], ["1"]),
    "heun": ([["0", "0"], ["1", "0"]], ["1/2", "1/2"]),
    "midpoint": ([["0", "0"], ["1/2", "0"]], ["0", "1"]),
    "ssprk3": ([["0"] * 3, ["1", "0", "0"], ["1/4", "1/4", "0"]], ["1/6", "1/6", "2/3"]),
    "rk4": (
        [["0"] * 4, ["1/2", "0", "0", "0"], ["0", "1/2", "0", "0"], ["0", "0", "1", "0"]],
        ["1/6", "1/3", "1/3", "1/6"],
    ),
    "backward_euler": ([["1"]], ["1"]),
    "implicit_midpoint": ([["1/2"]], ["1"]),
    "trapezoid": ([["0", "0"], ["1/2", "1/2"]], ["1/2", "1/2"]),
}


def unit(i: int) -> Vector:
    return ((i, ONE),)


def units(first: int, count: int) -> tuple[Vector, ...]:
    return tuple(unit(first + k) for k in range(count))


def gradient_flow(solver: str, h: str | Fraction, *, lower: bool = False) -> GramProblem:
    """A step of ``x' = -W.T s(W x)``, norm(W) <= 1, slopes of s in [0, 1]; the stages may see different slopes."""
    matrix, weights = TABLEAUX[solver]
    s, h = len(weights), Q(h)
    e, q, we, wq, p = unit(0), units(1, s), unit(s + 1), units(s + 2, s), units(2 * s + 2, s)
    names = [
        "e",
        *(f"W.T p{k}" for k in range(s)),
        "W e",
        *(f"W W.T p{k}" for k in range(s)),
        *(f"p{k}" for k in range(s)),
    ]
    basis = tuple(BasisVector(name, int(k > s)) for k, name in enumerate(names))
    relations = []
    for row, slope in zip(matrix, p, strict=True):
        z = combine((1, we), *((-h * Q(a), v) for a, v in zip(row, wq, strict=True)))
        relations.append(Relation("sector", (("z", (z,)), ("p", (slope,))), (("a", Q(0)), ("b", ONE)), "slopes"))
    norm = (("alpha", ONE), ("beta", Q(0)), ("gamma", -ONE))
    forward = (("u", (e, *q)), ("v", (we, *wq)))
    relations.append(Relation("operator", forward, norm, "norm(W) <= 1"))
    relations.append(Relation("operator", (("u", p), ("v", q)), norm, "norm(W.T) <= 1"))
    relations.append(Relation("adjoint", (*forward, ("p", p), ("q", q)), (), "W.T is the adjoint of W"))
    after = combine((1, e), *((-h * Q(b), v) for b, v in zip(weights, q, strict=True)))
    return GramProblem("step", basis, tuple(relations), form(inner(after, after)), form(inner(e, e)), lower)


def linear(
    solver: str, h: str | Fraction, relations: list[tuple[str, tuple[tuple[str, Fraction], ...]]]
) -> GramProblem:
    """An explicit step of ``x' = M x``; the basis is e, M e, M^2 e, …"""
    matrix, weights = TABLEAUX[solver]
    h, slopes = Q(h), []
    for row in matrix:
        y = combine((1, unit(0)), *((h * Q(a), k) for a, k in zip(row, slopes, strict=False)))
        slopes.append(tuple((i + 1, c) for i, c in y))
    after = combine((1, unit(0)), *((h * Q(b), k) for b, k in zip(weights, slopes, strict=True)))
    n = len(weights)
    vectors = (("u", units(0, n)), ("v", units(1, n)))
    basis = tuple(BasisVector(f"M^{k} e", 0) for k in range(n + 1))
    stated = tuple(Relation(rule, vectors, numbers, rule) for rule, numbers in relations)
    return GramProblem("step", basis, stated, form(inner(after, after)), form(inner(unit(0), unit(0))))


SKEW = [("skew", ()), ("operator", (("alpha", ONE), ("beta", Q(0)), ("gamma", -ONE)))]
DISSIPATIVE = [("symmetric", ()), ("operator", (("alpha", Q(0)), ("beta", -ONE), ("gamma", -ONE)))]


def assert_identity(proof: Proof) -> None:
    """The identity of a proof, summed up here once more from the constraints, without the code that found it."""
    problem, sign = proof.problem, -1 if proof.problem.lower else 1
    total: dict[tuple[int, int], Fraction] = {}

    def add(terms: tuple[tuple[tuple[int, int], Fraction], ...], scale: Fraction) -> None:
        for key, c in terms:
            total[key] = total.get(key, Q(0)) + scale * c

    add(problem.denominator, sign * proof.tau)
    add(problem.numerator, Q(-sign))
    for relation, multipliers in zip(problem.relations, proof.multipliers, strict=True):
        for constraint, numbers in zip(expand(relation), multipliers, strict=True):
            n = len(constraint.forms)
            entries = {(i, j): numbers[i * (i + 1) // 2 + j] for i in range(n) for j in range(i + 1)}
            full = [[entries[max(i, j), min(i, j)] for j in range(n)] for i in range(n)]
            assert constraint.kind == "zero" or is_psd(full)
            for i in range(n):
                for j in range(n):
                    add(constraint.forms[i][j], -full[i][j])
    size = range(len(problem.basis))
    assert all(problem.basis[i].space == problem.basis[j].space for (i, j), c in total.items() if c)
    half = [[total.get((min(i, j), max(i, j)), Q(0)) / (1 if i == j else 2) for j in size] for i in size]
    assert is_psd(half)


THRESHOLDS = [("euler", "2"), ("heun", "2"), ("ssprk3", "2"), ("rk4", "2"), ("trapezoid", "4")]


@pytest.mark.parametrize(("solver", "threshold"), THRESHOLDS)
@pytest.mark.parametrize("share", ["1/20", "1/3", "1/2", "9/10", "1"])
def test_gradient_flow_is_nonexpansive_up_to_the_threshold(solver: str, threshold: str, share: str) -> None:
    proof = prove(gradient_flow(solver, Q(threshold) * Q(share)), ONE)
    assert proof is not None and proof.tau == 1
    assert_identity(proof)


@pytest.mark.parametrize("solver", ["backward_euler", "implicit_midpoint"])
@pytest.mark.parametrize("h", ["1/10", "1", "7", "22/7", "1000"])
def test_algebraically_stable_methods_are_nonexpansive_for_every_step(solver: str, h: str) -> None:
    proof = prove(gradient_flow(solver, h), ONE)
    assert proof is not None
    assert_identity(proof)


@pytest.mark.parametrize(
    ("solver", "h"),
    [(s, str(Q(t) * Q("1.0000005"))) for s, t in THRESHOLDS] + [("midpoint", "1/1000"), ("midpoint", "1/10")],
)
def test_nothing_is_proved_just_beyond_the_threshold(solver: str, h: str) -> None:
    assert prove(gradient_flow(solver, h), ONE) is None


def test_tight_bounds_other_than_one() -> None:
    skew = prove(linear("euler", "1/2", SKEW), Q(5, 4))
    below = prove(gradient_flow("euler", "1/2", lower=True), Q(1, 4))
    assert skew is not None and below is not None
    assert_identity(skew)
    assert_identity(below)
    assert prove(linear("euler", "1/2", SKEW), Q(5, 4) - Q(1, 10**6)) is None
    assert prove(gradient_flow("euler", "1/2", lower=True), Q(1, 4) + Q(1, 10**6)) is None


@pytest.mark.parametrize(
    ("solver", "h", "field", "true"),
    [
        ("rk4", "2", SKEW, True),
        ("rk4", "2.82", SKEW, True),
        ("rk4", "2.83", SKEW, False),
        ("ssprk3", "1.73", SKEW, True),
        ("ssprk3", "1.74", SKEW, False),
        ("euler", "2", DISSIPATIVE, True),
        ("rk4", "2.785", DISSIPATIVE, True),
        ("rk4", "2.786", DISSIPATIVE, False),
    ],
)
def test_linear_fields_keep_to_the_stability_region(
    solver: str, h: str, field: list[tuple[str, tuple[tuple[str, Fraction], ...]]], true: bool
) -> None:
    """The imaginary axis up to 2 sqrt(2) and sqrt(3); the real axis to 2 and to 2.785293…"""
    proof = prove(linear(solver, h, field), ONE)
    assert (proof is not None) == true
    if proof is not None:
        assert_identity(proof)


def test_room_of_a_billionth_is_enough() -> None:
    for solver, h in [("euler", "1/2"), ("rk4", "1"), ("ssprk3", "2")]:
        proof = prove(gradient_flow(solver, h), (1 + Q(1, 10**9)) ** 2)
        assert proof is not None
        assert_identity(proof)


def test_the_same_problem_has_the_same_proof() -> None:
    assert prove(gradient_flow("rk4", "1"), ONE) == prove(gradient_flow("rk4", "1"), ONE)


def test_a_problem_without_relations() -> None:
    e = form(inner(unit(0), unit(0)))
    problem = GramProblem("step", (BasisVector("e", 0),), (), e, e)
    assert prove(problem, ONE) is not None
    assert prove(problem, Q(99, 100)) is None


def test_no_program_may_be_solved_and_nothing_is_proved() -> None:
    assert prove(gradient_flow("rk4", "2"), ONE, programs=0) is None
