"""Multistep, implicit-explicit, exponential and fused steps against implementations of their own in NumPy and SciPy-free
algebra: every method is written out here by its textbook formula, with matrices, and compared over several steps."""

from __future__ import annotations

from collections.abc import Callable
from decimal import localcontext

import numpy as np
import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.ir.model import Model
from odespec.program.exponential import phi_matrix
from odespec.program.interpret import jacobian, run
from odespec.program.lower import NotLowered, lower
from odespec.source import Source
from odespec.weights import steps as search_steps
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT

Array = np.ndarray
Field = Callable[..., Array]


def model_of(text: str) -> Model:
    report = Report()
    spec = load_source(Source("test.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    section = spec.sections[0]
    assert isinstance(section, Model)
    return section


def field_spec(solver: str, steps: int = 5, end: str = "1/2") -> Model:
    """A non-autonomous field with weights and inputs per step."""
    return model_of(
        f"""model M
dim d = 3
state x[d]
param S[d, d] : skew
param W[d, d] per step
param b[d]
input u[d] per step
x' = (S - 0.5*I) @ x + (1 + t) * tanh(W @ x + b) + u
solver {solver.replace("N", str(steps))}
time 1/4 .. {end}
claim nonexpansive
"""
    )


def data(steps: int = 5, seed: int = 0) -> tuple[dict[str, Array], Array, Array]:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, 3))
    weights = {"S": A - A.T, "W": rng.standard_normal((steps, 3, 3)), "b": rng.standard_normal(3)}
    return weights, rng.standard_normal(3), rng.standard_normal((steps, 3))


class Own:
    """The field of `field_spec`, split by hand."""

    def __init__(self, weights: dict[str, Array], u: Array) -> None:
        self.w, self.u = weights, u
        self.L = weights["S"] - 0.5 * np.eye(3)

    def rest(self, k: int, t: float, x: Array) -> Array:
        return (1 + t) * np.tanh(self.w["W"][k] @ x + self.w["b"]) + self.u[k]

    def f(self, k: int, t: float, x: Array) -> Array:
        return self.L @ x + self.rest(k, t, x)


def implicit(f: Callable[[Array], Array], base: Array, scale: float) -> Array:
    """``y = base + scale f(y)`` by Newton's method with difference quotients."""
    y = base.copy()
    for _ in range(50):
        J = np.stack([(f(y + 1e-6 * e) - f(y - 1e-6 * e)) / 2e-6 for e in np.eye(len(y))], axis=1)
        move = np.linalg.solve(np.eye(len(y)) - scale * J, base + scale * f(y) - y)
        y = y + move
        if np.max(np.abs(move)) < 1e-14:
            break
    return y


def exponential(A: Array) -> Array:
    """By eigenvalues."""
    values, vectors = np.linalg.eig(A)
    return np.real(vectors @ np.diag(np.exp(values)) @ np.linalg.inv(vectors))


