"""What several verbs share: reading specs, reporting diagnostics, the ``-D`` option."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.diagnostics import Diagnostic, Report
from odespec.diagnostics.style import style_for

if TYPE_CHECKING:
    from odespec.ir.model import Spec


def add_definitions(parser: argparse.ArgumentParser) -> None:
    """The option ``-D name=value``."""
    parser.add_argument(
        "-D",
        dest="definitions",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_definition,
        help="override a dim or const of the spec (repeatable)",
    )


def _definition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name.strip(), value.strip()


def add_format(parser: argparse.ArgumentParser) -> None:
    """The option ``--format`` for diagnostics."""
    parser.add_argument(
        "--format", choices=("text", "concise"), default="text", help="how diagnostics are written (default: text)"
    )


def load(path: str, options: argparse.Namespace) -> tuple[Spec | None, Report]:
    """Load a spec; None where it has errors."""
    from odespec.ir.load import load as load_spec

    report = Report()
    spec = load_spec(Path(path), dict(options.definitions), report)
    return (None if report.failed else spec), report


def show(diagnostics: Iterable[Diagnostic], how: str = "text") -> None:
    """Write diagnostics to standard error."""
    from odespec.diagnostics import render

    found = list(diagnostics)
    style = style_for(sys.stderr)
    for diagnostic in found:
        print(render.concise(diagnostic) if how == "concise" else render.text(diagnostic, style) + "\n", file=sys.stderr)
    if found and how == "text":
        print(render.summary(found), file=sys.stderr)


def fail(message: str) -> int:
    """A mistake in how the command was called, or in what it found on the disk: exit status 2."""
    print(f"odespec: {message}", file=sys.stderr)
    return 2
