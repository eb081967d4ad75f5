"""Exact arithmetic in a quadratic field: numbers ``a + b sqrt(d)``, where irrational tableaux have their entries."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt, sqrt

from odespec.exact import Irrational, Real, Undecided, root
from odespec.records import dataclass

TRIAL = 10_000


@dataclass(frozen=True, slots=True)
class Quadratic:
    """``a + b sqrt(d)`` with d squarefree; rational where b is 0, and d is 0 then."""

    a: Fraction
    b: Fraction = Fraction(0)
    d: int = 0

    def __add__(self, other: Quadratic | Fraction | int) -> Quadratic:
        other = _lift(other)
        return _make(self.a + other.a, self.b + other.b, _common(self, other))

    __radd__ = __add__

    def __neg__(self) -> Quadratic:
        return Quadratic(-self.a, -self.b, self.d)

    def __sub__(self, other: Quadratic | Fraction | int) -> Quadratic:
        return self + -_lift(other)

    def __rsub__(self, other: Quadratic | Fraction | int) -> Quadratic:
        return -self + other

    def __mul__(self, other: Quadratic | Fraction | int) -> Quadratic:
        other = _lift(other)
        d = _common(self, other)
        return _make(self.a * other.a + self.b * other.b * d, self.a * other.b + self.b * other.a, d)

    __rmul__ = __mul__

    def __truediv__(self, other: Quadratic | Fraction | int) -> Quadratic:
        other = _lift(other)
        norm = other.a**2 - other.b**2 * other.d
        return self * _make(other.a / norm, -other.b / norm, other.d)

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        if self.b == 0 or self.a == 0:
            value = self.a + self.b
            return (value > 0) - (value < 0)
        if (self.a > 0) == (self.b > 0):
            return 1 if self.a > 0 else -1
        larger_rational = self.a**2 > self.b**2 * self.d
        return 1 if (self.a > 0) == larger_rational else -1

    def __float__(self) -> float:
        return float(self.a) + float(self.b) * sqrt(self.d)


ZERO, ONE = Quadratic(Fraction(0)), Quadratic(Fraction(1))


def _lift(x: Quadratic | Fraction | int) -> Quadratic:
    return x if isinstance(x, Quadratic) else Quadratic(Fraction(x))


def _make(a: Fraction, b: Fraction, d: int) -> Quadratic:
    return Quadratic(a, b, d) if b else Quadratic(a)


def _common(x: Quadratic, y: Quadratic) -> int:
    if x.d and y.d and x.d != y.d:
        raise Undecided(f"square roots of {x.d} and {y.d} in one number")
    return x.d or y.d


def quadratic(value: Real) -> Quadratic:
    """A number as an element of a quadratic field. Raises `Undecided` where it lies in none, or in none found."""
    if isinstance(value, Fraction):
        return Quadratic(value)
    args = [quadratic(a) for a in value.args]
    if value.op == "add":
        return args[0] + args[1]
    if value.op == "mul":
        return args[0] * args[1]
    if value.op == "inv":
        return ONE / args[0]
    return _square_root(value, args[0])


def simplified(value: Real) -> Real:
    """The same number as ``a + b sqrt(d)``, where it is one."""
    if isinstance(value, Fraction):
        return value
    try:
        x = quadratic(value)
    except Undecided:
        return value
    return x.a if x.b == 0 else x.a + x.b * root(Fraction(x.d), 2)


def _square_root(value: Irrational, radicand: Quadratic) -> Quadratic:
    if value.degree != 2 or radicand.b:
        raise Undecided("a root outside a quadratic field")
    factor, d = _squarefree(radicand.a.numerator * radicand.a.denominator)
    scale = Fraction(factor, radicand.a.denominator)
    return Quadratic(scale) if d == 1 else Quadratic(Fraction(0), scale, d)


def _squarefree(n: int) -> tuple[int, int]:
    """``(f, d)`` with ``n = f^2 d``; d has no square of a factor below `TRIAL`."""
    factor = 1
    for p in range(2, TRIAL):
        if p * p > n:
            break
        while n % (p * p) == 0:
            n //= p * p
            factor *= p
    whole = isqrt(n)
    return (factor * whole, 1) if whole * whole == n else (factor, n)
