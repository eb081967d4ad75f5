"""The reference interpreter: a step program run with NumPy in float64.

Shapes. Weights, states and inputs may have any leading batch axes, which broadcast against each other: a weight is
``[..., *shape]``, ``per step`` ``[steps, ..., *shape]``; an input ``per step`` is ``[..., steps, *shape]``. Results
have the common batch axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from odespec.ir.expr import TIME, Expr, Shape, leaf
from odespec.ir.model import Model
from odespec.program.evaluate import MissingValue, NoRule, Value, evaluate
from odespec.program.newton import ConvergenceError, directions, matrix, solution_tangents, solve
from odespec.program.operators import Array, Edges, Operator
from odespec.program.paths import Path, on_path
from odespec.program.step import StepProgram
from odespec.program.tangents import differentiate

__all__ = [
    "ConvergenceError",
    "Edges",
    "MissingValue",
    "NoRule",
    "Operator",
    "environments",
    "evaluate",
    "jacobian",
    "output",
    "run",
]

Env = dict[Expr, Value]


def run(
    program: StepProgram,
    weights: Mapping[str, Array],
    states: Sequence[Array],
    inputs: Sequence[Array] = (),
    *,
    graphs: Mapping[str, Edges] | None = None,
    noise: Path = None,
    trajectory: bool = False,
) -> tuple[Array, ...]:
    """All final states, in order of declaration, from the free initial ones.

    ``noise``: the increments of each noise by name, ``[..., steps, *shape]``, or a seed for them: one path for the whole
    batch. With ``trajectory``, the states at every step: ``[..., steps + 1, *shape]``. Raises `ConvergenceError` where
    implicit equations are not solved, ValueError where shapes or numbers of arguments do not fit, `NoRule` for
    operations without a numeric rule.
    """
    if program.model.noises:
        program, inputs = on_path(program, inputs, noise)
    frames = list(_frames(program, weights, states, inputs, graphs or {}))
    if not trajectory:
        return tuple(frames[-1])
    shapes = [s.shape for s in program.model.states]
    return tuple(np.stack(v, axis=-len(s) - 1) for v, s in zip(zip(*frames, strict=True), shapes, strict=True))


def _frames(
    program: StepProgram,
    weights: Mapping[str, Array],
    states: Sequence[Array],
    inputs: Sequence[Array],
    graphs: Mapping[str, Edges],
) -> Iterator[list[Array]]:
    held = _Held(program, weights, states, inputs, graphs)
    values, past = held.start(states), held.nothing()
    yield values
    for k in range(program.steps):
        env = held.at(k, values) | past
        values = held.full(_advance(program, k, env, values, held.batch))
        past = _remembered(program, env, held.batch)
        yield values


def environments(
    program: StepProgram,
    weights: Mapping[str, Array],
    states: Sequence[Array],
    inputs: Sequence[Array] = (),
    *,
    graphs: Mapping[str, Edges] | None = None,
) -> tuple[Env, ...]:
    """For each step the values of all leaves: its first states, stages, weights, inputs, the time. Raises as `run`."""
    held = _Held(program, weights, states, inputs, graphs or {})
    values, past, found = held.start(states), held.nothing(), []
    for k in range(program.steps):
        found.append(held.at(k, values) | past)
        values = held.full(_advance(program, k, found[-1], values, held.batch))
        past = _remembered(program, found[-1], held.batch)
    return tuple(found)


def _advance(program: StepProgram, k: int, env: Env, values: Sequence[Array], batch: Shape) -> list[Array]:
    """Step k; the unknowns of implicit equations are added to the environment."""
    solves, update = program.at(k)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for group in solves:
            guess = [np.broadcast_to(values[_state_of(program, u)], (*batch, *u.shape)) for u in group.unknowns]
            env.update(zip(group.unknowns, solve(group, env, guess), strict=True))
        return evaluate(update, env)


def _remembered(program: StepProgram, env: Env, batch: Shape) -> Env:
    """What the next step finds in its memory."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        values = evaluate([m.after for m in program.memory], env) if program.memory else []
    return {m.past: np.broadcast_to(v, (*batch, *m.past.shape)) for m, v in zip(program.memory, values, strict=True)}


