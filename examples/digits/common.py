"""What both trainings share: the data, the certified bound, the measurements and the picture."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

import odespec
from odespec.resources import data_dir

WIDTH, CLASSES = 64, 10
EPOCHS, BATCH, RATE = 30, 64, 2e-3


@dataclass(frozen=True)
class Digits:
    """Images as rows of 64 pixels in [0, 1], labels 0 to 9."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """One trained network. ``expansion``: ratios of distances behind and before the blocks, between test images."""

    name: str
    accuracy: list[float]
    norms: np.ndarray
    expansion: np.ndarray


def digits() -> Digits:
    """The 1,797 handwritten digits that scikit-learn ships, a quarter of them held back for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    parts = train_test_split(x, y.astype(np.int64), test_size=0.25, random_state=0, stratify=y)
    return Digits(parts[0], parts[2], parts[1], parts[3])


def arguments(default: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train specs/gradient_flow.ode on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--picture", type=Path, default=Path(default), help="where the picture of the result goes")
    return parser.parse_args()


def certified(target: str) -> tuple[ModuleType, float]:
    """Check ``specs/gradient_flow.ode`` and emit it; the module, and the certified expansion over all its steps."""
    spec = odespec.load(str(data_dir("specs").joinpath("gradient_flow.ode")))
    checked = odespec.check(spec)
    bound = next(v.upper for v in checked[0].verdicts if v.claim.text == "nonexpansive" and v.verdict == "proved")
    return odespec.compile(spec, target, checked=checked).load(), bound


def spectral_norms(weight: np.ndarray) -> np.ndarray:
    """The exact spectral norm of every step's weight, in float64."""
    return np.linalg.norm(weight.astype(np.float64), ord=2, axis=(-2, -1))


def expansions(before: np.ndarray, after: np.ndarray, pairs: int = 20000) -> np.ndarray:
    """Ratios of distances between random pairs of rows."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, len(before), (2, pairs))
    i, j = i[i != j], j[i != j]
    distance = np.linalg.norm(before[i].astype(np.float64) - before[j], axis=1)
    return np.linalg.norm(after[i].astype(np.float64) - after[j], axis=1) / distance


def report(constrained: Outcome, free: Outcome, bound: float, picture: Path) -> None:
    """Print both networks side by side, assert what was certified, save the picture."""
    for outcome in (constrained, free):
        print(
            f"{outcome.name:>22}: test accuracy {100 * outcome.accuracy[-1]:.2f} %, "
            f"largest spectral norm {outcome.norms.max():.7f}, largest expansion {outcome.expansion.max():.4f}"
        )
    print(f"{'certified':>22}: expansion at most {bound:g}, spectral norms at most 1")
    assert constrained.norms.max() <= 1, "a weight left its constraint"
    # The certificate speaks of real arithmetic; a float32 run of 8 steps differs by rounding.
    assert constrained.expansion.max() <= bound * (1 + 1e-5), "the measured expansion exceeds the certified one"
    draw(constrained, free, bound, picture)
    print(f"picture: {picture}")


def draw(constrained: Outcome, free: Outcome, bound: float, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    largest = max(bound, constrained.expansion.max(), free.expansion.max())
    bins = np.geomspace(min(constrained.expansion.min(), free.expansion.min()), largest, 80)
    for outcome in (constrained, free):
        left.plot(range(1, len(outcome.accuracy) + 1), outcome.accuracy, label=outcome.name)
        right.hist(outcome.expansion, bins=bins, histtype="stepfilled", alpha=0.6, label=outcome.name)
    left.set(xlabel="epoch", ylabel="test accuracy", ylim=(0.7, 1.0), title="Handwritten digits")
    right.axvline(bound, color="black", linestyle="--", label=f"certified bound {bound:g}")
    right.set(
        xscale="log", xlabel="expansion between test images", ylabel="pairs", title="What the blocks do to distances"
    )
    left.legend(loc="lower right")
    right.legend(loc="upper center")
    figure.savefig(picture, dpi=120)
    plt.close(figure)
