"""`invariant`: a relation on the states that, true at the start, is true after every step.

Proofs by entries (`odespec.prove.invariant.cases`), of balls by inner products and by the triangle inequality
(`odespec.prove.invariant.balls`); else a search for a step that leaves the relation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.engines.distance import step_program
from odespec.prove.verdict import Task, Verdict

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

ROUNDS = 60
"""Of the ascent to counterexamples."""

IMPLICIT = ("bdf2",)
"""Methods without a step program of one step whose equations would have to be shown to be solvable."""


def decide(task: Task) -> Verdict:
    """Prove or refute an invariant of the map or the flow."""
    claim = task.claim
    try:
        program: StepProgram | None = program_of(task)
        reason = "neither a proof nor a step that leaves the relation was found"
    except NotLowered as error:
        program, reason = None, f"the prover has no step program for {error.what} yet"
    steps = program or _any_program(task)
    for found in (_soon(task, program), _refuted(task, steps, 0), _late(task, program), _refuted(task, steps, ROUNDS)):
        verdict = found()
        if verdict is not None:
            return verdict
    return Verdict(claim, "unknown", reason, "invariant")


SOON = 40_000
"""Operations after which a counterexample is looked for before a proof is tried in earnest."""


def program_of(task: Task) -> StepProgram:
    """The step program of a one-step method, or of the flow. Raises `NotLowered`."""
    if task.model.noises and task.claim.subject == "flow":
        raise NotLowered("the flow of a stochastic equation", task.model.noises[0].span)
    program = step_program(task.model, task.claim.subject)
    if program.memory:
        raise NotLowered(f"the multistep method `{task.model.solver.name}`", task.model.solver.span)
    return program


def _any_program(task: Task) -> StepProgram | None:
    """The program of a method that remembers, whose first step at least can be looked at."""
    if task.model.noises:
        return None
    try:
        return step_program(task.model, task.claim.subject)
    except NotLowered:
        return None


def _soon(task: Task, program: StepProgram | None) -> Callable[[], Verdict | None]:
    """A proof by entries that takes little work."""

    def found() -> Verdict | None:
        if program is None or program.solves or not _stands(task):
            return None
        from odespec.prove.invariant import certificate as c
        from odespec.prove.invariant.prove import prove_entries

        proof = prove_entries(program, task.claim, task.claim.subject == "flow", SOON)
        return None if proof is None else _accepted(task, c.entries_data(proof, ()), program.steps)

    return found


def _late(task: Task, program: StepProgram | None) -> Callable[[], Verdict | None]:
    """Any proof."""

    def found() -> Verdict | None:
        steps = program.steps if program is not None else steps_of(task)
        verdicts = (_accepted(task, data, steps) for data in proofs(task, program))
        return next((v for v in verdicts if v is not None), None)

    return found


def _accepted(task: Task, data: dict[str, Any], steps: int) -> Verdict | None:
    """The verdict ``proved``, with a certificate that the auditor accepts."""
    from odespec.prove.invariant.certificate import certificate

    draft = certificate(task, data, steps=steps)
    if draft is None:
        return None
    when = "the field never points out of it" if task.claim.subject == "flow" else "every step keeps it"
    return Verdict(task.claim, "proved", f"{when}: {_how(draft)}", "invariant", certificate=draft)


def _stands(task: Task) -> bool:
    """Whether given initial values, where there are no others, obey the relation: nothing is proved vacuously."""
    from odespec.prove.invariant.prove import begun

    return task.claim.relation is not None and begun(task.model, task.claim.relation)


def steps_of(task: Task) -> int:
    """The steps of a method without a step program; an adaptive one has none that are known."""
    steps = task.model.solver.steps
    return steps if isinstance(steps, int) else 1


def proofs(task: Task, program: StepProgram | None) -> Iterator[dict[str, Any]]:
    """The data of proofs, as they are found."""
    from odespec.prove.invariant import certificate as c
    from odespec.prove.invariant.balls import prove_products, solvability
    from odespec.prove.invariant.growth import prove_growth
    from odespec.prove.invariant.prove import prove_entries, prove_rates, prove_unique
    from odespec.prove.invariant.triangle import prove_radii, prove_triangle
    from odespec.prove.invariant.tube import prove_tube

    flow, claim = task.claim.subject == "flow", task.claim
    if not _stands(task):
        return
    if program is None:
        found = prove_rates(task.model, claim)
        if found is not None and task.model.solver.name not in IMPLICIT:
            yield c.rates_data(claim, found, (), False)
        return
    implicit = bool(program.solves) and not flow
    entries = prove_entries(program, claim, flow)
    solved = solvability(program) if implicit and entries is not None else ()
    once = prove_unique(program) if solved is None else ()
    if entries is not None and once is not None:
        yield c.entries_data(entries, solved or (), once)
    ball = prove_triangle(program, claim, flow)
    if ball is not None:
        yield c.ball_data(claim, "triangle", (ball,))
    products = prove_products(program, claim, flow)
    if products is not None:
        yield c.products_data(claim, products, implicit)
    radii = None if flow else prove_radii(program, claim)
    if radii is not None:
        yield c.ball_data(claim, "radii", radii)
    growth = None if flow else prove_growth(program, claim)
    if growth is not None:
        yield c.growth_data(claim, growth, implicit)
    tube = None if flow else prove_tube(program, claim)
    if tube is not None:
        yield c.tube_data(claim, tube, [s.name for s in program.model.states])


def _how(draft: Draft) -> str:
    shape = draft.body["proof"]["shape"]
    return {
        "entries": "each entry stays between its bounds",
        "rates": "the field does not change what it bounds",
        "tube": "step by step the states stay in boxes within it",
        "triangle": "the norms of the terms add up to no more than the radius",
        "radii": "step by step the norm stays below the radius",
        "growth": "in all steps together the norm does not grow past the radius",
        "products": "the norm of the state never crosses its bound",
    }[shape]


def _refuted(task: Task, program: StepProgram | None, rounds: int) -> Callable[[], Verdict | None]:
    """A counterexample, found with so many rounds of ascent."""

    def found() -> Verdict | None:
        if program is None or not task.options.refute:
            return None
        from odespec.prove.invariant.refute import refute

        flow = task.claim.subject == "flow"
        example = refute(program, task.claim, flow, task.options.seed, task.deadline, rounds)
        if example is None:
            return None
        example = example.with_spec(task.spec)
        reason, size = example.sentence, example.measured
        return Verdict(task.claim, "refuted", reason, "counterexample", lower=size, counterexample=example)

    return found
