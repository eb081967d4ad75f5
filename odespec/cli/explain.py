"""``odespec explain``: a diagnostic, or anything that has a name in the language."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from odespec.cli.common import fail
from odespec.diagnostics.style import Style, style_for

if TYPE_CHECKING:
    from odespec.reference import Entry

DESCRIPTION = """Explain a diagnostic by its code, or any name of the language: a statement, a relation, a function, an
activation (with its exact slope interval), a structure, a claim, a solver (with the facts computed from it)."""
EXAMPLES = """examples:
  odespec explain ODE301            a diagnostic: what is wrong, an example that fails, one that passes
  odespec explain nonexpansive      a claim
  odespec explain gelu rk4          an activation, a solver
  odespec explain --list            every name there is
"""
MAX_WIDTH = 100


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="CODE|NAME", help="a code such as ODE201 (in any case), or a name")
    parser.add_argument("--list", action="store_true", help="list every name")
    parser.add_argument("--json", action="store_true", help="print a JSON list of entries")


def run(options: argparse.Namespace) -> int:
    if options.list:
        return _list(options.json)
    if not options.names:
        return fail("nothing to explain: name a code or a word of the language, or use --list")
    return _explain(options.names, options.json)


def _list(as_json: bool) -> int:
    from odespec.reference import entries

    found = list(entries())
    if as_json:
        print(json.dumps([dataclasses.asdict(e) for e in found], indent=2))
        return 0
    width = max(len(e.name) for e in found)
    for entry in found:
        print(f"{entry.name:{width}}  {entry.kind:10}  {entry.summary}")
    return 0


def _explain(names: list[str], as_json: bool) -> int:
    from odespec.reference import lookup

    found: list[Entry] = []
    status = 0
    for name in names:
        matches = lookup(name)
        found.extend(matches)
        if not matches:
            status = _unknown(name)
    if as_json:
        print(json.dumps([dataclasses.asdict(e) for e in found], indent=2))
    elif found:
        show(found)
    return status


def show(found: Sequence[Entry]) -> None:
    """Print entries to standard output."""
    style = style_for(sys.stdout)
    print("\n\n".join(_text(e, style) for e in found))


def _unknown(name: str) -> int:
    from odespec.diagnostics.suggest import nearest
    from odespec.reference import names

    near = nearest(name, names())
    return fail(
        f"there is nothing called {name!a}; "
        + (f"did you mean `{near}`?" if near else "`odespec explain --list` has all names")
    )


def _text(entry: Entry, style: Style) -> str:
    parts = [f"{style.bold(entry.name)} {style.dim(f'({entry.kind})')}: {entry.summary}"]
    if entry.kind != "diagnostic":
        parts.append(f"    {entry.form}")
    if entry.facts:
        parts.append("\n".join(f"    {style.dim(label + ':')} {value}" for label, value in entry.facts))
    if entry.text:
        parts.append(_filled(entry.text))
    for title, example in entry.examples:
        parts.append(f"{style.bold(title)}\n" + textwrap.indent(example.rstrip("\n"), "    "))
    return "\n\n".join(parts)


def _filled(text: str) -> str:
    """Paragraphs at the width of the terminal, at most `MAX_WIDTH`."""
    width = min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns)
    return "\n\n".join(
        textwrap.fill(" ".join(p.split()), max(width, 40), break_long_words=False) for p in text.split("\n\n")
    )
