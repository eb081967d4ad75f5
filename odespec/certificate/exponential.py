"""Certificates of distance claims about exponential steps."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.certificate.auditor.gram import assumptions
from odespec.certificate.build import Draft, draft
from odespec.certificate.gram import resolve, state, write_time
from odespec.exact import Real

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    target: Target,
    growth: Proof,
    rest: Proof | None,
    gain: Fraction,
    *,
    steps: int,
    time: Real,
) -> Draft:
    """The certificate. Raises ValueError for an irrational time that cannot be written down."""
    resolved, ((kind, number),) = resolve(claim)
    proof = {
        "growth": state(growth),
        "rest": [] if rest is None else [state(rest)],
        "gain": str(gain),
        "conclusion": {"kind": kind, "number": number},
    }
    return draft(
        spec,
        model,
        claim,
        "exponential",
        proof,
        resolved=resolved,
        steps=steps,
        time=write_time(time, [target]),
        assumptions=assumptions(False, False),
        slack=target.slack,
    )
