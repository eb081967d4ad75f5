"""``odespec compile``: emit code."""

from __future__ import annotations

import argparse
from pathlib import Path

from odespec.cli.common import STDIN, add_definitions, add_format, emit, fail, load, show
from odespec.diagnostics.render import printable

DESCRIPTION = """Emit one standalone module from a spec. It imports its framework and nothing of odespec, and keeps the
constraints of the spec by construction. Claims are decided first: a spec with a claim that came out against what it asks
is refused."""
EXAMPLES = """examples:
  odespec compile specs/gradient_flow.ode --to torch -o gradient_flow.py
  odespec compile specs/gradient_flow.ode --to jax > gradient_flow_jax.py
  odespec compile specs/gradient_flow.ode --to torch -D d=256 -D m=512 -o wide.py

exit status: 0 written; 1 a claim came out against what the spec asks; 2 the spec has errors, or a part of it cannot be
emitted. An unknown claim is no reason to refuse: the header of the emitted file says that it is unknown.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .ode spec, or - for standard input")
    parser.add_argument("--to", required=True, metavar="BACKEND", help="torch, jax, or an installed back end")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (default, or -: standard output)")
    parser.add_argument(
        "--force", action="store_true", help="emit although a claim came out against what the spec asks"
    )
    add_definitions(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> int:
    from odespec.backends import UnknownBackend, get
    from odespec.diagnostics.suggest import nearest

    try:
        get(options.to)
    except UnknownBackend as error:
        near = nearest(options.to, error.known)
        return fail(f"{error}" + (f"; did you mean `{near}`?" if near else ""))
    except ImportError as error:
        return fail(f"the back end {options.to} cannot be imported: {error}")
    if _is_the_spec(options):
        return fail(f"{options.output} is the spec itself; it was left alone")
    return _compile(options)


def _is_the_spec(options: argparse.Namespace) -> bool:
    if options.output in (None, STDIN) or options.file == STDIN:
        return False
    try:
        return Path(options.output).samefile(options.file)
    except (OSError, ValueError):
        return False


def _compile(options: argparse.Namespace) -> int:
    from odespec import api
    from odespec.cli.progress import Progress
    from odespec.diagnostics import SpecError
    from odespec.prove.auto import settled

    spec, report = load(options.file, options)
    show(report, options.format)
    if spec is None:
        return 2
    try:
        with Progress() as progress:
            watch = lambda model, claim: progress.say(f"{model.name}: claim {claim.text}")  # noqa: E731
            spec = settled(spec)
            compiled = api.compile(spec, options.to, checked=api.check(spec, watch=watch), force=options.force)
    except SpecError as error:
        show(error.diagnostics, options.format)
        return 1 if all(d.code == "ODE501" for d in error.diagnostics) else 2
    if options.output in (None, STDIN):
        emit(compiled.source)
        return 0
    try:
        compiled.write(Path(options.output))
    except (OSError, ValueError) as error:
        return fail(f"cannot write {options.output}: {getattr(error, 'strerror', None) or error}")
    print(f"wrote {printable(options.output)}")
    return 0
