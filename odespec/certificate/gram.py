"""Certificates of distance claims, from proofs of Gram problems."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.gram import assumptions
from odespec.certificate.build import Draft, draft, write_number
from odespec.exact import Real, enclose
from odespec.prove.gram.problem import Form, GramProblem, Relation, Vector
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.gram.exact import Proof
    from odespec.prove.gram.threshold import Target


@dataclass(frozen=True, slots=True)
class Evidence:
    """A side of the claim with the proofs that give it: pairs (proof, number of steps that it covers)."""

    target: Target
    proofs: tuple[tuple[Proof, int], ...]


def build(
    spec: Spec,
    model: Model,
    claim: Claim,
    evidence: Sequence[Evidence],
    *,
    steps: int,
    time: Real,
    implicit: bool = False,
    solvability: Sequence[Proof] = (),
) -> Draft:
    """The certificate of a proved claim. ``time`` is T (the number of steps of a discrete map), ``steps`` their number.

    A lower side whose number is zero needs no evidence. A claim about an implicit step needs proofs of solvability.
    Raises ValueError for a claim with an irrational time that cannot be written down.
    """
    proofs: list[Proof] = []
    square, flow = "square-" * claim.mean_square, claim.subject == "flow"
    given = {square + e.target.kind: _conclude(e, proofs, square) for e in evidence}
    resolved, kinds = resolve(claim)
    proof = {
        "implicit": implicit and not flow,
        "parts": [state(p) for p in (*proofs, *(() if flow else solvability))],
        "conclusion": [given.get(kind) or {"kind": kind, "number": n, "parts": []} for kind, n in kinds],
    }
    return draft(
        spec,
        model,
        claim,
        "gram",
        proof,
        resolved=resolved,
        steps=steps,
        time=write_time(time, [e.target for e in evidence]),
        assumptions=assumptions(flow, implicit, claim.mean_square),
        slack=max((e.target.slack for e in evidence), default=Fraction(0)),
    )


def _conclude(evidence: Evidence, proofs: list[Proof], prefix: str) -> dict[str, Any]:
    uses = []
    for proof, steps in evidence.proofs:
        if proof not in proofs:
            proofs.append(proof)
        uses.append({"part": proofs.index(proof), "steps": steps})
    target = evidence.target
    number = write_number(target.number, above=target.rated or not target.upper)
    return {"kind": prefix + target.kind, "number": number, "parts": uses}


def resolve(claim: Claim) -> tuple[str, list[tuple[str, str]]]:
    """A distance claim with its numbers written out, and the kinds and numbers of its sides, in the auditor's order."""
    flow = claim.subject == "flow"
    prefix, subject = ("flow-", " of flow") if flow else ("", "")
    if claim.mean_square:
        prefix, subject = "square-" + prefix, subject + " in mean square"
    if claim.name == "nonexpansive":
        return f"nonexpansive{subject}", [(prefix + "lipschitz", "1")]
    if claim.name == "contractive":
        rate = write_number(claim.lower, above=True)
        return f"contractive(rate = {rate}){subject}", [(prefix + "contractive", rate)]
    high = write_number(claim.upper, above=False)
    if claim.name == "lipschitz":
        return f"lipschitz <= {high}{subject}", [(prefix + "lipschitz", high)]
    low = write_number(claim.lower, above=True)
    return f"gradient in [{low}, {high}]{subject}", [(prefix + "lower", low), (prefix + "lipschitz", high)]


def write_time(time: Real, targets: Sequence[Target]) -> str:
    """T; of an irrational one a fraction on the side on which the claim is the harder one.

    Raises ValueError where its two sides disagree on that.
    """
    if isinstance(time, Fraction):
        return str(time)
    harder = {
        t.number > 0 if t.rated else (t.number > 1) == t.upper for t in targets if t.rated or (t.flow and t.number != 1)
    }
    if len(harder) > 1:
        raise ValueError("an irrational time cannot be written down for this claim")
    return str(enclose(time, 128)[harder != {False}])


def state(proof: Proof) -> dict[str, Any]:
    """The part of a certificate that a proof becomes. Relations that it does not use are left out."""
    problem = proof.problem
    names = _names(problem)
    used = [
        (r, m)
        for r, m in zip(problem.relations, proof.multipliers, strict=True)
        if any(x for numbers in m for x in numbers)
    ]
    return {
        "role": problem.role,
        "sense": "lower" if problem.lower else "upper",
        "tau": str(proof.tau),
        "basis": [{"name": n, "space": v.space} for n, v in zip(names, problem.basis, strict=True)],
        "numerator": _form(problem.numerator, names),
        "denominator": _form(problem.denominator, names),
        "relations": [relation(r, m, names) for r, m in used],
    }


def _names(problem: GramProblem) -> list[str]:
    """The names of the basis vectors, numbered where two are equal."""
    names: list[str] = []
    for v in problem.basis:
        name, k = v.name, 2
        while name in names:
            name, k = f"{v.name} ({k})", k + 1
        names.append(name)
    return names


def relation(r: Relation, multipliers: Sequence[Sequence[Fraction]], names: list[str]) -> dict[str, Any]:
    return {
        "rule": r.rule,
        "vectors": {name: [vector(v, names) for v in vectors] for name, vectors in r.vectors},
        "numbers": {name: str(x) for name, x in r.numbers},
        "why": r.why,
        "multipliers": [[str(x) for x in m] for m in multipliers],
    }


def vector(v: Vector, names: list[str]) -> list[list[str]]:
    return [[names[i], str(c)] for i, c in v]


def _form(form: Form, names: list[str]) -> list[list[str]]:
    return [[names[i], names[j], str(c)] for (i, j), c in form]
