"""What is read of a program: normal forms, reasons, and what relations mean."""

from __future__ import annotations

import sys
from fractions import Fraction
from math import inf
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import hand_models as b

from odespec.activations import Interval
from odespec.ir.expr import Expr, act, add, const, eye, leaf, matmul, mul, neg, power, sub, transpose
from odespec.program.lower import lower
from odespec.prove.gram.expand import expand
from odespec.prove.gram.problem import Relation
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.chains import Chains
from odespec.prove.relate.operators import UNIT
from odespec.prove.relate.relations import NoRelation, flow_problem, read_step, step_problem

F = Fraction
x, y = b.state("x", 3), b.state("y", 3)
W, S, Q = b.param("W", 3, 3), b.param("S", 3, 3), b.param("Q", 3, 3)


def knowledge(*operands: Expr, constraints: tuple = (), **structures: str) -> Knowledge:
    field = x
    for e in operands:
        field = add(field, matmul(e, x))
    model = b.model({"x": field}, constraints=constraints, structures=structures)
    return Knowledge(model, Interval(None, None))


# --- normal forms ------------------------------------------------------------------


def test_the_transpose_of_a_skew_matrix_is_minus_it() -> None:
    algebra = knowledge(S, S="skew").algebra
    assert algebra.polynomial(add(S, transpose(S))) == {}
    assert algebra.polynomial(transpose(matmul(S, S))) == algebra.polynomial(matmul(S, S))


def test_orthogonal_words_cancel() -> None:
    algebra = knowledge(Q, W, Q="orthogonal").algebra
    assert algebra.polynomial(matmul(transpose(Q), Q)) == {UNIT: 1}
    assert algebra.polynomial(matmul(Q, matmul(transpose(Q), W))) == algebra.polynomial(W)


@pytest.mark.parametrize(("rows", "cancels"), [(4, "tall"), (2, "wide")])
def test_a_rectangular_orthogonal_matrix_cancels_on_its_short_side(rows: int, cancels: str) -> None:
    R = b.param("R", rows, 3)
    model = b.model({"x": matmul(transpose(R), matmul(R, x))}, structures={"R": "orthogonal"})
    algebra = Knowledge(model, Interval(None, None)).algebra
    assert (algebra.polynomial(matmul(transpose(R), R)) == {UNIT: 1}) == (cancels == "tall")
    assert (algebra.polynomial(matmul(R, transpose(R))) == {UNIT: 1}) == (cancels == "wide")


def test_products_are_multiplied_out() -> None:
    algebra = knowledge(W, S, S="skew").algebra
    left = matmul(sub(W, eye(3)), add(W, mul(const(2), eye(3))))
    right = sub(add(matmul(W, W), W), mul(const(2), eye(3)))
    assert algebra.polynomial(left) == algebra.polynomial(right)


def test_equal_vectors_are_one() -> None:
    """W (W x) and (W @ W) x are the same vector, and so are its uses at both places of the field."""
    field = add(matmul(W, matmul(W, x)), matmul(matmul(W, W), x))
    problem = step_problem(b.program({"x": field}, constraints=(b.norm(W, 1),)), lower=False)
    assert [v.name for v in problem.basis] == ["e[x]", "W e[x]", "W W e[x]"]


def test_spaces_are_parted() -> None:
    field, constraints = b.gradient_flow()
    problem = step_problem(b.program(field, constraints=constraints), lower=False)
    assert {v.name: v.space for v in problem.basis} == {
        "e[x]": 0, "W e[x]": 1, "relu(W @ x + b)": 1, "W.T relu(W @ x + b)": 0,
    }  # fmt: skip


def test_shared_weights_of_one_step_and_copies_of_several() -> None:
    field = {"x": matmul(W, x)}
    shared = read_step(b.program(field, steps=2, constraints=(b.norm(W, 1),)), lower=False, steps=2).problem
    copies = read_step(
        b.program(field, steps=2, constraints=(b.norm(W, 1),), per_step=("W",)), lower=False, steps=2
    ).problem
    assert [v.name for v in shared.basis] == ["e[x]", "W e[x]", "W W e[x]"]
    assert [v.name for v in copies.basis] == ["e[x]", "W e[x]", "W[1] e[x]", "W[1] W e[x]"]


