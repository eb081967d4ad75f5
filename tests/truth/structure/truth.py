"""The truth of the claims of this folder, by NumPy alone.

The steps are written down here once more. A false claim is shown by weights and states: a derivative that does not keep
the two-form, two states with one image, determinants of both signs. A true claim is tried on random weights and states,
by its inverse where it has one; the theory is in the column `why`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(6)
D = 2
Z = np.zeros((D, D))
OMEGA = np.block([[Z, np.eye(D)], [-np.eye(D), Z]])


def bounded(c):
    W = RNG.standard_normal((D, D))
    return c * RNG.uniform(0.2, 1) * W / np.linalg.norm(W, 2)


def free():
    return RNG.standard_normal((D, D)) * 10.0 ** RNG.uniform(-1, 1)


def jacobian(f, x, h=2.0**-8):
    columns = []
    for e in np.eye(len(x)):
        parts = [(f(x + k * h * e) - f(x - k * h * e)) / h for k in (1, 2, 3)]
        columns.append(3 / 4 * parts[0] - 3 / 20 * parts[1] + 1 / 60 * parts[2])
    return np.array(columns).T


def two_form(f, x):
    """How far a map is from keeping the two-form at a state."""
    n = len(x) // 2
    omega = np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])
    J = jacobian(f, x)
    return np.abs(J.T @ omega @ J - omega).max() / (1 + np.abs(J).max() ** 2)


def field_form(f, x):
    """How far a field is from being Hamiltonian at a state."""
    A = jacobian(f, x)
    return np.abs(OMEGA @ A + A.T @ OMEGA).max()


def coupled():
    K, L, b = bounded(1), bounded(1), RNG.standard_normal(D)

    def f(x):
        s = np.tanh(K @ x[:D] + L @ x[D:] + b)
        return np.concatenate([L.T @ s, -K.T @ s])

    return f


def implicit(f, A, b, h):
    def step(x):
        k = np.zeros((len(b), len(x)))
        for _ in range(60):
            k = np.array([f(x + h * row @ k) for row in np.array(A)])
        return x + h * np.array(b) @ k

    return step


R3 = np.sqrt(3.0)


def nonseparable_gauss2():
    A = [[1 / 4, 1 / 4 - R3 / 6], [1 / 4 + R3 / 6, 1 / 4]]
    return (
        max(two_form(implicit(coupled(), A, [1 / 2, 1 / 2], 1 / 4), RNG.standard_normal(2 * D)) for _ in range(10))
        < 1e-9
    )


def nonseparable_euler():
    f = coupled()

    def step(x):
        p = x[D:] + f(x)[D:] / 4
        q = x[:D] + f(np.concatenate([x[:D], p]))[:D] / 4
        return np.concatenate([q, p])

    return max(two_form(step, RNG.standard_normal(2 * D)) for _ in range(10)) < 1e-9


def nonseparable_flow():
    return max(field_form(coupled(), RNG.standard_normal(2 * D)) for _ in range(10)) < 1e-9


def damped_flow():
    K, b = free(), RNG.standard_normal(D)
    f = lambda x: np.concatenate([x[D:], -K.T @ np.tanh(K @ x[:D] + b) - x[D:] / 10])  # noqa: E731
    return field_form(f, RNG.standard_normal(2 * D)) < 1e-9


def kicked(force, substeps):
    def step(x):
        q, p = x[: len(x) // 2], x[len(x) // 2 :]
        for kind, size in substeps:
            if kind == "kick":
                p = p + size * force(q)
            else:
                q = q + size * p
        return np.concatenate([q, p])

    return step


def verlet(h):
    return [("kick", h / 2), ("drift", h), ("kick", h / 2)]


def layered_yoshida4():
    a = 1 / (2 - 2 ** (1 / 3))
    worst = 0.0
    for _ in range(10):
        K, b = RNG.standard_normal((3, D)), 5 + RNG.uniform(1, 2, 3)
        # A large bias keeps the state away from the kinks, where differences see two slopes.
        force = lambda q, K=K, b=b: -K.T @ np.maximum(K @ q + b * np.sign(K[:, 0]), 0)  # noqa: E731
        substeps = verlet(a / 4) + verlet((1 - 2 * a) / 4) + verlet(a / 4)
        worst = max(worst, two_form(kicked(force, substeps), RNG.standard_normal(2 * D) / 10))
    return worst < 1e-9


def not_a_gradient():
    W = np.array([[0.0, 1.0], [0.0, 0.0]])
    return two_form(kicked(lambda q: np.tanh(W @ q), verlet(1 / 4)), np.zeros(2 * D)) < 1e-9


def diagonal_force():
    worst = 0.0
    for _ in range(10):
        w = RNG.standard_normal(D)
        step = kicked(lambda q, w=w: -w * np.sin(w * q), [("kick", 1 / 4), ("drift", 1 / 4)])
        worst = max(worst, two_form(step, RNG.standard_normal(2 * D)))
    return worst < 1e-9


def pendulum_trapezoid():
    f = lambda x: np.array([x[1], -np.sin(x[0])])  # noqa: E731
    step = implicit(f, [[0, 0], [1 / 2, 1 / 2]], [1 / 2, 1 / 2], 1 / 2)
    return two_form(step, np.array([1.0, 1.0])) < 1e-9


def relu(x):
    return np.maximum(x, 0)


def revnet():
    worst = 0.0
    for _ in range(20):
        W, V = free(), free()
        x, y = RNG.standard_normal((2, D))
        after_x = x + np.tanh(W @ y)
        after_y = y + relu(V @ after_x)
        back_y = after_y - relu(V @ after_x)
        back_x = after_x - np.tanh(W @ back_y)
        worst = max(worst, np.abs(back_x - x).max(), np.abs(back_y - y).max())
    return worst < 1e-9


def coupled_at_once():
    W, V = np.diag([2.0, 0.0]), np.diag([2.0, 0.0])
    step = lambda s: np.concatenate([s[:D] + np.tanh(W @ s[D:]), s[D:] + relu(V @ s[:D])])  # noqa: E731
    near, far = np.array([1.0, 0, 0, 0]), np.array([1.0, 0, 9, 0])
    return np.linalg.det(jacobian(step, near)) * np.linalg.det(jacobian(step, far)) > 0


def momentum(g, W, s):
    v = g * s[D:] + (1 - g) * np.tanh(W @ s[:D])
    return np.concatenate([s[:D] + v, v])


def momentum_net():
    worst = 0.0
    for _ in range(20):
        g, W, s = RNG.uniform(0.1, 1), free(), RNG.standard_normal(2 * D)
        after = momentum(g, W, s)
        x = after[:D] - after[D:]
        v = (after[D:] - (1 - g) * np.tanh(W @ x)) / g
        worst = max(worst, np.abs(np.concatenate([x, v]) - s).max())
    return worst < 1e-9


def forgetful_net():
    W, s = free(), RNG.standard_normal(2 * D)
    other = s + np.array([0, 0, 1.0, 0])
    return bool((momentum(0.0, W, s) != momentum(0.0, W, other)).any())


def residual(c, seed=None):
    W, V, b = bounded(1), bounded(c), RNG.standard_normal(D)
    return lambda x: x + V @ relu(W @ x + b)


def residual_net():
    """Picard's iteration finds the one state with a given image."""
    worst = 0.0
    for _ in range(20):
        W, V, b = bounded(1), bounded(0.9), RNG.standard_normal(D)
        image, x = 3 * RNG.standard_normal(D), np.zeros(D)
        for _ in range(500):
            x = image - V @ relu(W @ x + b)
        worst = max(worst, np.abs(x + V @ relu(W @ x + b) - image).max())
    return worst < 1e-9


