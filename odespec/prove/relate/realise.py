"""The vectors of a Gram problem in two actual runs, and by how much each relation is kept or missed there.

What a certificate rests on beyond arithmetic is that its relations hold for the network. Here they are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from odespec.exact import enclose
from odespec.ir.expr import Expr
from odespec.program.evaluate import as_operator, evaluate
from odespec.program.operators import Array, Operator
from odespec.prove.gram.expand import Constraint, expand
from odespec.prove.gram.problem import Form, GramProblem, Relation, Vector
from odespec.prove.relate.operators import Atom
from odespec.prove.relate.recipes import Applied, Difference, Recipe, Remainder, Solved, Times, Value
from odespec.prove.relate.relations import Reading
from odespec.records import dataclass

Run = Sequence[Mapping[Expr, Any]]
"""For each step the values of the leaves: states at its start, stages, parameters, inputs, the time."""


HIDDEN = 1e-6
"""Differences below this part of the values that they are differences of may be rounding errors."""


@dataclass(frozen=True, slots=True)
class Realised:
    """The value of each basis vector; ``floor`` is the size below which rounding hides a difference."""

    vectors: tuple[Array, ...]
    floor: float


@dataclass(frozen=True, slots=True)
class Defect:
    """A relation with its worst constraint: ``size`` is zero where it holds, else relative to the size of its terms."""

    relation: Relation
    size: float


def realise(reading: Reading, first: Run, second: Run) -> Realised:
    """The value of each basis vector for two runs that share everything but their states."""
    values = _values(reading.recipes, (first, second))
    made: list[Array] = []
    for recipe in reading.recipes:
        made.append(np.asarray(_made(recipe, made, values), dtype=np.float64))
    largest = max((float(np.linalg.norm(v)) for v in values.values() if isinstance(v, np.ndarray)), default=0.0)
    return Realised(tuple(made[i] for i in reading.basis), HIDDEN * largest)


def defects(problem: GramProblem, realised: Realised) -> tuple[Defect, ...]:
    """By how much actual vectors miss each relation."""
    products = _Products(realised)
    return tuple(Defect(r, max((_defect(c, products) for c in expand(r)), default=0.0)) for r in problem.relations)


def ratio(problem: GramProblem, realised: Realised) -> float:
    """The numerator by the denominator; nan where rounding hides the latter."""
    products = _Products(realised)
    below = products.value(problem.denominator)
    return products.value(problem.numerator) / below if below > realised.floor**2 else float("nan")


# --- vectors -----------------------------------------------------------------------

Values = dict[tuple[Expr, int, int], Any]


def _values(recipes: Sequence[Recipe], runs: tuple[Run, Run]) -> Values:
    """The values of all expressions that recipes name, by expression, step and run."""
    wanted: dict[tuple[int, int], list[Expr]] = {}
    for r in recipes:
        if isinstance(r, Difference | Solved):
            wanted.setdefault((r.step, 0), []).append(r.expr)
            wanted.setdefault((r.step, 1), []).append(r.expr)
        elif isinstance(r, Value):
            wanted.setdefault((r.step, 0), []).append(r.expr)
        elif isinstance(r, Times):
            wanted.setdefault((r.step, r.run), []).append(r.expr)
        if isinstance(r, Applied | Solved) and r.atom.expr is not None:
            wanted.setdefault((r.atom.copy, 0), []).append(r.atom.expr)
    return {
        (e, step, run): value
        for (step, run), exprs in wanted.items()
        for e, value in zip(exprs, evaluate(exprs, runs[run][step]), strict=True)
    }


def _made(recipe: Recipe, made: list[Array], values: Values) -> Array:
    if isinstance(recipe, Difference):
        return np.asarray(values[recipe.expr, recipe.step, 0] - values[recipe.expr, recipe.step, 1])
    if isinstance(recipe, Value):
        return np.asarray(values[recipe.expr, recipe.step, 0])
    if isinstance(recipe, Times):
        return _times(values[recipe.expr, recipe.step, recipe.run], _combined(recipe.of, made))
    if isinstance(recipe, Remainder):
        low, high = enclose(recipe.value, 192)
        return float(((low + high) / 2 - recipe.middle) / recipe.half) * made[recipe.of]
    if isinstance(recipe, Solved):
        value = None if recipe.atom.expr is None else values[recipe.atom.expr, recipe.atom.copy, 0]
        return solved(recipe.atom, value, values[recipe.expr, recipe.step, 0] - values[recipe.expr, recipe.step, 1])
    value = None if recipe.atom.expr is None else values[recipe.atom.expr, recipe.atom.copy, 0]
    return applied(recipe.atom, recipe.adjoint, recipe.last, value, _combined(recipe.of, made))


def _combined(v: Vector, made: list[Array]) -> Array:
    return np.asarray(sum(float(c) * made[i] for i, c in v))


def _times(factor: Array, x: Array) -> Array:
    """Elementwise, or with a scalar on one side."""
    return np.asarray(factor * x)


def applied(atom: Atom, adjoint: bool, last: bool, value: Any, x: Array) -> Array:
    """An atom of a given value (None: it has no expression), or its adjoint, applied on the first axes or on the last."""
    if atom.kind == "scalar":
        return _times(np.asarray(value), x)
    operator = _operator(atom, value)
    if adjoint:
        operator = operator.transposed
    if last:
        return operator.forward(x)
    kept = x.ndim - len(operator.input)
    moved = operator.forward(np.moveaxis(x, range(len(operator.input), x.ndim), range(kept)))
    return np.moveaxis(moved, range(kept), range(len(operator.output), moved.ndim))


def solved(atom: Atom, value: Any, x: Array) -> Array:
    """The q with ``atom @ q = x``; nan where there is none."""
    shape = x.shape
    units = np.eye(prod(shape)).reshape(*shape, -1)
    matrix = applied(atom, False, False, value, units).reshape(prod(shape), -1)
    try:
        return np.asarray(np.linalg.solve(matrix, x.ravel()).reshape(shape))
    except np.linalg.LinAlgError:
        return np.full(shape, np.nan)


def _operator(atom: Atom, value: Any) -> Operator:
    n = len(atom.outs)
    if atom.kind == "matrix":
        assert atom.expr is not None
        return as_operator(atom.expr, value)
    if atom.kind == "entries":
        return Operator(lambda x: value * x, lambda x: value * x, atom.outs, atom.ins)
    if atom.kind == "column":
        axes = tuple(range(-n, 0))
        return Operator(
            lambda x: x.reshape(*x.shape, *(1,) * n) * value, lambda y: (y * value).sum(axis=axes), atom.outs, ()
        )
    summed = tuple(a - len(atom.ins) for a in atom.axes)
    return Operator(lambda x: x.sum(axis=summed), lambda y: _spread(y, atom), atom.outs, atom.ins)


def _spread(y: Array, atom: Atom) -> Array:
    lead = y.shape[: y.ndim - len(atom.outs)]
    own = tuple(1 if i in atom.axes else n for i, n in enumerate(atom.ins))
    return np.broadcast_to(y.reshape(lead + own), lead + atom.ins)


# --- relations ---------------------------------------------------------------------


class _Products:
    """Inner products of the vectors, with the sizes that rounding errors are relative to."""

    def __init__(self, realised: Realised) -> None:
        self.vectors = realised.vectors
        self.sizes = [float(np.linalg.norm(v)) + realised.floor for v in self.vectors]

    def value(self, form: Form) -> float:
        return sum(float(c) * float(np.sum(self.vectors[i] * self.vectors[j])) for (i, j), c in form)

    def scale(self, form: Form) -> float:
        return sum(abs(float(c)) * self.sizes[i] * self.sizes[j] for (i, j), c in form)


def _defect(constraint: Constraint, products: _Products) -> float:
    scale = max(products.scale(f) for row in constraint.forms for f in row)
    if scale == 0:
        return 0.0
    matrix = np.array([[products.value(f) for f in row] for row in constraint.forms])
    if constraint.kind == "zero":
        return abs(float(matrix[0, 0])) / scale
    return max(0.0, -float(np.linalg.eigvalsh(matrix)[0]) / scale)


__all__ = ["Defect", "Realised", "Run", "applied", "defects", "ratio", "realise", "solved"]
