"""The map that a claim speaks of: from the free initial states to all final states, or to the output."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from odespec.ir.expr import Expr, Shape, leaf
from odespec.ir.model import Model
from odespec.program.step import StepProgram
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import Plan, evaluate, plan
from odespec.weights.steps import Runner, initial_states, pack, prepare, run, step_leaves, unpack


@dataclass(frozen=True, slots=True)
class Network:
    """A step program and what is read from its final states (``output`` is None for all of them)."""

    runner: Runner
    output: Plan | None

    @property
    def model(self) -> Model:
        return self.runner.program.model

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of the free initial states."""
        return tuple(s.shape for s in self.model.free_states)

    @property
    def size(self) -> int:
        """The number of entries of the free initial states."""
        return sum(map(prod, self.shapes))


def network(program: StepProgram, subject: str) -> Network:
    """``subject``: "map" or "output"."""
    chosen = program.model.output if subject == "output" else None
    return Network(prepare(program), None if chosen is None else plan((chosen[1],)))


Values = Mapping[str, Array]


def apply(net: Network, arithmetic: Arithmetic, weights: Values, x: Array, inputs: Values) -> Array:
    """The image of ``x[..., n]``, all free states as one vector, as one vector on the last axis."""
    model = net.model
    start = initial_states(model, arithmetic, weights, unpack(x, net.shapes), inputs)
    final = run(net.runner, arithmetic, weights, start, inputs)
    return read(net, arithmetic, weights, final, inputs)


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
