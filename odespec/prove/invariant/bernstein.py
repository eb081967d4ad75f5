"""Whether a polynomial is non-negative on a box, by its Bernstein coefficients.

A variable with both ends is mapped to [0, 1], one with a single end to [0, infinity); in the Bernstein basis of the
first and the powers of the second all coefficients must be non-negative. Where every power is one this is exact: the
coefficients are the values at the vertices. Otherwise the box is split at midpoints. (Garloff, "The Bernstein
algorithm", Interval Computations 2 (1993).)
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from math import comb, prod

from odespec.activations import Interval
from odespec.ir.intervals import plus as add
from odespec.ir.intervals import power, rounded, times
from odespec.prove.invariant.polynomial import (
    Polynomial,
    coefficients,
    constant,
    degree,
    names,
    number,
    plus,
    scaled,
    substitute,
)

Ranges = Mapping[str, Interval]
Tree = None | tuple["str", Fraction, "Tree", "Tree"]
"""How a box is split: not at all, or a variable, the place, and what is done below and above it."""

MAX_SPLITS = 16
MAX_COEFFICIENTS = 2_000


class TooMany(Exception):
    """There are more coefficients than are looked at."""


def nonnegative(p: Polynomial, ranges: Ranges) -> tuple[bool, Tree]:
    """Whether a proof was found, and its splits."""
    if _fails(p, ranges):
        return False, None
    left = [MAX_SPLITS]
    budget = [MAX_COEFFICIENTS]
    try:
        tree = _search(p, ranges, left, budget)
    except TooMany:
        return False, None
    return (False, None) if isinstance(tree, bool) else (True, tree)


SAMPLES = 48


def _fails(p: Polynomial, ranges: Ranges) -> bool:
    """Whether p is clearly negative at some corners, in floating point: only to save work."""
    rng = random.Random(0)
    used = sorted(names(p))
    terms = [(float(c), [(used.index(n), k) for n, k in m]) for m, c in p.items()]
    ends = [[float(_place(ranges[n], pick)) for pick in (0, 1)] for n in used]
    for _ in range(min(SAMPLES, 2 ** len(used))):
        point = [rng.choice(pair) for pair in ends]
        values = [c * prod(point[i] ** k for i, k in m) for c, m in terms]
        if sum(values) < -1e-9 * sum(map(abs, values)):
            return True
    return False


def _search(p: Polynomial, ranges: Ranges, left: list[int], budget: list[int]) -> Tree | bool:
    """The splits of a proof; False where there is none. The number of splits that are left is counted down."""
    free = next((n for n in sorted(names(p)) if ranges[n].lower is None and ranges[n].upper is None), None)
    if free is None:
        if all_nonnegative(p, ranges, budget):
            return None
        name = _widest(p, ranges)
    else:
        name = free
    if name is None or left[0] <= 0 or _negative_somewhere(p, ranges):
        return False
    left[0] -= 1
    at = middle(ranges[name])
    parts = []
    for half in halves(ranges[name], at):
        found = _search(p, {**ranges, name: half}, left, budget)
        if found is False:
            return False
        parts.append(found)
    return name, at, parts[0], parts[1]  # type: ignore[return-value]


def middle(x: Interval) -> Fraction:
    if x.lower is None and x.upper is None:
        return Fraction(0)
    if x.lower is None:
        return x.upper - 1 - abs(x.upper)  # type: ignore[operator, arg-type]
    return x.lower + 1 + abs(x.lower) if x.upper is None else (x.lower + x.upper) / 2


def halves(x: Interval, at: Fraction) -> tuple[Interval, Interval]:
    return Interval(x.lower, at), Interval(at, x.upper)


def _widest(p: Polynomial, ranges: Ranges) -> str | None:
    """A variable that a split may help: of degree two or more; the widest first."""
    curved = [n for n in sorted(names(p)) if degree(p, n) > 1 and ranges[n].lower != ranges[n].upper]

    def width(n: str) -> Fraction:
        low, high = ranges[n].lower, ranges[n].upper
        return Fraction(10**9) if low is None or high is None else high - low

    return max(curved, key=width, default=None)


def _negative_somewhere(p: Polynomial, ranges: Ranges) -> bool:
    """Whether p is negative at the middle of the box or where a corner lies: then no split will help."""
    for pick in (0, 1, 2):
        point = {n: constant(_place(ranges[n], pick)) for n in names(p)}
        value = number(substitute(p, point))
        if value is not None and value < 0:
            return True
    return False


def _place(x: Interval, pick: int) -> Fraction:
    if pick == 2 or (x.lower if pick == 0 else x.upper) is None:
        return middle(x)
    return x.lower if pick == 0 else x.upper  # type: ignore[return-value]


def all_nonnegative(p: Polynomial, ranges: Ranges, budget: list[int]) -> bool:
    """Whether every coefficient is non-negative. Raises `TooMany` past the budget, which is counted down."""
    value = number(p)
    if value is not None:
        budget[0] -= 1
        if budget[0] < 0:
            raise TooMany
        return value >= 0
    name = min(names(p))
    return all(all_nonnegative(part, ranges, budget) for part in expanded(p, name, ranges[name]))


def expanded(p: Polynomial, name: str, inside: Interval) -> list[Polynomial]:
    """The coefficients of p in the basis that belongs to a variable's interval, as polynomials in the others."""
    low, high, parts = inside.lower, inside.upper, coefficients(p, name)
    if len(parts) == 1:
        return parts
    if low is not None and low == high:
        return [plus(*(scaled(low**k, part) for k, part in enumerate(parts)))]
    if low is None:
        assert high is not None
        return _moved(parts, high, Fraction(-1))
    if high is None:
        return _moved(parts, low, Fraction(1))
    unit, n = _moved(parts, low, high - low), len(parts) - 1
    return [plus(*(scaled(Fraction(comb(k, j), comb(n, j)), unit[j]) for j in range(k + 1))) for k in range(n + 1)]


