"""Whether a symmetric matrix is positive semidefinite: proved in float64 where there is room, else exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from odespec.weights.arithmetic import Array

UNIT = 2.0**-53
LARGEST_EXACT = 40


def is_psd(matrix: Array) -> bool | None:
    """Whether a symmetric matrix of fractions is positive semidefinite; None where it is too large to tell.

    Zero rows and columns are left out first, so that a small matrix in a large one is decided exactly.
    """
    used = [i for i in range(len(matrix)) if any(x != 0 for x in matrix[i])]
    small = matrix[np.ix_(used, used)]
    if not used or definite(small):
        return True
    if any(small[i, i] < 0 for i in range(len(used))):
        return False
    return exactly_psd(small.tolist()) if len(used) <= LARGEST_EXACT else None


def definite(matrix: Array) -> bool:
    """Whether a matrix of fractions is certainly positive definite, by a Cholesky factorisation in float64.

    Rounding the entries moves the matrix by at most ``u |A|_F``; a Cholesky factorisation of ``A - c I`` that runs to
    its end proves A definite if ``c >= (n + 2) u tr(A)`` and a little (Rump, "Verification of positive definiteness",
    BIT 46, 2006). The shift here is four times that of both.
    """
    floats = np.asarray(matrix, dtype=np.float64)
    n = len(floats)
    size = float(np.linalg.norm(floats) + np.trace(np.abs(floats)))
    if not np.isfinite(size):
        return False
    shift = 4.0 * (n + 3) * UNIT * size + 1e-290
    try:
        np.linalg.cholesky(floats - shift * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True


def exactly_psd(rows: Sequence[Sequence[Fraction]]) -> bool:
    """LDL^T in integers, without fractions (Bareiss, Math. Comp. 22, 1968). A zero pivot needs a zero row."""
    scale = lcm(*(x.denominator for row in rows for x in row)) if rows else 1
    a = [[int(x * scale) for x in row] for row in rows]
    previous = 1
    for k in range(len(a)):
        pivot = a[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(a[k][k + 1 :]):
                return False
            continue
        for i in range(k + 1, len(a)):
            factor = a[k][i]
            for j in range(i, len(a)):
                a[i][j] = (pivot * a[i][j] - factor * a[k][j]) // previous
        previous = pivot
    return True


def norm_at_most(matrix: Array, bound: Fraction) -> bool | None:
    """Whether the largest singular value of a matrix of fractions is at most a bound; None if undecided."""
    if bound < 0:
        return False
    small = _support(matrix)
    if not small.size:
        return True
    short = small.T if small.shape[0] < small.shape[1] else small
    if _clearly_below(short, bound):
        return True
    if short.shape[1] > LARGEST_EXACT:
        return None
    return is_psd(_minus_gram(short, bound * bound))


def singular_values_at_least(matrix: Array, bound: Fraction) -> bool | None:
    """Whether all ``min(m, d)`` singular values are at least a bound; None if undecided."""
    if bound <= 0:
        return True
    short = matrix.T if matrix.shape[0] < matrix.shape[1] else matrix
    if short.shape[1] > 2 * LARGEST_EXACT:
        return None
    return is_psd(-_minus_gram(short, bound * bound))


def _support(matrix: Array) -> Array:
    """The matrix without its zero rows and columns, which do not change its norm."""
    used = matrix.astype(bool)
    return matrix[np.ix_(used.any(axis=1), used.any(axis=0))]


def _minus_gram(matrix: Array, diagonal: Fraction) -> Array:
    """``diagonal * I - M.T M`` in fractions, by the products of the integers over one common denominator."""
    n = matrix.shape[1]
    scale = lcm(*(x.denominator for x in matrix.flat))
    whole = np.array([x.numerator * (scale // x.denominator) for x in matrix.flat], dtype=object).reshape(matrix.shape)
    products = whole.T.dot(whole)
    result = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(i, n):
            entry = Fraction(-products[i, j], scale * scale)
            result[i, j] = result[j, i] = entry + diagonal if i == j else entry
    return result


def _clearly_below(matrix: Array, bound: Fraction) -> bool:
    """A proof in float64 that ``bound^2 I - M.T M`` is definite: rounding of M and of the product go into the shift."""
    floats = np.asarray(matrix, dtype=np.float64)
    n = floats.shape[1]
    squares = float(np.sum(floats * floats)) * (1 + 1e-12)
    room = float(bound) ** 2 * (1 - 1e-12)
    shift = 4.0 * (sum(floats.shape) + 6) * UNIT * (squares + n * room) + 1e-290
    if not np.isfinite(shift):
        return False
    try:
        np.linalg.cholesky((room - shift) * np.eye(n) - floats.T @ floats)
    except np.linalg.LinAlgError:
        return False
    return True
