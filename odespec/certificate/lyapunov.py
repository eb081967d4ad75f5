"""Certificates of bounds on growth by a quadratic form."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.lyapunov import assumptions
from odespec.certificate.build import Draft, draft
from odespec.certificate.gram import relation, resolve, state, vector, write_time
from odespec.exact import Real
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target
    from odespec.prove.lyapunov.joint import PartProof


@dataclass(frozen=True, slots=True)
class Form:
    """The form that was found: ``terms`` are pairs of probes by name with their coefficients.

    ``probes`` names all probes of the reading in their order; ``lift`` says by which operator each state is lifted
    (``-`` for none); ``coordinates``: whether the states were taken entry by entry.
    """

    probes: tuple[str, ...]
    terms: tuple[tuple[str, str, Fraction], ...]
    lift: tuple[str, ...]
    coordinates: bool


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    target: Target,
    form: Form,
    parts: Sequence[PartProof],
    *,
    steps: int,
    time: Real,
    implicit: bool,
    solvability: Sequence[Proof],
) -> Draft:
    """The certificate of a bound on growth. Raises ValueError for an irrational time that cannot be written down."""
    resolved, kinds = resolve(claim)
    ((kind, number),) = kinds
    used = {name for a, b, _ in form.terms for name in (a, b)}
    proof = {
        "implicit": implicit,
        "coordinates": form.coordinates,
        "lift": list(form.lift),
        "form": [[a, b, str(c)] for a, b, c in form.terms],
        "parts": [part(p, form.probes, used) for p in parts],
        "solvability": [state(p) for p in solvability],
        "conclusion": {"kind": kind, "number": number},
    }
    return draft(
        spec,
        model,
        claim,
        "lyapunov",
        proof,
        resolved=with_metric(claim.text, resolved),
        steps=steps,
        time=write_time(time, [target]),
        assumptions=assumptions(target.flow, implicit),
        slack=target.slack,
    )


def with_metric(written: str, resolved: str) -> str:
    """The resolved claim with the metric of the claim as it is written."""
    from odespec.certificate.auditor.lyapunov import split

    metric = split(written)[1]
    if not metric:
        return resolved
    head, tail = resolved.split(" ", 1) if " " in resolved else (resolved, "")
    if "(" in head:
        first, rest = resolved.split(")", 1)
        return f"{first}, metric = {metric}){rest}"
    return f"{head}(metric = {metric}) {tail}".strip()


def part(p: PartProof, probes: Sequence[str], used: set[str]) -> dict[str, Any]:
    """What a certificate states of a role, over the probes that the form uses."""
    x = p.lifted
    names = [v.name for v in x.basis]
    kept = [(r, m) for r, m in zip(x.relations, p.multipliers, strict=True) if any(n for group in m for n in group)]
    before, after = (
        {name: vector(v, names) for name, v in zip(probes, vectors, strict=True) if name in used} if vectors else {}
        for vectors in (x.before, x.after)
    )
    return {
        "role": x.role,
        "span": x.span,
        "tau": str(p.tau),
        "basis": [{"name": v.name, "space": v.space} for v in x.basis],
        "before": before,
        "after": after,
        "distance": [vector(v, names) for v in x.distance],
        "relations": [relation(r, m, names) for r, m in kept],
    }
