"""The format of certificates: what is proved of a claim, why, and all that an auditor needs to prove it again.

`odespec.certificate.build` makes them, `odespec.certificate.auditor` checks them; neither needs this module or pydantic.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

from odespec.certificate.build import Draft, serialise
from odespec.files import write_atomic

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


class GramProof(_Strict):
    """The proof of kind ``gram``: ``implicit`` says whether the step has equations to solve."""

    implicit: bool
    parts: list[Part]
    conclusion: list[Conclusion]


Shape = TypeVar("Shape", bound=BaseModel)


class Certificate(_Strict):
    """See the fields' models; ``slack`` weakens bounds relatively, ``time`` is T.

    ``proof`` is plain data, of which the auditor's file of that ``kind`` has the schema.
    """

    format: Literal[1]
    odespec: str
    spec: SpecText
    model: str
    claim: ClaimText
    verdict: Literal["proved"]
    slack: Number
    steps: int
    time: Number
    kind: str
    proof: dict[str, Any]
    assumptions: list[str]

    def text(self) -> str:
        """The JSON text: deterministic, with a digest of everything in it."""
        return serialise(self.model_dump(mode="json"))

    def proof_as(self, shape: type[Shape]) -> Shape:
        """The proof, its shape checked. Raises ValueError (pydantic's ValidationError)."""
        return shape.model_validate_json(json.dumps(self.proof))


def write(certificate: Certificate | Draft, path: Path) -> None:
    """Check the shape and write the JSON text atomically. Raises ValueError, OSError."""
    write_atomic(path, read(certificate.text()).text())


def read(text: str) -> Certificate:
    """The certificate of a JSON text, its shape checked. It proves nothing: that is the auditor's part.

    Raises ValueError (of which pydantic's ValidationError is one).
    """
    body: Any = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("not a certificate")
    body.pop("digest", None)
    return Certificate.model_validate_json(json.dumps(body))
