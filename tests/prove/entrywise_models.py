"""Random specs for the entrywise engine: fields, constraints and solvers of every kind that it reads."""

from __future__ import annotations

import random
from pathlib import Path

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Spec

DIM = 3
ACTS = ("tanh", "relu", "sigmoid", "silu", "leaky_relu({}, 0.2)", "softplus", "sin", "abs")
SOLVERS = (
    "euler",
    "heun",
    "midpoint",
    "ralston",
    "ssprk3",
    "rk3",
    "rk4",
    "backward_euler",
    "trapezoid",
    "implicit_midpoint",
    "sdirk2",
)
PARAMS = (
    ("W", "", "norm(W, inf) <= {c}"),
    ("W", "", "norm(W, 1) <= {c}"),
    ("W", "", "norm(W) <= {c}"),
    ("W", "", "W in [-{c}/2, {c}]"),
    ("W", " : stochastic", ""),
    ("W", " : doubly_stochastic", ""),
    ("W", " : skew", "norm(W, inf) <= {c}"),
    ("W", " : symmetric", "eig(W) in [-{c}, {c}/2]"),
    ("W", " : psd", "norm(W) <= {c}"),
    ("W", " : diagonal", "W in [-{c}, {c}/3]"),
    ("W", "", "norm(W - I, inf) <= {c}/2"),
    ("W", "", "norm(offdiag(W), inf) <= {c}/2\nconstraint W in [-1, 1]"),
    ("W", "", "norm(W - W.T, 1) <= {c}\nconstraint norm(W, inf) <= 2"),
)
TERMS = (
    "{s}*{act}({m} @ x + b)",
    "{s}*({m} @ {act}(x))",
    "{s}*{m} @ x",
    "-{g}*x",
    "{s}*z * {act}({m} @ x)",
    "-z * x",
    "{s}*{act}(x)",
    "{s}*{m}.T @ {act}({m} @ x)",
    "{s}*softmax({m} @ x)",
    "{s}*mean(x) * ones[d]",
    "{s}*{act}((W - W.T) @ x)",
    "{s}*sigmoid({m} @ x) * tanh(x)",
)


def number(rng: random.Random) -> str:
    return str(rng.choice(("0.1", "0.25", "0.5", "1", "1.5", "1/3")))


def source(rng: random.Random, *, claim: str = "lipschitz(norm = {p}) <= 2") -> str:
    """The text of a random model with a claim in a random norm, ``{p}``."""
    name, structure, constraint = rng.choice(PARAMS)
    lines = [f"model R\ndim d = {DIM}\nstate x[d]\nparam {name}[d, d]{structure}", "param b[d]", "input u[d]"]
    lines += ["let z = sigmoid(u)"]
    if constraint:
        lines.append("constraint " + constraint.format(c=number(rng)))
    field = " + ".join(f"({_term(rng)})" for _ in range(rng.randint(1, 3)))
    steps = rng.choice((1, 1, 2, 3))
    end = rng.choice(("0.1", "0.5", "1", "2"))
    if rng.random() < 0.2:
        lines += [f"x+ = {field}", f"solver map(steps = {steps})"]
    else:
        lines += [f"x' = {field}", f"solver {rng.choice(SOLVERS)}(steps = {steps})", f"time 0 .. {end}"]
    lines.append("claim " + claim.format(p=rng.choice(("inf", "1"))))
    return "\n".join(lines) + "\n"


def _term(rng: random.Random) -> str:
    act = rng.choice(ACTS)
    term = rng.choice(TERMS)
    if "(" in act:
        for argument in ("{m} @ x + b", "{m} @ x", "x", "(W - W.T) @ x"):
            term = term.replace(f"{{act}}({argument})", act.format(argument))
    matrix = rng.choice(("W", "W", "W.T", "(W - I)", "(0.5*W - W.T)"))
    return term.format(s=rng.choice(("1", "-1", "0.5", "-2")), act=act, m=matrix, g=number(rng))


def loaded(text: str, folder: Path) -> Spec | None:
    """The checked spec, or None where the random text makes no sense."""
    path = folder / "random.ode"
    path.write_text(text)
    report = Report()
    spec = load(path, {}, report)
    return None if report.failed else spec
