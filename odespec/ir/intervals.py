"""Intervals of real numbers with rational ends: an end is None where there is no bound, all rounding goes outward."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from odespec import exact
from odespec.activations import Interval
from odespec.exact import Real

REAL = Interval(None, None)
BITS = 96
MAX_BITS = 512
MAX_EXPONENT = 64

End = Fraction | None


def meet(a: Interval, b: Interval) -> Interval:
    """What lies in both."""
    lower = b.lower if a.lower is None else a.lower if b.lower is None else max(a.lower, b.lower)
    upper = b.upper if a.upper is None else a.upper if b.upper is None else min(a.upper, b.upper)
    return Interval(lower, upper)


def hull(a: Interval, b: Interval) -> Interval:
    """The smallest interval around both."""
    lower = None if a.lower is None or b.lower is None else min(a.lower, b.lower)
    upper = None if a.upper is None or b.upper is None else max(a.upper, b.upper)
    return Interval(lower, upper)


def point(value: Real) -> Interval:
    return Interval(*exact.enclose(value, BITS))


def rounded(x: Interval) -> Interval:
    """The same interval with short numbers, rounded outward."""
    return Interval(_short(x.lower, -1), _short(x.upper, 1))


def _short(x: End, direction: int) -> End:
    if x is None or max(x.numerator.bit_length(), x.denominator.bit_length()) <= MAX_BITS:
        return x
    shift = x.numerator.bit_length() - x.denominator.bit_length()
    if abs(shift) > 1 << 14:
        return _far(x, shift, direction)
    scale = Fraction(2) ** (BITS - shift)
    scaled = x * scale
    return Fraction(scaled.__ceil__() if direction > 0 else scaled.__floor__()) / scale


def _far(x: Fraction, shift: int, direction: int) -> End:
    """Numbers past any sense: without bound if huge, zero or a tiny number if small."""
    if shift > 0:
        return None if (x > 0) == (direction > 0) else Fraction(0)
    tiny = Fraction(1, 1 << (1 << 12))
    return Fraction(0) if (x > 0) != (direction > 0) else (tiny if x > 0 else -tiny)


def plus(a: Interval, b: Interval) -> Interval:
    lower = None if a.lower is None or b.lower is None else a.lower + b.lower
    upper = None if a.upper is None or b.upper is None else a.upper + b.upper
    return Interval(lower, upper)


def times(a: Interval, b: Interval) -> Interval:
    """Products of the ends; an end without bound times zero is zero."""
    if _is_zero(a) or _is_zero(b):
        return Interval(Fraction(0), Fraction(0))
    corners = list(_corners(a, b))
    lower = None if any(c is None and s < 0 for c, s in corners) else min(_finite(corners), default=None)
    upper = None if any(c is None and s > 0 for c, s in corners) else max(_finite(corners), default=None)
    return Interval(lower, upper)


def _is_zero(a: Interval) -> bool:
    return a.lower == a.upper == 0


def _finite(corners: list[tuple[End, int]]) -> Iterator[Fraction]:
    return (c for c, _ in corners if c is not None)


def _corners(a: Interval, b: Interval) -> Iterator[tuple[End, int]]:
    """The four products: a number, or None with the sign of the infinity."""
    for x, sx in ((a.lower, -1), (a.upper, 1)):
        for y, sy in ((b.lower, -1), (b.upper, 1)):
            if x is not None and y is not None:
                yield x * y, 0
            else:
                sign = (sx if x is None else (x > 0) - (x < 0)) * (sy if y is None else (y > 0) - (y < 0))
                yield (Fraction(0), 0) if sign == 0 else (None, sign)


def scaled(a: Interval, n: int) -> Interval:
    """The sum of n numbers of the interval."""
    return times(a, Interval(Fraction(n), Fraction(n)))


def square(a: Interval) -> Interval:
    product = times(a, a)
    positive = (a.lower is not None and a.lower > 0) or (a.upper is not None and a.upper < 0)
    return product if positive else Interval(Fraction(0), product.upper)


def magnitude(a: Interval) -> End:
    """The largest absolute value, None without bound."""
    return None if a.lower is None or a.upper is None else max(abs(a.lower), abs(a.upper))


def inverse(a: Interval) -> Interval:
    """``1 / a``; without bound where a may be zero."""
    if a.lower is not None and a.lower > 0:
        return Interval(Fraction(0) if a.upper is None else 1 / a.upper, 1 / a.lower)
    if a.upper is not None and a.upper < 0:
        return Interval(1 / a.upper, Fraction(0) if a.lower is None else 1 / a.lower)
    return REAL


def power(a: Interval, exponent: Fraction) -> Interval:
    if exponent < 0:
        return inverse(power(a, -exponent))
    if exponent.denominator > MAX_EXPONENT or exponent.numerator > MAX_EXPONENT:
        return REAL
    whole = a
    if exponent.numerator > 1:
        even = exponent.numerator % 2 == 0
        size = magnitude(a)
        top = None if size is None else size**exponent.numerator
        if even:
            low = _smallest(a) ** exponent.numerator
            whole = Interval(low, top)
        else:
            whole = Interval(*(None if x is None else x**exponent.numerator for x in (a.lower, a.upper)))
    return whole if exponent.denominator == 1 else _root(whole, exponent.denominator)


def _smallest(a: Interval) -> Fraction:
    """The smallest absolute value."""
    if a.lower is not None and a.lower > 0:
        return a.lower
    return -a.upper if a.upper is not None and a.upper < 0 else Fraction(0)


def _root(a: Interval, degree: int) -> Interval:
    ends: list[End] = []
    for x, side in ((a.lower, 0), (a.upper, 1)):
        if x is None or (x < 0 and degree % 2 == 0):
            ends.append(Fraction(0) if side == 0 and degree % 2 == 0 else None if x is None else Fraction(0))
            continue
        ends.append(
            exact.enclose(exact.root(abs(x), degree), BITS)[side if x >= 0 else 1 - side] * (1 if x >= 0 else -1)
        )
    return Interval(*ends)


def root_above(x: Fraction) -> Fraction:
    """A rational number not below the square root."""
    return exact.enclose(exact.root(x, 2), BITS)[1]
