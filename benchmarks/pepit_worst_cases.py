"""The same worst cases computed by PEPit and by odespec, with their times side by side.

    python benchmarks/pepit_worst_cases.py

PEPit (Goujaud et al., Math. Program. Comput. 2024) is a modelling layer for performance estimation. It is given two runs
of each network: weights are its linear operators, each stage's activations a cocoercive operator of its own (slopes in
[0, 1]). Nothing of odespec is used on that side. It needs the extra ``dev``.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from math import sqrt
from typing import Any

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.ir.model import Model
from odespec.program.lower import lower
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.relations import step_problem
from odespec.records import dataclass
from odespec.source import Source

Vector = Any
"""A point of PEPit, or a list of them for several states."""


@dataclass(frozen=True, slots=True)
class Case:
    """One problem: the spec for odespec; for PEPit the operators, the field with fresh activations, and the tableau."""

    name: str
    spec: str
    build: Callable[[Any], Vector]
    """Given a PEPit problem, the squared distance after one step of two runs whose distance is at most one."""


# --- PEPit ---------------------------------------------------------------------------


def activation(problem: Any) -> Any:
    """Slopes in [0, 1], as an operator of its own: stages share nothing but their interval."""
    from PEPit.operators import CocoerciveOperator

    return problem.declare_function(CocoerciveOperator, beta=1.0)


def linear(problem: Any, bound: float) -> Any:
    """An operator and its adjoint; PEPit 0.5 fails where the adjoint is never applied, so it is, to some point."""
    from PEPit import Point
    from PEPit.operators import LinearOperator

    operator = problem.declare_function(LinearOperator, L=bound)
    operator.T.gradient(Point())
    return operator


def skew(problem: Any, bound: float) -> Any:
    from PEPit.operators import SkewSymmetricLinearOperator

    return problem.declare_function(SkewSymmetricLinearOperator, L=bound)


def two_runs(problem: Any) -> tuple[Vector, Vector]:
    x, y = problem.set_initial_point(), problem.set_initial_point()
    problem.set_initial_condition((x - y) ** 2 <= 1)
    return x, y


def explicit(A: list[list[str]], b: list[str], h: str) -> Callable[[Any], Vector]:
    """One step of two runs of ``x' = -W.T s(W x)`` with ``norm(W) <= 1``; each stage has its own slopes."""
    step = float(Fraction(h))
    rows, weights = [[float(Fraction(a)) for a in row] for row in A], [float(Fraction(w)) for w in b]

    def build(problem: Any) -> Vector:
        W = linear(problem, 1.0)
        stages = [activation(problem) for _ in weights]
        ends = []
        for start in two_runs(problem):
            slopes: list[Vector] = []
            for row, s in zip(rows, stages, strict=True):
                at = start + sum((step * a * k for a, k in zip(row, slopes, strict=False)), 0 * start)
                slopes.append(-W.T.gradient(s.gradient(W.gradient(at))))
            ends.append(start + sum((step * w * k for w, k in zip(weights, slopes, strict=True)), 0 * start))
        return (ends[0] - ends[1]) ** 2

    return build


def damped_skew(h: str, gamma: str) -> Callable[[Any], Vector]:
    step, g = float(Fraction(h)), float(Fraction(gamma))

    def build(problem: Any) -> Vector:
        S = skew(problem, 1.0)
        ends = [x + step * (S.gradient(x) - g * x) for x in two_runs(problem)]
        return (ends[0] - ends[1]) ** 2

    return build


def activated_skew(h: str, gamma: str) -> Callable[[Any], Vector]:
    step, g = float(Fraction(h)), float(Fraction(gamma))

    def build(problem: Any) -> Vector:
        S, s = skew(problem, 1.0), activation(problem)
        ends = [x + step * s.gradient(S.gradient(x) - g * x) for x in two_runs(problem)]
        return (ends[0] - ends[1]) ** 2

    return build


def residual(h: str) -> Callable[[Any], Vector]:
    step = float(Fraction(h))

    def build(problem: Any) -> Vector:
        V, W, s = linear(problem, 1.0), linear(problem, 1.0), activation(problem)
        ends = [x + step * V.gradient(s.gradient(W.gradient(x))) for x in two_runs(problem)]
        return (ends[0] - ends[1]) ** 2

    return build


