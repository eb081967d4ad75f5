"""Proofs of networks against the spec: every piece as a chain of its own."""

from __future__ import annotations

from odespec.certificate.endpoint import resolve
from odespec.certificate.format import Certificate, NetworkProof
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.lower import NotLowered
from odespec.prove import networks
from odespec.prove.against import endpoint
from odespec.prove.against.gram import holds as step_holds
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.endpoint import implicit_steps, whole_program
from odespec.prove.engines.network import asked


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this network."""
    if not isinstance(model, Network):
        raise Mismatch("it is no network")
    if resolve(claim) != certificate.claim.resolved:
        raise Mismatch(f"network {model.name} makes no claim `{certificate.claim.resolved}`")
    proof = certificate.proof_as(NetworkProof)
    try:
        found = networks.pieces(model)
        programs = [whole_program(p.model) for p in found]
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    stated = [(p.name, p.steps, p.subject, p.implicit) for p in proof.pieces]
    own = [
        (p.name, g.steps, asked(p, claim).subject, bool(implicit_steps(g)))
        for p, g in zip(found, programs, strict=True)
    ]
    if stated != own:
        raise Mismatch("the pieces of the network are not those of the spec")
    for part in proof.parts:
        program, own_claim = programs[part.piece], asked(found[part.piece], claim)
        if part.role == "solvability":
            step_holds(part.plain.plain, dict(implicit_steps(program))[part.segment])
        else:
            endpoint.holds(part.plain, program, own_claim)
    _all_solvable(proof, [dict(implicit_steps(g)).keys() for g in programs])


def _all_solvable(proof: NetworkProof, equations: list) -> None:  # type: ignore[type-arg]
    for k, needed in enumerate(equations):
        if {p.segment for p in proof.parts if p.role == "solvability" and p.piece == k} != set(needed):
            raise Mismatch("the equations that are shown to be solvable are not those of the steps")
