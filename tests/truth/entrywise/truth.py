"""The truth of the claims here in the norms inf and 1, with NumPy alone.

Each spec is written out again as the derivative of its map: a product of ``I + h J`` and the like, in which every slope
of an activation may be any number in its range. A true claim is a theorem named in ``why``: random extreme weights and
slopes must not break it. A false one must be broken by two actual states under the weights written here.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SAMPLES = 200
NORMS = {"inf": np.inf, "1": 1}


# --- random parts ------------------------------------------------------------------------


def bounded(rng, n, norm, size):
    """A matrix of a norm of at most ``size``, often with one entry in each row (column) that has all of it."""
    if rng.random() < 0.4:
        w = np.eye(n)[rng.permutation(n)] * rng.choice([-1.0, 1.0], n)
    else:
        w = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.7)
    sums = np.abs(w).sum(axis=1 if norm == "inf" else 0, keepdims=True)
    return size * w / np.maximum(sums, 1e-300) * (1.0 if rng.random() < 0.7 else rng.random())


def slopes(rng, n, low=0.0, high=1.0):
    ends = rng.choice([low, high], n)
    return np.diag(np.where(rng.random(n) < 0.7, ends, rng.uniform(low, high, n)))


def stochastic(rng, n):
    if rng.random() < 0.5:
        return np.eye(n)[rng.integers(0, n, n)]
    w = rng.random((n, n)) ** 4
    return w / w.sum(axis=1, keepdims=True)


def mixture(rng, n):
    weights = rng.random(3)
    return sum(c * np.eye(n)[rng.permutation(n)] for c in weights / weights.sum())


# --- methods on linear fields ----------------------------------------------------------------


def explicit(A, b):
    """One step of a Runge–Kutta method with a derivative of the field for each stage, ``J(i)``."""

    def step(J, h, n):
        k = []
        for i, row in enumerate(A):
            k.append(J(i) @ (np.eye(n) + h * sum((a * v for a, v in zip(row, k, strict=False)), np.zeros((n, n)))))
        return np.eye(n) + h * sum(w * v for w, v in zip(b, k, strict=True))

    return step


euler = explicit([[]], [1])
heun = explicit([[], [1]], [0.5, 0.5])
rk4 = explicit([[], [0.5], [0, 0.5], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6])


def backward(J, h):
    return np.linalg.inv(np.eye(len(J)) - h * J)


def sdirk2(J, h):
    g = 1 - 1 / np.sqrt(2)
    inverse = np.linalg.inv(np.eye(len(J)) - g * h * J)
    return inverse @ (np.eye(len(J)) + (1 - g) * h * J @ inverse)


# --- the true claims: the derivative of the whole map at random weights and slopes -------------


def row_dominant(rng, step=euler, h=1.0):
    v = bounded(rng, 4, "inf", 1)
    v -= np.diag(np.diag(v))
    return step(lambda i: slopes(rng, 4) @ (v - np.eye(4)), h, 4) @ step(
        lambda i: slopes(rng, 4) @ (v - np.eye(4)), h, 4
    )


def gated(rng, norm="inf"):
    v, total = bounded(rng, 4, norm, 1), np.eye(4)
    for _ in range(3):
        z = slopes(rng, 4)
        total = (np.eye(4) - z + z @ slopes(rng, 4) @ v) @ total
    return total


def leaky(rng, norm="inf"):
    w, total = bounded(rng, 3, norm, 0.5), np.eye(3)
    for _ in range(4):
        total = (0.5 * np.eye(3) + 0.5 * w @ slopes(rng, 3)) @ total
    return total


def mixed(draw, step, h, steps):
    def derivative(rng):
        J = draw(rng, 5) - np.eye(5)
        return np.linalg.matrix_power(step(J, h), steps)

    return derivative


def residual(rng):
    w = bounded(rng, 4, "inf", 1)
    return (np.eye(4) + 0.5 * slopes(rng, 4) @ w) @ (np.eye(4) + 0.5 * slopes(rng, 4) @ w)


def implicit_columns(rng):
    w = bounded(rng, 4, "1", 1)
    return backward(-np.eye(4) + w @ slopes(rng, 4), 25.0) @ backward(-np.eye(4) + w @ slopes(rng, 4), 25.0)


def convolution(kernel, n, padding):
    """The matrix of three taps."""
    m = np.zeros((n, n))
    for i in range(n):
        for tap, offset in zip(kernel, (-1, 0, 1), strict=True):
            j = i + offset
            if padding == "circular":
                j %= n
            elif padding == "reflect":
                j = abs(j) if j < n else 2 * (n - 1) - j
            elif not 0 <= j < n:
                continue
            m[i, j] += tap
    return m


def two_states(rng):
    a, b, total = bounded(rng, 3, "inf", 0.5), bounded(rng, 3, "inf", 1), np.eye(6)
    for _ in range(3):
        total = np.block([[a @ slopes(rng, 3), 0.5 * slopes(rng, 3)], [slopes(rng, 3) @ b, np.zeros((3, 3))]]) @ total
    return total


def cubic_flow(rng):
    """Many small steps of the flow: each contracts up to the square of its length."""
    w, total, h = bounded(rng, 3, "inf", 1), np.eye(3), 1e-3
    for _ in range(2000):
        J = -slopes(rng, 3, 0.0, 9.0) - np.eye(3) + w @ slopes(rng, 3)
        total = backward(J, h) @ total
    return total


def around_identity(rng):
    return np.linalg.matrix_power(np.eye(3) - (np.eye(3) + bounded(rng, 3, "inf", 1)), 4)


def antisymmetric(rng):
    a = rng.standard_normal((3, 3))
    a -= a.T
    a *= 0.5 / np.abs(a).sum(axis=1).max()
    total = np.eye(3)
    for _ in range(3):
        total = (np.eye(3) + slopes(rng, 3) @ (a - 0.5 * np.eye(3))) @ total
    return total


def softmax_derivative(x):
    s = np.exp(x - x.max())
    s /= s.sum()
    return np.diag(s) - np.outer(s, s)


def cubic_domain(rng):
    x, total = rng.choice([-1.0, 1.0, 0.3], 3) * rng.random(), np.eye(3)
    for _ in range(3):
        total = (np.eye(3) - np.diag(x**2)) @ total
        x = x - x**3 / 3
    return total


def given_start(rng):
    w = bounded(rng, 3, "inf", 0.5)
    step = np.block([[0.5 * np.eye(3), 0.5 * w @ slopes(rng, 3)], [np.zeros((3, 3)), np.eye(3)]])
    return step @ step @ np.vstack([np.eye(3), 2 * np.eye(3)])


def timed(rng):
    w, total = bounded(rng, 2, "inf", 1), np.eye(2)
    for k in range(4):
        total = ((1 - 0.25 * (1 + k / 4)) * np.eye(2) + 0.25 * slopes(rng, 2) @ w) @ total
    return total


def normalised(rng):
    w = bounded(rng, 3, "inf", 1)
    w /= max(np.abs(w).sum(axis=1).max(), 1e-12)
    return slopes(rng, 3) @ w @ slopes(rng, 3) @ w


def output(rng):
    w, c, total = bounded(rng, 3, "inf", 1), bounded(rng, 3, "inf", 2)[:2], np.eye(3)
    for _ in range(3):
        total = heun(lambda i: -np.eye(3) + slopes(rng, 3) @ w, 1.0, 3) @ total
    return slopes(rng, 2) @ c @ total


def exponential(rng):
    w, total, e = bounded(rng, 3, "inf", 1), np.eye(3), np.exp(-1.0)
    for _ in range(3):
        total = (e * np.eye(3) + (1 - e) * slopes(rng, 3) @ w) @ total
    return total


def graph_heat(rng):
    a = np.triu(rng.random((5, 5)) < 0.7, 1).astype(float)
    a += a.T
    return np.linalg.matrix_power(np.eye(5) - 0.25 * (np.diag(a.sum(axis=1)) - a), 4)


def adams(rng):
    """The slopes at a state are the same when it is remembered."""
    w, h, total = bounded(rng, 3, "inf", 1), 0.1, np.eye(3)
    J = -np.eye(3) + slopes(rng, 3) @ w
    f = J @ total
    total, old = total + h / 2 * (f + (-np.eye(3) + slopes(rng, 3) @ w) @ (total + h * f)), f
    for _ in range(3):
        f = (-np.eye(3) + slopes(rng, 3) @ w) @ total
        total, old = total + h * (1.5 * f - 0.5 * old), f
    return total


POWER = np.linalg.matrix_power(rk4(lambda i: np.array([[-1.0, 2.0], [0.0, -1.0]]), 0.1, 2), 20)

TRUE = {
    "row_dominant_true": row_dominant,
    "row_dominant_heun_true": lambda rng: row_dominant(rng, heun),
    "gated_rows_true": gated,
    "leaky_rate_true": leaky,
    "leaky_columns_true": lambda rng: leaky(rng, "1"),
    "stochastic_heun_true": mixed(stochastic, lambda J, h: heun(lambda i: J, h, 5), 1.0, 4),
    "doubly_stochastic_rk4_true": mixed(mixture, lambda J, h: rk4(lambda i: J, h, 5), 1.0, 3),
    "stochastic_midpoint_true": mixed(stochastic, lambda J, h: 2 * backward(J, h / 2) - np.eye(5), 2.0, 2),
    "stochastic_sdirk_true": mixed(stochastic, sdirk2, 2.0, 4),
    "stochastic_backward_true": mixed(stochastic, backward, 100.0, 1),
    "residual_gradient_true": residual,
    "implicit_columns_true": implicit_columns,
    "convolution_zero_true": lambda rng: convolution(rng.choice([-1, 1], 3) / 3, 6, "zero"),
    "stencil_true": lambda rng: np.linalg.matrix_power(np.eye(8) + 0.5 * convolution([1, -2, 1], 8, "zero"), 4),
    "two_states_true": two_states,
    "cubic_flow_true": cubic_flow,
    "around_identity_true": around_identity,
    "antisymmetric_rows_true": antisymmetric,
    "softmax_true": lambda rng: 2 * softmax_derivative(rng.standard_normal(3) * 10.0 ** rng.uniform(-2, 2)),
    "matrix_power_true": lambda rng: POWER,
    "cubic_domain_true": cubic_domain,
    "given_start_true": given_start,
    "timed_true": timed,
    "normalised_true": normalised,
    "output_true": output,
    "exponential_true": exponential,
    "graph_heat_true": graph_heat,
    "adams_true": adams,
}


# --- the false claims: two states ------------------------------------------------------------


def run(step, steps):
    def final(x):
        for _ in range(steps):
            x = step(x)
        return x

    return final


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gates(z, v):
    return run(lambda x: (1 - z) * x + z * np.tanh(v @ x), 3)


def decayed(x):
    """A heun step of ``x' = -x + tanh(x)``, h = 0.1."""
    f = np.tanh(x) - x
    y = x + 0.1 * f
    return x + 0.05 * (f + np.tanh(y) - y)


