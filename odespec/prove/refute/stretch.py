"""Where a map stretches most, in a metric or in every one: the search for candidates, and what is said of a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from odespec.ir.model import Claim, Model
from odespec.prove.refute.candidates import Candidates, moved, random_candidates
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.mapping import Network, differences
from odespec.prove.refute.search import Effort, magnitude
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import evaluate, plan
from odespec.weights.steps import step_leaves

CHILDREN = 8
WORDS = ((1, 1), (4, 1), (1, 4), (16, 1), (1, 16))
"""Exponents of two derivatives in the products that are looked at."""

ROUNDS = 60
GRIDS = (1, 4, 12, None)
"""Binary digits to which a finding is rounded, the plainest first."""


def sizes(model: Model) -> list[int]:
    return [int(np.prod(s.shape)) for s in model.states]


# --- the search ------------------------------------------------------------------


def search_metric(
    net: Network, goal: Goal, rng: np.random.Generator, effort: Effort, stop: Callable[[], bool]
) -> Iterator[Candidates]:
    if net.model.output is not None and net.model.output[1].shape[0] != sum(sizes(net.model)):
        return  # a metric given in numbers fits the full sizes only
    pool = random_candidates(net, rng, effort.samples)
    score = _score(net, pool)
    yield from _clear(pool, score, goal)
    order = np.argsort(-score)[: effort.starts]
    pool, score, size = pool.take(order), score[order], np.full(len(order), 0.5)
    for _ in range(min(ROUNDS, effort.rounds)):
        if stop():
            return
        pool, score, size = _round(net, rng, pool, score, size)
        yield from _clear(pool, score, goal)


def _round(
    net: Network, rng: np.random.Generator, starts: Candidates, score: Array, size: Array
) -> tuple[Candidates, Array, Array]:
    """One generation of every start; the step grows after a success and shrinks after a failure."""
    n = len(starts)
    parents = np.repeat(np.arange(n), CHILDREN)
    young = moved(net, starts.take(parents), rng, size[parents])
    new = _score(net, young).reshape(n, CHILDREN)
    best, better = np.argmax(new, axis=1), new.max(axis=1) > score
    rows = np.where(better, n + best + CHILDREN * np.arange(n), np.arange(n))
    size = np.clip(size * np.where(better, 1.5, 0.85), 1e-3, 2.0)
    return starts.join(young).take(rows), np.where(better, new.max(axis=1), score), size


def _clear(pool: Candidates, score: Array, goal: Goal) -> Iterator[Candidates]:
    for i in np.argsort(-score)[:2]:
        if score[i] > goal.target * (1 + 1e-4):
            yield pool.take(np.array([i]))


def _score(net: Network, c: Candidates) -> Array:
    """The growth along the worst direction in the metric; of no metric, that of products."""
    jacobian = jacobian_at(net, c, c.x)
    if net.model.output is None:
        other = jacobian_at(net, c, c.x + c.offset)
        return growth(jacobian, other)
    return stretched(net, c, jacobian)[0]


def jacobian_at(net: Network, c: Candidates, x: Array) -> Array:
    """The derivatives at states ``[batch, n]``; zero where a state is a kink."""
    step = 1e-6 * magnitude(c)
    with np.errstate(all="ignore"):
        found, back = (differences(net, c.weights, x, c.inputs, s) for s in (step, -step))
        size = np.abs(found).max(axis=(-1, -2), keepdims=True)
        smooth = np.abs(found - back).max(axis=(-1, -2), keepdims=True) <= 1e-3 * size
    return np.where(smooth & (size < 1e8), found, 0.0)


def growth(first: Array, second: Array) -> Array:
    """The largest mean growth of the products ``first^m second^n`` with the exponents in `WORDS`."""
    best = radius(first)
    with np.errstate(all="ignore"):
        powers = {k: (np.linalg.matrix_power(first, k), np.linalg.matrix_power(second, k)) for k in (1, 4, 16)}
        for m, n in WORDS:
            whole = powers[m][0] @ powers[n][1]
            good = np.isfinite(whole).all(axis=(-1, -2))
            size = radius(np.where(good[..., None, None], whole, 0.0))
            best = np.maximum(best, size ** (1 / (m + n)))
    return np.asarray(best)


def radius(matrices: Array) -> Array:
    return np.asarray(np.abs(np.linalg.eigvals(matrices)).max(axis=-1))


def stretched(net: Network, c: Candidates, jacobian: Array) -> tuple[Array, Array]:
    """How much a derivative stretches most in the metric, and the direction."""
    whole = metric_at(net.model, FLOAT, c.weights)
    free = free_places(net.model)
    values, vectors = np.linalg.eigh((whole + np.swapaxes(whole, -1, -2)) / 2)
    good = (values[..., 0] > 1e-9 * values[..., -1]) & np.isfinite(values).all(axis=-1)
    root = vectors * np.sqrt(np.maximum(values, 1e-300))[..., None, :]
    below = whole[..., free[:, None], free]
    low, turn = np.linalg.eigh(np.where(good[..., None, None], below, np.eye(len(free))))
    inverse = turn / np.sqrt(np.maximum(low, 1e-300))[..., None, :]
    _, gains, right = np.linalg.svd(np.swapaxes(root, -1, -2) @ jacobian @ inverse)
    direction = (inverse @ right[..., 0, :, None])[..., 0]
    return np.where(good, gains[..., 0], 0.0), direction


def free_places(model: Model) -> Array:
    """The places of the free states among all entries."""
    places, start = [], 0
    for s, n in zip(model.states, sizes(model), strict=True):
        places += list(range(start, start + n)) if s.initial is None else []
        start += n
    return np.array(places, dtype=int)


def metric_at(model: Model, arithmetic: Arithmetic, weights: Mapping[str, Array]) -> Array:
    """P at some weights (of the first step, where they are per step)."""
    assert model.output is not None
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    leaves = step_leaves(model, held, 0)
    return evaluate(plan((model.output[1],)), arithmetic, leaves)[0]


# --- what is saved -----------------------------------------------------------------


def shown(
    model: Model,
    goal: Goal,
    claim: Claim,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    states: Sequence[tuple[Array, ...]],
    measured: float,
    quantity: str,
) -> Counterexample:
    """A counterexample in the 2-norm's place, without its sentence."""
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side="upper",
        p=2,
        bound=goal.target,
        measured=measured,
        sentence="",
        weights=weights,
        inputs=inputs,
        x=states[0],
        y=states[1],
        states=tuple(s.name for s in model.free_states),
        spec=model.source.text,
        spec_name=model.source.name,
        quantity=quantity,
    )


def given_text(c: Counterexample) -> str:
    parts = [f"{n} = {show(v)}" for n, v in (*c.weights.items(), *c.inputs.items()) if v.size <= 16 or not v.any()]
    return ", ".join(parts)


def steps_text(model: Model) -> str:
    return "one step multiplies" if model.solver.steps == 1 else f"{model.solver.steps} steps multiply"
