"""Absolute row sums of maps that are stated as sums of terms

    number * (scalar factors) * letter @ letter @ … @ vector,

a letter being a diagonal matrix with entries in an interval (a factor) or an operator of whose rows and columns it is
known that the entry on the diagonal and the sum of the sizes of the others lie below the hull of some corners (and
beyond it along rays). The norm inf of the map is its largest absolute row sum; that of a row is a convex function of
each factor, and of each pair of corner coordinates, so it is largest at ends and corners, which this file tries; where
there is no end it must not grow. Factors are the same in all terms of a row, and independent between rows. In the norm
1 the map is transposed first.
"""

from fractions import Fraction
from typing import Any

from .core import Ledger, number, require

Term = tuple[Fraction, tuple[str, ...], tuple[str, ...], str]
"""The number, the factors of the row (scalars, or met already), the letters that are left, the vector."""

Rows = dict[str, tuple[Term, ...]]
Groups = list[tuple[tuple[str, ...], Fraction]]
"""Vectors that are measured together, each group with the size that it has at most."""

ZERO, ONE = Fraction(0), Fraction(1)


def end(text: Any) -> Fraction | None:
    """An end of an interval; None where there is no bound."""
    return None if text in ("-inf", "inf") else number(text)


class Sums:
    """Absolute row sums of stated maps, with what is known of their letters."""

    def __init__(self, proof: dict[str, Any], ledger: Ledger) -> None:
        self.ledger = ledger
        self.columnwise = proof["norm"] == "1"
        self.factors = {name: (_low(low), _high(high)) for name, (low, high, _) in proof["factors"].items()}
        side = "columns" if self.columnwise else "rows"
        self.corners = {n: _pairs(o[side]["corners"]) for n, o in proof["operators"].items()}
        self.rays = {n: _pairs(o[side]["rays"]) for n, o in proof["operators"].items()}
        require(not self.factors.keys() & self.corners.keys(), "a letter of two kinds")
        require(all(a is None or b is None or a <= b for a, b in self.factors.values()), "an empty interval")
        known = (*self.corners.values(), *self.rays.values())
        require(all(r >= 0 for pairs in known for _, r in pairs), "a negative sum of sizes")
        self._memo: dict[tuple[Any, ...], Fraction] = {}

    # --- maps ----------------------------------------------------------------------

    def norm(self, rows: Rows, groups: Groups) -> Fraction:
        """A bound of the image's size where the vectors of each group together have at most its size."""
        if not self.columnwise:
            weights = {v: size for group, size in groups for v in group}
            return max((self.row(terms, weights, None) for terms in rows.values()), default=ZERO)
        turned, ones, total = transposed(rows), dict.fromkeys(rows, ONE), ZERO
        require(turned.keys() <= {v for group, _ in groups for v in group}, "not a vector of this map")
        for group, size in groups:
            total += size * max((self.row(turned.get(v, ()), ones, None) for v in group), default=ZERO)
        return total

    def logarithmic(self, rows: Rows) -> Fraction:
        """A bound of the logarithmic norm of a map from some vectors to themselves: the diagonal keeps its sign."""
        rows = self._square(rows)
        ones = dict.fromkeys(rows, ONE)
        return max(self.row(terms, ones, own) for own, terms in rows.items())

    def expansion(self, rows: Rows) -> Fraction:
        """A lower bound of the ratio of sizes: the diagonal, of one sign in each row, less the sizes of the others."""
        rows = self._square(rows)
        ones = dict.fromkeys(rows, ONE)
        return min(
            max(-self.row(tuple((-s * c, a, w, v) for c, a, w, v in terms), ones, own) for s in (1, -1))
            for own, terms in rows.items()
        )

    def _square(self, rows: Rows) -> Rows:
        """The rows, or columns, of a map from some vectors to themselves."""
        require(rows and all(t[3] in rows for terms in rows.values() for t in terms), "not a map to its own vectors")
        return transposed(rows, rows) if self.columnwise else rows

    # --- one row -------------------------------------------------------------------

    def row(self, terms: tuple[Term, ...], weights: dict[str, Fraction], own: str | None) -> Fraction:
        """The largest sum of a row over all factors and corners; ``own``: the vector whose diagonal keeps its sign."""
        key = (frozenset(terms), own, tuple(sorted(weights.items())))
        if key not in self._memo:
            self._memo[key] = self._corners(_merged(terms), {}, weights, own)
        return self._memo[key]

    def _corners(
        self,
        terms: tuple[Term, ...],
        beside: dict[str, tuple[Term, ...]],
        weights: dict[str, Fraction],
        own: str | None,
    ) -> Fraction:
        """Try the corners of each operator that stands first in a term. ``beside``: what it leaves off the diagonal.

        An operator met again in the same row counts as another one: that only adds to what is possible.
        """
        terms = _merged(self._led(t) for t in terms)
        first = next((t[2][0] for t in terms if t[2]), None)
        if first is None:
            return self._ends(terms, beside, weights, own)
        corners = self.corners.get(first)
        require(corners, f"nothing is known of the rows of {first[:40]}")
        assert corners is not None
        rest = tuple(t for t in terms if t[2][:1] != (first,))
        image = tuple((c, lead, word[1:], v) for c, lead, word, v in terms if word[:1] == (first,))
        best = None
        for w, r in corners:
            on, off = self._split(image, w, r)
            here = {**beside, f"{first} {len(beside)}": off} if off else beside
            value = self._corners(rest + on, here, weights, own)
            best = value if best is None else max(best, value)
        for w, r in self.rays[first]:
            on, off = self._split(image, w, r)
            further = self._corners(on, {first: off} if off else {}, weights, own)
            require(further <= 0, f"a sum that grows without bound with {first[:40]}")
        assert best is not None
        return best

    def _split(self, image: tuple[Term, ...], w: Fraction, r: Fraction) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        """What an operator with these coordinates does on the diagonal, and beside it."""
        self.ledger.charge(2 + len(image))
        on = tuple((c * w, lead, word, v) for c, lead, word, v in image) if w else ()
        return on, tuple((c * r, lead, word, v) for c, lead, word, v in image) if r else ()

    def _led(self, term: Term) -> Term:
        """Factors in front of the first operator are numbers of the row."""
        c, lead, word, v = term
        n = next((i for i, letter in enumerate(word) if letter not in self.factors), len(word))
        return (c, tuple(sorted(lead + word[:n])), word[n:], v) if n else term

    def _ends(
        self,
        terms: tuple[Term, ...],
        beside: dict[str, tuple[Term, ...]],
        weights: dict[str, Fraction],
        own: str | None,
    ) -> Fraction:
        """Try both ends of each factor of the row; a second power counts as another factor of the same range."""
        groups = (terms, *beside.values())
        factor = next((t[1][0] for g in groups for t in g if t[1]), None)
        if factor is None:
            return self._sum(terms, beside, weights, own)
        require(factor in self.factors, f"{factor[:40]} is not a factor")
        low, high = self.factors[factor]
        best = None
        for value in dict.fromkeys(x for x in (low, high) if x is not None) or (ZERO,):
            self.ledger.charge(1 + sum(map(len, groups)))
            there = self._ends(_at(terms, factor, value), _all_at(beside, factor, value), weights, own)
            best = there if best is None else max(best, there)
        for sign in (*((-ONE,) if low is None else ()), *((ONE,) if high is None else ())):
            self.ledger.charge(1 + sum(map(len, groups)))
            only = {n: _of(g, factor) for n, g in beside.items()}
            further = self._ends(_at(_of(terms, factor), factor, sign), _all_at(only, factor, sign), weights, own)
            require(further <= 0, f"a sum that grows without bound with {factor[:40]}")
        assert best is not None
        return best

    def _sum(
        self,
        terms: tuple[Term, ...],
        beside: dict[str, tuple[Term, ...]],
        weights: dict[str, Fraction],
        own: str | None,
    ) -> Fraction:
        """The sum of one row in which all factors are numbers."""
        total = ZERO
        for c, _, _, v in terms:
            require(v in weights, f"{v[:40]} is not a vector of this map")
            total += weights[v] * (c if v == own else abs(c))
        for group in beside.values():
            total += self.row(group, weights, None)
        return self.ledger.spend(total)


