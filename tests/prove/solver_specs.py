"""Random specs for the solver families whose steps remember, split or exponentiate."""

from __future__ import annotations

import random

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.ir.model import Model, Spec
from odespec.source import Source

SOLVERS = ("leapfrog", "ab2", "ab3", "bdf2", "imex_euler", "etd1", "etdrk4", "fused_euler")

LINEAR = {
    "-x": ("", ""),
    "-0.3*x": ("", ""),
    "S @ x": ("param S[d, d] : skew{step}", "constraint norm(S) <= 1"),
    "-P @ x": ("param P[d, d] : psd{step}", "constraint eig(P) in [0.2, 1.5]"),
    "Y @ x": ("param Y[d, d] : symmetric", "constraint eig(Y) in [-1, 0.5]"),
    "-K.T @ (K @ x)": ("param K[m, d]", "constraint norm(K) <= 1"),
    "A @ x": ("param A[d, d]{step}", "constraint norm(A) <= 0.8"),
    "-a*x": ("param a[d]", "constraint a in [0.5, 2]"),
    "-g*x": ("param g", "constraint g in [0.1, 1]"),
    "-(1 + t)*x": ("", ""),
    "(Q - I) @ x": ("param Q[d, d] : orthogonal", ""),
}
OTHER = {
    "W @ tanh(x)": ("param W[d, d]{step}", "constraint norm(W) <= 0.7"),
    "-V.T @ relu(V @ x + b)": ("param V[m, d]{step}\nparam b[m]", "constraint norm(V) <= 1"),
    "0.2*sin(x) + u": ("input u[d]{step}", ""),
    "c": ("param c[d]", ""),
    "-0.5*sigmoid(c2)*tanh(x)": ("param c2[d]", ""),
}
PLAIN = "model M\ndim d = 3, m = 4\nstate x[d]\n"


def parsed(text: str) -> Spec:
    report = Report()
    spec = load_source(Source("test.ode", text), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec


def model_of(text: str) -> Model:
    section = parsed(text).sections[0]
    assert isinstance(section, Model)
    return section


def random_spec(rng: random.Random, solver: str, steps: int, h: str, claim: str) -> str:
    """A field of one or two linear terms and one other, with copies per step here and there."""
    step = rng.choice(["", "", " per step"])
    linear = rng.sample(sorted(LINEAR), rng.choice([1, 1, 2]))
    if solver == "fused_euler":
        linear = [rng.choice(["-x", "-a*x", "-g*x", "-(1 + t)*x"])]
    other = rng.choice(sorted(OTHER))
    parts = [*(LINEAR[n] for n in linear), OTHER[other]]
    declared = "\n".join(p.format(step=step) for p, _ in parts if p)
    constraints = "\n".join(c for _, c in parts if c)
    field = " + ".join([*linear, other])
    solved = f"solver {solver}(steps = {steps})\ntime 0 .. {steps}*{h}\nclaim {claim}\n"
    return f"{PLAIN}{declared}\nx' = {field}\n{constraints}\n{solved}"
