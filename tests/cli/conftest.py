"""Running the command line: as a process of its own, and in this one where there are many runs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

DECAY = """model Decay
dim d = 3
state x[d]
param W[d, d]
x' = -x + W @ tanh(x)
constraint norm(W) <= 1
solver euler(steps = 4)
time 0 .. 1
claim nonexpansive
"""
FALSE = DECAY.replace("norm(W) <= 1", "norm(W) <= 2").replace("Decay", "False")
BROKEN = DECAY.replace("tanh(x)", "tahn(x)").replace("Decay", "Broken")


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    status: int
    out: str
    err: str


Command = Callable[..., Result]


def environment(**changes: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "ODESPEC_TRACEBACK")}
    return {**plain, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", **changes}


@pytest.fixture
def odespec(tmp_path: Path) -> Command:
    """``odespec(*arguments)`` in a process of its own, in an empty folder."""

    def run(*arguments: str, stdin: bytes = b"", **changes: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "odespec", *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(**changes),
            timeout=300,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``inside(*arguments)``: the same in this process."""
    from odespec.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 2
        told = capsys.readouterr()
        return Result(status, told.out, told.err)

    return run


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """A folder with a true spec, one with a false claim, and one with a mistake."""
    for name, text in (("decay", DECAY), ("false", FALSE), ("broken", BROKEN)):
        (tmp_path / f"{name}.ode").write_text(text)
    return tmp_path
