"""Certificates of `stable`."""

from __future__ import annotations

from typing import Any

from odespec.certificate.auditor.spectrum import assumptions
from odespec.certificate.build import Draft, draft
from odespec.certificate.gram import state
from odespec.exact import enclose
from odespec.ir.model import Claim, Model, Spec
from odespec.program.lower import NotLowered, lower
from odespec.prove.gram.exact import Proof
from odespec.prove.gram.solve import finite
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import solvability_problem
from odespec.prove.spectrum.prove import Proved
from odespec.prove.spectrum.scheme import BITS, rounded


def resolved(claim: Claim) -> str:
    return "stable of flow" if claim.subject == "flow" else "stable"


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    scheme: dict[str, Any],
    found: tuple[Proved, ...],
    contraction: Proof | None = None,
    tame: bool = False,
) -> Draft | None:
    """The certificate, from proofs of all components or of a step that expands no distance.

    ``tame``: differences of two states obey the frozen field, so that it shows that stages can be solved one by one.

    None where equations of a step are not shown to be solvable.
    """
    parts: list[Proof] = []
    components = [p.stated(model, scheme["family"], parts) for p in found]
    kept = [] if contraction is None else [contraction]
    solvable: list[Proof] = []
    solves = implicit(scheme, model)
    if solves and (coupled(scheme) or not found or not tame):
        proof = _solvability(model)
        if proof is None:
            return None
        solvable = [proof]
    proof_data = {
        "scheme": scheme,
        "implicit": solves,
        "rounded": scheme["family"] != "flow" and rounded(model),
        "solvable": list(range(len(parts), len(parts) + len(solvable))),
        "contraction": list(range(len(parts) + len(solvable), len(parts) + len(solvable) + len(kept))),
        "components": components,
        "parts": [state(p) for p in (*parts, *solvable, *kept)],
    }
    steps, time = measures(model)
    return draft(
        spec,
        model,
        claim,
        "spectrum",
        proof_data,
        resolved=resolved(claim),
        steps=steps,
        time=time,
        assumptions=assumptions(scheme["family"]),
    )


def measures(model: Model) -> tuple[int, str]:
    """The number of steps and the time T as a certificate has them."""
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    if model.time is None:
        return steps, str(steps)
    length = model.time.end - model.time.start
    return steps, str(enclose(length, BITS)[1])


def implicit(scheme: dict[str, Any], model: Model) -> bool:
    """Whether a step has equations to solve."""
    if scheme["family"] == "runge-kutta":
        return any(a != "0" for i, row in enumerate(scheme["A"]) for a in row[i:])
    if scheme["family"] == "other":
        return bool(lower(model).solves)
    return bool(scheme["family"] == "imex" or (scheme["family"] == "multistep" and scheme["beta"][-1] != "0"))


def coupled(scheme: dict[str, Any]) -> bool:
    return scheme["family"] == "runge-kutta" and any(
        a != "0" for i, row in enumerate(scheme["A"]) for a in row[i + 1 :]
    )


def _solvability(model: Model) -> Proof | None:
    """A proof that the equations of a step have one solution (any finite gain)."""
    try:
        problem = solvability_problem(lower(model))
    except (NotLowered, NoRelation):
        return None
    return None if problem is None else finite(problem)
