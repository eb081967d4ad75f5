"""Exact numbers of a field Q(r) with ``r^n = a``: sums ``c[0] + c[1] r + … + c[n-1] r^(n-1)`` with rational c.

Two such sums are equal if their coefficients are. (Where ``x^n - a`` has factors the converse may fail: then an equality
is not seen, never a wrong one accepted.)
"""

from fractions import Fraction
from typing import Any

from .core import Ledger, number, require

MAX_DEGREE = 8

Number = tuple[Fraction, ...]


class Field:
    """The arithmetic of one such field; rational numbers are those of degree one."""

    def __init__(self, degree: int, radicand: Fraction, ledger: Ledger) -> None:
        require(1 <= degree <= MAX_DEGREE, "not a small degree of a root")
        require(degree == 1 or radicand > 0, "a root of a number that is not positive")
        self.degree, self.radicand, self.ledger = degree, radicand, ledger
        self.zero = (Fraction(0),) * degree
        self.one = self.rational(Fraction(1))

    def rational(self, x: Fraction) -> Number:
        return (x, *[Fraction(0)] * (self.degree - 1))

    def read(self, written: Any) -> Number:
        """A list of as many fractions as the degree."""
        require(isinstance(written, list) and len(written) == self.degree, "not a number of the field")
        return tuple(number(x) for x in written)

    def add(self, x: Number, y: Number) -> Number:
        return tuple(self.ledger.spend(a + b) for a, b in zip(x, y, strict=True))

    def mul(self, x: Number, y: Number) -> Number:
        if x == self.zero or y == self.zero:
            return self.zero
        total = [Fraction(0)] * self.degree
        for i, a in enumerate(x):
            for j, b in enumerate(y):
                if a and b:
                    over = i + j >= self.degree
                    product = a * b * (self.radicand if over else 1)
                    place = i + j - self.degree * over
                    total[place] = self.ledger.spend(total[place] + product)
        return tuple(total)

    def scale(self, factor: Fraction | int, x: Number) -> Number:
        return tuple(self.ledger.spend(factor * a) for a in x)

    def sum(self, values: Any) -> Number:
        total = self.zero
        for x in values:
            total = self.add(total, x)
        return total

    def dot(self, x: Any, y: Any) -> Number:
        return self.sum(self.mul(a, b) for a, b in zip(x, y, strict=True))


def field_of(data: Any, ledger: Ledger) -> Field:
    """The field of ``{"degree": n, "of": a}``."""
    return Field(data["degree"], number(data["of"]), ledger)
