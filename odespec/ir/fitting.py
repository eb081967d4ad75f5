"""What a solver needs of a model: states, separability, noise, steps."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.diagnostics import Note
from odespec.ir.declare import Draft
from odespec.ir.expr import Expr, leaves
from odespec.ir.model import Solver, State, Time
from odespec.solvers import Composition, Method


def fits(draft: Draft, solver: Solver, method: Method, states: Sequence[State], field: Sequence[Expr]) -> None:
    """Report where a solver and a field do not go together."""
    if method.family == "partitioned":
        _partitioned(draft, solver, method, states, field)
    _noise(draft, solver, method)
    if method.family == "adaptive" and solver.steps is None:
        _per_step(draft, solver)


def kind_fits(draft: Draft, solver: Solver, method: Method, discrete: bool) -> bool:
    """Whether a map has the solver `map`, and a field another one."""
    if (method.family == "map") == discrete:
        return True
    why = "equations `x+ = …` go with `solver map(steps = N)`" if discrete else "`map` goes with equations `x+ = …`"
    draft.context.error("ODE410", solver.span, why=why)
    return False


def saved(draft: Draft, solver: Solver, time: Time) -> None:
    """With fixed steps, the saved times are ends of steps."""
    if time.save is None or not isinstance(solver.steps, int) or solver.steps % (time.save - 1) == 0:
        return
    why = f"{time.save} equally spaced times need a multiple of {time.save - 1} steps, the solver has {solver.steps}"
    draft.context.error("ODE413", time.span, notes=(Note("the steps are given here", solver.span),), why=why)


def _partitioned(draft: Draft, solver: Solver, method: Method, states: Sequence[State], field: Sequence[Expr]) -> None:
    context = draft.context
    if len(states) != 2 or states[0].shape != states[1].shape:
        names = ", ".join(f"`{s.name}`" for s in states)
        what = f"{len(states)} ({names})" if len(states) != 2 else f"two of different shapes ({names})"
        notes = tuple(Note(f"`{s.name}` is declared here", s.span) for s in states[:4])
        context.error("ODE406", solver.span, notes=notes, name=method.name, what=what)
        return
    if not isinstance(method.scheme, Composition) or not method.scheme.separable:
        return
    for state, side in zip(states, field, strict=True):
        if ("state", state.name) in leaves(side):
            note = Note(f"`{state.name}` is declared here", state.span)
            context.error("ODE407", solver.span, notes=(note,), name=method.name, state=state.name)
            return


def _noise(draft: Draft, solver: Solver, method: Method) -> None:
    stochastic = method.family == "stochastic"
    if draft.noises and not stochastic:
        note = Note("the noise is declared here", draft.noises[0].span)
        draft.context.error(
            "ODE409", solver.span, notes=(note,), name=method.name, why="knows no noise, but the model has one"
        )
    elif stochastic and not any(line.kind == "noise" for line in draft.variables()):
        draft.context.error(
            "ODE409", solver.span, name=method.name, why="is for models with `noise`, and this one has none"
        )


def _per_step(draft: Draft, solver: Solver) -> None:
    copies = [v for v in draft.given() if v.per_step]
    if copies:
        note = Note("the solver chooses its steps", solver.span)
        names = "`, `".join(v.name for v in copies[:6])
        draft.context.error("ODE408", copies[0].span, notes=(note,), name=names, solver=solver.name)
