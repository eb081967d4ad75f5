"""Exact rational proofs of Gram problems.

A proof of ``numerator <= tau * denominator`` is a list of rational multipliers, one for each constraint, such that
``tau * denominator - numerator - (multipliers * constraints)`` is a positive semidefinite form on each space; with
``lower`` the first two terms change sign. Interior-point answers only guide the search; an exact LDL^T decides.

The search reduces to a face of the cone by linear programs (Permenter & Parrilo, "Partial facial reduction", Math.
Program. 2018), then rounds a definite point, or snaps the null space of a singular one to small fractions (Peyrl &
Parrilo, Theor. Comput. Sci. 2008) and starts again; at last it mixes two points (`odespec.prove.gram.nudge`). It is budgeted
by counts of programs, so that the outcome does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from odespec.prove.gram import facial
from odespec.prove.gram.ldl import is_psd
from odespec.prove.gram.nudge import mixtures
from odespec.prove.gram.pencil import InconsistentError, Layout, Pencil, build, evaluate, impose, layout
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.snap import null_spaces, roundings
from odespec.prove.gram.spectral import floats, semidefinite
from odespec.prove.gram.threshold import Target, choose_tau
from odespec.records import dataclass

__all__ = ["Proof", "Target", "choose_tau", "prove", "verify"]

PROGRAMS = 60
DEPTH = 6
POSITIVE = 1e-9
HOPELESS = -1e-5
NEARBY = Fraction(1, 10**6)


@dataclass(frozen=True, slots=True)
class Proof:
    """``multipliers[r][c]`` belongs to constraint c of relation r, in the order of `odespec.prove.gram.expand.RULES`.

    Each is a tuple of numbers: one, or the lower triangle by rows of a matrix.
    """

    problem: GramProblem
    tau: Fraction
    multipliers: tuple[tuple[tuple[Fraction, ...], ...], ...]


def prove(problem: GramProblem, tau: Fraction, programs: int = PROGRAMS) -> Proof | None:
    """An exact proof that the ratio is at most tau (at least tau for a lower problem), or None where none was found.

    ``programs`` bounds how many linear and semidefinite programs are solved.
    """
    plan = layout(problem)
    pencil = build(problem, tau, plan)
    for values in _attempts(problem, tau, plan, programs):
        if verify(pencil, values):
            return Proof(problem, tau, arranged(plan, values))
    return None


def _attempts(problem: GramProblem, tau: Fraction, plan: Layout, programs: int) -> Iterator[list[Fraction]]:
    """Values of all unknowns: found at tau, at the simplest number a little sharper, or as a mixture."""
    for number in dict.fromkeys((tau, _simpler(tau, problem.lower))):
        for reduced, chosen in candidates(build(problem, number, plan), [programs], DEPTH):
            yield reduced.values(chosen, plan.count)
    if programs > 0:
        whole = build(problem, tau, plan)
        yield from (whole.values(chosen, plan.count) for chosen in mixtures(problem, tau, plan))


def _simpler(tau: Fraction, lower: bool) -> Fraction:
    """A little beyond a tight bound, where the search sees no room, the proof of the bound itself will do."""
    sharper = tau + (1 if lower else -1) * NEARBY * max(Fraction(1), abs(tau))
    return simplest_between(min(tau, sharper), max(tau, sharper))


def verify(pencil: Pencil, values: Sequence[Fraction]) -> bool:
    """Whether every whole block of an unreduced pencil is positive semidefinite at these values of the unknowns."""
    chosen = dict(enumerate(values))
    return all(
        is_psd([[evaluate(pencil.entry(b, i, j), chosen) for j in rows] for i in rows])
        for b, rows in enumerate(pencil.kept)
    )


def arranged(plan: Layout, values: Sequence[Fraction]) -> tuple[tuple[tuple[Fraction, ...], ...], ...]:
    """The multipliers of a layout among the values of all unknowns."""
    return tuple(
        tuple(
            tuple(values[n : n + len(c.forms) * (len(c.forms) + 1) // 2]) for c, n in zip(group, offsets, strict=True)
        )
        for group, offsets in zip(plan.constraints, plan.offsets, strict=True)
    )


def candidates(pencil: Pencil, budget: list[int], depth: int) -> Iterator[tuple[Pencil, dict[int, Fraction]]]:
    """Reduced pencils with values of the unknowns that are left, to be verified; the guesses are tried depth first."""
    reduced = facial.reduce(pencil, budget)
    if reduced is None:
        return
    data = floats(reduced)
    if not data.unknowns or not data.blocks:
        yield reduced, {}
        return
    if budget[0] <= 0:
        return
    budget[0] -= 1
    margin = semidefinite(data)
    if not margin.ok or margin.t < HOPELESS:
        return
    if margin.t > POSITIVE:
        yield from ((reduced, chosen) for chosen in roundings(data, margin.w))
    if depth == 0:
        return
    for guess in null_spaces(reduced, data, margin):
        try:
            smaller = impose(reduced, guess)
        except InconsistentError:
            continue
        yield from candidates(smaller, budget, depth - 1)
