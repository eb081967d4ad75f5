"""Refutation of claims in a metric about the flow.

In a given metric: two exact solutions, enclosed over the whole time. In *some* metric: an equilibrium at which the
derivative of the field has an eigenvalue of too large a real part; the flow's derivative there is its exponential, of
which no inner product has a norm below the spectral radius.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from odespec.ir.expr import TIME, Expr, depends_on
from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered, lower, state_leaves
from odespec.prove.refute.candidates import Candidates
from odespec.prove.refute.confirm import MARGIN, obeys
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.enclosure import Metric, flow, ratio_bounds
from odespec.prove.refute.enlarge import embedded, embedded_states, levels
from odespec.prove.refute.flowpair import integrable, moderate
from odespec.prove.refute.goal import Goal, duration, goals
from odespec.prove.refute.mapping import Network, network
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.refute.radius import by_traces
from odespec.prove.refute.stretch import (
    GRIDS,
    free_places,
    given_text,
    jacobian_at,
    metric_at,
    search_metric,
    shown,
    sizes,
    stretched,
)
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Arithmetic, Array, Inexact, decimal
from odespec.weights.draw import draw
from odespec.weights.evaluate import Plan, Unsupported, evaluate, plan
from odespec.weights.project import project
from odespec.weights.sampling import exactly
from odespec.weights.steps import pack, step_leaves, unpack

if TYPE_CHECKING:
    from odespec.prove.refute.distance import Budget

FLOW_RATIO = "ratio in the metric, of the flow"
ABSCISSA = "spectral abscissa"
TRIES = 200
MAX_ENTRIES = 24
DELTA = Decimal(1).scaleb(-16)
CLEAR = 1e-6

Values = Mapping[str, Array]


def refute_metric_flow(model: Model, claim: Claim, *, seed: int, budget: Budget) -> Counterexample | None:
    """A counterexample to an upper claim about the flow in a metric; None if none was found."""
    given = claim.metric if isinstance(claim.metric, Expr) else None
    (goal,) = goals(model, replace(claim, metric=None))
    try:
        if given is None:
            return _unstable(model, claim, goal, seed)
        return _expanding(replace(model, output=("metric", given)), claim, goal, seed, budget)
    except (Unsupported, NotLowered, TypeError):
        return None


# --- a given metric --------------------------------------------------------------


def _expanding(model: Model, claim: Claim, goal: Goal, seed: int, budget: Budget) -> Counterexample | None:
    full = network(lower(integrable(model)), "map")
    effort = replace(budget.effort, faint=1e-4)
    for small, own in levels(moderate(full.model), full, "map", effort, budget.sizes, budget.operations):
        rng = np.random.default_rng([seed, small.size])
        for candidate in islice(search_metric(small, goal, rng, own, budget.over), budget.confirmations):
            found = None if budget.over() else _realised(full, small, goal, claim, candidate)
            if found is not None:
                return found
    return None


def _realised(full: Network, small: Network, goal: Goal, claim: Claim, candidate: Candidates) -> Counterexample | None:
    for digits in GRIDS:
        plain = candidate
        if digits is not None:
            unit = 2.0**digits
            plain = candidate.map(lambda v, unit=unit: np.round(v * unit) / unit)  # type: ignore[misc]
        weights, inputs = embedded(full, small, plain)
        member = exactly(full.model, weights)
        if member is None:
            continue
        direction = stretched(small, plain, jacobian_at(small, plain, plain.x))[1][0]
        step = np.round(direction / np.abs(direction).max() * 2.0**10) / 2.0**10
        a, b = (embedded_states(full, small, v) for v in (plain.x[0], plain.x[0] + step))
        if not obeys(full, member, inputs, a, b):
            continue
        ratio = _ratio(full.model, goal, member, inputs, a, b)
        if ratio is not None and ratio > goal.target * (1 + MARGIN):
            states = [tuple(unpack(v, full.shapes)) for v in (a, b)]
            found = shown(full.model, goal, claim, member, inputs, states, ratio, FLOW_RATIO)
            return replace(found, sentence=_words(found))
    return None


def _ratio(model: Model, goal: Goal, weights: Values, inputs: Values, x: Array, y: Array) -> float | None:
    """The least ratio of distances in the metric that the enclosure of two solutions leaves possible."""
    with localcontext(CONTEXT):
        whole, free = metric_at(model, DECIMAL, weights), free_places(model)
        metric = Metric(whole, whole[free[:, None], free])
        bounds = ratio_bounds(flow(model, weights, inputs), goal, x, y, metric)
    return None if bounds is None or not np.isfinite(bounds[0]) else bounds[0]


def _words(c: Counterexample) -> str:
    ends = [f"{n} = {a.tolist()} or {b.tolist()}" for n, a, b in zip(c.states, c.x, c.y, strict=True) if a.size <= 9]
    given = ", ".join(p for p in (given_text(c), *ends) if p)
    return f"with {given}, the exact flow multiplies the distance in the metric by {c.measured:.9g}, more than {c.bound:.9g}"


def _measure_ratio(model: Model, c: Counterexample, whole: Step) -> float:
    claim = next(k for k in model.claims if k.text == c.claim)
    assert isinstance(claim.metric, Expr)
    x, y = (np.concatenate([np.ravel(v) for v in states]) for states in (c.x, c.y))
    goal = Goal("upper", 2, Decimal(c.bound))
    ratio = _ratio(replace(model, output=("metric", claim.metric)), goal, c.weights, c.inputs, x, y)
    return float("nan") if ratio is None else ratio


# --- every metric ----------------------------------------------------------------


def _unstable(model: Model, claim: Claim, goal: Goal, seed: int) -> Counterexample | None:
    """An equilibrium at zero that is too unstable; of models whose field is the same at all times."""
    field = plan(model.field)
    varying = any(p.per_step for p in model.params) or any(u.per_step for u in model.inputs)
    if varying or any(n == TIME for n in field.nodes) or any(s.initial is not None for s in model.states):
        return None
    if sum(sizes(model)) > MAX_ENTRIES or any(depends_on(r.operand, "state") for r in model.domains):
        return None
    allowed = _allowed(goal, model)
    for weights, inputs in _data(model, seed):
        x = np.zeros(sum(sizes(model)))
        jacobian = _jacobian(model, field, FLOAT, weights, inputs, x)
        if jacobian is None or np.linalg.eigvals(jacobian.astype(float)).real.max() <= allowed + CLEAR:
            continue
        member = exactly(model, weights)
        value = None if member is None else _abscissa(model, field, member, inputs, x)
        if member is not None and value is not None and value > allowed + CLEAR:
            states = tuple(unpack(x, tuple(s.shape for s in model.states)))
            own = replace(goal, bound=Decimal(allowed))
            found = shown(model, own, claim, member, dict(inputs), [states, states], value, ABSCISSA)
            at = ", ".join(p for p in (given_text(found), "at zero") if p)
            what = f"the derivative of the field has an eigenvalue of real part {value:.9g}, more than {allowed:.9g}"
            return replace(found, sentence=f"with {at}, an equilibrium, {what}: no inner product allows that")
    return None


def _allowed(goal: Goal, model: Model) -> float:
    """The largest real part that the claim allows."""
    with localcontext(CONTEXT):
        return float(goal.bound.ln() / decimal(duration(model)))


def _data(model: Model, seed: int) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """Weights with all vectors zero where that is allowed, inputs zero."""
    rng = np.random.default_rng([seed, 7])
    batch = draw(model, rng, TRIES)
    flat = {p.name: len(p.shape) < 2 for p in model.params}
    zeroed = project(model, {n: w * 0 if flat[n] and w.ndim > 1 else w for n, w in batch.items()})
    inputs = {u.name: np.zeros(u.shape) for u in model.inputs}
    for k in range(TRIES if batch else 1):
        yield {n: w[k] for n, w in zeroed.items()}, inputs


def _field(model: Model, field: Plan, arithmetic: Arithmetic, weights: Values, inputs: Values, z: Array) -> Array:
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    held |= {("input", n): arithmetic.cast(u) for n, u in inputs.items()}
    leaves = step_leaves(model, held, 0)
    states = state_leaves(model)
    parts = unpack(z, tuple(s.shape for s in states))
    return pack(
        evaluate(field, arithmetic, leaves | {(s.op, s.data): v for s, v in zip(states, parts, strict=True)}), states
    )


def _jacobian(
    model: Model, field: Plan, arithmetic: Arithmetic, weights: Values, inputs: Values, x: Array
) -> Array | None:
    """The derivative of the field at an equilibrium that is no kink; else None."""
    start, delta = arithmetic.cast(x), DELTA if arithmetic is DECIMAL else 1e-6
    middle = _field(model, field, arithmetic, weights, inputs, start)
    if any(v != 0 for v in middle):
        return None
    columns = []
    for i in range(len(x)):
        step = np.array([delta if k == i else delta * 0 for k in range(len(x))])
        forth = _field(model, field, arithmetic, weights, inputs, start + step) / delta
        back = -_field(model, field, arithmetic, weights, inputs, start - step) / delta
        if not all(np.isfinite([float(v) for v in forth])) or max(abs(forth - back)) > delta * 100 * (
            max(abs(forth)) + 1
        ):
            return None
        columns.append((forth + back) / 2)
    return np.array(columns).T


def _abscissa(model: Model, field: Plan, weights: Values, inputs: Values, x: Array) -> float | None:
    """A lower bound of the largest real part of an eigenvalue of J: with ``A = I + J/s``, ``rho(A)^2 <= 1 + 2a/s + |J|^2/s^2``."""
    try:
        with localcontext(CONTEXT):
            j = _jacobian(model, field, DECIMAL, weights, inputs, x)
            if j is None:
                return None
            square = sum((v * v for v in j.ravel()), Decimal(0))
            s = 10**5 * (1 + square.sqrt())
            unit = np.array([[Decimal(int(a == b)) for b in range(len(x))] for a in range(len(x))], dtype=object)
            power, k = unit + j / s, 1
            for _ in range(20):
                power, k = power @ power, 2 * k
            rho = by_traces(power) ** (1 / Decimal(k))
            return float(s / 2 * (rho * rho - 1 - square / (s * s)))
    except (DecimalException, Unsupported, Inexact, ValueError, OverflowError):
        return None


def _measure_abscissa(model: Model, c: Counterexample, whole: Step) -> float:
    x = np.concatenate([np.ravel(v) for v in c.x])
    value = _abscissa(model, plan(model.field), c.weights, c.inputs, x)
    return float("nan") if value is None else value


register(
    Quantity(
        FLOW_RATIO,
        "the ratio of the distances of two exact solutions, in the metric",
        _measure_ratio,
        emitted=False,
        whole=True,
    )
)
register(
    Quantity(
        ABSCISSA,
        "the largest real part of an eigenvalue of the field's derivative at an equilibrium",
        _measure_abscissa,
        emitted=False,
    )
)
