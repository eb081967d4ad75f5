"""Fragments of emitted code: a text, how tightly it binds, and whether its value carries the batch axes."""

from __future__ import annotations

from fractions import Fraction

from odespec.exact import Real
from odespec.records import dataclass

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)
NONE, SOME, FULL = range(3)


@dataclass(frozen=True, slots=True)
class Term:
    """An expression of the emitted language.

    ``rank``: how tightly it binds. ``batch``: `NONE` (a weight, a number: no leading batch axes), `SOME` (an input:
    perhaps fewer than the states have) or `FULL` (a state: all of them).
    """

    text: str
    rank: int = ATOM
    batch: int = NONE

    def at(self, rank: int) -> str:
        """The text, in parentheses where it binds less tightly than ``rank``."""
        return self.text if self.rank >= rank else f"({self.text})"

    @property
    def negated(self) -> bool:
        """Whether it is a negative number, product or term: its sign may be taken in front of a sum exactly."""
        return self.text.startswith("-") and self.rank >= PRODUCT


def literal(value: Real) -> Term:
    """A real number as a float64 literal, correctly rounded; short fractions stay readable.

    Raises OverflowError where it is larger than every float64.
    """
    number = float(value)
    text = repr(number)
    if (
        isinstance(value, Fraction)
        and len(text) > 8
        and value.numerator.bit_length() < 32 > value.denominator.bit_length()
    ):
        size = f"{abs(value.numerator)} / {value.denominator}"
        return Term(f"-({size})", UNARY) if value < 0 else Term(size, SUM)
    return Term(text, UNARY if number < 0 else ATOM)


def total(a: Term, b: Term) -> Term:
    """``a + b``; a sign in front of one of them becomes a difference, which rounds the same."""
    batch = max(a.batch, b.batch)
    if a.negated and not b.negated:
        a, b = b, a
    if b.negated:
        return Term(f"{a.at(SUM)} - {b.text[1:]}", SUM, batch)
    return Term(f"{a.at(SUM)} + {b.at(PRODUCT)}", SUM, batch)


def product(a: Term, b: Term, sign: str = "*") -> Term:
    """``a * b``, ``a / b`` or ``a @ b``."""
    batch = max(a.batch, b.batch)
    if sign == "*" and a.text in ("-1.0", "-1"):
        return Term(f"-{b.text}" if b.rank >= PRODUCT and not b.negated else f"-({b.text})", PRODUCT, batch)
    return Term(f"{a.at(PRODUCT)} {sign} {b.at(UNARY)}", PRODUCT, batch)


def call(function: str, *arguments: Term | str) -> Term:
    """A call; text arguments are printed as they are."""
    texts = [a if isinstance(a, str) else a.text for a in arguments]
    return Term(
        f"{function}({', '.join(texts)})", ATOM, max((a.batch for a in arguments if isinstance(a, Term)), default=NONE)
    )
