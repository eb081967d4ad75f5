"""Symmetric blocks that are affine in unknowns, over the rationals, and linear equations imposed on them.

For a Gram problem and a number tau the blocks are what must be positive semidefinite: one slack for each space,
``tau * denominator - numerator - (multipliers * relations)``, one matrix for each matrix multiplier, and one number for
each non-negative multiplier. The unknowns are the entries of the multipliers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeVar

from odespec.prove.gram.expand import RULES, Constraint
from odespec.prove.gram.problem import BasisVector, Form, GramProblem, Relation
from odespec.records import dataclass

K = TypeVar("K")

CONSTANT = -1
MAX_SIZE_BITS = 200

Affine = dict[int, Fraction]
"""Coefficients of the unknowns; the constant is at `CONSTANT`. No zeros."""

Direction = tuple[int, dict[int, Fraction]]
"""A block, and a vector in it (by rows that are still kept)."""


class InconsistentError(ArithmeticError):
    """Equations that no unknowns satisfy, or whose solution has absurdly large numbers."""


@dataclass(slots=True)
class Pencil:
    """``blocks[b][i, j]`` with ``i <= j`` are the entries; ``kept[b]`` the rows not yet known to depend on others.

    ``solved`` gives eliminated unknowns in terms of those that are left. Where the kept rows alone are positive
    semidefinite, whole blocks are, by the equations that were imposed.
    """

    blocks: list[dict[tuple[int, int], Affine]]
    kept: list[list[int]]
    solved: dict[int, Affine]

    def entry(self, block: int, i: int, j: int) -> Affine:
        return self.blocks[block].get((min(i, j), max(i, j)), {})

    def unknowns(self) -> list[int]:
        """The unknowns that are left, in order."""
        found: set[int] = set()
        for entries in self.blocks:
            for entry in entries.values():
                found.update(entry)
        return sorted(found - {CONSTANT})

    def values(self, chosen: dict[int, Fraction], count: int) -> list[Fraction]:
        """All unknowns, from values of those that are left."""
        return [
            evaluate(self.solved[k], chosen) if k in self.solved else chosen.get(k, Fraction(0)) for k in range(count)
        ]

    def copy(self) -> Pencil:
        return Pencil([dict(b) for b in self.blocks], [list(k) for k in self.kept], dict(self.solved))


def evaluate(entry: Affine, values: dict[int, Fraction]) -> Fraction:
    total = entry.get(CONSTANT, Fraction(0))
    for key, c in entry.items():
        if key != CONSTANT and key in values:
            total += c * values[key]
    return total


# --- building --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the multiplier of each constraint stands among the unknowns: its first number."""

    constraints: tuple[tuple[Constraint, ...], ...]
    offsets: tuple[tuple[int, ...], ...]
    count: int


def layout(problem: GramProblem) -> Layout:
    """One unknown for each number, ``k (k + 1) / 2`` (lower triangle by rows) for a k x k matrix multiplier."""
    return lay_out(problem.relations, 0)


def lay_out(relations: Iterable[Relation], count: int) -> Layout:
    """The same for some relations, numbered from ``count`` on; the layout's ``count`` is the next number."""
    constraints = tuple(tuple(RULES[r.rule](dict(r.vectors), dict(r.numbers))) for r in relations)
    offsets = []
    for group in constraints:
        row = []
        for c in group:
            row.append(count)
            count += len(c.forms) * (len(c.forms) + 1) // 2
        offsets.append(tuple(row))
    return Layout(constraints, tuple(offsets), count)


def build(problem: GramProblem, tau: Fraction, plan: Layout) -> Pencil:
    """The pencil of a problem. Free unknowns that repeat others are set to zero."""
    return assemble(problem.basis, _objective(problem, tau), plan)


def assemble(basis: Sequence[BasisVector], terms: dict[tuple[int, int], Affine], plan: Layout) -> Pencil:
    """The pencil of a form that is affine in unknowns, less the multiples of the relations of a layout.

    ``terms`` is used up. Raises ValueError where it multiplies vectors of different spaces.
    """
    multiplier_blocks: list[dict[tuple[int, int], Affine]] = []
    free: dict[int, Form] = {}
    for group, offsets in zip(plan.constraints, plan.offsets, strict=True):
        for constraint, offset in zip(group, offsets, strict=True):
            multiplier_blocks += _spread(constraint, offset, terms, free)
    blocks, kept = _by_space(basis, terms)
    pencil = Pencil(blocks + multiplier_blocks, kept + [sorted({i for i, _ in b}) for b in multiplier_blocks], {})
    _drop_repeated(pencil, free)
    return pencil


def _objective(problem: GramProblem, tau: Fraction) -> dict[tuple[int, int], Affine]:
    """The constant part of the slack, as a form: ``tau * denominator - numerator`` (the other way round for lower)."""
    sign = -1 if problem.lower else 1
    terms: dict[tuple[int, int], Affine] = {}
    for form, factor in ((problem.denominator, sign * tau), (problem.numerator, Fraction(-sign))):
        for key, c in form:
            add_to(terms.setdefault(key, {}), CONSTANT, factor * c)
    return terms


