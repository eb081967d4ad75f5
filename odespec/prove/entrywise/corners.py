"""What can be said of a row of a matrix: its entry on the diagonal, and the sum of the sizes of the others.

The pairs (w, r) that are possible lie below a concave curve; its corners are all that a largest absolute row sum needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from odespec.records import dataclass

Corner = tuple[Fraction, Fraction]
ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is possible: the pairs below the hull of some corners, moved along some rays. No corners: nothing is known."""

    corners: tuple[Corner, ...] = ()
    rays: tuple[Corner, ...] = ()


def whole(size: Fraction) -> Shape:
    """A bound of the sum of a row's sizes."""
    return Shape(((ZERO, size),))


@dataclass(frozen=True, slots=True)
class Side:
    """Bounds that hold for every row (or every column).

    ``balls``: pairs (k, R) with ``|w - k| + r <= R``; ``others``: ``r <= others``; ``low <= w <= high``; ``dominant``:
    ``r <= w``. None: no bound.
    """

    balls: tuple[Corner, ...] = ()
    others: Fraction | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    dominant: bool = False

    def meet(self, other: Side) -> Side:
        """What follows from both."""
        return Side(
            tuple(dict.fromkeys((*self.balls, *other.balls))),
            _least(self.others, other.others),
            _greatest(self.low, other.low),
            _least(self.high, other.high),
            self.dominant or other.dominant,
        )

    def without_diagonal(self) -> Side:
        """The same rows with zeros on the diagonal."""
        shape = corners(self)
        bounded = shape.corners and not any(r for _, r in shape.rays)
        return Side(others=max(r for _, r in shape.corners) if bounded else self.others, low=ZERO, high=ZERO)


def total(size: Fraction, centre: Fraction = ZERO) -> Side:
    return Side(balls=((centre, size),))


def corners(side: Side) -> Shape:
    """The corners of what is possible, and the directions in which it goes on; none where r is not bounded."""
    low, high = side.low, side.high
    for k, size in side.balls:
        low, high = _greatest(low, k - size), _least(high, k + size)
    if side.dominant:
        low = _greatest(low, ZERO)
    if not _lines(side):
        return Shape()
    tried = {w for w in (low, high) if w is not None}
    tried |= {w for w in _crossings(side) if (low is None or low < w) and (high is None or w < high)}
    found = [(w, _top(side, w)) for w in tried or {ZERO}]
    rays = [] if low is not None else [(-ONE, ZERO)]
    rays += [] if high is not None else [(ONE, min(b for _, b in _lines(side)))]
    return Shape(undominated([(w, r) for w, r in found if r >= 0]), tuple(rays))


def _lines(side: Side) -> list[tuple[Fraction, Fraction]]:
    """The bounds of r as lines ``a + b w``."""
    lines = [(size + s * k, Fraction(-s)) for k, size in side.balls for s in (1, -1)]
    lines += [] if side.others is None else [(side.others, ZERO)]
    return lines + ([(ZERO, Fraction(1))] if side.dominant else [])


def _top(side: Side, w: Fraction) -> Fraction:
    return min(a + b * w for a, b in _lines(side))


def _crossings(side: Side) -> set[Fraction]:
    lines = _lines(side)
    return {(c - a) / (b - d) for a, b in lines for c, d in lines if b != d}


def undominated(points: Iterable[Corner]) -> tuple[Corner, ...]:
    """Corners that no other one outdoes: moving weight from the diagonal to the others never lessens a row sum."""
    kept: list[Corner] = []
    for w, r in sorted(set(points), key=lambda p: (-p[1], p[0])):
        if not any(s >= r + abs(v - w) for v, s in kept):
            kept.append((w, r))
    return tuple(_hull(sorted(kept)))


def _hull(points: list[Corner]) -> list[Corner]:
    """Those of some points, in the order of w, that no chord of two others passes above or through."""
    hull: list[Corner] = []
    for w, r in points:
        while len(hull) > 1 and (r - hull[-2][1]) * (hull[-1][0] - hull[-2][0]) >= (hull[-1][1] - hull[-2][1]) * (
            w - hull[-2][0]
        ):
            hull.pop()
        hull.append((w, r))
    return hull


def of_rows(rows: Sequence[Sequence[Fraction]]) -> Shape:
    """Of a matrix with known entries (or the sizes of others, where they are only enclosed)."""
    pairs = ((row[i], sum((abs(x) for x in row), ZERO) - abs(row[i])) for i, row in enumerate(rows))
    return Shape(undominated(pairs))


def lumped(side: Side) -> Shape:
    """Of an operator between different spaces: the whole sum of a row counts."""
    sizes = [size + abs(k) for k, size in side.balls]
    return whole(min(sizes)) if sizes else Shape()


def scaled(side: Side, factor: Fraction) -> Side:
    """Bounds of the rows of ``factor * W`` from those of W."""
    size = abs(factor)
    ends = [None if x is None else x * factor for x in (side.low, side.high)]
    low, high = ends if factor > 0 else ends[::-1]
    return replace(
        side,
        balls=tuple((factor * k, size * r) for k, r in side.balls),
        others=None if side.others is None else size * side.others,
        low=low,
        high=high,
        dominant=side.dominant and factor > 0,
    )


def _least(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return b if a is None else a if b is None else min(a, b)


def _greatest(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return b if a is None else a if b is None else max(a, b)
