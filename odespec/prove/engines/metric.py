"""Distance claims in a metric: in that of a given positive definite matrix, or in some inner product that is sought.

``metric = P``: the squared distance is the form ``<e, P e>``, and its ratio after and before a step a Gram problem.
``metric = some``: a form is sought together with the multipliers (`odespec.prove.lyapunov.joint`).
"""

from __future__ import annotations

from collections.abc import Iterator

from odespec.ir.expr import Expr
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.engines.distance import step_program
from odespec.prove.gram.threshold import Target
from odespec.prove.lyapunov import search
from odespec.prove.lyapunov.coordinates import Coordinates, coordinates
from odespec.prove.lyapunov.given import prove_given, read_given
from odespec.prove.lyapunov.joint import FormProof
from odespec.prove.lyapunov.settings import Setting, spans
from odespec.prove.lyapunov.verdicts import certified
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict

Found = tuple[Setting, FormProof]


def decide(task: Task) -> Verdict:
    """Prove or refute a claim on distances in a metric."""
    claim = task.claim
    if claim.by is not None or claim.mean_square or claim.subject == "output" or claim.norm != 2:
        return _unknown(task, "in a metric, only distances of states from the initial states are decided")
    try:
        program = step_program(task.model, claim.subject)
    except NotLowered as error:
        return _unknown(task, f"the prover has no step program for {error.what} yet")
    horizon = horizon_of(program, claim)
    (target,) = targets(claim, horizon, task.options.slack)
    reasons: list[str] = []
    verdict = _proved(task, program, target, horizon, reasons)
    verdict = verdict or _refuted(task, program)
    return verdict or _unknown(
        task, "; ".join(dict.fromkeys(reasons)) or "neither a proof nor a counterexample was found"
    )


def _proved(task: Task, program: StepProgram, target: Target, horizon: Horizon, reasons: list[str]) -> Verdict | None:
    metric = task.claim.metric
    entries = coordinates(program, metric if isinstance(metric, Expr) else None)
    for own in (entries, None) if entries is not None else (None,):
        step = program if own is None else own.program
        try:
            tried = (
                _in_metric(step, metric, own, target, horizon)
                if isinstance(metric, Expr)
                else _some(step, target, horizon)
            )
            for found in tried:
                verdict = certified(task, program, target, horizon, *found, coordinates=own is not None)
                if verdict is not None:
                    return verdict
        except NoRelation as error:
            reasons.append(str(error))
    return None


def _in_metric(
    program: StepProgram, metric: Expr, entries: Coordinates | None, target: Target, horizon: Horizon
) -> Iterator[Found]:
    first = read_given(program, horizon.flow, metric, entries)
    for span in (1, *spans(first.setting)):
        given = first if span == 1 else read_given(program, horizon.flow, metric, entries, span)
        found = prove_given(given, target, horizon)
        if found is not None:
            yield found


def _some(program: StepProgram, target: Target, horizon: Horizon) -> Iterator[Found]:
    found = search.metric(program, target, horizon)
    if found is not None:
        yield found


def _refuted(task: Task, program: StepProgram) -> Verdict | None:
    from odespec.prove.refute.distance import Budget
    from odespec.prove.refute.metric import refute_metric
    from odespec.prove.refute.metricflow import refute_metric_flow

    if not task.options.refute:
        return None
    budget, seed = Budget(deadline=task.deadline), task.options.seed
    if task.claim.subject == "flow":
        found = refute_metric_flow(program.model, task.claim, seed=seed, budget=budget)
    else:
        found = refute_metric(program, task.claim, seed=seed, budget=budget)
    if found is None:
        return None
    found = found.with_spec(task.spec)
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", lower=found.measured, counterexample=found)


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "lyapunov")
