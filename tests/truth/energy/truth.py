"""The truth of the claims here about scalars of the states, with NumPy alone.

Each spec is written out again as a step (or a field) and a scalar. A true claim is a theorem named in ``why``: random
extreme weights must not break it. A false one must be broken by weights that are drawn here.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SAMPLES = 400


# --- methods -----------------------------------------------------------------------------


def explicit(A, b):
    def step(f, x, h):
        k = []
        for row in A:
            k.append(f(x + h * sum((a * v for a, v in zip(row, k, strict=False)), 0 * x)))
        return x + h * sum(w * v for w, v in zip(b, k, strict=True))

    return step


def implicit(A, b):
    """Stages by Newton's method with differences, its steps halved until they help."""
    A, b = np.array(A), np.array(b)

    def step(f, x, h):
        n, s = x.size, len(b)

        def residual(z):
            k = np.array([f(v) for v in z.reshape(s, n)])
            return (z.reshape(s, n) - x - h * A @ k).ravel()

        z = np.tile(x, s)
        for _ in range(50):
            r = residual(z)
            if np.max(np.abs(r)) < 1e-14 * (1 + np.max(np.abs(z))):
                break
            d = 1e-7 * (1 + np.max(np.abs(z)))
            J = np.array([(residual(z + d * e) - r) / d for e in np.eye(z.size)]).T
            move = np.linalg.solve(J, r)
            while np.linalg.norm(residual(z - move)) > np.linalg.norm(r) and np.linalg.norm(move) > 1e-14:
                move = move / 2
            z = z - move
        return x + h * b @ np.array([f(v) for v in z.reshape(s, n)])

    return step


