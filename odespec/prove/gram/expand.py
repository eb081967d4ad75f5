"""The relations of a Gram problem as plain constraints on inner products, for the solver and for the exact core."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from odespec.prove.gram.problem import Form, Relation, Vector
from odespec.records import dataclass

Terms = dict[tuple[int, int], Fraction]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a relation says of the Gram matrix.

    ``forms`` is a symmetric matrix of forms, row by row. ``kind``: ``nonneg`` or ``zero`` (of one form, a 1 x 1 matrix)
    or ``psd``: the matrix is positive semidefinite.
    """

    kind: str
    forms: tuple[tuple[Form, ...], ...]


def inner(x: Vector, y: Vector, scale: Fraction | int = 1, into: Terms | None = None) -> Terms:
    """Add ``scale <x, y>`` to the terms of a form, which are returned."""
    terms: Terms = {} if into is None else into
    for i, a in x:
        for j, b in y:
            key = (i, j) if i <= j else (j, i)
            terms[key] = terms.get(key, Fraction(0)) + scale * a * b
    return terms


def form(terms: Terms) -> Form:
    """Sorted, without zeros."""
    return tuple((key, value) for key, value in sorted(terms.items()) if value)


def combine(*parts: tuple[Fraction | int, Vector]) -> Vector:
    """The combination of vectors."""
    total: dict[int, Fraction] = {}
    for scale, vector in parts:
        for i, c in vector:
            total[i] = total.get(i, Fraction(0)) + scale * c
    return tuple((i, c) for i, c in sorted(total.items()) if c)


def expand(relation: Relation) -> tuple[Constraint, ...]:
    """The constraints that a relation stands for, by the table of `odespec.prove.gram.problem`.

    Constraints that hold trivially (every coefficient zero) are left out. Raises KeyError for an unknown rule.
    """
    vectors, numbers = dict(relation.vectors), dict(relation.numbers)
    return tuple(c for c in RULES[relation.rule](vectors, numbers) if any(f for row in c.forms for f in row))


Vectors = dict[str, tuple[Vector, ...]]
Numbers = dict[str, Fraction]


def _sector(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    (z,), (p,) = v["z"], v["p"]
    yield _nonneg(combine((1, p), (-n["a"], z)), combine((n["b"], z), (-1, p)))


def _facets(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    (f,), (g,) = v["f"], v["g"]
    yield _nonneg(f, g)


def _nonneg(f: Vector, g: Vector) -> Constraint:
    return Constraint("nonneg", ((form(inner(f, g)),),))


def _operator(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    us, vs = v["u"], v["v"]
    alpha, beta, gamma = n["alpha"], n["beta"], n["gamma"]
    rows: list[list[Form]] = [[()] * len(us) for _ in us]
    for i in range(len(us)):
        for j in range(i + 1):
            terms = inner(us[i], us[j], alpha)
            inner(us[i], vs[j], beta / 2, terms)
            inner(vs[i], us[j], beta / 2, terms)
            rows[i][j] = rows[j][i] = form(inner(vs[i], vs[j], gamma, terms))
    yield Constraint("nonneg" if len(us) == 1 else "psd", tuple(map(tuple, rows)))


def _zero(*parts: tuple[Vector, Vector, int]) -> Constraint:
    terms: Terms = {}
    for x, y, scale in parts:
        inner(x, y, scale, terms)
    return Constraint("zero", ((form(terms),),))


def _adjoint(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    for u, image in zip(v["u"], v["v"], strict=True):
        for p, q in zip(v["p"], v["q"], strict=True):
            yield _zero((u, q, 1), (image, p, -1))


def _skew(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    for i, j in _pairs(len(v["u"]), diagonal=True):
        yield _zero((v["u"][i], v["v"][j], 1), (v["v"][i], v["u"][j], 1))


def _symmetric(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    for i, j in _pairs(len(v["u"]), diagonal=False):
        yield _zero((v["u"][i], v["v"][j], 1), (v["v"][i], v["u"][j], -1))


def _isometry(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    for i, j in _pairs(len(v["u"]), diagonal=True):
        yield _zero((v["v"][i], v["v"][j], 1), (v["u"][i], v["u"][j], -1))


def _pairs(n: int, *, diagonal: bool) -> Iterable[tuple[int, int]]:
    return ((i, j) for i in range(n) for j in range(i + 1) if diagonal or i != j)


def _potential(v: Vectors, n: Numbers) -> Iterable[Constraint]:
    """Taylor, Hendrickx & Glineur, "Smooth strongly convex interpolation", Math. Program. 2017, Theorem 4."""
    (one,), a, k = v["o"], n["a"], n["k"]
    points = list(zip(v["y"], v["s"], v["w"], strict=True))
    for i, (y, s, w) in enumerate(points):
        for j, (z, t, x) in enumerate(points):
            if i == j:
                continue
            d = combine((1, y), (-1, z))
            bent = combine((1, s), (-1, t), (-a, d))
            terms = inner(one, combine((1, w), (-1, x)))
            inner(t, d, -1, terms)
            inner(d, d, -a / 2, terms)
            yield Constraint("nonneg", ((form(inner(bent, bent, -k / 2, terms)),),))


RULES: dict[str, Callable[[Vectors, Numbers], Iterable[Constraint]]] = {
    "sector": _sector,
    "facets": _facets,
    "operator": _operator,
    "adjoint": _adjoint,
    "skew": _skew,
    "symmetric": _symmetric,
    "isometry": _isometry,
    "potential": _potential,
}
