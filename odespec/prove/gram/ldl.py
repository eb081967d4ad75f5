"""The exact test of positive semidefiniteness, on which every proof rests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

Matrix = Sequence[Sequence[Fraction]]


def is_psd(matrix: Matrix) -> bool:
    """Whether a symmetric rational ``n x n`` matrix is positive semidefinite, singular ones included.

    LDL^T without square roots and without divisions that leave the integers (Bareiss, Math. Comp. 22, 1968): the matrix
    is scaled to integers first. A zero pivot needs a zero row; a negative pivot decides against.
    """
    rows = _integers(matrix)
    previous = 1
    for k in range(len(rows)):
        pivot = rows[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(rows[k][k + 1 :]):
                return False
            continue
        _eliminate(rows, k, previous)
        previous = pivot
    return True


def _eliminate(rows: list[list[int]], k: int, previous: int) -> None:
    top = rows[k]
    pivot = top[k]
    for i in range(k + 1, len(rows)):
        row, factor = rows[i], top[i]
        for j in range(i, len(rows)):
            row[j] = (pivot * row[j] - factor * top[j]) // previous


def _integers(matrix: Matrix) -> list[list[int]]:
    """The upper triangle times the least common denominator."""
    scale = lcm(*(x.denominator for row in matrix for x in row)) if matrix else 1
    return [[x.numerator * (scale // x.denominator) for x in row] for row in matrix]
