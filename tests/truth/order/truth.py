"""The truth of the claims of this folder, by NumPy alone: the slopes of errors on fields of each spec's form.

Every method is written down here once more. A true claim of order p needs a slope of p or more on several random fields; a
false one a slope below p on one of them. The theory behind the true ones is in the column `why`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

D = 3
RNG = np.random.default_rng(5)


def unit(scale):
    W = RNG.standard_normal((D, D))
    return scale * W / np.linalg.norm(W, 2)


def rk(A, b):
    A, b = np.array(A, float), np.array(b, float)
    c = A.sum(axis=1)

    def step(f, t, x, h):
        k = np.zeros((len(b), len(x)))
        rounds = 1 if np.allclose(A, np.tril(A, -1)) else 30
        for _ in range(rounds):
            for i in range(len(b)):
                k[i] = f(t + c[i] * h, x + h * A[i] @ k)
        return x + h * b @ k

    return step


R3, R6, R2 = np.sqrt(3.0), np.sqrt(6.0), np.sqrt(2.0)
EULER = rk([[0]], [1])
HEUN = rk([[0, 0], [1, 0]], [0.5, 0.5])
KUTTA3 = rk([[0, 0, 0], [0.5, 0, 0], [-1, 2, 0]], [1 / 6, 2 / 3, 1 / 6])
BACKWARD = rk([[1]], [1])
GAUSS2 = rk([[1 / 4, 1 / 4 - R3 / 6], [1 / 4 + R3 / 6, 1 / 4]], [0.5, 0.5])
LAST = [(16 - R6) / 36, (16 + R6) / 36, 1 / 9]
RADAU5 = rk(
    [
        [(88 - 7 * R6) / 360, (296 - 169 * R6) / 1800, (-2 + 3 * R6) / 225],
        [(296 + 169 * R6) / 1800, (88 + 7 * R6) / 360, (-2 - 3 * R6) / 225],
        LAST,
    ],
    LAST,
)
G = 1 - 1 / R2
SDIRK2 = rk([[G, 0], [1 - G, G]], [1 - G, G])
RK38 = rk([[0] * 4, [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]], [1 / 8, 3 / 8, 3 / 8, 1 / 8])
TAYLOR3 = rk([[0, 0, 0], [1 / 3, 0, 0], [0, 1 / 2, 0]], [0, 0, 1])
INCONSISTENT = rk([[0, 0], [0.5, 0]], [0.1, 0.8])
DOPRI5 = rk(
    [
        [0] * 6,
        [1 / 5, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
    ],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
)


def one_step(step):
    def run(f, x, T, n):
        h = T / n
        for k in range(n):
            x = step(f, k * h, x, h)
        return x

    return run


def leapfrog(start):
    def run(f, x, T, n):
        h = T / n
        old, now = x, start(f, 0.0, x, h)
        for k in range(1, n):
            old, now = now, old + 2 * h * f(k * h, now)
        return now

    return run


def ab3(start):
    def run(f, x, T, n):
        h, slopes = T / n, []
        for k in range(n):
            slopes.append(f(k * h, x))
            if k < 2:
                x = start(f, k * h, x, h)
            else:
                x = x + h * (23 * slopes[-1] - 16 * slopes[-2] + 5 * slopes[-3]) / 12
        return x

    return run


def bdf2(f, x, T, n):
    h = T / n
    old, now = x, BACKWARD(f, 0.0, x, h)
    for k in range(1, n):
        known = (4 * now - old) / 3
        new = now
        for _ in range(30):
            new = known + 2 / 3 * h * f((k + 1) * h, new)
        old, now = now, new
    return now


# --- positions and momenta: x = (q, p), p' = force(t, q) ----------------------------


def kicks(substeps):
    """``substeps``: (kind, size, time)."""

    def step(f, t, x, h):
        for kind, size, at in substeps:
            slope = f(t + at * h, x)
            part = slice(D, 2 * D) if kind == "kick" else slice(0, D)
            x = x.copy()
            x[part] += size * h * slope[part]
        return x

    return step


def verlet(size, begin):
    return [("kick", size / 2, begin), ("drift", size, begin + size / 2), ("kick", size / 2, begin + size)]


OUTER = 1 / (2 - 2 ** (1 / 3))
YOSHIDA4 = kicks(verlet(OUTER, 0) + verlet(1 - 2 * OUTER, OUTER) + verlet(OUTER, 1 - OUTER))
VERLET = kicks(verlet(1, 0))
SYMPLECTIC_EULER = kicks([("kick", 1, 0), ("drift", 1, 0)])


# --- x' = -3 x + N(x) ---------------------------------------------------------------

LINEAR = -3.0


def phi(k, z):
    total, term = 0.0, 1.0
    for j in range(1, k + 1):
        term /= j
    for j in range(40):
        total += term
        term *= z / (j + k + 1)
    return total


def etd1(f, t, x, h):
    z = LINEAR * h
    return np.exp(z) * x + h * phi(1, z) * (f(t, x) - LINEAR * x)


def etdrk4(f, t, x, h):
    def rest(y):
        return f(t, y) - LINEAR * y

    z = LINEAR * h
    half, p = np.exp(z / 2), phi(1, z / 2)
    a = half * x + h / 2 * p * rest(x)
    b = half * x + h / 2 * p * rest(a)
    c = half * a + h / 2 * p * (2 * rest(b) - rest(x))
    p1, p2, p3 = (phi(k, z) for k in (1, 2, 3))
    return np.exp(z) * x + h * (
        (p1 - 3 * p2 + 4 * p3) * rest(x) + (2 * p2 - 4 * p3) * (rest(a) + rest(b)) + (-p2 + 4 * p3) * rest(c)
    )


def imex(f, t, x, h):
    return (x + h * (f(t, x) - LINEAR * x)) / (1 - h * LINEAR)


# --- fields ---------------------------------------------------------------------------


def nonlinear():
    W, b = unit(2.0), RNG.standard_normal(D)
    return lambda t, x: np.tanh(W @ x + b) - np.sin(x), D


def linear():
    W, b = unit(2.0), RNG.standard_normal(D)
    return lambda t, x: W @ x + b, D


def timed():
    K, b = unit(1.0), RNG.standard_normal(D)

    def f(t, x):
        q, p = x[:D], x[D:]
        return np.concatenate([p, -(1 + t) * K.T @ np.tanh(K @ q + b)])

    return f, 2 * D


def stiff():
    W, b = unit(1.0), RNG.standard_normal(D)
    return lambda t, x: LINEAR * x + np.tanh(W @ x + b), D


def gated():
    W, b, c = unit(1.0), RNG.standard_normal(D), RNG.standard_normal(D)

    def gate(x):
        return 1 / (1 + np.exp(-(W @ x + b)))

    def fused(f, t, x, h):
        g = gate(x)
        return (x + h * g * c) / (1 + h * g)

    return (lambda t, x: gate(x) * (c - x)), D, fused


def reference(f, x):
    return one_step(DOPRI5)(f, x, 1.0, 256)


def slopes(run, field, n):
    f, size = field
    x = RNG.standard_normal(size)
    exact = reference(f, x)
    errors = [np.linalg.norm(run(f, x, 1.0, k) - exact) for k in (n, 2 * n)]
    return np.log2(errors[0] / errors[1])


CASES = {
    "ab3_order3": (ab3(KUTTA3), nonlinear, 3, 64),
    "ab3_euler_start": (ab3(EULER), nonlinear, 3, 64),
    "leapfrog_euler_start": (leapfrog(EULER), nonlinear, 2, 64),
    "bdf2_order2": (bdf2, nonlinear, 2, 64),
    "gauss2_order4": (one_step(GAUSS2), nonlinear, 4, 8),
    "radau5_order5": (one_step(RADAU5), nonlinear, 5, 8),
    "sdirk2_order3": (one_step(SDIRK2), nonlinear, 3, 32),
    "rk38_order5": (one_step(RK38), nonlinear, 5, 16),
    "linear_taylor3": (one_step(TAYLOR3), linear, 3, 32),
    "nonlinear_taylor3": (one_step(TAYLOR3), nonlinear, 3, 32),
    "inconsistent": (one_step(INCONSISTENT), nonlinear, 1, 32),
    "yoshida4_timed": (one_step(YOSHIDA4), timed, 4, 16),
    "verlet_order3": (one_step(VERLET), timed, 3, 32),
    "symplectic_euler_order2": (one_step(SYMPLECTIC_EULER), timed, 2, 32),
    "etdrk4_order4": (one_step(etdrk4), stiff, 4, 16),
    "etd1_order2": (one_step(etd1), stiff, 2, 32),
    "imex_order1": (one_step(imex), stiff, 1, 64),
    "dopri5_fixed": (one_step(DOPRI5), nonlinear, 6, 8),
}


def measured(name):
    """The order that is claimed, and slopes on five random fields."""
    if name == "fused_order2":
        found = []
        for _ in range(3):
            f, size, fused = gated()
            found.append(slopes(one_step(fused), (f, size), 32))
        return 2, found
    run, field, order, n = CASES[name]
    return order, [slopes(run, field(), n) for _ in range(3)]


def main():
    wrong = 0
    for line in (Path(__file__).parent / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        name = entry["file"].removesuffix(".ode")
        order, found = measured(name)
        true = np.median(found) > order - 0.4
        assert entry["claim"] == f"order >= {order}"
        print(name, order, np.round(found, 2))
        if true != entry["truth"]:
            print("wrong:", name)
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
