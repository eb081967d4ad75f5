"""``odespec replay``: run a counterexample through the code that `compile` emits."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from odespec.cli.common import fail, show

DESCRIPTION = """Compile the spec of a counterexample, load its weights into the emitted module, run both inputs and
measure the quantity that the claim bounds. Exit status 0 where the violation shows, 1 where it does not."""
EXAMPLES = """examples:
  odespec check broken.ode --certificates out
  odespec replay out/Broken-1-nonexpansive.safetensors --to torch
  odespec replay out/Broken-1-nonexpansive.safetensors --to numpy     the reference interpreter, no framework
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("counterexample", metavar="COUNTEREXAMPLE", help="written by `check --certificates`")
    parser.add_argument("--to", default="numpy", metavar="BACKEND", help="torch, jax or numpy (default)")


def run(options: argparse.Namespace) -> int:
    from odespec.diagnostics import SpecError
    from odespec.replay import ReplayError, replay

    try:
        with tempfile.TemporaryDirectory() as folder:
            result = replay(Path(options.counterexample), options.to, Path(folder))
    except SpecError as error:
        show(error.diagnostics)
        return 2
    except ReplayError as error:
        return fail(str(error))
    print(f"{result.model}: claim {result.claim}\n  {result.sentence}")
    print(f"  {options.to}: measured {result.measured:.9g}, the claim allows {result.bound:.9g}")
    print("  the violation shows" if result.violated else "  the violation does not show")
    return 0 if result.violated else 1
