"""Letters and forms in two actual runs: what each factor and each operator is there, and whether it is as stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odespec.ir.expr import Expr
from odespec.program.evaluate import as_operator, evaluate, value_of
from odespec.program.operators import Array, Operator
from odespec.prove.entrywise.corners import Shape
from odespec.prove.entrywise.forms import Factor, Form, Function, Letters, Linear, Slope, Value
from odespec.prove.entrywise.forms import Operator as Letter
from odespec.prove.relate.operators import Atom

Run = Sequence[Mapping[Expr, Any]]
"""For each step the values of the leaves."""

TOLERANCE = 1e-6
POINTS = 48
LARGEST = 1024
"""Operators on more entries are tested on vectors of signs only."""


class Realised:
    """The letters of two runs that share everything but their states."""

    def __init__(self, letters: Letters, first: Run, second: Run) -> None:
        self.letters = letters
        self.runs = (first, second)
        self._memo: dict[tuple[Expr, int, int], Any] = {}
        self._matrices: dict[str, Array] = {}

    def value(self, e: Expr, step: int, run: int) -> Any:
        key = (e, step, run)
        if key not in self._memo:
            (self._memo[key],) = evaluate([e], self.runs[run][step])
        return self._memo[key]

    # --- factors -------------------------------------------------------------------

    def factor(self, factor: Factor) -> Array:
        """Its entries; where both runs agree a slope may be anything, and is the middle of its range."""
        recipe = factor.recipe
        if isinstance(recipe, Value):
            return np.asarray(self.value(recipe.expr, recipe.step, recipe.run))
        p, z = self._slope(recipe)
        low, high = _ends(factor)
        with np.errstate(all="ignore"):
            quotient = p / z
        return np.where(np.isfinite(quotient) & (z != 0), quotient, np.clip(0.0, low, high))

    def _slope(self, recipe: Slope) -> tuple[Array, Array]:
        node, argument = recipe.node, recipe.node.args[0]
        p, z = (self.value(e, recipe.step, 0) - self.value(e, recipe.step, 1) for e in (node, argument))
        return np.asarray(p), np.asarray(z)

    def factor_defect(self, factor: Factor) -> float:
        """By how much the factor leaves its range; of a slope, relative to the size of what it was measured from."""
        low, high = _ends(factor)
        recipe = factor.recipe
        if isinstance(recipe, Value):
            value = np.asarray(self.value(recipe.expr, recipe.step, recipe.run))
            return float(np.max(np.maximum(low - value, value - high) / (1 + np.abs(value)), initial=0.0))
        p, z = self._slope(recipe)
        size = max(float(np.max(np.abs(self.value(e, recipe.step, 0)), initial=0.0)) for e in _both(recipe))
        with np.errstate(invalid="ignore"):
            ends = [np.where(z == 0, 0.0, end * z) for end in (low, high)]
        over = np.maximum(np.minimum(*ends) - p, p - np.maximum(*ends))
        return float(np.max(over / (np.abs(p) + np.abs(z) + size + 1e-300), initial=0.0))

    # --- operators -----------------------------------------------------------------

    def applied(self, letter: Letter, x: Array) -> Array:
        recipe = letter.recipe
        if isinstance(recipe, Linear):
            return self._linear(recipe, x)
        matrix = self._matrix(letter)
        return np.asarray((matrix @ x.ravel()).reshape(recipe.node.shape))

    def _linear(self, recipe: Linear, x: Array) -> Array:
        atom = recipe.atom
        value = None if atom.expr is None else self.value(atom.expr, atom.copy, 0)
        operator = _operator(atom, value)
        operator = operator.transposed if recipe.adjoint else operator
        if recipe.last:
            return operator.forward(x)
        n = len(operator.input)
        kept = x.ndim - n
        moved = operator.forward(np.moveaxis(x, range(n, x.ndim), range(kept)))
        return np.moveaxis(moved, range(kept), range(len(operator.output), moved.ndim))

    def _matrix(self, letter: Letter) -> Array:
        if letter.name not in self._matrices:
            recipe = letter.recipe
            if isinstance(recipe, Function):
                ends = [self.value(recipe.node.args[0], recipe.step, run) for run in (0, 1)]
                self._matrices[letter.name] = mean_derivative(recipe.node, *ends)
            else:
                shape = recipe.atom.outs if recipe.adjoint else recipe.atom.ins
                n = int(np.prod(shape))
                columns = [self.applied(letter, e.reshape(shape)).ravel() for e in np.eye(n)]
                self._matrices[letter.name] = np.stack(columns, axis=1)
        return self._matrices[letter.name]

    def operator_defect(self, letter: Letter, columns: bool) -> float:
        """By how much a row (or column) lies outside the corners that are stated."""
        shape_ = letter.side(columns)
        recipe = letter.recipe
        shape = recipe.node.args[0].shape if isinstance(recipe, Function) else recipe.atom.ins + recipe.atom.outs
        if not shape_.corners or int(np.prod(shape)) > LARGEST**2:
            return 0.0
        matrix = self._matrix(letter).T if columns else self._matrix(letter)
        defect = outside(matrix, shape_)
        return defect * (1e-3 if isinstance(recipe, Function) else 1.0)

    # --- forms -----------------------------------------------------------------------

    def form(self, form: Form, vectors: Mapping[str, Array]) -> tuple[Array | float, float]:
        """The value of a form, and the size of its terms."""
        total: Array | float = 0.0
        size = 0.0
        for (lead, word, v), c in form.items():
            x = float(c) * vectors[v]
            for name in reversed((*lead, *word)):
                if name in self.letters.factors:
                    x = _times(self.letters.factors[name], self.factor(self.letters.factors[name]), x)
                else:
                    x = self.applied(self.letters.operators[name], x)
            total = total + x
            size += float(np.max(np.abs(x), initial=0.0))
        return total, size


def _ends(factor: Factor) -> tuple[float, float]:
    low, high = factor.inside.lower, factor.inside.upper
    return (-np.inf if low is None else float(low)), (np.inf if high is None else float(high))


def _both(recipe: Slope) -> tuple[Expr, Expr]:
    return recipe.node, recipe.node.args[0]


def _times(factor: Factor, value: Array, x: Array) -> Array:
    if value.ndim and value.ndim < x.ndim:
        last = isinstance(factor.recipe, Value) and factor.recipe.last
        value = value if last else value.reshape(*value.shape, *(1,) * (x.ndim - value.ndim))
    return np.asarray(value * x)


def _operator(atom: Atom, value: Any) -> Operator:
    if atom.kind == "matrix":
        assert atom.expr is not None
        return as_operator(atom.expr, value)
    n = len(atom.outs)
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


def mean_derivative(node: Expr, first: Array, second: Array) -> Array:
    """The mean of a function's derivative on the way between two arguments, by Gauss' rule, made exact on their difference."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    total = np.zeros((int(np.prod(node.shape)), first.size))
    step = 1e-6 * (1 + float(np.max(np.abs([first, second]))))
    for s, w in zip((1 + nodes) / 2, weights / 2, strict=True):
        x = second + s * (first - second)
        moves = [x + step * e.reshape(x.shape) for e in np.vstack([np.eye(x.size), -np.eye(x.size)])]
        values = np.stack([np.ravel(value_of(node, [m], {})) for m in moves])
        total += w * (values[: x.size] - values[x.size :]).T / (2 * step)
    change = (first - second).ravel()
    missed = np.ravel(value_of(node, [first], {}) - value_of(node, [second], {})) - total @ change
    length = float(change @ change)
    return total + np.outer(missed, change) / length if length else total


def outside(matrix: Array, shape: Shape) -> float:
    """By how much the pairs (diagonal, sum of the others) of rows lie outside what corners span, relative to their size."""
    sizes = np.abs(matrix).sum(axis=1)
    pairs = (*shape.corners, *shape.rays)
    lumped = matrix.shape[0] != matrix.shape[1] or all(w == 0 for w, _ in pairs)
    diagonal = np.zeros(len(matrix)) if lumped else np.diag(matrix)
    others = sizes - np.abs(diagonal)
    worst = 0.0
    for slope in (0.0,) if lumped else np.linspace(-1, 1, 21):
        if any(slope * float(w) + float(r) > 0 for w, r in shape.rays):
            continue
        allowed = max(slope * float(w) + float(r) for w, r in shape.corners)
        worst = max(worst, float(np.max(slope * diagonal + others - allowed)) / (1 + abs(allowed)))
    return worst