def transposed(rows: Rows, square: Rows | None = None) -> Rows:
    """The transposed map: letters in the reverse order, vectors exchanged. ``square``: the vectors that it has."""
    turned: dict[str, list[Term]] = {v: [] for v in square or ()}
    for target, terms in rows.items():
        for c, lead, word, v in terms:
            turned.setdefault(v, []).append((c, lead, word[::-1], target))
    return {v: tuple(terms) for v, terms in turned.items()}


def _merged(terms: Any) -> tuple[Term, ...]:
    """Equal terms as one, none with the number zero."""
    found: dict[tuple[Any, ...], Fraction] = {}
    for c, *key in terms:
        found[tuple(key)] = found.get(tuple(key), ZERO) + c
    return tuple((c, *key) for key, c in found.items() if c)


def _low(text: str) -> Fraction | None:
    require(text != "inf", "a lower end at infinity")
    return end(text)


def _high(text: str) -> Fraction | None:
    require(text != "-inf", "an upper end at minus infinity")
    return end(text)


def _pairs(stated: list[list[str]]) -> list[tuple[Fraction, Fraction]]:
    return [(number(w), number(r)) for w, r in stated]


def _of(terms: tuple[Term, ...], factor: str) -> tuple[Term, ...]:
    return tuple(t for t in terms if factor in t[1])


def _all_at(groups: dict[str, tuple[Term, ...]], factor: str, value: Fraction) -> dict[str, tuple[Term, ...]]:
    return {name: _at(terms, factor, value) for name, terms in groups.items()}


def _at(terms: tuple[Term, ...], factor: str, value: Fraction) -> tuple[Term, ...]:
    """The terms with one power of a factor replaced by a number."""
    replaced = []
    for c, lead, word, v in terms:
        if factor in lead:
            i = lead.index(factor)
            c, lead = c * value, lead[:i] + lead[i + 1 :]
        replaced.append((c, lead, word, v))
    return _merged(replaced)
