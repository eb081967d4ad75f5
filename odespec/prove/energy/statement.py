"""Certificates of claims about a scalar of the states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.energy import SYSTEMS, assumptions
from odespec.certificate.build import Draft, draft
from odespec.certificate.gram import state
from odespec.exact import Real, Undecided, enclose
from odespec.solvers import Multistep, RungeKutta
from odespec.solvers.quadratic import quadratic

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof


def certificate(
    spec: Spec,
    model: Model,
    claim: Claim,
    proofs: Sequence[Proof],
    *,
    constant: bool,
    monotone: bool,
    solvability: Mapping[str, Proof],
    method: RungeKutta | None = None,
    degree: int = 0,
    composed: bool = False,
    multistep: Multistep | None = None,
) -> Draft:
    """The certificate of a proved claim. ``method`` where rates at its stages are proved, of a V of some ``degree``.

    Raises `odespec.exact.Undecided` for a tableau in no quadratic field.
    """
    flow = claim.subject == "flow"
    proof = {
        "implicit": {name: name in solvability for name in SYSTEMS},
        "constant": constant,
        "monotone": monotone,
        "composed": composed,
        "parts": [part(p) for p in proofs],
        "solvability": {name: state(p) for name, p in solvability.items()},
        "multistep": [] if multistep is None else [write_multistep(multistep)],
        "tableau": [] if method is None else [{"degree": degree, **write_tableau(method)}],
    }
    return draft(
        spec,
        model,
        claim,
        "energy",
        proof,
        resolved=resolve(claim),
        steps=steps(model),
        time=written_time(model),
        assumptions=assumptions(
            flow=flow,
            implicit=bool(solvability),
            degree=degree,
            monotone=monotone,
            composed=composed,
            multistep=bool(multistep),
        ),
    )


def resolve(claim: Claim) -> str:
    """The claim: it has no numbers outside the scalar."""
    return " ".join(claim.text.split())


def steps(model: Model) -> int:
    """How many steps there are; zero where the solver decides."""
    return model.solver.steps if isinstance(model.solver.steps, int) else 0


def written_time(model: Model) -> str:
    """T as a fraction (of an irrational one a lower bound: nothing rests on it); the number of steps of a map."""
    if model.time is None:
        return str(steps(model))
    length: Real = model.time.end - model.time.start
    return str(enclose(length, 128)[0])


def part(proof: Proof) -> dict[str, Any]:
    """The part of a certificate that a proof becomes."""
    whole = state(proof)
    return {key: whole[key] for key in ("role", "sense", "basis", "numerator", "relations")}


def write_tableau(method: RungeKutta) -> dict[str, Any]:
    """A tableau over the numbers ``p + q sqrt(root)``. Raises `odespec.exact.Undecided` where it is none."""
    A, b = [[quadratic(x) for x in row] for row in method.A], [quadratic(x) for x in method.b]
    roots = {x.d for row in (*A, b) for x in row if x.b}

    def pair(x: Any) -> list[str]:
        return [str(x.a), str(x.b)]

    return {"root": max(roots, default=0), "A": [[pair(x) for x in row] for row in A], "b": [pair(x) for x in b]}


def write_multistep(method: Multistep) -> dict[str, Any]:
    """The coefficients, the oldest first. Raises `odespec.exact.Undecided` where they are irrational."""
    if not all(isinstance(x, Fraction) for x in (*method.alpha, *method.beta)):
        raise Undecided("a multistep method with irrational coefficients")
    return {"alpha": [str(x) for x in method.alpha], "beta": [str(x) for x in method.beta]}
