"""An eigenvalue beyond doubt: an eigenpair in decimals, and near it an exact one.

For ``P v = z Q v`` the equations ``P v - z Q v = 0, c v = 1`` have a derivative M in (v, z). If the residual r and
``|M^-1| <= beta`` obey ``beta^2 r (1 + |Q|) <= 1/8``, an exact eigenpair lies within ``2 beta r`` (Kantorovich; Deuflhard,
Newton Methods, 2.1). M is taken in float64, whose error is far below what that room allows. A multiple eigenvalue has no
such M; where the eigenvectors V are well conditioned one lies within
``cond(V) r`` (Bauer & Fike 1960), and always one within ``(2 |P| + r)^(1 - 1/n) r^(1/n)`` (Elsner 1985).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from odespec.prove.refute.goal import decimal_norm
from odespec.records import dataclass
from odespec.weights.arithmetic import DECIMAL, Array

Linear = Callable[[Array], Array]
LARGEST_INVERSE = 1e7
LARGEST_CONDITION = 1e3
RESIDUAL = Decimal("1e-24")
ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex number, or an array of them, of decimals."""

    re: Array
    im: Array


@dataclass(frozen=True, slots=True)
class Pencil:
    """``P v = z Q v``: both in float64, and as maps of decimal vectors (Q None: the identity)."""

    P: Array
    Q: Array | None
    apply_p: Linear
    apply_q: Linear | None


def refined(pencil: Pencil, z: complex) -> tuple[Decimal, Decimal] | None:
    """The eigenvalue near z to more than twenty digits, with an exact one as near; None where that is not shown.

    To be called in the context of decimals. Raises what the maps raise.
    """
    n = len(pencil.P)
    Q = np.eye(n) if pencil.Q is None else pencil.Q
    v = _null_vector(pencil.P - z * Q)
    c = np.conj(v) / np.vdot(v, v)
    matrix = np.zeros((n + 1, n + 1), dtype=complex)
    matrix[:n, :n], matrix[:n, n], matrix[n, :n] = pencil.P - z * Q, -Q @ v, c
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(inverse).all() or np.linalg.norm(inverse, 2) > LARGEST_INVERSE:
        return None
    vector, number = _cast(v), _cast(np.array([z]))
    for _ in range(ROUNDS):
        residual = _residual(pencil, vector, number, c)
        size = decimal_norm(np.concatenate([residual.re, residual.im]), 2)
        if size <= RESIDUAL:
            return number.re[0], number.im[0]
        if not size < 1:
            return None
        rough = np.array([float(a) + 1j * float(b) for a, b in zip(residual.re, residual.im, strict=True)])
        step = _cast(inverse @ rough)
        vector = Complex(vector.re - step.re[:n], vector.im - step.im[:n])
        number = Complex(number.re - step.re[n:], number.im - step.im[n:])
    return None


def enclosed(pencil: Pencil, z: complex, v: Array, vectors: Array) -> tuple[tuple[Decimal, Decimal], Decimal] | None:
    """The eigenvalue z and how far an exact one is from it at most, by its residual; None where nothing is known of that.

    To be called in the context of decimals.
    """
    if pencil.Q is not None:
        return None
    v = v / np.linalg.norm(v)
    number = _cast(np.array([z]))
    residual = _residual(pencil, _cast(v), number, np.conj(v))
    size = 2 * decimal_norm(np.concatenate([residual.re[:-1], residual.im[:-1]]), 2)
    condition = float(np.linalg.cond(vectors))
    if condition <= LARGEST_CONDITION:
        return (number.re[0], number.im[0]), Decimal(condition) * size
    n, whole = len(pencil.P), Decimal(2.01 * float(np.linalg.norm(pencil.P))) + size
    share = Decimal(1) / n
    return (number.re[0], number.im[0]), whole ** (1 - share) * size**share


def _null_vector(matrix: Array) -> Array:
    _, _, vh = np.linalg.svd(matrix)
    return np.asarray(np.conj(vh[-1]))


def _cast(v: Array) -> Complex:
    return Complex(DECIMAL.cast(np.ascontiguousarray(v.real)), DECIMAL.cast(np.ascontiguousarray(v.imag)))


def _residual(pencil: Pencil, v: Complex, z: Complex, c: Array) -> Complex:
    """``P v - z Q v`` and ``c v - 1``."""
    p = Complex(pencil.apply_p(v.re), pencil.apply_p(v.im))
    q = v if pencil.apply_q is None else Complex(pencil.apply_q(v.re), pencil.apply_q(v.im))
    x, y = z.re[0], z.im[0]
    row = _cast(c)
    norm_re = np.sum(row.re * v.re - row.im * v.im) - Decimal(1)
    norm_im = np.sum(row.re * v.im + row.im * v.re)
    re = p.re - (x * q.re - y * q.im)
    im = p.im - (x * q.im + y * q.re)
    return Complex(np.append(re, np.array([norm_re])), np.append(im, np.array([norm_im])))
