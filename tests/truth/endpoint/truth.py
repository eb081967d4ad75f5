"""The truth of the claims here from an input, or to the output, with NumPy alone.

Each spec is written out again. A true claim is a theorem named in ``why``: random extreme weights must not break it. A
false one must be broken by weights that are drawn here.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SAMPLES = 300


def scale(rng):
    return 0.0 if rng.random() < 0.2 else 10.0 ** rng.uniform(-3, 2)


def vector(rng, n):
    return rng.standard_normal(n) * scale(rng)


def pair(rng, n):
    """Two vectors, often close to zero or to each other."""
    x = vector(rng, n)
    d = rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 1)
    return x, x + d


def matrix(rng, m, n, norm=1.0):
    """Of norm at most ``norm``, often with all singular values at it, the identity, or zero."""
    if rng.random() < 0.4:
        return (rng.random() < 0.5) * norm * np.eye(m, n)
    u, s, v = np.linalg.svd(rng.standard_normal((m, n)), full_matrices=False)
    return u @ np.diag(np.where(rng.random(s.size) < 0.7, norm, norm * rng.random(s.size))) @ v


def orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def relu(z):
    return np.maximum(z, 0)


def pull(rng, act=np.tanh, d=4):
    W, b = matrix(rng, d, d), vector(rng, d)
    return lambda x: -W.T @ act(W @ x + b)


def euler(f, x, h, steps):
    for _ in range(steps):
        x = x + h * f(x)
    return x


def heun(f, x, h, steps):
    for _ in range(steps):
        k = f(x)
        x = x + h / 2 * (k + f(x + h * k))
    return x


def rk4(f, x, h, steps):
    for _ in range(steps):
        a = f(x)
        b = f(x + h / 2 * a)
        c = f(x + h / 2 * b)
        x = x + h / 6 * (a + 2 * b + 2 * c + f(x + h * c))
    return x


def backward(f, x, h, steps):
    """By Newton's method with differences, its steps halved until they help."""
    for _ in range(steps):
        z = x
        for _ in range(40):
            r = z - h * f(z) - x
            if np.max(np.abs(r)) < 1e-14 * (1 + np.max(np.abs(z))):
                break
            J = np.array([(z + 1e-7 * e - h * f(z + 1e-7 * e) - x - r) / 1e-7 for e in np.eye(z.size)]).T
            move = np.linalg.solve(J, r)
            while np.linalg.norm(z - move - h * f(z - move) - x) > np.linalg.norm(r) and np.linalg.norm(move) > 1e-13:
                move = move / 2
            z = z - move
        x = z
    return x


def ratio(after, before):
    return np.linalg.norm(after[0] - after[1]) / np.linalg.norm(before[0] - before[1])


# --- from the states -------------------------------------------------------------------


def readout(norm, method=euler, act=np.tanh):
    def measure(rng):
        f, C, x = pull(rng, act), matrix(rng, 2, 4, norm), pair(rng, 4)
        return ratio([C @ method(f, v, 1.0, 5) for v in x], x)

    return measure


def isometry(rng):
    f, Q, x = pull(rng), orthogonal(rng, 4), pair(rng, 4)
    return ratio([Q @ euler(lambda v: 0.1 * f(v), v, 0.1, 10) for v in x], x)


def position(rng):
    force, x = pull(rng, d=3), pair(rng, 3)
    ends = []
    for q in x:
        v = np.zeros(3)
        for _ in range(4):
            v = v + 0.25 * force(q)
            q = q + 0.25 * v
        ends.append(q)
    return ratio(ends, x)


def dependent(rng):
    f, V, x = pull(rng), matrix(rng, 3, 4), pair(rng, 4)
    return ratio([np.concatenate([euler(f, v, 0.5, 4), 0.5**4 * (V @ v)]) for v in x], x)


# --- from an input -----------------------------------------------------------------------


def constant(rng):
    B, x, u = matrix(rng, 4, 2), vector(rng, 4), pair(rng, 2)
    return ratio([euler(lambda v: -v + B @ w, x, 0.1, 10) for w in u], u)  # noqa: B023


