"""Refutation in mean square where the differences of two runs obey a linear equation: any number of steps, or the flow.

The field is linear, or what is not linear vanishes with some weights set to zero. The second moments give the worst start
of each choice of weights as an eigenvector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, islice

import numpy as np

from odespec.ir.model import Model
from odespec.program.fields import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.refute.distance import Budget
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.secondmoment import (
    Moments,
    flow_form,
    linear,
    linear_step,
    moments,
    specialised,
)
from odespec.prove.refute.squarearrays import Found, Level, checked, drawn, embedded, shrunk
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.draw import Rng
from odespec.weights.embed import reduction, shrink
from odespec.weights.project import DISCRETE, into_domain, project
from odespec.weights.sampling import exactly
from odespec.weights.steps import initial_states, pack, unpack

SAMPLES, ROUNDS, CHILDREN = 48, 24, 6
IDLE = 5
"""So many rounds without a better one end the ascent."""
MAX_ZEROS = 3
LARGEST = 2000
"""Entries of all states up to which second moments are computed."""


def search_linear(program: StepProgram, goal: Goal, flow: bool, seed: int, budget: Budget) -> Found | None:
    full = moments(program, flow)
    if full.size > LARGEST:
        return None
    for size in (*budget.sizes, None):
        small = full if size is None else _small(program, flow, size)
        if size is None and full.size > 12:
            return None
        for level in _levels(small):
            rng = np.random.default_rng([seed, small.size, len(level.zeros)])
            for ratio, weights, inputs, e in islice(_candidates(level, goal, rng, budget), budget.confirmations):
                del ratio
                found = _realised(full, level, goal, weights, inputs, e)
                if found is not None:
                    return found
    return None


def _small(program: StepProgram, flow: bool, size: int) -> Moments:
    if not flow:
        return moments(shrunk(program, size), False)
    small = shrink(program.model, reduction(program.model, size))
    return moments(replace(program, model=small, update=state_leaves(small)), True)


def _levels(m: Moments) -> Iterator[Level]:
    """The smallest sets of weights with which all that is not linear vanishes."""
    names = [p.name for p in m.model.params if p.structure not in DISCRETE]
    done: list[tuple[str, ...]] = []
    for count in range(min(MAX_ZEROS, len(names)) + 1):
        for chosen in combinations(names, count):
            if any(set(d) <= set(chosen) for d in done):
                continue
            own = specialised(m, chosen)
            if linear(own) and own.found and not (m.flow and own.varies):
                done.append(chosen)
                yield Level(own, chosen)


Candidate = tuple[float, dict[str, Array], dict[str, Array], Array]


def _candidates(level: Level, goal: Goal, rng: Rng, budget: Budget) -> Iterator[Candidate]:
    """Weights that break the claim with the worst start, the best of random ones first, then of an ascent."""
    model = level.m.model
    pool = sorted((_scored(level, *drawn(level, rng)) for _ in range(SAMPLES)), key=lambda c: -c[0])
    yield from (c for c in pool[:2] if goal.excess(c[0]) > 1e-7 * goal.target)
    starts, idle = pool[:4], 0
    for _ in range(ROUNDS):
        if budget.over() or idle == IDLE:
            break
        young = [_scored(level, *_moved(model, level, c, rng)) for c in starts for _ in range(CHILDREN)]
        best = starts[0][0]
        starts = sorted([*starts, *young], key=lambda c: -c[0])[:4]
        idle = 0 if starts[0][0] > best * (1 + 1e-9) else idle + 1
    yield from (c for c in starts[:2] if goal.excess(c[0]) > 1e-8 * goal.target)


def _moved(model: Model, level: Level, c: Candidate, rng: Rng) -> tuple[dict[str, Array], dict[str, Array]]:
    size = 10.0 ** rng.uniform(-3, 0)

    def change(v: Array) -> Array:
        step = size * (np.sqrt(np.mean(v**2)) + 0.1) * rng.standard_normal(v.shape)
        return np.asarray(v + step * (rng.random(v.shape) < 0.5))

    fixed = {p.name for p in model.params if p.structure in DISCRETE} | set(level.zeros)
    raw = {n: (w if n in fixed else change(w))[None] for n, w in c[1].items()}
    weights = {n: w[0] for n, w in project(model, raw).items()}
    inputs = {n: change(u) for n, u in c[2].items()}
    return weights, into_domain(model, [("input", n) for n in inputs], inputs)


def _scored(level: Level, weights: dict[str, Array], inputs: dict[str, Array]) -> Candidate:
    """The worst ratio over all starts, with that start as one vector of all free states."""
    with np.errstate(all="ignore"):
        form = _form(level, weights, inputs)
    if not np.isfinite(form).all():
        return -np.inf, weights, inputs, np.zeros(len(form))
    values, vectors = np.linalg.eigh((form + form.T) / 2)
    return float(np.sqrt(max(values[-1], 0.0))), weights, inputs, vectors[:, -1]


def _form(level: Level, weights: dict[str, Array], inputs: dict[str, Array]) -> Array:
    """The quadratic form of the free states that is the expected square in the end."""
    m = level.m
    start = _start_map(m, weights, inputs)
    form, step = np.eye(m.size), None
    if m.flow:
        form = flow_form(m, linear_step(m, FLOAT, weights, inputs, 0, range(m.size)))
    for k in reversed(range(0 if m.flow else m.program.steps)):
        step = linear_step(m, FLOAT, weights, inputs, k, range(m.size)) if step is None or m.varies else step
        scale = np.array([float(v) for v in step.variances])[:, None, None]
        form = (scale * (np.swapaxes(step.matrices, -1, -2) @ form @ step.matrices)).sum(axis=0)
    return np.asarray(start.T @ form @ start)


def _start_map(m: Moments, weights: dict[str, Array], inputs: dict[str, Array]) -> Array:
    """All initial states from the free ones, as far as it is linear: differences at the units."""
    shapes = [s.shape for s in m.model.free_states]
    count = sum(int(np.prod(s)) for s in shapes)
    points = np.concatenate([np.zeros((1, count)), np.eye(count)])
    states = initial_states(m.model, FLOAT, weights, unpack(points, shapes), inputs)
    values = np.broadcast_to(pack(states, state_leaves(m.model)), (count + 1, m.size))
    return np.asarray((values[1:] - values[0]).T)


def _realised(
    full: Moments, level: Level, goal: Goal, weights: dict[str, Array], inputs: dict[str, Array], e: Array
) -> Found | None:
    """The plainest arrays at full size that break the claim beyond doubt."""
    for digits in (0, 3, 10, None):
        own, given, start = (_rounded(v, digits) for v in (weights, inputs, {"e": e / max(np.max(np.abs(e)), 1e-300)}))
        small = exactly(level.m.model, own) if digits is not None else own
        if small is None:
            continue
        found = embedded(full, level, small, given, start["e"])
        ratio = None if found is None else checked(full, goal, found)
        if found is not None and ratio is not None:
            return (ratio, *found)
    return None


def _rounded(values: dict[str, Array], digits: int | None) -> dict[str, Array]:
    return values if digits is None else {n: np.round(v * 2.0**digits) / 2.0**digits for n, v in values.items()}
