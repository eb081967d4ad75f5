"""Certificates: what is proved of a claim, why, and everything that an auditor needs to prove it again.

The JSON text is deterministic. `odespec.certificate.audit` checks it without this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from odespec import __version__
from odespec.certificate.audit import FORMAT, assumptions, digest, text_hash
from odespec.exact import Real, enclose
from odespec.files import write_atomic
from odespec.prove.problem import Form, GramProblem, Relation, Vector

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Spec
    from odespec.prove.exact import Proof
    from odespec.prove.threshold import Target

Number = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+(/[0-9]+)?$")]
Term = tuple[str, Number]
Pair = tuple[str, str, Number]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class File(_Strict):
    name: str
    text: str


class SpecText(_Strict):
    """The texts of a spec, itself first; ``sha256`` is over them and the overrides."""

    files: list[File]
    overrides: list[tuple[str, str]]
    sha256: str


class ClaimText(_Strict):
    """``text`` stands in the spec; ``resolved`` is the same claim with its numbers written out."""

    text: str
    negated: bool
    resolved: str


class Basis(_Strict):
    name: str
    space: int


class StatedRelation(_Strict):
    """One relation by its rule, with the multipliers of its constraints (a matrix by its lower triangle)."""

    rule: str
    vectors: dict[str, list[list[Term]]]
    numbers: dict[str, Number]
    why: str
    multipliers: list[list[Number]]


class Part(_Strict):
    """``numerator <= tau * denominator`` (``sense`` upper; >= for lower) for all vectors that obey the relations."""

    role: Literal["step", "flow", "solvability"]
    sense: Literal["upper", "lower"]
    tau: Number
    basis: list[Basis]
    numerator: list[Pair]
    denominator: list[Pair]
    relations: list[StatedRelation]


class Use(_Strict):
    part: int
    steps: int


class Conclusion(_Strict):
    """One inequality of the claim, and the parts that give it, each for so many steps (1 for a flow)."""

    kind: Literal["lipschitz", "lower", "contractive", "flow-lipschitz", "flow-lower", "flow-contractive"]
    number: str
    parts: list[Use]


class Certificate(_Strict):
    """See the fields' models; ``slack`` weakens the bounds on distances relatively, ``time`` is T."""

    format: int = FORMAT
    odespec: str = __version__
    spec: SpecText
    model: str
    claim: ClaimText
    verdict: Literal["proved"] = "proved"
    slack: Number
    steps: int
    time: Number
    implicit: bool
    parts: list[Part]
    conclusion: list[Conclusion]
    assumptions: list[str]

    def text(self) -> str:
        """The JSON text: deterministic, with a digest of everything in it."""
        import json

        body = json.loads(self.model_dump_json())
        return json.dumps({**body, "digest": digest(body)}, indent=1, ensure_ascii=False) + "\n"


def write(certificate: Certificate, path: Path) -> None:
    """Write the JSON text atomically. Raises OSError."""
    write_atomic(path, certificate.text())


def read(text: str) -> Certificate:
    """The certificate of a JSON text, its shape checked. It proves nothing: that is the auditor's part.

    Raises ValueError (of which pydantic's ValidationError is one).
    """
    import json

    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("not a certificate")
    body.pop("digest", None)
    return Certificate.model_validate_json(json.dumps(body))


# --- building --------------------------------------------------------------------


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
) -> Certificate:
    """The certificate of a proved claim. ``time`` is T (the number of steps of a discrete map), ``steps`` their number.

    A lower side whose number is zero needs no evidence. A claim about an implicit step needs proofs of solvability.
    Raises ValueError for a claim with an irrational time that cannot be written down.
    """
    proofs: list[Proof] = []
    conclusions = {e.target.kind: _conclude(e, proofs) for e in evidence}
    resolved, kinds = resolve(claim)
    flow = claim.subject == "flow"
    wanted = [conclusions.get(k) or Conclusion(kind=k, number=n, parts=[]) for k, n in kinds]  # type: ignore[arg-type]
    overrides = [(k, v) for k, v in spec.overrides]
    files = [File(name=PurePath(f.name).name, text=f.text) for f in spec.files]
    return Certificate(
        spec=SpecText(
            files=files,
            overrides=overrides,
            sha256=text_hash([f.text for f in files], [list(o) for o in overrides]),
        ),
        model=model.name,
        claim=ClaimText(text=claim.text, negated=claim.negated, resolved=resolved),
        slack=str(max((e.target.slack for e in evidence), default=Fraction(0))),
        steps=steps,
        time=write_time(time, [e.target for e in evidence]),
        implicit=implicit and not flow,
        parts=[state(p) for p in (*proofs, *(() if flow else solvability))],
        conclusion=wanted,
        assumptions=assumptions(flow, implicit),
    )


def _conclude(evidence: Evidence, proofs: list[Proof]) -> Conclusion:
    uses = []
    for proof, steps in evidence.proofs:
        if proof not in proofs:
            proofs.append(proof)
        uses.append(Use(part=proofs.index(proof), steps=steps))
    target = evidence.target
    number = write_number(target.number, above=target.rated or not target.upper)
    return Conclusion(kind=target.kind, number=number, parts=uses)  # type: ignore[arg-type]


def resolve(claim: Claim) -> tuple[str, list[tuple[str, str]]]:
    """A distance claim with its numbers written out, and the kinds and numbers of its sides, in the auditor's order."""
    flow = claim.subject == "flow"
    prefix, subject = ("flow-", " of flow") if flow else ("", "")
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


def write_number(value: Real | None, *, above: bool) -> str:
    """A fraction, or the square root of one; else a fraction just above or just below. Raises TypeError for None."""
    if value is None:
        raise TypeError("the claim lacks a number")
    if isinstance(value, Fraction):
        return str(value)
    square = value * value
    if isinstance(square, Fraction) and value > 0:
        return f"sqrt({square})"
    return str(enclose(value, 128)[above])


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


def state(proof: Proof) -> Part:
    """The part of a certificate that a proof becomes. Relations that it does not use are left out."""
    problem = proof.problem
    names = _names(problem)
    used = [
        (r, m)
        for r, m in zip(problem.relations, proof.multipliers, strict=True)
        if any(x for numbers in m for x in numbers)
    ]
    return Part(
        role=problem.role,  # type: ignore[arg-type]
        sense="lower" if problem.lower else "upper",
        tau=str(proof.tau),
        basis=[Basis(name=n, space=v.space) for n, v in zip(names, problem.basis, strict=True)],
        numerator=_form(problem.numerator, names),
        denominator=_form(problem.denominator, names),
        relations=[_relation(r, m, names) for r, m in used],
    )


def _names(problem: GramProblem) -> list[str]:
    """The names of the basis vectors, numbered where two are equal."""
    names: list[str] = []
    for v in problem.basis:
        name, k = v.name, 2
        while name in names:
            name, k = f"{v.name} ({k})", k + 1
        names.append(name)
    return names


def _relation(r: Relation, multipliers: Sequence[Sequence[Fraction]], names: list[str]) -> StatedRelation:
    return StatedRelation(
        rule=r.rule,
        vectors={name: [_vector(v, names) for v in vectors] for name, vectors in r.vectors},
        numbers={name: str(x) for name, x in r.numbers},
        why=r.why,
        multipliers=[[str(x) for x in m] for m in multipliers],
    )


def _vector(v: Vector, names: list[str]) -> list[Term]:
    return [(names[i], str(c)) for i, c in v]


def _form(form: Form, names: list[str]) -> list[Pair]:
    return [(names[i], names[j], str(c)) for (i, j), c in form]