def test_slopes_of_different_arguments_are_different() -> None:
    """tanh(x + b) - tanh(x + c) is not zero, though the differences of the arguments are equal."""
    one, two = (act("tanh", add(x, b.param(n, 3))) for n in "bc")
    problem = step_problem(b.program({"x": sub(one, two)}), lower=False)
    assert len(problem.basis) == 3


# --- reasons -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "what"),
    [
        (mul(x, y), "`x * y` is a product of two state-dependent factors whose ranges are not bounded"),
        (act("square", x), "the slope of `square(x)` is not bounded"),
        (power(x, F(2)), "the slope of `x^2` is not bounded"),
        (Expr("div", (act("tanh", x), act("tanh", y)), (3,)), "`tanh(y)`, by which `tanh(x) / tanh(y)` divides, "),
        (matmul(Expr("diag", (x,), (3, 3)), y), "`diag(x) @ y` multiplies two state-dependent matrices"),
        (matmul(Expr("diag", (x,), (3, 3)), act("tanh", y)), "multiplies two state-dependent matrices"),
        (Expr("cumulate", (x,), (3,)), "`cumulate(x)` is an operation of which no relation"),
    ],
)
def test_reasons(field: Expr, what: str) -> None:
    with pytest.raises(NoRelation) as raised:
        step_problem(b.program({"x": field, "y": neg(y)}), lower=False)
    assert raised.value.what.startswith(what) or what in raised.value.what


@pytest.mark.parametrize("field", [neg(act("exp", x)), neg(power(x, F(3)))])
def test_monotone_fields_of_unbounded_slope(field: Expr) -> None:
    """One end of the slope interval is enough for the flow, and says nothing of an explicit step."""
    model = b.model({"x": field})
    assert worst_case(flow_problem(model, lower=False)).value == pytest.approx(0.0, abs=1e-6)
    assert worst_case(step_problem(lower(model), lower=False)).value == inf


def test_a_domain_of_states_bounds_no_factor() -> None:
    """A trajectory may leave the domain: x * tanh(x) has no relation, whatever the domain."""
    program = b.program({"x": mul(x, act("tanh", x))}, domains=(b.within(x, -1, 1),))
    with pytest.raises(NoRelation):
        step_problem(program, lower=False)


def test_a_domain_of_inputs_does() -> None:
    u = leaf("input", "u", (3,))
    program = b.program({"x": mul(u, act("tanh", x))}, domains=(b.within(u, -1, 1),))
    assert any("entries" in r.why or "diag(u)" in r.why for r in step_problem(program, lower=False).relations)


def test_too_many_terms_are_a_reason() -> None:
    e: Expr = matmul(add(W, eye(3)), add(S, eye(3)))
    for _ in range(6):
        e = matmul(e, e)
    with pytest.raises(NoRelation, match="too many terms"):
        step_problem(b.program({"x": matmul(e, x)}), lower=False)


# --- facts of operators ------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraints", "structure", "norm2"),
    [
        ((b.norm(W, 2),), None, 4),
        ((b.norm(W, 2, 1), b.norm(W, 3, "inf")), None, 6),
        ((b.norm(W, 2, "inf"),), None, 12),
        ((b.norm(transpose(W), 2, "inf"),), None, 12),
        ((b.norm(W, 2, "inf"),), "skew", 4),
        ((b.within(W, F(-1, 2), F(1, 3)),), None, F(9, 4)),
        ((b.within(W, -2, 1, "eig"),), "symmetric", 4),
        ((b.within(W, 1, 3, "sigma"),), None, 9),
        ((b.within(neg(W), -2, 1, "eig"),), "symmetric", 4),
        ((b.norm(matmul(transpose(W), W), 4),), None, 4),
        ((b.norm(mul(const(3), W), 6),), None, 4),
        ((b.norm(W, 10**4),), None, None),
        ((), "orthogonal", 1),
        ((), "stochastic", 3),
        ((), "doubly_stochastic", 1),
        ((), None, None),
    ],
)
def test_norms(constraints: tuple, structure: str | None, norm2: Fraction | None) -> None:
    known = knowledge(W, constraints=constraints, **({"W": structure} if structure else {}))
    assert known.facts(known.algebra.matrix(W)).norm2 == norm2


