"""Distance claims in the 2-norm about multistep methods; `odespec.prove.engines.distance` hands them over.

Few steps are read in one problem, from the start on. Where that is too large, or proves too little, a form over the
states and what is remembered is sought (`odespec.prove.multistep.forms`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from odespec.program.step import StepProgram
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.threshold import Target, choose_tau
from odespec.prove.gram.worst import worst_case
from odespec.prove.lyapunov.joint import FormProof
from odespec.prove.lyapunov.search import growth_in
from odespec.prove.lyapunov.settings import Setting
from odespec.prove.multistep.entries import entrywise
from odespec.prove.multistep.forms import setting
from odespec.prove.multistep.solvable import solvability
from odespec.prove.relate.history import read_whole
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.build import Draft
    from odespec.certificate.multistep import Form

MAX_STEPS = 24
"""How many steps are read in one problem."""

MANY_STEPS = 120
"""The same, entry by entry: a linear step makes no new vectors then."""

LARGE, LARGEST = 20, 44
"""A problem with more vectors than the first is tried last, with more than the second not at all."""

PROGRAMS = 30
NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a claim: the best factor on distances that was seen, and what proves the target, where anything does."""

    target: Target
    factor: float | None = None
    proof: Proof | None = None
    form: tuple[Setting, FormProof] | None = None

    @property
    def proved(self) -> bool:
        return self.proof is not None or self.form is not None or _free(self.target)


def decide(task: Task, program: StepProgram) -> Verdict:
    """Prove or refute a distance claim about the map of a multistep method."""
    horizon = horizon_of(program, task.claim)
    sides = _sides(task, program, horizon, LARGE)
    verdict = _proved(task, program, sides, horizon, False) or _by_entries(task, program, horizon)
    verdict = verdict or _refuted(task, program, hasty=True)
    if verdict is None:
        sides = [_better(s, program, horizon) for s in sides]
        verdict = _proved(task, program, sides, horizon, False) or _refuted(task, program)
    return verdict or _undecided(task, next((s for s in sides if not s.proved), sides[-1]), horizon)


