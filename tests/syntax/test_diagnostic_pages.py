"""Every page of a mistake of reading or syntax: its failing example has it, its passing example has none."""

from __future__ import annotations

import pytest

from odespec.diagnostics import Report
from odespec.diagnostics.catalogue import Example, codes, page
from odespec.syntax.parser import parse, read_bytes

CODES = [code for code in codes() if code.startswith(("ODE0", "ODE1"))]


def report_of(example: Example) -> Report:
    data = example.text.encode()
    if example.language == "python":
        names: dict[str, bytes] = {}
        exec(example.text, names)
        data = names["data"]
    report = Report()
    source = read_bytes("example.ode", data, report)
    if source is not None:
        parse(source, report)
    return report


@pytest.mark.parametrize("code", CODES)
def test_page(code: str) -> None:
    found = page(code)
    assert found.severity == "error"
    assert found.explanation
    assert found.passes is not None
    assert found.fails is not None
    assert list(report_of(found.passes)) == []
    if found.fails.language != "text":  # what is wrong with a path is in test_reading.py
        assert code in {d.code for d in report_of(found.fails)}
        for diagnostic in report_of(found.fails):
            assert diagnostic.message


def test_only_paths_are_told_in_words() -> None:
    in_words = [code for code in CODES if (fails := page(code).fails) and fails.language == "text"]
    assert in_words == ["ODE001", "ODE002", "ODE003"]
