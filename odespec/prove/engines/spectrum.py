"""`stable` and `stable of flow`: eigenvalues of the linearised step, or field, with frozen slopes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from odespec.prove.gram.exact import Proof
from odespec.prove.relate.operators import NoRelation
from odespec.prove.spectrum.contraction import contraction
from odespec.prove.spectrum.frozen import NoTangent
from odespec.prove.spectrum.prove import Proved, linearised, prove_components
from odespec.prove.spectrum.scheme import NoScheme, scheme_of
from odespec.prove.verdict import Task, Verdict

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

NOTE = (
    "a multiple eigenvalue on the boundary may still let runs grow, and `stable` (frozen slopes) "
    "does not imply `nonexpansive`"
)


def decide(task: Task) -> Verdict:
    """Prove the claim by regions of eigenvalues, else look for weights and a state with an eigenvalue outside."""
    if task.claim.subject not in ("map", "flow") or task.claim.mean_square:
        return Verdict(task.claim, "unknown", "`stable` is a claim about the step, or the flow, alone", "spectrum")
    try:
        reason, verdict = _proved(task)
    except (NoScheme, NoTangent, NoRelation) as error:
        reason, verdict = str(error), None
    return verdict or _refuted(task) or Verdict(task.claim, "unknown", f"{reason}; {NOTE}", "spectrum")


def _proved(task: Task) -> tuple[str, Verdict | None]:
    scheme = scheme_of(task.model, task.claim.subject)
    reason, found, tame = _components(task, scheme)
    certificate = None if found is None else _certificate(task, scheme, found, None, tame)
    if certificate is None:
        proof = contraction(task.model, scheme)
        certificate = None if proof is None else _certificate(task, scheme, (), proof, False)
    if certificate is None:
        return reason or "the equations of a step were not shown to have one solution", None
    return "", Verdict(task.claim, "proved", _statement(task), "spectrum", certificate=certificate)


def _components(task: Task, scheme: dict[str, Any]) -> tuple[str, tuple[Proved, ...] | None, bool]:
    """A region for each component, or a reason why one is missing; whether differences of states obey the frozen field."""
    if scheme["family"] == "other":
        return f"no stability function of `{task.model.solver.name}` is known here", None, False
    try:
        linear = linearised(task.model, scheme["family"])
    except (NoTangent, NoRelation) as error:
        return str(error), None, False
    if linear is None:
        return "the linearised field is no sum of products of operators", None, False
    found = prove_components(linear, scheme, lambda: task.deadline is not None and time.monotonic() > task.deadline)
    if isinstance(found, str):
        return f"no region of the eigenvalues of {found} was found that the method allows", None, False
    return "", found, linear.frozen.tame


def _certificate(
    task: Task, scheme: dict[str, Any], found: tuple[Proved, ...], proof: Proof | None, tame: bool
) -> Draft | None:
    from odespec.prove.spectrum.certificate import build

    certificate = build(task.spec, task.model, task.claim, scheme, found, proof, tame)
    return certificate if certificate is not None and certificate.accepted() else None


def _statement(task: Task) -> str:
    flow = task.claim.subject == "flow"
    what = (
        "no eigenvalue of the Jacobian has a positive real part"
        if flow
        else "every eigenvalue lies where the method allows"
    )
    return f"{what}, for all frozen slopes; {NOTE}"


def _refuted(task: Task) -> Verdict | None:
    from odespec.prove.spectrum.refute import refute

    if not task.options.refute:
        return None
    found = refute(task)
    if found is None:
        return None
    found = found.with_spec(task.spec)
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", lower=found.measured, counterexample=found)


__all__ = ["decide"]
