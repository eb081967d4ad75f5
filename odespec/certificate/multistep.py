"""Certificates of distance claims about multistep methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.multistep import assumptions
from odespec.certificate.build import Draft, draft
from odespec.certificate.gram import resolve, state, write_time
from odespec.certificate.lyapunov import part
from odespec.exact import Real
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target
    from odespec.prove.lyapunov.joint import PartProof


@dataclass(frozen=True, slots=True)
class Form:
    """The form that was found: ``terms`` are pairs of probes by name with their coefficients, ``probes`` all names."""

    probes: tuple[str, ...]
    terms: tuple[tuple[str, str, Fraction], ...]
    parts: tuple[PartProof, ...]


Given = Mapping[str, "Proof | Form"]
"""For each kind of conclusion what proves it; a lower bound of zero has nothing."""


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    targets: Sequence[Target],
    given: Given,
    *,
    begin: int,
    steps: int,
    time: Real,
    solvability: Mapping[str, Proof],
    coordinates: bool = False,
) -> Draft:
    """The certificate. ``coordinates``: the states were taken entry by entry.

    Raises ValueError for an irrational time that cannot be written down.
    """
    resolved, kinds = resolve(claim)
    forms = [g for g in given.values() if isinstance(g, Form)]
    form = forms[0] if forms else Form((), (), ())
    used = {name for a, b, _ in form.terms for name in (a, b)}
    proof: dict[str, Any] = {
        "begin": begin,
        "coordinates": coordinates,
        "implicit": {name: name in solvability for name in ("begin", "later")},
        "whole": [state(g) for g in given.values() if not isinstance(g, Form)],
        "form": [[a, b, str(c)] for a, b, c in form.terms],
        "parts": [part(p, form.probes, used) for p in form.parts],
        "solvability": {name: state(p) for name, p in solvability.items()},
        "conclusion": [{"kind": kind, "number": n, "by": _by(given.get(kind))} for kind, n in kinds],
    }
    return draft(
        spec,
        model,
        claim,
        "multistep",
        proof,
        resolved=resolved,
        steps=steps,
        time=write_time(time, targets),
        assumptions=assumptions(bool(solvability), bool(forms)),
        slack=max((t.slack for t in targets), default=Fraction(0)),
    )


def _by(given: Proof | Form | None) -> str:
    if given is None:
        return "nothing"
    return "form" if isinstance(given, Form) else "whole"