def _moved(parts: list[Polynomial], shift: Fraction, scale: Fraction) -> list[Polynomial]:
    """The coefficients in t of a polynomial in ``shift + scale * t``."""
    n = len(parts)
    return [plus(*(scaled(comb(j, k) * shift ** (j - k) * scale**k, parts[j]) for j in range(k, n))) for k in range(n)]


def bounds(p: Polynomial, ranges: Ranges) -> Interval:
    """An enclosure of the values on the box: exact where every power is one and the variables are few."""
    if len(names(p)) > FEW:
        return _roughly(p, ranges)
    budget = [MAX_COEFFICIENTS]
    try:
        low, high = _least(p, ranges, budget), _least(scaled(-1, p), ranges, budget)
    except TooMany:
        return _roughly(p, ranges)
    return Interval(low, None if high is None else -high)


FEW = 6


def _roughly(p: Polynomial, ranges: Ranges) -> Interval:
    """Term by term."""
    result = Interval(Fraction(0), Fraction(0))
    for monomial, c in p.items():
        term = Interval(c, c)
        for name, k in monomial:
            term = times(term, power(ranges[name], Fraction(k)))
        result = add(result, term)
    return rounded(result)


def _least(p: Polynomial, ranges: Ranges, budget: list[int]) -> Fraction | None:
    value = number(p)
    if value is not None:
        budget[0] -= 1
        if budget[0] < 0:
            raise TooMany
        return value
    name = min(names(p))
    inside = ranges[name]
    if inside.lower is None and inside.upper is None:
        return None
    parts = expanded(p, name, inside)
    if inside.lower is None or inside.upper is None:
        if not all(all_nonnegative_safe(part, ranges, budget) for part in parts[1:]):
            return None
        return _least(parts[0], ranges, budget)
    found = [_least(part, ranges, budget) for part in parts]
    return None if any(f is None for f in found) else min(f for f in found if f is not None)


def all_nonnegative_safe(p: Polynomial, ranges: Ranges, budget: list[int]) -> bool:
    """As `all_nonnegative`, but False where a variable has no end at all."""
    if any(ranges[n].lower is None and ranges[n].upper is None for n in names(p)):
        return False
    return all_nonnegative(p, ranges, budget)
