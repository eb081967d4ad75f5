"""``odespec fmt``: one layout for every spec."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from odespec.cli.common import add_format, fail, show
from odespec.diagnostics import Report
from odespec.files import write_atomic
from odespec.source import Source

DESCRIPTION = "Format specs in place. Comments stay, meaning stays, and formatting twice changes nothing."
EXAMPLES = """examples:
  odespec fmt specs/*.ode
  odespec fmt --check specs/*.ode      exit 1 where a file would change
  odespec fmt - < draft.ode            from standard input to standard output
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a spec, or - for standard input")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file would change")
    parser.add_argument("--diff", action="store_true", help="write nothing; print what would change")
    add_format(parser)


def run(options: argparse.Namespace) -> int:
    return max(_format(name, options) for name in options.files)


def _format(name: str, options: argparse.Namespace) -> int:
    from odespec.syntax.formatter import format_source
    from odespec.syntax.parser import parse

    report = Report()
    source = _read(name, report)
    if source is None or parse(source, report) is None or report.failed:
        show(report, options.format)
        return 2
    formatted = format_source(source)
    if options.diff:
        lines = difflib.unified_diff(
            source.text.splitlines(keepends=True), formatted.splitlines(keepends=True), name, f"{name} (formatted)"
        )
        sys.stdout.writelines(lines)
    if options.check or options.diff:
        if options.check and formatted != source.text:
            print(f"{name}: would be reformatted", file=sys.stderr)
        return int(formatted != source.text)
    return _write(name, source.text, formatted)


def _read(name: str, report: Report) -> Source | None:
    from odespec.syntax.parser import read_bytes, read_source

    if name == "-":
        return read_bytes("<stdin>", sys.stdin.buffer.read(), report)
    return read_source(Path(name), report)


def _write(name: str, old: str, new: str) -> int:
    if name == "-":
        sys.stdout.write(new)
        return 0
    if new != old:
        try:
            write_atomic(Path(name), new)
        except OSError as error:
            return fail(f"cannot write {name}: {error.strerror}")
        print(f"formatted {name}")
    return 0
