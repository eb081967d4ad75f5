"""Polynomials over the rationals or over a field with one root, and their signs on an interval, by Sturm sequences.

A number is a `Fraction` or a `Surd`, a combination of powers of a root ``n^(1/k)``. A polynomial is a list of numbers, the
constant first, without zeros at the end.
"""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm
from math import gcd as common_divisor
from typing import Any

from .core import Ledger, bits_of, require

Number = Any
Polynomial = list[Any]

ZERO, ONE = Fraction(0), Fraction(1)
MAX_DEGREE = 120
MAX_HALVINGS = 6
MAX_ROOT_BITS = 1 << 16


@dataclass(frozen=True)
class Surd:
    """``sum parts[i] r^i`` with r the real root of ``r^k = n``, k = len(parts) prime and n no k-th power: a number field."""

    parts: tuple[Fraction, ...]
    n: int

    def __add__(self, other: Any) -> Any:
        return surd([a + b for a, b in zip(self.parts, self.lifted(other), strict=True)], self.n)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return Surd(tuple(-a for a in self.parts), self.n)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        k, others = len(self.parts), self.lifted(other)
        total = [ZERO] * k
        for i, a in enumerate(self.parts):
            for j, b in enumerate(others):
                total[(i + j) % k] += a * b * (self.n if i + j >= k else 1)
        return surd(total, self.n)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self * (other.inverse() if isinstance(other, Surd) else 1 / Fraction(other))

    def __rtruediv__(self, other: Any) -> Any:
        return self.inverse() * other

    def lifted(self, other: Any) -> tuple[Fraction, ...]:
        if isinstance(other, Surd):
            require((other.n, len(other.parts)) == (self.n, len(self.parts)), "numbers of two different fields")
            return other.parts
        return (Fraction(other), *[ZERO] * (len(self.parts) - 1))

    def inverse(self) -> Number:
        """By elimination: the b with ``self * b = 1``."""
        k = len(self.parts)
        powers = [(self * Surd(tuple(ONE * (i == j) for j in range(k)), self.n)) if i else self for i in range(k)]
        rows = [[_parts(p, k)[i] for p in powers] + [ONE * (i == 0)] for i in range(k)]
        for i in range(k):
            pivot = next(m for m in range(i, k) if rows[m][i])
            rows[i], rows[pivot] = rows[pivot], rows[i]
            rows[i] = [x / rows[i][i] for x in rows[i]]
            for m in range(k):
                if m != i and rows[m][i]:
                    rows[m] = [x - rows[m][i] * y for x, y in zip(rows[m], rows[i], strict=True)]
        return surd([row[-1] for row in rows], self.n)

    def enclosed(self, bits: int) -> tuple[Fraction, Fraction]:
        """Bounds, by bounds of r."""
        k = len(self.parts)
        low = Fraction(whole_root(self.n << (k * bits), k), 1 << bits)
        high = low + Fraction(1, 1 << bits)
        ends = [(a * low**i, a * high**i) for i, a in enumerate(self.parts)]
        return sum((min(e) for e in ends), ZERO), sum((max(e) for e in ends), ZERO)

    @property
    def size(self) -> int:
        return max(map(bits_of, self.parts))


def whole_root(n: int, k: int) -> int:
    """The largest integer whose k-th power is at most n."""
    low, high = 0, 1 << (n.bit_length() // k + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**k <= n else (low, middle - 1)
    return low


def _parts(x: Number, k: int) -> tuple[Fraction, ...]:
    return x.parts if isinstance(x, Surd) else (x, *[ZERO] * (k - 1))


def surd(parts: list[Fraction], n: int) -> Number:
    return Surd(tuple(parts), n) if any(parts[1:]) else parts[0]


def sign(x: Number) -> int:
    """-1, 0 or 1. A Surd is never zero: the powers of r are independent."""
    if not isinstance(x, Surd):
        return int(x > 0) - int(x < 0)
    bits = 32
    while True:
        low, high = x.enclosed(bits)
        if low > 0 or high < 0:
            return 1 if low > 0 else -1
        require(bits < MAX_ROOT_BITS, "a number too near to zero")
        bits *= 2


# --- arithmetic ------------------------------------------------------------------------


def trim(p: Polynomial) -> Polynomial:
    while p and p[-1] == 0:
        p = p[:-1]
    return p


def add(p: Polynomial, q: Polynomial) -> Polynomial:
    if len(p) < len(q):
        p, q = q, p
    return trim([a + q[i] if i < len(q) else a for i, a in enumerate(p)])


def scale(p: Polynomial, c: Number) -> Polynomial:
    return trim([a * c for a in p]) if c != 0 else []


def minus(p: Polynomial, q: Polynomial) -> Polynomial:
    return add(p, scale(q, Fraction(-1)))


def multiply(p: Polynomial, q: Polynomial, ledger: Ledger) -> Polynomial:
    if not p or not q:
        return []
    require(len(p) + len(q) <= MAX_DEGREE, "a polynomial of too high a degree")
    ledger.charge(len(p) * len(q))
    result: Polynomial = [ZERO] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] = result[i + j] + a * b
    pay(result, ledger)
    return trim(result)


