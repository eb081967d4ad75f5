"""The helper functions of an emitted file, taken from the text of `odespec_torch.runtime`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from importlib.resources import files


@cache
def _sources() -> dict[str, tuple[str, frozenset[str]]]:
    """Every function and class of the runtime: its text, and the names that it reads."""
    text = files("odespec_torch").joinpath("runtime.py").read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            read = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
            first = min((d.lineno for d in node.decorator_list), default=node.lineno)
            found[node.name] = ("\n".join(text.splitlines()[first - 1 : node.end_lineno]), read)
    return found


def names() -> frozenset[str]:
    """The names of all helpers."""
    return frozenset(_sources())


def closure(texts: Iterable[str]) -> list[str]:
    """The helpers that some pieces of code read, and those that these read, in the order of the runtime."""
    sources = _sources()
    pending = [n for text in texts for n in _read(text) if n in sources]
    wanted: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(n for n in sources[name][1] if n in sources)
    return [text for name, (text, _) in sources.items() if name in wanted]


def _read(text: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
