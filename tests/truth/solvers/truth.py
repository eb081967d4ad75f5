"""The truth of the claims of this folder, with NumPy alone.

True ones: bounds by the triangle inequality, or all values of the step's polynomial (or quotient) over the eigenvalues that
are allowed, for fields that are linear and normal. False ones: the method itself, run with weights within the constraints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import exp, expm1
from pathlib import Path

import numpy as np

Array = np.ndarray
Field = Callable[[Array], Array]
GRID = np.linspace(0.0, 1.0, 100_001)


# --- the methods, for autonomous fields --------------------------------------------


def heun(f: Field, x: Array, h: float) -> Array:
    return x + h / 2 * (f(x) + f(x + h * f(x)))


def rk3(f: Field, x: Array, h: float) -> Array:
    k1 = f(x)
    k2 = f(x + h / 2 * k1)
    return x + h / 6 * (k1 + 4 * k2 + f(x + h * (2 * k2 - k1)))


def multistep(method: str, f: Field, x: Array, h: float, steps: int) -> Array:
    xs = [x]
    for n in range(steps):
        if method == "ab3" and n < 2:
            xs.append(rk3(f, xs[-1], h))
        elif n < 1:
            xs.append(heun(f, xs[-1], h))
        elif method == "ab2":
            xs.append(xs[-1] + h * (1.5 * f(xs[-1]) - 0.5 * f(xs[-2])))
        elif method == "ab3":
            xs.append(xs[-1] + h / 12 * (23 * f(xs[-1]) - 16 * f(xs[-2]) + 5 * f(xs[-3])))
        else:
            xs.append(xs[-2] + 2 * h * f(xs[-1]))
    return xs[-1]


def linear(rate: Array) -> Field:
    return lambda x: rate * x


def bdf2(z: Array, steps: int) -> Array:
    """The factor of ``x' = rate x`` with ``z = h rate``; the first step is one of backward Euler."""
    before, now = np.ones_like(z), 1 / (1 - z)
    for _ in range(steps - 1):
        before, now = now, (4 * now - before) / 3 / (1 - 2 * z / 3)
    return now


def phi(k: int, z: float) -> float:
    """``phi_k`` of a number that is not small."""
    value = exp(z)
    for factorial in (1, 1, 2)[:k]:
        value = (value - 1 / factorial) / z
    return value


def expansion(f: Callable[[Array], Array], x: Array, y: Array) -> float:
    """The ratio of the distances of images and points."""
    return float(np.linalg.norm(f(y) - f(x)) / np.linalg.norm(y - x))


# --- bounds --------------------------------------------------------------------------


def adams_norms(method: str, h: float, c: float, steps: int) -> float:
    """A bound of the growth for ``x' = -x + N(x)``, N with the Lipschitz constant c, by norms term by term."""
    first = abs(1 - h + h * h / 2) + h / 2 * abs(1 - h) * c + h / 2 * c * (abs(1 - h) + h * c)
    sizes = [1.0, first]
    for _ in range(steps - 1):
        if method == "ab2":
            sizes.append((abs(1 - 1.5 * h) + 1.5 * h * c) * sizes[-1] + h / 2 * (1 + c) * sizes[-2])
        elif len(sizes) < 3:
            sizes.append(first * sizes[-1])
        else:
            now = (abs(1 - 23 / 12 * h) + 23 / 12 * h * c) * sizes[-1]
            sizes.append(now + 16 / 12 * h * (1 + c) * sizes[-2] + 5 / 12 * h * (1 + c) * sizes[-3])
    return sizes[-1]


def etdrk4_norms(h: float, c: float) -> float:
    """The same for a step of ETDRK4, whose phi functions are numbers here."""
    half, p = exp(-h / 2), h / 2 * phi(1, -h / 2) * c
    a = half + p
    b = half + p * a
    last = half * a + p * (2 * b + 1)
    p1, p2, p3 = (phi(k, -h) for k in (1, 2, 3))
    weights = abs(p1 - 3 * p2 + 4 * p3), abs(2 * p2 - 4 * p3), abs(4 * p3 - p2)
    return exp(-h) + h * c * (weights[0] + weights[1] * (a + b) + weights[2] * last)


def small(step: Callable[[float], float], steps: int) -> float:
    """The growth between zero and a small number under a map that keeps zero."""
    x = 1e-3
    for _ in range(steps):
        x = step(x)
    return x / 1e-3


def etdrk4_step(c: float, h: float) -> Callable[[float], float]:
    def rest(x: float) -> float:
        return c * float(np.tanh(x))

    half, p = exp(-h / 2), h / 2 * phi(1, -h / 2)
    p1, p2, p3 = (phi(k, -h) for k in (1, 2, 3))

    def step(x: float) -> float:
        a = half * x + p * rest(x)
        b = half * x + p * rest(a)
        last = half * a + p * (2 * rest(b) - rest(x))
        middle = (2 * p2 - 4 * p3) * (rest(a) + rest(b))
        return exp(-h) * x + h * ((p1 - 3 * p2 + 4 * p3) * rest(x) + middle + (4 * p3 - p2) * rest(last))

    return step


# --- witnesses -------------------------------------------------------------------------


def switching_units() -> bool:
    """Two steps of ab2 between which a unit is switched off: the products of the slopes do not commute."""
    W = np.array(UNITS)
    b, x, y = (np.array(v) for v in (BIAS, *PAIR))
    assert np.linalg.norm(W, 2) <= 1
    return expansion(lambda v: multistep("ab2", lambda z: -W.T @ np.maximum(W @ z + b, 0), v, 0.5, 4), x, y) > 1