def unit(n, i, size=1.0):
    return size * np.eye(n)[i]


V = np.zeros((4, 4))
V[0, 1] = 1.0
SWAP = np.array([[0.0, 0.6, 0.0], [-0.6, 0.0, 0.0], [0.0, 0.0, 0.0]])
FIRST = np.outer(np.ones(5), unit(5, 0))
COPY = np.zeros((4, 4))
COPY[1, 0] = 1.0
NEAR = 1e-3


def softmax(x):
    s = np.exp(x - x.max())
    return s / s.sum()


FALSE = {
    "row_dominant_false": (
        run(lambda x: x + 1.05 * np.tanh((V - np.eye(4)) @ x), 1),
        NEAR * np.array([-1.0, 1.0, 0.0, 0.0]),
        "inf",
    ),
    "gated_columns_false": (gates(sigmoid(np.array([-30.0, 30.0, 0.0, 0.0])), COPY), unit(4, 0, NEAR), "1"),
    "leaky_rate_false": (run(lambda x: 0.5 * x + 0.25 * np.tanh(x), 4), unit(3, 0, NEAR), "inf"),
    "stochastic_columns_false": (run(lambda x: FIRST @ x, 2), unit(5, 0), "1"),
    "stochastic_trapezoid_false": (
        lambda x: np.linalg.solve(np.eye(5) - 4 * (FIRST - np.eye(5)), (np.eye(5) + 4 * (FIRST - np.eye(5))) @ x),
        unit(5, 0) - unit(5, 1),
        "inf",
    ),
    "residual_gradient_low_false": (run(lambda x: x + 0.5 * np.tanh(-x), 2), NEAR * np.ones(4), "inf"),
    "residual_gradient_high_false": (run(lambda x: x + 0.5 * np.tanh(x), 2), NEAR * np.ones(4), "inf"),
    "implicit_columns_rate_false": (None, None, "1"),
    "convolution_reflect_false": (lambda x: convolution([1 / 3] * 3, 6, "reflect") @ x, unit(6, 1), "1"),
    "stencil_false": (
        lambda x: x + 0.6 * convolution([1, -2, 1], 8, "circular") @ x,
        (-1.0) ** np.arange(8),
        "inf",
    ),
    "two_states_false": (lambda s: np.concatenate([0 * s[:3], np.tanh(1.2 * s[:3])]), NEAR * unit(6, 0), "inf"),
    "leaky_flow_false": (run(lambda x: x + 1e-3 * (-x + 1.5 * np.tanh(x)), 2000), unit(3, 0, NEAR), "inf"),
    "around_identity_false": (lambda x: x - 2.2 * x, unit(3, 0), "inf"),
    "antisymmetric_rows_false": (
        lambda x: x + np.tanh((SWAP - 0.5 * np.eye(3)) @ x),
        NEAR * np.array([1.0, 1.0, 0.0]),
        "inf",
    ),
    "softmax_false": (lambda x: 3 * softmax(x + np.array([0.0, 0.0, -30.0])), NEAR * np.array([1.0, -1.0, 0.0]), "inf"),
    "matrix_power_false": (lambda x: POWER @ x, np.array([1.0, 1.0]), "inf"),
    "cubic_domain_false": (lambda x: x - 0.7 * x**3, None, "inf"),
    "output_false": (lambda x: np.tanh(2 * np.ones(3) @ run(decayed, 3)(x)) * np.ones(1), NEAR * np.ones(3), "inf"),
    "given_start_false": (lambda x: np.concatenate([0.5 * x, 2 * x]), unit(3, 0), "inf"),
}


