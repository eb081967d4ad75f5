"""Calls of Clarabel on small problems, with the matrix given as a plain object and scipy left alone (see `blas`)."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odespec.records import dataclass

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
MAX_ITERATIONS = 60
UNSOLVED = ("NumericalError", "InsufficientProgress", "CallbackTerminated", "MaxTime")


@dataclass(frozen=True, slots=True)
class Solution:
    """``x`` the variables, ``slack`` and ``dual`` one entry for each row; ``status`` in the solver's words."""

    x: Array
    slack: Array
    dual: Array
    status: str


class Csc:
    """A sparse matrix by columns, with the attributes that Clarabel reads."""

    has_sorted_indices = True
    has_canonical_format = True

    def __init__(self, dense: Array) -> None:
        columns, rows = np.nonzero(dense.T)
        self.shape = dense.shape
        self.data = dense[rows, columns]
        self.indices = rows.astype(np.int64)
        self.indptr = np.concatenate(([0], np.cumsum(np.bincount(columns, minlength=dense.shape[1])))).astype(np.int64)
        self.nnz = len(self.data)


def solve(objective: Array, matrix: Array, right: Array, nonneg: int, triangles: tuple[int, ...]) -> Solution:
    """Minimise ``objective . x`` where ``right - matrix @ x`` lies in the cone.

    The first ``nonneg`` rows are non-negative numbers; then follow upper triangles by columns, off-diagonal entries
    times sqrt(2), of symmetric matrices of the orders ``triangles``.
    """
    clarabel = _clarabel()
    cones: list[Any] = [clarabel.NonnegativeConeT(nonneg)] if nonneg else []
    cones += [clarabel.PSDTriangleConeT(n) for n in triangles]
    quadratic = Csc(np.zeros((len(objective), len(objective))))
    result = clarabel.DefaultSolver(quadratic, objective, Csc(matrix), right, cones, _settings()).solve()
    return Solution(np.array(result.x), np.array(result.s), np.array(result.z), str(result.status))


@cache
def _clarabel() -> ModuleType:
    """Clarabel, once it has found its linear algebra: at its first semidefinite problem, here one of order 2."""
    import clarabel

    from odespec.prove.gram.blas import provided

    target, nothing, cones = np.array([1.0, 0.0, 1.0]), np.zeros((3, 3)), [clarabel.PSDTriangleConeT(2)]
    with provided():
        clarabel.DefaultSolver(Csc(nothing), target, Csc(-np.eye(3)), target, cones, _settings()).solve()
    module: ModuleType = clarabel
    return module


def _settings() -> Any:
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.max_iter = MAX_ITERATIONS
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    settings.presolve_enable = False
    settings.chordal_decomposition_enable = False
    return settings
