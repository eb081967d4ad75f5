"""Facial reduction by linear programs: which vectors every feasible pencil must send to zero.

If no unknowns give ``v . X v > 0`` for all v = e_i and e_i +- e_j at once, the dual solution is a combination of
``v . X v`` that is zero (or less) whatever the unknowns are; where X is semidefinite, each v in it has ``X v = 0``.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.prove.gram.pencil import Direction, InconsistentError, Pencil, impose
from odespec.prove.gram.spectral import Floats, Margin, floats, linear

ZERO = 1e-7
HOPELESS = -1e-5


def reduce(pencil: Pencil, budget: list[int]) -> Pencil | None:
    """The pencil on the smallest face that linear programs find; None where no unknowns make it semidefinite.

    ``budget[0]`` counts down the programs that may still be solved.
    """
    while budget[0] > 0:
        data = floats(pencil)
        if not data.unknowns or not data.blocks:
            return pencil
        budget[0] -= 1
        margin, directions = linear(data)
        if margin.ok and margin.t < HOPELESS:
            return None
        if not margin.ok or margin.t > ZERO:
            return pencil
        null = _null(data, pencil, margin, directions)
        if not null:
            return pencil
        try:
            pencil = impose(pencil, null)
        except InconsistentError:
            return pencil
    return pencil


def _null(
    data: Floats, pencil: Pencil, margin: Margin, directions: list[tuple[int, dict[int, int]]]
) -> list[Direction]:
    """The directions that have a positive dual, by strict complementarity the larger of the two."""
    found: list[Direction] = []
    for (k, vector), slack, dual in zip(directions, margin.slack, margin.dual, strict=True):
        if dual > max(slack, ZERO):
            block = data.blocks[k]
            found.append((block, {pencil.kept[block][i]: Fraction(c) for i, c in vector.items()}))
    return found
