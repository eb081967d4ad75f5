"""Distance claims from an input, or to the output, or from a start of which some is given by the rest.

The way from what differs to what is looked at is cut into segments, each a Gram problem; their bounds make a bound of
the whole, as `odespec.certificate.auditor.endpoint` says. Where the whole way fits into one problem, that is tried too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from odespec.ir.expr import leaves
from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.engines.chain import Piece, Solved, Way, proved_chain
from odespec.prove.engines.distance import on_every_path, refuted
from odespec.prove.gram.exact import Proof
from odespec.prove.gram.solve import finite
from odespec.prove.gram.threshold import Target
from odespec.prove.relate.relations import NoRelation, solvability_problem
from odespec.prove.relate.segments import Segment, start_depends
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict

if TYPE_CHECKING:
    from odespec.certificate.build import Draft
    from odespec.certificate.endpoint import Chain

UNROLLED = 5
"""So many steps are put into one problem at most."""


def decide(task: Task) -> Verdict:
    """Prove or refute a Euclidean distance claim about the map or its output, from the free states or an input."""
    claim = task.claim
    if claim.norm != 2 or claim.metric is not None or claim.subject == "flow":
        return _unknown(task, "from an input, and to the output, only Euclidean distances of the map are decided")
    try:
        program = whole_program(task.model)
    except NotLowered as error:
        return _unknown(task, f"the prover has no step program for {error.what} yet")
    try:
        verdict, reason = proved(task, program, horizon_of(program, claim)), "no proof and no counterexample was found"
    except NoRelation as error:
        verdict, reason = None, str(error)
    if claim.mean_square:  # a path that breaks the claim says nothing of the mean
        return verdict or _unknown(task, "no proof that holds on every path was found")
    return verdict or refuted(task, program) or _unknown(task, reason)


def whole_program(model: Model) -> StepProgram:
    """The step program, also of a multistep method; with noise its steps on a path. Raises `NotLowered`."""
    return on_every_path(model, "map") if model.noises else lower(model, history=True)


# --- proofs --------------------------------------------------------------------


def proved(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """The verdict ``proved`` with its certificate, where the proofs are found. Raises `NoRelation`."""
    from odespec.certificate.endpoint import Chain

    chains: list[Chain] = []
    for target in targets(task.claim, horizon, task.options.slack):
        if not target.upper and target.number <= 0:
            chains.append(Chain(target, ()))
            continue
        chain = _side(program, task.claim, target, horizon)
        if chain is None:
            return None
        chains.append(chain)
    solvability = []
    for which, equations in implicit_steps(program):
        problem = solvability_problem(equations)
        proof = None if problem is None else finite(problem)
        if proof is None:
            return None
        solvability.append((which, proof))
    certificate = _certificate(task, chains, horizon, solvability)
    if certificate is None:
        return None
    return Verdict(
        task.claim,
        "proved",
        "; ".join(_sentence(c) for c in chains),
        "endpoint",
        slack=task.options.slack,
        certificate=certificate,
    )


def implicit_steps(program: StepProgram) -> list[tuple[str, StepProgram]]:
    """The steps that have equations to solve: any, ``1``, and the first ones of a multistep method, ``start+1``."""
    found = [("1", program)] if program.solves else []
    if program.begin is not None and program.begin.solves:
        first = replace(program, solves=program.begin.solves, update=program.begin.update, memory=(), begin=None)
        found.append(("start+1", first))
    return found


def _certificate(
    task: Task, chains: list[Chain], horizon: Horizon, solvability: list[tuple[str, Proof]]
) -> Draft | None:
    """The certificate, if the independent auditor accepts it."""
    from odespec.certificate.endpoint import build

    try:
        made = build(
            task.spec,
            task.model,
            task.claim,
            chains,
            steps=horizon.steps,
            time=horizon.length,
            solvability=solvability,
        )
    except ValueError:
        return None
    return made if made.accepted() else None


def _side(program: StepProgram, claim: Claim, target: Target, horizon: Horizon) -> Chain | None:
    """One inequality of the claim, by the first way of which the proofs are found. Raises `NoRelation`."""
    from odespec.certificate.endpoint import Chain

    failures: list[NoRelation] = []
    tried = 0
    solved = Solved()
    for way in ways(program, claim):
        try:
            links = proved_chain(program, way, target, horizon, solved)
        except NoRelation as error:
            failures.append(error)
            continue
        tried += 1
        if links is not None:
            return Chain(target, links)
    if not tried and failures:
        raise failures[0]
    return None


def ways(program: StepProgram, claim: Claim) -> list[Way]:
    """The ways to cut the whole into segments, the plainest first."""
    return _by_input(program, claim) if claim.by is not None else _by_states(program, claim)


def _by_states(program: StepProgram, claim: Claim) -> list[Way]:
    end, steps = claim.subject == "output" and program.model.output is not None, program.steps
    whole = Way((Piece("way", Segment(True, steps, end)),))
    if steps == 1 or program.memory:
        return [whole] if steps <= UNROLLED else []
    inner = [Piece("way", Segment(False, 1, False), steps)]
    plain = [Piece("way", Segment(True, 0, False)), *inner, *([Piece("way", Segment(False, 0, True))] if end else [])]
    joined = [Piece("way", Segment(True, 1, False))]
    if steps > 2:
        joined.append(Piece("way", Segment(False, 1, False), steps - 2))
    joined.append(Piece("way", Segment(False, 1, end)))
    found = [Way(tuple(joined), dear=True), Way(tuple(plain))]
    return [*found, replace(whole, dear=True)] if steps <= UNROLLED else found


def _by_input(program: StepProgram, claim: Claim) -> list[Way]:
    model, by, steps = program.model, claim.by, program.steps
    assert by is not None
    end = claim.subject == "output" and model.output is not None
    pieces = []
    if start_depends(model, by):
        pieces.append(Piece("start", Segment(True, 0, False, by)))
    if steps > 1 or pieces:
        pieces.append(Piece("step", Segment(False, 1, False)))
    if _reads(program, by):
        pieces.append(Piece("input", Segment(False, 1, False, by)))
    if end:
        pieces.append(Piece("output", Segment(False, 0, True)))
        if ("input", by) in leaves(model.output[1]):  # type: ignore[index]
            pieces.append(Piece("direct", Segment(False, 0, True, by)))
    sequence = next(u for u in model.inputs if u.name == by).per_step
    found = [] if program.memory else [Way(tuple(pieces), by, sequence)]
    if steps <= UNROLLED:
        found.append(Way((Piece("way", Segment(True, steps, end, by)),), by, sequence, dear=not program.memory))
    return found


def _reads(program: StepProgram, by: str) -> bool:
    roots = (*program.update, *(v for s in program.solves for v in s.values))
    return ("input", by) in leaves(*roots)


# --- words ---------------------------------------------------------------------


def _sentence(chain: Chain) -> str:
    side = "at most" if chain.target.upper else "at least"
    if not chain.links:
        return "distances are never negative"
    parts = [_part(link.role, link.segment, float(link.proof.tau), link.times) for link in chain.links]
    return f"distances are multiplied by {side} " + ", ".join(parts)


def _part(role: str, segment: str, tau: float, times: int) -> str:
    number = f"{math.sqrt(max(tau, 0.0)):.9g}"
    words = {
        "start": "on the way to the start",
        "step": "by a step",
        "input": "by the input of a step",
        "output": "by the output",
        "direct": "by the input of the output",
    }
    if role in words:
        return f"{number} {words[role]}"
    return f"{number} over {segment.replace('+', ', ')}" + (f" ({times} times)" if times > 1 else "")


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "endpoint")
