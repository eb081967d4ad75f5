"""What the type checker knows of an expression, and how it speaks of shapes."""

from __future__ import annotations

from typing import Final

from odespec.ir.expr import Expr
from odespec.records import dataclass

Kinds = frozenset[str]
"""Which kinds of leaves an expression reads: ``state``, ``param``, ``input``, ``noise``, ``time``, …"""


@dataclass(frozen=True, slots=True)
class Value:
    """A typed expression. ``axes``: how each axis of the shape was written.

    ``pending``: None, or what the expression is while its size waits for a context: ``operator`` (``I``, ``conv(K)``
    and what is built of them) or ``channel``. A pending expression has the shape ``()`` and placeholders among its
    nodes (see `odespec.ir.pending`). ``depth`` counts how deep these are nested.
    """

    expr: Expr
    axes: tuple[str, ...] = ()
    kinds: Kinds = frozenset()
    pending: str | None = None
    depth: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.expr.shape

    @property
    def scalar(self) -> bool:
        return self.pending is None and not self.expr.shape

    @property
    def matrix(self) -> bool:
        return self.pending is None and len(self.expr.shape) == 2


@dataclass(frozen=True, slots=True)
class Poison:
    """The type of an expression with a mistake that is already reported: whatever is made of it is silent."""


POISON: Final = Poison()
Typed = Value | Poison


def show_shape(value: Value) -> str:
    """``[m, d] = [128, 64]``, ``[3]`` where nothing but numbers was written, ``a scalar``."""
    if value.pending == "operator":
        return "an operator"
    if value.pending == "channel":
        return "one value for each channel"
    if not value.shape:
        return "a scalar"
    numbers = f"[{', '.join(map(str, value.shape))}]"
    symbols = f"[{', '.join(value.axes)}]"
    return numbers if symbols == numbers else f"{symbols} = {numbers}"


def excerpt(text: str, limit: int = 40) -> str:
    """A piece of the spec on one line, shortened."""
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
