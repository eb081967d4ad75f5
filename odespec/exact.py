"""Exact real numbers: fractions, and irrational numbers as expressions that can be enclosed as tightly as asked.

A number of a spec or of a Butcher tableau is a `Fraction` wherever it is rational. The others (``sqrt(2)``, a cube root
in a composition method) are `Irrational`: a small expression with an enclosure in rational numbers at any precision.
Both support ``+ - * /`` with each other; `power` takes rational powers.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt, prod

from odespec.records import dataclass

MAX_BITS = 8192


class Undecided(ArithmeticError):
    """An irrational number could not be told from zero with `MAX_BITS` bits."""


@dataclass(frozen=True, slots=True)
class Irrational:
    """``op`` is ``add``, ``mul``, ``inv`` (of one argument) or ``root`` (positive argument, ``degree``)."""

    op: str
    args: tuple[Real, ...]
    degree: int = 1

    def __add__(self, other: Real | int) -> Real:
        return _simplify("add", self, _real(other))

    __radd__ = __add__

    def __neg__(self) -> Real:
        return self * -1

    def __sub__(self, other: Real | int) -> Real:
        return self + (_real(other) * -1)

    def __rsub__(self, other: Real | int) -> Real:
        return (self * -1) + other

    def __mul__(self, other: Real | int) -> Real:
        return _simplify("mul", self, _real(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Real | int) -> Real:
        other = _real(other)
        return self * (1 / other if isinstance(other, Fraction) else Irrational("inv", (other,)))

    def __rtruediv__(self, other: Real | int) -> Real:
        return Irrational("inv", (self,)) * other

    def __float__(self) -> float:
        return _as_float(self)

    def __lt__(self, other: Real | int) -> bool:
        return sign(self - other) < 0

    def __gt__(self, other: Real | int) -> bool:
        return sign(self - other) > 0

    def __le__(self, other: Real | int) -> bool:
        return sign(self - other) <= 0

    def __ge__(self, other: Real | int) -> bool:
        return sign(self - other) >= 0


Real = Fraction | Irrational


@lru_cache(maxsize=4096)
def _as_float(value: Irrational) -> float:
    low, high = enclose(value, 64)
    return float((low + high) / 2)


def _real(value: Real | int) -> Real:
    return Fraction(value) if isinstance(value, int) else value


def _simplify(op: str, a: Real, b: Real) -> Real:
    """Neutral elements, and products of equal square roots, which are where rational results hide."""
    unit = 0 if op == "add" else 1
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Fraction) and x == unit:
            return y
        if isinstance(x, Fraction) and op == "mul" and x == 0:
            return x
        if isinstance(x, Fraction) and isinstance(y, Irrational) and y.op == op and isinstance(y.args[0], Fraction):
            folded = x + y.args[0] if op == "add" else x * y.args[0]
            return _simplify(op, folded, y.args[1])
    if op == "mul" and a == b and isinstance(a, Irrational) and a.op == "root" and a.degree == 2:
        return a.args[0]
    if op == "add" and isinstance(a, Irrational) and a == -1 * b:
        return Fraction(0)
    if isinstance(b, Fraction):
        a, b = b, a
    return Irrational(op, (a, b))


def power(base: Real | int, exponent: Fraction | int) -> Real:
    """``base ** exponent``. Raises ValueError for an even root of a negative number, ZeroDivisionError for 0 ** -1."""
    base, exponent = _real(base), Fraction(exponent)
    if exponent < 0:
        base = 1 / base
        exponent = -exponent
    whole = _integer_power(base, exponent.numerator)
    return root(whole, exponent.denominator)


def _integer_power(base: Real, n: int) -> Real:
    if isinstance(base, Fraction):
        return base**n
    result: Real = Fraction(1)
    for _ in range(n):
        result = result * base
    return result


def root(value: Real, degree: int) -> Real:
    """The real root of a given degree; rational where it is."""
    if degree == 1:
        return value
    if sign(value) < 0:
        if degree % 2 == 0:
            raise ValueError("even root of a negative number")
        return root(value * -1, degree) * -1
    if isinstance(value, Fraction):
        top, bottom = integer_root(value.numerator, degree), integer_root(value.denominator, degree)
        if top**degree == value.numerator and bottom**degree == value.denominator:
            return Fraction(top, bottom)
    return Irrational("root", (value,), degree)


def is_zero(value: Real | int) -> bool:
    """Whether a number is zero as it is written: an irrational expression counts as non-zero."""
    return not isinstance(value, Irrational) and value == 0


def integer_root(n: int, degree: int) -> int:
    """The largest integer r with ``r ** degree <= n`` (n >= 0)."""
    if degree == 2:
        return isqrt(n)
    if n == 0:
        return 0
    x = 1 << (n.bit_length() // degree + 1)
    while True:  # Newton's method from above falls until it is below the root or at it
        y = ((degree - 1) * x + n // x ** (degree - 1)) // degree
        if y >= x:
            return x
        x = y


def enclose(value: Real, bits: int = 64) -> tuple[Fraction, Fraction]:
    """Rational lower and upper bounds, about ``bits`` bits tight; equal ones for a fraction.

    Raises `Undecided` where an inverse cannot be told from a division by zero.
    """
    if isinstance(value, Fraction):
        return value, value
    parts = [enclose(a, bits + 8) for a in value.args]
    return _rounded(_combine(value, parts, bits + 8), bits)


def _combine(value: Irrational, parts: list[tuple[Fraction, Fraction]], bits: int) -> tuple[Fraction, Fraction]:
    if value.op == "add":
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
    if value.op == "mul":
        products = [x * y for x in parts[0] for y in parts[1]]
        return min(products), max(products)
    low, high = parts[0]
    if value.op == "inv":
        if low <= 0 <= high:
            raise Undecided("division by a number that may be zero")
        return 1 / high, 1 / low
    return _root_bound(max(low, Fraction(0)), value.degree, bits)[0], _root_bound(high, value.degree, bits)[1]


def _root_bound(x: Fraction, degree: int, bits: int) -> tuple[Fraction, Fraction]:
    scale = 1 << bits
    scaled = integer_root(x.numerator * scale**degree // x.denominator, degree)
    return Fraction(scaled, scale), Fraction(scaled + 1, scale)


def _rounded(interval: tuple[Fraction, Fraction], bits: int) -> tuple[Fraction, Fraction]:
    """Round outward to a multiple of a power of two that keeps ``bits`` bits of the larger end."""
    low, high = interval
    size = max(abs(low), abs(high), Fraction(1, 1 << bits))
    scale = Fraction(2) ** (bits + 2 - (size.numerator.bit_length() - size.denominator.bit_length()))
    return Fraction((low * scale).__floor__()) / scale, Fraction((high * scale).__ceil__()) / scale


def separation(value: Real) -> int:
    """A number s of bits such that a value is either zero or at least ``2 ** -s`` in size.

    The bound of Burnikel, Fleischer, Mehlhorn & Schirra, "A strong and easily computable separation bound for
    arithmetic expressions involving radicals", Algorithmica 27 (2000).
    """
    roots: set[Irrational] = set()
    above, below = _sizes(value, roots)
    degree = prod(r.degree for r in roots)
    return below + (degree * degree - 1) * above


def _sizes(value: Real, roots: set[Irrational]) -> tuple[int, int]:
    """Bounds of the binary logarithms of u and l: the value is a quotient of algebraic integers of these sizes."""
    if isinstance(value, Fraction):
        return value.numerator.bit_length(), value.denominator.bit_length()
    parts = [_sizes(a, roots) for a in value.args]
    if value.op == "add":
        (u, l), (v, m) = parts
        return max(u + m, l + v) + 1, l + m
    if value.op == "mul":
        (u, l), (v, m) = parts
        return u + v, l + m
    u, l = parts[0]
    if value.op == "inv":
        return l, u
    roots.add(value)
    return -(-u // value.degree), -(-l // value.degree)


def sign(value: Real | int) -> int:
    """-1, 0 or 1. Raises `Undecided` where telling an irrational number from zero takes more than `MAX_BITS` bits."""
    value = _real(value)
    if isinstance(value, Fraction):
        return (value > 0) - (value < 0)
    needed = separation(value)
    least = Fraction(1, 1 << needed) if needed <= MAX_BITS else Fraction(0)
    bits = 64
    while bits <= MAX_BITS:
        low, high = enclose(value, bits)
        if low > 0 or high < 0:
            return 1 if low > 0 else -1
        if -least < low and high < least:
            return 0
        bits *= 2
    raise Undecided(f"sign of {value}")
