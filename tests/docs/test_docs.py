"""The documentation is true: generated parts are fresh, specs in it pass, links and commands exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.source import Source

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```ode\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    specification = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_there_are_pages() -> None:
    assert {p.name for p in PAGES} >= {"language.md", "prover.md", "emitted.md", "architecture.md", "diagnostics.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_generated_parts_are_fresh(generator: ModuleType, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generator.generated(text) == text, "run `python docs/generate.py`"
    assert text.count("<!-- generated:") == text.count("<!-- end -->")


def test_every_generated_part_is_used(generator: ModuleType) -> None:
    used = {m[1] for p in PAGES for m in re.finditer(r"<!-- generated: (\w+) -->", p.read_text(encoding="utf-8"))}
    assert used == set(generator.PARTS)


def test_a_stale_page_is_found(generator: ModuleType) -> None:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    stale = text.replace("| `skew` |", "| `skewed` |")
    assert stale != text
    assert generator.generated(stale) == text


def specs() -> list[tuple[str, str]]:
    return [
        (p.name, text) for p in [*PAGES, ROOT / "README.md"] for text in FENCE.findall(p.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("page", "text"), specs(), ids=lambda x: x.split("\n")[0])
def test_specs_in_the_docs_pass(page: str, text: str) -> None:
    report = Report()
    assert load_source(Source(page, text), {}, report) is not None
    assert list(report) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_codes(page: Path) -> None:
    from odespec.diagnostics.catalogue import codes

    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    assert set(re.findall(r"ODE\d{3}", text)) <= set(codes())


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda p: p.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:odespec|backends|docs|benchmarks|tests|specs|grammar)/[\w/.-]+)`", page.read_text(encoding="utf-8")
    )
    for name in named:
        assert (ROOT / name.rstrip("/")).exists(), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda p: p.name)
def test_verbs_and_options_exist(page: Path) -> None:
    from odespec.cli import VERBS

    for verb in re.findall(r"`odespec ([a-z]+)", page.read_text(encoding="utf-8")):
        assert verb in VERBS, verb


def test_the_proof_by_hand() -> None:
    """The worked example of prover.md is what the prover finds: basis, forms, relations, multipliers."""
    import json
    import tempfile

    import odespec

    text = next(t for _, t in specs() if t.startswith("model Tiny"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.ode")
        path.write_text(text)
        ((verdict,),) = [r.verdicts for r in odespec.check(odespec.load(path))]
    assert verdict.certificate is not None
    (part,) = json.loads(verdict.certificate.text())["proof"]["parts"]
    assert [v["name"] for v in part["basis"]] == ["e[x]", "W e[x]", "relu(W @ x + b)", "W.T relu(W @ x + b)"]
    assert part["tau"] == "1"
    e, g = "e[x]", "W.T relu(W @ x + b)"
    assert part["numerator"] == [[e, e, "1"], [e, g, "-4"], [g, g, "4"]]
    rules = [(r["rule"], r["multipliers"]) for r in part["relations"]]
    assert rules == [("sector", [["4"]]), ("adjoint", [["4"]]), ("operator", [["4"]])]
