"""One part of a proof by inner products: its relations and its ratio on the differences of actual runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np

from odespec.certificate.format import Basis, Part, StatedRelation
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.gram.problem import BasisVector, Form, GramProblem, Relation, Vector
from odespec.prove.relate.realise import Run, defects, ratio, realise
from odespec.prove.relate.relations import Reading

TOLERANCE = 1e-6
"""Relative to the size of a relation's terms: far above rounding, far below what a wrong relation misses."""

Measure = Callable[[Run, Run], float]
"""The ratio that a part bounds, of two runs, by other means than its reading."""


def compare(part: Part, reading: Reading, runs: Iterable[tuple[Run, Run]], measure: Measure | None) -> None:
    """Raises `Mismatch` where a part, as it is stated, is not one of the network that the reading is of.

    Without a measure the ratio is compared with that of the reading.
    """
    if [v.name for v in reading.problem.basis] != [v.name for v in part.basis]:
        raise Mismatch("the vectors are not those of the network")
    problem = stated(part)
    tried = 0
    for first, second in runs:
        realised = realise(reading, first, second)
        for defect in defects(problem, realised):
            if defect.size > TOLERANCE:
                raise Mismatch(f"a relation fails on actual weights: {defect.relation.rule}, {defect.relation.why}")
        found = ratio(problem, realised)
        own = ratio(reading.problem, realised) if measure is None else measure(first, second)
        if np.isfinite(found) and abs(found - own) > TOLERANCE * max(1.0, abs(own)):
            raise Mismatch(f"the ratio of the {part.role} problem is not that of the network")
        tried += 1
    if tried == 0:
        raise Mismatch("no weights were found on which the relations could be tested")


def stated(part: Part) -> GramProblem:
    """The problem as the certificate states it."""
    number = {v.name: i for i, v in enumerate(part.basis)}

    def form(terms: list[tuple[str, str, str]]) -> Form:
        pairs = [(tuple(sorted((number[a], number[b]))), Fraction(c)) for a, b, c in terms]
        return tuple(sorted(pairs))  # type: ignore[arg-type]

    basis, relations = stated_relations(part.basis, part.relations)
    return GramProblem(part.role, basis, relations, form(part.numerator), form(part.denominator), part.sense == "lower")


def stated_relations(
    names: Sequence[Basis], stated: Sequence[StatedRelation]
) -> tuple[tuple[BasisVector, ...], tuple[Relation, ...]]:
    """The basis and the relations as a certificate states them."""
    number = {v.name: i for i, v in enumerate(names)}

    def vector(terms: list[tuple[str, str]]) -> Vector:
        return tuple(sorted((number[name], Fraction(c)) for name, c in terms))

    relations = tuple(
        Relation(
            r.rule,
            tuple((name, tuple(vector(v) for v in vectors)) for name, vectors in r.vectors.items()),
            tuple((name, Fraction(x)) for name, x in r.numbers.items()),
            r.why,
        )
        for r in stated
    )
    return tuple(BasisVector(v.name, v.space) for v in names), relations
