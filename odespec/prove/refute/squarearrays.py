"""Weights, inputs and pairs of states for expected squares: drawn at tiny sizes, put back into those of the spec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from odespec.program.lower import lower
from odespec.program.step import StepProgram
from odespec.prove.refute.expectedsquare import stands
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.secondmoment import Moments
from odespec.records import dataclass
from odespec.weights.arithmetic import Array
from odespec.weights.draw import Rng, draw, heavy
from odespec.weights.embed import embed, reduction, shrink
from odespec.weights.membership import violations
from odespec.weights.project import into_domain, project
from odespec.weights.sampling import exactly
from odespec.weights.steps import unpack

Found = tuple[float, dict[str, Array], dict[str, Array], list[Array], list[Array]]
"""The ratio, the weights, the inputs, and the free states of the two runs."""

Arrays = tuple[dict[str, Array], dict[str, Array], list[Array], list[Array]]
"""The same without the ratio."""


@dataclass(frozen=True, slots=True)
class Level:
    """A size to search at: the moments with some weights zero, and which."""

    m: Moments
    zeros: tuple[str, ...]


def shrunk(program: StepProgram, size: int) -> StepProgram:
    small = shrink(program.model, reduction(program.model, size))
    return lower(small, noise=True)


def drawn(level: Level, rng: Rng) -> tuple[dict[str, Array], dict[str, Array]]:
    model = level.m.model
    raw = {n: np.zeros_like(w) if n in level.zeros else w for n, w in draw(model, rng, 1).items()}
    weights = {n: w[0] for n, w in project(model, raw).items()}
    steps = level.m.program.steps
    inputs = {
        u.name: heavy(rng, (steps, *u.shape)) if u.per_step else heavy(rng, (1, *u.shape))[0] for u in model.inputs
    }
    return weights, into_domain(model, [("input", n) for n in inputs], inputs)


def embedded(
    full: Moments, level: Level, weights: dict[str, Array], inputs: dict[str, Array], e: Array
) -> Arrays | None:
    """At the sizes of the spec, within its constraints and domain."""
    model, steps = full.model, full.program.steps
    if isinstance(model.solver.steps, int):
        steps = model.solver.steps
    whole = {p.name: embed(p, weights[p.name], steps, model.constraints) for p in model.params}
    member = exactly(model, whole)
    if member is None:
        return None
    given = {u.name: embed(u, inputs[u.name], steps, model.domains) for u in model.inputs}
    small = unpack(e, [s.shape for s in level.m.model.free_states])
    ends = {"x": [np.zeros(s.shape) for s in model.free_states], "y": []}
    for s, value in zip(model.free_states, small, strict=True):
        moved = np.zeros(s.shape)
        moved[tuple(slice(0, n) for n in value.shape)] = value
        ends["y"].append(moved)
    names = [("state", s.name) for s in model.free_states]
    for side, values in ends.items():
        inside = into_domain(model, names, {s.name: v for s, v in zip(model.free_states, values, strict=True)})
        ends[side] = [inside[s.name] for s in model.free_states]
    return member, given, ends["x"], ends["y"]


def checked(full: Moments, goal: Goal, found: Arrays) -> float | None:
    weights, inputs, x, y = found
    model = replace(full.model, noises=())
    given = [inputs[u.name] for u in model.inputs]
    if violations(model, weights, x, given) or violations(replace(model, params=(), constraints=()), {}, y, given):
        return None
    first, second = (np.concatenate([v.ravel() for v in values]) for values in (x, y))
    return None if np.array_equal(first, second) else stands(full, goal, weights, inputs, first, second)
