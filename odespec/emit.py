"""From a checked spec to emitted code: lowering, the refusals, the request that a back end prints."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING

from odespec import __version__, backends
from odespec.diagnostics import Note, Report, SpecError
from odespec.ir.model import Model, Network, Spec
from odespec.program.step import StepProgram

if TYPE_CHECKING:
    from odespec.prove.verdict import Checked, Verdict


def spec_hash(spec: Spec) -> str:
    """SHA-256 over the texts of all files of a spec and its overrides."""
    digest = sha256()
    for part in (*(f.text for f in spec.files), *(f"{k}={v}" for k, v in spec.overrides)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part.encode())
    return digest.hexdigest()


def emit(spec: Spec, target: str, checked: Sequence[Checked], force: bool) -> str:
    """The text of the emitted file. Raises `SpecError` with every reason why there is none."""
    backend = backends.get(target)
    report = Report()
    if not force:
        _refuse(checked, report)
    programs = [p for section in spec.sections if (p := _program(section, backend, report)) is not None]
    if report.failed:
        raise SpecError(report.errors)
    return backend.emit(
        backends.EmitRequest(
            spec_name=PurePath(spec.source.name).name,
            spec_hash=spec_hash(spec),
            version=__version__,
            programs=tuple(programs),
            verdicts=tuple(_verdicts(p, checked) for p in programs),
        )
    )


def _verdicts(program: StepProgram, checked: Sequence[Checked]) -> tuple[tuple[str, str], ...]:
    """The claims of a program's model with their verdicts; none where it was not checked."""
    found = (c for c in checked if c.model.name == program.model.name)
    return tuple((_header(v), v.verdict) for c in found for v in c.verdicts)


def _text(verdict: Verdict) -> str:
    return f"not {verdict.claim.text}" if verdict.claim.negated else verdict.claim.text


def _header(verdict: Verdict) -> str:
    """A verdict is on the claim without its `not`, so the header shows the claim so."""
    return verdict.claim.text + (", as the spec says by `not`" if verdict.claim.negated and verdict.ok else "")


def _refuse(checked: Sequence[Checked], report: Report) -> None:
    """A claim decided against what the spec asks stops the compiler; an unknown one does not."""
    for result in checked:
        for verdict in result.verdicts:
            if verdict.verdict != "unknown" and not verdict.ok:
                report.add(
                    "ODE501",
                    verdict.claim.span,
                    claim=_text(verdict),
                    verdict=verdict.verdict,
                    notes=(Note(verdict.reason),),
                    suggestion="change the spec, or emit it all the same with --force",
                )


def _program(section: Model | Network, backend: backends.Backend, report: Report) -> StepProgram | None:
    from odespec.program.lower import NotLowered, lower

    if isinstance(section, Network):
        report.add("ODE502", section.span, target=backend.name, what="a `network` section")
        return None
    try:
        program = lower(section)
    except NotLowered as error:
        report.add("ODE502", error.span, target=backend.name, what=error.what)
        return None
    for gap in backend.unsupported(program):
        report.add("ODE502", gap.span, target=backend.name, what=gap.what)
    return program
