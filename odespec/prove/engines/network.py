"""Distance claims of networks, from the inputs to the output: the bounds of the pieces multiply.

A network is cut wherever all that is still needed is one value. Each piece is a model, or some layers as one map, and
has a bound of its own; weights are never shared between applications, so nothing is lost by taking them one by one but
that the worst cases of all pieces may not come together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from odespec.certificate.endpoint import Link
from odespec.certificate.network import ProvedPiece, Side, build
from odespec.ir.model import Claim, Network, Spec
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove import networks
from odespec.prove.engines.chain import Way, proved_all
from odespec.prove.engines.distance import refuted
from odespec.prove.engines.endpoint import implicit_steps, ways, whole_program
from odespec.prove.gram.exact import Proof
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.solve import finite
from odespec.prove.gram.threshold import Target
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import solvability_problem
from odespec.prove.relate.segments import read_segment
from odespec.prove.sides import Horizon, targets
from odespec.prove.verdict import Options, Task, Verdict
from odespec.records import dataclass

METHOD = "network"
TRIES = 3
"""Ways to cut each piece that are tried."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece with its step program; ``claim`` is the network's, asked of the piece."""

    name: str
    program: StepProgram
    claim: Claim


def decide_network(spec: Spec, network: Network, claim: Claim, options: Options, deadline: float | None) -> Verdict:
    """Prove or refute a Euclidean distance claim of a network."""
    if claim.norm != 2 or claim.metric is not None or claim.mean_square or claim.by is not None:
        return _unknown(claim, "of networks only Euclidean distances from all inputs are decided")
    reason = "no proof and no counterexample was found"
    try:
        verdict = _proved(spec, network, claim, options)
    except (NotLowered, NoRelation) as error:
        verdict, reason = None, f"no bound is known of {error.what if isinstance(error, NotLowered) else error}"
    return verdict or _refuted(spec, network, claim, options, deadline) or _unknown(claim, reason)


def _unknown(claim: Claim, reason: str) -> Verdict:
    return Verdict(claim, "unknown", reason, METHOD)


def asked(piece: networks.Piece, claim: Claim) -> Claim:
    """The network's claim, asked of one piece."""
    return replace(claim, subject="map" if piece.model.output is None else "output")


def _refuted(spec: Spec, network: Network, claim: Claim, options: Options, deadline: float | None) -> Verdict | None:
    try:
        model = networks.flattened(network)
        task = Task(spec, model, replace(claim, subject="output"), options, deadline)
        found = refuted(task, whole_program(model))
    except NotLowered:
        return None
    return None if found is None else replace(found, claim=claim)


# --- proofs ----------------------------------------------------------------------------


def _proved(spec: Spec, network: Network, claim: Claim, options: Options) -> Verdict | None:
    """The verdict ``proved`` with its certificate. Raises `NotLowered`, `NoRelation`."""
    found = [_Piece(p.name, whole_program(p.model), asked(p, claim)) for p in networks.pieces(network)]
    if not found:
        return None
    horizon = Horizon(False, sum(p.program.steps for p in found), Fraction(1))
    sides = []
    for target in targets(claim, horizon, options.slack):
        side = _side(found, target, horizon)
        if side is None:
            return None
        sides.append(side)
    solved = [_solvable(p.program) for p in found]
    if any(s is None for s in solved):
        return None
    described = [
        ProvedPiece(p.name, p.program.steps, p.claim.subject, s or ()) for p, s in zip(found, solved, strict=True)
    ]
    certificate = build(spec, network, claim, described, sides)
    if not certificate.accepted():
        return None
    upper, lower = (_factor(sides, upper=u) for u in (True, False))
    statement = "; ".join(f"{p.name}: {_bounds(sides, k)}" for k, p in enumerate(found))
    return Verdict(
        claim, "proved", statement, METHOD, upper=upper, lower=lower, slack=options.slack, certificate=certificate
    )


def _side(found: Sequence[_Piece], target: Target, horizon: Horizon) -> Side | None:
    """One inequality of the claim, by the first cut of all pieces of which the proofs are found."""
    if not target.upper and target.number <= 0:
        return Side(target, ())
    failure: NoRelation | None = None
    for number in range(TRIES):
        cut = [_cut(p, number) for p in found]
        try:
            problems = list(_problems(found, cut, lower=not target.upper))
        except NoRelation as error:
            failure = failure or error
            continue
        whole = Way(tuple(p for way in cut for p in way.pieces))
        proofs = proved_all(problems, whole, target, horizon)
        if proofs is not None:
            return Side(target, _linked(cut, proofs))
    if failure is not None:
        raise failure
    return None


def _cut(piece: _Piece, number: int) -> Way:
    found = ways(piece.program, piece.claim)
    if not found:
        raise NoRelation(f"`{piece.name}`")
    return found[min(number, len(found) - 1)]


def _problems(found: Sequence[_Piece], cut: Sequence[Way], *, lower: bool) -> Iterator[GramProblem]:
    for piece, way in zip(found, cut, strict=True):
        for p in way.pieces:
            yield read_segment(piece.program, p.segment, lower=lower).problem


def _linked(cut: Sequence[Way], proofs: Sequence[Proof]) -> tuple[tuple[Link, ...], ...]:
    rest = iter(proofs)
    return tuple(tuple(Link(p.role, p.segment.name, next(rest), p.times) for p in way.pieces) for way in cut)


def _solvable(program: StepProgram) -> tuple[tuple[str, Proof], ...] | None:
    """Proofs that the equations of a piece's steps have one solution each; None where one is not found."""
    found = []
    for which, step in implicit_steps(program):
        problem = solvability_problem(step)
        proof = None if problem is None else finite(problem)
        if proof is None:
            return None
        found.append((which, proof))
    return tuple(found)


# --- words -----------------------------------------------------------------------------


def _factor(sides: Sequence[Side], *, upper: bool) -> float | None:
    for side in sides:
        if side.target.upper == upper:
            return (
                math.prod(math.sqrt(float(x.proof.tau)) ** x.times for c in side.chains for x in c)
                if side.chains
                else 0.0
            )
    return None


def _bounds(sides: Sequence[Side], number: int) -> str:
    words = []
    for side in sides:
        if side.chains:
            factor = math.prod(math.sqrt(float(x.proof.tau)) ** x.times for x in side.chains[number])
            words.append(f"{'at most' if side.target.upper else 'at least'} {factor:.9g}")
    return ", ".join(words) or "at least 0"
