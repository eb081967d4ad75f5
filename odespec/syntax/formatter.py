"""One layout for every spec.

The rules:

* Statements are never joined or broken; inside of brackets the author's line breaks stay, indented by four for each
  bracket.
* In a section, what follows ``dim``, ``state``, ``param`` and their like begins in one column.
* ``*``, ``/`` and ``^`` are tight (``2*x``), but ``*`` and ``/`` are spaced in a product with ``@``, whose order of
  evaluation a tight ``*`` would belie; other operators are spaced.
* Comments and docstrings stay as they are; a comment behind a statement stands two spaces behind it.
* At most one blank line in a row, one in front of each section, none at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from odespec.diagnostics import Report
from odespec.records import dataclass
from odespec.source import Source
from odespec.syntax.parser import parse
from odespec.syntax.spacing import gaps
from odespec.syntax.tokens import Token, tokenize

INDENT = 4
_ALIGNED = frozenset(("DIM", "CONST", "STATE", "PARAM", "INPUT", "GRAPH", "NOISE", "LET", "SOLVER", "TIME"))
_HEADERS = frozenset({"MODEL", "NETWORK"})
_STEPS = {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}


@dataclass(slots=True)
class _Row:
    """One line of text. ``depth`` counts the brackets open in front of it; ``gaps`` go in front of its tokens."""

    depth: int
    tokens: list[Token] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    comment: str = ""
    blank_before: bool = False
    width: int = 0

    def starts(self, kinds: frozenset[str]) -> bool:
        return not self.depth and bool(self.tokens) and self.tokens[0].type in kinds


def format_source(source: Source) -> str:
    """The text in the common layout: the same tree, the same comments. A text that does not parse is left unchanged."""
    if parse(source, Report()) is None:
        return source.text
    rows = list(_rows(source.text))
    _space(rows)
    _align(rows)
    lines: list[str] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if before and (row.blank_before or (row.starts(_HEADERS) and before.tokens)):
            lines.append("")
        lines.append(_line(row, source.text))
    return "".join(f"{line}\n" for line in lines)


def _rows(text: str) -> Iterator[_Row]:
    """The lines of a text that are not blank."""
    row = _Row(0)
    depth = 0
    for token in (*tokenize(text), Token("NEWLINE", len(text), len(text))):
        if token.type == "NEWLINE":
            if row.tokens or row.comment:
                yield row
                row = _Row(depth, blank_before=not depth and text.count("\n", token.start, token.end) > 1)
            elif not row.depth:
                row.blank_before = True
        elif token.type == "COMMENT":
            row.comment = text[token.start : token.end].rstrip()
        elif token.type != "WHITESPACE":
            row.tokens.append(token)
            depth += _STEPS.get(token.type, 0)


def _space(rows: list[_Row]) -> None:
    """Set the gaps, which depend on the whole statement."""
    statement: list[_Row] = []
    for row in [*rows, _Row(0)]:
        if not row.depth:
            spaces = iter(gaps([token for part in statement for token in part.tokens]))
            for part in statement:
                part.gaps = [next(spaces) for _ in part.tokens]
            statement = []
        statement.append(row)


def _align(rows: list[_Row]) -> None:
    """Set the width of the keywords that are aligned, to the longest of them in the section."""
    section: list[_Row] = []
    for row in [*rows, _Row(0, [Token("MODEL", 0, 0)])]:
        if row.starts(_HEADERS):
            width = max((part.tokens[0].end - part.tokens[0].start for part in section), default=0)
            for part in section:
                part.width = width
            section = []
        elif row.starts(_ALIGNED):
            section.append(row)


def _line(row: _Row, text: str) -> str:
    words = [text[token.start : token.end].replace("\r\n", "\n") for token in row.tokens]
    if row.tokens:
        words[0] = words[0].ljust(row.width)
    code = "".join(gap + word for gap, word in zip(["", *row.gaps[1:]], words, strict=False))
    closes = bool(row.tokens) and _STEPS.get(row.tokens[0].type) == -1
    indent = " " * (INDENT * (row.depth - closes))
    return indent + code + ("  " if code and row.comment else "") + row.comment
