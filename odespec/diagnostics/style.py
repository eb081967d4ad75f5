"""Colours for a terminal, and none anywhere else."""

from __future__ import annotations

import os
from typing import TextIO

from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Paints text with ANSI codes where ``colour`` is set."""

    colour: bool

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def error(self, text: str) -> str:
        return self._paint("1;31", text)

    def warning(self, text: str) -> str:
        return self._paint("1;33", text)

    def good(self, text: str) -> str:
        return self._paint("1;32", text)

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)


PLAIN = Style(colour=False)


def style_for(stream: TextIO) -> Style:
    """Colours only on a terminal, and not with NO_COLOR (https://no-color.org) or TERM=dumb."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return Style(colour=stream.isatty() and not plain)
