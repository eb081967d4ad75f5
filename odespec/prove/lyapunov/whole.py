"""Growth over the whole horizon in the 2-norm: where powers of one step are too loose, by a form that no step lets grow."""

from __future__ import annotations

from odespec.program.step import StepProgram
from odespec.prove.lyapunov.coordinates import coordinates
from odespec.prove.lyapunov.search import growth
from odespec.prove.lyapunov.verdicts import certified
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon, targets
from odespec.prove.verdict import Task, Verdict


def by_form(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """The verdict ``proved`` of a claim with an upper side alone, or None."""
    sides = targets(task.claim, horizon, task.options.slack)
    if len(sides) != 1 or not sides[0].upper:
        return None
    entries = coordinates(program)
    given = any(s.initial is not None for s in program.model.states)
    if horizon.steps == 1 and not horizon.flow and entries is None and not given:
        return None
    for own in (program,) if entries is None else (entries.program, program):
        try:
            found = growth(own, sides[0], horizon)
        except NoRelation:
            continue
        if found is not None and found.proof is not None:
            verdict = certified(
                task, program, sides[0], horizon, found.setting, found.proof, coordinates=own is not program
            )
            if verdict is not None:
                return verdict
    return None
