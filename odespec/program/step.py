"""The step program: one step of the solver, written out over the expressions of `odespec.ir.expr`.

A step maps the states at time t_n to those at t_n + h. `StepProgram.update` has the new value of each state as an
expression in leaves: ``state`` (the value at the start of the step), ``time`` (t_n), ``param``, ``input``, ``noise``,
and ``stage`` for the unknowns of an implicit step, which are tied by `StepProgram.solves`. The step size is folded in.

A multistep method carries tensors from step to step: ``past`` leaves, each a `Memory`, and begins with some steps of a
one-step method (`Begin`). ``StepProgram.at(k)`` has the equations of step k, whichever they are.
"""

from __future__ import annotations

from odespec.activations import Interval
from odespec.exact import Real
from odespec.ir.expr import Expr, Shape
from odespec.ir.model import Model
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Solve:
    """Implicit equations ``unknown = value``, one for each unknown, solved together.

    Later groups may use the unknowns of earlier ones (a diagonally implicit method has one group for each stage).
    """

    unknowns: tuple[Expr, ...]
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """A tensor carried from step to step: the value of the leaf ``past`` in a step, and what the next step finds there.

    ``after`` is read with the states, weights, inputs and time of the step at hand; it may name other ``past`` leaves.
    Before the first step every memory is zero (`Begin` lasts until none of these zeros is left).
    """

    past: Expr
    after: Expr


@dataclass(frozen=True, slots=True)
class Begin:
    """The first ``steps`` steps of a multistep method: those of a one-step method."""

    steps: int
    solves: tuple[Solve, ...]
    update: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class StepProgram:
    """One step of a fixed-step method. ``start``: the time of the first step; ``h``: the step; ``steps``: how many.

    ``memory`` and ``begin`` are there for multistep methods only; `odespec.program.lower.lower` makes such programs only
    where it is asked to, so that nothing that knows one-step methods alone reads one by mistake. ``inside``: boxes in which
    states were shown to be at the start of every step (`odespec.prove.boxes`).
    """

    model: Model
    h: Real
    start: Real
    steps: int
    solves: tuple[Solve, ...]
    update: tuple[Expr, ...]
    memory: tuple[Memory, ...] = ()
    begin: Begin | None = None
    inside: tuple[tuple[Expr, Interval], ...] = ()

    def at(self, k: int) -> tuple[tuple[Solve, ...], tuple[Expr, ...]]:
        """The implicit equations and the new states of step k, counted from zero."""
        if self.begin is not None and k < self.begin.steps:
            return self.begin.solves, self.begin.update
        return self.solves, self.update


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of straight-line code: ``names[result] = op(names[args])``."""

    result: int
    op: str
    args: tuple[int, ...]
    shape: Shape
    data: object
