"""Functions of one variable whose exact bounds on any interval follow from a few points."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.elementary import LARGEST, half_pi, scaled
from odespec.records import dataclass

Parameters = tuple[Fraction, ...]
End = Fraction | None


@dataclass(frozen=True, slots=True)
class Interval:
    """``lower <= value <= upper``; None where there is no bound."""

    lower: End
    upper: End


REAL = Interval(None, None)
UP, DOWN = Interval(Fraction(10**100), None), Interval(None, Fraction(-(10**100)))
"""Limits at infinity: beyond what else occurs in a hull."""


def interval(lower: Fraction | int | str | None, upper: Fraction | int | str | None) -> Interval:
    return Interval(None if lower is None else Fraction(lower), None if upper is None else Fraction(upper))


def hull(parts: list[Interval]) -> Interval:
    """The smallest interval around some intervals."""
    lowers, uppers = [p.lower for p in parts], [p.upper for p in parts]
    return Interval(
        None if None in lowers else min(x for x in lowers if x is not None),
        None if None in uppers else max(x for x in uppers if x is not None),
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """A turning point between ``low`` and ``high``, and the values there."""

    low: Fraction
    high: Fraction
    values: Interval

    def between(self, low: End, high: End) -> bool:
        """Whether it may lie inside an interval: not at an end, whose value is known by itself."""
        exact = self.low == self.high
        after = low is None or (self.low > low if exact else self.high >= low)
        return after and (high is None or (self.high < high if exact else self.low <= high))


def turn(place: str | int, lower: str | int, upper: str | int) -> Turn:
    """A turning point at a decimal: exactly there if it is a whole number, else within one unit of its last digit."""
    at = Fraction(place)
    width = Fraction(0) if at.denominator == 1 else Fraction(1, 10 ** len(str(place).partition(".")[2]))
    return Turn(at - width, at + width, interval(lower, upper))


@dataclass(frozen=True, slots=True)
class Curve:
    """``at`` encloses the value at a number; ``left`` and ``right`` are the limits at the ends of the domain.

    The domain begins at ``begin`` (None: at minus infinity). Between turning points the function is monotone.
    """

    at: Callable[[Fraction], Interval]
    left: Interval
    right: Interval
    turns: tuple[Turn, ...] = ()
    begin: End = None

    def within(self, low: End, high: End, parameters: Parameters = ()) -> Interval:
        """The values at arguments in ``[low, high]``; an end that is None or outside the domain is the domain's."""
        if self.begin is not None and high is not None and high <= self.begin:
            return REAL
        inside = low is not None and (self.begin is None or low > self.begin)
        parts = [self.at(low) if inside and low is not None else self.left]
        parts.append(self.right if high is None else self.at(high))
        parts += [t.values for t in self.turns if t.between(low, high)]
        return hull(parts)

    def everywhere(self, parameters: Parameters = ()) -> Interval:
        return self.within(None, None)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A function that is constant between breaks; ``values`` has one number more than there are breaks."""

    breaks: tuple[Fraction, ...]
    values: Callable[[Parameters], tuple[Fraction, ...]]

    def within(self, low: End, high: End, parameters: Parameters = ()) -> Interval:
        """The values on the pieces that reach into ``[low, high]``."""
        ends = (None, *self.breaks, None)
        parts = [
            Interval(value, value)
            for value, begin, end in zip(self.values(parameters), ends, ends[1:], strict=False)
            if (low is None or end is None or low < end) and (high is None or begin is None or begin < high)
        ]
        return hull(parts) if parts else self.everywhere(parameters)

    def everywhere(self, parameters: Parameters = ()) -> Interval:
        return self.within(None, None, parameters)


@dataclass(frozen=True, slots=True)
class Wave:
    """A cosine that begins with its maximum at ``quarters`` quarter turns."""

    at: Callable[[Fraction], Interval]
    quarters: int

    def within(self, low: End, high: End, parameters: Parameters = ()) -> Interval:
        if low is None or high is None or high - low >= 7 or max(abs(low), abs(high)) > LARGEST:
            return self.everywhere()
        parts = [self.at(low), self.at(high)]
        quarter = half_pi()
        for k in range((low / quarter[0]).__floor__() - 2, (high / quarter[0]).__ceil__() + 3):
            place = scaled(k, quarter)
            if (k - self.quarters) % 2 == 0 and place[1] >= low and place[0] <= high:
                extreme = Fraction(1 if (k - self.quarters) % 4 == 0 else -1)
                parts.append(Interval(extreme, extreme))
        return hull(parts)

    def everywhere(self, parameters: Parameters = ()) -> Interval:
        return interval(-1, 1)
