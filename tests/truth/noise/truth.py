"""The truth of the claims here about networks with noise, with NumPy alone.

Each spec is written out again as a step with the increment of its noise. A claim on every path is tried on random paths,
a claim in mean square by quadrature over the increments. A true claim is a theorem named in ``why``: random extreme
weights must not break it. A false one must be broken by weights that are drawn here.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SAMPLES, D = 200, 3
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def scale(rng):
    return 10.0 ** rng.uniform(-3, 2)


def vector(rng):
    return rng.standard_normal(D) * scale(rng)


def matrix(rng, norm):
    """Of norm at most ``norm``, often with all singular values at it, or of rank one, or zero."""
    u, s, v = np.linalg.svd(rng.standard_normal((D, D)))
    s = norm * np.where(rng.random(D) < 0.6, 1.0, rng.random(D))
    if rng.random() < 0.3:
        s[1:] = 0.0
    return (rng.random() > 0.1) * (u @ np.diag(s) @ v)


def skew(rng, norm):
    s = rng.standard_normal((D, D))
    s = s - s.T
    return norm * s / np.linalg.norm(s, 2)


# --- steps: x, the increment, h -> x -------------------------------------------------


def maruyama(f, g):
    return lambda x, w, h: x + h * f(x) + g(x) * w


def milstein(f, g, slope):
    """``slope`` is the derivative of an elementwise g."""
    return lambda x, w, h: x + h * f(x) + g(x) * w + slope(x) * g(x) * (w * w - h) / 2


def heun(f, g):
    """f is the drift in the sense of Stratonovich."""

    def step(x, w, h):
        ahead = x + h * f(x) + g(x) * w
        return x + h / 2 * (f(x) + f(ahead)) + (g(x) + g(ahead)) * w / 2

    return step


# --- what is measured ------------------------------------------------------------------


def on_a_path(step, rng, steps, time, size=None):
    """The factor on a distance along one path."""
    h = time / steps
    x, y = (1e-3 * v if rng.random() < 0.3 else v for v in (vector(rng), vector(rng)))
    before = np.linalg.norm(x - y)
    size_of_noise = 10.0 ** rng.uniform(0, 3)
    for _ in range(steps):
        w = size_of_noise * np.sqrt(h) * rng.standard_normal(size or ())
        x, y = step(x, w, h), step(y, w, h)
    return np.linalg.norm(x - y) / before


def own_entries(step, rng, steps, time):
    """The worst of one step to the power of all: each entry reads its own increment alone, or all the same one."""
    h = time / steps
    x, y = vector(rng), vector(rng)
    after = sum(p * np.sum((step(x, np.sqrt(h) * z, h) - step(y, np.sqrt(h) * z, h)) ** 2)
                for z, p in zip(NODES, WEIGHTS, strict=True))  # fmt: skip
    return (after / np.sum((x - y) ** 2)) ** (steps / 2)


def linear_moment(maps, steps, e):
    """The second moment of a linear recursion ``e -> T e``, T random: pairs (probability or variance, T)."""
    second = np.outer(e, e)
    for _ in range(steps):
        second = sum(p * t @ second @ t.T for p, t in maps)
    return np.sqrt(np.trace(second) / (e @ e))


def mixing(rng, norm, steps=10, time=1.0):
    h, B = time / steps, matrix(rng, norm)
    maps = [((1 - h) ** 2, np.eye(D))]
    maps += [(h, 0.5 * np.outer(B[:, j], np.eye(D)[j])) for j in range(D)]
    return linear_moment(maps, steps, rng.standard_normal(D))


def rotation_heun(rng, steps=4, time=1.0):
    """The drift -x, less half of (S/2)^2 x."""
    h, S = time / steps, 0.5 * skew(rng, rng.random())
    a = -np.eye(D) - S @ S / 2
    maps = []
    for z, p in zip(np.sqrt(h) * NODES, WEIGHTS, strict=True):
        ahead = np.eye(D) + h * a + z * S
        maps.append((p, np.eye(D) + h / 2 * (a + a @ ahead) + z / 2 * (S + S @ ahead)))
    return linear_moment(maps, steps, rng.standard_normal(D))


def rotation_flow(rng):
    """Of S with S.T S = I on a plane: E|e|^2 = exp(t) |e|^2 there."""
    return np.exp(0.5)


def gradient(rng, act, norm=1.0, scale_b=1.0):
    W, b = matrix(rng, norm), scale_b * vector(rng)
    return lambda x: -W.T @ act(W @ x + b)


def relu(z):
    return np.maximum(z, 0)


def softplus(z):
    return np.logaddexp(0, z)


def with_inputs(rng):
    h = 1.0
    x, y = vector(rng), vector(rng)
    before = np.linalg.norm(x - y)
    for _ in range(6):
        W, u, w = matrix(rng, 1.0), vector(rng), rng.standard_normal(D)
        f = lambda v: -W.T @ softplus(W @ v + u)  # noqa: B023, E731
        x, y = x + h * f(x) + u * w, y + h * f(y) + u * w
    return np.linalg.norm(x - y) / before


def skew_flow(rng):
    """The difference e' = S e: an orthogonal matrix, by its eigenvalues."""
    S, e = skew(rng, scale(rng)), rng.standard_normal(D)
    values, vectors = np.linalg.eig(S)
    moved = (vectors @ np.diag(np.exp(values)) @ np.linalg.inv(vectors)).real @ e
    return np.linalg.norm(moved) / np.linalg.norm(e)