def implicit_rate():
    """``x = y + h (x - tanh(x))`` keeps small distances nearly: the field of W = I is of third order at zero."""
    y, x = NEAR, NEAR
    for _ in range(2):
        for _ in range(50):
            x -= (x - y - 25 * (np.tanh(x) - x)) / (1 - 25 * (1 / np.cosh(x) ** 2 - 1))
        y = x
    return y / NEAR


def witness(name):
    if name == "implicit_columns_rate_false":
        return implicit_rate()
    final, e, norm = FALSE[name]
    if name == "cubic_domain_false":
        x, y = np.array([1.0, 0, 0]), np.array([1.0 - NEAR, 0, 0])
        return np.abs(final(x) - final(y)).max() / NEAR
    return np.linalg.norm(final(e) - final(0 * e), NORMS[norm]) / np.linalg.norm(e, NORMS[norm])


# --- what is claimed -----------------------------------------------------------------------


def allowed(entry):
    """The least and the greatest factor on distances that the claim allows, and its norm."""
    claim, text = entry["claim"], (HERE / entry["file"]).read_text()
    norm = "inf" if "norm = inf" in claim else "1"
    steps = float(text.split("steps = ")[1].split(")")[0])
    length = float(text.split("time 0 .. ")[1].split()[0]) if "time" in text else steps
    if claim.startswith("contractive"):
        rate = float(claim.split("rate = ")[1].split(",")[0].split(")")[0])
        return 0.0, np.exp(-rate * length), norm
    if claim.startswith("gradient"):
        low, high = claim.split("[")[1].rstrip("]").split(",")
        return float(low), float(high), norm
    claim = claim.replace(" of output", "")
    return 0.0, float(claim.split("<=")[1]) if "<=" in claim else 1.0, norm


def holds(entry, rng):
    """Whether random weights and slopes keep to a true claim."""
    low, high, norm = allowed(entry)
    for _ in range(10 if "flow" in entry["file"] else SAMPLES):
        T = TRUE[entry["file"].removesuffix(".ode")](rng)
        if np.linalg.norm(T, NORMS[norm]) > high * (1 + 1e-9):
            return False
        if low and 1 / np.linalg.norm(np.linalg.inv(T), NORMS[norm]) < low * (1 - 1e-9):
            return False
    return True


def broken(entry):
    low, high, _ = allowed(entry)
    ratio = witness(entry["file"].removesuffix(".ode"))
    return ratio > high * (1 + 1e-6) or ratio < low * (1 - 1e-6)


def main():
    rng = np.random.default_rng(7)
    wrong = []
    for line in (HERE / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if not (holds(entry, rng) if entry["truth"] else broken(entry)):
            wrong.append(entry["file"])
    print("not confirmed:", wrong)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
