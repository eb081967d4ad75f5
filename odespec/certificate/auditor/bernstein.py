"""Polynomials with rational coefficients, and whether one is non-negative on a box by its Bernstein coefficients.

A variable between two ends is mapped to [0, 1] and expanded in Bernstein's basis, one with a single end by powers of the
distance from it. Where all coefficients are non-negative, so is the polynomial.
"""

from fractions import Fraction
from math import comb
from typing import Any

from .core import Ledger, count, line, number, require

MAX_DEGREE, MAX_TERMS, MAX_SPLITS = 64, 20_000, 200

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]
Range = tuple[Fraction | None, Fraction | None]


def polynomial(value: Any) -> Polynomial:
    """Pairs of a coefficient and a list of pairs (variable, power)."""
    require(isinstance(value, list) and len(value) <= MAX_TERMS, "not a polynomial")
    result: Polynomial = {}
    for term in value:
        require(isinstance(term, list) and len(term) == 2 and isinstance(term[1], list), "not a term")
        powers: dict[str, int] = {}
        for factor in term[1]:
            require(isinstance(factor, list) and len(factor) == 2, "not a power")
            line(factor[0])
            count(factor[1])
            require(1 <= factor[1] <= MAX_DEGREE and factor[0] not in powers, "not a power")
            powers[factor[0]] = factor[1]
        key, c = tuple(sorted(powers.items())), number(term[0])
        require(c and key not in result, "a repeated or zero term")
        result[key] = c
    return result


def plus(ledger: Ledger, *parts: tuple[Fraction | int, Polynomial]) -> Polynomial:
    total: Polynomial = {}
    for scale, part in parts:
        for key, c in part.items() if scale else ():
            total[key] = ledger.spend(total.get(key, Fraction(0)) + scale * c)
    return {key: c for key, c in total.items() if c}


def times(ledger: Ledger, a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            powers = dict(m)
            for name, k in n:
                powers[name] = powers.get(name, 0) + k
            key = tuple(sorted(powers.items()))
            total[key] = ledger.spend(total.get(key, Fraction(0)) + c * d)
    return {key: c for key, c in total.items() if c}


def by_powers(p: Polynomial, name: str) -> list[Polynomial]:
    top = max((k for m in p for n, k in m if n == name), default=0)
    require(top <= MAX_DEGREE, "a power too large for an honest certificate")
    parts: list[Polynomial] = [{} for _ in range(top + 1)]
    for m, c in p.items():
        parts[dict(m).get(name, 0)][tuple(x for x in m if x[0] != name)] = c
    return parts


def moved(ledger: Ledger, parts: list[Polynomial], shift: Fraction, scale: Fraction) -> list[Polynomial]:
    """The coefficients in t of a polynomial in ``shift + scale * t``."""
    n = len(parts)
    return [
        plus(ledger, *((comb(j, k) * shift ** (j - k) * scale**k, parts[j]) for j in range(k, n))) for k in range(n)
    ]


def expanded(ledger: Ledger, p: Polynomial, name: str, inside: Range) -> list[Polynomial]:
    """Coefficients whose signs decide: Bernstein's between two ends, powers of the distance from a single end."""
    low, high = inside
    parts = by_powers(p, name)
    n = len(parts) - 1
    require(low is not None or high is not None or n == 0, f"{name} has no end")
    if n == 0:
        return parts
    if low is None or high is None:
        start, sign = (high, -1) if low is None else (low, 1)
        return moved(ledger, parts, start or Fraction(0), Fraction(sign))
    require(low <= high, f"{name} has an empty range")
    if low == high:
        return [plus(ledger, *((low**k, part) for k, part in enumerate(parts)))]
    unit = moved(ledger, parts, low, high - low)
    return [plus(ledger, *((Fraction(comb(k, j), comb(n, j)), unit[j]) for j in range(k + 1))) for k in range(n + 1)]


def nonnegative(ledger: Ledger, p: Polynomial, ranges: dict[str, Range], splits: list[Any]) -> bool:
    """Whether the coefficients on every part of the box are non-negative.

    ``splits`` says how it is parted, in preorder: None, or a variable and a place, then what lies below and above it.
    """
    require(len(splits) <= 2 * MAX_SPLITS + 1, "too many splits for an honest certificate")
    pending = [ranges]
    for split in splits:
        require(pending, "splits of nothing")
        box = pending.pop()
        if split is None:
            if not positive_coefficients(ledger, p, box):
                return False
            continue
        name, at = split[0], number(split[1])
        low, high = box[name]
        require((low is None or low <= at) and (high is None or at <= high), "a split outside of the range")
        pending += [{**box, name: (at, high)}, {**box, name: (low, at)}]
    require(not pending, "a part of the box is left out")
    return True


def positive_coefficients(ledger: Ledger, p: Polynomial, ranges: dict[str, Range]) -> bool:
    ledger.charge(1 + len(p))
    used = min((n for m in p for n, _ in m), default=None)
    if used is None:
        return all(c >= 0 for c in p.values())
    return all(positive_coefficients(ledger, part, ranges) for part in expanded(ledger, p, used, ranges[used]))
