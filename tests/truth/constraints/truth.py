"""The truth of the specs beside this file, by NumPy alone: a witness of each false one, random weights for each true one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

rng = np.random.default_rng(3)
D = 6


def norm(m: np.ndarray) -> float:
    return float(np.linalg.norm(m, 2))


def with_norm(c: float) -> np.ndarray:
    w = rng.standard_normal((D, D))
    return c * w / norm(w)


def square_at_threshold() -> bool:
    return all(norm(np.eye(D) - w.T @ w) <= 1 + 1e-12 for w in (with_norm(2**0.5) for _ in range(300)))


def square_beyond() -> bool:
    w = 2.02**0.5 * np.eye(D)
    return norm(np.eye(D) - w.T @ w) <= 1


def dissipative(low: float, high: float) -> np.ndarray:
    """``eig(W + W.T)`` in [low, high], the skew part of any size."""
    q = np.linalg.qr(rng.standard_normal((D, D)))[0]
    s = rng.standard_normal((D, D)) * 10.0 ** rng.uniform(-2, 3)
    return q @ np.diag(rng.uniform(low, high, D)) @ q.T / 2 + (s - s.T)


def resolvent(w: np.ndarray) -> float:
    return norm(np.linalg.inv(np.eye(D) - w))


def symmetric_part() -> bool:
    return all(resolvent(dissipative(-4, 0)) <= 1 + 1e-9 for _ in range(500))


def symmetric_part_rate() -> bool:
    return all(resolvent(dissipative(-4, -2)) <= np.exp(-0.69) for _ in range(500))


def symmetric_part_explicit() -> bool:
    s = np.zeros((D, D))
    s[0, 1], s[1, 0] = 1, -1
    return norm(np.eye(D) + s) <= 1


def operator(kernel: np.ndarray, n: int = 6) -> float:
    """The norm of the circular convolution: the largest over the frequencies."""
    symbol = np.fft.fft2(kernel, (n, n)).transpose(2, 3, 0, 1)
    return float(np.linalg.norm(symbol, 2, axis=(2, 3)).max())


def kernel_norm() -> bool:
    for _ in range(300):
        k = rng.standard_normal((2, 2, 3, 3))
        if (2 / 9) * operator(k / np.linalg.norm(k)) ** 2 > 2 + 1e-9:
            return False
    return True


def kernel_norm_beyond() -> bool:
    k = np.zeros((2, 2, 3, 3))
    k[0, 0] = 1 / 3
    assert np.isclose(np.linalg.norm(k), 1)
    return abs(1 - 0.25 * operator(k) ** 2) <= 1


def scalar_interval() -> bool:
    worst = 0.0
    for _ in range(500):
        a, w, slopes = rng.uniform(1, 2), with_norm(1), rng.random(D)
        worst = max(worst, norm((1 - a / 2) * np.eye(D) + w @ np.diag(slopes) / 2))
    return worst <= 1 + 1e-12


def scalar_too_small() -> bool:
    return 1 - 0.9 / 2 + 0.5 <= 1


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
