"""A linearised field that has no weights in it: its matrix of numbers, entry by entry."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np

from odespec.ir.expr import postorder
from odespec.ir.model import Model
from odespec.prove.spectrum.components import Component
from odespec.weights.arithmetic import EXACT, Array, Inexact
from odespec.weights.evaluate import Unsupported, evaluate, plan
from odespec.weights.steps import unpack

LARGEST = 64
MAX_BLOCK = 8
"""As large as a block may be for the auditor."""

VARYING = ("param", "input", "time", "graph", "noise")


def constant(model: Model, group: tuple[int, ...]) -> list[Component] | None:
    """Components of numbers, for some states of a model that is linear in them; None where weights are read.

    The matrix is put in triangular blocks; each block is a component.
    """
    field = tuple(model.field[i] for i in group)
    states = [model.states[i] for i in group]
    size = sum(prod(s.shape) for s in states)
    if size > LARGEST or any(n.op in VARYING for n in postorder(*field)):
        return None
    matrix = _matrix(model, group, size)
    if matrix is None:
        return None
    owner = np.repeat(group, [prod(s.shape) for s in states])
    blocks = _strong(matrix)
    if any(len(b) > MAX_BLOCK for b in blocks):
        return None
    return [_component(matrix, b, tuple(int(owner[i]) for i in b)) for b in blocks]


def _matrix(model: Model, group: tuple[int, ...], size: int) -> Array | None:
    field = plan(tuple(model.field[i] for i in group))
    shapes = [model.states[i].shape for i in group]
    leaves: dict[tuple[str, object], Array] = {("state", s.name): EXACT.cast(np.zeros(s.shape)) for s in model.states}
    columns = []
    try:
        for unit in np.eye(size):
            moved: dict[tuple[str, object], Array] = {
                ("state", model.states[i].name): EXACT.cast(v) for i, v in zip(group, unpack(unit, shapes), strict=True)
            }
            columns.append(np.concatenate([np.ravel(v) for v in evaluate(field, EXACT, leaves | moved)]))
    except (Inexact, Unsupported):
        return None
    return np.stack(columns, axis=1)


def _strong(matrix: Array) -> list[list[int]]:
    n = len(matrix)
    reach = (matrix != 0) | np.eye(n, dtype=bool)
    for k in range(n):
        reach |= reach[:, k : k + 1] & reach[k : k + 1, :]
    both = reach & reach.T
    return [list(map(int, np.flatnonzero(row))) for i, row in enumerate(both) if np.flatnonzero(row)[0] == i]


def _component(matrix: Array, block: list[int], owner: tuple[int, ...]) -> Component:
    rows = tuple(tuple((Fraction(matrix[i, j]),) if matrix[i, j] else () for j in block) for i in block)
    return Component(owner, rows, None, ())


__all__ = ["constant"]
