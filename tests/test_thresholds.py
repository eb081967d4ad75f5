"""Claims on the boundary are proved exactly, and nothing is proved beyond it.

The field is the gradient flow with norm(W) <= 1 and slopes in [0, 1]. The thresholds of explicit methods are twice
their radius of circle contractivity (Dahlquist & Jeltsch 1979); algebraically stable methods have none.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.prove.decide import decide
from odespec.prove.verdict import Options, Verdict

FIELD = """model Probe
dim d = 3, m = 4
state x[d]
param W[m, d], b[m]
x' = -W.T @ relu(W @ x + b)
constraint norm(W) <= 1
solver {solver}(steps = {steps})
time 0 .. {end}
claim {claim}
"""


def verdict(tmp_path: Path, text: str) -> Verdict:
    path = tmp_path / "probe.ode"
    path.write_text(text)
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report]
    model = spec.sections[0]
    return decide(spec, model, model.claims[0], Options())


def probe(tmp_path: Path, solver: str, h: str, steps: int = 1, claim: str = "nonexpansive") -> Verdict:
    end = Fraction(h) * steps
    return verdict(tmp_path, FIELD.format(solver=solver, steps=steps, end=end, claim=claim))


@pytest.mark.parametrize(
    ("solver", "h"),
    [("euler", "2"), ("heun", "2"), ("ssprk3", "2"), ("rk4", "2"), ("rk3", "1"), ("trapezoid", "4")]
    + [("backward_euler", "7"), ("implicit_midpoint", "7")]
    + [(s, h) for s in ("euler", "heun", "ssprk3", "rk4") for h in ("1/10", "1", "19/10")]
    + [(s, h) for s in ("backward_euler", "implicit_midpoint") for h in ("1/10", "100")],
)
def test_proved_up_to_the_threshold(tmp_path: Path, solver: str, h: str) -> None:
    found = probe(tmp_path, solver, h, steps=3)
    assert (found.verdict, found.slack, found.upper) == ("proved", 0, 1.0), found.reason


@pytest.mark.parametrize(
    ("solver", "h"),
    [("euler", "2000001/1000000"), ("heun", "21/10"), ("ssprk3", "21/10"), ("rk4", "2001/1000"), ("rk3", "1001/1000")]
    + [("trapezoid", "4001/1000"), ("midpoint", "1/1000"), ("midpoint", "1/2"), ("ralston", "8/5"), ("rk38", "1")],
)
def test_never_proved_beyond_it(tmp_path: Path, solver: str, h: str) -> None:
    found = probe(tmp_path, solver, h)
    assert found.verdict != "proved"


@pytest.mark.parametrize(
    ("solver", "h"), [("euler", "21/10"), ("heun", "21/10"), ("ssprk3", "21/10"), ("rk4", "29/10")]
)
def test_refuted_well_beyond_it(tmp_path: Path, solver: str, h: str) -> None:
    assert probe(tmp_path, solver, h).verdict == "refuted"


@pytest.mark.parametrize(
    ("solver", "h", "expansion"),
    [("euler", "19/10", 1.0), ("euler", "21/10", 1.1), ("rk4", "2", 1.0), ("rk4", "21/10", 1.003789)]
    + [("midpoint", "1/2", 1.002853), ("backward_euler", "5", 1.0), ("implicit_midpoint", "5", 1.0)],
)
def test_the_table_of_worst_cases(tmp_path: Path, solver: str, h: str, expansion: float) -> None:
    """The bound that is certified for one step, whatever was claimed, is the worst case to 1e-6."""
    found = probe(tmp_path, solver, h, claim=f"lipschitz <= {expansion + 1e-6:.7f}")
    assert found.verdict == "proved", found.reason
    if expansion > 1:
        assert probe(tmp_path, solver, h, claim=f"lipschitz <= {expansion - 1e-6:.7f}").verdict != "proved"


DAMPED = """model Damped
dim d = 4
state x[d]
param S[d, d] : skew
x' = S @ x - 0.1*x
constraint norm(S) <= 1
solver euler(steps = 5)
time 0 .. {end}
claim nonexpansive
"""


@pytest.mark.parametrize(("h", "expected"), [("20/101", "proved"), ("19/100", "proved"), ("20/100", "refuted")])
def test_damping_buys_the_step(tmp_path: Path, h: str, expected: str) -> None:
    """The threshold 2g/(g^2 + 1) = 0.19802 is met exactly."""
    assert verdict(tmp_path, DAMPED.format(end=5 * Fraction(h))).verdict == expected