def _state_of(program: StepProgram, unknown: Expr) -> int:
    """The state whose stage an unknown is: its guess is that state's value at the start of the step."""
    assert isinstance(unknown.data, int)
    return unknown.data % len(program.model.states)


def jacobian(
    program: StepProgram,
    weights: Mapping[str, Array],
    states: Sequence[Array],
    inputs: Sequence[Array] = (),
    *,
    graphs: Mapping[str, Edges] | None = None,
    noise: Path = None,
) -> Array:
    """The derivative ``[..., entries of all final states, entries of the free initial states]`` of the map.

    Entries are numbered state by state, in row-major order. Raises as `run`.
    """
    if program.model.noises:
        program, inputs = on_path(program, inputs, noise)
    held = _Held(program, weights, states, inputs, graphs or {})
    values, past = held.start(states), held.nothing()
    free = [s for s in held.states if s in held.free]
    moves = dict(zip(free, directions([s.shape for s in free], len(held.batch)), strict=True))
    count = sum(int(np.prod(s.shape)) for s in free)
    _start_tangents(program.model, held.at(0, values), moves)
    for k in range(program.steps):
        env = held.at(k, values) | past
        values = held.full(_advance(program, k, env, values, held.batch))
        past = _remembered(program, env, held.batch)
        moves = _moved(program, k, env, moves, held.batch, count)
    return matrix([moves.get(s) for s in held.states], held.batch, [s.shape for s in held.states], count)


def _start_tangents(model: Model, env: Env, moves: Env) -> None:
    """Given initial values may depend on free ones."""
    for state in model.states:
        if state.initial is not None:
            move = differentiate([state.initial], env, moves)[1][0]
            if move is not None:
                moves[leaf("state", state.name, state.shape)] = move


def _moved(program: StepProgram, k: int, env: Env, moves: Env, batch: Shape, count: int) -> Env:
    """The tangents of states and memory after step k, whose unknowns are in the environment."""
    solves, update = program.at(k)
    tangents = dict(moves)
    for group in solves:
        tangents.update(zip(group.unknowns, solution_tangents(group, env, tangents, batch, count), strict=True))
    places = [leaf("state", s.name, s.shape) for s in program.model.states] + [m.past for m in program.memory]
    after = differentiate([*update, *(m.after for m in program.memory)], env, tangents)[1]
    return {s: m for s, m in zip(places, after, strict=True) if m is not None}


def output(
    program: StepProgram,
    weights: Mapping[str, Array],
    final: Sequence[Array],
    inputs: Sequence[Array] = (),
    *,
    graphs: Mapping[str, Edges] | None = None,
) -> tuple[Array, ...]:
    """What the network returns, from its final states: its ``output``, or the states themselves.

    Data ``per step`` are those of the last step.
    """
    chosen = program.model.output
    if chosen is None:
        return tuple(final)
    held = _Held(program, weights, final, inputs, graphs or {})
    env = held.at(program.steps - 1, [np.asarray(f, dtype=np.float64) for f in final])
    env[TIME] = np.asarray(float(program.start + program.h * program.steps))
    return tuple(evaluate([chosen[1]], env))


