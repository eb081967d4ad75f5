"""The white space between two tokens of a statement."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.syntax.lines import OPERAND_ENDS
from odespec.syntax.tokens import CONTEXTUAL, Token

_OPENING = frozenset({"LPAR", "LSQB"})
_ATTACHED = frozenset({"COMMA", "RPAR", "RSQB", "PRIMES", "TRANSPOSE"})
_BREAKS_PRODUCT = frozenset({"PLUS", "COMMA", "EQUAL", "LE", "GE", "EQ", "IN", "OF", "COLON", "DOTS", "SAVE"})


def gaps(tokens: Sequence[Token]) -> list[str]:
    """For each token of a statement, the space in front of it (if it does not begin a line)."""
    kinds = [_kind(tokens, i) for i in range(len(tokens))]
    tight = _tight(kinds)
    return [_gap(kinds, tight, i) for i in range(len(kinds))]


def _kind(tokens: Sequence[Token], i: int) -> str:
    """The type of a token; a sign of an operand is ``UNARY``, a contextual keyword used as a name ``NAME``."""
    kind, before = tokens[i].type, tokens[i - 1].type if i else ""
    if kind == "MINUS" and before not in OPERAND_ENDS:
        return "UNARY"
    if kind in CONTEXTUAL and not (kind == "INVARIANT" and before in ("CLAIM", "NOT")):
        return "NAME"
    return kind


def _tight(kinds: Sequence[str]) -> set[int]:
    """The places of the ``*`` and ``/`` whose product has no ``@``; ``^`` is always tight."""
    tight = {i for i, kind in enumerate(kinds) if kind == "CIRCUMFLEX"}
    products: list[list[int]] = [[]]  # of the enclosing brackets: the operators of the product being read
    for i, kind in enumerate([*kinds, "COMMA"]):
        if kind in _OPENING:
            products.append([])
        elif kind in ("STAR", "SLASH", "AT"):
            products[-1].append(i)
        elif kind in _BREAKS_PRODUCT or kind in ("MINUS", "RPAR", "RSQB"):
            operators = products[-1]
            if all(kinds[j] != "AT" for j in operators):
                tight.update(operators)
            products[-1] = []
            if kind in ("RPAR", "RSQB"):
                products.pop()
    return tight


def _gap(kinds: Sequence[str], tight: set[int], i: int) -> str:
    if i == 0 or i in tight or i - 1 in tight:
        return ""
    kind, before = kinds[i], kinds[i - 1]
    if kind in _ATTACHED or before in _OPENING or before == "UNARY":
        return ""
    if kind in _OPENING and before in ("NAME", "PRIMES"):
        return ""
    is_map = i == 1 and kind == "PLUS" and before == "NAME" and kinds[2:3] == ["EQUAL"]
    return "" if is_map else " "
