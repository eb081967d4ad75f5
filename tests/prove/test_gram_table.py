"""Worst cases whose values are known, each to 1e-6."""

from __future__ import annotations

import sys
from fractions import Fraction
from math import inf, sqrt
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import hand_models as b

from odespec.ir.expr import Expr, act, add, const, eye, leaf, matmul, matmul_last, mul, neg, transpose
from odespec.program.lower import lower
from odespec.program.step import StepProgram
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.relations import flow_problem, read_step, solvability_problem, step_problem

F = Fraction


def expansion(program: StepProgram, *, below: bool = False, steps: int = 1) -> float:
    """The largest (smallest) ratio of distances after and before."""
    found = worst_case(step_problem(program, lower=below, steps=steps))
    assert found.status in ("solved", "almost", "unbounded")
    return sqrt(max(found.value, 0.0)) if found.value < inf else inf


def flow_of(solver: str, h: str, activation: str = "relu") -> StepProgram:
    field, constraints = b.gradient_flow(activation)
    return b.program(field, solver=solver, h=F(h), constraints=constraints)


@pytest.mark.parametrize(
    ("solver", "h", "value"),
    [
        ("euler", "1.9", 1.0),
        ("euler", "2", 1.0),
        ("euler", "2.1", 1.1),
        ("heun", "2", 1.0),
        ("ssprk3", "2", 1.0),
        ("rk4", "2", 1.0),
        ("rk4", "2.1", 1.003789),
        ("midpoint", "0.5", 1.002853),
        ("rk3", "1", 1.0),
        ("rk38", "0.928", 1.0),
        ("ralston", "1.58", 1.0),
        ("backward_euler", "0.1", 1.0),
        ("backward_euler", "100", 1.0),
        ("implicit_midpoint", "0.1", 1.0),
        ("implicit_midpoint", "100", 1.0),
        ("trapezoid", "4", 1.0),
        ("trapezoid", "4.01", 1.005),
        ("gauss2", "4", 1.0),
        ("sdirk2", "16.48", 1.0),
    ],
)
def test_gradient_flow(solver: str, h: str, value: float) -> None:
    """design: -W.T@s(W@x+b) with norm(W) <= 1 and slopes in [0, 1]; thresholds are twice the circle radius."""
    assert expansion(flow_of(solver, h)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("solver", "h"),
    [("heun", "2.02"), ("ssprk3", "2.02"), ("rk3", "1.02"), ("rk38", "0.94"), ("ralston", "1.6"), ("sdirk2", "16.6"),
     ("midpoint", "0.1")],
)  # fmt: skip
def test_just_beyond_the_threshold(solver: str, h: str) -> None:
    assert expansion(flow_of(solver, h)) > 1 + 1e-6


@pytest.mark.parametrize(("h", "value"), [("0.19", 0.99923), ("0.2", 1.0002)])
def test_damped_skew(h: str, value: float) -> None:
    """The threshold is 2 g / (g^2 + 1) = 0.19802: |1 - h g + i h|."""
    field, constraints, structures = b.skew_damped(F(1, 10))
    program = b.program(field, h=F(h), constraints=constraints, structures=structures)
    exact = sqrt((1 - float(F(h)) / 10) ** 2 + float(F(h)) ** 2)
    assert expansion(program) == pytest.approx(exact, abs=1e-6)
    assert exact == pytest.approx(value, abs=1e-5)


def test_eigenvalues_are_not_enough() -> None:
    """s((S - I/2) x): every eigenvalue says stable, and the step expands."""
    x, S = b.state("x", 3), b.param("S", 3, 3)
    field = {"x": act("relu", matmul(add(S, mul(const(F(-1, 2)), eye(3))), x))}
    program = b.program(field, h=F(1, 10), constraints=(b.norm(S, 1),), structures={"S": "skew"})
    assert expansion(program) == pytest.approx(1.032183, abs=1e-6)


