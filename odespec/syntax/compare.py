"""Whether two trees say the same."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from odespec.source import Source, Span


def same(a: Any, b: Any) -> bool:
    """Whether two trees (or parts of one) are equal apart from spans and sources. Trees may be deep: no recursion."""
    pairs = [(a, b)]
    while pairs:
        x, y = pairs.pop()
        if type(x) is not type(y):
            return False
        if isinstance(x, Span | Source):
            continue
        if isinstance(x, tuple):
            if len(x) != len(y):
                return False
            pairs.extend(zip(x, y, strict=True))
        elif is_dataclass(x):
            pairs.extend((getattr(x, part.name), getattr(y, part.name)) for part in fields(x))
        elif x != y:
            return False
    return True