UNITS = [[-0.017578125, 0.5498046875], [0.6826171875, 0.6162109375]]
BIAS = [4.5732421875, -0.09765625]
PAIR = ([2.2802734375, -1.8486328125], [2.6083984375, -1.8330078125])


def rotated_unit() -> bool:
    """Two exponential steps of ``x' = S x - e_2 (e_2.x + b)`` with an active unit."""
    S = np.array([[0.0, 2.0], [-2.0, 0.0]])
    values, vectors = np.linalg.eig(S)
    E = np.real(vectors @ np.diag(np.exp(values)) @ np.linalg.inv(vectors))
    step = E - np.linalg.solve(S, E - np.eye(2)) @ np.diag([0.0, 1.0])
    return bool(np.linalg.norm(step @ step, 2) > 1)


def liquid() -> bool:
    """A large state of one unit times the slope of its gate, which reads the other unit."""

    def step(x: Array) -> Array:
        gate = 1 / (1 + np.exp(-x[::-1]))
        return x / (1 + 1 + gate)

    def three(x: Array) -> Array:
        return step(step(step(x)))

    return expansion(three, np.array([1000.0, 0.0]), np.array([1000.0, 0.01])) > 1


def two_states() -> bool:
    L = np.array([[0.0, 1.0], [-1.0, -2.0]])
    return bool(np.linalg.eigvalsh((L + L.T) / 2)[-1] <= 0 and (1 + 0.1 * 0.25) ** 4 <= 1.2)


def leaky(x: float, c: float) -> float:
    return c * float(np.tanh(x))


TRUTH: dict[str, Callable[[], bool]] = {
    "ab2_psd": lambda: bool(np.max(np.abs(multistep("ab2", linear(-GRID), np.ones_like(GRID), 0.5, 8))) <= 1),
    "ab2_psd_far": lambda: not abs(multistep("ab2", linear(np.array(-1.0)), np.array(1.0), 1.2, 40)) > 5,
    "ab2_gradient_flow": lambda: not switching_units(),
    "ab2_leaky": lambda: adams_norms("ab2", 0.2, 0.5, 20) <= 2,
    "ab2_per_step": lambda: adams_norms("ab2", 0.2, 0.5, 10) <= 1.5,
    "ab3_leaky_start": lambda: adams_norms("ab3", 0.1, 0.5, 10) <= 4,
    "ab3_leak_far": lambda: not abs(multistep("ab3", linear(np.array(-1.0)), np.array(1.0), 0.6, 400)) > 1,
    "leapfrog_skew": lambda: bool(
        np.max(np.abs(multistep("leapfrog", linear(1j * GRID), np.ones_like(GRID) + 0j, 0.9, 60))) <= 2.5
    ),
    "leapfrog_leak": lambda: not abs(multistep("leapfrog", linear(np.array(-1.0)), np.array(1.0), 0.2, 60)) > 1,
    "bdf2_stiff": lambda: bool(np.max(np.abs(bdf2(-10 * GRID, 12))) <= 1),
    "bdf2_growing": lambda: not bdf2(np.array(0.25), 4) > 1,
    "imex_skew_gradient": lambda: max(abs(1 - 2.0 * s) for s in (0, 1)) <= 1,
    "imex_skew_gradient_far": lambda: not abs(1 - 2.02) ** 3 > 1,
    "imex_named": lambda: abs(1 - 1) + 1 * 1 <= 1,
    "imex_named_leak": lambda: not abs((1 + 2j) / 2) ** 2 > 1,
    "imex_rate": lambda: exp(-0.36 * 2) >= ((1 + 0.25) / 1.5) ** 4,
    "imex_rate_fast": lambda: not small(lambda x: (x + 0.5 * leaky(x, 0.5)) / 1.5, 4) > exp(-0.37 * 2),
    "etd1_leaky": lambda: exp(-10) + -expm1(-10) * 1 <= 1,
    "etd1_leaky_over": lambda: not small(lambda x: exp(-1) * x - expm1(-1) * leaky(x, 1.02), 3) > 1,
    "etd1_rotation": lambda: exp(-0.25 * 2) ** 4 <= exp(-0.25 * 8),
    "etd1_rotation_gradient": lambda: bool(np.allclose(np.abs(np.exp(2j * np.linspace(-9, 9, 1001))), 1, atol=1e-15)),
    "etd1_skew_gradient": lambda: not rotated_unit(),
    "etd1_two_states": two_states,
    "etdrk4_linear": lambda: exp(-0.5 * 10) <= 0.01,
    "etdrk4_growing": lambda: not small(etdrk4_step(1.2, 0.5), 4) > 1,
    "etdrk4_leaky": lambda: etdrk4_norms(0.5, 0.5) <= 1,
    "fused_leaky": lambda: (1 + 3) / (1 + 3) <= 1,
    "fused_leaky_over": lambda: not small(lambda x: (x + 3 * leaky(x, 1.05)) / 4, 4) > 1,
    "fused_gate": lambda: bool(np.max((1 + GRID) / (1 + 1 + GRID)) <= 1),
    "fused_liquid": lambda: not liquid(),
}


def main() -> int:
    lines = Path(__file__).with_name("expected.jsonl").read_text(encoding="utf-8").splitlines()
    stated = {e["file"].removesuffix(".ode"): e["truth"] for e in map(json.loads, lines)}
    wrong = [name for name, truth in stated.items() if name not in TRUTH or TRUTH[name]() is not truth]
    for name in wrong:
        print(f"{name}: not {stated[name]}")
    return int(bool(wrong) or stated.keys() != TRUTH.keys())


if __name__ == "__main__":
    sys.exit(main())
