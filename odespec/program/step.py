"""The step program: one step of the solver, written out over the expressions of `odespec.ir.expr`.

A step maps the states at time t_n to those at t_n + h. `StepProgram.update` has the new value of each state as an
expression in leaves: ``state`` (the value at the start of the step), ``time`` (t_n), ``param``, ``input``, ``noise``,
and ``stage`` for the unknowns of an implicit step, which are tied by `StepProgram.solves`. The step size is folded in.
"""

from __future__ import annotations

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
class StepProgram:
    """One step of a fixed-step method. ``start``: the time of the first step; ``h``: the step; ``steps``: how many."""

    model: Model
    h: Real
    start: Real
    steps: int
    solves: tuple[Solve, ...]
    update: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of straight-line code: ``names[result] = op(names[args])``."""

    result: int
    op: str
    args: tuple[int, ...]
    shape: Shape
    data: object
