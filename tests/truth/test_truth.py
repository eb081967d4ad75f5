"""Specs whose truth is known without odespec: every one is decided, and none wrongly.

Each folder here holds ``*.ode`` files of one model and one claim, ``expected.jsonl`` (``file``, ``claim``, ``truth``,
``why``; with ``"unknown": true`` where the prover is known not to decide it) and ``truth.py``, which establishes the
truth of each with NumPy alone and exits with 0 where all of ``expected.jsonl`` is confirmed.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.prove.decide import decide
from odespec.prove.verdict import Options

FOLDERS = sorted(p.parent for p in Path(__file__).parent.glob("*/expected.jsonl"))


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines() if line]


CASES = [pytest.param(f, e, id=f"{f.name}/{e['file']}") for f in FOLDERS for e in entries(f)]


@pytest.mark.parametrize(("folder", "entry"), CASES)
def test_the_verdict_is_the_truth(folder: Path, entry: dict[str, Any]) -> None:
    report = Report()
    spec = load(folder / entry["file"], {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    section = next(s for s in spec.sections if s.claims)
    assert [c.text for c in section.claims] == [entry["claim"]]
    verdict = decide(spec, section, section.claims[0], Options())
    wanted = "unknown" if entry.get("unknown") else "proved" if entry["truth"] else "refuted"
    assert verdict.verdict == wanted, verdict.reason


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_the_truth_is_established_without_odespec(folder: Path) -> None:
    script = folder / "truth.py"
    tree = ast.parse(script.read_text(encoding="utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not any(name.split(".")[0] == "odespec" for name in names)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_there_are_enough_on_either_side(folder: Path) -> None:
    truths = [e["truth"] for e in entries(folder)]
    assert truths.count(True) >= 3 and truths.count(False) >= 3
    assert sorted(e["file"] for e in entries(folder)) == sorted(p.name for p in folder.glob("*.ode"))
