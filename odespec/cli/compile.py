"""``odespec compile``: emit code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odespec.cli.common import add_definitions, add_format, fail, load, show

DESCRIPTION = """Emit one standalone module from a spec. It imports its framework and nothing of odespec, and keeps the
constraints of the spec by construction. Claims are decided first: a spec with a claim that came out against what it asks
is refused."""
EXAMPLES = """examples:
  odespec compile specs/gradient_flow.ode --to torch -o gradient_flow.py
  odespec compile specs/gradient_flow.ode --to jax > gradient_flow_jax.py
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .ode spec")
    parser.add_argument("--to", required=True, metavar="BACKEND", help="torch or jax")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (default: standard output)")
    parser.add_argument("--force", action="store_true", help="emit although a claim came out against what the spec asks")
    add_definitions(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> int:
    from odespec import api
    from odespec.backends import UnknownBackend
    from odespec.cli.progress import Progress
    from odespec.diagnostics import SpecError
    from odespec.diagnostics.suggest import nearest

    spec, report = load(options.file, options)
    show(report, options.format)
    if spec is None:
        return 2
    try:
        with Progress() as progress:
            progress.say(f"checking {options.file}")
            compiled = api.compile(spec, options.to, force=options.force)
    except UnknownBackend as error:
        near = nearest(options.to, error.known)
        return fail(f"{error}" + (f"; did you mean `{near}`?" if near else ""))
    except SpecError as error:
        show(error.diagnostics, options.format)
        return 1 if all(d.code == "ODE501" for d in error.diagnostics) else 2
    if options.output is None:
        sys.stdout.write(compiled.source)
        return 0
    try:
        compiled.write(Path(options.output))
    except OSError as error:
        return fail(f"cannot write {options.output}: {error.strerror}")
    print(f"wrote {options.output}")
    return 0
