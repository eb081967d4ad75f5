"""The cached table: used when sound, rebuilt when not, never needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from odespec.resources import data_dir
from odespec.syntax import table

PROGRAM = """
import sys
from odespec.diagnostics import Report
from odespec.source import Source
from odespec.syntax.parser import parse
assert parse(Source("a", "model A\\nx' = -(x + 1)^2\\n"), Report()) is not None
print("lark" in sys.modules)
"""


def built(folder: Path) -> bool:
    """Parse in a fresh process with a cache folder; whether lark had to build the table."""
    environment = os.environ | {"ODESPEC_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def test_cache(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    assert built(folder)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    assert not built(folder)
    for damaged in (b"", b"not a table", whole[:-100], whole.replace(b"NAME", b"NOPE", 1), b"\xff" * 1000):
        path.write_bytes(damaged)
        assert built(folder)
        assert not built(folder)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert built(blocked)
    assert blocked.read_text() == "in the way"
    assert built(tmp_path / ("x" * 400))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.json"
    table._write(path, {"a": 1})
    assert table._read(path) == {"a": 1}
    monkeypatch.setattr(os, "getuid", lambda: -5)
    assert table._read(path) is None


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ODESPEC_CACHE_DIR", str(tmp_path / "a"))
    assert table.cache_dir() == tmp_path / "a"
    monkeypatch.delenv("ODESPEC_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert table.cache_dir() == tmp_path / "b" / "odespec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert table.cache_dir() == tmp_path / ".cache" / "odespec"


def test_the_cached_table_is_the_built_one(tmp_path: Path) -> None:
    grammar = data_dir("grammar").joinpath("ode.lark").read_text(encoding="utf-8")
    plain = table.build(grammar)
    path = tmp_path / "table.json"
    table._write(path, plain)
    read = table._read(path)
    assert read is not None
    assert table._table(read) == table._table(plain)
