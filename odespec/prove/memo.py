"""Results that several claims of one model share: remembered for the model itself, not for equal ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

Result = TypeVar("Result")

MOST = 32
"""Results that each function keeps."""


class _Same:
    """Equal to another only where it holds the very same object: comparing models would take longer than proving."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Keep results by the identity of the first argument and the values of the others. Exceptions are not kept."""

    @lru_cache(maxsize=MOST)
    def kept(first: _Same, *rest: Any) -> Result:
        return function(first.value, *rest)

    @wraps(function)
    def call(first: Any, *rest: Any) -> Result:
        return kept(_Same(first), *rest)

    return call
