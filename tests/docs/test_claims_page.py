"""The page of claims says what the prover says: each of its verdicts is found again."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
SAMPLE = 24


def _coverage() -> ModuleType:
    if str(ROOT / "docs") not in sys.path:
        sys.path.append(str(ROOT / "docs"))
    specification = importlib.util.spec_from_file_location("docs_coverage", ROOT / "docs" / "coverage.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["docs_coverage"] = module
    specification.loader.exec_module(module)
    return module


coverage = _coverage()
STATED = coverage.stated(PAGE)
DRAWN = random.Random(20).sample([s for s in STATED if s[2] != "unknown"], SAMPLE)


def _name(entry: tuple[object, ...]) -> str:
    form, family, verdict, _ = entry
    return f"{form.name}-{family.name}-{verdict}"  # type: ignore[attr-defined]


def _found(text: str) -> str:
    """The verdict, not its words: numbers in those may differ in the last digit."""
    found = coverage.decided(text)
    return found if isinstance(found, str) else str(found.verdict)


@pytest.mark.parametrize("entry", DRAWN, ids=_name)
def test_a_sample_of_the_verdicts(entry: tuple[object, object, str, str]) -> None:
    assert _found(entry[3]) == entry[2], "run `python docs/generate.py --claims`"


@pytest.mark.slow
@pytest.mark.parametrize("entry", STATED, ids=_name)
def test_every_verdict(entry: tuple[object, object, str, str]) -> None:
    assert _found(entry[3]) == entry[2], "run `python docs/generate.py --claims`"


def test_every_verdict_links_to_its_spec() -> None:
    """The table and the blocks below it agree: none is left out, none stands alone."""
    links = re.findall(r"\[(\w+)\]\(#(c\d+-\d+-(\w+))\)", PAGE)
    assert len(links) == len(STATED) == PAGE.count("```ode")
    assert all(word == end for word, _, end in links)
    assert [anchor for _, anchor, _ in links] == re.findall(r'<a id="(c\d+-\d+-\w+)"></a>', PAGE)


def test_every_spec_is_one_of_those_that_are_tried() -> None:
    """What stands on the page comes from the forms and designs, and there is a row for each form, in order."""
    for form, family, _, text in STATED:
        assert text in coverage.texts(form, family), (form.name, family.name)
    rows = re.findall(r"^\| `(.*?)` \| ", PAGE, re.MULTILINE)
    assert rows == [f.name for f in coverage.FORMS]
    assert len(PAGE.encode()) < 400_000


def test_every_claim_and_norm_has_a_row_with_both_verdicts() -> None:
    from odespec.claims import CLAIMS

    for kind in CLAIMS.values():
        for norm in kind.norms or (2,):
            shown = {
                v for form, _, v, text in STATED
                if form.name.startswith(kind.name) and (norm == 2 or f"norm = {norm}" in text)
            }  # fmt: skip
            assert shown >= {"proved", "refuted"}, (kind.name, norm)


def test_a_wrong_verdict_on_the_page_is_found() -> None:
    form, family, verdict, text = next(s for s in STATED if s[2] == "proved")
    turned = PAGE.replace('-proved"></a>', '-refuted"></a>', 1)
    changed = coverage.stated(turned)[0]
    assert changed == (form, family, "refuted", text)
    assert _found(text) == verdict != changed[2]
