"""The command line: one verb a file, each imported only when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

VERBS = {
    "check": "decide every claim of a spec",
    "compile": "emit PyTorch or JAX code from a spec",
    "audit": "re-prove a certificate in exact arithmetic",
    "replay": "run a counterexample through emitted code",
    "explain": "explain a diagnostic, claim, solver, function or activation",
    "fmt": "format specs",
    "new": "write a first spec to start from",
    "solvers": "list the solvers and what is known of them",
}
"""Every verb with its line in ``odespec --help``; the module ``odespec.cli.<verb>`` has ``configure`` and ``run``."""

EXIT = """exit status: 0 all as asked; 1 a claim, an audit or a replay came out otherwise; 2 the input has errors

a first session:
  odespec new first.ode          write a spec to start from
  odespec check first.ode        prove or refute its claims
  odespec compile first.ode --to torch -o first.py
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    parser, module = _parser(verb)
    options = parser.parse_args(arguments)
    if module is None:
        parser.print_help()
        return 2
    return _run(module, options)


def _run(module: ModuleType, options: argparse.Namespace) -> int:
    try:
        status: int = module.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has gone away (`odespec … | head`): nothing is left to say, not even at exit.
        sys.stdout = open("/dev/null", "w") if sys.platform != "win32" else None  # type: ignore[assignment] # noqa: SIM115
        return 1
    except KeyboardInterrupt:
        print("odespec: interrupted", file=sys.stderr)
        return 130


def _parser(verb: str | None) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser, with the options of the one verb that was named (the others stay unimported)."""
    parser = argparse.ArgumentParser(
        prog="odespec",
        description="Prove what a differential-equation-inspired network will do, before training it, and compile it.",
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")
    module = None
    for name, summary in VERBS.items():
        if name == verb:
            module = importlib.import_module(f"odespec.cli.{name}")
            sub = verbs.add_parser(
                name,
                help=summary,
                description=module.DESCRIPTION,
                epilog=module.EXAMPLES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.configure(sub)
        else:
            verbs.add_parser(name, help=summary, add_help=False)
    return parser, module


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from odespec import __version__

        print(f"odespec {__version__}")
        parser.exit()
