"""The truth of the specs beside this file: one entry of each is a function of one number, looked at on a fine grid."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]


def slopes(field: Field, low: float, high: float, steps: int, time: float) -> np.ndarray:
    """Difference quotients of neighbours after all steps."""
    x = np.linspace(low, high, 20_001)
    y = x.copy()
    for _ in range(steps):
        y = y + time / steps * field(y)
    return np.diff(y) / np.diff(x)


def within(field: Field, low: float, high: float, steps: int, time: float, least: float = 0.0) -> bool:
    found = abs(slopes(field, low, high, steps, time))
    return bool(found.max() <= 1 + 1e-12 and found.min() >= least)


def cube(x: np.ndarray) -> np.ndarray:
    return -(x**3)


CASES: dict[str, Callable[[], bool]] = {
    "cubic_kept": lambda: within(cube, -1, 1, 4, 1),
    "cubic_lower": lambda: within(cube, -1, 1, 4, 1, 1 / 256),
    "cubic_beyond": lambda: within(cube, -1, 1, 1, 0.7),
    "exp_one_step": lambda: within(lambda x: -np.exp(x), -1, 1, 1, 0.7),
    "exp_beyond": lambda: within(lambda x: -np.exp(x), -1, 1, 1, 0.75),
    "square_kept": lambda: within(lambda x: -(x**2), 0, 1, 4, 2),
    "square_negative": lambda: within(lambda x: -(x**2), -1, 0, 1, 0.5),
}


def main() -> int:
    wrong = 0
    for text in (Path(__file__).parent / "expected.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(text)
        found = CASES[Path(entry["file"]).stem]()
        if found != entry["truth"]:
            wrong += 1
            print(f"{entry['file']}: {entry['claim']} is {found}, not {entry['truth']}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
