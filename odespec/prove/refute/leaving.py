"""What counterexamples to `invariant` measure: how far a relation is broken after a step, or is being left by the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from odespec import exact
from odespec.exact import Real, root
from odespec.ir.expr import TIME, Expr, add, const, dot, full, leaf, leaves, mul, substitute
from odespec.ir.model import Input, Model, Param, Relation
from odespec.prove.refute.onestep import at_step
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import Plan, evaluate, plan

if TYPE_CHECKING:
    from odespec.prove.refute.counterexample import Counterexample

Leaves = dict[tuple[str, object], Array]
FACE = 1e-12
"""A value this near to its bound, relatively, is on it."""


@dataclass(frozen=True, slots=True)
class Sides:
    """A relation prepared for evaluation: what it bounds, and its bounds as expressions."""

    relation: Relation
    value: Plan
    lower: Plan | None
    upper: Plan | None

    def excess(self, arithmetic: Arithmetic, values: Leaves) -> Array:
        """``[..., 2 n]``: by how much each entry is above its upper bound and below its lower one."""
        value, parts = _flat(self.value, arithmetic, values), []
        for side, sign in ((self.upper, 1), (self.lower, -1)):
            if side is not None:
                parts.append(sign * (value - _flat(side, arithmetic, values)))
        return np.concatenate(np.broadcast_arrays(*parts), axis=-1) if len(parts) > 1 else np.asarray(parts[0])

    def worst(self, arithmetic: Arithmetic, values: Leaves) -> Array:
        """The largest violation, negative where there is room."""
        return np.asarray(np.max(self.excess(arithmetic, values), axis=-1))


def _flat(what: Plan, arithmetic: Arithmetic, values: Leaves) -> Array:
    shape = what.nodes[what.roots[0]].shape
    found = np.asarray(evaluate(what, arithmetic, values)[0])
    return found.reshape(*found.shape[: found.ndim - len(shape)], -1)


def sides_of(relation: Relation) -> Sides:
    return Sides(relation, plan((subject(relation),)), _side(relation.lower), _side(relation.upper))


def subject(relation: Relation) -> Expr:
    """What a relation bounds, as an expression: the operand, or its norm."""
    e = relation.operand
    return Expr("norm", (e,), (), relation.p) if relation.quantity == "norm" else e


def _side(side: Any) -> Plan | None:
    if side is None:
        return None
    return plan((side if isinstance(side, Expr) else const(side),))


def simpler(relation: Relation) -> Relation:
    """The same relation on the entries of a state, or on its norm, where it is written as one of a function of it."""
    e, high = relation.operand, relation.upper
    if relation.quantity == "norm" and relation.p == "inf" and relation.lower is None and high is not None:
        return replace(relation, quantity="entries", p=2, lower=_minus(high))
    if relation.quantity != "entries" or relation.equal or not e.args:
        return relation
    if (e.op == "max" and relation.lower is None) or (e.op == "min" and high is None):
        return replace(relation, operand=e.args[0])
    if relation.lower is not None or high is None:
        return relation
    if e.op == "act" and e.data == ("abs", ()):
        return replace(relation, operand=e.args[0], lower=_minus(high))
    if isinstance(high, Expr) or exact.sign(high) < 0:
        return relation
    if e.op == "dot" and e.args[0] == e.args[1]:
        return replace(relation, quantity="norm", operand=e.args[0], upper=root(high, 2))
    if (e.op == "pow" and e.data == 2) or (e.op == "act" and e.data == ("square", ())):
        size = root(high, 2)
        return replace(relation, operand=e.args[0], lower=_minus(size), upper=size)
    return relation


def _minus(side: Real | Expr) -> Real | Expr:
    return mul(const(-1), side) if isinstance(side, Expr) else side * -1


def names_start(relation: Relation) -> bool:
    """Whether a bound names the start."""
    ends = [e for e in (relation.lower, relation.upper) if isinstance(e, Expr)]
    return any(op == "initial" for e in ends for op, _ in leaves(e))


def state_values(model: Model, states: Sequence[Array], start: Sequence[Array]) -> Leaves:
    """The leaves of the states at hand and of the initial ones."""
    found: Leaves = {("state", s.name): v for s, v in zip(model.states, states, strict=True)}
    return found | {("initial", s.name): v for s, v in zip(model.states, start, strict=True)}


# --- measures --------------------------------------------------------------------


def _relation(model: Model, c: Counterexample) -> Relation:
    return next(x.relation for x in model.claims if x.text == c.claim and x.relation is not None)


def data_leaves(model: Model, weights: Mapping[str, Array], inputs: Mapping[str, Array], step: int) -> Leaves:
    """The weights and inputs of one step."""
    declared: list[Param | Input] = [*model.params, *model.inputs]
    stacked = {d.name for d in declared if d.per_step}
    found: Leaves = {}
    for op, values in (("param", weights), ("input", inputs)):
        one = at_step(model, dict(values), step)
        found |= {(op, n): v[0] if n in stacked else v for n, v in one.items()}
    return found


def _violation(model: Model, c: Counterexample, step: Step) -> float:
    after = [np.asarray(v, dtype=np.float64) for v in step(c.x)]
    values = data_leaves(model, c.weights, c.inputs, c.step) | state_values(model, after, c.y or c.x)
    return float(sides_of(_relation(model, c)).worst(FLOAT, values))


def _outward(model: Model, c: Counterexample, step: Step) -> float:
    sides = sides_of(simpler(_relation(model, c)))
    values = data_leaves(model, c.weights, c.inputs, c.step) | state_values(model, c.x, c.x)
    return float(outward(model, sides, FLOAT, values))


def outward(model: Model, sides: Sides, arithmetic: Arithmetic, values: Leaves) -> Array:
    """The largest rate at which what is on its bound moves beyond it; minus infinity where nothing is on its bound."""
    start = model.time.start if model.time is not None else 0
    now = substitute(along(model, sides.relation), {TIME: const(start)})
    rate = np.concatenate([_flat(plan((e,)), arithmetic, values) for e in now], axis=-1)
    excess = sides.excess(arithmetic, values)
    rates = [sign * rate for side, sign in ((sides.upper, 1), (sides.lower, -1)) if side is not None]
    both = np.concatenate(rates, axis=-1)
    both, excess = np.broadcast_arrays(both, excess)
    size = 1 + np.max(np.abs(_flat(sides.value, FLOAT, values)).astype(float), axis=-1, keepdims=True)
    near = np.asarray(excess.astype(float)) >= -FACE * size
    return np.asarray(np.max(np.where(near, both.astype(float), -np.inf), axis=-1))


def along(model: Model, relation: Relation) -> tuple[Expr, ...]:
    """The derivative along the field of what a relation bounds. Raises ValueError where it is not known."""
    e = relation.operand
    states = {leaf("state", s.name, s.shape): f for s, f in zip(model.states, model.field, strict=True)}
    if relation.quantity == "norm" and relation.p != "inf":
        if relation.p != 2 or e not in states:
            raise ValueError("the derivative of this norm")
        f = states[e]
        slope = dot(e, f) if e.shape else mul(e, f)
        return (Expr("div", (slope, Expr("norm", (e,), (), 2)), ()),)
    if relation.quantity == "norm":
        raise ValueError("the derivative of this norm")
    if any(
        n.op in ("dot", "norm", "min", "max", "pow", "act", "div", "softmax", "layernorm") for n in plan((e,)).nodes
    ):
        raise ValueError("an expression that is not linear")
    zero = {s: full(0, s.shape) for s in states}
    moved, still = substitute((e,), states)[0], substitute((e,), zero)[0]
    return (add(moved, mul(const(-1), still)),)


VIOLATION = register(
    Quantity(
        "violation of the relation",
        "the largest amount by which the relation is broken after the step; negative where it holds",
        _violation,
    )
)
OUTWARD = register(
    Quantity(
        "rate out of the relation",
        "the rate at which what is on its bound at the start moves beyond it along the flow",
        _outward,
        emitted=False,
    )
)
