"""Linear fields: the difference of two solutions is a matrix exponential times the initial one, in fifty digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import ceil
from typing import Any

import numpy as np

from odespec.prove.refute.flowfield import Flow, field_value, start_of
from odespec.prove.refute.goal import Goal, decimal_norm, duration
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, Array, decimal
from odespec.weights.evaluate import Unsupported


@dataclass(frozen=True, slots=True)
class Metric:
    """The metrics, matrices of decimals, in which differences of all states, and of the free states, are measured."""

    whole: Array
    free: Array


def linear_ratio(
    f: Flow, goal: Goal, x: Array, y: Array, sizes: list[float], metric: Metric | None
) -> tuple[float, float]:
    """Bounds of the ratio of distances; ``sizes`` bound the matrix of each piece. Raises `Unsupported`."""
    with localcontext(CONTEXT):
        ends = [DECIMAL.cast(v) for v in (x, y)]
        first, second = (start_of(f, DECIMAL, v) for v in ends)
        difference = second - first
        length = decimal(duration(f.model)) / f.pieces
        for k in range(f.pieces):
            difference = _exponential(f, k, difference, length, sizes[k])
        after = _length(difference, goal, None if metric is None else metric.whole)
        ratio = after / _length(ends[1] - ends[0], goal, None if metric is None else metric.free)
        low, high = ratio * (1 - Decimal("1e-25")), ratio * (1 + Decimal("1e-25"))
    return _below(low), _above(high)


def _length(difference: Array, goal: Goal, metric: Array | None) -> Decimal:
    """Of a vector of decimals."""
    if metric is None:
        return decimal_norm(difference, goal.p)
    square: Any = difference @ metric @ difference
    return Decimal(square.sqrt())


def _exponential(f: Flow, k: int, v: Array, length: Decimal, size: float) -> Array:
    """``exp(length A) v``, in parts with ``|A| s <= 1/2``: the rest of each series is less than its last term."""
    leaves = {key: DECIMAL.cast(value) for key, value in f.leaves(k).items()}
    zero = field_value(f, DECIMAL, leaves, v * 0)
    parts = max(1, ceil(2.0 * size * float(length)))
    if parts > 2000:
        raise Unsupported("a field of this size")
    step = length / parts
    for _ in range(parts):
        term = total = v
        for j in range(1, 60):
            term = (field_value(f, DECIMAL, leaves, term) - zero) * (step / j)
            total = total + term
            if max(map(abs, term)) <= Decimal("1e-45") * max(map(abs, total)):
                break
        v = total
    return v


def _below(value: Decimal) -> float:
    return float(np.nextafter(float(value), -np.inf))


def _above(value: Decimal) -> float:
    return float(np.nextafter(float(value), np.inf))
