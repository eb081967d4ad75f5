"""Stochastic steps: against steps written by hand, against exact solutions, and their expected squares by cubature."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from odespec.diagnostics import Report
from odespec.ir.expr import add, const, leaf, matmul, mul
from odespec.ir.load import load_source
from odespec.ir.model import Model
from odespec.program.commuting import same
from odespec.program.directional import NoTangent, directional, without
from odespec.program.evaluate import evaluate
from odespec.program.interpret import jacobian, run
from odespec.program.lower import NotLowered, lower
from odespec.program.moments import NoPolynomial, coefficients, moving
from odespec.program.paths import increments_of
from odespec.program.stochastic import additive, noise_leaves, parts, with_path
from odespec.prove.against.expected import cubature
from odespec.source import Source


def model(
    field: str, solver: str = "euler_maruyama", steps: int = 4, *, extra: str = "", time: str = "0 .. 1"
) -> Model:
    text = f"model A\ndim d = 3\nstate x[d]\nnoise w[d], v\nparam B[d, d], b[d]\n{extra}\nx' = {field}\n"
    text += f"solver {solver}(steps = {steps})\ntime {time}\n"
    report = Report()
    spec = load_source(Source("a.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    (found,) = spec.sections
    assert isinstance(found, Model)
    return found


def one(m: Model, x: np.ndarray, w: np.ndarray, v: float, weights: dict[str, np.ndarray]) -> np.ndarray:
    return run(lower(m, noise=True), weights, [x], noise={"w": w[None], "v": np.array([v])})[0]


RNG = np.random.default_rng(5)
WEIGHTS = {"B": RNG.standard_normal((3, 3)), "b": RNG.standard_normal(3)}
X, W, V, H = RNG.standard_normal(3), RNG.standard_normal(3), 0.7, 0.25


def heun(f, g, x, w, h):
    """For an f that is corrected already."""
    ahead = x + h * f(x) + g(x, w)
    return x + h / 2 * (f(x) + f(ahead)) + (g(x, w) + g(ahead, w)) / 2


B = WEIGHTS["B"]
BY_HAND = {
    ("-x + 0.3*sin(x)*w", "euler_maruyama"): X - H * X + 0.3 * np.sin(X) * W,
    ("-x + 0.3*sin(x)*w", "milstein"): X - H * X + 0.3 * np.sin(X) * W + 0.045 * np.sin(X) * np.cos(X) * (W * W - H),
    ("-x + (B @ x)*v", "milstein"): X - H * X + B @ X * V + B @ B @ X * (V * V - H) / 2,
    ("-x + (B @ x)*v", "stochastic_heun"): heun(lambda y: -y - B @ B @ y / 2, lambda y, n: B @ y * n, X, V, H),
    ("tanh(x) + x*w", "stochastic_heun"): heun(lambda y: np.tanh(y) - y / 2, lambda y, n: y * n, X, W, H),
    ("-x + B @ w + x*v", "euler_maruyama"): X - H * X + B @ W + X * V,
    ("-x + B @ (x*w)", "stochastic_heun"): heun(
        lambda y: -y - sum(B[:, j] * B[j, j] * y[j] for j in range(3)) / 2, lambda y, n: B @ (y * n), X, W, H
    ),
    ("-x + x*v + 0.5*x*w", "milstein"): X
    - H * X
    + X * V
    + 0.5 * X * W
    + X * (V * V - H) / 2
    + X * (W * W - H) / 8
    + X * V * W / 2,
    ("b*v - x", "milstein"): X - H * X + WEIGHTS["b"] * V,
}


@pytest.mark.parametrize(("field", "solver"), BY_HAND)
def test_a_step_is_the_one_written_by_hand(field: str, solver: str) -> None:
    m = model(field, solver, 1, time="0 .. 1/4")
    assert np.allclose(one(m, X, W, V, WEIGHTS), BY_HAND[field, solver], rtol=1e-13, atol=1e-13)


REFUSED = ["-x + B @ (x*w)", "-x + 0.3*sin(x)*w + b*v", "-x + norm(x)*w", "-x + (B @ x)*v + x*w", "-x + sin(x)*v + x*w"]


@pytest.mark.parametrize("field", REFUSED)
def test_milstein_refuses_noise_that_needs_iterated_integrals(field: str) -> None:
    with pytest.raises(NotLowered, match=r"neither additive|do not commute"):
        lower(model(field, "milstein"), noise=True)


def test_noise_is_lowered_only_where_it_is_asked_for() -> None:
    with pytest.raises(NotLowered, match="noise"):
        lower(model("-x + w"))


@pytest.mark.parametrize(("solver", "order"), [("euler_maruyama", 0.5), ("milstein", 1.0), ("stochastic_heun", 1.0)])
def test_the_solution_is_that_of_ito(solver: str, order: float) -> None:
    """Geometric Brownian motion: ``x(T) = x exp((a - s^2 / 2) T + s W(T))``."""
    a, s, fine, paths = -0.5, 0.8, 256, 400
    rng = np.random.default_rng(0)
    path = rng.standard_normal((paths, fine, 3)) / np.sqrt(fine)
    exact = np.exp(a - s * s / 2 + s * path.sum(axis=1))
    errors = []
    for steps in (16, 64):
        m = model(f"{a}*x + {s}*x*w", solver, steps)
        noise = {"w": path.reshape(paths, steps, -1, 3).sum(axis=2), "v": np.zeros((paths, steps))}
        found = run(lower(m, noise=True), WEIGHTS, [np.ones((paths, 3))], noise=noise)[0]
        errors.append(np.mean(np.abs(found - exact)))
    assert np.log2(errors[0] / errors[1]) / 2 == pytest.approx(order, abs=0.2)


def test_a_seed_makes_one_path_for_a_whole_batch() -> None:
    program = lower(model("-x + w"), noise=True)
    x = np.zeros((5, 3))
    first, again, other = (run(program, WEIGHTS, [x], noise=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert np.array_equal(first[0], first[4]) and first[0].any()
    drawn = increments_of(program, 1)
    assert np.array_equal(run(program, WEIGHTS, [x], noise=drawn)[0], first)


def test_a_path_must_be_given() -> None:
    program = lower(model("-x + w"), noise=True)
    with pytest.raises(ValueError, match="increments"):
        run(program, WEIGHTS, [X])
    with pytest.raises(ValueError, match="noise v"):
        run(program, WEIGHTS, [X], noise={"w": np.zeros((4, 3))})
    assert jacobian(program, WEIGHTS, [X], noise=3) == pytest.approx(0.75**4 * np.eye(3))


def test_the_map_of_a_path_keeps_the_clock() -> None:
    program = lower(model("-t*x + t*w", time="1 .. 3"), noise=True)
    path = increments_of(program, 7)
    x = X
    for k in range(4):
        t = 1 + k / 2
        x = x - 0.5 * t * x + t * path["w"][k]
    assert np.allclose(run(program, WEIGHTS, [X], noise=path)[0], x)
    assert with_path(program).time == program.model.time


def test_the_parts_of_a_field() -> None:
    m = model("-x + (2*w + x)*b + v*x")
    drift, diffusion = parts(m).drift[0], parts(m).diffusion[0]
    env = {leaf("state", "x", (3,)): X, leaf("param", "b", (3,)): WEIGHTS["b"]}
    env |= dict(zip(noise_leaves(m), (W, np.asarray(V)), strict=True))
    assert np.allclose(evaluate([drift], env)[0], -X + X * WEIGHTS["b"])
    assert np.allclose(evaluate([diffusion], env)[0], 2 * W * WEIGHTS["b"] + V * X)
    assert not additive(m) and additive(model("tanh(x) + B @ w"))


FIELDS = ["tanh(B @ x + b)*x", "softmax(x)*dot(x, b)", "x/(2 + sin(x))", "norm(x)*x", "x^3 + sum(x)*b", "layernorm(x)"]


@pytest.mark.parametrize("field", FIELDS)
def test_directional_derivatives(field: str) -> None:
    e, x = model(field + " + w").field[0], leaf("state", "x", (3,))
    e = without((e,), noise_leaves(model("w")))[0]
    move = leaf("state", "move", (3,))
    if "layernorm" in field:
        with pytest.raises(NoTangent, match="layernorm"):
            directional((e,), {x: move})
        return
    (tangent,) = directional((e,), {x: move})
    env = {leaf("param", n, v.shape): v for n, v in WEIGHTS.items()}
    ends = [evaluate([e], env | {x: X + s * 1e-6 * W})[0] for s in (1, -1)]
    found = evaluate([tangent], env | {x: X, move: W})[0]
    assert np.allclose(found, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)


def test_products_in_any_order_are_the_same() -> None:
    x, a, b = (leaf("state", n, (3,)) for n in "xab")
    first = add(mul(mul(const(2), a), mul(x, b)), mul(a, x))
    assert same(first, mul(x, add(a, mul(b, mul(const(2), a)))))
    assert not same(first, mul(x, add(a, mul(b, mul(const(3), a)))))
    assert not same(matmul(leaf("param", "B", (3, 3)), x), x)


# --- expected squares ----------------------------------------------------------------

SQUARES = [
    ("-x + 0.3*sin(x)*w", "euler_maruyama"),
    ("-x + 0.3*sin(x)*w + b*v", "euler_maruyama"),
    ("-x + (B @ x)*v", "milstein"),
    ("-x + (B @ x)*v", "stochastic_heun"),
    ("B @ x + x*w", "stochastic_heun"),
    ("-x + x*v + 0.5*x*w", "milstein"),
    ("tanh(x) + B @ (x*w)", "euler_maruyama"),
    ("tanh(x) + B @ (x*w) + sin(x)*w + x*v", "euler_maruyama"),
    ("tanh(x) + sum(x*w)*b", "euler_maruyama"),
    ("tanh(x) + norm(x)*w", "euler_maruyama"),
    ("tanh(x) + b*dot(x, w)/(2 + sin(v*0))", "euler_maruyama"),
]


@pytest.mark.parametrize(("field", "solver"), SQUARES)
def test_expected_squares_are_those_of_cubature(field: str, solver: str) -> None:
    m = model(field.replace("v*0", "b"), solver)
    program = lower(m, noise=True)
    try:
        found = moving(coefficients(program))
    except NoPolynomial:
        assert "sum(x*w)" in field or "dot(" in field  # a number that mixes entries, at every entry
        return
    y = X + RNG.standard_normal(3)
    env = {leaf("param", n, v.shape): v for n, v in WEIGHTS.items()}
    runs = [env | {leaf("state", "x", (3,)): s} for s in (X, y)]
    own = 0.0
    for c in found:
        a, b = (evaluate([c.value], e)[0] for e in runs)
        own += float(c.weight) * np.sum((a - b) ** 2)
    leaves = noise_leaves(m)
    expected = 0.0
    for weight, point in cubature(sum(prod(w.shape) for w in leaves)):
        point = point * float(program.h) ** 0.5
        noise = {leaves[0]: point[:3], leaves[1]: np.asarray(point[3])}
        a, b = (evaluate(program.update, {**e, **noise})[0] for e in runs)
        expected += weight * np.sum((a - b) ** 2)
    assert own == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("field", ["tanh(x + x*w)", "x/(1 + w)"])
def test_a_field_is_linear_in_its_noise(field: str) -> None:
    report = Report()
    text = f"model A\nstate x[2]\nnoise w[2]\nx' = {field}\nsolver milstein(steps = 2)\ntime 0 .. 1\n"
    load_source(Source("a.ode", text), {}, report)
    assert report.failed


def test_noise_inside_what_is_no_polynomial_has_no_moments() -> None:
    program = lower(model("tanh(x) + w", "stochastic_heun"), noise=True)
    with pytest.raises(NoPolynomial, match="tanh"):
        coefficients(program)
