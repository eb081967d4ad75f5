"""``odespec compile``: exit statuses, and output files that are whole or untouched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("target", ["torch", "jax"])
def test_written_and_printed_are_the_same(
    odespec: Callable[..., Any], inside: Callable[..., Any], specs: Path, target: str
) -> None:
    assert odespec("compile", "decay.ode", "--to", target, "-o", "out.py").status == 0
    text = (specs / "out.py").read_text()
    compile(text, "out.py", "exec")
    assert "Decay" in text
    for output in ((), ("-o", "-")):
        printed = inside("compile", "decay.ode", "--to", target, *output)
        assert (printed.status, printed.out) == (0, text)
    piped = inside("compile", "-", "--to", target, stdin=(specs / "decay.ode").read_bytes())
    assert piped.status == 0
    compile(piped.out, "piped.py", "exec")


@pytest.mark.usefixtures("specs")
def test_refused_claim_and_force(inside: Callable[..., Any], specs: Path) -> None:
    (specs / "out.py").write_text("# what was there\n")
    done = inside("compile", "false.ode", "--to", "torch", "-o", "out.py")
    assert done.status == 1
    assert "ODE501" in done.err
    assert (specs / "out.py").read_text() == "# what was there\n"
    assert inside("compile", "false.ode", "--to", "torch", "-o", "out.py", "--force").status == 0
    assert "refuted" in (specs / "out.py").read_text()


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("broken.ode", "--to", "torch", "-o", "out.py"), "ODE305"),
        (("missing.ode", "--to", "torch", "-o", "out.py"), "ODE001"),
        ((".", "--to", "torch", "-o", "out.py"), "ODE002"),
        (("decay.ode", "--to", "torhc", "-o", "out.py"), "did you mean `torch`?"),
        (("decay.ode", "--to", "torch", "-o", "missing/out.py"), "cannot write"),
        (("decay.ode", "--to", "torch", "-o", "out.py/sub.py"), "cannot write"),
        (("decay.ode", "--to", "torch", "-o", "/proc/out.py"), "cannot write"),
        (("decay.ode", "--to", "torch", "-o", "."), "cannot write"),
        (("decay.ode", "--to", "torch", "-o", "a\0b"), "cannot write"),
        (("decay.ode", "--to", "torch", "-o", "decay.ode"), "the spec itself"),
        (("decay.ode", "--to", "torch", "-o", "link.ode"), "the spec itself"),
        (("decay.ode",), "--to"),
    ],
)
def test_failures_leave_everything(
    inside: Callable[..., Any], specs: Path, arguments: tuple[str, ...], told: str
) -> None:
    (specs / "out.py").write_text("# what was there\n")
    (specs / "link.ode").symlink_to("decay.ode")
    before = {p.name: p.read_bytes() for p in specs.iterdir()}
    done = inside("compile", *arguments)
    assert done.status == 2
    assert told in done.err
    assert {p.name: p.read_bytes() for p in specs.iterdir()} == before


@pytest.mark.usefixtures("specs")
def test_a_device_is_no_file_to_replace(inside: Callable[..., Any]) -> None:
    assert inside("compile", "decay.ode", "--to", "torch", "-o", "/dev/null").status == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.usefixtures("specs")
def test_symbolic_link_and_mode_are_kept(inside: Callable[..., Any], specs: Path) -> None:
    (specs / "real.py").write_text("")
    (specs / "real.py").chmod(0o640)
    (specs / "link.py").symlink_to("real.py")
    assert inside("compile", "decay.ode", "--to", "torch", "-o", "link.py").status == 0
    assert (specs / "link.py").is_symlink()
    assert (specs / "real.py").stat().st_mode & 0o777 == 0o640
    assert "Decay" in (specs / "real.py").read_text()


KILLED_WHILE_WRITING = """
import os, sys, time
from odespec import files
def hang(*_):
    print("writing", flush=True)
    time.sleep(60)
{patch}
from odespec.cli import main
raise SystemExit(main(["compile", "decay.ode", "--to", "torch", "-o", "out.py"]))
"""


@pytest.mark.parametrize("patch", ["os.fsync = hang", "os.replace = hang"])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_the_file(specs: Path, patch: str, kill: signal.Signals) -> None:
    (specs / "out.py").write_text("# what was there\n")
    code = KILLED_WHILE_WRITING.format(patch=patch)
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=specs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(kill)
    process.wait(timeout=60)
    assert (specs / "out.py").read_text() == "# what was there\n"
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert [p.name for p in specs.iterdir() if p.name.startswith(".out")] == []


def test_interrupt_while_checking(specs: Path) -> None:
    code = "import time\nfrom odespec.prove import decide\ndef hang(*_):\n print('in', flush=True)\n time.sleep(60)\n"
    code += "decide.decide = hang\nfrom odespec.cli import main\nraise SystemExit(main(['check', 'decay.ode']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=specs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "odespec: interrupted\n")
