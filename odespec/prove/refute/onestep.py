"""One step of a model as a map of all its states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from odespec.exact import Real
from odespec.ir.model import Model, Time
from odespec.prove.refute.quantities import Step
from odespec.weights.arithmetic import Array

if TYPE_CHECKING:
    from odespec.program.step import StepProgram
    from odespec.prove.refute.counterexample import Counterexample


def one_step(model: Model, number: int) -> Model:
    """The same model with a single step, the one of that number, and every state an input; it makes no claims.

    An adaptive solver has no such steps: then it is a step from the beginning over a ``number + 1``-th of the time.
    """
    states = tuple(replace(s, initial=None) for s in model.states)
    short = replace(model, states=states, solver=replace(model.solver, steps=1), domains=(), output=None, claims=())
    if model.time is None:
        return short
    if model.solver.steps is None:
        length: Real = (model.time.end - model.time.start) / (number + 1)
        return replace(short, time=Time(model.time.start, model.time.start + length, None, model.time.span))
    h: Real = model.step_size
    begin = model.time.start + h * number
    return replace(short, time=Time(begin, begin + h, None, model.time.span))


def at_step(model: Model, values: dict[str, Array], number: int) -> dict[str, Array]:
    """Weights or inputs with, of each that is ``per step``, the one copy of that step alone."""
    stacked = {p.name for p in model.params if p.per_step} | {u.name for u in model.inputs if u.per_step}
    return {n: v[number : number + 1] if n in stacked else v for n, v in values.items()}


def interpreted_map(program: StepProgram, c: Counterexample) -> Step:
    """The whole map by the reference interpreter: the free initial states to all final states."""
    from odespec.program.interpret import run

    given = [c.inputs[u.name] for u in program.model.inputs]
    return lambda states: list(run(program, c.weights, list(states), given))


def interpreted_step(program: StepProgram, c: Counterexample) -> Step:
    """The counterexample's step by the reference interpreter."""
    from odespec.program.interpret import run
    from odespec.program.lower import lower

    model = program.model
    weights, given = at_step(model, c.weights, c.step), at_step(model, c.inputs, c.step)

    def step(states: Sequence[Array]) -> list[Array]:
        short = lower(one_step(model, c.step), history=True)
        return list(run(short, weights, list(states), [given[u.name] for u in model.inputs]))

    return step
