"""Norms that grow, but not too far in the steps that there are, from a ball in which every run begins."""

from __future__ import annotations

import math
from fractions import Fraction

from odespec.ir.model import Claim
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import prove
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.worst import worst_case
from odespec.prove.invariant.balls import LARGEST_BASIS, Growth, freeze, radius_of, solvability, squares
from odespec.prove.invariant.triangle import start_radius
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import step_problem


def prove_growth(program: StepProgram, claim: Claim) -> Growth | None:
    """A proof that the norm, which may grow, does not grow too large in the steps that there are."""
    relation, model = claim.relation, program.model
    assert relation is not None
    names = squares(relation)
    if names != frozenset(s.name for s in model.states) or len(model.states) != 1 or relation.lower is not None:
        return None
    top = radius_of(relation)
    start = start_radius(model, state_leaves(model)[0], 2)
    frozen = freeze(program, False, None)
    if top is None or start is None or frozen is None or start > top or not start or relation.quantity != "norm":
        return None
    if not isinstance(relation.upper, Fraction):
        return None
    try:
        problem = step_problem(frozen, lower=False)
    except NoRelation:
        return None
    if len(problem.basis) > LARGEST_BASIS:
        return None
    value = worst_case(problem).value
    limit = float((top / start) ** 2) ** (1 / program.steps)
    if not math.isfinite(value) or value > limit:
        return None
    tau = simplest_between(Fraction((value + limit) / 2), Fraction(limit) * (1 - Fraction(1, 10**12)))
    proof = prove(problem, tau) if tau**program.steps * start**2 <= top**2 else None
    solved = solvability(program)
    return None if proof is None or solved is None else Growth(start, proof, solved)
