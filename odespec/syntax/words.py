"""Tokens in human words."""

from __future__ import annotations

from collections.abc import Collection

from odespec.syntax.lines import STATEMENT_KEYWORDS
from odespec.syntax.table import load_table

_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": 'a path in quotes, "…"',
    "DOC": 'a docstring, """…"""',
    "PRIMES": "`'`",
    "$END": "the end of the line",
}

_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "AT", "CIRCUMFLEX"})
_OPERAND = frozenset({"NAME", "NUMBER", "LPAR", "LSQB", "MINUS"})
_GROUPS = (
    ("a statement", frozenset({"NAME", "CLAIM"}), STATEMENT_KEYWORDS | {"NAME", "DOC"}),
    ("a claim", frozenset({"NAME", "INVARIANT"}), frozenset({"NAME", "NOT", "INVARIANT"})),
    ("an expression", _OPERAND, _OPERAND),
    ("an operator", _OPERATORS, _OPERATORS | {"TRANSPOSE", "PRIMES", "LPAR", "LSQB"}),
)
"""A phrase, the terminals that must all be there for it, and those that it speaks for."""


def describe(terminal: str) -> str:
    """One terminal: ``a name``, `` `<=` ``."""
    if terminal in _WORDS:
        return _WORDS[terminal]
    return next((f"`{text}`" for text, name in load_table().literals.items() if name == terminal), terminal)


def expectation(terminals: Collection[str]) -> str:
    """What could stand next, as a phrase: ``an expression``, `` `<=`, `in` or an operator``."""
    rest = set(terminals)
    phrases: list[str] = []
    for phrase, needed, covered in _GROUPS:
        if needed <= rest:
            phrases.append(phrase)
            rest -= covered
    # The end of the line comes last, as what could have been left out.
    ends = [describe("$END")] if "$END" in rest else []
    phrases += sorted(map(describe, rest - {"$END"}))
    return _either(phrases + ends)


def _either(phrases: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1]))) if phrases else "nothing"
