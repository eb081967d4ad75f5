"""A pencil in floating point: the semidefinite and the linear programs that are solved over it."""

from __future__ import annotations

from math import sqrt

import numpy as np

from odespec.prove.gram import conic
from odespec.prove.gram.conic import Array, Integers
from odespec.prove.gram.pencil import CONSTANT, Pencil
from odespec.records import dataclass

TRACE = 1e3
"""Bound of the mean diagonal entry, in units of the largest constant, so that the programs have bounded solutions."""


@dataclass(frozen=True, slots=True)
class Floats:
    """``constant[b]`` and ``linear[b]`` (unknowns first) are the kept rows of block b; ``unknowns`` their numbers."""

    unknowns: list[int]
    blocks: list[int]
    constant: list[Array]
    linear: list[Array]

    def at(self, w: Array) -> list[Array]:
        """The blocks at values of the unknowns."""
        return [c + np.tensordot(w, a, axes=1) for c, a in zip(self.constant, self.linear, strict=True)]

    @property
    def order(self) -> int:
        return sum(len(c) for c in self.constant)


def floats(pencil: Pencil) -> Floats:
    """The kept part of a pencil; blocks of which nothing is kept are left out."""
    unknowns = pencil.unknowns()
    column = {k: n for n, k in enumerate(unknowns)}
    blocks = [b for b, rows in enumerate(pencil.kept) if rows]
    constant, linear = [], []
    for b in blocks:
        rows = {i: k for k, i in enumerate(pencil.kept[b])}
        c, a = np.zeros((len(rows), len(rows))), np.zeros((len(unknowns), len(rows), len(rows)))
        for (i, j), entry in pencil.blocks[b].items():
            if i in rows and j in rows:
                for key, value in entry.items():
                    target = c if key == CONSTANT else a[column[key]]
                    target[rows[i], rows[j]] = target[rows[j], rows[i]] = float(value)
        constant.append(c)
        linear.append(a)
    return Floats(unknowns, blocks, constant, linear)


@dataclass(frozen=True, slots=True)
class Margin:
    """The largest t and where it is reached. ``dual`` is the solver's; ``ok`` whether it can be used."""

    t: float
    w: Array
    slack: Array
    dual: Array
    ok: bool


def _margin(data: Floats, constant: Array, linear: Array, unit: Array, nonneg: int, triangles: list[int]) -> Margin:
    """Maximise t with ``constant + linear @ w - t unit`` in the cone, t <= 1 and a bounded trace."""
    trace = sum((np.trace(a, axis1=1, axis2=2) for a in data.linear), np.zeros(len(data.unknowns)))
    largest = max(1.0, *(float(np.abs(c).max()) for c in data.constant))
    limit = TRACE * data.order * largest - sum(float(np.trace(c)) for c in data.constant)
    head = np.vstack([np.append(np.zeros(len(trace)), 1.0), np.append(trace, 0.0)])
    matrix = np.vstack([head, np.column_stack([-linear, unit])])
    right = np.concatenate([[1.0, limit], constant])
    objective = np.append(np.zeros(len(trace)), -1.0)
    result = conic.solve(objective, matrix, right, nonneg + 2, tuple(triangles))
    usable = result.status not in conic.UNSOLVED and bool(np.all(np.isfinite(result.x)))
    return Margin(float(result.x[-1]), result.x[:-1], result.slack[2:], result.dual[2:], usable)


def semidefinite(data: Floats) -> Margin:
    """The largest t with every block at least t times the identity."""
    order = sorted(range(len(data.blocks)), key=lambda k: len(data.constant[k]) > 1)
    constant, linear, unit = [], [], []
    for k in order:
        i, j, scale = _triangle(len(data.constant[k]))
        constant.append(data.constant[k][i, j] * scale)
        linear.append(data.linear[k][:, i, j] * scale)
        unit.append((i == j).astype(float))
    sizes = [len(data.constant[k]) for k in order]
    return _margin(
        data,
        np.concatenate(constant),
        np.concatenate(linear, axis=1).T,
        np.concatenate(unit),
        sum(n == 1 for n in sizes),
        [n for n in sizes if n > 1],
    )


def least(data: Floats, unknown: int) -> tuple[float, Array] | None:
    """The least value of one unknown with which every block is positive semidefinite, and all unknowns; None if none."""
    if unknown not in data.unknowns:
        return None
    order = sorted(range(len(data.blocks)), key=lambda k: len(data.constant[k]) > 1)
    constant, linear = [], []
    for k in order:
        i, j, scale = _triangle(len(data.constant[k]))
        constant.append(data.constant[k][i, j] * scale)
        linear.append(data.linear[k][:, i, j] * scale)
    sizes = [len(data.constant[k]) for k in order]
    column = data.unknowns.index(unknown)
    result = conic.solve(
        np.eye(len(data.unknowns))[column],
        -np.concatenate(linear, axis=1).T,
        np.concatenate(constant),
        sum(n == 1 for n in sizes),
        tuple(n for n in sizes if n > 1),
    )
    if result.status not in ("Solved", "AlmostSolved") or not np.all(np.isfinite(result.x)):
        return None
    return float(result.x[column]), result.x


def _triangle(n: int) -> tuple[Integers, Integers, Array]:
    """Row and column numbers of the upper triangle by columns, and the scale of each entry."""
    j, i = np.tril_indices(n)
    return i, j, np.where(i == j, 1.0, sqrt(2.0))


def linear(data: Floats) -> tuple[Margin, list[tuple[int, dict[int, int]]]]:
    """The largest t with ``v . X v >= t`` for all v = e_i and e_i +- e_j; also the v, by block and kept row."""
    directions: list[tuple[int, dict[int, int]]] = []
    constant, rows = [], []
    for k, (c, a) in enumerate(zip(data.constant, data.linear, strict=True)):
        i, j, _ = _triangle(len(c))
        for sign in (1, -1):
            chosen = np.flatnonzero(i <= j if sign == 1 else i < j)
            for n in chosen:
                directions.append((k, {int(i[n]): 1} if i[n] == j[n] else {int(i[n]): 1, int(j[n]): sign}))
            constant.append(_quadratic(c[None], i[chosen], j[chosen], sign)[0])
            rows.append(_quadratic(a, i[chosen], j[chosen], sign))
    return (
        _margin(
            data,
            np.concatenate(constant),
            np.concatenate(rows, axis=1).T,
            np.ones(len(directions)),
            len(directions),
            [],
        ),
        directions,
    )


def _quadratic(a: Array, i: Integers, j: Integers, sign: int) -> Array:
    """``v . A v`` for v = e_i where i = j, else e_i + sign e_j."""
    return np.where(i == j, a[:, i, i], a[:, i, i] + a[:, j, j] + 2 * sign * a[:, i, j])
