"""Layout of emitted text: lines of at most `WIDTH` characters, and text of the spec as text that cannot do anything."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100
INDENT = "    "


def indent(lines: Iterable[str], levels: int = 1) -> list[str]:
    """Lines moved to the right; empty ones stay empty."""
    return [INDENT * levels + line if line else line for line in lines]


def pack(opening: str, items: Sequence[str], closing: str, margin: int = 12) -> list[str]:
    """A bracketed list on one line, or filled over several where it is too long."""
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + margin <= WIDTH:
        return [line]
    filled: list[str] = []
    for item in items:
        if filled and len(filled[-1]) + len(item) + 2 + len(INDENT) + margin < WIDTH:
            filled[-1] += f" {item},"
        else:
            filled.append(f"{item},")
    return [opening, *indent(filled), closing]


def tuple_of(items: Sequence[str]) -> str:
    """A tuple; one of one item keeps its comma."""
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def shape_of(numbers: Sequence[int]) -> str:
    return tuple_of([str(n) for n in numbers])


def quoted(text: str) -> str:
    """A string literal in double quotes, printable characters only."""
    return '"' + "".join(_escaped(c, '"\\') for c in text) + '"'


def _escaped(character: str, special: str) -> str:
    if character in special:
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def prose(text: str, margin: int = 4) -> list[str]:
    """The lines of a text as they may stand in a docstring: nothing in it ends the docstring or is an escape."""
    lines: list[str] = []
    for line in textwrap.dedent(text).strip().splitlines():
        safe = "".join(_escaped(c, '"\\') for c in line.expandtabs(4).rstrip())
        safe = safe.replace('\\"', '"').replace('"""', '\\"\\"\\"')
        lines += textwrap.wrap(safe, WIDTH - margin, break_long_words=False, break_on_hyphens=False) or [""]
    if lines and lines[-1].endswith('"'):
        lines[-1] = lines[-1][:-1] + '\\"'
    return lines


def docstring(lines: Sequence[str]) -> list[str]:
    """A docstring of lines that `prose` made, or that the printer wrote."""
    if len(lines) == 1:
        return [f'"""{lines[0]}"""']
    return [f'"""{lines[0]}', *lines[1:], '"""']