def pay(p: Polynomial, ledger: Ledger) -> None:
    """Charge the sizes of coefficients. They grow with the digits of a tableau: only their sum is bounded."""
    for c in p:
        ledger.charge(1 + (c.size if isinstance(c, Surd) else bits_of(c)) // 256)


def value(p: Polynomial, x: Number) -> Number:
    result: Number = ZERO
    for a in reversed(p):
        result = result * x + a
    return result


def derivative(p: Polynomial) -> Polynomial:
    return trim([a * i for i, a in enumerate(p)][1:])


def primitive(p: Polynomial) -> Polynomial:
    """A positive multiple with coprime integers, where the coefficients are rational."""
    if not p or any(isinstance(a, Surd) for a in p):
        return p
    below = lcm(*(a.denominator for a in p))
    tops = [a.numerator * (below // a.denominator) for a in p]
    content = common_divisor(*tops)
    return [Fraction(n // content) for n in tops]


def remainder(p: Polynomial, q: Polynomial, ledger: Ledger) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder of p by a q that is not zero."""
    quotient: Polynomial = [ZERO] * max(len(p) - len(q) + 1, 0)
    while len(p) >= len(q):
        top = p[-1] / q[-1]
        shift = len(p) - len(q)
        quotient[shift] = top
        ledger.charge(len(q))
        p = trim([a - top * q[i - shift] if i >= shift else a for i, a in enumerate(p)][:-1])
        pay(p, ledger)
    return trim(quotient), p


def divisor(p: Polynomial, q: Polynomial, ledger: Ledger) -> Polynomial:
    """The greatest common divisor."""
    while q:
        p, q = q, primitive(remainder(p, q, ledger)[1])
    return p


# --- signs -----------------------------------------------------------------------------


def roots(p: Polynomial, end: Fraction | None, ledger: Ledger) -> int:
    """The number of different roots in (0, end] (None: infinity) of a polynomial that is not zero at either end."""
    chain = [primitive(p), primitive(derivative(p))]
    while chain[-1]:
        chain.append(primitive(scale(remainder(chain[-2], chain[-1], ledger)[1], Fraction(-1))))
    start = [sign(value(q, ZERO)) for q in chain[:-1]]
    stop = [sign(q[-1] if end is None else value(q, end)) for q in chain[:-1]]
    return _changes(start) - _changes(stop)


def _changes(signs: list[int]) -> int:
    kept = [s for s in signs if s]
    return sum(a != b for a, b in itertools.pairwise(kept))


def positive(p: Polynomial, end: Fraction | None, ledger: Ledger) -> bool:
    """Whether p > 0 on [0, end]; with None on [0, infinity)."""
    if not p or sign(p[0]) <= 0 or (end is not None and sign(value(p, end)) <= 0):
        return False
    seen = glance(p, end, ledger)
    return seen if seen is not None else roots(p, end, ledger) == 0


def glance(p: Polynomial, end: Fraction | None, ledger: Ledger) -> bool | None:
    """Whether p > 0 between the ends (where it is not zero), where a few Bernstein forms tell; else None.

    A polynomial is a convex combination of its Bernstein coefficients (Farouki 2012); halves of the interval come by de
    Casteljau's algorithm.
    """
    pending = [(bernstein(p, end), 0)]
    while pending:
        coefficients, depth = pending.pop()
        signs = [sign(b) for b in coefficients]
        if signs[0] < 0 or signs[-1] < 0:
            return False
        if min(signs) >= 0 and signs[0] > 0 and signs[-1] > 0:
            continue
        if depth == MAX_HALVINGS:
            return None
        left, row, right = [], coefficients, []
        while row:
            left.append(row[0])
            right.append(row[-1])
            ledger.charge(len(row))
            row = [(a + b) / 2 for a, b in itertools.pairwise(row)]
        pending += [(left, depth + 1), (right[::-1], depth + 1)]
    return True


def bernstein(p: Polynomial, end: Fraction | None) -> list[Number]:
    """The Bernstein coefficients on [0, end]; with None those of ``(1 - s)^d p(s / (1 - s))``, which has p's signs."""
    d = len(p) - 1
    if end is None:
        return [a / comb(d, j) for j, a in enumerate(p)]
    scaled = [a * end**i / comb(d, i) for i, a in enumerate(p)]
    return [sum((scaled[i] * comb(j, i) for i in range(j + 1)), ZERO) for j in range(d + 1)]


def never_negative(p: Polynomial, end: Fraction | None, ledger: Ledger) -> bool:
    """Whether p >= 0 on [0, end]; with None on [0, infinity). Roots of even multiplicity and at the ends may be there."""
    while p and p[0] == 0:
        p = p[1:]
    if not p:
        return True
    while end is not None and value(p, end) == 0:
        p = scale(remainder(p, [-end, ONE], ledger)[0], Fraction(-1))
    if sign(p[0]) < 0:
        return False
    seen = glance(p, end, ledger)
    if seen is not None:
        return seen
    odd = p
    while len(repeated := divisor(odd, derivative(odd), ledger)) > 1:
        # What is left of p without the roots of even multiplicity has the same sign changes.
        simple = remainder(odd, repeated, ledger)[0]
        twice = divisor(simple, repeated, ledger)
        if len(twice) == 1:
            break
        odd = remainder(remainder(odd, twice, ledger)[0], twice, ledger)[0]
        if len(odd) == 1:
            return True
    return len(odd) == 1 or roots(odd, end, ledger) == 0


def roots_left(p: Polynomial) -> bool:
    """Whether all roots of a polynomial with real coefficients have a negative real part (Routh's test)."""
    even, odd = list(p[::-1][::2]), list(p[::-1][1::2])
    first = sign(p[-1])
    for _ in range(len(p) - 1):
        if not odd or sign(odd[0]) != first:
            return False
        ratio = even[0] / odd[0]
        padded = odd[1:] + [ZERO] * (len(even) - len(odd))
        even, odd = odd, [a - ratio * b for a, b in zip(even[1:], padded, strict=True)]
    return True
