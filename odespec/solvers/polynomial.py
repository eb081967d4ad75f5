"""Polynomials over a quadratic field: tuples of coefficients, the constant first, without zeros at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd as gcd_of_integers
from math import lcm

from odespec.solvers.quadratic import ONE, ZERO, Quadratic

Polynomial = tuple[Quadratic, ...]
Matrix = Sequence[Sequence[Quadratic]]


def trim(coefficients: Iterable[Quadratic]) -> Polynomial:
    result = list(coefficients)
    while result and result[-1].sign == 0:
        result.pop()
    return tuple(result)


def add(p: Polynomial, q: Polynomial) -> Polynomial:
    size = max(len(p), len(q))
    pad = [[*x, *[ZERO] * (size - len(x))] for x in (p, q)]
    return trim(a + b for a, b in zip(*pad, strict=True))


def scale(p: Polynomial, c: Quadratic) -> Polynomial:
    return trim(c * a for a in p)


def mul(p: Polynomial, q: Polynomial) -> Polynomial:
    result = [ZERO] * max(len(p) + len(q) - 1, 0)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] = result[i + j] + a * b
    return trim(result)


def value(p: Polynomial, x: Quadratic | Fraction | int) -> Quadratic:
    result = ZERO
    for a in reversed(p):
        result = result * x + a
    return result


def divide(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder. Raises ZeroDivisionError for q = 0."""
    if not q:
        raise ZeroDivisionError("division by the zero polynomial")
    quotient: Polynomial = ()
    while len(p) >= len(q):
        term = (*[ZERO] * (len(p) - len(q)), p[-1] / q[-1])
        quotient = add(quotient, term)
        p = trim(add(p, scale(mul(term, q), -ONE))[: len(p) - 1])
    return quotient, p


def gcd(p: Polynomial, q: Polynomial) -> Polynomial:
    """The greatest common divisor with leading coefficient one (``()`` of two zeros)."""
    while q:
        p, q = q, divide(p, q)[1]
    return scale(p, ONE / p[-1]) if p else p


def differentiate(p: Polynomial) -> Polynomial:
    return trim(a * i for i, a in enumerate(p))[1:] if len(p) > 1 else ()


def reversed_characteristic(A: Matrix) -> Polynomial:
    """``det(I - z A)`` by the Faddeev–LeVerrier recursion."""
    n = len(A)
    coefficients = [ONE]
    product = [[ONE if i == j else ZERO for j in range(n)] for i in range(n)]
    for k in range(1, n + 1):
        product = [[_dot(row, column) for column in zip(*product, strict=True)] for row in A]
        c = sum((product[i][i] for i in range(n)), ZERO) / -k
        coefficients.append(c)
        product = [[x + c if i == j else x for j, x in enumerate(row)] for i, row in enumerate(product)]
    return trim(coefficients)


def _dot(u: Iterable[Quadratic], v: Iterable[Quadratic]) -> Quadratic:
    return sum((a * b for a, b in zip(u, v, strict=True) if a.sign and b.sign), ZERO)


# --- real roots ----------------------------------------------------------------


def sturm(p: Polynomial) -> tuple[Polynomial, ...]:
    """The Sturm chain of the squarefree part of a polynomial that is not zero, each scaled by a positive number."""
    chain = [primitive(p), primitive(differentiate(p))]
    while chain[-1]:
        chain.append(primitive(scale(remainder(chain[-2], chain[-1]), -ONE)))
    common = chain[-2]
    return tuple(chain[:-1]) if len(common) == 1 else sturm(divide(p, common)[0])


def primitive(p: Polynomial) -> Polynomial:
    """A positive multiple: coprime integers where the coefficients are rational. Keeps a remainder sequence small."""
    if any(a.b for a in p) or not p:
        return p
    denominator = lcm(*(a.a.denominator for a in p))
    numerators = [a.a.numerator * (denominator // a.a.denominator) for a in p]
    content = gcd_of_integers(*numerators)
    return tuple(Quadratic(Fraction(n // content)) for n in numerators)


def remainder(p: Polynomial, q: Polynomial) -> Polynomial:
    """A positive multiple of the remainder of p by q, without fractions where there are none."""
    factor = q[-1] * q[-1].sign
    while len(p) >= len(q):
        top = scale(q, p[-1] * q[-1].sign)
        shifted = (*[ZERO] * (len(p) - len(q)), *top)
        p = trim(add(scale(p, factor), scale(shifted, -ONE))[: len(p) - 1])
    return p


def sign_at(p: Polynomial, x: Fraction) -> int:
    """The sign of p(x); by integers alone where the coefficients are integers."""
    if any(a.b or a.a.denominator > 1 for a in p):
        return value(p, x).sign
    result, power = 0, 1
    for a in reversed(p):
        result = result * x.numerator + a.a.numerator * power
        power *= x.denominator
    return (result > 0) - (result < 0)


def changes(chain: Sequence[Polynomial], x: Fraction | None) -> int:
    """Sign changes of a Sturm chain at x (None: at infinity)."""
    signs = [s for s in (q[-1].sign if x is None else sign_at(q, x) for q in chain) if s]
    return sum(a != b for a, b in pairwise(signs))


def first_negative(p: Polynomial, width: Fraction) -> Fraction | None:
    """The largest x, rounded down by less than ``width``, with p >= 0 on [0, x]; None where that holds for all x.

    Roots where p does not change its sign do not count.
    """
    low = next((i for i, a in enumerate(p) if a.sign), None)
    if low is None:
        return None
    p = primitive(p[low:])
    if p[0].sign < 0:
        return Fraction(0)
    chain = sturm(p)
    for left, right in _isolate(chain, width):
        if sign_at(p, right) < 0:
            guess = simplest(left, right)
            return guess if value(p, guess).sign == 0 else left
    return None


def _isolate(chain: Sequence[Polynomial], width: Fraction) -> list[tuple[Fraction, Fraction]]:
    """Intervals ``(left, right]`` narrower than ``width`` around the positive roots, ascending."""
    end = changes(chain, None)
    bound = Fraction(1)
    while changes(chain, bound) != end or sign_at(chain[0], bound) == 0:
        bound *= 2
    pending, found = [(Fraction(0), bound)], []
    while pending:
        left, right = pending.pop()
        count = changes(chain, left) - changes(chain, right)
        if count == 1 and right - left <= width:
            found.append((left, right))
        elif count:
            middle = (left + right) / 2
            while sign_at(chain[0], middle) == 0:
                middle = (middle + right) / 2
            pending.extend([(middle, right), (left, middle)])
    return found


def roots_left(p: Polynomial) -> bool:
    """Whether all roots have a negative real part: the Routh test."""
    even, odd = list(p[::-1][::2]), list(p[::-1][1::2])
    sign = p[-1].sign
    for _ in range(len(p) - 1):
        if not odd or odd[0].sign != sign:
            return False
        ratio = even[0] / odd[0]
        padded = odd[1:] + [ZERO] * (len(even) - len(odd))
        even, odd = odd, [a - ratio * b for a, b in zip(even[1:], padded, strict=True)]
    return True


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the smallest denominator in ``[low, high]``, both at least 0."""
    whole = low.__floor__()
    if low == whole or whole + 1 <= high:
        return Fraction(whole if low == whole else whole + 1)
    return whole + 1 / simplest(1 / (high - whole), 1 / (low - whole))
