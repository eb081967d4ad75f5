"""Refutation of claims about the flow: two exact solutions, enclosed over the whole time, that break the claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from odespec.ir.expr import leaf
from odespec.ir.model import Claim, Model, Relation
from odespec.program.limits import read_limits
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.refute.candidates import Candidates
from odespec.prove.refute.confirm import MARGIN, Confirmed, obeys
from odespec.prove.refute.counterexample import BadCounterexample, Counterexample
from odespec.prove.refute.enclosure import flow, ratio_bounds
from odespec.prove.refute.enlarge import described, levels, realised
from odespec.prove.refute.flowfield import bounded
from odespec.prove.refute.goal import Goal, duration, goals
from odespec.prove.refute.mapping import Network, network
from odespec.prove.refute.search import search
from odespec.records import dataclass
from odespec.weights.arithmetic import Array
from odespec.weights.evaluate import Unsupported
from odespec.weights.steps import unpack

if TYPE_CHECKING:
    from odespec.prove.refute.distance import Budget

STEPS = 20
"""Steps of the classical Runge–Kutta method with which candidates are searched; the enclosure does not use them."""
TAME = 20.0
"""Ratios that are searched first where solutions may explode: at most so many times the bound."""
FAINT = 1e-4
"""The least violation, in relation to the bound, that is worth an enclosure."""


def refute_flow(model: Model, claim: Claim, *, seed: int, budget: Budget) -> Counterexample | None:
    """A pair of solutions that breaks a distance claim about the flow; None if none is enclosed."""
    try:
        full = network(lower(integrable(model)), "map")
    except (NotLowered, TypeError):
        return None
    try:
        return _refute(full, claim, seed, budget)
    except Unsupported:
        return None


def _refute(full: Network, claim: Claim, seed: int, budget: Budget) -> Counterexample | None:
    model, sides = moderate(full.model), goals(full.model, claim)
    most = replace(budget.effort, faint=FAINT)
    for small, effort in levels(model, full, "map", most, budget.sizes, budget.operations) if sides else ():
        for side, goal in enumerate(sides):
            for aim in _aims(full.model, goal):
                rng = np.random.default_rng([seed, small.size, side])
                found = _among(search(small, aim, rng, effort, budget.over), full, small, goal, aim, budget)
                if found is not None:
                    return described(full, claim, goal, *found)
    return None


def _among(
    candidates: Iterator[Candidates], full: Network, small: Network, goal: Goal, aim: Goal, budget: Budget
) -> tuple[Confirmed, dict[str, Array], dict[str, Array]] | None:
    check = partial(enclosed, full, goal)
    for candidate in islice(candidates, budget.confirmations):
        found = None if budget.over() else realised(full, small, aim, candidate, check)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Tame(Goal):
    """A goal for the search alone: ratios above ``most`` are signs of solutions that explode, which show nothing."""

    most: float = 1.0

    def excess(self, ratio: Any) -> Any:
        return np.where(np.asarray(ratio) > self.most, -np.asarray(ratio), ratio - self.target)


def _aims(model: Model, goal: Goal) -> Iterator[Goal]:
    """What to search for. Where slopes have no bound, the pairs that grow most explode before the end."""
    if goal.side == "upper" and not bounded(model):
        yield Tame(goal.side, goal.p, goal.bound, TAME * max(goal.target, 1e-3))
    yield goal


def integrable(model: Model) -> Model:
    """The model with the classical method; data ``per step`` keep their steps, with a method of order five."""
    steps = model.solver.steps
    varying = any(p.per_step for p in model.params) or any(u.per_step for u in model.inputs)
    name, count = ("dopri5", steps) if varying and isinstance(steps, int) else ("rk4", STEPS)
    return replace(model, solver=replace(model.solver, name=name, steps=count, options=(), tableau=None))


def moderate(model: Model) -> Model:
    """The model with bounds for matrices that have none: solutions that grow without measure cannot be enclosed."""
    limits, _ = read_limits(model.constraints)
    bound = Fraction(3) / max(Fraction(1), Fraction(float(duration(model))).limit_denominator(1000))
    free = [p for p in model.params if len(p.shape) == 2 and p.structure is None and p.name not in limits]
    extra = tuple(Relation("norm", leaf("param", p.name, p.shape), None, bound, p.span) for p in free)
    return replace(model, constraints=(*model.constraints, *extra))


def enclosed(
    full: Network, goal: Goal, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array
) -> Confirmed | None:
    """Whether the exact solutions from two states break the claim; the ratio is the one nearest to the bound."""
    if not obeys(full, weights, inputs, x, y):
        return None
    ratio = _nearest(full.model, goal, weights, inputs, x, y)
    if ratio is None or not goal.excess(ratio) > MARGIN * goal.target:
        return None
    return Confirmed(ratio, tuple(unpack(x, full.shapes)), tuple(unpack(y, full.shapes)))


def _nearest(
    model: Model, goal: Goal, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array
) -> float | None:
    bounds = ratio_bounds(flow(model, weights, inputs), goal, x, y)
    return None if bounds is None else bounds[0 if goal.side == "upper" else 1]


def replay_flow(program: StepProgram, c: Counterexample) -> float:
    """The ratio nearest to the bound that the enclosure of both solutions leaves possible.

    Raises `BadCounterexample` where they cannot be enclosed.
    """
    from decimal import Decimal

    goal = Goal(c.side, c.p, Decimal(c.bound))
    x, y = (np.concatenate([v.ravel() for v in values]) for values in (c.x, c.y))
    ratio = _nearest(program.model, goal, c.weights, c.inputs, x, y)
    if ratio is None:
        raise BadCounterexample("its solutions cannot be enclosed")
    return ratio
