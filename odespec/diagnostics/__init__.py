"""Diagnostics as values: what is wrong, where, and what would mend it.

The compiler never prints and never exits: its passes add diagnostics to a `Report`, and the command line renders them.
Each kind of diagnostic is one page in ``pages/`` (see `odespec.diagnostics.catalogue`): its code, message,
explanation, a failing and a passing example. The message's placeholders are filled from `Diagnostic.values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from odespec.records import dataclass
from odespec.source import Span


@dataclass(frozen=True, slots=True)
class Note:
    """A further place or remark that belongs to a diagnostic."""

    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. ``span`` is None only where there is no text to point at (a missing file)."""

    code: str
    span: Span | None
    values: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    suggestion: str | None = None

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        from odespec.diagnostics.catalogue import page

        return page(self.code).severity

    @property
    def message(self) -> str:
        from odespec.diagnostics.catalogue import page

        return page(self.code).message.format_map(self.values)


class Report:
    """Collects the diagnostics of one run, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def add(
        self,
        code: str,
        span: Span | None,
        *,
        notes: tuple[Note, ...] = (),
        suggestion: str | None = None,
        **values: object,
    ) -> None:
        """Add a diagnostic; ``values`` fill the placeholders of its message."""
        texts = {key: str(value) for key, value in values.items()}
        self._found.append(Diagnostic(code, span, texts, notes, suggestion))

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self._found if d.severity == "error")

    @property
    def failed(self) -> bool:
        return bool(self.errors)


class SpecError(Exception):
    """Raised by the Python API for a spec with errors; ``diagnostics`` has them all."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(f"{d.code}: {d.message}" for d in diagnostics))
