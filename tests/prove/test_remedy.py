"""Remedies: each is a change of the spec with which the claim is proved, and the next smaller one does not do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from odespec import api
from odespec.prove.remedy import Remedy, fewest, nearest
from odespec.prove.verdict import Options

Q = Fraction

SPEC = """model Damped
dim d = 4
const gamma = {gamma}
state x[d]
param S[d, d] : skew
x' = S @ x - gamma * x
constraint norm(S) <= {bound}
solver {solver}(steps = {steps})
time 0 .. {time}
claim {claim}
"""
PLAIN = {"gamma": "0.1", "bound": "1", "solver": "euler", "steps": "4", "time": "4", "claim": "nonexpansive"}


def spec(folder: Path, **changes: str) -> Path:
    path = folder / "damped.ode"
    path.write_text(SPEC.format(**{**PLAIN, **changes}), encoding="utf-8")
    return path


def found(path: Path) -> list[Remedy]:
    loaded = api.load(path)
    (checked,) = api.check(loaded)
    return list(api.remedies(loaded, checked, checked.verdicts[0]))


def verdict(path: Path) -> str:
    (checked,) = api.check(api.load(path), Options())
    return checked.verdicts[0].verdict


def test_the_fewest_steps_are_those_of_the_threshold(tmp_path: Path) -> None:
    """Euler on ``S - gamma``: h <= 2 gamma / (gamma^2 + 1) = 20/101, so 4 / h >= 20.2."""
    remedy = found(spec(tmp_path))[0]
    assert remedy.line == "solver euler(steps = 21)" and remedy.beyond == "20"
    assert remedy.sentence() == "with `solver euler(steps = 21)` it is proved (not with 20)"
    assert verdict(spec(tmp_path, steps="21")) == "proved"
    assert verdict(spec(tmp_path, steps="20")) != "proved"


def test_the_largest_time_and_the_nearest_constant_are_proved_and_nearly_the_threshold(tmp_path: Path) -> None:
    lines = [r.line for r in found(spec(tmp_path))]
    time = next(line for line in lines if line.startswith("time"))
    assert time == "time 0 .. 0.792"  # 80/101 = 0.79208
    assert verdict(spec(tmp_path, time="0.792")) == "proved"
    gamma = next(line for line in found(spec(tmp_path, time="2")) if line.line.startswith("const"))
    value = gamma.line.removeprefix("const gamma = ")
    # h = 1/2: gamma^2 + 1 <= 4 gamma, so gamma >= 2 - sqrt(3) = 0.26795.
    assert 0.26795 < float(value) < 0.2696
    assert verdict(spec(tmp_path, time="2", gamma=value)) == "proved"


def test_a_smaller_norm_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "gradient.ode"
    text = (
        "model G\ndim d = 3\nstate x[d]\nparam W[d, d], b[d]\nx' = -W.T @ tanh(W @ x + b)\n"
        "constraint norm(W) <= {}\nsolver euler(steps = 1)\ntime 0 .. 3\nclaim nonexpansive\n"
    )
    path.write_text(text.format("1"), encoding="utf-8")
    lines = [r.line for r in found(path)]
    assert "solver euler(steps = 2)" in lines and "time 0 .. 2" in lines
    assert "constraint norm(W) <= 0.816" in lines  # sqrt(2/3)


def test_another_solver_is_offered_where_no_step_is_small_enough(tmp_path: Path) -> None:
    path = tmp_path / "skew.ode"
    path.write_text(
        "model S\nstate x[3]\nparam S[3, 3] : skew\nx' = S @ x\nconstraint norm(S) <= 1\n"
        "solver euler(steps = 4)\ntime 0 .. 1\nclaim nonexpansive\n",
        encoding="utf-8",
    )
    assert [r.line for r in found(path)] == ["solver bosh3(steps = 4)"]  # stable on the imaginary axis up to 1.7


def test_a_claim_that_came_out_has_no_remedy_and_a_proved_negation_loses_its_not(tmp_path: Path) -> None:
    assert found(spec(tmp_path, steps="40")) == []
    assert [r.line for r in found(spec(tmp_path, steps="40", claim="not nonexpansive"))] == ["claim nonexpansive"]


def test_nothing_is_offered_where_nothing_helps(tmp_path: Path) -> None:
    path = tmp_path / "flat.ode"
    path.write_text(
        "model F\nstate x[3]\nparam b[3]\nx' = 0 * x + b\nsolver euler(steps = 4)\ntime 0 .. 1\n"
        "claim contractive(rate = 1)\n",
        encoding="utf-8",
    )
    assert found(path) == []


@pytest.mark.parametrize("threshold", [2, 3, 7, 64, 1000])
def test_the_fewest_is_exact_for_a_monotone_property(threshold: int) -> None:
    assert fewest(lambda n: n >= threshold, 1) == threshold
    assert fewest(lambda n: False, 1) is None


@pytest.mark.parametrize("threshold", [Q(1, 3), Q(99, 100), Q(1, 1000)])
def test_the_nearest_is_within_a_percent_and_short(threshold: Fraction) -> None:
    below = nearest(lambda v: v <= threshold, Q(1), larger=False)
    assert below is not None and threshold * Q(98, 100) <= below <= threshold
    above = nearest(lambda v: v >= 1 / threshold, Q(1), larger=True)
    assert above is not None and 1 / threshold <= above <= Q(102, 100) / threshold
    assert nearest(lambda v: False, Q(1), larger=True) is None
