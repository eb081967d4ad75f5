"""Exact numbers as float64, rounded to the nearest, or to a chosen side."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nextafter

from odespec.exact import Real


def fits(value: Real) -> bool:
    """Whether a number has a finite float64 next to it."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def below(value: Real) -> float:
    """The largest float64 that is not above a number."""
    near = float(value)
    return near if value >= Fraction(near) else nextafter(near, -inf)


def above(value: Real) -> float:
    """The smallest float64 that is not below a number."""
    near = float(value)
    return near if value <= Fraction(near) else nextafter(near, inf)
