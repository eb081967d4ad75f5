"""Random weights, states and inputs that a model allows, each exactly within its constraints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from odespec.ir.model import Model
from odespec.weights.arithmetic import Array
from odespec.weights.draw import KINDS, Rng, draw, heavy, scale_range, tensors
from odespec.weights.embed import embed, reduction, shrink
from odespec.weights.membership import violations
from odespec.weights.project import into_domain, project

__all__ = ["KINDS", "NoSample", "exactly", "sample", "sample_inputs", "sample_states"]

INWARD = (0.0, 2.0**-50, 2.0**-44, 1e-11, 1e-9, 1e-7, 1e-5)
"""How far, relatively, weights are moved inward until they are members exactly."""
ATTEMPTS = 12


class NoSample(Exception):
    """No weights within the constraints were found."""


def sample(model: Model, rng: Rng, kind: str | None = None) -> dict[str, Array]:
    """Weights at the sizes of the model that obey it exactly.

    ``kind``: one of `KINDS` for every matrix, ``small`` for tiny weights embedded in the full sizes, None for a random
    mixture. Raises `NoSample`.
    """
    for attempt in range(ATTEMPTS):
        if kind == "small" or (kind is None and rng.random() < 0.4):
            raw = _small(model, rng)
        else:
            raw = {n: w[0] for n, w in draw(model, rng, 1, kind if attempt < ATTEMPTS // 2 else None).items()}
        found = exactly(model, raw)
        if found is not None:
            return found
    raise NoSample(model.name)


def _small(model: Model, rng: Rng) -> dict[str, Array]:
    tiny = shrink(model, reduction(model, int(rng.integers(1, 4))))
    weights = project(tiny, draw(tiny, rng, 1))
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    return {p.name: embed(p, weights[p.name][0], steps, model.constraints) for p in model.params}


def exactly(model: Model, weights: dict[str, Array]) -> dict[str, Array] | None:
    """The nearest weights that are found to obey the model exactly; None if none are."""
    if not violations(model, weights):
        return weights
    for inward in INWARD:
        moved = project(model, weights, inward)
        if not violations(model, moved):
            return moved
    return None


def sample_states(model: Model, rng: Rng) -> list[Array]:
    """Initial values of the free states within the domain: zero, heavy-tailed, huge. Raises `NoSample`."""
    for _ in range(ATTEMPTS):
        raw = {s.name: heavy(rng, (1, *s.shape))[0] for s in model.free_states}
        found = _within(model, [("state", s.name) for s in model.free_states], raw)
        if found is not None:
            return found
    raise NoSample(model.name)


def sample_inputs(model: Model, rng: Rng) -> list[Array]:
    """Inputs within the domain and their structures, in order of declaration. Raises `NoSample`."""
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    for _ in range(ATTEMPTS):
        raw = {}
        for u in model.inputs:
            count = steps if u.per_step else 1
            values = (
                tensors(u.shape, u.structure, rng, count, scale_range(model))
                if u.structure
                else heavy(rng, (count, *u.shape))
            )
            raw[u.name] = values if u.per_step else values[0]
        found = _within(model, [("input", u.name) for u in model.inputs], raw)
        if found is not None:
            return found
    raise NoSample(model.name)


def _within(model: Model, names: Sequence[tuple[str, str]], raw: dict[str, Array]) -> list[Array] | None:
    for inward in INWARD:
        moved = into_domain(model, names, raw, inward)
        values = [np.asarray(moved[n]) for _, n in names]
        found = domain_violations(model, names, values)
        if not found:
            return values
    return None


def domain_violations(model: Model, names: Sequence[tuple[str, str]], values: Sequence[Array]) -> list[str]:
    """What is wrong with states, or inputs, taken alone."""
    from dataclasses import replace

    states = list(values) if names and names[0][0] == "state" else None
    inputs = list(values) if names and names[0][0] == "input" else None
    alone = replace(model, params=(), constraints=())
    return violations(alone, {}, states, inputs)