def test_hamiltonian_pair_with_verlet() -> None:
    """A shear up and the same shear down: the product of largest and smallest is one."""
    field, constraints = b.hamiltonian()
    program = b.program(field, solver="verlet", h=F(1, 10), constraints=constraints)
    largest, smallest = expansion(program), expansion(program, below=True)
    assert largest == pytest.approx(1.05128, abs=1e-5)
    assert smallest == pytest.approx(0.95122, abs=1e-5)
    assert largest * smallest == pytest.approx(1.0, abs=1e-6)


def test_every_facet_of_an_elementwise_chain() -> None:
    """-v*relu(x + b) under rk4: 1.129 with the last argument alone, exactly 1 with the whole chain."""
    x, v, bias = b.state("x", 3), b.param("v", 3), b.param("b", 3)
    program = b.program(
        {"x": neg(mul(v, act("relu", add(x, bias))))}, solver="rk4", h=2, constraints=(b.within(v, 0, 1),)
    )
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)


def test_factors_on_both_sides_commute() -> None:
    """X' = -G.T relu(G X K) K.T: with words in one order only the bound would be far above one."""
    X, G, K = b.state("X", 5, 3), b.param("G", 4, 5), b.param("K", 3, 2)
    inner = act("relu", matmul_last(matmul(G, X), K))
    field = {"X": neg(matmul_last(matmul(transpose(G), inner), transpose(K)))}
    program = b.program(field, h=2, constraints=(b.norm(G, 1), b.norm(K, 1)))
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)


def test_symmetric_factors_on_both_sides() -> None:
    """X' = -L X K with eigenvalues of L in [0, 2] and of K in [0, 1]: those of the product are in [0, 2]."""
    X, L, K = b.state("X", 5, 3), b.param("L", 5, 5), b.param("K", 3, 3)
    program = b.program(
        {"X": neg(matmul_last(matmul(L, X), K))},
        constraints=(b.within(L, 0, 2, "eig"), b.within(K, 0, 1, "eig")),
        structures={"L": "symmetric", "K": "symmetric"},
    )
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)


def test_a_norm_that_stands_in_the_field() -> None:
    """x - (2 / s^2) W.T relu(W x) with s >= norm(W): non-expansive without any bound of W."""
    x, W = b.state("x", 3), b.param("W", 4, 3)
    s = Expr("bound", (W,), ())
    factor = Expr("div", (const(-2), Expr("pow", (s,), (), F(2))), ())
    program = b.program({"x": mul(factor, matmul(transpose(W), act("relu", matmul(W, x))))})
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("rows", "below"), [(4, 0.9), (3, 0.9), (2, 0.9)])
def test_orthogonal(rows: int, below: float) -> None:
    """x - 0.9 W.T s(W x), slopes in [1/9, 1]; a wide W leaves directions where nothing happens."""
    x, W = b.state("x", 3), b.param("W", rows, 3)
    field = {"x": neg(matmul(transpose(W), act("leaky_relu", matmul(W, x), (F(1, 9),))))}
    program = b.program(field, h=F(9, 10), structures={"W": "orthogonal"})
    assert expansion(program) == pytest.approx(below if rows >= 3 else 1.0, abs=1e-6)
    assert expansion(program, below=True) == pytest.approx(0.1, abs=1e-6)


