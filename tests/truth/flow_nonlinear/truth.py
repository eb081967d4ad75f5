"""The truth of the claims about these flows, with NumPy alone.

False ones: two solutions, by a Runge-Kutta method of order four with 4 000 steps, that break the claim by far more than
its error. True ones: the largest slope of the field over a grid of states and times, with room for the grid, where the
exact largest slope is said; distances then grow by ``exp`` of its integral at most. Exits with 0 where all agree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def end(field, z, begin, time, steps=4_000):
    """The state at the end of the time."""
    h, z = (time - begin) / steps, np.asarray(z, dtype=float)
    for i in range(steps):
        t = begin + i * h
        k1 = field(t, z)
        k2 = field(t + h / 2, z + h / 2 * k1)
        k3 = field(t + h / 2, z + h / 2 * k2)
        k4 = field(t + h, z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z


def ratio(field, x, y, time):
    x, y = np.atleast_1d(x).astype(float), np.atleast_1d(y).astype(float)
    return np.linalg.norm(end(field, x, 0, time) - end(field, y, 0, time)) / np.linalg.norm(x - y)


FALSE = {
    "cubic_repels.ode": (lambda t, x: x - x**3, 0.0, 0.02, 1, 2.6, "upper"),
    "logistic_growth.ode": (lambda t, x: x * (1 - x), 0.0, 0.001, 2, 7, "upper"),
    "clock_grows.ode": (lambda t, x: (t - 1) * x, 0.0, 1.0, 2.2, 1, "upper"),
    "gate_grows.ode": (lambda t, x: x / (1 + np.exp(-x)) - x, 3.0, 2.5, 1, 1, "upper"),
    "cubic_vanishes.ode": (lambda t, x: -x - x**3, 1.5, 2.0, 1, 0.3, "lower"),
    "oscillator.ode": (lambda t, z: np.array([z[1], -z[0] + z[1] - z[1] ** 3]), [0, 0], [0.1, -0.1], 2, 1, "upper"),
    "pushed.ode": (lambda t, x: -x + np.sin(3 * x + t), -0.2, -0.15, 1, 3, "upper"),
    "blows_up.ode": (lambda t, x: x**2, 1.0, 0.98, 0.5, 3, "upper"),
}
x, t = (v.ravel() for v in np.meshgrid(np.linspace(-20, 20, 4001), np.linspace(0, 3, 301)))
TRUE = {
    "tanh_falls.ode": (1 / np.cosh(x) ** 2 - 1, 0.0, 1, 1.0),
    "clock_decays.ode": (-(2 + np.sin(np.clip(t, 0, 2))), -2.0, 2, float(np.exp(-2.0))),
    "pushed_far.ode": (-1 + 3 * np.cos(3 * x + t), 2.0, 1, 7.4),
    "rotation_timed.ode": (0 * t, 0.0, 3, 1.0),
}
"""Slopes on the grid (of a turning field: the logarithmic norm, that of a skew matrix), their largest value, time, bound."""


def holds(name):
    if name in FALSE:
        field, first, second, time, bound, side = FALSE[name]
        found = ratio(field, first, second, time)
        return not (found > bound * 1.001 if side == "upper" else found < bound * 0.999)
    slopes, largest, time, bound = TRUE[name]
    assert slopes.max() <= largest + 1e-12
    return bool(np.exp(largest * time) <= bound * (1 + 1e-15))


def main():
    here = Path(__file__).parent
    wrong = 0
    for line in (here / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if holds(entry["file"]) != entry["truth"]:
            print("not confirmed:", entry["file"])
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