def one_step(rng):
    W = matrix(rng, 1.0)
    x, y = vector(rng), vector(rng)
    if rng.random() < 0.5:
        x, y = 1e-3 * x / np.linalg.norm(x), 1e-3 * y / np.linalg.norm(y)
    gap = 2 * (np.tanh(W @ x) - np.tanh(W @ y))
    return np.sqrt(np.sum(gap**2) / np.sum((x - y) ** 2))  # the drift takes x to (1 - h) x = 0


def additive_mixed(rng, steps=10):
    B, h = matrix(rng, scale(rng)), 1.0 / steps
    x, y = vector(rng), vector(rng)
    before = np.linalg.norm(x - y)
    for _ in range(steps):
        w = np.sqrt(h) * rng.standard_normal(D)
        x, y = x - h * x + B @ w, y - h * y + B @ w
    return np.linalg.norm(x - y) / before


ONE, IDENTITY = (lambda x: np.ones_like(x)), (lambda x: x)


def geometric(a, method):
    f, g = (lambda x: -a * x), IDENTITY
    return maruyama(f, g) if method == "maruyama" else milstein(f, g, ONE)


def sine(rng):
    b = vector(rng)
    return maruyama(lambda x: -x, lambda x: 0.5 * np.sin(x + b))


def damped(rng):
    pull = gradient(rng, np.tanh)
    return milstein(lambda x: -x + pull(x), lambda x: 0.5 * x, lambda x: 0.5 * np.ones_like(x))


def constant(sigma):
    return lambda x: sigma * np.ones_like(x)


CASES = {
    "additive_gradient_true": lambda r: on_a_path(maruyama(gradient(r, relu), constant(0.3)), r, 10, 10, D),
    "additive_gradient_false": lambda r: on_a_path(maruyama(gradient(r, relu, 1.0, 0.0), constant(0.3)), r, 10, 21, D),
    "additive_heun_true": lambda r: on_a_path(heun(gradient(r, relu), constant(0.3)), r, 10, 10, D),
    "additive_heun_square_true": lambda r: on_a_path(heun(gradient(r, relu), constant(0.3)), r, 10, 10, D),
    "mixed_additive_true": additive_mixed,
    "mixed_additive_false": additive_mixed,
    "scalar_path_false": lambda r: on_a_path(
        milstein(lambda x: -x, lambda x: 0.5 * x, lambda x: 0.5 * np.ones_like(x)), r, 4, 1
    ),
    "diagonal_path_false": lambda r: on_a_path(maruyama(lambda x: -2 * x, lambda x: 0.1 * np.sin(x)), r, 4, 1, D),
    "additive_flow_true": skew_flow,
    "geometric_true": lambda r: own_entries(geometric(1.0, "maruyama"), r, 10, 1),
    "geometric_false": lambda r: own_entries(geometric(0.4, "maruyama"), r, 10, 1),
    "geometric_flow_true": lambda r: np.exp((-2 * 0.5 + 1) / 2),
    "geometric_flow_false": lambda r: np.exp((-2 * 0.49 + 1) / 2),
    "milstein_rate_true": lambda r: own_entries(geometric(1.0, "milstein"), r, 10, 1),
    "milstein_rate_false": lambda r: own_entries(geometric(1.0, "milstein"), r, 10, 1),
    "rotation_flow_false": rotation_flow,
    "rotation_heun_true": rotation_heun,
    "sine_rate_true": lambda r: own_entries(sine(r), r, 10, 1),
    "gradient_square_true": lambda r: own_entries(damped(r), r, 4, 1),
    "gradient_square_false": lambda r: own_entries(maruyama(lambda x: 0 * x, lambda x: 0.5 * x), r, 4, 1),
    "mixing_square_true": lambda r: mixing(r, 1.0),
    "mixing_square_false": lambda r: mixing(r, 3.0),
    "one_step_false": one_step,
    "one_step_true": one_step,
    "inputs_path_true": with_inputs,
}


def bound(claim):
    """What a ratio may be at most; every spec with a rate has T = 1."""
    if "rate" in claim:
        return np.exp(-float(claim.split("=")[1].split(")")[0]))
    return float(claim.split("<=")[1].split()[0]) if "<=" in claim else 1.0


def main():
    wrong = 0
    for line in (HERE / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        rng, limit = np.random.default_rng(0), bound(entry["claim"])
        worst = max(CASES[entry["file"].removesuffix(".ode")](rng) for _ in range(SAMPLES))
        holds = worst <= limit * (1 + 1e-9)
        if holds != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {worst} against {limit}, but it is said to be {entry['truth']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
