"""The truth of the specs of this folder, with NumPy alone.

True: in the metric named below the step (or the flow) contracts, for slopes and weights at the extremes of what is allowed
and for many random ones. False: a derivative of the map, or a product of two, with too large a spectral radius, which
rules out every inner product; or two states that part too far in the given metric.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Matrix = np.ndarray
TOLERANCE = 1e-9


def norm_in(metric: Matrix, m: Matrix) -> float:
    """The norm of a matrix in the inner product ``<x, P y>``."""
    root = np.linalg.cholesky(metric).T
    return float(np.linalg.norm(root @ m @ np.linalg.inv(root), 2))


def radius(m: Matrix) -> float:
    return float(np.abs(np.linalg.eigvals(m)).max())


def spd(rng: np.random.Generator, low: float, high: float, n: int = 3) -> Matrix:
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return q @ np.diag(rng.choice([low, high, (low + high) / 2], n)) @ q.T


def slopes(rng: np.random.Generator, n: int = 3) -> Matrix:
    return np.diag(rng.choice([0.0, 1.0, 0.5], n))


def samples(count: int = 400) -> Iterator[np.random.Generator]:
    rng = np.random.default_rng(5)
    for _ in range(count):
        yield rng


def contracts(factor: Callable[[np.random.Generator], float]) -> bool:
    return max(factor(rng) for rng in samples()) <= 1 + TOLERANCE


# --- x + h tanh(-(R.T R + I/10) x) -----------------------------------------------


def nais(h: float) -> Callable[[np.random.Generator], float]:
    """In the metric P itself, with P = R.T R + I/10 of eigenvalues in [0.1, 0.91]."""

    def factor(rng: np.random.Generator) -> float:
        p = spd(rng, 0.1, 0.91)
        return norm_in(p, np.eye(3) - h * slopes(rng) @ p)

    return factor


def untied() -> bool:
    """No product of two steps with matrices of their own has a spectral radius above one."""
    worst = 0.0
    for rng in samples(6_000):
        first, second = (np.eye(2) - 1.9 * slopes(rng, 2) @ spd(rng, 0.1, 0.91, 2) for _ in range(2))
        worst = max(worst, radius(first @ second))
    return worst <= 1


# --- x' = -P s(x) ----------------------------------------------------------------


def preconditioned(
    step: Callable[[Matrix, list[Matrix]], Matrix], stages: int
) -> Callable[[np.random.Generator], float]:
    """In the metric of the inverse of P, with slopes of their own at each stage."""

    def factor(rng: np.random.Generator) -> float:
        p = spd(rng, 0.1, 2)
        return norm_in(np.linalg.inv(p), step(p, [slopes(rng) for _ in range(stages)]))

    return factor


def rk4(p: Matrix, d: list[Matrix]) -> Matrix:
    one = np.eye(3)
    k1 = -p @ d[0]
    k2 = -p @ d[1] @ (one + k1 / 2)
    k3 = -p @ d[2] @ (one + k2 / 2)
    k4 = -p @ d[3] @ (one + k3)
    return one + (k1 + 2 * k2 + 2 * k3 + k4) / 6


def flow_decreases(rng: np.random.Generator) -> float:
    """``<e, P^-1 f> = -<e, D e>``: at most zero."""
    p, d = spd(rng, 0.1, 2), slopes(rng)
    form = np.linalg.inv(p) @ (-p @ d)
    return 1 + float(np.linalg.eigvalsh(form + form.T).max())


def apart_in_p(step: Callable[[Matrix, Matrix], Matrix]) -> bool:
    """Whether no step expands in the metric P (the wrong one)."""

    def factor(rng: np.random.Generator) -> float:
        p, d = spd(rng, 0.1, 2, 2), slopes(rng, 2)
        return norm_in(p, step(p, d))

    return contracts(factor)


# --- known matrices --------------------------------------------------------------

M = np.array([[-1.0, 10.0], [0.0, -1.0]])
ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])
EULER = np.eye(2) + M / 10


def exponential(m: Matrix) -> Matrix:
    one, small = np.eye(len(m)), m / 2**12
    return np.linalg.matrix_power(one + small + small @ small / 2 + small @ small @ small / 6, 2**12)


def has_metric(step: Matrix, factor: float) -> bool:
    """Whether some inner product has the step multiply distances by the factor at most: V = sum of (step/factor)^k squared."""
    scaled, form = step / factor, np.eye(len(step))
    if radius(scaled) >= 1 - 1e-9:
        return False
    term = np.eye(len(step))
    for _ in range(2_000):
        term = scaled @ term
        form = form + term.T @ term
    return norm_in(form, step) <= factor * (1 + 1e-6)


# --- oscillators -----------------------------------------------------------------


def verlet(k: float, h: float) -> Matrix:
    kick, drift = np.array([[1, 0], [-h / 2 * k, 1]]), np.array([[1, h], [0, 1]])
    return kick @ drift @ kick


def conserved(k: float, h: float) -> bool:
    """A positive definite form that verlet conserves."""
    form = np.diag([k - h**2 * k**2 / 4, 1.0])
    return bool(form[0, 0] > 0 and norm_in(form, verlet(k, h)) <= 1 + TOLERANCE)


def heavy(s: float) -> Matrix:
    return np.array([[0, 1], [-s, -2.0]])


BALL = np.array([[1, 0.5], [0.5, 1.0]])
EULER_BALL = np.array([[1, 0.5], [0.5, 0.75]])


def ball_flow() -> bool:
    return all(
        np.linalg.eigvalsh(BALL @ heavy(s) + heavy(s).T @ BALL).max() <= TOLERANCE for s in np.linspace(0, 1, 201)
    )


def ball_euler(h: float) -> bool:
    """Every slope K.T D K lies in [0, 1], and the form is affine in it; the worst is at an end or between."""
    forms = [BALL, EULER_BALL, np.array([[1, 0.5], [0.5, 1.0625]])]
    ends = np.linspace(0, 1, 201)
    return any(all(norm_in(v, np.eye(2) + h * heavy(s)) <= 1 + TOLERANCE for s in ends) for v in forms)


def switching() -> bool:
    """The map at its fixed point, all slopes one."""
    a = np.array([[0, 2], [-0.4, 0]])
    return radius(a + 0.5 * np.eye(2)) <= 1


def graph() -> bool:
    """P = L + I/10 of a normalised Laplacian, eigenvalues in [0.1, 2.1], h = 0.9."""
    return contracts(lambda rng: norm_in(p := spd(rng, 0.1, 2.1), np.eye(3) - 0.9 * slopes(rng) @ p))


FACTS: dict[str, Callable[[], bool]] = {
    "nais_some_true": lambda: contracts(nais(2.19)),
    "nais_some_false": lambda: abs(1 - 2.3 * 0.91) <= 1,
    "nais_given_true": lambda: contracts(nais(2.19)),
    "nais_given_false": lambda: abs(1 - 2.25 * 0.91) ** 7 <= 1,
    "untied_nais_false": untied,
    "preconditioned_euler_true": lambda: contracts(preconditioned(lambda p, d: np.eye(3) - p @ d[0], 1)),
    "preconditioned_euler_false": lambda: abs(1 - 10 / 8 * 2) <= 1,
    "preconditioned_rk4_true": lambda: contracts(preconditioned(rk4, 4)),
    "preconditioned_flow_true": lambda: contracts(flow_decreases),
    "preconditioned_implicit_true": lambda: contracts(
        preconditioned(lambda p, d: np.linalg.inv(np.eye(3) + p @ d[0]), 1)
    ),
    "wrong_metric_false": lambda: apart_in_p(lambda p, d: np.linalg.matrix_power(np.eye(2) - p @ d, 10)),
    "hurwitz_some_true": lambda: has_metric(EULER, 1.0),
    "hurwitz_rate_true": lambda: has_metric(EULER, np.exp(-0.09)),
    "hurwitz_rate_false": lambda: radius(np.linalg.matrix_power(EULER, 10)) <= np.exp(-1.1),
    "hurwitz_given_true": lambda: norm_in(np.diag([1, 100.0]), np.linalg.matrix_power(EULER, 10)) <= 1,
    "hurwitz_given_false": lambda: norm_in(np.diag([1, 2.0]), np.linalg.matrix_power(EULER, 10)) <= 1,
    "hurwitz_given_flow_true": lambda: norm_in(np.diag([1, 25.0]), exponential(M)) <= 1,
    "hurwitz_given_flow_false": lambda: norm_in(np.diag([1, 20.0]), exponential(M / 10)) <= 1,
    "rotation_euler_false": lambda: radius(np.eye(2) + ROTATION / 10) <= 1,
    "rotation_midpoint_true": lambda: (
        norm_in(np.eye(2), np.linalg.inv(np.eye(2) - ROTATION / 20) @ (np.eye(2) + ROTATION / 20)) <= 1 + TOLERANCE
    ),
    "rotation_lipschitz_some_true": lambda: norm_in(np.eye(2), np.eye(2) + ROTATION / 10) ** 40 <= 1.23,
    "verlet_some_true": lambda: conserved(1, 1.9),
    "verlet_some_false": lambda: radius(verlet(1, 19 / 9)) <= 1,
    "springs_some_true": lambda: all(conserved(k, 1) for k in np.linspace(0.5, 3, 51)),
    "springs_some_false": lambda: all(radius(verlet(k, 1)) <= 1 for k in np.linspace(0.5, 4.2, 51)),
    "heavy_ball_flow_true": ball_flow,
    "heavy_ball_euler_true": lambda: ball_euler(0.25),
    "heavy_ball_euler_false": lambda: all(radius(np.eye(2) + 1.25 * heavy(s)) <= 1 for s in (0.0, 1.0)),
    "recurrent_inputs_true": lambda: contracts(nais(2.0)),
    "switching_false": switching,
    "graph_some_true": graph,
    "unstable_flow_false": lambda: (
        max(np.linalg.eigvals(np.array([[0, 1], [w, -1.0]])).real.max() for w in (-0.75, 0.0, 0.75)) <= 0
    ),
    "slow_flow_rate_false": lambda: np.linalg.eigvals(heavy(0)).real.max() <= -0.2,
    "nonlinear_given_flow_false": lambda: apart_in_p(lambda p, d: exponential(-p @ d)),
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
