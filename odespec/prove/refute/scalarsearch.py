"""The search for weights, inputs and a state at which a scalar changes or grows most: random samples, then ascent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from odespec.prove.refute.candidates import Candidates, moved, random_candidates
from odespec.prove.refute.scalars import ROUNDING
from odespec.prove.refute.scenes import Measured, Scene, measure
from odespec.records import dataclass
from odespec.weights.arithmetic import Array

CLEAR, FAINT = 1e-6, 10 * ROUNDING
"""Changes in relation to the size of the scalar that are worth a look at once, and in the end."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Counts: random samples, starts of the ascent, its rounds, and children of each start in a round."""

    samples: int = 400
    starts: int = 16
    rounds: int = 60
    children: int = 8


QUICK = Effort(128, 8, 6, 8)
IMPLICIT = Effort(200, 8, 30, 6)
"""Steps with equations to solve cost more."""


def search(scene: Scene, rng: np.random.Generator, effort: Effort, over: Callable[[], bool]) -> Iterator[Candidates]:
    """Candidates, one at a time, that seem to break the claim: clear ones at once, faint ones after the ascent."""
    net = scene.after
    pool = random_candidates(net, rng, effort.samples)
    found = measure(scene, pool)
    yield from _promising(pool, found, CLEAR)
    if not effort.rounds:
        return
    order = np.argsort(-found.score)[: effort.starts]
    pool, size = pool.take(order), np.full(len(order), 0.5)
    found = Measured(found.gap[order], found.part[order], found.score[order])
    for _ in range(effort.rounds):
        if over():
            return
        pool, found, size = _round(scene, rng, pool, found, size, effort.children)
        yield from _promising(pool, found, CLEAR, 1)
    yield from _promising(pool, found, FAINT)


def _promising(pool: Candidates, found: Measured, least: float, count: int = 3) -> Iterator[Candidates]:
    for i in np.argsort(-found.part)[:count]:
        if found.part[i] > least and found.gap[i] > 0:
            yield pool.take(np.array([i]))


def _round(
    scene: Scene, rng: np.random.Generator, starts: Candidates, found: Measured, size: Array, children: int
) -> tuple[Candidates, Measured, Array]:
    """One generation of every start; the step grows after a success and shrinks after a failure (the 1/5 rule)."""
    n = len(starts)
    young = moved(scene.after, starts.take(np.repeat(np.arange(n), children)), rng, np.repeat(size, children))
    new = measure(scene, young)
    table = new.score.reshape(n, children)
    better = table.max(axis=1) > found.score
    rows = np.where(better, n + np.argmax(table, axis=1) + children * np.arange(n), np.arange(n))
    size = np.clip(size * np.where(better, 1.5, 0.85), 1e-4, 2.0)
    both = [np.concatenate([getattr(found, k), getattr(new, k)])[rows] for k in ("gap", "part", "score")]
    return starts.join(young).take(rows), Measured(*both), size