S3, S6 = np.sqrt(3), np.sqrt(6)
EULER = explicit([[]], [1])
HEUN = explicit([[], [1]], [0.5, 0.5])
MIDPOINT = explicit([[], [0.5]], [0, 1])
RK4 = explicit([[], [0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6])
BACKWARD = implicit([[1]], [1])
IMPLICIT_MIDPOINT = implicit([[0.5]], [1])
TRAPEZOID = implicit([[0, 0], [0.5, 0.5]], [0.5, 0.5])
GAUSS2 = implicit([[0.25, 0.25 - S3 / 6], [0.25 + S3 / 6, 0.25]], [0.5, 0.5])
RADAU5 = implicit(
    [
        [(88 - 7 * S6) / 360, (296 - 169 * S6) / 1800, (-2 + 3 * S6) / 225],
        [(296 + 169 * S6) / 1800, (88 + 7 * S6) / 360, (-2 - 3 * S6) / 225],
        [(16 - S6) / 36, (16 + S6) / 36, 1 / 9],
    ],
    [(16 - S6) / 36, (16 + S6) / 36, 1 / 9],
)


def verlet(force, q, p, h):
    p = p + h / 2 * force(q)
    q = q + h * p
    return q, p + h / 2 * force(q)


def yoshida4(force, q, p, h):
    outer = 1 / (2 - 2 ** (1 / 3))
    for part in (outer, 1 - 2 * outer, outer):
        q, p = verlet(force, q, p, part * h)
    return q, p


# --- weights -----------------------------------------------------------------------------


def scale(rng):
    return 10.0 ** rng.uniform(-3, 2)


def vector(rng, n):
    return rng.standard_normal(n) * scale(rng)


def matrix(rng, m, n, norm):
    """Of norm at most ``norm``, often with all singular values at it."""
    u, s, v = np.linalg.svd(rng.standard_normal((m, n)), full_matrices=False)
    return u @ np.diag(np.where(rng.random(s.size) < 0.7, norm, norm * rng.random(s.size))) @ v


def skew(rng, n, norm):
    s = rng.standard_normal((n, n))
    s = s - s.T
    return s * norm / np.linalg.norm(s, 2)


def psd(rng, n, norm):
    a = matrix(rng, n, n, np.sqrt(norm))
    return a @ a.T


def orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def doubly_stochastic(rng, n):
    return sum(w * np.eye(n)[rng.permutation(n)] for w in rng.dirichlet(np.ones(4)))


def laplacian(rng, n):
    a = np.triu((rng.random((n, n)) < 0.6).astype(float), 1)
    a = a + a.T
    return np.diag(a.sum(0)) - a


def logcosh(x):
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(2)


def softplus(x):
    return np.logaddexp(0, x)


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


# --- cases: before and after, or (of flows) the size and the rate --------------------------


def stepped(V, before, after):
    return V(after) - V(before), abs(V(after)) + abs(V(before))


def rate(V, f, x):
    """The derivative of V along f by differences, with what it is to be compared with."""
    v = f(x)
    d = 1e-4 * (1 + np.linalg.norm(x)) / (1 + np.linalg.norm(v))
    far = [V(x + k * d * v) for k in (-2, -1, 1, 2)]
    slope = (far[0] - 8 * far[1] + 8 * far[2] - far[3]) / (12 * d)
    return slope, max(map(abs, far)) * 1e-3 / d + abs(slope)


def square(x):
    return float(x @ x)


def linear(make, method, h, V=square):
    """``x' = A x`` under a method."""

    def case(rng):
        A = make(rng)
        x = vector(rng, len(A))
        return stepped(V, x, method(lambda y: A @ y, x, h))

    return case


def gradient_flow(s, S, norm, method, h):
    def case(rng):
        W, b, x = matrix(rng, 4, 3, norm), vector(rng, 4) * rng.integers(0, 2), vector(rng, 3)
        if rng.random() < 0.3:  # where opposite slopes cancel
            half = matrix(rng, 2, 3, norm / np.sqrt(2))
            W, b = np.concatenate([half, -half]), 0 * b
        return stepped(lambda y: float(S(W @ y + b).sum()), x, method(lambda y: -W.T @ s(W @ y + b), x, h))

    return case


def hamiltonian(method, h):
    def case(rng):
        K, L, b, c = matrix(rng, 3, 3, 1), matrix(rng, 3, 3, 1), vector(rng, 3), vector(rng, 3)

        def f(u):
            return np.concatenate([K.T @ np.tanh(K @ u[3:] + b), -L.T @ np.tanh(L @ u[:3] + c)])

        def energy(u):
            return float(logcosh(K @ u[3:] + b).sum() + logcosh(L @ u[:3] + c).sum())

        u = vector(rng, 6)
        return rate(energy, f, u) if method is None else stepped(energy, u, method(f, u, h))

    return case


def ham_verlet(rng):
    K, L, b, c = matrix(rng, 3, 3, 1), matrix(rng, 3, 3, 1), vector(rng, 3), vector(rng, 3)
    y, z, h = vector(rng, 3), vector(rng, 3), 0.5

    def energy(u):
        return float(logcosh(K @ u[3:] + b).sum() + logcosh(L @ u[:3] + c).sum())

    z1 = z - h / 2 * L.T @ np.tanh(L @ y + c)
    y1 = y + h * K.T @ np.tanh(K @ z1 + b)
    z1 = z1 - h / 2 * L.T @ np.tanh(L @ y1 + c)
    return stepped(energy, np.concatenate([y, z]), np.concatenate([y1, z1]))


def momentum(method):
    def case(rng):
        W, b, q, p = matrix(rng, 3, 3, scale(rng)), vector(rng, 3), vector(rng, 3), vector(rng, 3)

        def force(x):
            g = W @ np.tanh(x) + b
            return g - g.mean()

        change, size = stepped(lambda v: float(v.sum()), p, method(force, q, p, 0.2)[1])
        return change, size + np.abs(p).sum() + np.abs(W).sum() + np.abs(b).sum()

    return case


def angular(composition):
    def case(rng):
        J, q, p = skew(rng, 3, 1), vector(rng, 3), vector(rng, 3)

        def force(x):
            return -np.tanh(x @ x) * x

        def form(u):
            return float(u[:3] @ J @ u[3:])

        u = np.concatenate([q, p])
        if composition is None:
            after = RK4(lambda u: np.concatenate([u[3:], force(u[:3])]), u, 0.8)
        else:
            after = np.concatenate(composition(force, q, p, 0.2))
        change, _ = stepped(form, u, after)
        return change, np.linalg.norm(u) ** 2 + np.linalg.norm(after) ** 2

    return case


def graph_sum(rng):
    L, X = laplacian(rng, 4), rng.standard_normal((4, 2))
    change, size = stepped(lambda v: float(v.sum()), X, X - 0.25 * L @ X)
    return change, size + np.abs(X).sum()


def mapped(make, V, act=lambda x: x):
    def case(rng):
        P, x = make(rng), vector(rng, 4)
        change, size = stepped(V, x, P @ act(x))
        return change, size + (np.abs(x).sum() if V is total else 0)

    return case


def total(x):
    return float(x.sum())


def stochastic(rng):
    P = rng.random((4, 4))
    return P / P.sum(1, keepdims=True)


def exchange(rng):
    W, u = matrix(rng, 3, 3, scale(rng)), vector(rng, 6)

    def f(v):
        g = np.tanh(W @ (v[:3] - v[3:]))
        return np.concatenate([g, -g])

    change, size = stepped(total, u, RK4(f, u, 1 / 6))
    return change, size + np.abs(u).sum() + 1


def pushed(rng):
    b, x = vector(rng, 3), vector(rng, 3)
    return stepped(total, x, HEUN(lambda y: b, x, 1 / 6))


def matrix_state(rng):
    S, T, X = skew(rng, 3, 1), skew(rng, 2, 1), rng.standard_normal((3, 2)) * scale(rng)
    after = GAUSS2(lambda v: (S @ v.reshape(3, 2) + v.reshape(3, 2) @ T).ravel(), X.ravel(), 0.25)
    return stepped(square, X.ravel(), after)


def leak(norm):
    def case(rng):
        W, x = matrix(rng, 3, 3, norm), vector(rng, 3)
        return stepped(square, x, W @ np.tanh(x))  # an Euler step of length one of x' = -x + W tanh(x)

    return case


def gated(rng):
    W, x = rng.standard_normal((3, 3)), vector(rng, 3)
    return rate(square, lambda y: np.tanh(y) * ((W - W.T) @ (np.tanh(y) * y)), x)


def casimir(rng):
    W, x = rng.standard_normal((3, 3)), vector(rng, 3)
    return rate(lambda y: float(logcosh(y).sum()), lambda y: (W - W.T) @ np.tanh(y), x)


def port(damped):
    def case(rng):
        S, R, K, b, x = skew(rng, 3, 1), psd(rng, 3, 1), rng.standard_normal((3, 3)), vector(rng, 3), vector(rng, 3)
        return rate(
            lambda y: float(logcosh(K @ y + b).sum()),
            lambda y: (S - damped * R) @ K.T @ np.tanh(K @ y + b),
            x,
        )

    return case


def second_order(damping):
    def case(rng):
        K, b, u = rng.standard_normal((4, 3)), vector(rng, 4), vector(rng, 6)
        return rate(
            lambda w: w[3:] @ w[3:] / 2 + float(logcosh(K @ w[:3] + b).sum()),
            lambda w: np.concatenate([w[3:], -K.T @ np.tanh(K @ w[:3] + b) - damping * w[3:]]),
            u,
        )

    return case


def hopfield(rng):
    W, b, u = rng.standard_normal((3, 3)), vector(rng, 3), rng.standard_normal(3)
    W = W + W.T

    def energy(v):
        s = np.tanh(v)
        return float(-s @ W @ s / 2 - b @ s + v @ s - logcosh(v).sum())

    return rate(energy, lambda v: -v + W @ np.tanh(v) + b, u)


def double_well(rng):
    x = vector(rng, 3)
    return rate(lambda y: float((y**4).sum() / 4 - (y**2).sum() / 2), lambda y: -(y**3) + y, x)


def damped(h):
    return linear(lambda rng: skew(rng, 3, 1) - 0.1 * np.eye(3), EULER, h)


def form_flow(h):
    def case(rng):
        P, x = psd(rng, 3, 1), vector(rng, 3)
        return stepped(lambda y: float(y @ P @ y), x, x - h * P @ x)

    return case


def damped_oscillators(method):
    def case(rng):
        K, b, u = matrix(rng, 4, 3, 1), vector(rng, 4), vector(rng, 6)
        b, u = b * rng.integers(0, 2), u * rng.integers(0, 2, 6)

        def f(w):
            return np.concatenate([w[3:], -K.T @ np.tanh(K @ w[:3] + b) - 0.3 * w[3:]])

        return stepped(lambda w: w[3:] @ w[3:] / 2 + float(logcosh(K @ w[:3] + b).sum()), u, method(f, u, 0.5))

    return case


def graph_norm(rng):
    L, x = laplacian(rng, 4), vector(rng, 4)
    return stepped(square, x, x - L @ x / 3)  # four nodes: no degree is above 3


def lotka_volterra(rng):
    u = rng.uniform(0.5, 2, 2)
    return rate(
        lambda w: float(w.sum() - np.log(w).sum()),
        lambda w: np.array([w[0] * (1 - w[1]), w[1] * (w[0] - 1)]),
        u,
    )


def mean_ab2(rng):
    W, x = matrix(rng, 3, 3, scale(rng)), vector(rng, 3)

    def f(y):
        g = W @ np.tanh(y)
        return g - g.mean()

    y, h = HEUN(f, x, 1 / 6), 1 / 6
    after = y + h * (1.5 * f(y) - 0.5 * f(x))
    change, size = stepped(total, y, after)
    return change, size + np.abs(y).sum() + np.abs(after).sum()


def modern_hopfield(rng):
    X, x = rng.standard_normal((4, 3)), vector(rng, 3)

    def energy(y):
        z = X @ y
        return float(y @ y / 2 - z.max() - np.log(np.exp(z - z.max()).sum()))

    def f(y):
        z = np.exp(X @ y - (X @ y).max())
        return -y + X.T @ (z / z.sum())

    return rate(energy, f, x)


def relu_sum(rng):
    x = vector(rng, 4)
    change, size = stepped(total, x, x - np.maximum(x, 0))
    return change, size + np.abs(x).sum()


def rotation(rng):
    return skew(rng, 3, 1)


CASES = {
    "angular_rk4.ode": angular(None),
    "angular_verlet.ode": angular(verlet),
    "angular_yoshida.ode": angular(yoshida4),
    "casimir_flow.ode": casimir,
    "damped_euler.ode": damped_oscillators(EULER),
    "damped_heun.ode": damped_oscillators(HEUN),
    "damped_skew_false.ode": damped(0.2),
    "damped_skew_true.ode": damped(0.19),
    "double_well_flow.ode": double_well,
    "doubly_stochastic_norm.ode": mapped(lambda rng: doubly_stochastic(rng, 4), square),
    "doubly_stochastic_sum.ode": mapped(lambda rng: doubly_stochastic(rng, 4), total),
    "exchange_sum.ode": exchange,
    "form_euler_false.ode": form_flow(2.02),
    "form_euler_true.ode": form_flow(2.0),
    "gated_skew_flow.ode": gated,
    "gradient_backward.ode": gradient_flow(np.tanh, logcosh, 1, BACKWARD, 20.0),
    "gradient_euler_false.ode": gradient_flow(np.tanh, logcosh, 1, EULER, 2.02),
    "gradient_euler_true.ode": gradient_flow(np.tanh, logcosh, 1, EULER, 2.0),
    "gradient_softplus_false.ode": gradient_flow(sigmoid, softplus, 1, EULER, 8.2),
    "gradient_softplus_true.ode": gradient_flow(sigmoid, softplus, 1, EULER, 8.0),
    "graph_norm.ode": graph_norm,
    "graph_sum.ode": graph_sum,
    "hamiltonian_flow.ode": hamiltonian(None, 0),
    "hamiltonian_implicit_midpoint.ode": hamiltonian(IMPLICIT_MIDPOINT, 0.5),
    "hamiltonian_verlet.ode": ham_verlet,
    "hopfield_flow.ode": hopfield,
    "leak_norm_false.ode": leak(1.01),
    "leak_norm_true.ode": leak(1.0),
    "lotka_volterra_flow.ode": lotka_volterra,
    "matrix_state_gauss2.ode": matrix_state,
    "mean_ab2.ode": mean_ab2,
    "modern_hopfield_flow.ode": modern_hopfield,
    "momentum_verlet.ode": momentum(verlet),
    "momentum_yoshida.ode": momentum(yoshida4),
    "orthogonal_norm.ode": mapped(lambda rng: orthogonal(rng, 4), square),
    "orthogonal_relu_constant.ode": mapped(lambda rng: orthogonal(rng, 4), square, lambda x: np.maximum(x, 0)),
    "orthogonal_relu_falls.ode": mapped(lambda rng: orthogonal(rng, 4), square, lambda x: np.maximum(x, 0)),
    "port_constant_flow.ode": port(1),
    "port_flow.ode": port(1),
    "pushed_sum.ode": pushed,
    "relu_sum_falls.ode": relu_sum,
    "second_order_damped_flow.ode": second_order(0.3),
    "second_order_driven_flow.ode": second_order(-0.1),
    "skew_euler.ode": linear(rotation, EULER, 0.5),
    "skew_gauss2.ode": linear(rotation, GAUSS2, 0.5),
    "skew_midpoint_falls.ode": linear(rotation, MIDPOINT, 0.5),
    "skew_radau5_falls.ode": linear(rotation, RADAU5, 0.5),
    "skew_trapezoid.ode": linear(rotation, TRAPEZOID, 0.5),
    "stochastic_sum.ode": mapped(stochastic, total),
}


def truth(case, conserves):
    """Whether no sample breaks the claim by more than rounding."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(SAMPLES):
        change, size = case(rng)
        worst = max(worst, (abs(change) if conserves else change) / size if size else 0.0)
    return worst < 1e-6, worst


def main():
    wrong = 0
    for line in (HERE / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        found, worst = truth(CASES[entry["file"]], entry["claim"].startswith("conserves"))
        if found != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: expected {entry['truth']}, found {found} ({worst:.3g})")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
