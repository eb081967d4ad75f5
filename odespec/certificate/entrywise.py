"""Certificates of distance claims in the norms inf and 1."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.entrywise import assumptions
from odespec.certificate.build import Draft, draft, write_number
from odespec.certificate.gram import write_time

if TYPE_CHECKING:
    from odespec.exact import Real
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.threshold import Target


def resolve(claim: Claim) -> tuple[str, list[tuple[str, str]]]:
    """A claim with its numbers written out, and the kinds and numbers of its sides, in the auditor's order."""
    flow = claim.subject == "flow"
    prefix, subject = ("flow-", " of flow") if flow else ("", " of output" if claim.subject == "output" else "")
    norm = f"norm = {claim.norm}"
    if claim.name == "nonexpansive":
        return f"nonexpansive({norm}){subject}", [(prefix + "lipschitz", "1")]
    if claim.name == "contractive":
        rate = write_number(claim.lower, above=True)
        return f"contractive({norm}, rate = {rate}){subject}", [(prefix + "contractive", rate)]
    high = write_number(claim.upper, above=False)
    if claim.name == "lipschitz":
        return f"lipschitz({norm}) <= {high}{subject}", [(prefix + "lipschitz", high)]
    low = write_number(claim.lower, above=True)
    return f"gradient({norm}) in [{low}, {high}]{subject}", [(prefix + "lower", low), (prefix + "lipschitz", high)]


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    proof: dict[str, Any],
    targets: Sequence[Target],
    *,
    steps: int,
    time: Real,
) -> Draft:
    """The certificate of a proof. Raises ValueError for an irrational time that cannot be written down."""
    return draft(
        spec,
        model,
        claim,
        "entrywise",
        proof,
        resolved=resolve(claim)[0],
        steps=steps,
        time=write_time(time, targets),
        assumptions=assumptions(claim.subject == "flow", bool(proof["implicit"])),
        slack=max((t.slack for t in targets), default=Fraction(0)),
    )
