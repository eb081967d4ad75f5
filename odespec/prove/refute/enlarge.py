"""Between the tiny sizes of the search and the sizes of the spec: smaller models, and findings put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from odespec.ir.expr import postorder
from odespec.ir.model import Claim, Input, Model, Param, State
from odespec.program.lower import NotLowered, lower
from odespec.prove.refute.candidates import Candidates, allowed, inside
from odespec.prove.refute.confirm import Confirmed
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import sentence
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.mapping import Network, network
from odespec.prove.refute.search import Effort, pairs, secant
from odespec.weights.arithmetic import Array
from odespec.weights.embed import embed, reduction, shrink
from odespec.weights.project import DISCRETE
from odespec.weights.sampling import exactly
from odespec.weights.steps import unpack

Check = Callable[[Mapping[str, Array], Mapping[str, Array], Array, Array], Confirmed | None]
"""The last word on weights, inputs and two states ``[n]`` at full size."""


def levels(
    model: Model, full: Network, subject: str, effort: Effort, sizes: tuple[int, ...], operations: int
) -> Iterator[tuple[Network, Effort]]:
    """The networks to search, smallest first, each with what it may cost; the full sizes last where they are small."""
    seen = set()
    for size in (*sizes, None):
        own = model if size is None else shrink(model, reduction(model, size))
        declared: list[State | Param | Input] = [*own.states, *own.params, *own.inputs]
        key = tuple(d.shape for d in declared)
        if key in seen or (size is None and sum(prod(s) for s in key) > 400):
            continue
        seen.add(key)
        try:
            by = None if full.by is None else full.by.name
            small = full if size is None else network(lower(own, history=True), subject, by)
        except NotLowered:
            continue
        yield small, _affordable(small, effort, operations)


def _affordable(net: Network, effort: Effort, operations: int) -> Effort:
    """Fewer rounds for tiny sizes, where little can hide, and for long or wide programs."""
    nodes = len(net.runner.update.nodes) + 150 * sum(len(p.nodes) for _, p in net.runner.solves)
    nodes += 100 * sum(n.op == "phi" for n in net.runner.update.nodes)
    entries = sum(prod(p.shape) * (net.runner.program.steps if p.per_step else 1) for p in net.model.params)
    operators = sum(prod(n.shape) for r in net.model.constraints for n in postorder(r.operand) if n.op == "conv")
    width = (1 + net.size / 12 + entries / 100 + operators / 10) * effort.starts / 12
    rounds = min(
        effort.rounds, effort.rounds * net.size**2 / 9, operations / (nodes * net.runner.program.steps * width)
    )
    if rounds < 8:
        return replace(effort, samples=max(40, effort.samples // 10), starts=4, rounds=max(3, int(rounds)))
    return replace(effort, rounds=int(rounds))


# --- from a candidate to the final arrays --------------------------------------

GRIDS = (0, 3, 10, None)
"""Binary digits after the point to which the numbers of a candidate are rounded, the plainest first."""


def realised(
    full: Network, small: Network, goal: Goal, candidate: Candidates, check: Check
) -> tuple[Confirmed, dict[str, Array], dict[str, Array]] | None:
    """The plainest arrays at full size that show the candidate's violation beyond doubt."""
    for plain in plainer(small, goal, candidate):
        weights, inputs = embedded(full, small, plain)
        member = exactly(full.model, weights)
        if member is None:
            continue
        x, y = (embedded_states(full, small, v) for v in (plain.x[0], plain.x[0] + plain.offset[0]))
        confirmed = check(member, inputs, x, y)
        if confirmed is not None:
            return confirmed, member, inputs
    return None


def plainer(net: Network, goal: Goal, candidate: Candidates) -> Iterator[Candidates]:
    """The candidate with its states at a good distance, rounded to few digits while most of its excess is kept."""
    for score, x, y in pairs(net, goal, candidate)[:2]:
        sharp = _sparser(net, goal, replace(candidate, x=x[None], offset=(y - x)[None]), score)
        for digits in GRIDS:
            if digits is None:
                yield sharp
                continue
            rounded = allowed(net, sharp.map(_rounder(digits)))
            kept = goal.excess(secant(net, goal, rounded)[0][0])
            if kept > 0.5 * score:
                yield rounded


def _sparser(net: Network, goal: Goal, c: Candidates, score: float) -> Candidates:
    """The candidate with state, inputs and weights zero, copies by step equal, wherever the excess does not suffer."""
    free = [p.name for p in net.model.params if p.structure not in DISCRETE]
    tied = [p.name for p in net.model.params if p.per_step]
    changes: list[Callable[[Candidates], Candidates]] = [lambda c: replace(c, x=c.x * 0)]
    changes += [lambda c, n=n: replace(c, inputs={**c.inputs, n: c.inputs[n] * 0}) for n in c.inputs]  # type: ignore[misc]
    changes += [lambda c, n=n: _with(c, n, c.weights[n] * 0) for n in free]  # type: ignore[misc]
    changes += [lambda c, n=n: _with(c, n, c.weights[n][:, :1].repeat(_steps(net), 1)) for n in tied]  # type: ignore[misc]
    for change in changes:
        plain = allowed(net, change(c))
        if np.array_equal(plain.offset, c.offset) and goal.excess(secant(net, goal, plain)[0][0]) >= 0.99 * score:
            c = plain
    return c


def _with(c: Candidates, name: str, weight: Array) -> Candidates:
    return replace(c, weights={**c.weights, name: weight})


def _steps(net: Network) -> int:
    return net.runner.program.steps


def _rounder(digits: int) -> Callable[[Array], Array]:
    return lambda v: np.asarray(np.round(v * 2.0**digits) / 2.0**digits)


def embedded(full: Network, small: Network, c: Candidates) -> tuple[dict[str, Array], dict[str, Array]]:
    if small is full:
        return {n: w[0] for n, w in c.weights.items()}, {n: u[0] for n, u in c.inputs.items()}
    steps, relations = full.runner.program.steps, full.model.constraints
    weights = {p.name: embed(p, c.weights[p.name][0], steps, relations) for p in full.model.params}
    inputs = {u.name: _embedded_input(u, c.inputs[u.name][0], steps, full.model) for u in full.held}
    return weights, inputs


def _embedded_input(declared: State | Input, small: Array, steps: int, model: Model) -> Array:
    if isinstance(declared, Input):
        return embed(declared, small, steps, model.domains)
    whole = np.zeros(declared.shape)
    whole[tuple(slice(0, n) for n in small.shape)] = small
    return whole


def embedded_states(full: Network, small: Network, x: Array) -> Array:
    parts = []
    for shape, value in zip(full.shapes, unpack(x, small.shapes), strict=True):
        whole = np.zeros(shape)
        whole[tuple(slice(0, n) for n in value.shape)] = value
        parts.append(whole.ravel())
    return np.asarray(inside(full, np.concatenate(parts)[None])[0])


def described(
    full: Network, claim: Claim, goal: Goal, confirmed: Confirmed, weights: dict[str, Array], inputs: dict[str, Array]
) -> Counterexample:
    model = full.model
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side=goal.side,
        p=goal.p,
        bound=goal.target,
        measured=confirmed.ratio,
        sentence=sentence(
            model, goal, weights, inputs, confirmed.x, confirmed.y, confirmed.ratio, claim.subject, claim.by
        ),
        weights=weights,
        inputs=inputs,
        x=confirmed.x,
        y=confirmed.y,
        states=tuple(name for _, name in full.moved),
        spec=model.source.text,
        spec_name=model.source.name,
    )
