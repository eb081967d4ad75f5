"""Distance claims in mean square: the expected squared distance of two runs on one path of the noise.

A claim ``in mean square`` measures a distance by the root of its expected square: `contractive(rate = r)` asks for
``E|x - y|^2 <= exp(-2 r T) |x(0) - y(0)|^2``, `lipschitz <= L` for ``L^2``. One step is a Gram problem
(`odespec.prove.relate.expected`), many steps follow by the tower rule. Where the noise is added to what is no polynomial in
it, a bound on every path is one on the mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.ir.model import Model
from odespec.program.fields import state_leaves
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.engines.distance import on_every_path
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.threshold import Target, choose_tau
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.expected import read_square, read_square_flow
from odespec.prove.relate.relations import NoRelation, flow_problem, step_problem
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Bound:
    """A problem that bounds the expected square, with its numerical worst case."""

    problem: GramProblem
    tau: float


def decide(task: Task) -> Verdict:
    """Prove or refute a distance claim in mean square."""
    claim = task.claim
    if claim.norm != 2:
        return _unknown(task, "in mean square only Euclidean distances are decided")
    if claim.by is not None or claim.subject == "output":
        from odespec.prove.engines import endpoint

        return endpoint.decide(task)
    try:
        program = stochastic_program(task.model, claim.subject)
    except NotLowered as error:
        return _unknown(task, f"the prover has no step program for {error.what} yet")
    horizon = horizon_of(program, claim)
    (target,) = targets(claim, horizon, task.options.slack)
    bounds, reason = _bounds(program, horizon)
    for bound in bounds:
        verdict = _proved(task, bound, target, horizon)
        if verdict is not None:
            return verdict
    return _refuted(task, program) or _undecided(task, bounds, target, horizon, reason)


def stochastic_program(model: Model, subject: str) -> StepProgram:
    """The step program with the noise in it; a claim of the flow needs no step. Raises `NotLowered`."""
    if subject != "flow":
        return lower(model, noise=True)
    assert model.time is not None
    return StepProgram(model, model.time.end - model.time.start, model.time.start, 1, (), state_leaves(model))


def _bounds(program: StepProgram, horizon: Horizon) -> tuple[list[Bound], str]:
    """Every problem that bounds the claim, and why others do not."""
    bounds, reasons = [], []
    for read in (_expected, _on_every_path):
        try:
            problem = read(program, horizon)
        except (NoRelation, NotLowered) as error:
            reasons.append(error.what if isinstance(error, NotLowered) else str(error))
        else:
            bounds.append(Bound(problem, worst_case(problem).value))
    return bounds, reasons[0] if reasons else ""


def _expected(program: StepProgram, horizon: Horizon) -> GramProblem:
    return read_square_flow(program.model).problem if horizon.flow else read_square(program).problem


def _on_every_path(program: StepProgram, horizon: Horizon) -> GramProblem:
    if horizon.flow:
        return flow_problem(on_every_path(program.model, "flow").model, lower=False)
    return step_problem(on_every_path(program.model, "map"), lower=False)


# --- proofs --------------------------------------------------------------------


def _proved(task: Task, bound: Bound, target: Target, horizon: Horizon) -> Verdict | None:
    if _beyond(bound, target, horizon):
        return None
    number = bound.tau if math.isfinite(bound.tau) else None
    for tau in choose_tau(bound.problem, number, horizon.steps, target):
        proof = prove(bound.problem, tau)
        certificate = None if proof is None else _certificate(task, proof, target, horizon)
        if proof is not None and certificate is not None:
            whole = horizon.growth(float(proof.tau))
            reason = _sentence(proof, horizon, whole)
            slack = task.options.slack
            return Verdict(task.claim, "proved", reason, "gram", upper=whole, slack=slack, certificate=certificate)
    return None


def _beyond(bound: Bound, target: Target, horizon: Horizon) -> bool:
    """Whether the worst case lies beyond the claim by more than the solver's inaccuracy."""
    if horizon.flow and target.rated:
        return bound.tau > -float(target.number) + NEAR
    allowed = horizon.allows(target)
    return horizon.growth(bound.tau) > allowed + NEAR * (1 + allowed)


def _certificate(task: Task, proof: Proof, target: Target, horizon: Horizon) -> Draft | None:
    """The certificate, if the independent auditor accepts it."""
    from odespec.certificate.gram import Evidence, build

    evidence = [Evidence(target, ((proof, 1 if horizon.flow else horizon.steps),))]
    try:
        made = build(task.spec, task.model, task.claim, evidence, steps=horizon.steps, time=horizon.length)
    except ValueError:
        return None
    return made if made.accepted() else None


def _sentence(proof: Proof, horizon: Horizon, whole: float) -> str:
    tau = float(proof.tau)
    if horizon.flow:
        over = f"over the time {float(horizon.length):g} its root is multiplied by at most {whole:.9g}"
        return f"the expected squared distance grows at a rate of at most {2 * tau:.9g}: {over}"
    one = f"one step multiplies the expected squared distance by at most {tau:.9g}"
    return (
        one if horizon.steps == 1 else f"{one}; the root of it grows {whole:.9g}-fold at most in {horizon.steps} steps"
    )


# --- the other verdicts --------------------------------------------------------


def _refuted(task: Task, program: StepProgram) -> Verdict | None:
    from odespec.prove.refute.distance import Budget
    from odespec.prove.refute.meansquare import refute_square

    if not task.options.refute:
        return None
    found = refute_square(program, task.claim, seed=task.options.seed, budget=Budget(deadline=task.deadline))
    if found is None:
        return None
    found = found.with_spec(task.spec)
    measured = found.measured
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", lower=measured, counterexample=found)


def _undecided(task: Task, bounds: list[Bound], target: Target, horizon: Horizon, reason: str) -> Verdict:
    """Unknown, with the weaker bound that can be certified."""
    if not bounds:
        return _unknown(task, reason)
    value = min((v for b in bounds for v in _certified(b, horizon)), default=None)
    known = f"at most {value:.9g} is certified" if value is not None else "no bound is certified"
    reason = f"{known}, at most {horizon.allows(target):.9g} is claimed; no counterexample was found"
    return Verdict(task.claim, "unknown", reason, "gram", upper=value)


def _certified(bound: Bound, horizon: Horizon) -> Iterator[float]:
    """A factor over the whole horizon that an exact proof gives, a little weaker than the numerical worst case."""
    for loose in (1e-9, 1e-6, 1e-4) if math.isfinite(bound.tau) else ():
        near, far = (Fraction(bound.tau + k * loose * (1 + abs(bound.tau))) for k in (1, 2))
        proof = prove(bound.problem, simplest_between(near, far))
        if proof is not None:
            yield horizon.growth(float(proof.tau)) * (1 + 1e-12)
            return


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "gram")
