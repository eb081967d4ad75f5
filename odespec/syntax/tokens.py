"""Text to tokens, by the terminals of the grammar.

What is no token of the language becomes a token too, of a type in `MISTAKES`, so that one stray character does not hide
the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from odespec.syntax.table import Table, load_table

CONTEXTUAL = frozenset({"STEP", "MEAN", "SQUARE", "INVARIANT"})
"""Keywords that are names wherever a name can stand, except `invariant` directly behind `claim`."""

TRIVIA = frozenset({"WHITESPACE", "COMMENT"})

_MISTAKES = {
    "UNCLOSED_DOC": '"""',
    "UNCLOSED_STRING": r'"[^\n]*',
    "ODD_NUMBER": r"\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.(?![0-9.A-Za-z_])",
    "ODD_OPERATOR": r"\*\*|:=|!=|<>|=>|->|&&|\|\||//|\.\.\.|=<|[<>](?!=)",
    "ODD_NAME": r"[A-Za-z0-9_]*(?![\x00-\x7F])\w\w*",
    "ODD_CHARACTER": r"[\s\S]",
}
MISTAKES = frozenset(_MISTAKES)


class Token(NamedTuple):
    """A terminal of the grammar (or of `MISTAKES`) and the characters it covers."""

    type: str
    start: int
    end: int


@cache
def keywords() -> dict[str, str]:
    """The words of the language, text to terminal."""
    return {text: name for text, name in load_table().literals.items() if text.isalpha()}


@cache
def reserved() -> frozenset[str]:
    """The keywords that cannot be names."""
    return frozenset(text for text, name in keywords().items() if name not in CONTEXTUAL)


@cache
def _pattern() -> re.Pattern[str]:
    table: Table = load_table()
    signs = sorted((text for text in table.literals if not text.isalpha()), key=len, reverse=True)
    groups = {
        "WHITESPACE": table.patterns["WHITESPACE"],
        "ODD_NAME": _MISTAKES["ODD_NAME"],
        "ODD_NUMBER": _MISTAKES["ODD_NUMBER"],
        **{name: table.patterns[name] for name in ("NAME", "NUMBER", "COMMENT", "PRIMES", "DOC")},
        "NEWLINE": table.patterns["_NEWLINE"] + r"[ \t\n]*",
        "UNCLOSED_DOC": _MISTAKES["UNCLOSED_DOC"],
        "STRING": table.patterns["STRING"],
        "UNCLOSED_STRING": _MISTAKES["UNCLOSED_STRING"],
        "ODD_OPERATOR": _MISTAKES["ODD_OPERATOR"],
        "SIGN": "|".join(map(re.escape, signs)),
        "ODD_CHARACTER": _MISTAKES["ODD_CHARACTER"],
    }
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in groups.items()))


def tokenize(text: str) -> Iterator[Token]:
    """All tokens of a text, comments and white space with them; a byte order mark in front is passed over.

    A line break has the blank lines behind it in the same token.
    """
    words, signs = keywords(), load_table().literals
    for match in _pattern().finditer(text, int(text.startswith("\ufeff"))):
        kind = match.lastgroup or ""
        if kind == "NAME":
            kind = words.get(match.group(), kind)
        elif kind == "SIGN":
            kind = signs[match.group()]
        yield Token(kind, match.start(), match.end())
