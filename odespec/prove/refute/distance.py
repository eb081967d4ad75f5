"""Refutation of distance claims: the search at tiny sizes, and its findings at the sizes of the spec.

A counterexample counts only when `odespec.prove.refute.confirm` has re-evaluated it on its final arrays. All work is counted
and seeded, so that the outcome does not depend on the machine; a deadline only stops the search.
"""

from __future__ import annotations

import time
from dataclasses import field
from functools import partial
from itertools import islice

import numpy as np

from odespec.ir.model import Claim
from odespec.program.step import StepProgram
from odespec.prove.refute.confirm import confirm
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.enlarge import described, levels, realised
from odespec.prove.refute.goal import Goal, goals
from odespec.prove.refute.mapping import network
from odespec.prove.refute.search import Effort, search
from odespec.records import dataclass
from odespec.weights.evaluate import Unsupported


@dataclass(frozen=True, slots=True)
class Budget:
    """How hard to try, in counts. ``deadline``, on the monotonic clock, can only stop a search."""

    effort: Effort = field(default_factory=Effort)
    sizes: tuple[int, ...] = (1, 2, 3)
    operations: int = 30_000
    confirmations: int = 4
    deadline: float | None = None

    def over(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


def refute(program: StepProgram, claim: Claim, *, seed: int = 0, budget: Budget | None = None) -> Counterexample | None:
    """Weights, inputs and two states that break a distance claim about the map, its output or the flow; None if none.

    Claims: ``nonexpansive``, ``lipschitz``, ``contractive``, ``gradient in``, in the norms 2, 1 and inf. The ``not`` of
    a claim is not looked at. What the evaluator does not know (graphs, noise, metrics) is not refuted.
    """
    budget = budget or Budget()
    if claim.subject == "flow":
        from odespec.prove.refute.flowpair import refute_flow

        if claim.by is not None:
            return None
        return refute_flow(program.model, claim, seed=seed, budget=budget)
    sides = goals(program.model, claim)
    try:
        return _refute_map(program, claim, sides, seed, budget) if sides else None
    except Unsupported:
        return None


def _refute_map(
    program: StepProgram, claim: Claim, sides: tuple[Goal, ...], seed: int, budget: Budget
) -> Counterexample | None:
    full = network(program, claim.subject, claim.by)
    sizes = levels(program.model, full, claim.subject, budget.effort, budget.sizes, budget.operations)
    for tried, (small, effort) in enumerate(sizes):
        if tried and budget.over():  # the first size gets a glance even after a long attempt at a proof
            return None
        for side, goal in enumerate(sides):
            rng = np.random.default_rng([seed, small.size, side])
            check = partial(confirm, full, goal)
            for candidate in islice(search(small, goal, rng, effort, budget.over), budget.confirmations):
                found = None if budget.over() else realised(full, small, goal, candidate, check)
                if found is not None:
                    return described(full, claim, goal, *found)
    return None
