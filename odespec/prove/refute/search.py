"""The search for weights and states at which a map expands most, or least: random extreme points, then ascent.

Every measure is taken over a batch at once. The ascent needs no derivatives (slopes jump at kinks): children of the
best candidates are moved at random, projected into the constraint sets, and kept where they are better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from odespec.prove.refute.candidates import Candidates, inside, moved, random_candidates
from odespec.prove.refute.goal import Goal, norm
from odespec.prove.refute.mapping import Network, apply, differences
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.draw import Rng


@dataclass(frozen=True, slots=True)
class Effort:
    """Counts: random samples, starts of the ascent, rounds of it, and children of each start in a round.

    ``faint``: the least violation, in relation to the bound, that is looked at in the end.
    """

    samples: int = 800
    starts: int = 24
    rounds: int = 160
    children: int = 8
    faint: float = 1e-8


# --- measures ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """The ``ratio`` of each candidate, the ``offset`` to the second state that shows it, the ``score`` for ranking."""

    ratio: Array
    offset: Array
    score: Array


def measure(net: Network, goal: Goal, c: Candidates) -> Measured:
    """The ratio of a batch along the most promising direction.

    The Jacobian only gives the direction: at a kink its columns may belong to different pieces. The ratio is that of
    two states, far enough from each other that rounding does not matter.
    """
    step = 1e-6 * magnitude(c)
    with np.errstate(all="ignore"):
        jacobian = differences(net, c.weights, c.x, c.inputs, step)
        direction = _direction(jacobian, goal)
        length = (step / np.maximum(np.max(np.abs(direction), axis=-1), 1e-300))[..., None]
        offsets = np.stack([direction * length, -direction * length, *([c.offset] if goal.side == "lower" else [])])
        ratios, images = secant(net, goal, replace(c, offset=offsets))
        hint = _asymmetry(jacobian) * _straight(images)
    score = _score(ratios, goal)
    best, rows = np.argmax(score, axis=0), np.arange(len(c))
    return Measured(ratios[best, rows], offsets[best, rows], score[best, rows] + HINT * hint)


HINT = 1e-6
"""The weight of the asymmetry of the Jacobian in the ranking.