def heun(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    k1 = o.f(k, t, x)
    return x + h / 2 * (k1 + o.f(k, t + h, x + h * k1))


def rk3(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    k1 = o.f(k, t, x)
    k2 = o.f(k, t + h / 2, x + h / 2 * k1)
    return x + h / 6 * (k1 + 4 * k2 + o.f(k, t + h, x + h * (-k1 + 2 * k2)))


def rk4(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    k1 = o.f(k, t, x)
    k2 = o.f(k, t + h / 2, x + h / 2 * k1)
    k3 = o.f(k, t + h / 2, x + h / 2 * k2)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + o.f(k, t + h, x + h * k3))


def backward(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    return implicit(lambda y: o.f(k, t + h, y), x, h)


START = {"heun": heun, "rk3": rk3, "rk4": rk4, "backward_euler": backward}


def multistep(method: str, start: str, o: Own, x: Array, steps: int, t0: float, h: float) -> Array:
    xs, fs = [x], []
    for n in range(steps):
        t, x = t0 + n * h, xs[-1]
        fs.append(o.f(n, t, x))
        if n < (2 if method == "ab3" else 1):
            new = START[start](o, n, t, x, h)
        elif method == "ab2":
            new = x + h * (1.5 * fs[-1] - 0.5 * fs[-2])
        elif method == "ab3":
            new = x + h * (23 * fs[-1] - 16 * fs[-2] + 5 * fs[-3]) / 12
        elif method == "leapfrog":
            new = xs[-2] + 2 * h * fs[-1]
        else:
            new = implicit(lambda y, n=n, t=t: o.f(n, t + h, y), (4 * x - xs[-2]) / 3, 2 * h / 3)
        xs.append(new)
    return xs[-1]


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
@pytest.mark.parametrize(
    ("solver", "start"),
    [
        ("leapfrog", "heun"),
        ("ab2", "heun"),
        ("ab3", "rk3"),
        ("bdf2", "backward_euler"),
        ("ab2", "rk4"),
        ("bdf2", "heun"),
    ],
)
def test_multistep_methods_with_their_start(solver: str, start: str, steps: int) -> None:
    model = field_spec(f"{solver}(steps = N, start = {start})", steps)
    weights, x, u = data(steps)
    (got,) = run(lower(model, history=True), weights, [x], [u])
    assert np.allclose(got, multistep(solver, start, Own(weights, u), x, steps, 0.25, 0.25 / steps), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("solver", "start"), [("ab3", "rk3"), ("bdf2", "backward_euler"), ("leapfrog", "heun")])
def test_the_default_start(solver: str, start: str) -> None:
    plain, named = (field_spec(f"{solver}({o})") for o in ("steps = N", f"steps = N, start = {start}"))
    assert lower(plain, history=True).begin == lower(named, history=True).begin


def etd1(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    E = exponential(h * o.L)
    return E @ x + np.linalg.solve(o.L, (E - np.eye(3)) @ o.rest(k, t, x))


def etdrk4(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    """Cox & Matthews 2002, eq. 26-29, as printed, with the inverse of L."""
    L, eye = o.L, np.eye(3)
    inv, E, E2 = np.linalg.inv(L), exponential(h * L), exponential(h * L / 2)
    first = o.rest(k, t, x)
    a = E2 @ x + inv @ (E2 - eye) @ first
    b = E2 @ x + inv @ (E2 - eye) @ o.rest(k, t + h / 2, a)
    c = E2 @ a + inv @ (E2 - eye) @ (2 * o.rest(k, t + h / 2, b) - first)
    z, cube = h * L, np.linalg.inv(h * L) @ np.linalg.inv(h * L) @ inv
    alpha = cube @ (-4 * eye - z + E @ (4 * eye - 3 * z + z @ z))
    beta = 2 * cube @ (2 * eye + z + E @ (-2 * eye + z))
    gamma = cube @ (-4 * eye - 3 * z - z @ z + E @ (4 * eye - z))
    middle = o.rest(k, t + h / 2, a) + o.rest(k, t + h / 2, b)
    return E @ x + alpha @ first + beta @ middle + gamma @ o.rest(k, t + h, c)


def imex(o: Own, k: int, t: float, x: Array, h: float) -> Array:
    return np.linalg.solve(np.eye(3) - h * o.L, x + h * o.rest(k, t, x))


@pytest.mark.parametrize(("solver", "step"), [("etd1", etd1), ("etdrk4", etdrk4), ("imex_euler", imex)])
def test_splittings(solver: str, step: Callable[..., Array]) -> None:
    model = field_spec(f"{solver}(steps = N)", 4)
    weights, x, u = data(4)
    (got,) = run(lower(model), weights, [x], [u])
    own = Own(weights, u)
    for n in range(4):
        x = step(own, n, 0.25 + n / 16, x, 1 / 16)
    assert np.allclose(got, x, rtol=0, atol=1e-10)


def test_named_linear_terms() -> None:
    """Only the skew term is implicit; the leak, linear too, is explicit."""
    model = field_spec("imex_euler(steps = N, linear = S @ x)", 1)
    weights, x, u = data(1)
    (got,) = run(lower(model), weights, [x], [u])
    o = Own(weights, u)
    expected = np.linalg.solve(np.eye(3) - weights["S"] / 4, x + (o.rest(0, 0.25, x) - 0.5 * x) / 4)
    assert np.allclose(got, expected, rtol=0, atol=1e-12)


def test_named_linear_terms_of_one_of_two_states() -> None:
    """``-g * p`` is implicit; ``q' = p`` and ``-K @ q`` are explicit."""
    rng = np.random.default_rng(4)
    K, W = rng.standard_normal((2, 2, 2))
    q, p = rng.standard_normal((2, 2))
    model = model_of(COUPLED.replace("SOLVER(steps = 2)", "imex_euler(steps = 2, linear = -g * p)"))
    got = run(lower(model), {"K": K, "W": W}, [q, p])
    for _ in range(2):
        q, p = q + p / 2, (p + (W @ np.tanh(q - p) + 1 - K @ q) / 2) / (1 + 1 / 6)
    assert np.allclose(np.concatenate(got), np.concatenate([q, p]), rtol=0, atol=1e-12)


COUPLED = """model M
dim d = 2
state q[d], p[d]
param K[d, d], W[d, d]
const g = 1/3
q' = p
p' = -K @ q - g * p + W @ tanh(q - p) + 1
solver SOLVER(steps = 2)
time 0 .. 1
claim nonexpansive
"""


@pytest.mark.parametrize("solver", ["etd1", "imex_euler"])
def test_coupled_states(solver: str) -> None:
    """The linear part couples the states: one block matrix."""
    rng = np.random.default_rng(3)
    K, W = rng.standard_normal((2, 2, 2))
    q, p = rng.standard_normal((2, 2))
    got = run(lower(model_of(COUPLED.replace("SOLVER", solver))), {"K": K, "W": W}, [q, p])
    L = np.block([[np.zeros((2, 2)), np.eye(2)], [-K, -np.eye(2) / 3]])
    z, E, h = np.concatenate([q, p]), exponential(L / 2), 0.5
    for _ in range(2):
        N = np.concatenate([np.zeros(2), W @ np.tanh(z[:2] - z[2:]) + 1])
        z = (
            E @ z + np.linalg.solve(L, (E - np.eye(4)) @ N)
            if solver == "etd1"
            else np.linalg.solve(np.eye(4) - h * L, z + h * N)
        )
    assert np.allclose(np.concatenate(got), z, rtol=0, atol=1e-12)


LTC = """model M
dim d = 3
state x[d]
param W[d, d], b[d], A[d], tau[d]
constraint tau in [1, 2]
x' = FIELD
solver fused_euler(steps = 2)
time 0 .. 1
claim nonexpansive
"""


@pytest.mark.parametrize(
    "field",
    [
        "-(1/tau + sigmoid(W @ x + b)) * x + sigmoid(W @ x + b) * A",
        "-x/tau + sigmoid(W @ x + b) * (A - x)",
        "sigmoid(W @ x + b) * A - x * (1/tau + sigmoid(W @ x + b))",
    ],
)
def test_fused_steps_in_every_spelling(field: str) -> None:
    rng = np.random.default_rng(5)
    weights = {"W": rng.standard_normal((3, 3)), "tau": np.array([1.0, 1.5, 2.0])}
    weights |= {n: rng.standard_normal(3) for n in ("b", "A")}
    x = rng.standard_normal(3)
    (got,) = run(lower(model_of(LTC.replace("FIELD", field))), weights, [x])
    for _ in range(2):
        f = 1 / (1 + np.exp(-(weights["W"] @ x + weights["b"])))
        x = (x + 0.5 * f * weights["A"]) / (1 + 0.5 * (1 / weights["tau"] + f))
    assert np.allclose(got, x, rtol=0, atol=1e-13)


OPERATORS = """model M
dim d = 3, c = 2
state X[d, c]
param A[d, d], B[c, c], v[d, c]
X' = A @ X + X @ B - v * X + tanh(X)
solver etd1(steps = 1)
time 0 .. 1
claim nonexpansive
"""


def test_linear_operators_on_tensors() -> None:
    rng = np.random.default_rng(7)
    A, B, v, X = (rng.standard_normal(s) for s in ((3, 3), (2, 2), (3, 2), (3, 2)))
    (got,) = run(lower(model_of(OPERATORS)), {"A": A, "B": B, "v": v}, [X])
    L = np.kron(A, np.eye(2)) + np.kron(np.eye(3), B.T) - np.diag(v.reshape(-1))
    E = exponential(L)
    expected = E @ X.reshape(-1) + np.linalg.solve(L, (E - np.eye(6)) @ np.tanh(X).reshape(-1))
    assert np.allclose(got.reshape(-1), expected, rtol=0, atol=1e-12)


CONV = """model M
state u[2, 4]
param K[2, 2, 3]
u' = -conv(K).T @ (conv(K) @ u) + tanh(u)
solver etd1(steps = 2)
time 0 .. 1
claim nonexpansive
"""


def test_convolutions_and_batches() -> None:
    """A batch of kernels and states gives what each gives alone."""
    rng = np.random.default_rng(8)
    program = lower(model_of(CONV))
    K, u = rng.standard_normal((3, 2, 2, 3)), rng.standard_normal((3, 2, 4))
    (together,) = run(program, {"K": K}, [u])
    for i in range(3):
        (alone,) = run(program, {"K": K[i]}, [u[i]])
        assert np.allclose(together[i], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ["leapfrog", "ab2", "ab3", "bdf2", "imex_euler", "etd1", "etdrk4"])
def test_the_jacobian_is_that_of_differences(solver: str) -> None:
    program = lower(field_spec(f"{solver}(steps = N)", 4, end="3/4"), history=True)
    weights, x, u = data(4)
    J = jacobian(program, weights, [x], [u])
    quotients = [
        (run(program, weights, [x + 1e-6 * e], [u])[0] - run(program, weights, [x - 1e-6 * e], [u])[0]) / 2e-6
        for e in np.eye(3)
    ]
    assert np.allclose(J, np.stack(quotients, axis=1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["leapfrog", "ab2", "ab3", "bdf2", "imex_euler", "etd1", "etdrk4"])
def test_the_runs_of_the_search_agree_with_the_reference(solver: str) -> None:
    """In float64 over a batch, and in decimals of fifty digits."""
    program = lower(field_spec(f"{solver}(steps = N)", 4), history=True)
    weights, x, u = data(4)
    (expected,) = run(program, weights, [x], [u])
    runner = search_steps.prepare(program)
    (batched,) = search_steps.run(runner, FLOAT, weights, [np.stack([x, x])], {"u": u})
    with localcontext(CONTEXT):
        (exact,) = search_steps.run(runner, DECIMAL, weights, [x], {"u": u})
    assert np.allclose(batched, expected, rtol=0, atol=1e-11)
    assert np.allclose(np.asarray(exact, dtype=np.float64), expected, rtol=0, atol=1e-11)


def test_phi_of_large_singular_and_nilpotent_matrices() -> None:
    stiff = np.diag([-300.0, -1e-9, 0.0])
    for k, value in enumerate([[0, 1, 1], [1 / 300, 1, 1], [(1 / 300 - 1) / -300, 0.5, 0.5]]):
        assert np.allclose(np.diag(phi_matrix(stiff, k)), value, rtol=1e-9)
    nilpotent = np.array([[0.0, 7.0], [0.0, 0.0]])
    assert np.allclose(phi_matrix(nilpotent, 0), [[1, 7], [0, 1]])
    assert np.allclose(phi_matrix(nilpotent, 3), [[1 / 6, 7 / 24], [0, 1 / 6]])


def test_what_is_not_lowered() -> None:
    with pytest.raises(NotLowered, match="multistep"):
        lower(field_spec("ab2(steps = N)"))
    wrong = OPERATORS.replace("A @ X", "mean(X) + A @ X")
    with pytest.raises(NotLowered, match="exponentiated"):
        lower(model_of(wrong))
    both = COUPLED.replace("SOLVER(steps = 2)", "imex_euler(steps = 2, linear = 2 * p)")
    with pytest.raises(NotLowered, match="several states"):
        lower(model_of(both))
    nonlinear = COUPLED.replace("SOLVER(steps = 2)", "imex_euler(steps = 2, linear = tanh(q))")
    with pytest.raises(NotLowered, match="not linear"):
        lower(model_of(nonlinear))