def _spread(
    constraint: Constraint, offset: int, terms: dict[tuple[int, int], Affine], free: dict[int, Form]
) -> list[dict[tuple[int, int], Affine]]:
    """Subtract ``multiplier * constraint`` from the slack; return the block of the multiplier where it has a sign."""
    triangle = [(i, j, constraint.forms[i][j]) for i in range(len(constraint.forms)) for j in range(i + 1)]
    if not any(form for _, _, form in triangle):
        return []
    block: dict[tuple[int, int], Affine] = {}
    for k, (i, j, form) in enumerate(triangle):
        block[j, i] = {offset + k: Fraction(1)}
        for key, c in form:
            add_to(terms.setdefault(key, {}), offset + k, -c if i == j else -2 * c)
    if constraint.kind == "zero":
        free[offset] = constraint.forms[0][0]
        return []
    return [block]


def _by_space(
    basis: Sequence[BasisVector], terms: dict[tuple[int, int], Affine]
) -> tuple[list[dict[tuple[int, int], Affine]], list[list[int]]]:
    """The slack as symmetric matrices, one a space: an off-diagonal coefficient is twice the entry."""
    spaces = sorted({v.space for v in basis})
    where = {s: k for k, s in enumerate(spaces)}
    blocks: list[dict[tuple[int, int], Affine]] = [{} for _ in spaces]
    for (i, j), form in terms.items():
        half = Fraction(1, 1 if i == j else 2)
        if basis[i].space != basis[j].space:
            raise ValueError("a form multiplies vectors of different spaces")
        blocks[where[basis[i].space]][i, j] = {k: c * half for k, c in form.items()}
    kept = [[i for i, v in enumerate(basis) if v.space == s] for s in spaces]
    return blocks, kept


def _drop_repeated(pencil: Pencil, free: dict[int, Form]) -> None:
    """Set to zero each free unknown whose form is a combination of those of earlier ones."""
    echelon: list[tuple[tuple[int, int], dict[tuple[int, int], Fraction]]] = []
    repeated = []
    for unknown, form in free.items():
        row = dict(form)
        for pivot, other in echelon:
            if pivot in row:
                factor = row[pivot] / other[pivot]
                for key, c in other.items():
                    add_to(row, key, -factor * c)
        if row:
            echelon.append((next(iter(row)), row))
        else:
            repeated.append(unknown)
    _substitute(pencil, {unknown: {} for unknown in repeated})


def add_to(row: dict[K, Fraction], key: K, value: Fraction) -> None:
    """Add to one coefficient, keeping the row free of zeros."""
    total = row.get(key, 0) + value
    if total:
        row[key] = Fraction(total)
    else:
        row.pop(key, None)


# --- equations -------------------------------------------------------------------


def impose(pencil: Pencil, directions: Iterable[Direction]) -> Pencil:
    """A new pencil on which ``X v = 0`` holds for each direction, with one row fewer for each independent one.

    Raises `InconsistentError`.
    """
    result = pencil.copy()
    directions = list(directions)
    solved: dict[int, Affine] = {}
    for block, vector in directions:
        for i in result.kept[block]:
            row: Affine = {}
            for j, c in vector.items():
                _accumulate(row, result.entry(block, i, j), c)
            _solve_for_one(row, solved)
    _substitute(result, solved)
    for block in sorted({b for b, _ in directions}):
        for pivot in _pivots([v for b, v in directions if b == block]):
            result.kept[block].remove(pivot)
    return result


def _accumulate(row: Affine, other: Affine, factor: Fraction) -> None:
    for key, c in other.items():
        add_to(row, key, factor * c)


def _reduce(row: Affine, solved: dict[int, Affine]) -> Affine:
    if solved.keys().isdisjoint(row):
        return row
    out: Affine = {}
    for key, c in row.items():
        if key in solved:
            _accumulate(out, solved[key], c)
        else:
            add_to(out, key, c)
    return out


def _solve_for_one(row: Affine, solved: dict[int, Affine]) -> None:
    """Use an equation ``row = 0`` to eliminate one more unknown from everything solved so far."""
    row = _reduce(row, solved)
    unknowns = [k for k in row if k != CONSTANT]
    if not unknowns:
        if row:
            raise InconsistentError("the equations have no solution")
        return
    pivot = min(unknowns, key=lambda k: (bits(row[k]), -k))
    value = {k: -c / row[pivot] for k, c in row.items() if k != pivot}
    if any(bits(c) > MAX_SIZE_BITS for c in value.values()):
        raise InconsistentError("the numbers grow too large")
    for key, entry in solved.items():
        if pivot in entry:
            solved[key] = _reduce(entry, {pivot: value})
    solved[pivot] = value


def bits(c: Fraction) -> int:
    return c.numerator.bit_length() + c.denominator.bit_length()


def _substitute(pencil: Pencil, solved: dict[int, Affine]) -> None:
    if not solved:
        return
    for entries in pencil.blocks:
        for key, entry in list(entries.items()):
            entries[key] = _reduce(entry, solved)
    for unknown, entry in pencil.solved.items():
        pencil.solved[unknown] = _reduce(entry, solved)
    pencil.solved.update(solved)


def _pivots(vectors: Sequence[dict[int, Fraction]]) -> list[int]:
    """A row for each independent vector, so that the other rows determine these."""
    pivots: list[int] = []
    echelon: list[tuple[int, dict[int, Fraction]]] = []
    for vector in vectors:
        row = dict(vector)
        for pivot, other in echelon:
            if pivot in row:
                factor = row[pivot] / other[pivot]
                for key, c in other.items():
                    add_to(row, key, -factor * c)
        if row:
            pivot = max(row, key=lambda k: (abs(row[k]), k))
            echelon.append((pivot, row))
            pivots.append(pivot)
    return pivots
