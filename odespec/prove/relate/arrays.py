"""The eigenvalues of constant symmetric matrices and the norms of constant matrices: enclosed, and checked exactly.

Floating point guesses; whether a guess bounds the eigenvalues is an exact question (is ``c I - M`` positive semidefinite).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from odespec.activations import Interval
from odespec.exact import Real
from odespec.ir.ranges import REAL

LARGEST = 16
NEAR = 1e-9
Rows = tuple[tuple[Real, ...], ...]


@cache
def eigenvalues(rows: Rows) -> Interval:
    """Of a symmetric matrix of fractions; the whole line where it is too large or has irrational entries."""
    matrix = _fractions(rows)
    if matrix is None or len(rows) != len(rows[0]):
        return REAL
    high = _above(matrix)
    low = _above([[-x for x in row] for row in matrix])
    return Interval(None if low is None else -low, high)


@cache
def norm2(rows: Rows) -> Fraction | None:
    """The square of the 2-norm, or a little more; None as above."""
    matrix = _fractions(rows)
    if matrix is None:
        return None
    columns = list(zip(*matrix, strict=True))
    return _above([[sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0)) for y in columns] for x in columns])


def _fractions(rows: Rows) -> list[list[Fraction]] | None:
    if max(len(rows), len(rows[0])) > LARGEST:
        return None
    found = [[x for x in row if isinstance(x, Fraction)] for row in rows]
    return found if all(len(a) == len(b) for a, b in zip(found, rows, strict=True)) else None


def _above(matrix: list[list[Fraction]]) -> Fraction | None:
    """The largest eigenvalue where it is a simple fraction, else a fraction just above it."""
    import numpy as np

    from odespec.prove.gram.ldl import is_psd
    from odespec.prove.gram.simplest import simplest_between

    top = float(np.linalg.eigvalsh(np.array([[float(x) for x in row] for row in matrix]))[-1])
    size = max(1.0, abs(top))
    for low, high in ((-NEAR, NEAR), (NEAR, 2 * NEAR), (1e-6, 2e-6)):
        guess = simplest_between(Fraction(top + low * size), Fraction(top + high * size))
        gap = [[guess * (i == j) - x for j, x in enumerate(row)] for i, row in enumerate(matrix)]
        if is_psd(gap):
            return guess
    return None
