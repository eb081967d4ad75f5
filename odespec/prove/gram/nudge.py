"""Proofs with almost no room: between a point at a slightly sharper tau and one that has much room at a larger tau.

The slack is affine in tau and the unknowns together. A mixture with weights chosen to meet tau exactly inherits a share
of the large room, which outweighs the errors of the sharper point where rounding that one alone would not do.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from odespec.prove.gram.pencil import Layout, build
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.spectral import floats, semidefinite

SHARPER, LOOSER = Fraction(1, 10**9), Fraction(1, 10)
DENOMINATORS = (10**9, 10**12, 2**50, 10**18)


def mixtures(problem: GramProblem, tau: Fraction, plan: Layout) -> Iterator[dict[int, Fraction]]:
    """Values of the unknowns, by ever larger denominators; two semidefinite programs."""
    outward = max(Fraction(1), abs(tau)) * (-1 if problem.lower else 1)
    near, far = (floats(build(problem, tau + outward * step, plan)) for step in (-SHARPER, LOOSER))
    if not near.unknowns:
        return
    sharp, loose = semidefinite(near), semidefinite(far)
    if not (sharp.ok and loose.ok and loose.t > 0):
        return
    share = float(SHARPER / (SHARPER + LOOSER))
    mixed = (1 - share) * sharp.w + share * loose.w
    for denominator in DENOMINATORS:
        yield {
            k: Fraction(round(float(x) * denominator), denominator) for k, x in zip(near.unknowns, mixed, strict=True)
        }
