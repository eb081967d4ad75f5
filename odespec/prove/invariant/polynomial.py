"""Polynomials with rational coefficients in named variables, and their quotients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from odespec.records import dataclass

Monomial = tuple[tuple[str, int], ...]
"""Pairs (variable, positive power), sorted by the variable."""
Polynomial = dict[Monomial, Fraction]

MAX_TERMS = 400


class TooLarge(Exception):
    """A polynomial has more than `MAX_TERMS` terms, or a proof takes more operations than it is allowed."""


_left = [0]


def allow(operations: int) -> None:
    """Let the arithmetic of the next proof take so many operations on terms before it is `TooLarge`.

    Work is counted, not timed, so that the outcome does not depend on the machine.
    """
    _left[0] = operations


def _spend(operations: int) -> None:
    _left[0] -= operations
    if _left[0] < 0:
        raise TooLarge


def constant(value: Fraction | int) -> Polynomial:
    return {(): Fraction(value)} if value else {}


def variable(name: str) -> Polynomial:
    return {((name, 1),): Fraction(1)}


def plus(*parts: Polynomial) -> Polynomial:
    total: Polynomial = {}
    _spend(sum(map(len, parts)))
    for part in parts:
        for monomial, c in part.items():
            value = total.get(monomial, Fraction(0)) + c
            if value:
                total[monomial] = value
            else:
                total.pop(monomial, None)
    return total


def scaled(factor: Fraction | int, p: Polynomial) -> Polynomial:
    return {m: factor * c for m, c in p.items()} if factor else {}


def minus(a: Polynomial, b: Polynomial) -> Polynomial:
    return plus(a, scaled(-1, b))


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product. Raises `TooLarge`."""
    if len(a) * len(b) > 8 * MAX_TERMS:
        raise TooLarge
    _spend(len(a) * len(b))
    total: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            key = _joined(m, n)
            total[key] = total.get(key, Fraction(0)) + c * d
    total = {m: c for m, c in total.items() if c}
    if len(total) > MAX_TERMS:
        raise TooLarge
    return total


def _joined(m: Monomial, n: Monomial) -> Monomial:
    powers = dict(m)
    for name, k in n:
        powers[name] = powers.get(name, 0) + k
    return tuple(sorted(powers.items()))


def power(p: Polynomial, exponent: int) -> Polynomial:
    """Raises `TooLarge`."""
    result = constant(1)
    for _ in range(exponent):
        result = times(result, p)
    return result


def number(p: Polynomial) -> Fraction | None:
    """The value of a constant polynomial; None for another."""
    return p.get((), Fraction(0)) if all(not m for m in p) else None


def names(*parts: Polynomial) -> set[str]:
    return {name for p in parts for m in p for name, _ in m}


def degree(p: Polynomial, name: str) -> int:
    return max((k for m in p for n, k in m if n == name), default=0)


def coefficients(p: Polynomial, name: str) -> list[Polynomial]:
    """The polynomial by powers of one variable: ``p = sum_k result[k] * name^k``."""
    parts: list[Polynomial] = [{} for _ in range(degree(p, name) + 1)]
    for m, c in p.items():
        k = dict(m).get(name, 0)
        parts[k][tuple(x for x in m if x[0] != name)] = c
    return parts


def substitute(p: Polynomial, values: Mapping[str, Polynomial]) -> Polynomial:
    """Put polynomials in place of variables, all at once. Raises `TooLarge`."""
    if not names(p) & values.keys():
        return p
    parts = []
    for m, c in p.items():
        term = constant(c)
        for name, k in m:
            term = times(term, power(values.get(name, variable(name)), k))
        parts.append(term)
    return plus(*parts)


# --- quotients -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quotient:
    """``top / bottom``; the bottom is positive wherever it counts."""

    top: Polynomial
    bottom: Polynomial


ONE = constant(1)


def whole(p: Polynomial) -> Quotient:
    return Quotient(p, ONE)


def total(parts: Iterable[Quotient]) -> Quotient:
    """The sum. Raises `TooLarge`."""
    result = whole({})
    for q in parts:
        if q.bottom == result.bottom:
            result = Quotient(plus(result.top, q.top), q.bottom)
        else:
            top = plus(times(result.top, q.bottom), times(q.top, result.bottom))
            result = Quotient(top, times(result.bottom, q.bottom))
    return result


def product(a: Quotient, b: Quotient) -> Quotient:
    """Raises `TooLarge`."""
    if a.top == b.bottom:
        return Quotient(b.top, a.bottom)
    if b.top == a.bottom:
        return Quotient(a.top, b.bottom)
    return Quotient(times(a.top, b.top), times(a.bottom, b.bottom))


def put(q: Quotient, values: Mapping[str, Quotient]) -> Quotient:
    """Put quotients in place of variables, all at once. Raises `TooLarge`."""
    used = {n: v for n, v in values.items() if n in names(q.top, q.bottom)}
    if not used:
        return q
    if all(v.bottom == ONE for v in used.values()):
        plain = {n: v.top for n, v in used.items()}
        return Quotient(substitute(q.top, plain), substitute(q.bottom, plain))
    (top, a), (bottom, b) = (_cleared(p, used) for p in (q.top, q.bottom))
    common = {n: max(a.get(n, 0), b.get(n, 0)) for n in used}
    for n, v in used.items():
        top = times(top, power(v.bottom, common[n] - a.get(n, 0)))
        bottom = times(bottom, power(v.bottom, common[n] - b.get(n, 0)))
    return Quotient(top, bottom)


def _cleared(p: Polynomial, values: Mapping[str, Quotient]) -> tuple[Polynomial, dict[str, int]]:
    """p with values put in, multiplied by the powers of their bottoms that are returned with it."""
    degrees = {n: degree(p, n) for n in values}
    parts = []
    for m, c in p.items():
        term, powers = constant(c), dict(m)
        for name, k in m:
            if name not in values:
                term = times(term, {((name, k),): Fraction(1)})
        for n, v in values.items():
            k = powers.get(n, 0)
            term = times(term, times(power(v.top, k), power(v.bottom, degrees[n] - k)))
        parts.append(term)
    return plus(*parts), degrees
