"""The equations of implicit steps, solved by Newton's method, and their solution's derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from odespec.ir.expr import Expr, Shape
from odespec.program.evaluate import Value, evaluate
from odespec.program.operators import Array, flat
from odespec.program.step import Solve
from odespec.program.tangents import differentiate

Flags = NDArray[np.bool_]

ITERATIONS = 60
HALVINGS = 30
TOLERANCE = 1e-13


class ConvergenceError(ArithmeticError):
    """The equations of an implicit step were not solved."""


def solve(group: Solve, env: Mapping[Expr, Value], start: Sequence[Array]) -> list[Array]:
    """Values of the unknowns with ``unknown = value``: the last Newton step is below `TOLERANCE` times their size.

    ``start``: a first guess for each unknown, all with the same batch axes. Damped Newton steps, for each member of the
    batch by itself. Raises `ConvergenceError`.
    """
    shapes = [u.shape for u in group.unknowns]
    x = pack(start, shapes)
    for _ in range(ITERATIONS):
        values, moves = _linearised(group, env, x, shapes)
        if not (np.all(np.isfinite(moves)) and np.all(np.isfinite(values))):
            break
        step = _newton_step(moves, values - x)
        near = _near(x, values - x, step, moves)
        if near.all():
            return unpack(x + step, shapes)
        x = _damped(group, env, x, _size(values - x), step, near, shapes)
    raise ConvergenceError("the equations of an implicit step were not solved")


def _near(x: Array, residual: Array, step: Array, moves: Array) -> Flags:
    """Which members are solved: the step is small, and the residual what rounding explains at the size of J."""
    scale = TOLERANCE * (1.0 + _size(x))
    rounding = scale * (1.0 + np.linalg.norm(moves, axis=(-2, -1)))
    return np.asarray((_size(step) <= scale) & (_size(residual) <= rounding))


def _newton_step(moves: Array, residual: Array) -> Array:
    """``(1 - J) step = residual``; where that is singular, in the sense of least squares."""
    matrix = np.eye(residual.shape[-1]) - moves
    try:
        return np.asarray(np.linalg.solve(matrix, residual[..., None])[..., 0])
    except np.linalg.LinAlgError:
        return np.asarray((np.linalg.pinv(matrix) @ residual[..., None])[..., 0])


def _damped(
    group: Solve, env: Mapping[Expr, Value], x: Array, size: Array, step: Array, near: Flags, shapes: Sequence[Shape]
) -> Array:
    """The step, halved for each member of the batch that is not near until its residual is below a given size."""
    damping = np.ones((*x.shape[:-1], 1))
    for _ in range(HALVINGS):
        trial = x + damping * step
        good: Flags = (_size(_values(group, env, trial, shapes) - trial) < size) | near
        if np.all(good):
            break
        damping = np.where(good[..., None], damping, damping / 2)
    return x + damping * step


def _size(x: Array) -> Array:
    return np.asarray(np.linalg.norm(x, axis=-1))


def _values(group: Solve, env: Mapping[Expr, Value], x: Array, shapes: Sequence[Shape]) -> Array:
    held = {**env, **dict(zip(group.unknowns, unpack(x, shapes), strict=True))}
    return pack(_full(evaluate(group.values, held), x.shape[:-1], shapes), shapes)


def _full(values: Sequence[Array], batch: Shape, shapes: Sequence[Shape]) -> list[Array]:
    return [np.broadcast_to(v, (*batch, *s)) for v, s in zip(values, shapes, strict=True)]


def _linearised(group: Solve, env: Mapping[Expr, Value], x: Array, shapes: Sequence[Shape]) -> tuple[Array, Array]:
    """The values of the right-hand sides and their derivatives ``[..., n, n]`` by the unknowns."""
    unknowns = unpack(x, shapes)
    held = {**env, **dict(zip(group.unknowns, unknowns, strict=True))}
    tangents = dict(zip(group.unknowns, directions(shapes, x.ndim - 1), strict=True))
    values, moves = differentiate(group.values, held, tangents)
    batch = x.shape[:-1]
    return pack(_full(values, batch, shapes), shapes), matrix(moves, batch, shapes, x.shape[-1])


def solution_tangents(
    group: Solve, env: Mapping[Expr, Value], tangents: Mapping[Expr, Array], batch: Shape, count: int
) -> list[Array]:
    """Derivatives of the unknowns, whose values are in ``env``, in ``count`` directions (implicit function theorem)."""
    shapes = [u.shape for u in group.unknowns]
    x = pack([env[u] for u in group.unknowns], shapes)
    _, moves = _linearised(group, env, x, shapes)
    outer = matrix(differentiate(group.values, env, tangents)[1], batch, shapes, count)
    result = np.linalg.solve(np.eye(x.shape[-1]) - moves, outer)
    return unpack(np.asarray(np.moveaxis(result, -1, 0), dtype=np.float64), shapes)


# --- several tensors as one vector ---------------------------------------------


def pack(values: Sequence[Array], shapes: Sequence[Shape]) -> Array:
    """Tensors with equal batch axes as one vector on the last axis."""
    return np.concatenate(
        [flat(v, len(s)) if s else v[..., None] for v, s in zip(values, shapes, strict=True)], axis=-1
    )


def unpack(x: Array, shapes: Sequence[Shape]) -> list[Array]:
    ends = list(accumulate(prod(s) for s in shapes))[:-1]
    return [part.reshape((*x.shape[:-1], *s)) for part, s in zip(np.split(x, ends, axis=-1), shapes, strict=True)]


def directions(shapes: Sequence[Shape], batch_axes: int) -> list[Array]:
    """One direction for each entry of some tensors, as tangents with batch axes of size one."""
    n = sum(prod(s) for s in shapes)
    return unpack(np.eye(n).reshape((n, *(1,) * batch_axes, n)), shapes)


def matrix(moves: Sequence[Array | None], batch: Shape, shapes: Sequence[Shape], count: int) -> Array:
    """Tangents in ``count`` directions as a matrix ``[..., entries, count]``."""
    parts = [
        np.zeros((count, *batch, *s)) if m is None else np.broadcast_to(m, (count, *batch, *s))
        for m, s in zip(moves, shapes, strict=True)
    ]
    return np.moveaxis(pack(parts, shapes), 0, -1)