def pushed(method, h, steps):
    def measure(rng):
        f, x, u = pull(rng), vector(rng, 4), pair(rng, 4)
        return ratio([method(lambda v: f(v) + w, x, h, steps) for w in u], u)  # noqa: B023

    return measure


def recurrent(read):
    def measure(rng):
        W, U, b = matrix(rng, 4, 4, 0.9), matrix(rng, 4, 2), 0.1 * vector(rng, 4) * (rng.random() < 0.5)
        C = matrix(rng, 2, 4) if read else np.eye(4)
        u = rng.standard_normal((10, 2)) * 0.01
        d = 0.01 * np.outer(0.9 ** np.arange(9, -1, -1), rng.standard_normal(2))
        u = u * (rng.random() < 0.5)
        ends = []
        for sequence in (u, u + d):
            h = np.zeros(4)
            for v in sequence:
                h = np.tanh(W @ h + U @ v + b)
            ends.append(C @ h)
        return ratio(ends, (u, u + d))

    return measure


def integral(rng):
    d = rng.standard_normal(3) * np.ones((10, 1)) if rng.random() < 0.5 else rng.standard_normal((10, 3))
    return np.linalg.norm(0.1 * d.sum(axis=0)) / np.linalg.norm(d)


def encoder(norm):
    def measure(rng):
        E, C, u = matrix(rng, 4, 3), matrix(rng, 2, 4, norm), pair(rng, 3)
        layers = [pull(rng, relu) for _ in range(6)] if rng.random() < 0.7 else []
        ends = []
        for w in u:
            x = E @ w
            for f in layers:
                x = x + f(x)
            ends.append(C @ x)
        return ratio(ends, u)

    return measure


def skip(rng):
    W, D, x, u = matrix(rng, 4, 4), matrix(rng, 4, 3), vector(rng, 4), pair(rng, 3)
    return ratio([euler(lambda v: -W.T @ np.tanh(W @ v) + D @ w, x, 0.5, 4) + D @ w for w in u], u)  # noqa: B023


def timed(rng):
    x, u = vector(rng, 3), pair(rng, 3)
    ends = []
    for w in u:
        z = x
        for k in range(4):
            t = k / 4
            z = z + 0.25 * (-(1 + t) * z + t * w)
        ends.append(3 * z)
    return ratio(ends, u)


CASES = {
    "readout_true": readout(1.0),
    "readout_false": readout(1.1),
    "readout_bound_true": readout(1.1, rk4, relu),
    "readout_rate_false": readout(1.0),
    "isometry": isometry,
    "position": position,
    "constant_input": constant,
    "implicit_input": pushed(backward, 0.25, 4),
    "explicit_input": pushed(heun, 0.25, 8),
    "sequence": recurrent(False),
    "sequence_output": recurrent(True),
    "integral": integral,
    "encoder_true": encoder(1.0),
    "encoder_false": encoder(1.5),
    "skip": skip,
    "dependent_start": dependent,
    "timed": timed,
}


def bounds(claim):
    """What a ratio must be at least and at most; the one spec with a rate has T as its number below."""
    if "rate" in claim:
        rate = float(claim.split("=")[1].split(")")[0])
        return 0.0, np.exp(-rate * {0.01: 5.0, 0.05: 1.0}[rate])
    if "gradient" in claim:
        low, high = claim.split("[")[1].split("]")[0].split(",")
        return float(low), float(high)
    if "<=" not in claim:
        return 0.0, 1.0
    number = claim.split("<=")[1].replace("of output", "").strip()
    return 0.0, np.sqrt(0.1) if number == "sqrt(1/10)" else float(number)


def main():
    wrong = 0
    for line in (HERE / "expected.jsonl").read_text().splitlines():
        entry = json.loads(line)
        name = entry["file"].removesuffix(".ode")
        measure = CASES.get(name) or CASES[name.removesuffix("_true").removesuffix("_false")]
        rng, (low, high) = np.random.default_rng(0), bounds(entry["claim"])
        found = [measure(rng) for _ in range(SAMPLES)]
        holds = min(found) >= low * (1 - 1e-7) and max(found) <= high * (1 + 1e-7)
        if holds != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {min(found)} to {max(found)}, but it is said to be {entry['truth']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
