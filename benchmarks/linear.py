"""How the time to parse, check and format a spec grows with its length.

    python benchmarks/linear.py [--lines N] [--runs R]

Three shapes of a generated spec: one model with a long chain of `let`, one model with many params and constraints, many
models in one file. The time for N lines is compared with that for N / 5: the ratio is 5 where it is linear. Exit status 1
where one is above 7.5.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.source import Source
from odespec.syntax.formatter import format_source
from odespec.syntax.parser import parse

FACTOR = 5
MOST = 7.5


def chain(lines: int) -> str:
    """One model in which every `let` reads the one before it."""
    lets = [f"let z{i} = 1/2*z{i - 1} + 1/3*tanh(W @ z{i - 1})" for i in range(1, lines - 6)]
    return "\n".join(
        ["model Chain", "state x[8]", "param W[8, 8]", "let z0 = W @ x", *lets, f"x' = -z{lines - 7}", END]
    )


def params(lines: int) -> str:
    """One model with many params, a constraint and a `let` for each."""
    n = (lines - 5) // 3
    body = [
        line
        for i in range(n)
        for line in (
            f"param W{i}[8, 8], b{i}[8]",
            f"constraint norm(W{i}) <= 1",
            f"let f{i} = W{i}.T @ tanh(W{i} @ x + b{i})",
        )
    ]
    return "\n".join(["model Params", "state x[8]", *body, f"x' = {' + '.join(f'f{i}' for i in range(n))}", END])


def models(lines: int) -> str:
    """Many small models in one file."""
    one = "model M{i}\ndim d = 8\nstate x[d]\nparam W[d, d]\nx' = -W.T @ relu(W @ x)\nconstraint norm(W) <= 1\n" + END
    return "\n".join(one.format(i=i) for i in range(lines // 8))


END = "solver euler(steps = 2)\ntime 0 .. 1"
SHAPES: dict[str, Callable[[int], str]] = {"chain": chain, "params": params, "models": models}


def _parse(source: Source) -> bool:
    return parse(source, Report()) is not None


def _check(source: Source) -> bool:
    report = Report()
    return load_source(source, {}, report) is not None and not report.failed


def _format(source: Source) -> bool:
    return bool(format_source(source))


STAGES: dict[str, Callable[[Source], bool]] = {"parse": _parse, "parse and check": _check, "format": _format}


def seconds(run: Callable[[Source], bool], text: str, runs: int) -> float:
    """The median CPU time of some runs. Raises ValueError where the spec has a mistake."""
    taken = []
    for _ in range(runs):
        source, started = Source("generated.ode", text), time.process_time()
        if not run(source):
            raise ValueError("the generated spec has a mistake")
        taken.append(time.process_time() - started)
    return median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5000, metavar="N", help="lines of the long spec (default: 5000)")
    parser.add_argument("--runs", type=int, default=3, metavar="R", help="runs of each (default: 3)")
    options = parser.parse_args()
    worst = 0.0
    print(f"{'':26} {options.lines // FACTOR:>7} lines {options.lines:>7} lines  ratio")
    for shape, generate in SHAPES.items():
        short, long = generate(options.lines // FACTOR), generate(options.lines)
        for stage, run in STAGES.items():
            few, many = seconds(run, short, options.runs), seconds(run, long, options.runs)
            worst = max(worst, many / few)
            print(f"{shape + ', ' + stage:26} {few * 1e3:10.0f} ms {many * 1e3:10.0f} ms {many / few:6.2f}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
