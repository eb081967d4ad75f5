"""Every diagnostic has one well-formed page, is raised somewhere, and its examples show what the page says."""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from odespec import api
from odespec.diagnostics import Report, SpecError
from odespec.diagnostics.catalogue import Example, codes, page
from odespec.ir.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "odespec" / "diagnostics" / "pages").glob("*.md"))
SOURCES = sorted((ROOT / "odespec").rglob("*.py"))
NOT_VALUES = {"notes", "suggestion", None}


def raised() -> Iterator[tuple[str, set[str | None], str]]:
    """Every `Report.add` and `Context.error` with a literal code: the code, its keywords (None for ``**``), the place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in ("add", "error"):
                continue
            for argument in node.args:
                if isinstance(argument, ast.Constant) and re.fullmatch(r"ODE\d{3}", str(argument.value)):
                    yield str(argument.value), {k.arg for k in node.keywords}, f"{path.name}:{node.lineno}"


def mentioned() -> set[str]:
    """Every code that is a text of its own in the code."""
    texts = {
        str(node.value)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    return {text for text in texts if re.fullmatch(r"ODE\d{3}", text)}


def test_codes_are_unique() -> None:
    assert [c for c, n in Counter(p.name[:6] for p in PAGES).items() if n > 1] == []
    assert len(codes()) == len(PAGES) > 100


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_page_is_well_formed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = page(path.name[:6])
    assert re.fullmatch(r"ODE\d{3}-[a-z0-9]+(-[a-z0-9]+)*\.md", path.name)
    assert text.startswith(
        f"# {path.name[:6]}: {found.title}\nseverity: {found.severity}\nmessage: {found.message}\n\n"
    )
    assert found.code == path.name[:6]
    assert found.severity in ("error", "warning")
    assert found.title
    assert len(found.title) <= 60
    assert len(found.explanation.split()) >= 5
    assert found.explanation.endswith(".")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Fails", "Passes"]
    assert found.fails is not None
    assert found.passes is not None
    assert found.passes.language == "ode"
    assert found.fails.language in ("ode", "python", "text")
    assert "\t" not in text
    assert not re.search(r"TODO|FIXME|XXX", text)


def test_every_page_is_raised_and_every_code_has_a_page() -> None:
    assert mentioned() == set(codes())


def test_messages_get_their_values() -> None:
    """A value that a message lacks would be a crash while an error is reported."""
    checked = 0
    for code, keywords, where in raised():
        wanted = {name for _, name, _, _ in string.Formatter().parse(page(code).message) if name}
        given = {k for k in keywords if k not in NOT_VALUES}
        if None not in keywords:
            checked += 1
            assert wanted <= given, (code, where, wanted - given)
    assert checked > 60


# --- the examples ------------------------------------------------------------------


def data_of(example: Example) -> bytes:
    if example.language != "python":
        return example.text.encode()
    names: dict[str, bytes] = {}
    exec(example.text, names)
    return names["data"]


def reported(path: Path) -> list[str]:
    """The codes of the whole pipeline, compiling included."""
    report = Report()
    spec = load(path, {}, report)
    found = [d.code for d in report]
    if spec is not None:
        assert all(d.message for d in report)
        try:
            api.compile(spec, "torch")
        except SpecError as error:
            found += [d.code for d in error.diagnostics]
    return found


IN_WORDS = ("ODE001", "ODE002", "ODE003", "ODE207", "ODE208", "ODE224")


def test_which_pages_are_told_in_words() -> None:
    assert tuple(c for c in codes() if (f := page(c).fails) and f.language == "text") == IN_WORDS


def test_what_is_told_in_words(tmp_path: Path) -> None:
    spec = tmp_path / "spec.ode"
    spec.write_text("model A\ndim d = 2\nstate x[d]\nx' = -x\nsolver euler(steps = 2)\ntime 0 .. 1\n")
    (tmp_path / "a.ode").write_text('use "b.ode"\n' + spec.read_text())
    (tmp_path / "b.ode").write_text('use "a.ode"\n' + spec.read_text().replace("model A", "model B"))
    runs: list[tuple[str, Path, dict[str, str]]] = [
        ("ODE001", tmp_path / "missing.ode", {}),
        ("ODE002", tmp_path, {}),
        ("ODE003", Path("a\0b"), {}),
        ("ODE207", spec, {"depth": "12"}),
        ("ODE208", spec, {"d": "x["}),
        ("ODE224", tmp_path / "a.ode", {}),
    ]
    assert tuple(code for code, _, _ in runs) == IN_WORDS
    for code, path, definitions in runs:
        report = Report()
        load(path, definitions, report)
        assert code in [d.code for d in report]


@pytest.mark.parametrize("code", [c for c in codes() if c not in IN_WORDS])
def test_fails_and_passes(code: str, tmp_path: Path) -> None:
    found = page(code)
    assert found.fails is not None
    assert found.passes is not None
    for name, example, fails in (("fails", found.fails, True), ("passes", found.passes, False)):
        path = tmp_path / f"{name}.ode"
        path.write_bytes(data_of(example))
        assert (code in reported(path)) == fails


@pytest.mark.parametrize("code", codes())
def test_passing_examples_have_no_diagnostic(code: str, tmp_path: Path) -> None:
    passes = page(code).passes
    assert passes is not None
    path = tmp_path / "passes.ode"
    path.write_text(passes.text)
    report = Report()
    load(path, {}, report)
    assert [d.code for d in report] == []