def _by_entries(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """A proof entry by entry, where the field has matrices of known numbers."""
    found = entrywise(program)
    if found is None:
        return None
    sides = _sides(task, found.program, horizon, LARGEST, MANY_STEPS)
    return _proved(task, found.program, sides, horizon, True)


def _free(target: Target) -> bool:
    return not target.upper and target.number <= 0


# --- proofs ----------------------------------------------------------------------


def _sides(task: Task, program: StepProgram, horizon: Horizon, largest: int, most: int = MAX_STEPS) -> list[Side]:
    """The sides of the claim: all steps in one problem, where it has few vectors, else a form."""
    sides: list[Side] = []
    for target in targets(task.claim, horizon, task.options.slack):
        side = Side(target)
        if not _free(target) and not any(not s.proved for s in sides):
            problem = _problem(program, target, largest) if program.steps <= most else None
            side = _at_once(problem, target, horizon)
            if not side.proved:
                side = _best(side, _by_form(program, target, horizon))
        sides.append(side)
    return sides


def _better(side: Side, program: StepProgram, horizon: Horizon) -> Side:
    """A side that is not proved, with all steps in one problem also where that is large."""
    if side.proved or program.steps > MAX_STEPS:
        return side
    return _best(side, _at_once(_problem(program, side.target, LARGEST, LARGE), side.target, horizon))


def _best(first: Side, second: Side) -> Side:
    if second.proved:
        return second
    factors = [f for f in (first.factor, second.factor) if f is not None]
    upper = first.target.upper
    return replace(first, factor=min(factors, default=None) if upper else max(factors, default=None))


def _problem(program: StepProgram, target: Target, largest: int, least: int = 0) -> GramProblem | None:
    """All steps in one problem of more than ``least`` vectors; None where they are too many, or a relation is missing."""
    try:
        problem = read_whole(program, lower=not target.upper).problem
    except NoRelation:
        return None
    return problem if least <= len(problem.basis) <= largest else None


def _at_once(problem: GramProblem | None, target: Target, horizon: Horizon) -> Side:
    if problem is None:
        return Side(target)
    tau = worst_case(problem).value
    if not math.isfinite(tau):
        return Side(target)
    factor = math.sqrt(max(tau, 0.0))
    allowed = horizon.allows(target)
    beyond = factor - allowed if target.upper else allowed - factor
    if beyond > NEAR * (1 + allowed):
        return Side(target, factor)
    proofs = (prove(problem, t, PROGRAMS) for t in choose_tau(problem, tau, 1, target)[:2])
    return Side(target, factor, next((p for p in proofs if p is not None), None))


def _by_form(program: StepProgram, target: Target, horizon: Horizon) -> Side:
    """A form that no step after the first ones lets grow."""
    if not target.upper or program.begin is None or program.steps <= program.begin.steps:
        return Side(target)
    try:
        found = growth_in([setting(program)], target, replace(horizon, steps=program.steps - program.begin.steps))
    except NoRelation:
        return Side(target)
    if found is None:
        return Side(target)
    return Side(target, found.bound, None, None if found.proof is None else (found.setting, found.proof))


def _proved(task: Task, program: StepProgram, sides: list[Side], horizon: Horizon, by_entries: bool) -> Verdict | None:
    """The verdict ``proved``, if every side is, and all equations are shown to be uniquely solvable."""
    if not all(s.proved for s in sides):
        return None
    solvable = solvability(program)
    if solvable is None:
        return None
    certificate = _certificate(task, program, sides, horizon, solvable, by_entries)
    if certificate is None:
        return None
    ends = {s.target.upper: _factor(s, horizon, program) for s in sides}
    return Verdict(
        task.claim,
        "proved",
        _statement(ends, horizon.steps, any(s.form is not None for s in sides)),
        "multistep",
        upper=ends.get(True),
        lower=ends.get(False),
        slack=task.options.slack,
        certificate=certificate,
    )


def _certificate(
    task: Task,
    program: StepProgram,
    sides: list[Side],
    horizon: Horizon,
    solvable: dict[str, Proof],
    by_entries: bool,
) -> Draft | None:
    """The certificate, if the independent auditor accepts it."""
    from odespec.certificate.multistep import build

    given = {s.target.kind: s.proof or _form(s) for s in sides if not _free(s.target)}
    begin = 0 if program.begin is None else program.begin.steps
    try:
        certificate = build(
            task.spec,
            task.model,
            task.claim,
            [s.target for s in sides],
            given,
            begin=begin,
            steps=horizon.steps,
            time=horizon.length,
            solvability=solvable,
            coordinates=by_entries,
        )
    except ValueError:
        return None
    return certificate if certificate.accepted() else None


def _form(side: Side) -> Form:
    from odespec.certificate.multistep import Form
    from odespec.prove.multistep.forms import names

    assert side.form is not None
    found, proof = side.form
    called = names(found)
    terms = [(called[i], called[j], c) for (i, j), c in zip(found.pairs, proof.theta, strict=True) if c]
    return Form(called, tuple(terms), proof.parts)


def _factor(side: Side, horizon: Horizon, program: StepProgram) -> float:
    """The factor on distances that was proved."""
    if side.proof is not None:
        return math.sqrt(max(float(side.proof.tau), 0.0))
    if side.form is None or program.begin is None:
        return 0.0
    taus = {p.lifted.role: float(p.tau) for p in side.form[1].parts}
    later = horizon.steps - program.begin.steps
    return math.sqrt(taus["above"] * taus["below"]) * math.pow(taus["step"], later / 2)


def _statement(ends: dict[bool, float], steps: int, form: bool) -> str:
    parts = [f"{steps} steps multiply distances by at {'most' if up else 'least'} {x:.9g}" for up, x in ends.items()]
    return "; ".join(parts) + (", by a quadratic form that no step lets grow" if form else "")


# --- the other verdicts ------------------------------------------------------------


def _refuted(task: Task, program: StepProgram, *, hasty: bool = False) -> Verdict | None:
    from odespec.prove.engines.distance import refuted

    return refuted(task, program, hasty=hasty)


def _undecided(task: Task, side: Side, horizon: Horizon) -> Verdict:
    """Unknown, with the bound that can be certified over all steps, where there is one."""
    claimed = f"at {'most' if side.target.upper else 'least'} {horizon.allows(side.target):.9g} is claimed"
    if side.factor is None or not side.target.upper:
        reason = f"nothing bounds the distances over all steps; {claimed}; no counterexample was found"
        return Verdict(task.claim, "unknown", reason, "multistep")
    seen = f"a factor of about {side.factor:.6g} over all steps is the best that was seen"
    return Verdict(task.claim, "unknown", f"{seen}; {claimed}; no counterexample was found", "multistep")
