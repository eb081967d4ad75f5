"""Certificates of claims from a given start or an input, or to the output: chains of Gram proofs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.endpoint import assumptions
from odespec.certificate.build import Draft, draft, write_number
from odespec.certificate.gram import state, write_time
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.exact import Real
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target


@dataclass(frozen=True, slots=True)
class Link:
    """A proved part of a chain: its role, the segment it speaks of, and how often in a row it stands."""

    role: str
    segment: str
    proof: Proof
    times: int = 1


@dataclass(frozen=True, slots=True)
class Chain:
    """A side of the claim with the links that give it; a lower side whose number is zero has none."""

    target: Target
    links: tuple[Link, ...]


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    chains: Sequence[Chain],
    *,
    steps: int,
    time: Real,
    solvability: Sequence[tuple[str, Proof]],
) -> Draft:
    """The certificate of a proved claim. Raises ValueError for an irrational time that cannot be written down.

    ``solvability`` has proofs for the equations of a step, ``1``, and for those of the first ones of a multistep method,
    ``start+1``.
    """
    parts: list[dict[str, Any]] = []
    conclusion = [_conclude(c, parts) for c in chains]
    parts += [{**state(proof), "role": "solvability", "segment": which} for which, proof in solvability]
    proof = {
        "implicit": bool(solvability),
        "moved": moved(model, claim),
        "parts": parts,
        "conclusion": conclusion,
    }
    return draft(
        spec,
        model,
        claim,
        "endpoint",
        proof,
        resolved=resolve(claim),
        steps=steps,
        time=write_time(time, [c.target for c in chains]),
        assumptions=assumptions(bool(solvability)),
        slack=max((c.target.slack for c in chains), default=Fraction(0)),
    )


def moved(model: Model, claim: Claim) -> str:
    """What differs in the two runs."""
    if claim.by is None:
        return "states"
    return "sequence" if next(u for u in model.inputs if u.name == claim.by).per_step else "input"


def _conclude(chain: Chain, parts: list[dict[str, Any]]) -> dict[str, Any]:
    uses = []
    for link in chain.links:
        part = {**state(link.proof), "role": link.role, "segment": link.segment}
        if part not in parts:
            parts.append(part)
        uses.append({"part": parts.index(part), "times": link.times})
    target = chain.target
    number = write_number(target.number, above=target.rated or not target.upper)
    return {"kind": target.kind, "number": number, "chain": uses}


def resolve(claim: Claim) -> str:
    """The claim with its numbers written out."""
    where = (" of output" if claim.subject == "output" else "") + (" in mean square" if claim.mean_square else "")
    if claim.name == "nonexpansive":
        return f"nonexpansive{where}"
    if claim.name == "contractive":
        return f"contractive(rate = {write_number(claim.lower, above=True)}){where}"
    high = write_number(claim.upper, above=False)
    if claim.name == "lipschitz":
        return f"lipschitz{f'(by = {claim.by})' if claim.by else ''} <= {high}{where}"
    return f"gradient in [{write_number(claim.lower, above=True)}, {high}]{where}"
