"""The layout of emitted lines."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.program.text import WIDTH


def broken(line: str, margin: int = 8) -> list[str]:
    """An assignment or a return as it is, or, where it is too long, with each term of its sum on a line of its own."""
    if len(line) + margin <= WIDTH:
        return [line]
    head, value = ("return ", line[7:]) if line.startswith("return ") else _assignment(line)
    terms = _terms(value)
    if len(terms) < 2 or not head:
        return [line]
    return [f"{head}(", *(f"    {term}" for term in terms), ")"]


def listed(opening: str, items: Sequence[str], closing: str, margin: int = 8) -> list[str]:
    """A bracketed list on one line, or with each item on a line of its own where it is too long."""
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + margin <= WIDTH or not items:
        return [line]
    return [opening, *(f"    {item}," for item in items), closing]


def _assignment(line: str) -> tuple[str, str]:
    name, sign, value = line.partition(" = ")
    return f"{name}{sign}", value


def _terms(text: str) -> list[str]:
    """The terms of a sum, each with its sign."""
    terms, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text[i : i + 3] in (" + ", " - "):
            terms.append(text[start:i].strip())
            start = i + 1
    return [*terms, text[start:].strip()]
