"""What several verbs share: reading specs, reporting diagnostics, the ``-D`` option."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.diagnostics import Diagnostic, Report
from odespec.diagnostics.render import printable
from odespec.diagnostics.style import style_for

if TYPE_CHECKING:
    from odespec.ir.model import Spec
    from odespec.source import Source

STDIN = "-"


def add_definitions(parser: argparse.ArgumentParser) -> None:
    """The option ``-D name=value``."""
    parser.add_argument(
        "-D",
        dest="definitions",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_definition,
        help="override a dim or const of the spec (repeatable): -D d=128 -D gamma=1/5",
    )


def _definition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name.strip(), value.strip()


def add_format(parser: argparse.ArgumentParser) -> None:
    """The option ``--format`` for diagnostics."""
    parser.add_argument(
        "--format",
        choices=("text", "concise"),
        default="text",
        help="how diagnostics are written: with excerpts, or one a line for editors (default: text)",
    )


def load(path: str, options: argparse.Namespace) -> tuple[Spec | None, Report]:
    """Load a spec; None where it has errors."""
    from odespec.ir.load import load_source

    report = Report()
    source = read(path, report)
    if source is None:
        return None, report
    place = None if path == STDIN else Path(path)
    base = Path() if place is None else place.parent
    spec = load_source(source, dict(options.definitions), report, base, place)
    return (None if report.failed else spec), report


def read(path: str, report: Report) -> Source | None:
    """The text of a file, or of standard input."""
    from odespec.syntax.read import MAX_BYTES, read_bytes, read_source

    if path == STDIN:
        return read_bytes("<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1), report)
    return read_source(Path(path), report)


def show(diagnostics: Iterable[Diagnostic], how: str = "text") -> None:
    """Write diagnostics to standard error."""
    from odespec.diagnostics import render

    found = list(diagnostics)
    style = style_for(sys.stderr)
    for diagnostic in found:
        print(
            render.concise(diagnostic) if how == "concise" else render.text(diagnostic, style) + "\n", file=sys.stderr
        )
    if found and how == "text":
        codes = list(dict.fromkeys(d.code for d in found))
        more = (
            f" (`odespec explain {codes[0]}` says more)" if len(codes) == 1 else " (`odespec explain CODE` says more)"
        )
        print(render.summary(found) + style.dim(more), file=sys.stderr)


def emit(text: str) -> None:
    """Write a text to standard output as UTF-8, whatever the terminal's encoding: it is a file's content."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode("utf-8"))
    buffer.flush()


def fail(message: str) -> int:
    """A mistake in how the command was called, or in what it found on the disk: exit status 2."""
    print(f"odespec: {printable(message)}", file=sys.stderr)
    return 2
