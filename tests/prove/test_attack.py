"""A short version of ``benchmarks/attack.py``: what is proved of random designs withstands samples and ascents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "attack.py"


def test_no_proof_of_a_random_design_is_broken() -> None:
    command = [sys.executable, str(SCRIPT), "--proofs", "6", "--samples", "8000", "--rounds", "15", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 proofs" in done.stdout and "0 violations" in done.stdout
