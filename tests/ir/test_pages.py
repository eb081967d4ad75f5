"""Every page of names, types, solvers and claims: its failing example has its code alone, its passing one passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from odespec.diagnostics import Report
from odespec.diagnostics.catalogue import codes, page
from odespec.ir.load import load_source
from odespec.source import Source

CODES = [c for c in codes() if c[3] in "234"]


def reported(text: str) -> list[str]:
    report = Report()
    load_source(Source("example.ode", text), {}, report, Path("/nonexistent"))
    for diagnostic in report:
        assert diagnostic.message
    return [d.code for d in report]


def test_there_are_pages() -> None:
    assert len(CODES) >= 70


@pytest.mark.parametrize("code", CODES)
def test_failing_example_has_this_code_alone(code: str) -> None:
    example = page(code).fails
    assert example is not None
    if example.language != "ode":
        pytest.skip("described in words; tested with the overrides and the files")
    found = reported(example.text)
    if page(code).severity == "error":
        assert [c for c in found if page(c).severity == "error"] == [code]
    else:
        assert found and set(found) == {code}


@pytest.mark.parametrize("code", CODES)
def test_passing_example_passes(code: str) -> None:
    example = page(code).passes
    assert example is not None and example.language == "ode"
    assert reported(example.text) == []
