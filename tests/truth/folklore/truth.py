"""The truth of the specs beside this file, by NumPy alone.

Of a false claim a witness is computed; of a true one the argument is in ``expected.jsonl``, and random weights at the
edge of the constraints are tried. The letters and numbers are those of a collection of claims that are often made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import erf
from pathlib import Path

import numpy as np

rng = np.random.default_rng(7)
D = 8


def relu(v: np.ndarray) -> np.ndarray:
    return np.maximum(v, 0)


def unit(*shape: int) -> np.ndarray:
    w = rng.standard_normal(shape)
    return w / np.linalg.norm(w, 2)


def skew(d: int = D) -> np.ndarray:
    w = rng.standard_normal((d, d))
    w = w - w.T
    return w / np.linalg.norm(w, 2)


def ratio(step: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(step(y) - step(x)) / np.linalg.norm(y - x))


def pairs(step: Callable[[np.ndarray], np.ndarray], d: int = D, count: int = 200) -> float:
    """The largest ratio over random pairs."""
    return max(ratio(step, *rng.standard_normal((2, d))) for _ in range(count))


def stages(A: list[list[float]], b: list[float], f: Callable[[np.ndarray], np.ndarray], h: float) -> Callable:
    def step(x: np.ndarray) -> np.ndarray:
        k: list[np.ndarray] = []
        for row in A:
            k.append(f(x + h * sum((a * v for a, v in zip(row, k, strict=False)), 0 * x)))
        return x + h * sum(w * v for w, v in zip(b, k, strict=True))

    return step


# --- one function a file: whether the claim is true ------------------------------------


def skew_euler_stable() -> bool:
    return abs(1 + 0.1j) <= 1


def skew_midpoint_stable() -> bool:
    eigenvalues = np.concatenate([np.linalg.eigvals(skew()) for _ in range(50)])
    return bool((abs((1 + 0.05 * eigenvalues) / (1 - 0.05 * eigenvalues)) <= 1 + 1e-12).all())


def frozen_eigenvalues() -> bool:
    """The solution (cos t, -sin t) e^(t/2): its derivative is A(t) times it."""
    for t in np.linspace(0, 20, 50):
        c, s = np.cos(t), np.sin(t)
        a = np.array([[-1 + 1.5 * c * c, 1 - 1.5 * s * c], [-1 - 1.5 * s * c, -1 + 1.5 * s * s]])
        z, dz = np.array([c, -s]), np.array([-s + c / 2, -c - s / 2])
        assert np.allclose(a @ z, dz) and np.linalg.eigvals(a).real.max() < 0
    return np.exp(10) <= 10


def bounded_branch() -> bool:
    return 1.1**50 <= 1


def reshaped_kernel() -> bool:
    kernel = np.ones((3, 3)) / 3
    assert np.isclose(np.linalg.norm(kernel), 1)
    return ratio(lambda x: x - 2 * kernel.sum() ** 2 * relu(x), np.ones(1), 2 * np.ones(1)) <= 1


def operator_kernel() -> bool:
    worst = 0.0
    for _ in range(30):
        symbol = np.fft.fft2(np.pad(rng.standard_normal((3, 3)), (0, 5)))
        symbol /= abs(symbol).max()

        def step(x: np.ndarray, symbol: np.ndarray = symbol) -> np.ndarray:
            active = relu(np.fft.ifft2(symbol * np.fft.fft2(x.reshape(8, 8))).real)
            return x - 2 * np.fft.ifft2(symbol.conj() * np.fft.fft2(active)).real.ravel()

        worst = max(worst, pairs(step, 64))
    return worst <= 1 + 1e-12


def antisymmetric_rnn() -> bool:
    for _ in range(3000):
        s, b = 3 * skew(4), 3 * rng.standard_normal(4)

        def network(v: np.ndarray, s: np.ndarray = s, b: np.ndarray = b) -> np.ndarray:
            for _ in range(40):
                v = v + 0.1 * np.tanh((s - 0.5 * np.eye(4)) @ v + b)
            return v

        x = 3 * rng.standard_normal(4)
        if ratio(network, x, x + 1e-4 * rng.standard_normal(4)) > 1:
            return False
    return True


def any_damping() -> bool:
    return abs(1 + 0.1 * (1j - 0.01)) <= 1


def enough_damping() -> bool:
    return all(np.linalg.norm(np.eye(D) + 0.1 * (skew() - 0.06 * np.eye(D)), 2) <= 1 for _ in range(200))


def small_step_midpoint() -> bool:
    """The slopes of the second stage, and those of the first, are two projections: T = I - h Q (I - h/2 P)."""
    worst = 0.0
    for angle in np.linspace(0, np.pi, 400):
        v = np.array([np.cos(angle), np.sin(angle)])
        p, q = np.diag([1.0, 0.0]), np.outer(v, v)
        worst = max(worst, np.linalg.norm(np.eye(2) - 0.1 * q @ (np.eye(2) - 0.05 * p), 2))
    return worst <= 1


def linear_interval_ssprk3() -> bool:
    """Slopes drawn apart for the stages."""
    worst = 0.0
    for _ in range(20_000):
        a, b, c = (np.outer(v, v) / (v @ v) for v in rng.standard_normal((3, 2)))
        h, one = 2.4, np.eye(2)
        y1 = one - h * a
        y2 = 0.75 * one + 0.25 * (one - h * b) @ y1
        worst = max(worst, np.linalg.norm(one / 3 + 2 / 3 * (one - h * c) @ y2, 2))
    return worst <= 1


def circle_ssprk3() -> bool:
    worst = 0.0
    for _ in range(100):
        W, b = unit(D, D), rng.standard_normal(D)
        f = lambda x, W=W, b=b: -W.T @ relu(W @ x + b)  # noqa: E731
        step = stages([[], [1], [0.25, 0.25]], [1 / 6, 1 / 6, 2 / 3], f, 2.0)
        worst = max(worst, pairs(step, count=30))
    return worst <= 1 + 1e-12


def truncated_implicit() -> bool:
    f = lambda x: x - 2 * np.tanh(x - 2 * np.tanh(x))  # noqa: E731
    return ratio(f, np.zeros(1), 1e-4 * np.ones(1)) <= 1


def whole_implicit() -> bool:
    """(I + h S)^-1 for a positive semidefinite S."""
    worst = 0.0
    for _ in range(200):
        W = unit(D, D)
        worst = max(worst, np.linalg.norm(np.linalg.inv(np.eye(D) + 2 * W.T @ np.diag(rng.random(D)) @ W), 2))
    return worst <= 1


def adaptive_tolerance() -> bool:
    """A step that is accepted for one state and rejected for another, arbitrarily near: the map jumps there.

    The first step size is the same for both only up to where the error estimate crosses the tolerance; the results on
    either side differ by the local error, whatever the distance.
    """
    from numpy import tanh

    A = [[], [1 / 5], [3 / 40, 9 / 40], [44 / 45, -56 / 15, 32 / 9]]
    A += [[19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729]]
    A += [[9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656]]
    A += [[35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]]
    b = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0]
    f = lambda x: -tanh(x)  # noqa: E731
    one, half = stages(A, b, f, 1.0), stages(A, b, f, 0.5)
    x = np.array([2.0])
    return abs(float((one(x) - half(half(x)))[0])) == 0.0


def symplectic_explodes() -> bool:
    """Layers with K = I: a rotation by hyperbolic weights that are turned with the state: greedy growth."""
    d, h = 1, 0.25
    z, worst = np.eye(2 * d), 1.0
    for _ in range(64):
        best = max((np.linalg.norm(_verlet(h, s, t) @ z, 2), s, t) for s in (0.0, 1.0) for t in (0.0, 1.0))
        z = _verlet(h, best[1], best[2]) @ z
        worst = max(worst, np.linalg.norm(z, 2))
    return worst <= 2


def _verlet(h: float, s: float, t: float) -> np.ndarray:
    kick = np.array([[1, 0], [-h / 2 * s, 1]])
    return kick @ np.array([[1, h * t], [0, 1]]) @ kick


def symplectic_is_symplectic() -> bool:
    omega = np.array([[0, 1.0], [-1, 0]])
    return all(np.allclose(m.T @ omega @ m, omega) for m in (_verlet(0.25, *rng.random(2)) for _ in range(100)))


def untied_nais() -> bool:
    """One layer: slopes (1, 0) on a symmetric positive definite matrix of norm 1.1."""
    r = np.array([[1.0, 0.6], [0.6, 0.4]])
    r /= np.linalg.norm(r, 2)
    return np.linalg.norm(np.eye(2) - np.diag([1.0, 0.0]) @ (r.T @ r + 0.1 * np.eye(2)), 2) <= 1


def gelu_flow() -> bool:
    gelu = np.vectorize(lambda v: 0.5 * v * (1 + erf(v / 2**0.5)))

    def implicit(x: float) -> float:
        z = x
        for _ in range(200):
            z = z - (z + gelu(z) - x) / (1 + (gelu(z + 1e-6) - gelu(z - 1e-6)) / 2e-6)
        return float(z)

    x, y = (v + float(gelu(v)) for v in (-1.5, -1.4))
    return abs(implicit(y) - implicit(x)) <= abs(y - x)


def cubic_domain() -> bool:
    """Two solutions from near 1: x(t) = 1 / sqrt(1 - (1 - 1/x0^2) e^(2t)) of x' = -x + x^3."""
    at = lambda x0: 1 / np.sqrt(1 - (1 - 1 / x0**2) * np.exp(4.0))  # noqa: E731
    return abs(at(1.005) - at(1.0)) <= 0.005


def multiplicative_noise() -> bool:
    return (1 - 0.01) ** 2 + 0.1 * 0.25 <= 1


def weak_noise() -> bool:
    return (1 - 0.02) ** 2 + 0.1 * 0.25 <= 1


def main() -> int:
    wrong = 0
    for line in (Path(__file__).parent / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        found = globals()[Path(entry["file"]).stem]()
        if bool(found) != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {entry['claim']} is {found}, not {entry['truth']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
