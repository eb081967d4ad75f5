"""The map that a claim speaks of: from the free initial states to all final states, or to the output."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from odespec.ir.expr import Expr, Shape, leaf
from odespec.ir.model import Input, Model, State
from odespec.program.step import StepProgram
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import Plan, evaluate, plan
from odespec.weights.steps import Runner, initial_states, pack, prepare, run, step_leaves, unpack


@dataclass(frozen=True, slots=True)
class Network:
    """A step program and what is read from its final states (``output`` is None for all of them).

    ``by``: the input that differs in the two runs of a claim; None: the free states do. What is called a state ``x`` here
    and in the search is then the input (a whole sequence, where it is one), and the free states are among the inputs.
    """

    runner: Runner
    output: Plan | None
    by: Input | None = None

    @property
    def model(self) -> Model:
        return self.runner.program.model

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of what differs: the free initial states, or the input."""
        if self.by is not None:
            return ((self.runner.program.steps, *self.by.shape) if self.by.per_step else self.by.shape,)
        return tuple(s.shape for s in self.model.free_states)

    @property
    def size(self) -> int:
        """The number of entries of what differs."""
        return sum(map(prod, self.shapes))

    @property
    def moved(self) -> tuple[tuple[str, str], ...]:
        """What differs, as pairs of ``state`` or ``input`` and name."""
        if self.by is not None:
            return (("input", self.by.name),)
        return tuple(("state", s.name) for s in self.model.free_states)

    @property
    def held(self) -> tuple[State | Input, ...]:
        """What both runs share besides the weights: the inputs, or the free states and the other inputs."""
        if self.by is None:
            return self.model.inputs
        return (*self.model.free_states, *(u for u in self.model.inputs if u.name != self.by.name))


def network(program: StepProgram, subject: str, by: str | None = None) -> Network:
    """``subject``: "map" or "output". ``by``: the name of the input that differs."""
    chosen = program.model.output if subject == "output" else None
    moved = next((u for u in program.model.inputs if u.name == by), None)
    return Network(prepare(program), None if chosen is None else plan((chosen[1],)), moved)


Values = Mapping[str, Array]


def arguments(net: Network, x: Array, inputs: Values) -> tuple[list[Array], dict[str, Array]]:
    """The free states and all inputs of the run from ``x[..., n]``."""
    parts = unpack(x, net.shapes)
    if net.by is None:
        return parts, dict(inputs)
    names = [s.name for s in net.model.free_states]
    given = {n: u for n, u in inputs.items() if n not in names}
    return [inputs[n] for n in names], {**given, net.by.name: parts[0]}


def apply(net: Network, arithmetic: Arithmetic, weights: Values, x: Array, inputs: Values) -> Array:
    """The image of ``x[..., n]``, all that differs as one vector, as one vector on the last axis."""
    free, given = arguments(net, x, inputs)
    start = initial_states(net.model, arithmetic, weights, free, given)
    final = run(net.runner, arithmetic, weights, start, given)
    return read(net, arithmetic, weights, final, given)


def read(net: Network, arithmetic: Arithmetic, weights: Values, final: Any, inputs: Values) -> Array:
    """What the claim compares, from the final states."""
    model = net.model
    if net.output is None:
        return pack(final, [leaf("state", s.name, s.shape) for s in model.states])
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    held |= {("input", n): arithmetic.cast(u) for n, u in inputs.items()}
    leaves: dict[tuple[str, object], Array] = step_leaves(model, held, net.runner.program.steps - 1)
    leaves |= {("state", s.name): v for s, v in zip(model.states, final, strict=True)}
    roots: tuple[Expr, ...] = tuple(net.output.nodes[i] for i in net.output.roots)
    return pack(evaluate(net.output, arithmetic, leaves), roots)


def differences(net: Network, weights: Values, x: Array, inputs: Values, step: Array) -> Array:
    """Forward difference quotients ``[..., out, n]`` of the map at ``x[..., n]``, in float64.

    ``weights`` and ``inputs`` have the batch axes of x; ``step`` is one number for each member of the batch.
    """
    n = x.shape[-1]
    moves = np.concatenate([np.zeros((1, n)), np.eye(n)]).reshape(n + 1, *(1,) * (x.ndim - 1), n)
    points = x + moves * step[..., None]
    values = apply(net, FLOAT, weights, points, inputs)
    values = np.broadcast_to(values, (n + 1, *x.shape[:-1], values.shape[-1]))
    return np.moveaxis((values[1:] - values[0]) / step[..., None], 0, -1)
