"""``odespec fmt``: one layout for every spec."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odespec.cli.common import STDIN, add_format, emit, fail, read, show
from odespec.diagnostics import Report
from odespec.diagnostics.render import printable
from odespec.files import write_atomic

DESCRIPTION = "Format specs in place. Comments stay, meaning stays, and formatting twice changes nothing."
EXAMPLES = """examples:
  odespec fmt specs/*.ode
  odespec fmt --check specs/*.ode      exit 1 where a file would change
  odespec fmt - < draft.ode            from standard input to standard output

exit status: 0 formatted; 1 with --check or --diff: a file would change; 2 a spec has errors (it is left alone)
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
    source = read(name, report)
    if source is None or parse(source, report) is None or report.failed:
        show(report, options.format)
        return 2
    formatted = format_source(source)
    if options.diff:
        _print_diff(name, source.text, formatted)
    if options.check or options.diff:
        if options.check and formatted != source.text:
            print(f"{printable(name)}: would be reformatted", file=sys.stderr)
        return int(formatted != source.text)
    return _write(name, source.text, formatted)


def _print_diff(name: str, old: str, new: str) -> None:
    from difflib import unified_diff

    for line in unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (formatted)", lineterm=""):
        print(printable(line))


def _write(name: str, old: str, new: str) -> int:
    if name == STDIN:
        emit(new)
    elif new != old:
        try:
            write_atomic(Path(name), new)
        except OSError as error:
            return fail(f"cannot write {name}: {error.strerror}")
        print(f"formatted {printable(name)}")
    return 0
