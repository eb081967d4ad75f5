"""A disc of eigenvalues from sums of entries: no eigenvalue exceeds the norm 1, or inf, of its matrix.

The norm of a sum of words is at most the sum of the products of its letters' norms; that of a row-stochastic matrix is 1.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import Letter
from odespec.prove.spectrum.factor import Form
from odespec.prove.spectrum.words import Word
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Sums:
    """For each word its coefficient and the norms of its letters and scalars. ``p``: 1 or inf."""

    p: str
    words: tuple[tuple[Fraction, tuple[Fraction, ...]], ...]

    @property
    def radius(self) -> Fraction:
        total = Fraction(0)
        for c, norms in self.words:
            product = abs(c)
            for n in norms:
                product *= n
            total += product
        return total


def sums_of(form: Form, knowledge: Knowledge) -> list[Sums]:
    """For operators on one state, in both norms, where every letter has one."""
    if len(form.inner) > 1 or form.factor is not None:
        return []
    found = []
    for p in ("inf", "1"):
        words = [(c, _norms(word, p, knowledge)) for word, c in form.inner[0][0].items()]
        if all(norms is not None for _, norms in words):
            found.append(Sums(p, tuple((c, norms) for c, norms in words if norms is not None)))
    return found


def _norms(word: Word, p: str, knowledge: Knowledge) -> tuple[Fraction, ...] | None:
    """Of a letter on the last axis the operator on the whole tensor is copies of it; its norms are the letter's."""
    scalars, steps = word
    letters = [*(Letter(a) for a in scalars), *(letter for letter, _ in steps)]
    norms = [knowledge.sums(x.atom)[(p == "inf") != x.adjoint] for x in letters]
    return None if any(n is None for n in norms) else tuple(n for n in norms if n is not None)
