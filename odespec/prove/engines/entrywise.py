"""Distance claims in the norms inf and 1: absolute row sums of what a step, or the field, does to a difference.

Proofs are by rows (columns in the norm 1), see `odespec.certificate.auditor.entrywise`; what is not proved is looked for
as a counterexample.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.ir.model import Claim
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.engines.distance import outward, refuted, step_program
from odespec.prove.entrywise.parts import Part, Parts, parts_of
from odespec.prove.entrywise.plans import Plan, plans
from odespec.prove.gram.threshold import Target
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

NEAR = 1e-9
"""A bound this near to what is claimed, relatively, is tried: exact arithmetic decides."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One side of the claim with the best plan for it, None where there is none."""

    target: Target
    plan: Plan | None

    def within(self, horizon: Horizon) -> bool:
        """Whether the plan seems to give the claim."""
        allowed = horizon.allows(self.target)
        if self.plan is None:
            return not self.target.upper and allowed <= 0
        near = NEAR + float(self.target.slack)
        growth = self.plan.growth
        return growth <= allowed * (1 + near) if self.target.upper else growth >= allowed * (1 - near)


def decide(task: Task) -> Verdict:
    """Prove or refute a distance claim about the map or the flow in the norm inf or 1."""
    claim = task.claim
    if claim.by is not None or claim.mean_square:
        return _unknown(task, f"`{claim.text}` is not decided in the norm {claim.norm} yet")
    try:
        program = step_program(task.model, "flow" if claim.subject == "flow" else "map")
    except NotLowered as error:
        return _unknown(task, f"the prover has no step program for {error.what} yet")
    horizon = horizon_of(program, claim)
    sides = targets(claim, horizon, task.options.slack)
    parts = parts_of(task.spec, program, claim)
    why = ""
    bounds: list[Bound] = []
    for target in sides:
        try:
            bounds.append(_best(parts, program, target, horizon, to_output=claim.subject == "output"))
        except NoRelation as error:
            why = why or str(error)
            bounds.append(Bound(target, None))
    if all(b.within(horizon) for b in bounds):
        certificate = _certificate(task, program, parts, bounds, horizon)
        if certificate is not None:
            return _proved(task, bounds, horizon, certificate)
    return refuted(task, program) or _undecided(task, program, bounds, horizon, why)


def _best(parts: Parts, program: StepProgram, target: Target, horizon: Horizon, *, to_output: bool) -> Bound:
    """The first plan that gives the claim, else the one that gives the most."""
    best = Bound(target, None)
    for plan in plans(parts, program, target, horizon, to_output=to_output):
        found = Bound(target, plan)
        if found.within(horizon):
            return found
        if best.plan is None or (plan.growth < best.plan.growth) == target.upper:
            best = found
    return best


def _certificate(task: Task, program: StepProgram, parts: Parts, bounds: list[Bound], horizon: Horizon) -> Draft | None:
    """The certificate, if the independent auditor accepts it: nothing is called proved that it would reject."""
    from odespec.certificate.entrywise import build, resolve

    used: list[Part] = []
    conclusion = []
    for bound, (kind, number) in zip(bounds, resolve(task.claim)[1], strict=True):
        uses = []
        for part, times_ in () if bound.plan is None else bound.plan.parts:
            if part not in used:
                used.append(part)
            uses.append([used.index(part), times_])
        conclusion.append({"kind": kind, "number": number, "parts": uses})
    implicit = bool(program.solves) and not horizon.flow
    proof = parts.proof(used, implicit=implicit, conclusion=conclusion)
    sides = [b.target for b in bounds]
    try:
        draft = build(task.spec, task.model, task.claim, proof, sides, steps=horizon.steps, time=horizon.length)
    except ValueError:  # an irrational time between two sides that would round it to opposite ends
        return None
    return draft if draft.accepted() else None


# --- verdicts ------------------------------------------------------------------


def _proved(task: Task, bounds: list[Bound], horizon: Horizon, certificate: Draft) -> Verdict:
    return Verdict(
        task.claim,
        "proved",
        "; ".join(_sentence(b, horizon, task.claim) for b in bounds),
        "entrywise",
        upper=_growth(bounds, upper=True),
        lower=_growth(bounds, upper=False),
        slack=task.options.slack,
        certificate=certificate,
    )


def _growth(bounds: list[Bound], *, upper: bool) -> float | None:
    return next((b.plan.growth for b in bounds if b.plan is not None and b.target.upper == upper), None)


def _sentence(bound: Bound, horizon: Horizon, claim: Claim) -> str:
    """``absolute row sums: one step multiplies distances by at most 1, 32 steps by at most 1``."""
    side = "at most" if bound.target.upper else "at least"
    if bound.plan is None:
        return f"distances are multiplied by {side} 0"
    whole = f"{bound.plan.growth:.9g}"
    sums = "columns" if claim.norm == 1 else "rows"
    if horizon.flow:
        return f"by its {sums}: over the time {float(horizon.length):g} distances are multiplied by {side} {whole}"
    return f"by its {sums}: {horizon.steps} step{'s' * (horizon.steps > 1)} multiply distances by {side} {whole}"


def _undecided(task: Task, program: StepProgram, bounds: list[Bound], horizon: Horizon, why: str) -> Verdict:
    """Unknown, with the bound that is certified and the worst that was found."""
    if not task.options.refute:
        return _unknown(task, why or "not proved")
    words = [why] if why else []
    for bound in bounds:
        side = "at most" if bound.target.upper else "at least"
        known = "no bound is certified" if bound.plan is None else f"{side} {bound.plan.growth:.9g} is certified"
        words.append(f"{known}, {side} {horizon.allows(bound.target):.9g} is claimed")
    attained = _attained(task, program, horizon.allows(bounds[0].target)) if len(bounds) == 1 else None
    if attained is not None:
        words.append(f"the worst found is {attained:.9g}")
    top = _growth(bounds, upper=True)
    reason = "; ".join(words) + "; no counterexample was found"
    lower = attained if len(bounds) == 1 else _growth(bounds, upper=False)
    return Verdict(
        task.claim, "unknown", reason, "entrywise", lower=lower, upper=None if top is None else outward(top, 1)
    )


def _attained(task: Task, program: StepProgram, allowed: float) -> float | None:
    """A factor on distances, close to what is allowed, that weights within the constraints attain; None if not found."""
    from odespec.prove.refute.distance import Budget, refute
    from odespec.prove.refute.search import Effort

    weaker = replace(task.claim, name="lipschitz", upper=Fraction(allowed) * Fraction(99, 100), lower=None)
    budget = Budget(Effort(samples=200, starts=8, rounds=40), deadline=task.deadline)
    found = refute(program, weaker, seed=task.options.seed, budget=budget)
    return None if found is None else found.measured


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "entrywise")