def leaky(h: str) -> Callable[[Any], Vector]:
    step = float(Fraction(h))

    def build(problem: Any) -> Vector:
        W, s = linear(problem, 1.0), activation(problem)
        ends = [x + step * (s.gradient(W.gradient(x)) - x) for x in two_runs(problem)]
        return (ends[0] - ends[1]) ** 2

    return build


# --- the cases -----------------------------------------------------------------------

GRADIENT = """model G
state x[8]
param W[8, 8], b[8]
x' = -W.T @ relu(W @ x + b)
constraint norm(W) <= 1
solver {}(steps = 1)
time 0 .. {}
"""
SKEW = "model S\nstate x[8]\nparam S[8, 8] : skew\nx' = {}\nconstraint norm(S) <= 1\nsolver euler(steps = 1)\ntime 0 .. {}\n"
OTHER = "model R\nstate x[8]\n{}x' = {}\nsolver euler(steps = 1)\ntime 0 .. {}\n"
TWO = "param V[8, 8], W[8, 8], b[8]\nconstraint norm(V) <= 1\nconstraint norm(W) <= 1\n"
ONE = "param W[8, 8], b[8]\nconstraint norm(W) <= 1\n"

TABLEAUX: dict[str, tuple[list[list[str]], list[str]]] = {
    "euler": ([[]], ["1"]),
    "heun": ([[], ["1"]], ["1/2", "1/2"]),
    "midpoint": ([[], ["1/2"]], ["0", "1"]),
    "ralston": ([[], ["2/3"]], ["1/4", "3/4"]),
    "ssprk3": ([[], ["1"], ["1/4", "1/4"]], ["1/6", "1/6", "2/3"]),
    "rk4": ([[], ["1/2"], ["0", "1/2"], ["0", "0", "1"]], ["1/6", "1/3", "1/3", "1/6"]),
}


def gradient(solver: str, h: str) -> Case:
    return Case(f"gradient flow, {solver}, h = {h}", GRADIENT.format(solver, h), explicit(*TABLEAUX[solver], h))


CASES = (
    gradient("euler", "19/10"),
    gradient("euler", "21/10"),
    gradient("heun", "21/10"),
    gradient("midpoint", "1/2"),
    gradient("ralston", "17/10"),
    gradient("ssprk3", "21/10"),
    gradient("rk4", "21/10"),
    Case("damped skew, h = 0.19", SKEW.format("S @ x - 0.1*x", "0.19"), damped_skew("19/100", "1/10")),
    Case("damped skew, h = 0.2", SKEW.format("S @ x - 0.1*x", "0.2"), damped_skew("1/5", "1/10")),
    Case(
        "activated skew, h = 0.1", SKEW.format("relu((S - 0.5*I) @ x)", "0.1"), activated_skew("1/10", "1/2")
    ),
    Case("residual, h = 0.3", OTHER.format(TWO, "V @ relu(W @ x + b)", "0.3"), residual("3/10")),
    Case("leaky, h = 0.5", OTHER.format(ONE, "relu(W @ x + b) - x", "0.5"), leaky("1/2")),
)  # fmt: skip


def by_pepit(case: Case) -> float:
    """The largest ratio of distances over one step."""
    from PEPit import PEP

    problem = PEP()
    problem.set_performance_metric(case.build(problem))
    return sqrt(max(problem.solve(wrapper="cvxpy", verbose=0, solver="CLARABEL"), 0.0))


def by_odespec(case: Case) -> float:
    """The largest ratio of distances over one step."""
    report = Report()
    spec = load_source(Source("case.ode", case.spec), {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    (model,) = spec.sections
    assert isinstance(model, Model)
    return sqrt(worst_case(step_problem(lower(model), lower=False)).value)


def timed(run: Callable[[Case], float], case: Case) -> tuple[float, float]:
    started = time.perf_counter()
    value = run(case)
    return value, time.perf_counter() - started


def main() -> int:
    print(f"{'':32}{'PEPit':>12}{'odespec':>12}{'difference':>12}{'times as fast':>15}")
    worst = 0.0
    for case in CASES:
        runs = [(timed(by_pepit, case), timed(by_odespec, case)) for _ in range(3)]
        theirs, ours = runs[0][0][0], runs[0][1][0]
        ratio = statistics.median(t for (_, t), _ in runs) / statistics.median(t for _, (_, t) in runs)
        worst = max(worst, abs(theirs - ours))
        print(f"{case.name:32}{theirs:12.6f}{ours:12.6f}{theirs - ours:12.1e}{ratio:15.0f}")
    print(f"largest difference {worst:.1e}")
    return int(worst > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
