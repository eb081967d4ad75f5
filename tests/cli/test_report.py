"""``odespec report`` and ``check --explain``: proofs as a person reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odespec import api
from odespec.certificate.narrate import narrate, vector

SPECS = sorted(Path(__file__).resolve().parents[2].joinpath("specs").glob("*.ode"))


@pytest.mark.usefixtures("specs")
def test_a_page_has_the_claims_the_proof_and_the_spec(inside: Callable[..., Any], tmp_path: Path) -> None:
    page = inside("report", "decay.ode")
    assert page.status == 0
    for word in ("## Decay", "| claim | verdict |", "### `", "```text", "assumed: arithmetic is exact", "```ode"):
        assert word in page.out
    done = inside("report", "decay.ode", "-o", str(tmp_path / "page.md"))
    assert done.status == 0 and (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# decay.ode")


@pytest.mark.usefixtures("specs")
def test_a_page_tells_what_would_help(inside: Callable[..., Any]) -> None:
    page = inside("report", "false.ode")
    assert page.status == 0 and "* with `constraint norm(W) <= 1` it is proved" in page.out


@pytest.mark.usefixtures("specs")
def test_a_page_of_a_broken_spec_is_not_written(inside: Callable[..., Any], tmp_path: Path) -> None:
    there = tmp_path / "page.md"
    there.write_text("kept", encoding="utf-8")
    assert inside("report", "broken.ode", "-o", str(there)).status == 2
    assert there.read_text(encoding="utf-8") == "kept"
    assert inside("report", "decay.ode", "-o", str(tmp_path / "none" / "page.md")).status == 2


@pytest.mark.usefixtures("specs")
def test_explain_prints_relations_weights_and_references(inside: Callable[..., Any]) -> None:
    told = inside("check", "decay.ode", "--explain").out
    assert "weight" in told and "together, with a sum of squares" in told and "reference: " in told
    assert "weight" not in inside("check", "decay.ode").out


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_every_proof_of_the_shipped_specs_can_be_told(path: Path) -> None:
    for checked in api.check(api.load(path)):
        for verdict in checked.verdicts:
            if verdict.certificate is not None:
                lines = narrate(verdict.certificate)
                assert any(line.startswith("assumed: ") for line in lines)
                assert all("\n" not in line for line in lines)


def test_vectors_read_as_sums() -> None:
    assert vector([["a", "1"], ["b", "-2"], ["c", "-1/3"]]) == "a - 2 b - 1/3 c"
    assert vector([["a", "-1"]]) == "-a" and vector([]) == "0"
