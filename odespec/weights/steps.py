"""A step program run over any kind of numbers: the search for counterexamples and their second opinion.

The reference is `odespec.program.interpret`; this run takes leading batch axes on everything and any arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from odespec.ir.expr import Expr, Shape
from odespec.ir.model import Input, Model, Param
from odespec.program.step import Solve, StepProgram
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import Plan, evaluate, plan

NEWTON = 40
RESIDUAL = 1e-12


class NoSolution(ArithmeticError):
    """The equations of an implicit step were not solved."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A step program prepared for evaluation.

    ``memory`` has what is remembered for the next step; ``begin`` the update and the equations of the first steps.
    """

    program: StepProgram
    update: Plan
    solves: tuple[tuple[Solve, Plan], ...]
    memory: Plan
    begin: tuple[Plan, tuple[tuple[Solve, Plan], ...]] | None

    @property
    def implicit(self) -> bool:
        """Whether any step has equations to solve."""
        return bool(self.solves) or (self.begin is not None and bool(self.begin[1]))

    def at(self, k: int) -> tuple[Plan, tuple[tuple[Solve, Plan], ...]]:
        """The update and the equations of step k."""
        begin = self.program.begin
        if begin is not None and self.begin is not None and k < begin.steps:
            return self.begin
        return self.update, self.solves


def prepare(program: StepProgram) -> Runner:
    begin = program.begin
    return Runner(
        program,
        plan(program.update),
        _planned(program.solves),
        plan(tuple(m.after for m in program.memory)),
        None if begin is None else (plan(begin.update), _planned(begin.solves)),
    )


def _planned(solves: tuple[Solve, ...]) -> tuple[tuple[Solve, Plan], ...]:
    return tuple((s, plan(s.values)) for s in solves)


Values = Mapping[str, Array]


def run(
    runner: Runner, arithmetic: Arithmetic, weights: Values, states: Sequence[Array], inputs: Values
) -> tuple[Array, ...]:
    """The final states from the initial values of all states.

    Every array may have leading batch axes; they broadcast against each other. Raises `Unsupported`, `Inexact` and
    (with decimals) `NoSolution`; in float64 the values of an unsolved step are NaN.
    """
    model = runner.program.model
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    held |= {("input", n): arithmetic.cast(u) for n, u in inputs.items()}
    values = [arithmetic.cast(s) for s in states]
    places = [(m.past.op, m.past.data) for m in runner.program.memory]
    past = {(m.past.op, m.past.data): arithmetic.cast(np.zeros(m.past.shape)) for m in runner.program.memory}
    for k in range(runner.program.steps):
        update, solves = runner.at(k)
        leaves = step_leaves(model, held, k) | past
        leaves["time", None] = _time(runner.program, arithmetic, k)
        leaves |= {("state", s.name): v for s, v in zip(model.states, values, strict=True)}
        for group, prepared in solves:
            leaves |= _solved(group, prepared, arithmetic, leaves)
        values = evaluate(update, arithmetic, leaves)
        if places:
            past = dict(zip(places, evaluate(runner.memory, arithmetic, leaves), strict=True))
    return tuple(values)


def _time(program: StepProgram, arithmetic: Arithmetic, k: int) -> Array:
    dtype = np.float64 if arithmetic.name == "float64" else object
    return np.asarray(arithmetic.const(program.start + program.h * k), dtype=dtype)


def step_leaves(model: Model, held: Mapping[tuple[str, str], Array], k: int) -> dict[tuple[str, object], Array]:
    """The values of params and inputs at one step."""
    declared: list[tuple[str, Param | Input]] = [("param", p) for p in model.params]
    declared += [("input", u) for u in model.inputs]
    return {
        (op, d.name): entry(held[op, d.name], d.shape, k) if d.per_step else held[op, d.name]
        for op, d in declared
        if (op, d.name) in held
    }


def entry(stacked: Array, shape: Shape, k: int) -> Array:
    """One entry of a ``per step`` tensor, whose steps are the axis before those of ``shape``."""
    return stacked[(..., k) + (slice(None),) * len(shape)]


def initial_states(
    model: Model, arithmetic: Arithmetic, weights: Values, free: Sequence[Array], inputs: Values
) -> tuple[Array, ...]:
    """The initial values of all states from those that are inputs of the network, in order of declaration."""
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    held |= {("input", n): arithmetic.cast(u) for n, u in inputs.items()}
    leaves: dict[tuple[str, object], Array] = step_leaves(model, held, 0)
    given, result = iter(free), []
    for state in model.states:
        if state.initial is None:
            value = arithmetic.cast(next(given))
        else:
            value = evaluate(plan((state.initial,)), arithmetic, leaves)[0]
        leaves["state", state.name] = value
        result.append(value)
    return tuple(result)


# --- implicit steps ------------------------------------------------------------


def _solved(group: Solve, prepared: Plan, arithmetic: Arithmetic, leaves: dict[Any, Array]) -> dict[Any, Array]:
    if arithmetic is FLOAT:
        z, _, done = newton(group, prepared, leaves)
        z = np.where(done[..., None], z, np.nan)
    else:
        z = _refined(group, prepared, arithmetic, leaves)
    return dict(zip(_keys(group), unpack(z, [u.shape for u in group.unknowns]), strict=True))


def _keys(group: Solve) -> list[tuple[str, object]]:
    return [(u.op, u.data) for u in group.unknowns]


def _image(group: Solve, prepared: Plan, arithmetic: Arithmetic, leaves: dict[Any, Array], z: Array) -> Array:
    unknowns = dict(zip(_keys(group), unpack(z, [u.shape for u in group.unknowns]), strict=True))
    return pack(evaluate(prepared, arithmetic, leaves | unknowns), group.values)


def pack(parts: Sequence[Array], like: Sequence[Expr]) -> Array:
    """Tensors as one vector on the last axis; batch axes are broadcast."""
    flat = [p.reshape(*p.shape[: p.ndim - len(e.shape)], prod(e.shape)) for p, e in zip(parts, like, strict=True)]
    batch = np.broadcast_shapes(*(f.shape[:-1] for f in flat))
    return np.concatenate([np.broadcast_to(f, (*batch, f.shape[-1])) for f in flat], axis=-1)


def unpack(z: Array, shapes: Sequence[Shape]) -> list[Array]:
    """The inverse of `pack`."""
    result, start = [], 0
    for shape in shapes:
        size = prod(shape)
        result.append(z[..., start : start + size].reshape((*z.shape[:-1], *shape)))
        start += size
    return result


def newton(group: Solve, prepared: Plan, leaves: dict[Any, Array]) -> tuple[Array, Array, Array]:
    """The unknowns in float64, the Jacobian of ``z - G(z)``, and where the equations are solved to `RESIDUAL`."""
    size = sum(prod(u.shape) for u in group.unknowns)
    z = _image(group, prepared, FLOAT, leaves, np.zeros(size))
    z = np.nan_to_num(z)
    best = np.full(z.shape[:-1], np.inf)
    jacobian = np.broadcast_to(np.eye(size), (*z.shape, size)).copy()
    solution = z
    for _ in range(NEWTON):
        residual, slopes = _linearised(group, prepared, leaves, z)
        error = np.max(np.abs(residual), axis=-1) / (1.0 + np.max(np.abs(z), axis=-1))
        better = error < best
        solution = np.where(better[..., None], z, solution)
        jacobian = np.where(better[..., None, None], slopes, jacobian)
        best = np.where(better, error, best)
        if not np.any(better & (error > 1e-16)):
            break
        z = z - _quotient(slopes, residual)
    return solution, jacobian, best <= RESIDUAL


def _linearised(group: Solve, prepared: Plan, leaves: dict[Any, Array], z: Array) -> tuple[Array, Array]:
    """``z - G(z)`` and its Jacobian by differences."""
    size = z.shape[-1]
    step = 1e-7 * (1.0 + np.max(np.abs(z), axis=-1, keepdims=True))
    moves = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(size + 1, *(1,) * (z.ndim - 1), size)
    points = z + moves * step
    value = points - _image(group, prepared, FLOAT, leaves, points)
    columns = (value[1:] - value[0]) / step
    return value[0], np.moveaxis(columns, 0, -1)


def _quotient(matrix: Array, vector: Array) -> Array:
    finite = np.asarray(np.isfinite(matrix).all(axis=(-1, -2)) & np.isfinite(vector).all(axis=-1))
    safe = np.where(finite[..., None, None], matrix, np.eye(matrix.shape[-1]))
    with np.errstate(all="ignore"):
        singular = np.asarray(np.abs(np.linalg.det(safe)) < 1e-290)
        safe = np.where(singular[..., None, None], np.eye(matrix.shape[-1]), safe)
        return np.asarray(np.linalg.solve(safe, np.where(finite[..., None], vector, 0.0)[..., None])[..., 0])


def _refined(group: Solve, prepared: Plan, arithmetic: Arithmetic, leaves: dict[Any, Array]) -> Array:
    """Newton's method with the Jacobian in float64 and the residual to all digits."""
    floats = {key: np.asarray(value, dtype=np.float64) for key, value in leaves.items()}
    start, jacobian, done = newton(group, prepared, floats)
    if not np.all(done):
        raise NoSolution
    inverse, z = np.linalg.inv(jacobian), arithmetic.cast(start)
    for _ in range(NEWTON):
        residual = z - _image(group, prepared, arithmetic, leaves, z)
        size = max(abs(r) for r in residual.flat)
        if size <= arithmetic.const(Fraction(1, 10**35)) * (1 + max(abs(v) for v in z.flat)):
            return z
        z = z - arithmetic.cast(inverse @ np.asarray(residual, dtype=np.float64))
    raise NoSolution
