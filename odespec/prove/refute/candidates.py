"""Batches of weights, inputs and pairs of states, within constraints and domain up to rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from odespec.ir.model import State
from odespec.prove.refute.mapping import Network
from odespec.records import dataclass
from odespec.weights.arithmetic import Array
from odespec.weights.draw import Rng, draw, heavy, scale_range, tensors
from odespec.weights.project import DISCRETE, into_domain, project
from odespec.weights.steps import unpack

Named = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A batch: weights, inputs (what `Network.held` names), a state ``x[batch, n]``, and the offset to a second state."""

    weights: Named
    inputs: Named
    x: Array
    offset: Array

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Array) -> Candidates:
        return self.map(lambda v: v[rows])

    def map(self, change: Callable[[Array], Array]) -> Candidates:
        return Candidates(
            {n: change(w) for n, w in self.weights.items()},
            {n: change(u) for n, u in self.inputs.items()},
            change(self.x),
            change(self.offset),
        )

    def join(self, other: Candidates) -> Candidates:
        """This batch followed by another."""
        return Candidates(
            {n: np.concatenate([w, other.weights[n]]) for n, w in self.weights.items()},
            {n: np.concatenate([u, other.inputs[n]]) for n, u in self.inputs.items()},
            np.concatenate([self.x, other.x]),
            np.concatenate([self.offset, other.offset]),
        )


def random_candidates(net: Network, rng: Rng, count: int) -> Candidates:
    """Within constraints and domain, up to rounding."""
    model = net.model
    states = [heavy(rng, (count, *shape)) for shape in net.shapes]
    x = np.concatenate([s.reshape(count, -1) for s in states], axis=1)
    offset = heavy(rng, (count, net.size))
    offset = np.where(np.any(offset, axis=1, keepdims=True), offset, 1.0)
    raw = Candidates(draw(model, rng, count), _inputs(net, rng, count), x, offset)
    return allowed(net, raw)


def _inputs(net: Network, rng: Rng, count: int) -> dict[str, Array]:
    model = net.model
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    result = {}
    for u in net.held:
        if isinstance(u, State):
            result[u.name] = heavy(rng, (count, *u.shape))
            continue
        total = count * steps if u.per_step else count
        flat = (
            tensors(u.shape, u.structure, rng, total, scale_range(model))
            if u.structure
            else heavy(rng, (total, *u.shape))
        )
        result[u.name] = flat.reshape(count, steps, *u.shape) if u.per_step else flat
    return result


def allowed(net: Network, c: Candidates) -> Candidates:
    """The candidates moved into constraints and domain."""
    model = net.model
    weights, inputs, x, y = project(model, c.weights), dict(c.inputs), c.x, c.x + c.offset
    inputs = into_domain(model, held_names(net), inputs)
    if model.domains or (net.by is not None and net.by.structure):
        x, y = inside(net, x), inside(net, y)
    offset = y - x
    return Candidates(weights, inputs, x, np.where(np.any(offset, axis=1, keepdims=True), offset, c.offset))


def inside(net: Network, x: Array) -> Array:
    """States ``[batch, n]`` moved into the domain, up to rounding."""
    states = dict(zip((n for _, n in net.moved), unpack(x, net.shapes), strict=True))
    moved = into_domain(net.model, net.moved, states)
    return np.concatenate([moved[n].reshape(len(x), -1) for n in states], axis=1)


def held_names(net: Network) -> list[tuple[str, str]]:
    """What both runs share besides the weights, as pairs of ``state`` or ``input`` and name."""
    return [("state" if isinstance(u, State) else "input", u.name) for u in net.held]


def moved(net: Network, c: Candidates, rng: Rng, size: Array) -> Candidates:
    """Random changes, each tensor of each candidate by its own: a step, a factor, or nothing."""
    fixed = {p.name for p in net.model.params if p.structure in DISCRETE}
    held = {u.name for u in net.model.inputs if u.structure in DISCRETE and u in net.held}
    again = rng.integers(0, len(c), size=1 + len(c) // 8)
    fresh = draw(net.model, rng, len(again)) if fixed else {}

    def change(v: Array) -> Array:
        column = (len(v),) + (1,) * (v.ndim - 1)
        scale = np.sqrt(np.mean(v.reshape(len(v), -1) ** 2, axis=1)).reshape(column)
        step = rng.standard_normal(v.shape) * (scale + 0.1 * (rng.random(column) < 0.2)) * size.reshape(column)
        factor = np.where(rng.random(column) < 0.2, np.exp(rng.standard_normal(column) * 3 * size.reshape(column)), 1.0)
        part = (rng.random(v.shape) < 0.3) | (rng.random(column) < 0.5)
        return np.asarray(np.where(part & (rng.random(column) < 0.6), v * factor + step, v))

    def redrawn(n: str, v: Array) -> Array:
        v = v.copy()
        v[again] = fresh[n]
        return v

    weights = {n: redrawn(n, w) if n in fixed else change(w) for n, w in c.weights.items()}
    inputs = {n: u if n in held else change(u) for n, u in c.inputs.items()}
    return allowed(net, Candidates(weights, inputs, change(c.x), change(c.offset)))
