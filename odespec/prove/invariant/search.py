"""The search for a step that leaves a relation, or for a state on its boundary from which the flow leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from odespec.ir.expr import depends_on, leaves
from odespec.ir.model import Graph, Input, Model, Param
from odespec.program.step import StepProgram
from odespec.prove.invariant.into import Into
from odespec.prove.refute.candidates import Candidates, moved, random_candidates
from odespec.prove.refute.graphs import draw_graphs, name_of
from odespec.prove.refute.leaving import Leaves, Sides, names_start, outward, state_values
from odespec.prove.refute.mapping import Network, network
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.draw import Rng
from odespec.weights.steps import initial_states, prepare, run, step_leaves, unpack

OPERATIONS = 3_000_000
"""Entries of weights and states in a batch, all together."""
MAX_STEPS = 32
CLEAR = 1e-6
ROUNDS = 60
STARTS = 16
CHILDREN = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate with one member, and the step after which the relation is broken (of the flow: zero)."""

    candidate: Candidates
    step: int
    size: float


class Search:
    """``steps``: how many steps of a run are looked at; one where every state that obeys the relation is a start.

    ``graphs``: with the bound on their degrees; their adjacency matrices are inputs of the program's model.
    """

    def __init__(
        self, program: StepProgram, sides: Sides, flow: bool, graphs: tuple[tuple[Graph, Fraction | None], ...] = ()
    ) -> None:
        self.graphs = graphs
        self.net: Network = network(program, "map")
        self.program, self.sides, self.flow = program, sides, flow
        self.steps = 1 if flow else _length(program, names_start(sides.relation))
        self.runners = [prepare(_alone(program, k)) for k in range(self.steps)]
        self.into = Into(program.model, sides)

    @property
    def model(self) -> Model:
        return self.program.model

    def found(self, rng: Rng, stop: Callable[[], bool], rounds: int = ROUNDS) -> Iterator[Found]:
        """The clearest first."""
        pool = self._allowed(self._random(rng), rng)
        scores, at = self.measure(pool)
        yield from self._clear(pool, scores, at)
        order = np.argsort(-scores)[:STARTS]
        pool, scores, at = pool.take(order), scores[order], at[order]
        size = np.full(len(pool), 0.5)
        for _ in range(rounds):
            if stop():
                return
            parents = np.repeat(np.arange(len(pool)), CHILDREN)
            young = self._allowed(self._moved(pool.take(parents), rng, size[parents]), rng)
            new, when = self.measure(young)
            best = np.argmax(new.reshape(len(pool), -1), axis=1) + CHILDREN * np.arange(len(pool))
            better = new[best] > scores
            rows = np.where(better, len(pool) + best, np.arange(len(pool)))
            size = np.clip(size * np.where(better, 1.5, 0.85), 1e-3, 2.0)
            both, count = pool.join(young), len(pool)
            pool = both.take(rows)
            scores = np.where(better, new[best], scores)
            at = np.where(better, when[best], at)
            if better.any() and scores.max() > CLEAR and count:
                yield from self._clear(pool, scores, at)

    def worst(self, rng: Rng) -> float:
        """The largest violation of a batch of random candidates, in relation to the sizes of their states."""
        pool = self._allowed(self._random(rng), rng)
        scores, _ = self.measure(pool)
        size = 1.0 + np.max(np.abs(pool.x), axis=1, initial=0.0)
        with np.errstate(all="ignore"):
            now = self.start(pool, FLOAT)
            for k in range(0 if self.flow else self.steps):
                now = self.step(pool, k, now, FLOAT)
                for v in now:
                    size = size + np.nan_to_num(np.max(np.abs(v.reshape(len(pool), -1)), axis=1), nan=np.inf)
        return float(np.max(np.nan_to_num(scores / size, nan=-np.inf), initial=-np.inf))

    def _moved(self, c: Candidates, rng: Rng, size: Array) -> Candidates:
        new, inputs = self._changed(c, rng, size), {}
        for g, top in self.graphs:
            again = (rng.random(len(c)) < 0.2)[:, None, None]
            inputs[name_of(g.name)] = np.where(again, draw_graphs(g, top, rng, len(c)), c.inputs[name_of(g.name)])
        return replace(new, inputs={**new.inputs, **inputs})

    def _changed(self, c: Candidates, rng: Rng, size: Array) -> Candidates:
        if self.net.shapes:
            return moved(self.net, c, rng, size)
        empty = np.zeros((len(c), 0))
        other = _opened(self.net)
        filled = replace(c, x=np.zeros((len(c), other.size)), offset=np.ones((len(c), other.size)))
        return replace(moved(other, filled, rng, size), x=empty, offset=empty)

    def _random(self, rng: Rng) -> Candidates:
        if self.net.shapes:
            fresh = random_candidates(self.net, rng, self._count())
        else:
            fresh = random_candidates(_opened(self.net), rng, self._count())
            fresh = replace(fresh, x=np.zeros((len(fresh), 0)), offset=np.zeros((len(fresh), 0)))
        drawn = {name_of(g.name): draw_graphs(g, top, rng, len(fresh)) for g, top in self.graphs}
        return replace(fresh, inputs={**fresh.inputs, **drawn})

    def _count(self) -> int:
        tensors = [p.shape for p in self.model.params] + [s.shape for s in self.model.states]
        return int(np.clip(OPERATIONS // (self.steps * (1 + sum(map(prod, tensors)))), 64, 1200))

    def _clear(self, pool: Candidates, scores: Array, at: Array) -> Iterator[Found]:
        for i in np.argsort(-scores)[:2]:
            if scores[i] > CLEAR:
                yield Found(pool.take(np.array([i])), int(at[i]), float(scores[i]))

    def _allowed(self, c: Candidates, rng: Rng) -> Candidates:
        """The candidates with states moved into the relation, many of them to its boundary."""
        shapes = self.net.shapes
        if not shapes:
            return c
        states = dict(zip((s.name for s in self.model.free_states), unpack(c.x, shapes), strict=True))
        values = self.into.moved(states, c.weights, c.inputs, rng)
        x = np.concatenate([v.reshape(len(c), -1) for v in values.values()], axis=1)
        return replace(c, x=x)

    # --- measures ------------------------------------------------------------------

    def measure(self, c: Candidates) -> tuple[Array, Array]:
        """The largest violation of each candidate, and after which step it is."""
        with np.errstate(all="ignore"):
            start = self.start(c, FLOAT)
            base = self.data(c, 0, FLOAT)
            begun = self.sides.worst(FLOAT, base | state_values(self.model, start, start))
            if self.flow:
                scores = outward(self.model, self.sides, FLOAT, base | state_values(self.model, start, start))
                return self._true(scores, begun, len(c)), np.zeros(len(c), dtype=int)
            best, at, now = np.full(len(c), -np.inf), np.zeros(len(c), dtype=int), start
            for k in range(self.steps):
                now = self.step(c, k, now, FLOAT)
                values = self.data(c, k, FLOAT) | state_values(self.model, now, start)
                worst = self._true(self.sides.worst(FLOAT, values), begun, len(c))
                best, at = np.where(worst > best, worst, best), np.where(worst > best, k, at)
        return best, at

    def _true(self, scores: Array, begun: Array, count: int) -> Array:
        """Of starts that break the relation nothing is learned."""
        good = np.isfinite(scores) & (begun <= 1e-9)
        return np.where(np.broadcast_to(good, (count,)), scores, -np.inf)

    def start(self, c: Candidates, arithmetic: Arithmetic) -> list[Array]:
        free = unpack(c.x, self.net.shapes) if self.net.shapes else []
        found = initial_states(self.model, arithmetic, c.weights, free, c.inputs)
        return [np.broadcast_to(v, (len(c), *s.shape)) for v, s in zip(found, self.model.states, strict=True)]

    def step(self, c: Candidates, k: int, states: list[Array], arithmetic: Arithmetic) -> list[Array]:
        weights, inputs = (self._one(v, k) for v in (c.weights, c.inputs))
        return list(run(self.runners[k], arithmetic, weights, states, inputs))

    def _one(self, values: Mapping[str, Array], k: int) -> dict[str, Array]:
        """Of each tensor that is ``per step`` the copy of one step."""
        declared: list[Param | Input] = [*self.model.params, *self.model.inputs]
        shapes = {d.name: d.shape for d in declared if d.per_step}
        return {
            n: v[(..., slice(k, k + 1)) + (slice(None),) * len(shapes[n])] if n in shapes else v
            for n, v in values.items()
        }

    def data(self, c: Candidates, k: int, arithmetic: Arithmetic) -> Leaves:
        held = {("param", n): arithmetic.cast(w) for n, w in c.weights.items()}
        held |= {("input", n): arithmetic.cast(u) for n, u in c.inputs.items()}
        return step_leaves(self.model, held, k)


def _opened(net: Network) -> Network:
    """The same with every state free: where all have given initial values, only weights and inputs are looked for."""
    model = net.model
    states = tuple(replace(s, initial=None) for s in model.states)
    program = replace(net.runner.program, model=replace(model, states=states))
    return network(program, "map")


def _alone(program: StepProgram, k: int) -> StepProgram:
    return replace(program, start=program.start + program.h * k, steps=1)


def _length(program: StepProgram, started: bool) -> int:
    """One step where every state that obeys the relation may be the start of every step that there is."""
    model = program.model
    if program.memory:
        return 1
    timed = any(op == "time" for e in program.update for op, _ in leaves(e))
    limited = any(depends_on(r.operand, "state") for r in model.domains)
    given = any(s.initial is not None for s in model.states)
    return min(program.steps, MAX_STEPS) if started or timed or limited or given else 1
