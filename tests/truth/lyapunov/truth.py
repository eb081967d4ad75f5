"""The truth of the specs of this folder, with NumPy alone.

True: a form V, its matrix written down by hand, is checked on the worst weights of the family (all of which are
diagonal up to rotations), or the map is a known matrix and its norm is taken. False: weights and states that break it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Matrix = np.ndarray


def step(name: str, m: Matrix, h: float) -> Matrix:
    """One step of a linear equation."""
    one = np.eye(len(m))
    if name == "euler":
        return one + h * m
    if name == "rk4":
        return one + h * m @ (one + h / 2 * m @ (one + h / 3 * m @ (one + h / 4 * m)))
    raise ValueError(name)


def exponential(m: Matrix) -> Matrix:
    parts = 2**12
    one = np.eye(len(m))
    small = m / parts
    result = one + small + small @ small / 2 + small @ small @ small / 6
    return np.linalg.matrix_power(result, parts)


def verlet(k: float, h: float) -> Matrix:
    """Of x'' = -k x: kick, drift, kick."""
    kick, drift = np.array([[1, 0], [-h / 2 * k, 1]]), np.array([[1, h], [0, 1]])
    return kick @ drift @ kick


def growth(m: Matrix, n: int) -> float:
    return float(np.linalg.norm(np.linalg.matrix_power(m, n), 2))


def form_bounds(step_: Matrix, v: Matrix) -> float:
    """The square root of the condition of a form that a step does not let grow; infinite where it grows."""
    if np.linalg.eigvalsh(v - step_.T @ v @ step_).min() < -1e-9 or np.linalg.eigvalsh(v).min() <= 0:
        return np.inf
    return float(np.sqrt(np.linalg.cond(v)))


def spring_form(k: float, h: float) -> Matrix:
    """``|v|^2 + k |x|^2 - h^2/4 k^2 |x|^2``, which verlet conserves."""
    return np.diag([k - h**2 * k**2 / 4, 1.0])


TRANSIENT = np.array([[-1.0, 10.0], [0.0, -1.0]])


def primal_dual(a: float, h: float = 0.5) -> Matrix:
    """x' = -a y, y' = a x by symplectic_euler: an Euler step of y (the momentum), then of x with the new y."""
    kick, drift = np.array([[1, 0], [h * a, 1]]), np.array([[1, -h * a], [0, 1]])
    return drift @ kick


def primal_dual_form(a: float, h: float = 0.5) -> Matrix:
    return np.array([[1, h * a / 2], [h * a / 2, 1]])


def heavy_ball(slopes: Matrix) -> bool:
    """V = |x|^2 + <x, v> + |v|^2 decreases along x' = v, v' = -K.T D K x - 2 v for all 0 <= K.T D K <= 1."""
    form = np.array([[1, 0.5], [0.5, 1.0]])
    for s in slopes:
        m = np.array([[0, 1], [-s, -2.0]])
        if np.linalg.eigvalsh(form @ m + m.T @ form).max() > 1e-12:
            return False
    return True


def nais(h: float, steps: int, rng: np.random.Generator) -> float:
    """The largest growth found in x + h tanh(-(R.T R + I/10) x) over samples; slopes are free by the bias and the state."""
    worst = 0.0
    for _ in range(300):
        r = np.linalg.qr(rng.standard_normal((2, 2)))[0] * (0.9 * rng.choice([0, 1], 2))
        p = r @ r.T + 0.1 * np.eye(2)
        m = np.eye(2)
        for _ in range(steps):
            m = (np.eye(2) - h * np.diag(rng.choice([0, 1.0], 2)) @ p) @ m
        worst = max(worst, float(np.linalg.norm(m, 2)))
    return worst


def nais_is_bounded(h: float) -> bool:
    """In the metric of P a step I - h D P has norm one at most where h |P| <= 2; the condition of P bounds the growth."""
    return h * (0.81 + 0.1) <= 2 and np.sqrt((0.81 + 0.1) / 0.1) <= 3.02


SPRINGS = np.linspace(0.5, 1, 51)

FACTS: dict[str, Callable[[], bool]] = {
    "verlet_true": lambda: form_bounds(verlet(1, 1), spring_form(1, 1)) <= 1.155,
    "verlet_false": lambda: growth(verlet(1, 1), 19) <= 1.1,
    "primal_dual_true": lambda: (
        max(form_bounds(primal_dual(a), primal_dual_form(a)) for a in np.linspace(0, 1, 101)) <= 1.291
    ),
    "primal_dual_false": lambda: max(growth(primal_dual(a), 100) for a in np.linspace(0.9, 1, 2001)) <= 1.27,
    "transient_flow_true": lambda: growth(exponential(2 * TRANSIENT), 1) <= 5,
    "transient_flow_false": lambda: growth(exponential(TRANSIENT), 1) <= 3.6,
    "transient_late_true": lambda: growth(exponential(12 * TRANSIENT), 1) <= 1,
    "transient_rk4_true": lambda: growth(step("rk4", TRANSIENT, 0.1), 20) <= 5,
    "known_matrix_true": lambda: growth(step("euler", TRANSIENT, 0.1), 10) <= 5.1,
    "known_matrix_false": lambda: growth(step("euler", TRANSIENT, 0.1), 10) <= 3.8,
    "known_matrix_late_true": lambda: growth(step("euler", TRANSIENT, 0.1), 100) <= np.exp(-3),
    "heavy_ball_true": lambda: heavy_ball(np.linspace(0, 1, 101)) and np.sqrt(3) <= 1.74,
    "springs_true": lambda: max(form_bounds(verlet(k, 1), spring_form(k, 1)) for k in SPRINGS) <= 2.1,
    "springs_false": lambda: max(growth(verlet(k, 1), 20) for k in SPRINGS) <= 1.2,
    "nais_true": lambda: nais_is_bounded(1.9) and nais(1.9, 20, np.random.default_rng(0)) <= 3.02,
    "nais_false": lambda: float(abs(1 - 2.3 * 0.91) ** 20) <= 3.02,
    "given_start_true": lambda: (
        form_bounds(verlet(4, 0.5), spring_form(4, 0.5)) < np.inf
        and max(np.linalg.norm(np.linalg.matrix_power(verlet(4, 0.5), n)[:, 0]) for n in range(200)) <= 2.01
    ),
    "given_start_false": lambda: float(np.linalg.norm(np.linalg.matrix_power(verlet(4, 0.5), 40)[:, 0])) <= 1.5,
}
"""For each spec whether its claim holds."""


def main() -> int:
    here = Path(__file__).parent
    wrong = []
    for line in (here / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if bool(FACTS[entry["file"].removesuffix(".ode")]()) != entry["truth"]:
            wrong.append(entry["file"])
    print("not confirmed:", wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
