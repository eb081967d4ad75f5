"""Proofs of invariants against the spec: the facts are derived again, and tested on actual steps.

The values of the entries, the ranges of their variables, the norms of the terms: all that a certificate states is derived
from the spec again and compared. Then steps are run from starts in the relation, its corners above all, under extreme and
random weights and inputs: none may leave it. Relations between vectors are tested as those of other proofs (`gram`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from odespec.certificate.format import Certificate, Part
from odespec.exact import enclose
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.against.gram import holds
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.invariant import program_of, proofs, steps_of
from odespec.prove.invariant.balls import freeze, radius_of
from odespec.prove.invariant.certificate import resolved
from odespec.prove.invariant.refute import searching
from odespec.prove.verdict import Options, Task
from odespec.weights.evaluate import Unsupported

if TYPE_CHECKING:
    from typing import Any

SEED = 20
TOLERANCE = 1e-7
"""Of a violation in relation to the size of the state: far above rounding."""


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolved(claim) != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    task = Task(spec, model, claim, Options(), None)
    program = _program(task)
    _same_numbers(certificate, task, program)
    _same_facts(certificate.proof, task, program)
    if program is None:
        return
    _parts(certificate.proof, program, claim)
    _steps(program, claim)


def _program(task: Task) -> StepProgram | None:
    try:
        return program_of(task)
    except NotLowered:
        return None


def _same_numbers(certificate: Certificate, task: Task, program: StepProgram | None) -> None:
    model = task.model
    steps = program.steps if program is not None else steps_of(task)
    time = str(steps) if model.time is None else str(enclose(model.time.end - model.time.start)[1])
    if (certificate.steps, certificate.time) != (steps, time):
        raise Mismatch("the steps or the time are not those of the spec")


def _same_facts(proof: dict[str, Any], task: Task, program: StepProgram | None) -> None:
    """One of the proofs that are found for the spec states what this one does."""
    for own in proofs(task, program):
        if own["shape"] == proof["shape"] and _plain(own) == _plain(proof):
            return
    raise Mismatch("the facts that the proof starts from are not those of the network")


def _plain(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True)


def _parts(proof: dict[str, Any], program: StepProgram, claim: Claim) -> None:
    """The relations between vectors, on actual differences."""
    assert claim.relation is not None
    for data in proof["parts"]:
        part = Part.model_validate_json(json.dumps(data))
        if part.role == "solvability":
            holds(part, program)
            continue
        radius = None if proof["shape"] == "growth" else radius_of(claim.relation)
        frozen = freeze(program, claim.subject == "flow", radius)
        if frozen is None:
            raise Mismatch("zero does not stay at zero")
        holds(part, frozen)


def _steps(program: StepProgram, claim: Claim) -> None:
    """Actual steps stay in the relation."""
    try:
        search = searching(program, claim, claim.subject == "flow")
        worst = search.worst(np.random.default_rng(SEED))
    except (Unsupported, ValueError):
        return
    if worst > TOLERANCE:
        raise Mismatch(f"an actual step leaves the relation by {worst:.6g}")
