"""Refutation of distance claims: the search at tiny sizes, and its findings at the sizes of the spec.

A counterexample counts only when `odespec.prove.confirm` has re-evaluated it on its final arrays. All work is counted and
seeded, so that the outcome does not depend on the machine; a deadline only stops the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.confirm import Confirmed, confirm
from odespec.prove.counterexample import Counterexample
from odespec.prove.explain import sentence
from odespec.prove.goal import Goal, goals
from odespec.prove.mapping import Network, network
from odespec.prove.search import Candidates, Effort, allowed, inside, pairs, search, secant
from odespec.weights.arithmetic import Array
from odespec.weights.embed import embed, reduction, shrink
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import exactly
from odespec.weights.steps import unpack


@dataclass(frozen=True, slots=True)
class Budget:
    """How hard to try, in counts. ``deadline``, on the monotonic clock, can only stop a search."""

    effort: Effort = Effort()
    sizes: tuple[int, ...] = (1, 2, 3)
    operations: int = 24_000
    confirmations: int = 6
    deadline: float | None = None

    def over(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


def refute(program: StepProgram, claim: Claim, *, seed: int = 0, budget: Budget | None = None) -> Counterexample | None:
    """Weights, inputs and two states that break a distance claim about the map, its output or the flow; None if not found.

    Claims: ``nonexpansive``, ``lipschitz``, ``contractive``, ``gradient in``, in the norms 2, 1 and inf. The ``not`` of a claim
    is not looked at. What the evaluator does not know (graphs, noise, metrics) is not refuted.
    """
    budget = budget or Budget()
    if claim.subject == "flow":
        from odespec.prove.flowpair import refute_flow

        return refute_flow(program, claim, seed=seed, budget=budget)
    for side, goal in enumerate(goals(program.model, claim)):
        try:
            found = _refute_side(program, claim, goal, seed + 1000 * side, budget)
        except Unsupported:
            return None
        if found is not None:
            return found
    return None


def _refute_side(program: StepProgram, claim: Claim, goal: Goal, seed: int, budget: Budget) -> Counterexample | None:
    full = network(program, claim.subject)
    for small, effort in levels(program.model, full, claim.subject, budget):
        rng = np.random.default_rng([seed, small.size, len(small.runner.update.nodes)])
        left = budget.confirmations
        for candidate in search(small, goal, rng, effort, budget.over):
            if left == 0 or budget.over():
                break
            left -= 1
            found = _realised(full, small, goal, candidate)
            if found is not None:
                return _described(full, claim, goal, *found)
    return None


def levels(model: Model, full: Network, subject: str, budget: Budget) -> Iterator[tuple[Network, Effort]]:
    """The networks to search, smallest first, each with what it may cost; the full sizes last where they are small."""
    seen = set()
    for size in (*budget.sizes, None):
        sizes = reduction(model, size) if size is not None else {}
        own = model if size is None else shrink(model, sizes)
        key = tuple(d.shape for d in (*own.states, *own.params, *own.inputs))
        if key in seen or (size is None and sum(prod(s) for s in key) > 400):
            continue
        seen.add(key)
        try:
            small = full if size is None else network(lower(own), subject)
        except NotLowered:
            continue
        yield small, _affordable(small, budget)


def _affordable(net: Network, budget: Budget) -> Effort:
    """Fewer rounds for long programs, fewer still for wide ones."""
    nodes = len(net.runner.update.nodes) + 60 * sum(len(p.nodes) for _, p in net.runner.solves)
    width = 1 + net.size / 12 + sum(prod(p.shape) for p in net.model.params) / 100
    rounds = budget.operations / (nodes * net.runner.program.steps * width)
    effort = budget.effort
    if rounds < 8:
        return replace(effort, samples=max(40, effort.samples // 4), starts=4, rounds=max(3, min(8, int(2 * rounds))))
    return replace(effort, rounds=int(min(effort.rounds, rounds)))


# --- from a candidate to the final arrays --------------------------------------

GRIDS = (0, 1, 3, 6, 12, 24, None)
"""Binary digits after the point to which the numbers of a candidate are rounded, the plainest first."""


def _realised(
    full: Network, small: Network, goal: Goal, candidate: Candidates
) -> tuple[Confirmed, dict[str, Array], dict[str, Array]] | None:
    """The plainest arrays at full size that show the candidate's violation beyond doubt."""
    for plain in plainer(small, goal, candidate):
        weights, inputs = _embedded(full, small, plain)
        member = exactly(full.model, weights)
        if member is None:
            continue
        x, y = (_embedded_states(full, small, v) for v in (plain.x[0], plain.x[0] + plain.offset[0]))
        confirmed = confirm(full, goal, member, inputs, x, y)
        if confirmed is not None:
            return confirmed, member, inputs
    return None


def plainer(net: Network, goal: Goal, candidate: Candidates) -> Iterator[Candidates]:
    """The candidate with its two states at a good distance, rounded to few digits as long as most of its excess is kept."""
    for score, x, y in pairs(net, goal, candidate)[:2]:
        sharp = replace(candidate, x=x[None], offset=(y - x)[None])
        for digits in GRIDS:
            if digits is None:
                yield sharp
                continue
            rounded = allowed(net, sharp.map(_rounder(digits)))
            kept = goal.excess(secant(net, goal, rounded)[0])
            if kept > 0.5 * score:
                yield rounded


def _rounder(digits: int) -> Callable[[Array], Array]:
    return lambda v: np.asarray(np.round(v * 2.0**digits) / 2.0**digits)


def _embedded(full: Network, small: Network, c: Candidates) -> tuple[dict[str, Array], dict[str, Array]]:
    if small is full:
        return {n: w[0] for n, w in c.weights.items()}, {n: u[0] for n, u in c.inputs.items()}
    steps, relations = full.runner.program.steps, full.model.constraints
    weights = {p.name: embed(p, c.weights[p.name][0], steps, relations) for p in full.model.params}
    inputs = {u.name: embed(u, c.inputs[u.name][0], steps, full.model.domains) for u in full.model.inputs}
    return weights, inputs


def _embedded_states(full: Network, small: Network, x: Array) -> Array:
    parts = []
    for shape, value in zip(full.shapes, unpack(x, small.shapes), strict=True):
        whole = np.zeros(shape)
        whole[tuple(slice(0, n) for n in value.shape)] = value
        parts.append(whole.ravel())
    return inside(full, np.concatenate(parts)[None])[0]


def _described(
    full: Network, claim: Claim, goal: Goal, confirmed: Confirmed, weights: dict[str, Array], inputs: dict[str, Array]
) -> Counterexample:
    model = full.model
    given = [inputs[u.name] for u in model.inputs]
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side=goal.side,
        p=goal.p,
        bound=goal.target,
        measured=confirmed.ratio,
        sentence=sentence(model, goal, weights, given, confirmed.x, confirmed.y, confirmed.ratio, claim.subject),
        weights=weights,
        inputs=inputs,
        x=confirmed.x,
        y=confirmed.y,
        states=tuple(s.name for s in model.free_states),
        spec=model.source.text,
        spec_name=model.source.name,
    )
