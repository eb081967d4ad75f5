"""Step programs against steps written by hand, against an accurate integrator, and for their structure."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import root as find_root

from odespec.ir.expr import (
    TIME,
    Expr,
    act,
    add,
    const,
    depends_on,
    leaf,
    leaves,
    matmul,
    mul,
    neg,
    postorder,
    sub,
    transpose,
)
from odespec.ir.model import Model, Noise
from odespec.program.interpret import run
from odespec.program.lower import NotLowered, blocks, lower
from odespec.solvers import SOLVERS, Composition, RungeKutta
from odespec.source import Source, Span

MakeModel = Callable[..., Model]
T = transpose
Vector = np.ndarray
Field = Callable[[float, Vector], Vector]

x = leaf("state", "x", (3,))
W = leaf("param", "W", (4, 3))
b = leaf("param", "b", (4,))
MOVING = add(neg(matmul(T(W), act("tanh", add(add(matmul(W, x), b), mul(TIME, b))))), mul(const(Fraction(1, 4)), x))

rng = np.random.default_rng(0)
WEIGHTS = {"W": rng.normal(size=(4, 3)) * 0.7, "b": rng.normal(size=4)}
START = rng.normal(size=3)


def f(t: float, v: Vector) -> Vector:
    w, bias = WEIGHTS["W"], WEIGHTS["b"]
    result: Vector = -w.T @ np.tanh(w @ v + bias + t * bias) + v / 4
    return result


def implicit(equation: Callable[[Vector], Vector], guess: Vector) -> Vector:
    solution = np.asarray(find_root(lambda v: v - equation(v), guess, tol=1e-12).x)
    assert np.abs(solution - equation(solution)).max() < 1e-13
    return solution


def ssprk3(t: float, v: Vector, h: float) -> Vector:
    """In the form of Shu and Osher, as averages of Euler steps."""
    u = v + h * f(t, v)
    u = 3 / 4 * v + 1 / 4 * (u + h * f(t + h, u))
    return v / 3 + 2 / 3 * (u + h * f(t + h / 2, u))


def heun(t: float, v: Vector, h: float) -> Vector:
    k = f(t, v)
    return v + h / 2 * (k + f(t + h, v + h * k))


def rk3(t: float, v: Vector, h: float) -> Vector:
    k1 = f(t, v)
    k2 = f(t + h / 2, v + h / 2 * k1)
    return v + h / 6 * (k1 + 4 * k2 + f(t + h, v - h * k1 + 2 * h * k2))


def rk4(t: float, v: Vector, h: float) -> Vector:
    k1 = f(t, v)
    k2 = f(t + h / 2, v + h / 2 * k1)
    k3 = f(t + h / 2, v + h / 2 * k2)
    return v + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, v + h * k3))


def rk38(t: float, v: Vector, h: float) -> Vector:
    k1 = f(t, v)
    k2 = f(t + h / 3, v + h / 3 * k1)
    k3 = f(t + 2 * h / 3, v + h * (k2 - k1 / 3))
    return v + h / 8 * (k1 + 3 * k2 + 3 * k3 + f(t + h, v + h * (k1 - k2 + k3)))


def bosh3(t: float, v: Vector, h: float) -> Vector:
    k1 = f(t, v)
    k2 = f(t + h / 2, v + h / 2 * k1)
    return v + h / 9 * (2 * k1 + 3 * k2 + 4 * f(t + 3 * h / 4, v + 3 * h / 4 * k2))


def sdirk2(t: float, v: Vector, h: float) -> Vector:
    g = 1 - 1 / np.sqrt(2)
    first = implicit(lambda u: v + h * g * f(t + g * h, u), v)
    return implicit(lambda u: v + h * ((1 - g) * f(t + g * h, first) + g * f(t + h, u)), first)


def gauss2(t: float, v: Vector, h: float) -> Vector:
    s = np.sqrt(3) / 6
    A = np.array([[1 / 4, 1 / 4 - s], [1 / 4 + s, 1 / 4]])

    def slopes(k: Vector) -> Vector:
        stages = v + h * A @ k.reshape(2, 3)
        return np.concatenate([f(t + c * h, u) for c, u in zip(A.sum(1), stages, strict=True)])

    return v + h * implicit(slopes, np.tile(f(t, v), 2)).reshape(2, 3).mean(axis=0)


HAND: dict[str, Callable[[float, Vector, float], Vector]] = {
    "euler": lambda t, v, h: v + h * f(t, v),
    "heun": heun,
    "midpoint": lambda t, v, h: v + h * f(t + h / 2, v + h / 2 * f(t, v)),
    "ralston": lambda t, v, h: v + h / 4 * (f(t, v) + 3 * f(t + 2 * h / 3, v + 2 * h / 3 * f(t, v))),
    "ssprk3": ssprk3,
    "rk3": rk3,
    "rk4": rk4,
    "rk38": rk38,
    "bosh3": bosh3,
    "backward_euler": lambda t, v, h: implicit(lambda u: v + h * f(t + h, u), v),
    "trapezoid": lambda t, v, h: implicit(lambda u: v + h / 2 * (f(t, v) + f(t + h, u)), v),
    "implicit_midpoint": lambda t, v, h: implicit(lambda u: v + h * f(t + h / 2, (u + v) / 2), v),
    "sdirk2": sdirk2,
    "gauss2": gauss2,
}


@pytest.mark.parametrize("name", sorted(HAND))
def test_steps_are_those_written_by_hand(make: MakeModel, name: str) -> None:
    program = lower(make({x: MOVING}, (W, b), solver=name, steps=3, time=(Fraction(1, 2), 2)))
    expected, h = START, 0.5
    for k in range(3):
        expected = HAND[name](0.5 + k * h, expected, h)
    np.testing.assert_allclose(run(program, WEIGHTS, [START])[0], expected, rtol=1e-12, atol=1e-12)


RUNGE_KUTTA = sorted(n for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta))


@pytest.mark.parametrize("name", RUNGE_KUTTA)
def test_convergence_is_of_the_order(make: MakeModel, name: str) -> None:
    order = SOLVERS[name].order
    assert order is not None
    exact = solve_ivp(f, (0.5, 2.0), START, method="DOP853", rtol=3e-14, atol=1e-15).y[:, -1]
    coarse = {1: 160, 2: 40, 3: 20, 4: 16, 5: 10, 8: 5}[order]
    errors = []
    for steps in (coarse, 2 * coarse):
        program = lower(make({x: MOVING}, (W, b), solver=name, steps=steps, time=(Fraction(1, 2), 2)))
        errors.append(np.linalg.norm(run(program, WEIGHTS, [START])[0] - exact))
    assert np.log2(errors[0] / errors[1]) > order - (0.35 if order < 8 else 0.7)  # the eighth order shows late
    assert errors[1] < 1e-2


# --- partitioned ---------------------------------------------------------------

q = leaf("state", "q", (2,))
p = leaf("state", "p", (2,))
DRIFT = add(act("tanh", p), mul(TIME, p))
KICK = sub(neg(act("sin", q)), mul(TIME, q))


def drift(t: float, v: Vector) -> Vector:
    return np.tanh(v) + t * v


def kick(t: float, v: Vector) -> Vector:
    return -np.sin(v) - t * v


def both(t: float, v: Vector) -> Vector:
    return np.concatenate([drift(t, v[2:]), kick(t, v[:2])])


def test_symplectic_euler_by_hand(make: MakeModel) -> None:
    """Also where the halves depend on themselves."""
    program = lower(make({q: add(DRIFT, q), p: sub(KICK, p)}, solver="symplectic_euler", steps=3, time=(0, 1)))
    u, v = np.array([0.3, -1.0]), np.array([0.5, 2.0])
    final = run(program, {}, [u, v])
    for k in range(3):
        t, h = k / 3, 1 / 3
        v = v + h * (kick(t, u) - v)
        u = u + h * (drift(t, v) + u)
    np.testing.assert_allclose(final[0], u, rtol=1e-13)
    np.testing.assert_allclose(final[1], v, rtol=1e-13)


def test_verlet_by_hand(make: MakeModel) -> None:
    program = lower(make({q: DRIFT, p: KICK}, solver="verlet", steps=3, time=(0, 1)))
    u, v = np.array([0.3, -1.0]), np.array([0.5, 2.0])
    final = run(program, {}, [u, v])
    for k in range(3):
        t, h = k / 3, 1 / 3
        v = v + h / 2 * kick(t, u)
        u = u + h * drift(t + h / 2, v)
        v = v + h / 2 * kick(t + h, u)
    np.testing.assert_allclose(final[0], u, rtol=1e-13)
    np.testing.assert_allclose(final[1], v, rtol=1e-13)


@pytest.mark.parametrize("name", sorted(n for n, m in SOLVERS.items() if isinstance(m.scheme, Composition)))
def test_partitioned_convergence(make: MakeModel, name: str) -> None:
    start = np.array([0.3, -1.0, 0.5, 2.0])
    exact = solve_ivp(both, (0, 1), start, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
    order = SOLVERS[name].order
    assert order is not None
    errors = []
    for steps in (20, 40):
        program = lower(make({q: DRIFT, p: KICK}, solver=name, steps=steps))
        errors.append(np.linalg.norm(np.concatenate(run(program, {}, [start[:2], start[2:]])) - exact))
    assert np.log2(errors[0] / errors[1]) > order - 0.3


@pytest.mark.parametrize("name", ["verlet", "yoshida4"])
def test_separable_only(make: MakeModel, name: str) -> None:
    with pytest.raises(NotLowered, match="not separable"):
        lower(make({q: DRIFT, p: sub(KICK, p)}, solver=name))
    with pytest.raises(NotLowered, match="1 states"):
        lower(make({q: neg(q)}, solver=name))


# --- structure -----------------------------------------------------------------


def activations(program: Any) -> int:
    roots = (*program.update, *(v for s in program.solves for v in s.values))
    return sum(n.op == "act" for n in postorder(*roots))


@pytest.mark.parametrize(
    ("name", "evaluations", "groups"),
    [
        ("euler", 1, ()),
        ("rk4", 4, ()),
        ("bosh3", 3, ()),
        ("dopri5", 6, ()),
        ("trapezoid", 2, (1,)),
        ("gauss2", 2, (2,)),
        ("radau5", 3, (3,)),
        ("sdirk2", 2, (1, 1)),
        ("kvaerno5", 7, (1,) * 6),
    ],
)
def test_each_stage_is_evaluated_once(make: MakeModel, name: str, evaluations: int, groups: tuple[int, ...]) -> None:
    program = lower(make({x: MOVING}, (W, b), solver=name))
    assert activations(program) == evaluations
    assert tuple(len(s.unknowns) for s in program.solves) == groups


def test_stages_at_different_points_are_different(make: MakeModel) -> None:
    program = lower(make({q: DRIFT, p: KICK}, solver="verlet"))
    assert activations(program) == 3
    assert activations(lower(make({q: DRIFT, p: KICK}, solver="yoshida4"))) == 7


def test_later_groups_use_earlier_unknowns_only(make: MakeModel) -> None:
    program = lower(make({q: act("tanh", p), p: neg(act("sin", q))}, solver="kvaerno5"))
    known: set[Expr] = set()
    for group in program.solves:
        known |= set(group.unknowns)
        used = {n for n in postorder(*group.values) if n.op == "stage"}
        assert used <= known
    numbers = [u.data for g in program.solves for u in g.unknowns]
    assert len(set(numbers)) == len(numbers) == 12


def test_blocks() -> None:
    o, i = Fraction(0), Fraction(1)
    assert blocks([[o, o], [i, o]]) == (range(1), range(1, 2))
    assert blocks([[o, i], [i, o]]) == (range(2),)
    assert blocks([[o, o, o], [i, i, i], [i, i, i]]) == (range(1), range(1, 3))


def test_the_step_is_exact(make: MakeModel) -> None:
    program = lower(make({x: neg(x)}, solver="euler", steps=10, time=(0, 1)))
    assert program.h == Fraction(1, 10) and program.steps == 10 and program.start == 0
    assert program.update == (add(x, mul(const(Fraction(-1, 10)), x)),)


def test_autonomous_fields_do_not_read_the_time(make: MakeModel) -> None:
    program = lower(make({x: act("tanh", x)}, solver="rk4"))
    assert not depends_on(program.update[0], "time")
    assert ("time", None) in leaves(*lower(make({x: MOVING}, (W, b), solver="rk4")).update)


def test_users_tableau(make: MakeModel) -> None:
    half, one, zero = Fraction(1, 2), Fraction(1), Fraction(0)
    mine = make({x: MOVING}, (W, b), solver="tableau", tableau=(((zero, zero), (one, zero)), (half, half)))
    assert lower(mine).update == lower(make({x: MOVING}, (W, b), solver="heun")).update


def test_map(make: MakeModel) -> None:
    program = lower(make({q: p, p: add(q, p)}, solver="map", steps=5))
    assert program.h == 1 and program.update == (p, add(q, p))
    final = run(program, {}, [np.array([1.0, 0.0]), np.array([1.0, 1.0])])
    np.testing.assert_array_equal(final, [[8, 5], [13, 8]])


def test_stages_are_put_in_all_at_once(make: MakeModel) -> None:
    """A field that swaps the states must not see one stage through the other."""
    program = lower(make({q: mul(const(2), p), p: mul(const(2), q)}, solver="midpoint", steps=1, time=(0, 2)))
    u, v = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    final = run(program, {}, [u, v])
    np.testing.assert_allclose(final[0], u + 4 * (v + 2 * u))
    np.testing.assert_allclose(final[1], v + 4 * (u + 2 * v))


@pytest.mark.parametrize(
    ("solver", "steps", "what"),
    [
        ("dopri5", None, "adaptive solver `dopri5`"),
        ("euler", "auto", "steps = auto"),
        ("ab2", 4, "`ab2`"),
    ],
)
def test_what_is_not_lowered_is_named(make: MakeModel, solver: str, steps: int | str | None, what: str) -> None:
    with pytest.raises(NotLowered, match=what) as caught:
        lower(make({x: neg(x)}, solver=solver, steps=steps))
    assert what in caught.value.what and caught.value.span is not None


def test_noise_is_not_lowered(make: MakeModel) -> None:
    span = Span(Source("hand", ""), 0, 0)
    with pytest.raises(NotLowered, match="noise"):
        lower(make({x: neg(x)}, solver="euler_maruyama", noises=(Noise("w", (3,), span),)))


def test_deep_fields(make: MakeModel) -> None:
    e = x
    for _ in range(5000):
        e = add(act("tanh", e), x)
    program = lower(make({x: e}, solver="rk4", steps=1))
    assert np.all(np.isfinite(run(program, {}, [START])[0]))
