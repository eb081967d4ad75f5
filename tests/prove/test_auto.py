"""``steps = auto``: the fewest steps with which every claim comes out, the same for every verb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from odespec import api
from odespec.ir.model import Model
from odespec.prove.auto import settled

TEXT = """model Damped
dim d = 4
state x[d]
param S[d, d] : skew
x' = S @ x - 0.1 * x
constraint norm(S) <= 1
solver {solver}(steps = auto)
time 0 .. 4 {save}
claim {claim}
"""


def spec(folder: Path, claim: str = "nonexpansive", save: str = "", solver: str = "euler") -> Path:
    path = folder / "damped.ode"
    path.write_text(TEXT.format(claim=claim, save=save, solver=solver), encoding="utf-8")
    return path


def steps(path: Path) -> object:
    section = settled(api.load(path)).sections[0]
    assert isinstance(section, Model)
    return section.solver.steps


def test_the_fewest_steps_are_found(tmp_path: Path) -> None:
    assert steps(spec(tmp_path)) == 21
    assert steps(spec(tmp_path, solver="implicit_midpoint")) == 1


def test_saved_times_are_met(tmp_path: Path) -> None:
    assert steps(spec(tmp_path, save="save 5")) == 24


def test_a_negated_claim_is_to_be_refuted(tmp_path: Path) -> None:
    assert steps(spec(tmp_path, claim="not nonexpansive")) == 1


@pytest.mark.parametrize("claim", ["contractive(rate = 1)", "lipschitz <= 0.1"])
def test_where_no_number_does_the_claim_is_unknown(tmp_path: Path, claim: str) -> None:
    (checked,) = api.check(api.load(spec(tmp_path, claim=claim)))
    assert checked.verdicts[0].verdict == "unknown"
    assert "no number of steps" in checked.verdicts[0].reason


def test_check_audit_and_compile_agree(tmp_path: Path) -> None:
    path = spec(tmp_path)

    def odespec(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "odespec", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    done = odespec("check", str(path), "--certificates", "proofs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps = auto: 21 steps" in done.stdout
    (certificate,) = (tmp_path / "proofs").iterdir()
    assert odespec("audit", str(certificate), "--against", str(path)).returncode == 0
    emitted = odespec("compile", str(path), "--to", "torch")
    assert emitted.returncode == 0 and "21" in emitted.stdout