Where every stage sees the same slopes, a gradient flow has a symmetric Jacobian and often the ratio one exactly: the
ascent has nothing to climb. Stages that see different slopes make it asymmetric, and only then it can expand.
"""


def _asymmetry(jacobian: Array) -> Array:
    """Between 0 and 1 for square matrices."""
    if jacobian.shape[-1] != jacobian.shape[-2]:
        return np.zeros(jacobian.shape[:-2])
    size = np.linalg.norm(
        np.nan_to_num(jacobian - np.swapaxes(jacobian, -1, -2), posinf=0.0, neginf=0.0), axis=(-2, -1)
    )
    return np.asarray(size / (1.0 + size))


def _straight(images: Array) -> Array:
    """Whether the map is linear along the direction: not at a kink, where difference quotients deceive."""
    forth, back = images[0], images[1]
    return np.asarray(np.linalg.norm(forth + back, axis=-1) <= 1e-3 * np.linalg.norm(forth - back, axis=-1))


def magnitude(c: Candidates) -> Array:
    """One and the largest entries of states, inputs and weights: what the rounding of a difference is relative to."""
    tensors = [c.x, *c.inputs.values(), *c.weights.values()]
    return np.asarray(1.0 + sum(np.max(np.abs(v.reshape(len(v), -1)), axis=1) for v in tensors))


def secant(net: Network, goal: Goal, c: Candidates) -> tuple[Array, Array]:
    """The ratio of the distances of x and x + offset after and before, and the differences of their images."""
    with np.errstate(all="ignore"):
        start, end = np.broadcast_arrays(c.x, c.x + c.offset)
        images = apply(net, FLOAT, c.weights, np.stack([start, end]), c.inputs)
        moved = images[1] - images[0]
        return np.asarray(norm(moved, goal.p) / norm(end - start, goal.p)), np.asarray(moved)


def _direction(jacobian: Array, goal: Goal) -> Array:
    """A vector that a matrix stretches most, or least, in the norm p."""
    finite = np.isfinite(jacobian).all(axis=(-1, -2), keepdims=True)
    matrix = np.where(finite, jacobian, 0.0)
    if goal.side == "lower" or goal.p == 2:
        _, _, v = np.linalg.svd(matrix, full_matrices=True)
        return np.asarray(v[..., 0 if goal.side == "upper" else -1, :])
    if goal.p == 1:
        best = np.argmax(np.abs(matrix).sum(axis=-2), axis=-1)
        return np.asarray(np.eye(matrix.shape[-1])[best])
    best = np.argmax(np.abs(matrix).sum(axis=-1), axis=-1)
    row = np.take_along_axis(matrix, best[..., None, None], axis=-2)[..., 0, :]
    return np.where(row < 0, -1.0, 1.0)


# --- the search ----------------------------------------------------------------


def search(net: Network, goal: Goal, rng: Rng, effort: Effort, stop: Callable[[], bool]) -> Iterator[Candidates]:
    """Candidates, one at a time, that seem to break the claim: clear ones at once, faint ones after the ascent."""
    pool, found = _first(net, goal, rng, min(GLANCE, effort.samples))
    yield from _promising(pool, found, goal, CLEAR)
    if stop():
        return
    if effort.samples > GLANCE:
        more, measured = _first(net, goal, rng, effort.samples - GLANCE)
        yield from _promising(more, measured, goal, CLEAR)
        pool, found = pool.join(more), _joined(found, measured)
    order = np.argsort(-found.score)[: effort.starts]
    pool, found = pool.take(order), _taken(found, order)
    size = np.full(len(pool), 0.5)
    for _ in range(effort.rounds):
        if stop():
            return
        pool, found, size = _round(net, goal, rng, pool, found, size, effort.children)
        yield from _promising(pool, found, goal, CLEAR)
    yield from _promising(pool, found, goal, effort.faint)


def _first(net: Network, goal: Goal, rng: Rng, count: int) -> tuple[Candidates, Measured]:
    pool = random_candidates(net, rng, count)
    found = measure(net, goal, pool)
    return replace(pool, offset=found.offset), found


def _taken(found: Measured, rows: Array) -> Measured:
    return Measured(found.ratio[rows], found.offset[rows], found.score[rows])


def _score(ratios: Array, goal: Goal) -> Array:
    return np.where(np.isfinite(ratios), goal.excess(ratios), -np.inf)


GLANCE = 32
"""Samples that are looked at before the many: most false claims fail at once."""

CLEAR = 1e-3
"""A violation, in relation to the bound, that is worth a look at once."""


def _promising(pool: Candidates, found: Measured, goal: Goal, least: float) -> Iterator[Candidates]:
    excess = _score(found.ratio, goal)
    for i in np.argsort(-excess)[:3]:
        if excess[i] > least * max(goal.target, 1e-3):
            yield pool.take(np.array([i]))


def _round(
    net: Network, goal: Goal, rng: Rng, starts: Candidates, found: Measured, size: Array, children: int
) -> tuple[Candidates, Measured, Array]:
    """One generation of every start; the step grows after a success and shrinks after a failure (the 1/5 rule)."""
    n = len(starts)
    parents = np.repeat(np.arange(n), children)
    young = moved(net, starts.take(parents), rng, size[parents])
    new = measure(net, goal, young)
    young = replace(young, offset=new.offset)
    table = new.score.reshape(n, children)
    best = np.argmax(table, axis=1) + children * np.arange(n)
    better = table.max(axis=1) > found.score
    rows = np.where(better, n + best, np.arange(n))
    size = np.clip(size * np.where(better, 1.5, 0.85), 1e-4, 2.0)
    return starts.join(young).take(rows), _taken(_joined(found, new), rows), size


def _joined(first: Measured, second: Measured) -> Measured:
    return Measured(
        *(np.concatenate([getattr(m, key) for m in (first, second)]) for key in ("ratio", "offset", "score"))
    )


def pairs(net: Network, goal: Goal, c: Candidates) -> list[tuple[float, Array, Array]]:
    """Pairs of states along the offset of one candidate, as (ratio, x, y): the clearest violation first.

    Of those that keep most of the violation the one nearest to distance one comes first: it is the plainest.
    """
    x, offset = c.x[0], c.offset[0]
    unit = offset / max(float(np.max(np.abs(offset))), 1e-300)
    reach = (1.0 + float(np.max(np.abs(x)))) * 10.0 ** np.arange(-5.0, 2.5, 0.5)
    lengths = np.concatenate([[float(np.max(np.abs(offset)))], np.ones(1), reach])
    first = np.concatenate([np.tile(x, (2 * len(lengths), 1)), x - unit * lengths[:, None] / 2])
    shift = unit * np.concatenate([lengths, -lengths, lengths])[:, None]
    ends = np.stack([first, first + shift])
    if net.model.domains:
        ends = np.stack([inside(net, e) for e in ends])
    batch = Candidates(
        {n: np.repeat(w[:1], len(first), axis=0) for n, w in c.weights.items()},
        {n: np.repeat(u[:1], len(first), axis=0) for n, u in c.inputs.items()},
        ends[0],
        ends[1] - ends[0],
    )
    score = _score(secant(net, goal, batch)[0], goal)
    best = float(score.max())
    with np.errstate(divide="ignore"):
        width = np.abs(np.log10(np.max(np.abs(batch.offset), axis=1)))
    kept = score >= 0.9 * best
    order = np.lexsort((np.where(kept, width, -score), ~kept))
    return [(float(score[i]), ends[0][i], ends[1][i]) for i in order if score[i] > 0]
