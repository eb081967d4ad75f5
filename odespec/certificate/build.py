"""From proofs to certificates, as plain data: the JSON text is deterministic, and written without pydantic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from odespec import __version__
from odespec.certificate.auditor import audit_text
from odespec.certificate.auditor.core import FORMAT, digest, text_hash
from odespec.exact import Real, enclose
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Claim, Model, Network, Spec


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate that was just made; `odespec.certificate.format` has the fields of ``body``."""

    body: dict[str, Any]

    def text(self) -> str:
        """The JSON text: deterministic, with a digest of everything in it."""
        return serialise(self.body)

    def accepted(self) -> bool:
        """Whether the independent auditor accepts it: nothing may be called proved that it would reject."""
        return audit_text(self.text()).ok


def serialise(body: dict[str, Any]) -> str:
    return json.dumps({**body, "digest": digest(body)}, indent=1, ensure_ascii=False) + "\n"


def draft(
    spec: Spec,
    model: Model | Network,
    claim: Claim,
    kind: str,
    proof: dict[str, Any],
    *,
    resolved: str,
    steps: int,
    time: str,
    assumptions: Sequence[str],
    slack: Fraction = Fraction(0),
) -> Draft:
    """A certificate with a proof of some kind: data as the file of that name in `odespec.certificate.auditor` reads it.

    ``resolved`` is the claim with its numbers written out, ``time`` is T as a fraction (the number of steps of a map).
    """
    header = {
        "format": FORMAT,
        "odespec": __version__,
        "spec": _spec(spec),
        "model": model.name,
        "claim": {"text": claim.text, "negated": claim.negated, "resolved": resolved},
        "verdict": "proved",
        "slack": str(slack),
        "steps": steps,
        "time": time,
    }
    return Draft({**header, "kind": kind, "proof": proof, "assumptions": list(assumptions)})


def _spec(spec: Spec) -> dict[str, Any]:
    files = [{"name": PurePath(f.name).name, "text": f.text} for f in spec.files]
    overrides = [[name, value] for name, value in spec.overrides]
    return {"files": files, "overrides": overrides, "sha256": text_hash([f["text"] for f in files], overrides)}


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