def test_eigenvalues_are_turned_by_a_negative_factor() -> None:
    known = knowledge(W, constraints=(b.within(mul(const(-2), W), -4, 2, "eig"),), W="symmetric")
    facts = known.facts(known.algebra.matrix(W))
    assert (facts.low, facts.high) == (-1, 2)


def test_psd_with_a_norm() -> None:
    known = knowledge(W, constraints=(b.norm(W, 2),), W="psd")
    facts = known.facts(known.algebra.matrix(W))
    assert facts.low == 0
    assert 2 <= facts.high <= 2 + F(1, 10**12)


# --- chains ------------------------------------------------------------------------


def unit(i: int) -> tuple:
    return ((i, F(1)),)


def test_a_chain_multiplies_facets() -> None:
    """z, p = D z in [0, z], q = E p in [0, p]: all facets of p with all of q."""
    chains = Chains()
    chains.add(unit(0), unit(1), F(0), F(1), "p")
    chains.add(unit(1), unit(2), F(0), F(1), "q")
    rules = [r.rule for r in chains.relations()]
    assert rules.count("sector") == 2
    assert rules.count("facets") == 4


def test_without_a_sign_only_bounds_by_the_root() -> None:
    """q = E p where p may have either sign: its facets are those of the product of slopes, and of a chain of its own."""
    chains = Chains()
    chains.add(unit(0), unit(1), F(-1, 2), F(1), "p")
    chains.add(unit(1), unit(2), F(0), F(1), "q")
    sectors = [r for r in chains.relations() if r.rule == "sector"]
    assert [(r.vectors[0][1][0], dict(r.numbers)) for r in sectors] == [
        (unit(0), {"a": F(-1, 2), "b": F(1)}),
        (unit(0), {"a": F(-1, 2), "b": F(1)}),
        (unit(1), {"a": F(0), "b": F(1)}),
    ]


def test_one_sided_slopes_keep_the_sign() -> None:
    chains = Chains()
    chains.add(unit(0), unit(1), F(0), None, "monotone")
    (relation,) = chains.relations()
    assert relation.rule == "facets"
    assert expand(relation)[0].forms == (((((0, 1), F(1)),),),)


# --- what rules mean ---------------------------------------------------------------


def relation(rule: str, numbers: dict, **vectors: tuple) -> Relation:
    return Relation(rule, tuple(vectors.items()), tuple((n, F(v)) for n, v in numbers.items()), "test")


def test_expansions() -> None:
    u, v, p, q = (unit(i) for i in range(4))
    sector = relation("sector", {"a": 0, "b": 1}, z=(u,), p=(v,))
    assert expand(sector)[0].forms[0][0] == (((0, 1), F(1)), ((1, 1), F(-1)))
    norm = relation("operator", {"alpha": 4, "beta": 0, "gamma": -1}, u=(u, p), v=(v, q))
    (psd,) = expand(norm)
    assert psd.kind == "psd"
    assert psd.forms[0][1] == psd.forms[1][0] == (((0, 2), F(4)), ((1, 3), F(-1)))
    adjoint = relation("adjoint", {}, u=(u,), v=(v,), p=(p,), q=(q,))
    assert expand(adjoint)[0].forms[0][0] == (((0, 3), F(1)), ((1, 2), F(-1)))
    skew = relation("skew", {}, u=(u,), v=(v,))
    assert expand(skew)[0].forms[0][0] == (((0, 1), F(2)),)
    assert expand(relation("symmetric", {}, u=(u,), v=(v,))) == ()
    isometry = relation("isometry", {}, u=(u,), v=(v,))
    assert expand(isometry)[0].forms[0][0] == (((0, 0), F(-1)), ((1, 1), F(1)))


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(KeyError):
        expand(relation("magic", {}, u=(unit(0),)))
