"""``conserves(V)`` and ``dissipates(V)``: the change of a scalar over a step, or its rate along the flow.

Proofs are Gram problems about one run whose numerator is shown to have a sign (`odespec.prove.energy.problems`);
counterexamples are one step, or a state of the flow, at which the scalar changes (`odespec.prove.refute.energy`).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.exact import Undecided
from odespec.ir.expr import Expr
from odespec.ir.model import Claim
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.energy import arguments
from odespec.prove.energy.arguments import Argument, Maker
from odespec.prove.energy.problems import check_scalar
from odespec.prove.energy.scalar import core
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.worst import worst_case
from odespec.prove.multistep.solvable import solvability, systems
from odespec.prove.relate.relations import NoRelation
from odespec.prove.verdict import Task, Verdict

if TYPE_CHECKING:
    from odespec.certificate.build import Draft


def decide(task: Task) -> Verdict:
    """Prove or refute that a scalar of the states is constant, or never grows."""
    if reason := _meaningless(task):
        return _unknown(task, reason)
    scalar = _scalar(task.claim)
    found = core(scalar)
    program, missing = _program(task)
    try:
        check_scalar(task.model, scalar)
    except NoRelation as error:
        return _unknown(task, str(error))
    return (
        _proved(task, program, found, arguments.PLAIN)
        or _refuted(task, program, quick=True)
        or _proved(task, program, found, arguments.FULL)
        or _refuted(task, program, quick=False)
        or _unknown(task, missing or _open(task.claim))
    )


def _meaningless(task: Task) -> str | None:
    """Why the claim is not one about a step or a flow; None where it is."""
    if task.claim.mean_square:
        return "what a scalar does in mean square is not decided"
    if task.claim.subject == "output" or (task.claim.subject == "flow" and task.model.discrete):
        return "a scalar of the states is followed from step to step, or along the flow of a field"
    return "the model has noise, and the scalar follows its path" if task.model.noises else None


def _scalar(claim: Claim) -> Expr:
    assert claim.scalar is not None
    return claim.scalar


def _program(task: Task) -> tuple[StepProgram | None, str | None]:
    """The step program where there is one, else why not."""
    if task.claim.subject == "flow":
        return None, None
    try:
        return lower(task.model, history=True), None
    except NotLowered as error:
        return None, f"the prover has no step program for {error.what}"


# --- proofs --------------------------------------------------------------------


def _proved(task: Task, program: StepProgram | None, found: Expr, makers: tuple[Maker, ...]) -> Verdict | None:
    for make in makers:
        try:
            argument = arguments.made(make, task.model, program, task.claim, found)
        except NoRelation:
            continue
        proofs = None if argument is None else _proofs(argument)
        if argument is None or proofs is None:
            continue
        draft = _certificate(task, program, found, argument, proofs)
        if draft is not None:
            return Verdict(task.claim, "proved", _words(task.claim, argument), "energy", certificate=draft)
    return None


def _proofs(argument: Argument) -> list[Proof] | None:
    proofs = []
    for reading in argument.readings:
        proof = _signed(reading.problem)
        if proof is None:
            return None
        proofs.append(proof)
    return proofs


SCALES = (Fraction(1000), Fraction(10_000), Fraction(100))
"""Numerators of short steps are small beside the vectors that they are made of: multiples of them are tried as well."""

NEAR, LARGE = 1e-5, 24
"""A numerical worst case beyond this is not tried a second time, and not at all in a problem of more vectors."""


def _signed(problem: GramProblem) -> Proof | None:
    """A proof that the numerator is at most (at least) zero."""
    large = len(problem.basis) > LARGE
    if large and _hopeless(problem):
        return None
    proof = prove(problem, Fraction(0))
    if proof is not None or large or not abs(worst_case(problem).value) < NEAR:
        return proof
    for scale in SCALES:
        larger = replace(problem, numerator=tuple((pair, scale * c) for pair, c in problem.numerator))
        proof = prove(larger, Fraction(0))
        if proof is not None:
            smaller = tuple(tuple(tuple(x / scale for x in m) for m in group) for group in proof.multipliers)
            return Proof(problem, Fraction(0), smaller)
    return None


def _hopeless(problem: GramProblem) -> bool:
    """Whether the numerical worst case is not seen to be near zero, or within."""
    value = worst_case(problem).value
    return not (value >= -NEAR if problem.lower else value <= NEAR)


def _certificate(
    task: Task, program: StepProgram | None, found: Expr, argument: Argument, proofs: list[Proof]
) -> Draft | None:
    """The certificate, if the step can be solved and the independent auditor accepts it."""
    from odespec.prove.energy.statement import certificate

    solved = {} if program is None else solvability(program)
    if solved is None:
        return None
    try:
        draft = certificate(
            task.spec,
            task.model,
            task.claim,
            proofs,
            constant=argument.constant,
            monotone=found != task.claim.scalar,
            solvability=solved,
            method=argument.method,
            degree=argument.degree,
            composed=argument.composed,
            multistep=argument.multistep,
        )
    except Undecided:
        return None
    return draft if draft.accepted() else None


# --- the other verdicts --------------------------------------------------------


def _refuted(task: Task, program: StepProgram | None, *, quick: bool) -> Verdict | None:
    from odespec.prove.refute.energy import refute

    if not task.options.refute:
        return None

    def solvable() -> bool:
        return not quick and program is not None and bool(systems(program)) and solvability(program) is not None

    found = refute(
        task.model, task.claim, quick=quick, solvable=solvable, seed=task.options.seed, deadline=task.deadline
    )
    if found is None:
        return None
    found = found.with_spec(task.spec)
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", lower=found.measured, counterexample=found)


def _words(claim: Claim, argument: Argument) -> str:
    what = "is zero" if argument.constant else "is at most zero"
    if claim.subject == "flow":
        return f"the rate of the scalar along the flow {what} at every state"
    if argument.method is not None:
        return f"the rate of the scalar {what} at every stage, and the method adds nothing to it"
    if argument.multistep is not None:
        return f"the rate of the scalar {what}, and every step keeps what the steps before it kept"
    if argument.composed:
        return f"the change of the scalar over a drift or a kick of any size {what}"
    return f"the change of the scalar over a step {what} at every state"


def _open(claim: Claim) -> str:
    what = "that it is constant" if claim.name == "conserves" else "that it never grows"
    return f"no proof was found {what}, and nothing that breaks it"


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "energy")