def test_singular_values_from_below() -> None:
    """sigma(W) in [1/2, 1]: eigenvalues of W.T D W in [1/8, 1] for slopes in [1/2, 1]."""
    x, W = b.state("x", 3), b.param("W", 4, 3)
    field = {"x": neg(matmul(transpose(W), act("leaky_relu", matmul(W, x), (F(1, 2),))))}
    program = b.program(field, constraints=(b.within(W, F(1, 2), 1, "sigma"),))
    assert expansion(program) == pytest.approx(7 / 8, abs=1e-6)


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        (lambda W: (b.norm(W, 1, 1), b.norm(W, 4, "inf")), 2.0),
        (lambda W: (b.within(W, F(-1, 4), F(1, 4)),), 1.0),
        (lambda W: (b.norm(matmul(transpose(W), W), F(9, 4)),), 1.5),
        (lambda W: (b.norm(mul(const(-2), transpose(W)), 3),), 1.5),
    ],
)
def test_norms_from_other_constraints(constraint, value: float) -> None:
    """The residual step x + W x expands by at most 1 + norm(W)."""
    x, W = b.state("x", 4), b.param("W", 4, 4)
    assert expansion(b.program({"x": matmul(W, x)}, constraints=constraint(W))) == pytest.approx(1 + value, abs=1e-6)


def test_the_norm_of_a_compound() -> None:
    """x + h (W - W.T) x with norm(W - W.T) <= 1: sqrt(1 + h^2)."""
    x, W = b.state("x", 3), b.param("W", 3, 3)
    A = add(W, neg(transpose(W)))
    assert expansion(b.program({"x": matmul(A, x)}, constraints=(b.norm(A, 1),))) == pytest.approx(sqrt(2), abs=1e-6)


@pytest.mark.parametrize(("per_step", "value"), [((), 1.0), (("W",), 4.0)])
def test_weights_per_step_are_different_operators(per_step: tuple[str, ...], value: float) -> None:
    """x + W x, then x - W x: with one W both together are I - W^2, with two they may expand by 2 each."""
    x, W = b.state("x", 3), b.param("W", 3, 3)
    sign = add(const(1), mul(const(-2), Expr("time", (), ())))
    program = b.program(
        {"x": mul(sign, matmul(W, x))},
        steps=2,
        constraints=(b.within(W, -1, 1, "eig"),),
        structures={"W": "symmetric"},
        per_step=per_step,
    )
    problem = step_problem(program, lower=False, steps=2, at=0)
    assert sqrt(worst_case(problem).value) == pytest.approx(value, abs=1e-5)


def test_time_by_interval_and_by_number() -> None:
    """x - t x: over all steps t is in [0, 3/2], at each step it is a number."""
    x = b.state("x", 2)
    program = b.program({"x": neg(mul(Expr("time", (), ()), x))}, h=F(1, 2), steps=4)
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)
    assert expansion(program, below=True) == pytest.approx(0.25, abs=1e-6)
    for k in range(4):
        problem = step_problem(program, lower=False, at=k)
        assert worst_case(problem).value == pytest.approx((1 - k / 4) ** 2, abs=1e-9)


def test_a_bounded_gate() -> None:
    """-x + u * tanh(W x), entries of u in [-1, 1]: an input is a diagonal factor."""
    x, W, u = b.state("x", 3), b.param("W", 3, 3), leaf("input", "u", (3,))
    field = {"x": add(neg(x), mul(u, act("tanh", matmul(W, x))))}
    program = b.program(field, constraints=(b.norm(W, 1),), domains=(b.within(u, -1, 1),))
    assert expansion(program) == pytest.approx(1.0, abs=1e-6)


def test_a_product_of_bounded_factors() -> None:
    """sigmoid(x) * tanh(x): slopes at most 1/4 * 1 + 1 * 1, and one of each at least 0."""
    x = b.state("x", 3)
    program = b.program({"x": mul(act("sigmoid", x), act("tanh", x))})
    assert 2.0 <= expansion(program) <= 2.25 + 1e-6


@pytest.mark.parametrize(("h", "value"), [("4", 1.0), ("4.1", 1.05)])
def test_softmax_is_a_symmetric_matrix_up_to_one_half(h: str, value: float) -> None:
    x, M = b.state("x", 3), b.param("M", 4, 3)
    field = {"x": neg(matmul(transpose(M), Expr("softmax", (matmul(M, x),), (4,), 0)))}
    assert expansion(b.program(field, h=F(h), constraints=(b.norm(M, 1),))) == pytest.approx(value, abs=1e-6)


