"""The functions of exponential integrators: ``phi_0(Z) = exp(Z)``, ``phi_k(Z) = (phi_{k-1}(Z) - 1/(k-1)!) / Z``.

By a Taylor series at ``Z / 2^s``, of norm at most one half, and doubling (Skaflestad & Wright, The scaling and modified
squaring method for matrix functions related to the exponential, Appl. Numer. Math. 2009, eq. 3.1):
``phi_k(2 Z) = 2^-k (phi_0(Z) phi_k(Z) + sum_{j = 1 .. k} phi_j(Z) / (k - j)!)``. Nothing is divided by Z.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial, frexp, prod
from typing import Any

import numpy as np

from odespec.ir.expr import Expr, Shape
from odespec.program.operators import Operator

Array = np.ndarray[Any, Any]
MAX_DOUBLINGS = 1100
BATCH_AXES = 6


def phi(node: Expr, *args: Any) -> Array:
    """The value of a ``phi`` node over float64 or decimals, from operators as arrays or `Operator`, and tensors.

    Only the rows and columns of the operators that are not zero are exponentiated.
    """
    k, place, count = numbers_of(node)
    shapes = [a.shape for a in node.args[count**2 :]]
    matrix = _joined([_matrix(a, p, count, shapes) for p, a in enumerate(args[: count**2])], count)
    vector = _packed(args[count**2 :], shapes)
    image = _applied(k, matrix, vector)
    start = sum(prod(s) for s in shapes[:place])
    part = image[..., start : start + prod(shapes[place])]
    return np.asarray(part.reshape(*part.shape[:-1], *shapes[place]))


def numbers_of(node: Expr) -> tuple[int, int, int]:
    """Of a ``phi`` node: k, which tensor, and how many there are."""
    assert isinstance(node.data, tuple)
    k, place, count = node.data
    return int(k), int(place), int(count)


def exponential(node: Expr, Z: Any) -> Array:
    """The value of an ``exponential`` node: the operator ``phi_k(Z)`` as an array, as `phi` takes it apart."""
    half = node.shape[: len(node.shape) // 2]
    matrix = phi_matrix(_matrix(Z, 0, 1, [half]), int(node.data))  # type: ignore[call-overload]
    return matrix.reshape((*matrix.shape[:-2], *node.shape))


def _matrix(value: Any, place: int, count: int, shapes: list[Shape]) -> Array:
    """The block of a pair of tensors as ``[..., rows, columns]``."""
    out, into = shapes[place // count], shapes[place % count]
    if isinstance(value, Operator):
        return _dense(value, len(out))
    return np.asarray(value.reshape(*value.shape[: value.ndim - len(out) - len(into)], prod(out), prod(into)))


def _dense(operator: Operator, axes: int) -> Array:
    """An operator whose data may have batch axes (up to `BATCH_AXES`), from the images of all unit tensors."""
    n = prod(operator.input)
    images = operator.forward(np.eye(n).reshape(n, *(1,) * BATCH_AXES, *operator.input))
    columns = np.moveaxis(images.reshape(*images.shape[: images.ndim - axes], -1), 0, -1)
    while columns.ndim > 2 and columns.shape[0] == 1:
        columns = columns[0]
    return columns


def _joined(blocks: list[Array], count: int) -> Array:
    """Blocks, row by row, as one matrix; batch axes are broadcast."""
    batch = np.broadcast_shapes(*(b.shape[:-2] for b in blocks))
    full = [np.broadcast_to(b, (*batch, *b.shape[-2:])) for b in blocks]
    return np.concatenate([np.concatenate(full[i : i + count], axis=-1) for i in range(0, count**2, count)], axis=-2)


def _packed(values: Any, shapes: list[Shape]) -> Array:
    """Tensors as one vector on the last axis; a missing one is zero."""
    flat = [v.reshape(*v.shape[: v.ndim - len(s)], prod(s)) for v, s in zip(values, shapes, strict=True)]
    batch = np.broadcast_shapes(*(f.shape[:-1] for f in flat))
    return np.concatenate([np.broadcast_to(f, (*batch, f.shape[-1])) for f in flat], axis=-1)


def _applied(k: int, matrix: Array, vector: Array) -> Array:
    """``phi_k(matrix) vector``; where rows and columns of the matrix are zero that is ``vector / k!``."""
    size = matrix.shape[-1]
    seen = (matrix != 0).reshape(-1, size, size).any(axis=0)
    used = np.flatnonzero(seen.any(axis=0) | seen.any(axis=1))
    batch = np.broadcast_shapes(matrix.shape[:-2], vector.shape[:-1])
    result = np.broadcast_to(vector / factorial(k), (*batch, size)).copy()
    if len(used):
        small = phi_matrix(matrix[..., used[:, None], used], k)
        result[..., used] = np.matmul(small, vector[..., used, None])[..., 0]
    return result


def phi_matrix(matrix: Array, k: int) -> Array:
    """``phi_k`` of square matrices ``[..., n, n]`` of float64, or of decimals in the current context."""
    decimals = matrix.dtype == object
    size = max((float(x) for x in np.abs(matrix).sum(axis=-1).flat), default=0.0)
    if not np.isfinite(size):
        return np.full(matrix.shape, np.nan)
    doublings = min(max(0, frexp(size)[1] + 1), MAX_DOUBLINGS)
    half = matrix / 2**doublings if decimals else np.ldexp(matrix, -doublings)
    values = _series(half, k, terms=40 if decimals else 16)
    for _ in range(doublings):
        values = _doubled(values)
    return values[k]


def _series(matrix: Array, k: int, terms: int) -> list[Array]:
    """``phi_0 .. phi_k`` of a matrix of norm at most one half: the last one by its series, the others from it."""
    unit = _unit(matrix)
    total = unit * _number(matrix, Fraction(1, factorial(k + terms)))
    for j in range(terms - 1, -1, -1):
        total = np.matmul(matrix, total) + unit * _number(matrix, Fraction(1, factorial(k + j)))
    values = [total]
    for j in range(k - 1, -1, -1):
        values.insert(0, np.matmul(matrix, values[0]) + unit * _number(matrix, Fraction(1, factorial(j))))
    return values


def _doubled(values: list[Array]) -> list[Array]:
    first = values[0]
    return [np.matmul(first, first)] + [
        (np.matmul(first, v) + sum(_scaled(values[j], Fraction(1, factorial(k - j))) for j in range(1, k + 1))) / 2**k
        for k, v in enumerate(values[1:], start=1)
    ]


def _scaled(matrix: Array, factor: Fraction) -> Array:
    return np.asarray(matrix * _number(matrix, factor))


def _number(like: Array, value: Fraction) -> Any:
    """A fraction in the arithmetic of an array."""
    if like.dtype != object:
        return float(value)
    one = like.flat[0] * 0 + 1
    return one * value.numerator / value.denominator


def _unit(matrix: Array) -> Array:
    size = matrix.shape[-1]
    if matrix.dtype != object:
        return np.eye(size)
    return np.asarray(np.eye(size, dtype=int).astype(object) * _number(matrix, Fraction(1)))
