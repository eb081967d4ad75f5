"""The truth of the specs here, with NumPy alone.

Of a false claim a step (or a state on the boundary) that breaks it is computed. Of a true one the argument is in ``why``;
here its steps are run from many starts, corners above all, with extreme weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
TRIALS = 400
HUGE = 1e3


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def box(shape, low=-1.0, high=1.0):
    """A corner of a box, or a point inside."""
    corner = np.where(RNG.random(shape) < 0.5, low, high)
    return corner if RNG.random() < 0.6 else RNG.uniform(low, high, shape)


def heavy(*shape):
    return RNG.standard_normal(shape) * 10.0 ** RNG.uniform(-2, 3)


def stochastic(n):
    if RNG.random() < 0.5:
        return np.eye(n)[RNG.integers(0, n, n)]
    a = RNG.random((n, n))
    return a / a.sum(axis=1, keepdims=True)


def doubly(n):
    return sum(np.eye(n)[RNG.permutation(n)] for _ in range(3)) / 3


def graph(n, degree):
    a = np.zeros((n, n))
    for i in RNG.permutation(n):
        for j in RNG.permutation(n):
            if i != j and a[i].sum() < degree and a[j].sum() < degree:
                a[i, j] = a[j, i] = 1.0
    return np.diag(a.sum(axis=1)) - a


def rk(a, b, f, x, h):
    slopes = []
    for row in a:
        slopes.append(f(x + h * sum((c * k for c, k in zip(row, slopes, strict=True)), np.zeros_like(x))))
    return x + h * sum(c * k for c, k in zip(b, slopes, strict=True))


def euler(f, x, h):
    return x + h * f(x)


def heun(f, x, h):
    return rk([[], [1]], [0.5, 0.5], f, x, h)


def midpoint(f, x, h):
    return rk([[], [0.5]], [0, 1], f, x, h)


def rk4(f, x, h):
    return rk([[], [0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], f, x, h)


def gated():
    w, v, b, c = heavy(3, 3), heavy(3, 3), heavy(3), heavy(3)
    return lambda x: sigmoid(w @ x + b) * (np.tanh(v @ x + c) - x)


def leak(rate=1.0, d=4):
    w, b = heavy(d, d), heavy(d)
    return lambda x: -rate * x + np.tanh(w @ x + b)


def staged_leak(values):
    """A leak whose tanh takes given values in its stages, as steep weights can make it."""
    given = iter(values)
    return lambda x: -x + next(given)


def fused(top):
    h, w, b = 5.0, heavy(3, 3), heavy(3)
    x = box(3, 0, top)
    f = sigmoid(w @ x + b)
    return (x + h * 2 * f) / (1 + h * (1 + f))


def inside(x, low, high):
    return bool((x >= low - 1e-9).all() and (x <= high + 1e-9).all())


def principle(step, x):
    return inside(step, x.min(), x.max())


def stencil(u):
    return sum(np.roll(u, s, axis) for axis in (0, 1) for s in (1, -1)) - 4 * u


def always(trial):
    return lambda: all(trial() for _ in range(TRIALS))


def heun_gru_h1():
    return inside(heun(gated(), box(3), 1.0), -1, 1)


def heun_gru_h2():
    calls = iter([1.0, -1.0])  # g = 1, then -1, with z = 1
    x = heun(lambda x: next(calls) - x, -np.ones(1), 2.0)
    other = heun(lambda x: 1.0 - x, -np.ones(1), 2.0)
    return inside(x, -1, 1) and inside(other, -1, 1)


def graph_step(n, degree, h):
    x = heavy(n)
    return principle(x - h * graph(n, degree) @ x, x)


def star():
    lap = np.diag([4.0, 1, 1, 1, 1, 0])
    lap[0, 1:5] = lap[1:5, 0] = -1
    x = np.array([0.0, 1, 1, 1, 1, 0])
    return principle(x - lap @ x / 3, x)


def attention():
    x, q = heavy(4, 2), heavy(2, 2)
    return principle(softmax(x @ q @ x.T) @ x, x)


def pos_metzler():
    return inside(RNG.random((3, 3)) @ np.abs(heavy(3)), 0, np.inf)


def be_stoch():
    x, a = heavy(4), stochastic(4)
    return principle(np.linalg.solve(6 * np.eye(4) - 5 * a, x), x)


def sum_zero_ds():
    x, a = RNG.standard_normal(5), doubly(5)
    x -= x.mean()
    return abs(rk4(lambda y: a @ y - y, x, 1.0).sum()) < 1e-9


def sum_zero_false():
    a, x = np.zeros((5, 5)), np.array([1.0, -1, 0, 0, 0])
    a[:, 0] = 1
    return abs(rk4(lambda y: a @ y - y, x, 1.0).sum()) < 1e-9


def ball_skew_im():
    s, x = heavy(4, 4), RNG.standard_normal(4)
    s = s - s.T
    x /= np.linalg.norm(x)
    return np.linalg.norm(np.linalg.solve(np.eye(4) - s / 2, x + s @ x / 2)) <= 1 + 1e-7


def ball_tri():
    return np.linalg.norm(euler(leak(), heavy(4), 1.0)) <= 2 + 1e-9


def heat():
    u = heavy(6, 6)
    return principle(u + stencil(u) / 4, u)


def heat_false():
    u = np.zeros((6, 6))
    u[2, 2] = 1
    return principle(u + stencil(u) / 3, u)


def given(length):
    x, f = np.zeros(4), (lambda w, b: lambda x: np.tanh(w @ x + b))(heavy(4, 4), 10 * np.ones(4))
    for _ in range(4):
        x = euler(f, x, length / 4)
    return inside(x, -1, 1)


def replicator():
    x, a = RNG.random(4), heavy(4, 4)
    x /= x.sum()
    return abs((x * (a @ x - x @ a @ x)).sum()) <= 1e-9 * np.abs(a).max()


def growth_ball():
    s = np.zeros((4, 4))
    s[0, 1], s[1, 0] = 1, -1
    x = np.eye(4)[0]
    for _ in range(10):
        x = x + s @ x / 10
    return np.linalg.norm(x) <= 1.2 and 1.01**5 <= 1.2


def metzler_flow():
    w, x = np.abs(heavy(4, 4)), np.abs(heavy(4))
    i = RNG.integers(0, 4)
    w[np.arange(4), np.arange(4)] *= -1
    x[i] = 0
    return (w @ x)[i] >= 0


def two_states():
    a, b, k = heavy(3), heavy(3), float(heavy())
    return bool(
        np.allclose((-k * a + b) + (k * a - b), 0, atol=1e-6 * abs(k) * np.abs(a).max() + 1e-6 * np.abs(b).max())
    )


HOLDS = {
    "heun_gru_h1": always(heun_gru_h1),
    "heun_gru_h2": heun_gru_h2,
    "midpoint_leak": lambda: inside(midpoint(staged_leak([-1.0, 1.0]), np.ones(1), 1.0), -1, 1),
    "rk4_leak": always(lambda: inside(rk4(leak(), box(4), 0.5), -1, 1)),
    "fused_ltc_tight": always(lambda: inside(fused(1.0), 0, 1)),
    "fused_ltc_false": lambda: inside(np.array([(0.9 + 10) / 11]), 0, 0.9),
    "flow_false": lambda: -0.5 + np.tanh(HUGE) <= 0,
    "maxprinciple_graph": always(lambda: graph_step(6, 4, 0.25)),
    "maxprinciple_graph_false": star,
    "attention": always(attention),
    "pos_metzler": always(pos_metzler),
    "pos_false": lambda: inside(np.ones(3) * (1 - 1.5), 0, np.inf),
    "be_stoch": always(be_stoch),
    "im_leak_h3": lambda: inside(np.array([(0.5 + 3 * np.tanh(HUGE)) / 2.5]), -1, 1),
    "sum_zero_ds": always(sum_zero_ds),
    "sum_zero_false": sum_zero_false,
    "ball_skew_im": always(ball_skew_im),
    "norm1_false": lambda: np.abs(1.2 * 0.75 * np.ones(4)).sum() <= 3,
    "ball_tri": always(ball_tri),
    "ball_tri_false": lambda: np.linalg.norm(np.tanh(HUGE * np.ones(4))) <= 1.5,
    "heat_const": always(heat),
    "heat_const_false": heat_false,
    "given_start": always(lambda: given(1.0)),
    "given_start_false": lambda: given(1.2),
    "replicator": always(replicator),
    "lotka_euler": lambda: 1.0 * (1 + 0.2 * (0.0 - 1.0 * 100.0)) >= 0,
    "growth_ball": growth_ball,
    "metzler_flow": always(metzler_flow),
    "two_state_sum_start": always(two_states),
}


def main() -> int:
    wrong = 0
    for line in (Path(__file__).parent / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        holds = HOLDS[entry["file"].removesuffix(".ode")]()
        if bool(holds) != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {entry['truth']} is expected, found {holds}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
