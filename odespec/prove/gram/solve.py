"""Any finite bound on a Gram problem: what unique solvability of the equations of an implicit step asks."""

from __future__ import annotations

import math
from fractions import Fraction

from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.worst import worst_case

LARGEST_GAIN = 1e6
"""Solvability is not tried to prove with a larger gain: the floating-point solver would not see it."""


def finite(problem: GramProblem) -> Proof | None:
    """A proof of any finite bound, with room for the rounding."""
    value = worst_case(problem).value
    if not math.isfinite(value) or abs(value) > LARGEST_GAIN:
        return None
    low = Fraction(max(value, 0)).limit_denominator(10**6)
    return next((p for k in (2, 8, 64) if (p := prove(problem, simplest_between(k * low + 1, 2 * k * low + 2)))), None)
