"""The passes keep the meaning of programs, and do what they are for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odespec.exact import root
from odespec.ir.expr import (
    TIME,
    Expr,
    Shape,
    act,
    add,
    const,
    div,
    dot,
    eye,
    full,
    leaf,
    matmul,
    mean,
    mul,
    neg,
    postorder,
    power,
    sub,
    total,
    transpose,
)
from odespec.ir.model import Model
from odespec.program.interpret import evaluate, run
from odespec.program.linear import linearise
from odespec.program.lower import lower
from odespec.program.passes import PASSES, optimise, run_pass, split_invariant
from odespec.program.step import StepProgram

MakeModel = Callable[..., Model]
T = transpose
N = 3
x = leaf("state", "x", (N,))
c = leaf("param", "c", (N,))
S, R = leaf("param", "S", (N, N)), leaf("param", "R", (N, N))
PARAMS = (S, R, c)
rng = np.random.default_rng(4)
WEIGHTS = {"S": rng.normal(size=(N, N)) * 0.4, "R": rng.normal(size=(N, N)) * 0.4, "c": rng.normal(size=N)}


def raw(op: str, a: Expr, b: Expr, shape: Shape) -> Expr:
    """A node as it is, not simplified on the way."""
    return Expr(op, (a, b), shape)


numbers = st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 3), Fraction(2), root(Fraction(2), 2)])


EXPONENTS = [Fraction(2), Fraction(-1), Fraction(1, 2)]


def scalars(depth: int) -> st.SearchStrategy[Expr]:
    if depth == 0:
        return st.builds(const, numbers) | st.just(TIME)
    inner, tensors = scalars(depth - 1), vectors(depth - 1)
    return st.one_of(
        inner,
        st.builds(lambda a, b: raw("mul", a, b, ()), inner, inner),
        st.builds(lambda a, b: raw("add", a, b, ()), inner, inner),
        st.builds(total, tensors),
        st.builds(mean, tensors),
        st.builds(dot, tensors, tensors),
    )


def matrices(depth: int) -> st.SearchStrategy[Expr]:
    if depth == 0:
        return st.sampled_from([S, R, eye(N), full(0, (N, N)), full(Fraction(1, 2), (N, N))])
    inner = matrices(depth - 1)
    return st.one_of(
        inner,
        st.builds(lambda e: Expr("transpose", (e,), (N, N)), inner),
        st.builds(lambda a, b: raw("add", a, b, (N, N)), inner, inner),
        st.builds(lambda a, b: raw("matmul", a, b, (N, N)), inner, inner),
        st.builds(lambda a, b: raw("mul", const(a), b, (N, N)), numbers, inner),
        st.builds(lambda e: Expr("diag", (e,), (N, N)), vectors(0)),
    )


def vectors(depth: int) -> st.SearchStrategy[Expr]:
    if depth == 0:
        return st.sampled_from([x, x, c, full(0, (N,)), full(1, (N,)), full(Fraction(2, 3), (N,))])
    inner = vectors(depth - 1)
    pairs = st.tuples(inner, inner)
    return st.one_of(
        inner,
        st.builds(lambda ab: raw("add", *ab, (N,)), pairs),
        st.builds(lambda ab: raw("mul", *ab, (N,)), pairs),
        st.builds(lambda a, b: raw("mul", a, b, (N,)), scalars(depth - 1), inner),
        st.builds(lambda a, b: raw("add", b, a, (N,)), scalars(depth - 1), inner),
        st.builds(lambda m, e: raw("matmul", m, e, (N,)), matrices(depth - 1), inner),
        st.builds(lambda e: act("tanh", e), inner),
        st.builds(lambda e: div(e, add(const(2), power(act("tanh", total(e)), Fraction(2)))), inner),
        st.builds(lambda e, n: power(act("sigmoid", e), n), inner, st.sampled_from(EXPONENTS)),
        st.builds(lambda e: raw("div", e, full(Fraction(4), (N,)), (N,)), inner),
    )


def program_of(make: MakeModel, field: Expr, solver: str = "map", **options: object) -> StepProgram:
    program: StepProgram = lower(make({x: field}, PARAMS, solver=solver, **{"steps": 2, **options}))
    return program


def same_values(before: StepProgram, after: StepProgram, seed: int) -> None:
    draw = np.random.default_rng(seed)
    env = {x: draw.normal(size=(4, N)), TIME: np.asarray(0.7)}
    env |= {p: WEIGHTS[str(p.data)] for p in PARAMS}
    stages = {u: draw.normal(size=(4, *u.shape)) for g in before.solves for u in g.unknowns}
    roots = [(*p.update, *(v for g in p.solves for v in g.values)) for p in (before, after)]
    assert [r.shape for r in roots[0]] == [r.shape for r in roots[1]]
    values = [evaluate(r, {**env, **stages}) for r in roots]
    for old, new in zip(*values, strict=True):
        full_shape = np.broadcast_shapes(old.shape, new.shape)
        old, new = np.broadcast_to(old, full_shape), np.broadcast_to(new, full_shape)
        np.testing.assert_allclose(old, new, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("which", [p.name for p in PASSES])
@given(field=vectors(3), solver=st.sampled_from(["map", "heun", "implicit_midpoint"]), seed=st.integers(0, 2**31))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pass_keeps_the_meaning(make: MakeModel, which: str, field: Expr, solver: str, seed: int) -> None:
    program = program_of(make, field, solver)
    step = next(p for p in PASSES if p.name == which)
    same_values(program, run_pass(step, program), seed)


@given(field=vectors(4), solver=st.sampled_from(["map", "rk4", "sdirk2"]), seed=st.integers(0, 2**31))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_passes_keep_the_meaning_and_never_add_work(make: MakeModel, field: Expr, solver: str, seed: int) -> None:
    program = program_of(make, field, solver)
    after = optimise(program)
    same_values(program, after, seed)
    sizes = [len(list(postorder(*p.update, *(v for g in p.solves for v in g.values)))) for p in (program, after)]
    assert sizes[1] <= sizes[0] + sum(n.op == "matmul" for n in postorder(*program.update)) + 2


@pytest.fixture
def passed(make: MakeModel) -> Callable[[str, Expr], Expr]:
    """What one pass makes of an expression."""

    def one(name: str, e: Expr) -> Expr:
        step = next(p for p in PASSES if p.name == name)
        return run_pass(step, program_of(make, e)).update[0]

    return one


def test_fold(passed: Callable[[str, Expr], Expr]) -> None:
    two, three = const(2), const(3)
    assert passed("fold", raw("mul", raw("add", two, three, ()), x, (N,))) == mul(const(5), x)
    assert passed("fold", raw("add", full(1, (N,)), full(2, (N,)), (N,))) == full(3, (N,))
    assert passed("fold", mul(total(full(Fraction(1, 2), (4, 6))), x)) == mul(const(12), x)
    assert passed("fold", matmul(Expr("transpose", (Expr("transpose", (S,), (N, N)),), (N, N)), x)) == matmul(S, x)
    assert passed("fold", raw("div", x, const(4), (N,))) == mul(const(Fraction(1, 4)), x)
    assert passed("fold", raw("div", x, const(0), (N,))).op == "div"
    assert passed("fold", raw("mul", power(const(0), Fraction(-1)), x, (N,))).args[0].op == "pow"


def test_zeros(passed: Callable[[str, Expr], Expr]) -> None:
    zero = full(0, (N,))
    assert passed("zeros", raw("add", zero, x, (N,))) == x
    assert passed("zeros", raw("add", x, raw("mul", const(0), c, (N,)), (N,))) == x
    assert passed("zeros", raw("matmul", eye(N), x, (N,))) == x
    assert passed("zeros", raw("matmul", raw("matmul", S, eye(N), (N, N)), x, (N,))) == matmul(S, x)
    spread = raw("add", const(0), zero, (N,))
    assert passed("zeros", spread) == zero


def test_numbers_come_to_the_front(passed: Callable[[str, Expr], Expr]) -> None:
    half_x = mul(const(Fraction(1, 2)), x)
    assert passed("numbers", raw("matmul", S, half_x, (N,))) == mul(const(Fraction(1, 2)), matmul(S, x))
    assert passed("numbers", raw("mul", mul(const(3), c), half_x, (N,))) == mul(const(Fraction(3, 2)), mul(c, x))
    kept = matmul(mul(const(-1), T(S)), act("tanh", x))
    assert passed("numbers", kept) == kept, "a multiple of a weight alone is computed once"


def test_commuted_twins_are_shared(passed: Callable[[str, Expr], Expr]) -> None:
    a, b = act("tanh", x), act("sin", x)
    e = passed("share", raw("mul", raw("add", a, b, (N,)), raw("add", b, a, (N,)), (N,)))
    assert e.args[0] == e.args[1]
    alone = raw("add", c, x, (N,))
    assert passed("share", alone) == alone


def wide(make: MakeModel, per_step: bool, rows: int, **options: object) -> tuple[StepProgram, Expr, Expr]:
    state = leaf("state", "x", (64,))
    w = leaf("param", "W", (rows, 64))
    product = matmul(matmul(T(w), w), state)
    model = make({state: product}, (w,), solver="euler", steps=32, per_step=(w,) if per_step else (), **options)
    return lower(model), state, w


def test_chains_of_thin_matrices_are_taken_apart(make: MakeModel) -> None:
    program, state, w = wide(make, per_step=False, rows=4)
    products = [n for n in postorder(*optimise(program).update) if n.op == "matmul"]
    assert all(len(n.shape) == 1 for n in products) and len(products) == 2 and state in products[0].args
    assert w in {n for p in products for n in postorder(p)}


def test_products_that_are_the_same_in_all_steps_stay_together(make: MakeModel) -> None:
    program, _, _ = wide(make, per_step=False, rows=40)
    products = [n for n in postorder(*optimise(program).update) if n.op == "matmul"]
    assert sorted(n.shape for n in products) == [(64,), (64, 64)]


def test_products_of_weights_per_step_are_taken_apart(make: MakeModel) -> None:
    program, _, _ = wide(make, per_step=True, rows=40)
    products = [n for n in postorder(*optimise(program).update) if n.op == "matmul"]
    assert sorted(n.shape for n in products) == [(40,), (64,)]


def test_what_is_computed_once(make: MakeModel) -> None:
    K = leaf("param", "K", (N, N))
    u = leaf("input", "u", (N,))
    skew = sub(S, T(S))
    stepwise = add(matmul(K, u), mul(TIME, u))
    field = act("tanh", add(matmul(skew, x), stepwise))
    program = lower(make({x: field}, (S, K), (u,), solver="rk4", per_step=(K,)))
    split = split_invariant(program)
    assert skew in split.once
    assert stepwise in split.stepwise and matmul(K, u) not in split.stepwise
    assert not any(n.op == "const" for n in (*split.once, *split.stepwise))
    inside = {n for e in (*split.once, *split.stepwise) for n in postorder(e)}
    assert not any(n.op in ("state", "stage") for n in inside)
    assert not any(n == K or n.op == "time" for e in split.once for n in postorder(e))


def test_optimised_programs_run_to_the_same_end(make: MakeModel) -> None:
    field = neg(matmul(T(S), act("tanh", add(matmul(matmul(S, R), x), c))))
    for solver in ("rk4", "dopri5", "gauss2"):
        program = lower(make({x: field}, PARAMS, solver=solver))
        start = rng.normal(size=(2, N))
        after = run(optimise(program), WEIGHTS, [start])[0]
        np.testing.assert_allclose(after, run(program, WEIGHTS, [start])[0], rtol=1e-11)


def test_straight_line_code() -> None:
    e = add(matmul(S, x), act("tanh", matmul(S, x)))
    lines, results = linearise([e, x])
    assert [i.op for i in lines] == ["param", "state", "matmul", "act", "add"]
    assert results == (4, 1) and lines[4].args == (2, 3)
    assert all(a < i.result for i in lines for a in i.args)
    assert linearise([e, x]) == (lines, results)
