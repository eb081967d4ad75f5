"""Diagnostics as text for people, as one line for editors, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from odespec.diagnostics import Diagnostic
from odespec.diagnostics.style import PLAIN, Style
from odespec.source import Span

MAX_EXCERPT = 160
"""Longer lines are cut around the caret, so that a spec of one endless line stays readable."""


def text(diagnostic: Diagnostic, style: Style = PLAIN) -> str:
    """Severity, code and message, the excerpt with a caret, then notes and the suggestion.

    >>> error[ODE201]: unknown name `w`
    >>>   --> gradient_flow.ode:9:14
    >>>    |
    >>>  9 | x' = -W.T @ w
    >>>    |             ^
    >>>    = help: did you mean `W`?
    """
    colour = style.error if diagnostic.severity == "error" else style.warning
    head = colour(f"{diagnostic.severity}[{diagnostic.code}]") + style.bold(f": {printable(diagnostic.message)}")
    lines = [head, *_place(diagnostic.span, colour, style)]
    for note in diagnostic.notes:
        lines.append(f"   = {style.dim('note')}: {printable(note.text)}")
        lines.extend(_place(note.span, style.dim, style))
    if diagnostic.suggestion:
        lines.append(f"   = {style.good('help')}: {printable(diagnostic.suggestion)}")
    return "\n".join(lines)


def concise(diagnostic: Diagnostic) -> str:
    """``file:line:column: severity[code]: message; help``, on one line."""
    where = (
        f"{diagnostic.span.source.name}:{diagnostic.span.line}:{diagnostic.span.column}: " if diagnostic.span else ""
    )
    help_ = f" ({diagnostic.suggestion})" if diagnostic.suggestion else ""
    line = f"{where}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{help_}"
    return printable(" ".join(line.split()))


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as plain data; lines and columns are counted from one."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **_span(diagnostic.span),
        "suggestion": diagnostic.suggestion,
        "notes": [{"text": note.text, **_span(note.span)} for note in diagnostic.notes],
    }


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """``2 errors, 1 warning``; empty where there is nothing to say."""
    severities = [d.severity for d in diagnostics]
    counts = ((severities.count(s), s) for s in ("error", "warning"))
    return ", ".join(f"{n} {s}{'s' * (n > 1)}" for n, s in counts if n)


def _span(span: Span | None) -> dict[str, Any]:
    if span is None:
        return {"file": None, "line": None, "column": None, "end_line": None, "end_column": None}
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _place(span: Span | None, colour: Any, style: Style) -> list[str]:
    """The arrow line and the excerpt with a caret under the first line of the span."""
    if span is None:
        return []
    line, column = span.source.position(span.start)
    number = str(line)
    gutter = " " * len(number)
    before, marked, after = _cut(span.source.line(line), column - 1, span.end - span.start)
    # Tabs are copied into the caret line, so that the caret stands under its text at any tab width.
    padding = "".join("\t" if c == "\t" else " " for c in before)
    return [
        f" {gutter}{style.dim('-->')} {printable(span.source.name)}:{line}:{column}",
        f" {gutter} {style.dim('|')}",
        f" {style.dim(number)} {style.dim('|')} {printable(before + marked + after)}",
        f" {gutter} {style.dim('|')} {padding}{colour('^' * max(1, len(marked)))}",
    ]


def _cut(line: str, start: int, length: int) -> tuple[str, str, str]:
    """The line before, in and behind the span, shortened around the span where it is long."""
    end = min(len(line), start + length)
    if len(line) <= MAX_EXCERPT:
        return line[:start], line[start:end], line[end:]
    left = max(0, start - MAX_EXCERPT // 2)
    right = min(len(line), left + MAX_EXCERPT)
    before = ("…" if left else "") + line[left:start]
    return before, line[start : min(end, right)], line[min(end, right) : right] + ("…" if right < len(line) else "")


def printable(line: str) -> str:
    """Control characters of a hostile file, or of its name, must not reach a terminal."""
    return line if line.isprintable() else "".join(c if c == "\t" or c.isprintable() else "�" for c in line)
