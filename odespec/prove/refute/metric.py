"""Refutation of distance claims in a given metric P: two states whose distance ``sqrt(<d, P d>)`` grows too much."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from odespec.ir.expr import Expr, leaves
from odespec.ir.model import Claim, Model
from odespec.program.step import StepProgram
from odespec.prove.refute.candidates import Candidates
from odespec.prove.refute.confirm import MARGIN, ROUNDING, obeys
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.enlarge import embedded, embedded_states, levels
from odespec.prove.refute.explain import show
from odespec.prove.refute.goal import Goal, goals
from odespec.prove.refute.mapping import Network, apply, network
from odespec.prove.refute.quantities import Quantity, register
from odespec.prove.refute.stretch import (
    GRIDS,
    free_places,
    given_text,
    jacobian_at,
    metric_at,
    search_metric,
    shown,
    sizes,
    steps_text,
    stretched,
)
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Arithmetic, Array, Inexact
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import exactly
from odespec.weights.steps import NoSolution, unpack

if TYPE_CHECKING:
    from odespec.prove.refute.distance import Budget
    from odespec.prove.refute.quantities import Step

RATIO = "ratio in the metric"


def refute_metric(program: StepProgram, claim: Claim, *, seed: int, budget: Budget) -> Counterexample | None:
    """A counterexample to an upper claim about the map in a metric; None if none was found."""
    given = claim.metric if isinstance(claim.metric, Expr) else None
    model = program.model if given is None else replace(program.model, output=("metric", given))
    full = network(replace(program, model=model), "map")
    (goal,) = goals(model, replace(claim, metric=None))
    if given is not None and any(p.per_step and ("param", p.name) in leaves(given) for p in model.params):
        return None
    try:
        for small, effort in levels(model, full, "map", budget.effort, budget.sizes, budget.operations):
            if given is None and small.size != sum(sizes(small.model)):
                return None
            rng = np.random.default_rng([seed, small.size])
            for candidate in islice(search_metric(small, goal, rng, effort, budget.over), budget.confirmations):
                found = None if budget.over() else _realised(full, small, goal, claim, candidate)
                if found is not None:
                    return found
    except Unsupported:
        return None
    return None


# --- the finding at the sizes of the spec ------------------------------------------


def _realised(full: Network, small: Network, goal: Goal, claim: Claim, candidate: Candidates) -> Counterexample | None:
    for digits in GRIDS:
        plain = candidate if digits is None else candidate.map(lambda v, d=digits: np.round(v * 2.0**d) / 2.0**d)  # type: ignore[misc]
        weights, inputs = embedded(full, small, plain)
        member = exactly(full.model, weights)
        if member is None:
            continue
        if full.model.output is None:
            ends = [embedded_states(full, small, v) for v in (plain.x[0], (plain.x + plain.offset)[0])]
            kept = np.flatnonzero(embedded_states(full, small, np.ones(small.size))) if not full.model.domains else None
            from odespec.prove.refute.radius import radius_shown

            found = radius_shown(full, goal, claim, member, inputs, ends, kept)
        else:
            direction = stretched(small, plain, jacobian_at(small, plain, plain.x))[1][0]
            found = _ratio_shown(full, small, goal, claim, member, inputs, plain.x[0], direction)
        if found is not None:
            return found
    return None


def _ratio_shown(
    full: Network,
    small: Network,
    goal: Goal,
    claim: Claim,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    x: Array,
    direction: Array,
) -> Counterexample | None:
    for length in (1.0, 1e-2, 1e-4):
        unit = np.round(direction / np.abs(direction).max() * 2.0**10) / 2.0**10 * length
        a, b = (embedded_states(full, small, v) for v in (x, x + unit))
        if not obeys(full, weights, inputs, a, b) or not _solvable(full, weights, inputs):
            continue
        ratios = [_ratio(full, arithmetic, weights, inputs, a, b) for arithmetic in (FLOAT, DECIMAL)]
        if None not in ratios and _stands(goal, *ratios):  # type: ignore[arg-type]
            states = [tuple(unpack(v, full.shapes)) for v in (a, b)]
            found = shown(full.model, goal, claim, weights, inputs, states, float(ratios[0]), RATIO)  # type: ignore[arg-type]
            return replace(found, sentence=_ratio_sentence(found, full.model))
    return None


def _ratio(
    net: Network, arithmetic: Arithmetic, weights: dict[str, Array], inputs: dict[str, Array], x: Array, y: Array
) -> Decimal | None:
    """The ratio of distances in the metric."""
    try:
        with localcontext(CONTEXT), np.errstate(all="ignore"):
            ends = [arithmetic.cast(v) for v in (x, y)]
            images = [apply(net, arithmetic, weights, v, inputs) for v in ends]
            metric, free = metric_at(net.model, arithmetic, weights), free_places(net.model)
            after, before = images[1] - images[0], ends[1] - ends[0]
            top, bottom = after @ metric @ after, before @ metric[free[:, None], free] @ before
            if not bottom > 0:
                return None
            quotient = Decimal(top) / Decimal(bottom) if arithmetic is DECIMAL else Decimal(float(top / bottom))
            return quotient.sqrt() if quotient.is_finite() and quotient >= 0 else None
    except (DecimalException, Unsupported, Inexact, NoSolution, ValueError, OverflowError):
        return None


def _stands(goal: Goal, shown: Decimal, exact: Decimal) -> bool:
    """Whether float64 and fifty digits break the bound beyond rounding."""
    with localcontext(CONTEXT):
        margin, error = exact - goal.bound, abs(exact - shown)
        least = Decimal(MARGIN) * goal.bound
        return bool(margin > least and shown - goal.bound > least and margin > ROUNDING * error)


def _solvable(net: Network, weights: dict[str, Array], inputs: dict[str, Array]) -> bool:
    return not net.runner.implicit or uniquely_solvable(net.runner, weights, inputs)


def _ratio_sentence(c: Counterexample, model: Model) -> str:
    ends = [f"{n} = {show(a)} or {show(b)}" for n, a, b in zip(c.states, c.x, c.y, strict=True)]
    given = ", ".join(p for p in (given_text(c), *ends) if p)
    return f"with {given}, {steps_text(model)} the distance in the metric by {c.measured:.9g}, more than {c.bound:.9g}"


# --- replay ------------------------------------------------------------------------


def _measure_ratio(model: Model, c: Counterexample, map_: Step) -> float:
    claim = next(k for k in model.claims if k.text == c.claim)
    assert isinstance(claim.metric, Expr)
    metric = metric_at(replace(model, output=("metric", claim.metric)), FLOAT, c.weights)
    images = [np.concatenate([np.ravel(v) for v in map_(states)]) for states in (c.x, c.y)]
    ends = [np.concatenate([np.ravel(v) for v in states]) for states in (c.x, c.y)]
    free = free_places(model)
    after, before = images[1] - images[0], ends[1] - ends[0]
    return float(np.sqrt((after @ metric @ after) / (before @ metric[free[:, None], free] @ before)))


register(
    Quantity(
        RATIO, "the ratio of the distances after and before, in the metric of the claim", _measure_ratio, whole=True
    )
)