def folded_net():
    V = -1.1 * np.eye(D)
    x, y = np.array([10.0, 0]), np.array([-1.0, 0])
    image = [z + V @ relu(z) for z in (x, y)]
    return not np.abs(image[0] - image[1]).max() < 1e-12


def backward_relu():
    """``y -> y + 3 W.T relu(W y + b)`` moves two states apart by at least their distance."""
    least = np.inf
    for _ in range(200):
        W, b = bounded(1), RNG.standard_normal(D)
        y = 3 * RNG.standard_normal((2, D))
        image = [z + 3 * W.T @ relu(W @ z + b) for z in y]
        least = min(least, np.linalg.norm(image[0] - image[1]) / np.linalg.norm(y[0] - y[1]))
    return least >= 1 - 1e-9


def free_flow():
    """The field's difference quotients stay below a bound that its weights give."""
    for _ in range(50):
        W, V, b = free(), free(), RNG.standard_normal(D)
        f = lambda x, W=W, V=V, b=b: V @ np.tanh(W @ x + b) + np.cos(x) / (1 + np.exp(-np.clip(W @ x, -50, 50)))  # noqa: E731
        x, y = 10.0 ** RNG.uniform(-2, 3) * RNG.standard_normal((2, D))
        bound = (np.linalg.norm(V, 2) + 1) * np.linalg.norm(W, 2) + 1
        if np.linalg.norm(f(x) - f(y)) > bound * np.linalg.norm(x - y):
            return False
    return True


def main():
    wrong = 0
    for line in (Path(__file__).parent / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        name = entry["file"].removesuffix(".ode")
        if bool(globals()[name]()) != entry["truth"]:
            print("wrong:", name)
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
