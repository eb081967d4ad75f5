"""Distance claims about the exponential Euler method by its linear part and the rest: ``|exp(hL)| <= exp(h mu)``.

What the relations of `odespec.prove.relate.exponentials` cannot say exactly, as exp(h mu) is no rational number, the bound
of a step in closed form does: with ``<e, L e> <= mu <e, e>`` and ``|N(x) - N(y)| <= l |x - y|`` a step does not expand where
``mu + l <= 0``, at every step size (`odespec.certificate.auditor.exponential`). Both numbers are worst cases of Gram problems.
`odespec.prove.engines.distance` hands claims over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from odespec.exact import enclose, root
from odespec.ir.model import Model
from odespec.program.splitting import parts
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import flow_problem, step_problem
from odespec.prove.sides import Horizon, targets
from odespec.prove.verdict import Task, Verdict
from odespec.records import dataclass

LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class Split:
    """The linear part as the field of a program of its own (for its flow), and the rest as the map of another one."""

    linear: StepProgram
    rest: StepProgram


def split(program: StepProgram) -> Split | None:
    """The two parts of an exponential Euler step; None for other methods."""
    if program.model.solver.name != "etd1":
        return None
    linear, rest = parts(program.model)
    alone: Model = replace(program.model, field=linear)
    return Split(replace(program, model=alone), replace(program, update=rest))


def proved(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """The verdict ``proved`` with its certificate, where the closed form gives an upper claim."""
    found = None if horizon.flow else split(program)
    asked = targets(task.claim, horizon, task.options.slack)
    if found is None or len(asked) != 1:
        return None
    try:
        growth = flow_problem(found.linear.model, lower=False)
        rest = step_problem(found.rest, lower=False)
    except NoRelation:
        return None
    for gain in _proofs(rest):
        for linear in _proofs(growth):
            verdict = _verdict(task, horizon, linear, gain)
            if verdict is not None:
                return verdict
    return None


def _proofs(problem: GramProblem) -> Iterator[Proof]:
    """Proofs of simple numbers at the worst case, then a little above it."""
    value = worst_case(problem).value
    if not math.isfinite(value) or abs(value) > LARGEST:
        return
    size = 1 + abs(value)
    for below, above in ((1e-7, 1e-7), (-1e-7, 1e-5), (-1e-5, 1e-3)):
        tau = simplest_between(Fraction(value - below * size), Fraction(value + above * size))
        proof = prove(problem, tau)
        if proof is not None:
            yield proof


def _verdict(task: Task, horizon: Horizon, linear: Proof, rest: Proof) -> Verdict | None:
    from odespec.certificate.exponential import build

    (target,) = targets(task.claim, horizon, task.options.slack)
    gain = enclose(root(max(rest.tau, Fraction(0)), 2))[1]
    try:
        certificate = build(
            task.spec,
            task.model,
            task.claim,
            target,
            linear,
            rest if gain else None,
            gain,
            steps=horizon.steps,
            time=horizon.length,
        )
    except ValueError:
        return None
    if not certificate.accepted():
        return None
    factor = _factor(float(linear.tau), float(gain), float(horizon.length), horizon.steps)
    words = f"<e, L e> <= {float(linear.tau):.6g} <e, e>, the other terms have the Lipschitz constant {float(gain):.6g}"
    reason = f"{words}: {horizon.steps} exponential steps multiply distances by at most {factor:.9g}"
    slack = task.options.slack
    return Verdict(task.claim, "proved", reason, "exponential", upper=factor, slack=slack, certificate=certificate)


def _factor(mu: float, gain: float, time: float, steps: int) -> float:
    """The bound over all steps, rounded up."""
    if mu + gain <= 0 and gain:
        return 1.0
    h = time / steps
    grown = math.expm1(h * mu)
    b = 1 + grown + gain * (grown / mu if mu else h)
    return b**steps * (1 + 1e-12)
