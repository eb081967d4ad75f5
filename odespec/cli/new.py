"""``odespec new``: a first spec to start from."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from odespec.cli.common import STDIN, emit, fail
from odespec.diagnostics.render import printable

DESCRIPTION = "Write a short spec that checks and compiles, to be changed into your own."
EXAMPLES = """examples:
  odespec new first.ode                        a residual network that cannot amplify a perturbation
  odespec new cell.ode --kind recurrent        a leaky recurrent cell that forgets
  odespec new pair.ode --kind hamiltonian      a Hamiltonian pair with bounds on both sides
  odespec new - | less                         to standard output
"""
MAX_NAME = 60

KINDS = {
    "residual": '''model {name}
"""x' is minus the gradient of a convex function of x: a residual network that cannot amplify a perturbation."""

dim    d = 16, m = 32
state  x[d]
param  W[m, d] per step
param  b[m] per step

x' = -W.T @ relu(W @ x + b)

constraint norm(W) <= 1
solver euler(steps = 8)
time   0 .. 8  # h = 1; the claim holds up to h = 2

claim nonexpansive
''',
    "recurrent": '''model {name}
"""A leaky recurrent cell: one input for each step, and a state that forgets where it started."""

dim    d = 16, k = 4
const  gamma = 1
state  x[d]
param  W[d, d], U[d, k]
input  u[k] per step

x' = -gamma*x + W @ tanh(x) + U @ u

constraint norm(W) <= 1/2
solver euler(steps = 10)
time   0 .. 5

claim nonexpansive
claim contractive(rate = 0.5)
''',
    "hamiltonian": '''model {name}
"""A Hamiltonian pair: what is lost in one direction is won in another, and gradients are bounded on both sides."""

dim    d = 16, m = 16
state  y[d], z[d]
param  K[m, d], b[m], L[m, d], c[m]

let    H = sum(logcosh(K @ z + b)) + sum(logcosh(L @ y + c))
y' = grad(H, z)
z' = -grad(H, y)

constraint norm(K) <= 1
constraint norm(L) <= 1
solver verlet(steps = 10)
time   0 .. 1

claim gradient in [0.6, 1.66]
claim not nonexpansive
''',
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the spec to write; it must not exist yet (- for standard output)")
    parser.add_argument("--kind", choices=tuple(KINDS), default="residual", help="what to start from")


def run(options: argparse.Namespace) -> int:
    if options.file == STDIN:
        emit(KINDS[options.kind].replace("{name}", "First"))
        return 0
    path = Path(options.file)
    if not path.name or path.is_dir():
        return fail(f"{options.file!a} is no name of a file")
    if path.suffix != ".ode":
        path = path.with_name(path.name + ".ode")
    text = KINDS[options.kind].replace("{name}", _model_name(path.stem))
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return fail(f"{path} is there already; nothing was written")
    except (OSError, ValueError) as error:
        return fail(f"cannot write {path}: {getattr(error, 'strerror', None) or error}")
    print(f"wrote {printable(str(path))}\nnext: odespec check {printable(str(path))}")
    return 0


def _model_name(stem: str) -> str:
    """A CamelCase name made of the letters and digits of a file's name."""
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words)[:MAX_NAME]
    # One letter could be reserved (`I`), or look like a dimension.
    return name if len(name) > 1 and name[0].isalpha() else f"Model{name}"
