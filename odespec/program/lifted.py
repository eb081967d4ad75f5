"""A multistep method as a one-step method: what it remembers becomes states of its own."""

from __future__ import annotations

from dataclasses import replace

from odespec.ir.expr import Expr, full, leaf, substitute
from odespec.ir.model import State
from odespec.program.step import Solve, StepProgram


def lifted(program: StepProgram) -> StepProgram:
    """The steps after the first ones, as a map of the states followed by the memory, all of them free.

    The model of the result has the field of the original one, and zeros for what is remembered: only the step counts.
    A program without a memory is its own lift.
    """
    if program.begin is None:
        return program
    model = program.model
    named = {m.past: leaf("state", str(m.past.data), m.past.shape) for m in program.memory}
    extra = tuple(State(str(m.past.data), m.past.shape, None, None, model.span) for m in program.memory)
    zeros = tuple(full(0, m.past.shape) for m in program.memory)
    after = tuple(m.after for m in program.memory)

    def moved(e: tuple[Expr, ...]) -> tuple[Expr, ...]:
        return substitute(e, named)

    return replace(
        program,
        model=replace(model, states=model.states + extra, field=model.field + zeros),
        start=program.start + program.h * program.begin.steps,
        steps=max(program.steps - program.begin.steps, 0),
        solves=tuple(Solve(s.unknowns, moved(s.values)) for s in program.solves),
        update=moved(program.update + after),
        memory=(),
        begin=None,
    )
