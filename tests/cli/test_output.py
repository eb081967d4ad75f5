"""What reaches a terminal, a pipe or a full disk; and that no input ends in a traceback."""

from __future__ import annotations

import io
import os
import pty
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHIPPED = Path(__file__).resolve().parents[2] / "specs"


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    "command", ["check decay.ode broken.ode", "explain ODE301 relu", "compile broken.ode --to torch"]
)
def test_no_colours_off_a_terminal(inside: Callable[..., Any], command: str) -> None:
    done = inside(*command.split())
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(("changes", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_on_a_terminal(specs: Path, changes: dict[str, str], colours: bool) -> None:
    ours, theirs = pty.openpty()
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "odespec", "check", "decay.ode", "broken.ode"],
        cwd=specs,
        env={**plain, "TERM": "xterm", **changes},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:
            break
        if not part:
            break
        told += part
    os.close(ours)
    assert process.wait() == 2
    assert (b"\x1b[1;32m" in told and b"\x1b[1;31m" in told) == colours
    assert b"proved" in told


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding(odespec: Callable[..., Any], specs: Path, encoding: str) -> None:
    (specs / "umläut.ode").write_bytes((specs / "decay.ode").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "odespec", "check", "umläut.ode"],
        cwd=specs,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("✓" in done.stdout.decode(encoding)) == (encoding == "utf-8"), done
    assert b"proved" in done.stdout


def test_a_name_that_is_no_text(specs: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[31m.ode")
    (specs / name).write_bytes(b"model A\nstate x[2]\nx' = -y\n")
    done = subprocess.run([sys.executable, "-m", "odespec", "check", name], cwd=specs, capture_output=True)
    assert done.returncode == 2
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"ODE201" in done.stderr


def test_hostile_text_is_shown_inert(inside: Callable[..., Any], tmp_path: Path) -> None:
    hostile = (
        "model A\nstate x[2]\nx' = -y # \x1b]0;title\x07 \u202e rtl \x9b31m\r\nsolver euler(steps = 2)\ntime 0 .. 1\n"
    )
    (tmp_path / "hostile.ode").write_text(hostile, newline="")
    for how in ("text", "concise"):
        told = inside("check", "hostile.ode", "--format", how).err
        assert "ODE201" in told
        assert not {"\x1b", "\x07", "\u202e", "\x9b", "\r"} & set(told)


@pytest.mark.parametrize("command", ["explain --list", "solvers", "new -", "--help"])
def test_broken_pipe(tmp_path: Path, command: str) -> None:
    """The reader takes one line and goes away."""
    shell = f"'{sys.executable}' -m odespec {command} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], cwd=tmp_path, capture_output=True)
    assert done.returncode in (0, 141)
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


def test_reader_that_never_came(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "odespec", "explain", "--list"], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "odespec", "solvers"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "odespec: cannot write the output: No space left on device\n"


def test_closed_output(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m odespec solvers >&-"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode in (0, 2)
    assert "Traceback" not in done.stderr


def test_a_defect_is_told_without_a_traceback(
    inside: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, specs: Path
) -> None:
    import odespec.api

    def fail(*_: object) -> None:
        raise RuntimeError("cannot\x1b happen")

    monkeypatch.setattr(odespec.api, "check", fail)
    done = inside("check", "decay.ode")
    assert done.status == 70
    assert done.err.splitlines()[0] == "odespec: internal error: RuntimeError: cannot� happen"
    assert "report it" in done.err
    monkeypatch.setenv("ODESPEC_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        inside("check", "decay.ode")


# --- no traceback, whatever the input --------------------------------------------------


def broken_inputs() -> list[bytes]:
    """A few dozen: cut, shuffled, repeated and peppered specs, and no specs at all."""
    rng = random.Random(7)
    originals = [p.read_bytes() for p in sorted(SHIPPED.glob("*.ode"))]
    odd = [
        b"(",
        b")",
        b"[",
        b"'",
        b'"""',
        b"\0",
        b"\xff",
        b"@",
        b"..",
        b"^",
        b"-",
        b"\n",
        b"=",
        b"9" * 400,
        b"1e999",
        b"{}",
        b"#",
    ]
    found = [
        b"",
        b"\n",
        b"model",
        b"model A",
        b"model A\n" * 50,
        b"\xef\xbb\xbf",
        b'use "x"\n',
        b"(" * 10_000,
        b"\x00" * 100,
    ]
    for text in originals:
        cut, lines = rng.randrange(len(text)), text.splitlines()
        at = rng.randrange(len(lines))
        found += [
            text[:cut],
            text[cut:],
            b"\n".join(rng.sample(lines, len(lines))),
            b"\n".join([*lines[:at], *lines[at + 1 :]]),
            b"\n".join([*lines[: at + 1], *lines[at:]]),
            text[:cut] + rng.choice(odd) + text[cut:],
            text.replace(rng.choice([b"d", b"x", b"W", b"1", b"0", b"norm", b"steps"]), rng.choice(odd)),
        ]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_broken_specs_never_crash(
    inside: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Decisions are left out: what is read is checked, formatted and reported through the command line."""
    import odespec.api

    monkeypatch.setattr(
        odespec.api, "check", lambda spec, *_, **__: tuple(odespec.api.Checked(s, ()) for s in spec.sections)
    )
    path = tmp_path / "input.ode"
    for data in broken_inputs()[seed::8]:
        path.write_bytes(data)
        for command in (
            "check input.ode",
            "check input.ode --json -D d=4",
            "check --format concise input.ode",
            "fmt --check input.ode",
        ):
            done = inside(*command.split())
            assert done.status in (0, 1, 2), (data, command, done)
            assert done.status == 0 or done.out or done.err, (data, command)
            assert "\x1b" not in done.out + done.err


def test_stream_without_reconfigure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output may go to any object with `write`, as in a notebook."""
    from odespec.cli import main

    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["new", "-"]) == 0
    assert stream.getvalue().startswith("model First")
