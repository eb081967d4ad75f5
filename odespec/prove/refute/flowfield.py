"""The field of a model with its data at hand, as a function of states and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr, leaf, postorder
from odespec.ir.model import Model
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.evaluate import Plan, evaluate, plan
from odespec.weights.steps import initial_states, pack, step_leaves, unpack

Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Flow:
    """A model's field with its data at hand, in pieces of constant ``per step`` data."""

    model: Model
    field: Plan
    states: tuple[Expr, ...]
    weights: Values
    inputs: Values

    @property
    def pieces(self) -> int:
        """How many intervals of equal length have constant data."""
        steps = self.model.solver.steps
        varying = any(p.per_step for p in self.model.params) or any(u.per_step for u in self.model.inputs)
        return steps if varying and isinstance(steps, int) else 1

    def leaves(self, k: int) -> dict[tuple[str, object], Array]:
        held = {("param", n): w for n, w in self.weights.items()} | {("input", n): u for n, u in self.inputs.items()}
        return step_leaves(self.model, held, k)


def flow(model: Model, weights: Values, inputs: Values) -> Flow:
    states = tuple(leaf("state", s.name, s.shape) for s in model.states)
    return Flow(model, plan(model.field), states, weights, inputs)


def field_value(f: Flow, arithmetic: Any, leaves: dict[tuple[str, object], Array], z: Array) -> Array:
    """The field at states packed in one vector."""
    parts = unpack(z, [s.shape for s in f.states])
    values = {(s.op, s.data): v for s, v in zip(f.states, parts, strict=True)}
    return pack(evaluate(f.field, arithmetic, leaves | values), f.states)


def start_of(f: Flow, arithmetic: Any, x: Array) -> Array:
    """All states at the start, as one vector, from the free ones."""
    free = unpack(x, [s.shape for s in f.model.free_states])
    return pack(initial_states(f.model, arithmetic, f.weights, free, f.inputs), f.states)


def field_at(f: Flow, k: int, times: Array, z: Array) -> Array:
    leaves = f.leaves(k)
    leaves["time", None] = times
    return field_value(f, FLOAT, leaves, z)


def bounded(model: Model) -> bool:
    """Whether every operation of the field has slopes that are bounded for all states."""
    nodes, moving = list(postorder(*model.field)), set()
    for node in nodes:
        moves = [a in moving for a in node.args]
        if node.op == "state" or any(moves):
            moving.add(node)
        if any(moves) and not _bounded(node, moves):
            return False
    return True


def _bounded(node: Expr, moves: list[bool]) -> bool:
    if node.op == "act":
        name, parameters = named(node)
        slope = ACTIVATIONS[name].slope(parameters)
        return slope.lower is not None and slope.upper is not None
    if node.op in ("mul", "matmul", "dot", "apply"):
        return not all(moves)
    return node.op != "pow" and not (node.op == "div" and moves[1])