class _Held:
    """What does not change over the steps: the weights and inputs, checked, and the common batch axes."""

    def __init__(
        self,
        program: StepProgram,
        weights: Mapping[str, Array],
        states: Sequence[Array],
        inputs: Sequence[Array],
        graphs: Mapping[str, Edges],
    ) -> None:
        model = program.model
        self.program = program
        self.states = [leaf("state", s.name, s.shape) for s in model.states]
        self.free = [leaf("state", s.name, s.shape) for s in model.free_states]
        self.graphs: Env = {leaf("graph", g.name, (g.nodes,)): graphs[g.name] for g in model.graphs if g.name in graphs}
        self.weights = {p.name: _array(weights, p.name) for p in model.params}
        if len(inputs) != len(model.inputs):
            raise ValueError(f"{len(model.inputs)} inputs expected, {len(inputs)} given")
        self.inputs = [np.asarray(u, dtype=np.float64) for u in inputs]
        self.batch = self._common([np.asarray(s, dtype=np.float64) for s in states])
        self._check()

    def _common(self, states: Sequence[Array]) -> Shape:
        """The batch axes of everything that is given, broadcast."""
        model = self.program.model
        shapes = [self._lead(u, (self.program.steps,) * i.per_step + i.shape, i.name)
                  for u, i in zip(self.inputs, model.inputs, strict=True)]  # fmt: skip
        for p in model.params:
            lead = self._lead(self.weights[p.name], p.shape, p.name)
            shapes.append(lead[1:] if p.per_step else lead)
        leaves = self.states if len(states) == len(self.states) else self.free
        if len(states) != len(leaves):
            raise ValueError(f"{len(leaves)} states expected, {len(states)} given")
        shapes.extend(self._lead(x, s.shape, str(s.data)) for x, s in zip(states, leaves, strict=True))
        return np.broadcast_shapes(*shapes)

    def _lead(self, value: Array, shape: Shape, name: str) -> Shape:
        axes = value.ndim - len(shape)
        if axes < 0 or value.shape[axes:] != shape:
            raise ValueError(f"{name} has shape {value.shape}, its last axes must be {shape}")
        return value.shape[:axes]

    def _check(self) -> None:
        for p in self.program.model.params:
            value = self.weights[p.name]
            if p.per_step and (value.ndim == len(p.shape) or value.shape[0] != self.program.steps):
                raise ValueError(f"{p.name} must have {self.program.steps} copies on its first axis")

    def full(self, values: Sequence[Array]) -> list[Array]:
        """Values of the states with all batch axes."""
        return [np.broadcast_to(v, (*self.batch, *s.shape)) for v, s in zip(values, self.states, strict=True)]

    def nothing(self) -> Env:
        """The memory before the first step."""
        return {m.past: np.zeros((*self.batch, *m.past.shape)) for m in self.program.memory}

    def start(self, states: Sequence[Array]) -> list[Array]:
        """The values of all states at the start: given ones are computed from what stands before them."""
        model = self.program.model
        if len(states) != len(self.free):
            raise ValueError(f"{len(self.free)} states expected, {len(states)} given")
        given = iter(states)
        env = self.at(0, [])
        for state, node in zip(model.states, self.states, strict=True):
            value = next(given) if state.initial is None else evaluate([state.initial], env)[0]
            env[node] = np.broadcast_to(np.asarray(value, dtype=np.float64), (*self.batch, *node.shape))
        return [env[s] for s in self.states]

    def at(self, k: int, values: Sequence[Array]) -> Env:
        """The values of all leaves in step k."""
        program, model = self.program, self.program.model
        env: Env = {TIME: np.asarray(float(program.start + program.h * k)), **self.graphs}
        for p in model.params:
            env[leaf("param", p.name, p.shape)] = self.weights[p.name][k] if p.per_step else self.weights[p.name]
        for i, u in zip(model.inputs, self.inputs, strict=True):
            axis = u.ndim - len(i.shape) - 1
            env[leaf("input", i.name, i.shape)] = u.take(k, axis=axis) if i.per_step else u
        env.update(zip(self.states, values, strict=False))
        return env


def _array(weights: Mapping[str, Array], name: str) -> Array:
    if name not in weights:
        raise ValueError(f"there is no weight {name}")
    return np.asarray(weights[name], dtype=np.float64)
