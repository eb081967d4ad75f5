"""``odespec solvers``: the solvers and what is known of them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.cli.common import fail
from odespec.cli.progress import Progress

if TYPE_CHECKING:
    from odespec.solvers import Method
    from odespec.solvers.summary import Summary

DESCRIPTION = """List the solvers; explain the ones that are named, with everything computed from their coefficients in
exact arithmetic (stability limits, circle contractivity, algebraic properties)."""
EXAMPLES = """examples:
  odespec solvers                   all, one line each
  odespec solvers rk4 radau5        everything known of two
  odespec solvers --json            everything known of all; it takes some seconds
  odespec solvers --json euler heun

in JSON: real_axis, imag_axis, ssp and circle_radius are numbers or "inf"; null where a fact has no meaning for the
solver's kind, or is not computed for it.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="solvers to explain (default: list all)")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")


def run(options: argparse.Namespace) -> int:
    from odespec.diagnostics.suggest import nearest
    from odespec.solvers import SOLVERS

    known = {name.lower(): method for name, method in SOLVERS.items()}
    for name in options.names:
        if name.lower() not in known:
            near = nearest(name, SOLVERS)
            advice = f"did you mean `{near}`?" if near else "`odespec solvers` lists them all"
            return fail(f"there is no solver {name!a}; {advice}")
    chosen = [known[name.lower()] for name in options.names]
    if options.json:
        return _json(chosen or list(SOLVERS.values()))
    return _explain(chosen) if chosen else _table(list(SOLVERS.values()))


def _json(methods: list[Method]) -> int:
    from odespec.solvers.summary import summarise

    described = []
    with Progress() as progress:
        for method in methods:
            progress.say(f"computing the facts of {method.name}")
            described.append(plain(summarise(method)))
    print(json.dumps(described, indent=2))
    return 0


def plain(summary: Summary) -> dict[str, Any]:
    """The facts of a solver as plain data."""
    return {name: _plain(value) for name, value in dataclasses.asdict(summary).items()}


def _plain(value: object) -> object:
    if value == math.inf:
        return "inf"
    return float(value) if isinstance(value, Fraction) else value


def _explain(methods: list[Method]) -> int:
    from odespec.cli.explain import show
    from odespec.reference import lookup

    with Progress() as progress:
        progress.say("computing the facts")
        found = [e for m in methods for e in lookup(m.name) if e.kind == "solver"]
    show(found)
    return 0


def _table(methods: list[Method]) -> int:
    """One line for each solver, with what its registry entry says: nothing is computed."""
    print(f"{'name':18} {'family':12} {'order':>5}  {'options':28} what it is")
    for m in methods:
        order = "-" if m.order is None else str(m.order)
        print(f"{m.name:18} {m.family:12} {order:>5}  {', '.join(m.keywords):28} {m.doc} ({m.reference})")
    print("\n`odespec solvers NAME` says everything that is known of one.")
    return 0
