"""Names of a spec as names of Python: the same wherever they can be, changed predictably where they cannot."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

_PYTHON = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) | frozenset(dir(builtins))
LONGEST = 40


def mangle(name: str, reserved: Iterable[str]) -> str:
    """A Python identifier for a name of a spec.

    A prime becomes ``_dot``, a name that does not begin with a letter gets an ``n`` in front, a long one is cut; an
    underscore is appended to keywords, builtins and reserved names.
    """
    text = re.sub(r"\W", "_", name.replace("'", "_dot"), flags=re.ASCII)[:LONGEST]
    if not text[:1].isalpha():
        text = f"n{text}"
    taken = _PYTHON.union(reserved)
    while text in taken:
        text += "_"
    return text


class Names:
    """The names of one scope: each asked for once, all different."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved)
        self._count = 0

    def declare(self, name: str) -> str:
        """A name like a given one."""
        text = mangle(name, self._taken)
        self._taken.add(text)
        return text

    def fresh(self, stem: str = "v") -> str:
        """The stem with the next free number."""
        while True:
            self._count += 1
            text = f"{stem}{self._count}"
            if text not in self._taken:
                self._taken.add(text)
                return text
