"""Simple fractions: the one of least denominator in an interval (Stern-Brocot)."""

from __future__ import annotations

from fractions import Fraction


def simplest(x: float, tolerance: float) -> Fraction:
    """The fraction of least denominator within ``tolerance`` of x."""
    return simplest_between(Fraction(x - tolerance), Fraction(x + tolerance))


def simplest_between(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of least denominator in the closed interval; among integers the one nearest to zero."""
    if low <= 0 <= high:
        return Fraction(0)
    if high < 0:
        return -simplest_between(-high, -low)
    whole: list[int] = []
    while (n := -(-low.numerator // low.denominator)) > high:
        whole.append(n - 1)
        low, high = 1 / (high - (n - 1)), 1 / (low - (n - 1))
    result = Fraction(n)
    for n in reversed(whole):
        result = n + 1 / result
    return result
