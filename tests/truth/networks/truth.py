"""The truth of the specs beside this file, by NumPy alone.

Of a false claim a witness is computed; of a true one random weights at the edge of the constraints are tried (the
argument is in ``expected.jsonl``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

rng = np.random.default_rng(11)
Array = np.ndarray
Map = Callable[[Array], Array]


def relu(v: Array) -> Array:
    return np.maximum(v, 0)


def matrix(m: int, d: int, norm: float) -> Array:
    w = rng.standard_normal((m, d))
    return norm * w / np.linalg.norm(w, 2)


def block(h: float, steps: int, d: int = 8, activation: Map = relu, shared: bool = False) -> Map:
    """Euler steps of a gradient flow."""
    data = [(matrix(d, d, 1.0), rng.standard_normal(d)) for _ in range(1 if shared else steps)] * (
        steps if shared else 1
    )

    def run(x: Array) -> Array:
        for w, b in data:
            x = x - h * w.T @ activation(w @ x + b)
        return x

    return run


def implicit(h: float, steps: int, d: int = 8) -> Map:
    """Backward Euler by a fixed number of damped Newton steps, far past convergence."""
    data = [(matrix(d, d, 1.0), rng.standard_normal(d)) for _ in range(steps)]

    def run(x: Array) -> Array:
        for w, b in data:
            z = x.copy()
            for _ in range(60):
                slope = np.diag((w @ z + b > 0).astype(float))
                z = z - np.linalg.solve(np.eye(d) + h * w.T @ slope @ w, z - x + h * w.T @ relu(w @ z + b))
            x = z
        return x

    return run


def chained(*maps: Map) -> Map:
    def run(x: Array) -> Array:
        for m in maps:
            x = m(x)
        return x

    return run


def ratios(build: Callable[[], Map], d: int, networks: int = 25, pairs: int = 25) -> tuple[float, float]:
    """The least and the largest ratio of distances over random networks and pairs, near and far."""
    found = []
    for _ in range(networks):
        run = build()
        for _ in range(pairs):
            x = 3 * rng.standard_normal(d)
            y = x + 10.0 ** rng.uniform(-3, 1) * rng.standard_normal(d)
            found.append(np.linalg.norm(run(y) - run(x)) / np.linalg.norm(y - x))
    return min(found), max(found)


def linear(w: Array) -> Map:
    return lambda x: w @ x


def most(build: Callable[[], Map], d: int, bound: float) -> bool:
    return ratios(build, d)[1] <= bound * (1 + 1e-12)


def chain_one() -> bool:
    return most(lambda: chained(block(1, 16), np.tanh, block(1, 16), linear(matrix(3, 8, 1))), 8, 1)


def chain_half() -> bool:
    return most(lambda: chained(block(1, 16), relu, block(1, 16), linear(matrix(3, 8, 0.5))), 8, 0.5)


def chain_two() -> bool:
    return most(lambda: chained(block(2, 4), np.tanh, block(2, 4), linear(matrix(3, 8, 2))), 8, 2)


def chain_too_far() -> bool:
    """W = I in the blocks, large biases: a block takes x to (1 - 2.3)^4 x + const; tanh at its steepest."""
    return abs((1 - 2.3) ** 8) <= 1


def head_too_large() -> bool:
    return 1.5 <= 1


def implicit_blocks() -> bool:
    build = lambda: chained(implicit(10, 3), np.tanh, implicit(10, 3), linear(matrix(3, 8, 1)))  # noqa: E731
    return ratios(build, 8, 12, 20)[1] <= 1 + 1e-9


def conv(kernel: Array, n: int) -> tuple[Map, Map]:
    """A circular convolution, of norm one after scaling, and its adjoint."""
    symbol = np.fft.fft2(kernel, (n, n)).transpose(2, 3, 0, 1)
    symbol /= np.linalg.norm(symbol, 2, axis=(2, 3)).max()

    def apply(s: Array, x: Array) -> Array:
        y = np.einsum("hwoi,hwi->hwo", s, np.fft.fft2(x).transpose(1, 2, 0))
        return np.fft.ifft2(y.transpose(2, 0, 1)).real

    return lambda x: apply(symbol, x), lambda x: apply(symbol.conj().transpose(0, 1, 3, 2), x)


def diffusion(n: int) -> Map:
    data = [conv(rng.standard_normal((2, 2, 3, 3)), n) for _ in range(3)]

    def run(x: Array) -> Array:
        for forward, adjoint in data:
            x = x - adjoint(relu(forward(x)))
        return x

    return run


def pool(x: Array) -> Array:
    return x.reshape(2, x.shape[1] // 2, 2, x.shape[2] // 2, 2).mean(axis=(2, 4))


def image_network() -> Map:
    stem, head = conv(rng.standard_normal((2, 1, 3, 3)), 6)[0], matrix(3, 2, 1)
    first, second = diffusion(6), diffusion(3)
    return lambda v: head @ second(pool(first(stem(v.reshape(1, 6, 6))))).mean(axis=(1, 2))


def image() -> bool:
    return most(image_network, 36, 1 / 6)


def image_false() -> bool:
    """Constant images, K = 0, stem and head that pass the first channel: one entry of each of 36 pixels is averaged."""
    x, y = np.zeros((6, 6)), np.ones((6, 6))
    return abs(y.mean() - x.mean()) / np.linalg.norm(y - x) <= 0.16


def skip(activation: Map) -> Map:
    v, w, b = matrix(6, 6, 0.5), matrix(6, 6, 1), rng.standard_normal(6)
    return lambda u: u + v @ activation(w @ u + b)


def skip_around() -> bool:
    return most(lambda: skip(np.tanh), 6, 1.5)


def skip_false() -> bool:
    return 1 + 0.5 * 1 <= 1.4


def gentle() -> Map:
    q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    return chained(block(0.5, 2, 5, np.tanh, True), linear(q), block(0.5, 2, 5, np.tanh, True))


def lower_side() -> bool:
    low, high = ratios(gentle, 5)
    return low >= 1 / 16 and high <= 1 + 1e-12


def lower_false() -> bool:
    """W = I, b = 0, near zero."""
    step = lambda x: x - 0.5 * np.tanh(x)  # noqa: E731
    x, y = 0.0, 1e-3
    for _ in range(4):
        x, y = step(x), step(y)
    return abs(y - x) / 1e-3 >= 0.15


def main() -> int:
    wrong = 0
    for text in (Path(__file__).parent / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(text)
        found = globals()[Path(entry["file"]).stem]()
        if bool(found) != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {entry['claim']} is {found}, not {entry['truth']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
