"""Every block of the README's five minutes runs as it stands, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks() -> list[tuple[str, str]]:
    """The language and the text of each fenced block of the tour."""
    tour = README.read_text(encoding="utf-8").split("\n## Five minutes\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", tour, re.MULTILINE | re.DOTALL)


def test_five_minutes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = blocks()
    assert [language for language, _ in found].count("sh") >= 4
    assert {language for language, _ in found} == {"sh", "python"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    told = ""
    for language, text in found:
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        told += done.stdout
    for word in ("proved", "refuted", "accepted", "the violation shows", "wrote first_torch.py", "wrote first_jax.py"):
        assert word in told
    assert told.count("exit status ") == 2


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (README.parent / target).exists(), target


def test_the_spec_that_is_shown_is_true(tmp_path: Path) -> None:
    import odespec

    spec = README.read_text(encoding="utf-8").split("```ode\n")[1].split("```")[0]
    (tmp_path / "shown.ode").write_text(spec)
    (result,) = odespec.check(odespec.load(tmp_path / "shown.ode"))
    assert result.ok
