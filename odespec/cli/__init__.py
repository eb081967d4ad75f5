"""The command line: one verb a file, each imported only when it is called."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

VERBS = {
    "check": "decide every claim of a spec",
    "compile": "emit PyTorch or JAX code from a spec",
    "report": "write a page about a spec: its claims, proofs and counterexamples",
    "audit": "re-prove a certificate in exact arithmetic",
    "replay": "run a counterexample through emitted code",
    "explain": "explain a diagnostic, or any name of the language",
    "fmt": "format specs",
    "new": "write a first spec to start from",
    "solvers": "list the solvers and what is known of them",
}
"""Every verb with its line in ``odespec --help``; the module ``odespec.cli.<verb>`` has ``configure`` and ``run``."""

EXIT = """exit status:
  0   all as asked
  1   a claim, an audit, a replay or a layout came out otherwise
  2   the input has errors, or the command was called wrongly
  70  odespec itself failed: please report it (ODESPEC_TRACEBACK=1 shows where)

a first session:
  odespec new first.ode          write a spec to start from
  odespec check first.ode        prove or refute its claims
  odespec compile first.ode --to torch -o first.py
  odespec VERB --help            what a verb does, with examples
"""
FAILED = 70
CLOSED = 141
"""What a shell reports of a process that a closed pipe ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit status; raises SystemExit for ``--help`` and for options that do not exist."""
    _write_anything()
    # A run is short and makes few cycles: looking for them at the default rate costs a tenth of its time.
    gc.set_threshold(100_000)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    if verb is None and arguments and not arguments[0].startswith("-"):
        return _unknown(arguments[0])
    parser, module = _parser(verb)
    options = parser.parse_args(arguments)
    if module is None:
        parser.print_help()
        return 2
    return _run(module, options)


def _write_anything() -> None:
    """A name or a spec may hold what the terminal's encoding lacks: it is escaped, and no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _unknown(verb: str) -> int:
    from odespec.cli.common import fail
    from odespec.diagnostics.suggest import nearest

    near = nearest(verb, VERBS)
    return fail(f"there is no verb `{verb}`; " + (f"did you mean `{near}`?" if near else "see `odespec --help`"))


def _run(module: ModuleType, options: argparse.Namespace) -> int:
    from odespec.cli.common import fail

    try:
        status: int = module.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has gone away (`odespec … | head`): nothing is left to say, not even at exit.
        _drop_output()
        return CLOSED
    except KeyboardInterrupt:
        print("odespec: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        _drop_output()
        return fail(f"cannot write the output: {error.strerror or error}")
    except Exception as error:
        if os.environ.get("ODESPEC_TRACEBACK"):
            raise
        fail(f"internal error: {type(error).__name__}: {error}")
        print(
            "  This is a defect of odespec. Please report it with the spec; ODESPEC_TRACEBACK=1 shows where.",
            file=sys.stderr,
        )
        return FAILED


def _drop_output() -> None:
    """Let nothing that is still buffered fail again when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(verb: str | None) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser, with the options of the one verb that was named (the others stay unimported)."""
    parser = argparse.ArgumentParser(
        prog="odespec",
        description="Prove what a differential-equation-inspired network will do, before training it, and compile it.",
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(
        title="verbs", metavar="VERB", dest="verb", prog="odespec"
    )  # named: else it reads the terminal
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
