"""The main job on real data: the example's own assertions on norms and expansion hold, and it saves its picture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "digits"


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_trains_and_keeps_what_was_certified(framework: str, tmp_path: Path) -> None:
    picture = tmp_path / "digits.png"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / f"train_{framework}.py"), "--epochs", "12", "--picture", str(picture)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accuracy = float(re.findall(r"gradient flow: test accuracy ([0-9.]+) %", done.stdout)[0])
    assert accuracy >= 93, done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
