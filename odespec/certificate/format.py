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

    role: Literal["step", "flow", "solvability", "square-step", "square-flow"]
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

    kind: Literal[
        "lipschitz",
        "lower",
        "contractive",
        "flow-lipschitz",
        "flow-lower",
        "flow-contractive",
        "square-lipschitz",
        "square-contractive",
        "square-flow-lipschitz",
        "square-flow-contractive",
    ]
    number: str
    parts: list[Use]


class GramProof(_Strict):
    """The proof of kind ``gram``: ``implicit`` says whether the step has equations to solve."""

    implicit: bool
    parts: list[Part]
    conclusion: list[Conclusion]


class ChainPart(_Strict):
    """A part of a chain, with its role in it and the segment that it speaks of: the other fields are those of `Part`."""

    role: Literal["way", "start", "step", "input", "output", "direct", "solvability"]
    segment: str
    sense: Literal["upper", "lower"]
    tau: Number
    basis: list[Basis]
    numerator: list[Pair]
    denominator: list[Pair]
    relations: list[StatedRelation]

    @property
    def plain(self) -> Part:
        """The same without its place in the chain."""
        role: Literal["step", "solvability"] = "solvability" if self.role == "solvability" else "step"
        fields = {name: getattr(self, name) for name in Part.model_fields if name != "role"}
        return Part(role=role, **fields)


class ChainUse(_Strict):
    part: int
    times: int


class ChainConclusion(_Strict):
    """One inequality of the claim, and the parts along the way that give it."""

    kind: Literal["lipschitz", "lower", "contractive"]
    number: str
    chain: list[ChainUse]


class ChainProof(_Strict):
    """The proof of kind ``endpoint``. ``moved``: what differs in the two runs."""

    implicit: bool
    moved: Literal["states", "input", "sequence"]
    parts: list[ChainPart]
    conclusion: list[ChainConclusion]


class NetworkPart(_Strict):
    """A part of a chain in a network, with the number of the piece that it speaks of."""

    piece: int
    role: Literal["way", "solvability"]
    segment: str
    sense: Literal["upper", "lower"]
    tau: Number
    basis: list[Basis]
    numerator: list[Pair]
    denominator: list[Pair]
    relations: list[StatedRelation]

    @property
    def plain(self) -> ChainPart:
        """Without the number of the piece."""
        return ChainPart.model_validate(self.model_dump(exclude={"piece"}))


class NetworkPiece(_Strict):
    name: str
    steps: int
    subject: Literal["map", "output"]
    implicit: bool


class NetworkConclusion(_Strict):
    """One inequality of the claim, with a chain for each piece."""

    kind: Literal["lipschitz", "lower"]
    number: str
    chains: list[list[ChainUse]]


class NetworkProof(_Strict):
    """The proof of kind ``network``."""

    pieces: list[NetworkPiece]
    parts: list[NetworkPart]
    conclusion: list[NetworkConclusion]


class LyapunovPart(_Strict):
    """One role of a form in a proof of kind ``lyapunov``: see `odespec.prove.lyapunov.joint`."""

    role: Literal["step", "flow", "below", "above"]
    span: int
    tau: Number
    basis: list[Basis]
    before: dict[str, list[Term]]
    after: dict[str, list[Term]]
    distance: list[list[Term]]
    relations: list[StatedRelation]


class LyapunovEnd(_Strict):
    kind: Literal["lipschitz", "contractive", "flow-lipschitz", "flow-contractive"]
    number: str


class LyapunovProof(_Strict):
    """The proof of kind ``lyapunov``, as `odespec.certificate.lyapunov` makes it."""

    implicit: bool
    coordinates: bool
    lift: list[str]
    form: list[Pair]
    parts: list[LyapunovPart]
    solvability: list[Part]
    conclusion: LyapunovEnd


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
