"""Certificates of networks: for each piece a chain of Gram proofs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.network import assumptions
from odespec.certificate.build import Draft, draft, write_number
from odespec.certificate.endpoint import Link, resolve
from odespec.certificate.gram import state
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Network, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target


@dataclass(frozen=True, slots=True)
class ProvedPiece:
    """A piece: its name, its steps, whether it ends at an output, and proofs that its equations can be solved."""

    name: str
    steps: int
    subject: str
    solvability: tuple[tuple[str, Proof], ...]


@dataclass(frozen=True, slots=True)
class Side:
    """A side of the claim, with the links of every piece; a lower side whose number is zero has none."""

    target: Target
    chains: tuple[tuple[Link, ...], ...]


def build(spec: Spec, network: Network, claim: Claim, pieces: Sequence[ProvedPiece], sides: Sequence[Side]) -> Draft:
    """The certificate of a proved claim of a network."""
    parts: list[dict[str, Any]] = []
    conclusion = [_conclude(side, parts) for side in sides]
    for k, piece in enumerate(pieces):
        for which, proof in piece.solvability:
            parts.append({**state(proof), "role": "solvability", "segment": which, "piece": k})
    described = [
        {"name": p.name, "steps": p.steps, "subject": p.subject, "implicit": bool(p.solvability)} for p in pieces
    ]
    return draft(
        spec,
        network,
        claim,
        "network",
        {"pieces": described, "parts": parts, "conclusion": conclusion},
        resolved=resolve(claim),
        steps=sum(p.steps for p in pieces),
        time=str(sum(p.steps for p in pieces)),
        assumptions=assumptions(any(p.solvability for p in pieces)),
        slack=max((s.target.slack for s in sides), default=Fraction(0)),
    )


def _conclude(side: Side, parts: list[dict[str, Any]]) -> dict[str, Any]:
    chains = []
    for k, links in enumerate(side.chains):
        uses = []
        for link in links:
            part = {**state(link.proof), "role": link.role, "segment": link.segment, "piece": k}
            if part not in parts:
                parts.append(part)
            uses.append({"part": parts.index(part), "times": link.times})
        chains.append(uses)
    number = write_number(side.target.number, above=not side.target.upper)
    return {"kind": side.target.kind, "number": number, "chains": chains}
