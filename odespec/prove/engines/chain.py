"""Proofs of the links of a chain: which bound of each to prove, so that together they give the claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.certificate.auditor import endpoint as auditor
from odespec.certificate.auditor import gram
from odespec.exact import enclose
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import PROGRAMS, Proof, prove
from odespec.prove.gram.expand import expand
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.threshold import Target
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.segments import Segment, read_segment
from odespec.prove.sides import Horizon
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.endpoint import Link

ROOMS = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
LARGE, LARGE_PROGRAMS = 200, 4
"""Constraints from which on a problem is large, and how many programs a proof of it may take."""
SNAP = 1e-6
SIMPLE = 2000
"""The largest denominator of a bound that is taken to be tight."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment with its role in the chain, and how often in a row it stands."""

    role: str
    segment: Segment
    times: int = 1


@dataclass(frozen=True, slots=True)
class Way:
    """The pieces of a chain. ``by``: the input that differs; ``sequence``: it has one entry for each step.

    ``dear``: another way says nearly as much, so this one is left out where its problems are large.
    """

    pieces: tuple[Piece, ...]
    by: str | None = None
    sequence: bool = False
    dear: bool = False


class Solved:
    """What was solved and proved of problems already: ways have segments in common."""

    def __init__(self) -> None:
        self._worst: dict[GramProblem, float] = {}
        self._proofs: dict[tuple[GramProblem, Fraction], Proof | None] = {}

    def worst(self, problem: GramProblem) -> float:
        if problem not in self._worst:
            self._worst[problem] = worst_case(problem).value
        return self._worst[problem]

    def proof(self, problem: GramProblem, tau: Fraction) -> Proof | None:
        if (problem, tau) not in self._proofs:
            self._proofs[problem, tau] = prove(problem, tau, LARGE_PROGRAMS if large(problem) else PROGRAMS)
        return self._proofs[problem, tau]


def large(problem: GramProblem) -> bool:
    """Whether a problem takes seconds to solve."""
    return sum(len(expand(r)) for r in problem.relations) > LARGE


def proved_chain(
    program: StepProgram, way: Way, target: Target, horizon: Horizon, solved: Solved | None = None
) -> tuple[Link, ...] | None:
    """The links with their proofs; None where none are found. Raises `NoRelation`."""
    from odespec.certificate.endpoint import Link

    problems = [read_segment(program, p.segment, lower=not target.upper).problem for p in way.pieces]
    if way.dear and any(map(large, problems)):
        return None
    proofs = proved_all(problems, way, target, horizon, solved)
    if proofs is None:
        return None
    return tuple(Link(p.role, _written(p.segment), q, p.times) for p, q in zip(way.pieces, proofs, strict=True))


def proved_all(
    problems: Sequence[GramProblem], way: Way, target: Target, horizon: Horizon, solved: Solved | None = None
) -> list[Proof] | None:
    """Proofs of bounds of all pieces that together give the target; None where none are found."""
    solved = solved or Solved()
    worst = [solved.worst(p) for p in problems]
    if not all(map(math.isfinite, worst)):
        return None
    enough = _test(way, target, horizon)
    for taus in _choices(worst, enough, target.upper):
        proofs = _all_proved(problems, taus, solved)
        if proofs is not None:
            return proofs
    return None


def _written(segment: Segment) -> str:
    return Segment(segment.start, segment.steps, segment.end).name


def _all_proved(problems: Sequence[GramProblem], taus: Sequence[Fraction], solved: Solved) -> list[Proof] | None:
    found: list[Proof] = []
    for problem, tau in zip(problems, taus, strict=True):
        proof = solved.proof(problem, tau)
        if proof is None:
            return None
        found.append(proof)
    return found


Test = Callable[[Sequence[Fraction]], bool]
"""Whether bounds of the pieces give the claim, by the auditor's own arithmetic."""


def _test(way: Way, target: Target, horizon: Horizon) -> Test:
    if target.rated:
        limit, rate = target.relaxed**2, enclose(target.number)[1]
        exponent = 2 * rate * enclose(horizon.length, 128)[rate > 0]
    else:
        low, high = enclose(target.number * target.number, 128)
        limit, exponent = (low if target.upper else high) * target.relaxed**2, Fraction(0)

    def states(taus: Sequence[Fraction]) -> bool:
        pairs = [(t, p.times) for t, p in zip(taus, way.pieces, strict=True)]
        return gram.compare(pairs, exponent, limit, target.upper)

    def inputs(taus: Sequence[Fraction]) -> bool:
        named = {p.role: t for t, p in zip(taus, way.pieces, strict=True)}
        if "way" in named:
            return named["way"] <= limit
        total = auditor.sequence if way.sequence else auditor.constant
        return total(named, horizon.steps)[1] <= limit

    return states if way.by is None else inputs


def _choices(worst: Sequence[float], enough: Test, upper: bool) -> Iterator[list[Fraction]]:
    """Bounds to prove, the most promising first: tight ones at simple numbers, the others with as much room as there is."""
    tight = [_simple(w, upper) for w in worst]
    for kept in dict.fromkeys((tuple(tight), (None,) * len(worst))):
        for room in ROOMS:
            if enough([_moved(w, room, upper) if t is None else t for w, t in zip(worst, kept, strict=True)]):
                for share in (0.5, 0.1):
                    yield [_between(w, share * room, room, upper) if t is None else t
                           for w, t in zip(worst, kept, strict=True)]  # fmt: skip
                break
    snapped = [_nearest(w) if t is None else t for w, t in zip(worst, tight, strict=True)]
    if enough(snapped):
        yield snapped


def _simple(value: float, upper: bool) -> Fraction | None:
    """The simple fraction that a numerical worst case is within the solver's inaccuracy; None where there is none."""
    if not upper and value <= SNAP:
        return Fraction(0)
    near = _nearest(value)
    return near if near.denominator <= SIMPLE else None


def _nearest(value: float) -> Fraction:
    room = SNAP * max(abs(value), 1e-3)
    return max(simplest_between(Fraction(value - room), Fraction(value + room)), Fraction(0))


def _moved(value: float, room: float, upper: bool) -> Fraction:
    step = Fraction(room * max(abs(value), 1e-6))
    return max(Fraction(value) + (step if upper else -step), Fraction(0))


def _between(value: float, near: float, far: float, upper: bool) -> Fraction:
    ends = sorted((_moved(value, near, upper), _moved(value, far, upper)))
    return simplest_between(*ends)
