"""Proofs about exponential steps against the spec: the relations of both parts on actual differences."""

from __future__ import annotations

import json
from typing import Any

from odespec.certificate.format import Certificate, Part
from odespec.certificate.gram import resolve
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.linearity import with_states
from odespec.program.lower import NotLowered
from odespec.prove.against.gram import holds
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.distance import step_program
from odespec.prove.engines.exponential import split
from odespec.prove.sides import horizon_of


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim)[0] != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    try:
        program = step_program(model, claim.subject)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    found, horizon = split(program), horizon_of(program, claim)
    if found is None or horizon.flow:
        raise Mismatch("the solver is no exponential Euler method")
    if (certificate.steps, certificate.time) != (horizon.steps, str(horizon.length)):
        raise Mismatch("the steps or the time are not those of the spec")
    holds(_part(certificate.proof["growth"]), found.linear)
    for part in certificate.proof["rest"]:
        holds(_part(part), found.rest)
    if not certificate.proof["rest"] and with_states(*found.rest.update):
        raise Mismatch("terms that depend on the state are left out")


def _part(data: dict[str, Any]) -> Part:
    return Part.model_validate_json(json.dumps(data))
