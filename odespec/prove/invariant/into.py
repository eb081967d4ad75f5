"""States moved into a relation, and onto its boundary, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

import numpy as np

from odespec.ir.expr import Expr, leaves
from odespec.ir.model import Model
from odespec.prove.refute.leaving import Leaves, Sides, names_start
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.draw import Rng
from odespec.weights.evaluate import evaluate, plan
from odespec.weights.project import into_domain

GRID = 2.0**-20
"""States are multiples of this where that is what makes an equation exact."""
CURVED = ("dot", "norm", "min", "max", "pow", "act", "div", "softmax", "layernorm")


def _inward(bound: Fraction, towards: float) -> float:
    """The nearest float64 that is not beyond a bound."""
    value = float(bound)
    beyond = Fraction(value) < bound if towards > 0 else Fraction(value) > bound
    return float(np.nextafter(value, towards)) if beyond else value


class Into:
    """Moves batches of the free states. Where a bound names the start, every start obeys."""

    def __init__(self, model: Model, sides: Sides) -> None:
        self.model, self.sides = model, sides
        self.relation = sides.relation
        self.open = names_start(self.relation)
        self.linear = self.relation.quantity == "entries" and not any(
            n.op in CURVED for n in plan((self.relation.operand,)).nodes
        )
        self.names = [s.name for s in model.free_states]

    def moved(
        self, states: Mapping[str, Array], weights: Mapping[str, Array], inputs: Mapping[str, Array], rng: Rng
    ) -> dict[str, Array]:
        values = dict(states)
        if not self.open:
            values = self._inside(values, weights, inputs, rng)
        if self.model.domains:
            values = into_domain(self.model, [("state", n) for n in values], values)
        return values

    def _inside(
        self, values: dict[str, Array], weights: Mapping[str, Array], inputs: Mapping[str, Array], rng: Rng
    ) -> dict[str, Array]:
        e = self.relation.operand
        if self.relation.quantity == "norm" and e.op == "state" and e.data in values:
            return values | {str(e.data): self._ball(values[str(e.data)], rng)}
        if e.op == "state" and e.data in values and self.relation.quantity == "entries":
            return values | {str(e.data): self._box(values[str(e.data)], weights, inputs, rng)}
        if self.linear:
            return self._plane(values, weights, inputs, rng)
        return self._shrunk(values, weights, inputs, rng)

    def _ends(self, weights: Mapping[str, Array], inputs: Mapping[str, Array], shape: tuple[int, ...]) -> list[Array]:
        """The lower and the upper bound, infinite where there is none, with the batch axis of the weights."""
        held = self._leaves(weights, inputs)
        ends = []
        for side, default in ((self.sides.lower, -np.inf), (self.sides.upper, np.inf)):
            value = np.asarray(default) if side is None else np.asarray(evaluate(side, FLOAT, held)[0])
            stated = self.relation.lower if default < 0 else self.relation.upper
            if isinstance(stated, Fraction) and not self.relation.equal:
                value = np.asarray(_inward(stated, -default))
            own = 0 if side is None else len(side.nodes[side.roots[0]].shape)
            ends.append(value.reshape(*value.shape, *(1,) * (len(shape) - own)) if value.ndim > own else value)
        return ends

    def _leaves(self, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> Leaves:
        held: Leaves = {("param", n): w for n, w in weights.items()}
        return held | {("input", n): u for n, u in inputs.items()}

    def _box(self, v: Array, weights: Mapping[str, Array], inputs: Mapping[str, Array], rng: Rng) -> Array:
        low, high = self._ends(weights, inputs, v.shape[1:])
        v = np.clip(v, low, high)
        column = (len(v),) + (1,) * (v.ndim - 1)
        edge = np.where(
            rng.random(v.shape) < 0.5, np.where(np.isfinite(low), low, high), np.where(np.isfinite(high), high, low)
        )
        edge = np.where(np.isfinite(edge), edge, v)
        corner = (rng.random(column) < 0.5) & (rng.random(v.shape) < rng.random(column) + 0.3)
        return np.asarray(np.where(corner, edge, v))

    def _ball(self, v: Array, rng: Rng) -> Array:
        axes = tuple(range(1, v.ndim))
        top, low = (
            None if isinstance(b, Expr) or b is None else float(b) for b in (self.relation.upper, self.relation.lower)
        )
        v = np.where(np.any(v, axis=axes, keepdims=True), v, 1.0)
        size = self._size(v, axes)
        target = np.clip(size, -np.inf if low is None else low, np.inf if top is None else top)
        edge = top if top is not None else low
        if edge is not None:
            target = np.where(rng.random(size.shape) < 0.7, edge, target)
        if top is not None and low != top:
            target = target * (1 - 1e-12)
        return np.asarray(v * (target / size))

    def _size(self, v: Array, axes: tuple[int, ...]) -> Array:
        """The norms that the relation bounds."""
        if self.relation.p == 2:
            return np.asarray(np.sqrt((v * v).sum(axis=axes, keepdims=True)))
        kept = np.abs(v)
        summed = kept.sum(axis=axes, keepdims=True) if self.relation.p == 1 else kept.max(axis=axes, keepdims=True)
        return np.asarray(summed)

    def _plane(
        self, values: dict[str, Array], weights: Mapping[str, Array], inputs: Mapping[str, Array], rng: Rng
    ) -> dict[str, Array]:
        """Along the normals, so that a linear expression keeps to its bounds."""
        count = len(next(iter(values.values())))
        values = {n: np.round(v / GRID) * GRID for n, v in values.items()}
        held = self._leaves(weights, inputs)
        held |= {("state", s.name): np.zeros((count, *s.shape)) for s in self.model.states}
        flat = np.concatenate([values[n].reshape(count, -1) for n in self.names], axis=1)

        def value(x: Array) -> Array:
            found = np.asarray(evaluate(self.sides.value, FLOAT, held | self._split(x))[0])
            return np.broadcast_to(found.reshape(count, -1), (count, prod(self.relation.operand.shape)))

        still = value(np.zeros_like(flat))
        columns = np.stack(
            [value(np.eye(flat.shape[1])[i] + np.zeros_like(flat)) - still for i in range(flat.shape[1])], 2
        )
        low, high = (
            np.broadcast_to(b.reshape(b.shape[0], -1) if b.ndim else b, still.shape)
            for b in self._ends(weights, inputs, self.relation.operand.shape)
        )
        now = value(flat)
        target = np.clip(now, low, high)
        onto = rng.random(target.shape) < 0.5
        edge = np.where(np.isfinite(high), high, low)
        target = np.where(onto & np.isfinite(edge), edge, target)
        shift = np.linalg.pinv(columns) @ (target - now)[..., None]
        return self._named(np.round((flat + shift[..., 0]) / GRID) * GRID)

    def _split(self, x: Array) -> Leaves:
        return {("state", n): v for n, v in self._named(x).items()}

    def _named(self, x: Array) -> dict[str, Array]:
        result, begin = {}, 0
        for s in self.model.free_states:
            result[s.name] = x[:, begin : begin + prod(s.shape)].reshape(len(x), *s.shape)
            begin += prod(s.shape)
        return result

    def _shrunk(
        self, values: dict[str, Array], weights: Mapping[str, Array], inputs: Mapping[str, Array], rng: Rng
    ) -> dict[str, Array]:
        """Towards zero by the largest of some factors at which the relation holds."""
        used = {str(n) for op, n in leaves(self.relation.operand) if op == "state"}
        held = self._leaves(weights, inputs)
        count = len(next(iter(values.values())))
        held |= {("state", s.name): np.zeros((count, *s.shape)) for s in self.model.states}
        factor, done = np.zeros(count), np.zeros(count, dtype=bool)
        for f in (1.0, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01, 0.0):
            trial = held | {("state", n): v * (f if n in used else 1.0) for n, v in values.items()}
            good = np.broadcast_to(self.sides.worst(FLOAT, trial) <= 0, (count,)) & ~done
            factor, done = np.where(good, f, factor), done | good
        return {n: v * factor.reshape(count, *(1,) * (v.ndim - 1)) if n in used else v for n, v in values.items()}
