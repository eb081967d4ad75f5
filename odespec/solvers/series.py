"""Methods that treat a linear part L x by functions of z = hL, as power series in z.

A stage has the value ``start(z) x + h sum_j weights[j](z) N(t + times[j] h, stage j)``, a step likewise. Sources: Cox &
Matthews 2002, eq. 4 and 26-29 (ETD1, ETDRK4); Ascher, Ruuth & Wetton 1995 (implicit-explicit Euler).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import factorial

from odespec.records import dataclass

Series = tuple[Fraction, ...]
HALF, ONE = Fraction(1, 2), Fraction(1)


@dataclass(frozen=True, slots=True)
class SeriesMethod:
    """All series have equally many coefficients, from the constant on."""

    start: tuple[Series, ...]
    weights: tuple[tuple[Series, ...], ...]
    last: Series
    sum: tuple[Series, ...]
    times: tuple[Fraction, ...]


def _phi(k: int, terms: int, scale: Fraction = ONE) -> Series:
    """``phi_k(scale z) = sum_j (scale z)^j / (j + k)!``; phi_0 is the exponential."""
    return tuple(scale**j / factorial(j + k) for j in range(terms))


def _combined(*parts: tuple[int, Series]) -> Series:
    return tuple(sum((Fraction(c) * x for c, x in zip([c for c, _ in parts], column, strict=True)), Fraction(0))
                 for column in zip(*(s for _, s in parts), strict=True))  # fmt: skip


def _product(a: Series, b: Series) -> Series:
    return tuple(sum((a[i] * b[k - i] for i in range(k + 1)), Fraction(0)) for k in range(len(a)))


def imex_euler(terms: int) -> SeriesMethod:
    """``x+ = (1 - z)^-1 (x + h N(t, x))``."""
    geometric = (ONE,) * terms
    unit, zero = _constant(1, terms), _constant(0, terms)
    return SeriesMethod((unit,), ((zero,),), geometric, (geometric,), (Fraction(0),))


def etd1(terms: int) -> SeriesMethod:
    """``x+ = exp(z) x + h phi_1(z) N(t, x)``."""
    unit, zero = _constant(1, terms), _constant(0, terms)
    return SeriesMethod((unit,), ((zero,),), _phi(0, terms), (_phi(1, terms),), (Fraction(0),))


def etdrk4(terms: int) -> SeriesMethod:
    """The stages a, b, c of Cox & Matthews; the third is written in x by the first."""
    unit, zero = _constant(1, terms), _constant(0, terms)
    half = _phi(0, terms, HALF)
    step = tuple(HALF * x for x in _phi(1, terms, HALF))
    third = _product(step, _combined((1, half), (-1, unit)))
    phi = [_phi(k, terms) for k in range(4)]
    return SeriesMethod(
        (unit, half, half, phi[0]),
        (
            (zero,) * 4,
            (step, zero, zero, zero),
            (zero, step, zero, zero),
            (third, zero, _combined((2, step)), zero),
        ),
        phi[0],
        (
            _combined((1, phi[1]), (-3, phi[2]), (4, phi[3])),
            _combined((2, phi[2]), (-4, phi[3])),
            _combined((2, phi[2]), (-4, phi[3])),
            _combined((-1, phi[2]), (4, phi[3])),
        ),
        (Fraction(0), HALF, HALF, ONE),
    )


def _constant(value: int, terms: int) -> Series:
    return (Fraction(value), *[Fraction(0)] * (terms - 1))


SERIES: dict[str, Callable[[int], SeriesMethod]] = {"imex_euler": imex_euler, "etd1": etd1, "etdrk4": etdrk4}
