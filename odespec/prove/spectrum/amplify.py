"""The eigenvalues of a step from the linearised field, in floating point, by the data of the scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from odespec.weights.arithmetic import Array

LARGE = 1e8


def number(text: str) -> float:
    """A number of a scheme: ``3/4``, or ``[1, 1/2] with root 2 of 5``."""
    if not text.startswith("["):
        top, _, below = text.partition("/")
        return int(top) / int(below or 1)
    parts, _, rest = text[1:].partition("] with root ")
    k, _, n = rest.partition(" of ")
    root = float(n) ** (1 / int(k))
    return sum((number(p) * float(root**i) for i, p in enumerate(parts.split(", "))), 0.0)


def eigenvalues(matrices: Array) -> Array:
    """Of a batch; nan for those whose iteration does not converge."""
    try:
        return np.asarray(np.linalg.eigvals(matrices))
    except np.linalg.LinAlgError:
        flat = matrices.reshape(-1, *matrices.shape[-2:])
        return np.stack([_one(m) for m in flat]).reshape(matrices.shape[:-1])


def _one(matrix: Array) -> Array:
    try:
        return np.asarray(np.linalg.eigvals(matrix)).astype(complex)
    except np.linalg.LinAlgError:
        return np.full(len(matrix), np.nan, dtype=complex)


def step_eigenvalues(scheme: dict[str, Any], J: Array, L: Array | None, momentum: Array) -> Array:
    """The eigenvalues of the step, batch by batch, for ``J[..., n, n]``; of a flow those of J themselves.

    ``L``: the linear part that an implicit-explicit step treats implicitly. ``momentum``: which entries are momenta.
    """
    finite = np.isfinite(J).all(axis=(-1, -2), keepdims=True) & (np.abs(J).max(axis=(-1, -2), keepdims=True) < LARGE)
    J = np.where(finite, J, 0.0)
    family, h = scheme["family"], number(scheme["h"])
    with np.errstate(all="ignore"):
        if family in ("map", "flow"):
            return np.asarray(eigenvalues(J))
        if family == "runge-kutta":
            return stability(scheme, h * eigenvalues(J))
        if family == "exponential":
            a = number(scheme["alpha"][0])
            return np.asarray(1.0 + np.expm1(h * a) / a * eigenvalues(J))
        if family == "multistep":
            return _roots(scheme, h * eigenvalues(J))
        return np.asarray(eigenvalues(one_step_matrix(scheme, J, L, momentum)))


def one_step_matrix(scheme: dict[str, Any], J: Array, L: Array | None, momentum: Array) -> Array:
    """The linear map of a partitioned or an implicit-explicit step."""
    n, h = J.shape[-1], number(scheme["h"])
    if scheme["family"] == "imex":
        assert L is not None
        below = np.eye(n) - h * L
        singular = np.abs(np.linalg.det(below)) < 1e-12
        below = np.where(singular[..., None, None], np.eye(n), below)
        return np.asarray(np.linalg.solve(below, np.eye(n) + h * (J - L)))
    result = np.broadcast_to(np.eye(n), J.shape)
    for kind, size in scheme["substeps"]:
        moved = momentum if kind == "kick" else ~momentum
        result = result + h * number(size) * moved[:, None] * (J @ result)
    return np.asarray(result)


def stability(scheme: dict[str, Any], z: Array) -> Array:
    """``R(z) = 1 + z b' (I - z A)^-1 1``; infinite where its equations are singular."""
    A = np.array([[number(a) for a in row] for row in scheme["A"]])
    b = np.array([number(w) for w in scheme["b"]])
    system = np.eye(len(b)) - z[..., None, None] * A
    singular = np.abs(np.linalg.det(system)) < 1e-13
    system = np.where(singular[..., None, None], np.eye(len(b)), system)
    stages = np.linalg.solve(system, np.ones((*z.shape, len(b), 1)))[..., 0]
    return np.where(singular, np.inf, 1.0 + z * (stages @ b))


def _roots(scheme: dict[str, Any], z: Array) -> Array:
    """For each z the root of ``sum (alpha_j - z beta_j) r^j`` that is largest."""
    alpha, beta = (np.array([number(c) for c in scheme[key]]) for key in ("alpha", "beta"))
    p = alpha - z[..., None] * beta
    lead = p[..., -1:]
    p = p[..., :-1] / np.where(np.abs(lead) < 1e-14, 1e-14, lead)
    k = p.shape[-1]
    companion = np.zeros((*p.shape, k), dtype=complex)
    companion[..., np.arange(1, k), np.arange(k - 1)] = 1.0
    companion[..., :, -1] = -p
    found = eigenvalues(np.nan_to_num(companion, nan=0.0, posinf=0.0, neginf=0.0))
    best = np.argmax(np.abs(found), axis=-1)
    return np.asarray(np.take_along_axis(found, best[..., None], axis=-1)[..., 0])


def worst(scheme: dict[str, Any], eigenvalues: Array) -> Array:
    """The number that the claim bounds: the largest modulus, of a flow the largest real part."""
    values = eigenvalues.real if scheme["family"] == "flow" else np.abs(eigenvalues)
    return np.asarray(np.max(np.nan_to_num(values, nan=-np.inf, posinf=-np.inf), axis=-1))


def bound(scheme: dict[str, Any]) -> float:
    return 0.0 if scheme["family"] == "flow" else 1.0


__all__: Sequence[str] = ["bound", "number", "one_step_matrix", "stability", "step_eigenvalues", "worst"]