def test_logarithmic_norms() -> None:
    x, W = b.state("x", 3), b.param("W", 3, 3)
    leaky = b.model({"x": add(neg(x), matmul(W, act("tanh", x)))}, constraints=(b.norm(W, F(1, 2)),))
    assert worst_case(flow_problem(leaky, lower=False)).value == pytest.approx(-0.5, abs=1e-6)
    assert worst_case(flow_problem(leaky, lower=True)).value == pytest.approx(-1.5, abs=1e-6)
    field, constraints = b.gradient_flow()
    assert worst_case(flow_problem(b.model(field, constraints=constraints), lower=False)).value == pytest.approx(
        0.0, abs=1e-6
    )


def test_an_unbounded_weight_has_no_bound() -> None:
    field, _ = b.gradient_flow()
    found = worst_case(step_problem(b.program(field), lower=False))
    assert (found.value, found.status) == (inf, "unbounded")
    below = worst_case(step_problem(b.program(field), lower=True))
    assert below.value == pytest.approx(0.0, abs=1e-6)


# --- unique solvability ------------------------------------------------------------


@pytest.mark.parametrize("solver", ["backward_euler", "implicit_midpoint", "gauss2", "sdirk2", "trapezoid"])
def test_stages_of_a_monotone_field_exist(solver: str) -> None:
    field, constraints = b.gradient_flow()
    problem = solvability_problem(b.program(field, solver=solver, h=3, constraints=constraints))
    assert problem is not None
    assert worst_case(problem).value < 100


def test_stages_may_not_exist() -> None:
    """y = x + h W relu(y) with h norm(W) > 1 may have no solution."""
    x, W = b.state("x", 3), b.param("W", 3, 3)
    field = {"x": matmul(W, act("relu", x))}
    problem = solvability_problem(b.program(field, solver="backward_euler", h=F(11, 10), constraints=(b.norm(W, 1),)))
    assert problem is not None
    assert worst_case(problem).value == inf


def test_an_explicit_step_has_nothing_to_solve() -> None:
    assert solvability_problem(flow_of("rk4", "1")) is None


# --- the reading -------------------------------------------------------------------


def test_the_plain_basis_gives_the_same_bound() -> None:
    program = flow_of("rk4", "2.1")
    problems = [read_step(program, lower=False, plain=plain).problem for plain in (False, True)]
    values = [worst_case(p).value for p in problems]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_gram_matrices_are_a_worst_case() -> None:
    """The primal: denominators one, numerators the value, all of them positive semidefinite."""
    import numpy as np

    problem = step_problem(flow_of("euler", "2.1"), lower=False)
    found = worst_case(problem)
    spaces = [[i for i, v in enumerate(problem.basis) if v.space == s] for s in range(len(found.gram))]
    product = {}
    for members, gram in zip(spaces, found.gram, strict=True):
        assert np.linalg.eigvalsh(gram)[0] > -1e-6
        product |= {(i, j): gram[a, c] for a, i in enumerate(members) for c, j in enumerate(members)}
    assert sum(float(c) * product[p] for p, c in problem.denominator) == pytest.approx(1.0, abs=1e-6)
    assert sum(float(c) * product[p] for p, c in problem.numerator) == pytest.approx(found.value, abs=1e-5)


def test_reading_is_deterministic() -> None:
    """Reading twice gives the same problem, vector for vector."""
    assert step_problem(flow_of("rk4", "1"), lower=False) == step_problem(flow_of("rk4", "1"), lower=False)


def test_many_steps_of_a_deep_field() -> None:
    """A field of thousands of terms is walked without recursion."""
    x = b.state("x", 2)
    field = x
    for _ in range(3000):
        field = add(field, mul(const(F(1, 1000)), x))
    assert expansion(lower(b.model({"x": field}))) == pytest.approx(5.0, abs=1e-6)
