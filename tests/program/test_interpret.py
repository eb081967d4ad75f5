"""Whole runs of step programs: weights per step, inputs, given initial values, implicit equations, derivatives."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odespec.ir.expr import TIME, Expr, act, add, const, leaf, matmul, mul, neg, power, sub, total, transpose
from odespec.ir.model import Model
from odespec.program.interpret import ConvergenceError, jacobian, output, run
from odespec.program.lower import lower
from odespec.program.newton import TOLERANCE
from odespec.program.step import StepProgram
from odespec.solvers import SOLVERS, RungeKutta

MakeModel = Callable[..., Model]
T = transpose
Arrays = list[np.ndarray]

x, v = leaf("state", "x", (3,)), leaf("state", "v", (3,))
W, b = leaf("param", "W", (4, 3)), leaf("param", "b", (4,))
u = leaf("input", "u", (3,))
GRADIENT = neg(matmul(T(W), act("tanh", add(matmul(W, x), b))))
rng = np.random.default_rng(2)
WEIGHTS = {"W": rng.normal(size=(4, 3)) / 2, "b": rng.normal(size=4)}


def central(
    program: StepProgram, weights: dict[str, np.ndarray], states: Arrays, inputs: tuple[np.ndarray, ...] = ()
) -> np.ndarray:
    """Central differences ``[out, in]`` of the map from the free states (no batch axes)."""
    columns = []
    flat = np.concatenate([s.ravel() for s in states])
    ends = np.cumsum([s.size for s in states])[:-1]
    for i in range(flat.size):
        sides = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[i] += sign * 1e-6
            parts = [p.reshape(s.shape) for p, s in zip(np.split(moved, ends), states, strict=True)]
            sides.append(np.concatenate([f.ravel() for f in run(program, weights, parts, inputs)]))
        columns.append((sides[0] - sides[1]) / 2e-6)
    return np.stack(columns, axis=-1)


def test_data_per_step(make: MakeModel) -> None:
    """Step k reads copy k, in all of its stages."""
    field = add(neg(matmul(T(W), act("tanh", matmul(W, x)))), u)
    program = lower(make({x: field}, (W,), (u,), solver="heun", steps=3, time=(0, 3), per_step=(W, u)))
    weights, inputs = rng.normal(size=(3, 4, 3)), rng.normal(size=(2, 3, 3))
    start = rng.normal(size=(2, 3))
    expected = start
    for k in range(3):

        def f(s: np.ndarray, k: int = k) -> np.ndarray:
            return -np.tanh(s @ weights[k].T) @ weights[k] + inputs[:, k]

        slope = f(expected)
        expected = expected + (slope + f(expected + slope)) / 2
    found = run(program, {"W": weights}, [start], [inputs])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_batch_axes_of_everything_broadcast(make: MakeModel) -> None:
    program = lower(make({x: add(GRADIENT, u)}, (W, b), (u,), solver="implicit_midpoint"))
    states, inputs = rng.normal(size=(2, 1, 3)), rng.normal(size=(5, 3))
    weights = {"W": rng.normal(size=(2, 1, 4, 3)), "b": WEIGHTS["b"]}
    found = run(program, weights, [states], [inputs])[0]
    slopes = jacobian(program, weights, [states], [inputs])
    assert found.shape == (2, 5, 3) and slopes.shape == (2, 5, 3, 3)
    for i in range(2):
        for j in range(5):
            own = {"W": weights["W"][i, 0], "b": weights["b"]}
            np.testing.assert_allclose(found[i, j], run(program, own, [states[i, 0]], [inputs[j]])[0], rtol=1e-11)
            np.testing.assert_allclose(slopes[i, j], jacobian(program, own, [states[i, 0]], [inputs[j]]), rtol=1e-9)


def test_trajectory(make: MakeModel) -> None:
    program = lower(make({x: GRADIENT}, (W, b), solver="rk4", steps=5))
    start = rng.normal(size=(2, 3))
    path = run(program, WEIGHTS, [start], trajectory=True)[0]
    assert path.shape == (2, 6, 3)
    np.testing.assert_array_equal(path[:, 0], start)
    np.testing.assert_array_equal(path[:, -1], run(program, WEIGHTS, [start])[0])


def test_given_initial_values(make: MakeModel) -> None:
    """They may read params, inputs and the states before; the derivative sees through them."""
    initial = add(act("tanh", x), u)
    program = lower(make({x: neg(v), v: mul(x, v)}, (), (u,), solver="rk4", initial={v: initial}))
    start, held = rng.normal(size=3), rng.normal(size=3)
    path = run(program, {}, [start], [held], trajectory=True)
    np.testing.assert_allclose(path[1][0], np.tanh(start) + held)
    slopes = jacobian(program, {}, [start], [held])
    assert slopes.shape == (6, 3)
    np.testing.assert_allclose(slopes, central(program, {}, [start], (held,)), atol=1e-8)


def test_outputs(make: MakeModel) -> None:
    C = leaf("param", "C", (2, 3))
    read = add(matmul(C, x), mul(TIME, total(x)))
    program = lower(make({x: neg(x)}, (C,), solver="euler", steps=2, time=(0, 3), output=read))
    weights = {"C": rng.normal(size=(2, 3))}
    final = run(program, weights, [np.ones(3)])
    np.testing.assert_allclose(output(program, weights, final)[0], weights["C"] @ final[0] + 3 * final[0].sum())


IMPLICIT = sorted(n for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta) and not m.scheme.explicit)


@pytest.mark.parametrize("name", IMPLICIT)
def test_stiff_equations_are_solved(make: MakeModel, name: str) -> None:
    """A linear field with eigenvalues down to -1e6: the result is R(h lambda)."""
    rates = leaf("param", "r", (3,))
    program = lower(make({x: mul(rates, x)}, (rates,), solver=name, steps=2, time=(0, 2)))
    weights = {"r": np.array([-1e6, -3.0, 0.2])}
    from odespec.solvers import facts

    scheme = SOLVERS[name].scheme
    assert isinstance(scheme, RungeKutta)
    N, D = ([float(a) for a in p][::-1] for p in facts.stability_function(scheme))
    expected = (np.polyval(N, weights["r"]) / np.polyval(D, weights["r"])) ** 2
    np.testing.assert_allclose(run(program, weights, [np.ones(3)])[0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", IMPLICIT)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_implicit_residuals(make: MakeModel, name: str, activation: str) -> None:
    """Where the field has kinks too, and the step is long."""
    field = neg(matmul(T(W), act(activation, add(matmul(W, x), b))))
    program = lower(make({x: field}, (W, b), solver=name, steps=1, time=(0, 5)))
    start = rng.normal(size=(20, 3)) * 3
    from odespec.program.evaluate import evaluate
    from odespec.program.newton import solve

    env = {x: start, W: WEIGHTS["W"], b: WEIGHTS["b"], TIME: np.zeros(())}
    for group in program.solves:
        found = solve(group, env, [start] * len(group.unknowns))
        env.update(zip(group.unknowns, found, strict=True))
        for value, unknown in zip(evaluate(group.values, env), found, strict=True):
            assert np.abs(value - unknown).max() < 1e4 * TOLERANCE * np.abs(unknown).max()


def test_equations_without_a_solution(make: MakeModel) -> None:
    """``y = x + y^2 + 1`` has no real solution for x = 0."""
    y = leaf("state", "y", ())
    program = lower(make({y: add(power(y, Fraction(2)), const(1))}, solver="backward_euler", steps=1))
    with pytest.raises(ConvergenceError):
        run(program, {}, [np.zeros(())])
    assert issubclass(ConvergenceError, ArithmeticError)


@pytest.mark.parametrize("name", sorted(n for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta)))
def test_jacobian(make: MakeModel, name: str) -> None:
    program = lower(make({x: add(GRADIENT, mul(TIME, v)), v: sub(act("sin", x), v)}, (W, b), solver=name, steps=2))
    states = [rng.normal(size=3), rng.normal(size=3)]
    np.testing.assert_allclose(jacobian(program, WEIGHTS, states), central(program, WEIGHTS, states), atol=2e-8)


@pytest.mark.parametrize("name", ["symplectic_euler", "verlet", "yoshida4"])
def test_symplectic_jacobians(make: MakeModel, name: str) -> None:
    field = {x: matmul(T(W), act("tanh", matmul(W, v))), v: neg(matmul(T(W), act("sin", matmul(W, x))))}
    program = lower(make(field, (W,), solver=name, steps=3))
    states = [rng.normal(size=3), rng.normal(size=3)]
    J = jacobian(program, WEIGHTS, states)
    np.testing.assert_allclose(J, central(program, WEIGHTS, states), atol=1e-7)
    form = np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])
    np.testing.assert_allclose(J.T @ form @ J, form, atol=1e-12)


def test_wrong_arguments(make: MakeModel) -> None:
    program = lower(make({x: add(GRADIENT, u)}, (W, b), (u,), per_step=(b,)))
    good = {"W": np.zeros((4, 3)), "b": np.zeros((4, 4))}
    s, i = np.zeros(3), np.zeros(3)
    run(program, good, [s], [i])
    for weights, states, inputs, what in [
        ({"W": np.zeros((4, 3))}, [s], [i], "no weight b"),
        (good, [], [i], "1 states expected"),
        (good, [s], [], "1 inputs expected"),
        (good, [np.zeros(2)], [i], "x has shape"),
        ({**good, "W": np.zeros((3, 4))}, [s], [i], "W has shape"),
        ({**good, "b": np.zeros(4)}, [s], [i], "4 copies"),
        ({**good, "b": np.zeros((3, 4))}, [s], [i], "4 copies"),
    ]:
        with pytest.raises(ValueError, match=what):
            run(program, weights, states, inputs)  # type: ignore[arg-type]


# --- random programs -----------------------------------------------------------

SMOOTH = ["tanh", "sigmoid", "sin", "arctan", "softsign", "silu", "gelu"]


def expressions(depth: int) -> st.SearchStrategy[Expr]:
    """Vector fields of x built from the usual pieces."""
    square = leaf("param", "S", (3, 3))
    bias = leaf("param", "c", (3,))
    if depth == 0:
        return st.sampled_from([x, x, bias, mul(TIME, x), u])
    inner = expressions(depth - 1)
    return st.one_of(
        inner,
        st.builds(act, st.sampled_from(SMOOTH), inner),
        st.builds(lambda e: matmul(square, e), inner),
        st.builds(lambda e: matmul(sub(square, T(square)), e), inner),
        st.builds(add, inner, inner),
        st.builds(lambda e, f: mul(act("tanh", e), f), inner, inner),
        st.builds(lambda c, e: mul(const(c), e), st.fractions(-1, 1, max_denominator=8), inner),
        st.builds(lambda e: Expr("softmax", (e,), (3,), 0), inner),
        st.builds(lambda e, f: mul(total(e), f), inner, st.just(bias)),
        st.builds(lambda e: Expr("layernorm", (e,), (3,), (0, Fraction(1, 2))), inner),
    )


RANDOM_WEIGHTS = {"S": rng.normal(size=(3, 3)) * 0.4, "c": rng.normal(size=3)}
PARAMS = (leaf("param", "S", (3, 3)), leaf("param", "c", (3,)))


@given(
    field=expressions(3),
    solver=st.sampled_from(["heun", "rk4", "implicit_midpoint", "sdirk2"]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_fields(make: MakeModel, field: Expr, solver: str, seed: int) -> None:
    """A batch is its members one by one, and the Jacobian is that of central differences."""
    program = lower(make({x: field}, PARAMS, (u,), solver=solver, steps=2, time=(0, Fraction(1, 2))))
    draw = np.random.default_rng(seed)
    states, inputs = draw.normal(size=(2, 3)), draw.normal(size=(2, 3))
    many = run(program, RANDOM_WEIGHTS, [states], [inputs])[0]
    slopes = jacobian(program, RANDOM_WEIGHTS, [states], [inputs])
    for i in range(2):
        alone = run(program, RANDOM_WEIGHTS, [states[i]], [inputs[i]])[0]
        np.testing.assert_allclose(many[i], alone, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            slopes[i], central(program, RANDOM_WEIGHTS, [states[i]], (inputs[i],)), rtol=1e-5, atol=1e-6
        )
