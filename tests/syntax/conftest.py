"""Fixtures for the tests of the syntax."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from odespec.diagnostics import Diagnostic, Report
from odespec.source import Source
from odespec.syntax import tree
from odespec.syntax.parser import parse


@pytest.fixture
def parsed() -> Callable[[str], tree.File]:
    """Parse a text that has no mistakes."""

    def run(text: str) -> tree.File:
        report = Report()
        file = parse(Source("test.ode", text), report)
        assert file is not None, [(d.code, d.message, d.span and d.span.text) for d in report]
        assert len(report) == 0
        return file

    return run


@pytest.fixture
def mistakes() -> Callable[[str], list[Diagnostic]]:
    """The diagnostics of a text, which has mistakes."""

    def run(text: str) -> list[Diagnostic]:
        report = Report()
        assert parse(Source("test.ode", text), report) is None
        assert len(report) > 0
        return list(report)

    return run


@pytest.fixture
def statement(parsed: Callable[[str], tree.File]) -> Callable[[str], tree.Statement]:
    """The tree of one statement, in a section of a kind that has it."""

    def run(text: str) -> tree.Statement:
        layer = re.match(r"\w+( *, *\w+)* *=(?!=)", text)
        file = parsed(f"{'network' if layer else 'model'} M\n{text}\n")
        (found,) = file.sections[0].statements
        return found

    return run
