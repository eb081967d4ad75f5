"""The parser: text to a syntax tree, with every mistake of the text reported once.

A line that is wrong is reported and passed over, and the next starts afresh: one run shows all independent mistakes.
"""

from __future__ import annotations

from typing import Any

from odespec.diagnostics import Report
from odespec.source import Source
from odespec.syntax import tree
from odespec.syntax.build import Builder
from odespec.syntax.lalr import Stuck, run
from odespec.syntax.lines import Line, split
from odespec.syntax.mistakes import explain
from odespec.syntax.read import read_bytes, read_source
from odespec.syntax.sections import LineNode, assemble
from odespec.syntax.table import load_table
from odespec.syntax.tokens import Token

__all__ = ["parse", "parse_expression", "read_bytes", "read_source"]

MAX_ERRORS = 50


def parse(source: Source, report: Report) -> tree.File | None:
    """The syntax tree of a file; None, with diagnostics added, where the text has mistakes."""
    before = len(report)
    parser = _Parser(source, report)
    nodes: list[LineNode | None] = []
    for line in split(source, report):
        nodes.append(parser.line(line))
        if len(report) - before >= MAX_ERRORS:
            report.add("ODE134", None, path=source.name, limit=MAX_ERRORS)
            return None
    file = assemble(source, nodes, report)
    return file if len(report) == before else None


def parse_expression(source: Source, report: Report) -> tree.Expr | None:
    """The tree of a text that is one expression (the value of ``-D name=value``); None where it is not."""
    before = len(report)
    tokens = [token for line in split(source, report) for token in line.tokens]
    if len(report) > before:
        return None
    expression: tree.Expr | None = _Parser(source, report).run("expr", tokens)
    return expression if len(report) == before else None


class _Parser:
    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.table = load_table()
        names = {rule.callback for rule in self.table.rules if rule.callback and rule.origin != "start"}
        self.callbacks = Builder(source, report).callbacks(sorted(names))

    def line(self, line: Line) -> LineNode | None:
        if line.broken:
            return None
        before = len(self.report)
        node: LineNode | None = self.run("line", line.tokens)
        return node if len(self.report) == before else None

    def run(self, start: str, tokens: list[Token]) -> Any:
        before = len(self.report)
        result = run(self.table, start, tokens, self.callbacks)
        if not isinstance(result, Stuck):
            return result
        if len(self.report) == before:
            explain(self.source, tokens, result, self.report)
        return None
