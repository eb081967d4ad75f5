"""Reading files: whatever lies at the path is answered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from odespec.diagnostics import Diagnostic, Report
from odespec.source import Source
from odespec.syntax.parser import read_bytes, read_source
from odespec.syntax.read import MAX_BYTES


def attempt(path: Path) -> tuple[Source | None, list[Diagnostic]]:
    report = Report()
    return read_source(path, report), list(report)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ode"
    path.write_bytes("\ufeffmodel A\r\n# é\r\n".encode())
    source, found = attempt(path)
    assert source is not None
    assert (source.name, source.text, found) == (str(path), "\ufeffmodel A\r\n# é\r\n", [])


def test_paths_without_a_file(tmp_path: Path) -> None:
    for path, code in (
        (tmp_path / "none.ode", "ODE001"),
        (tmp_path, "ODE002"),
        (Path("a\0b"), "ODE003"),
        (tmp_path / ("x" * 5000), "ODE003"),
    ):
        source, (found,) = attempt(path)
        assert (source, found.code) == (None, code)
        assert found.message


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="the superuser may read everything")
def test_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "a.ode"
    path.write_text("model A\n")
    path.chmod(0)
    source, (found,) = attempt(path)
    assert (source, found.code) == (None, "ODE003")


@pytest.mark.parametrize(
    ("data", "code", "place", "words"),
    [
        (b"model A\n# d\xe9j\xe0\n", "ODE004", (2, 4), "0xe9 at offset 11"),
        ("# é\n".encode() + b"\xff", "ODE004", (2, 1), "0xff at offset 5"),
        ("model A".encode("utf-16"), "ODE004", (1, 1), "UTF-16"),
        ("# é\nab\0".encode(), "ODE005", (2, 3), "offset 7"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, code: str, place: tuple[int, int], words: str) -> None:
    report = Report()
    assert read_bytes("a.ode", data, report) is None
    (found,) = report
    assert found.code == code
    assert found.span is not None
    assert (found.span.line, found.span.column) == place
    assert words in f"{found.message} {found.suggestion}"


def test_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.ode"
    path.write_bytes(b"#" * MAX_BYTES)
    assert attempt(path)[0] is not None
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    source, (found,) = attempt(path)
    assert (source, found.code) == (None, "ODE006")
