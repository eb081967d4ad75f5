"""The Gram problem: what is known of the difference vectors of two runs, and the ratio of two forms that is asked for.

Basis vectors live in unknown Hilbert spaces of any dimension; only their inner products matter. A relation is kept in the
words of the rule that it comes from, so that a certificate can state it and an auditor expand it again. All numbers are
rational.

Each rule, with its vectors (lists of combinations of basis vectors) and numbers:

=============  ===========================  =======================================================================
rule           vectors; numbers             what holds
=============  ===========================  =======================================================================
``sector``     z (one), p (one); a, b       ``<p - a z, b z - p> >= 0``: p = D z, slopes of D in [a, b]
``facets``     f (one), g (one)             ``<f, g> >= 0``: in each coordinate both are of one sign
``operator``   u, v; alpha, beta, gamma     ``alpha U'U + beta (U'V + V'U)/2 + gamma V'V`` is positive semidefinite, where
                                            v_i = W u_i: a norm bound is (L^2, 0, -1), eigenvalues in [m, M] of a
                                            symmetric W are (-m M, m + M, -1), singular values >= a are (-a^2, 0, 1)
``adjoint``    u, v, p, q                   ``<u_i, q_j> = <v_i, p_j>`` where v_i = W u_i, q_j = W' p_j
``skew``       u, v                         ``<u_i, v_j> + <v_i, u_j> = 0``
``symmetric``  u, v                         ``<u_i, v_j> = <v_i, u_j>``
``isometry``   u, v                         ``<v_i, v_j> = <u_i, u_j>``
``potential``  o (one), y, s, w; a, k       ``<o, w_i - w_j> - <s_j, d> - a/2 |d|^2 - k/2 |s_i - s_j - a d|^2 >= 0`` with
                                            d = y_i - y_j: values <o, w> and slopes s at y of a function with curvature
                                            in [a, a + 1/k] (k = 0: at least a)
=============  ===========================  =======================================================================
"""

from __future__ import annotations

from fractions import Fraction

from odespec.records import dataclass

Vector = tuple[tuple[int, Fraction], ...]
"""A combination of basis vectors: pairs (index, coefficient), sorted by index, no zeros."""

Form = tuple[tuple[tuple[int, int], Fraction], ...]
"""A quadratic form: pairs ((i, j), c) with i <= j, sorted, no zeros; it means the sum of c <v_i, v_j>."""


@dataclass(frozen=True, slots=True)
class BasisVector:
    """``name`` is readable (``e[x]``, ``W e[x]``, ``relu #3``); vectors of different spaces are never multiplied."""

    name: str
    space: int


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation. ``why`` says in words where it comes from: ``norm(W) <= 1``, ``slopes of relu``."""

    rule: str
    vectors: tuple[tuple[str, tuple[Vector, ...]], ...]
    numbers: tuple[tuple[str, Fraction], ...]
    why: str


@dataclass(frozen=True, slots=True)
class GramProblem:
    """Asked: the least tau with ``numerator <= tau * denominator`` for all vectors that obey the relations.

    With ``lower``: the largest tau with ``numerator >= tau * denominator``. ``role`` is ``step`` (squared ratio of
    distances over one step), ``flow`` (``<e, f(e)>`` against ``<e, e>``: the logarithmic norm) or ``solvability``
    (the stage vectors against the residuals of an implicit step: any finite tau proves unique solvability).
    """

    role: str
    basis: tuple[BasisVector, ...]
    relations: tuple[Relation, ...]
    numerator: Form
    denominator: Form
    lower: bool = False
