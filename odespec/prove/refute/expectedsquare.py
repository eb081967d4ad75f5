"""The root of an expected square at concrete weights: in float64 for replays, and beyond doubt for counterexamples."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import DecimalException, localcontext

import numpy as np

from odespec.ir.model import Model
from odespec.program.fields import state_leaves
from odespec.prove.refute.confined import NotConfined, lower_bound
from odespec.prove.refute.confirm import MARGIN, ROUNDING
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.refute.secondmoment import (
    Moments,
    NotLinear,
    linear,
    moments,
    second_moment,
    specialised,
    step_square,
)
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Arithmetic, Array, Inexact
from odespec.weights.steps import initial_states, pack, unpack

NAME = "root of the expected square"


def root_mean_square(
    m: Moments, arithmetic: Arithmetic, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array
) -> tuple[Array, Array]:
    """The expected squared distance in the end, and the squared distance of the free states in the beginning.

    ``x`` and ``y`` are all free states as one vector. Raises `NotLinear` where the moments are not known.
    """
    model = m.model
    shapes = [s.shape for s in model.free_states]
    ends = [arithmetic.cast(v) for v in (x, y)]
    starts = [initial_states(model, arithmetic, weights, unpack(v, shapes), inputs) for v in ends]
    first, second = (pack(s, state_leaves(model)) for s in starts)
    before = ((ends[0] - ends[1]) ** 2).sum()
    if m.program.steps == 1 and not m.flow:
        return step_square(m, arithmetic, weights, inputs, first, second), before
    own = specialised(m, zeros(model, weights))
    if not linear(own):
        raise NotLinear("the differences do not obey a linear equation")
    return second_moment(own, arithmetic, weights, inputs, first - second), before


def known(m: Moments, weights: Mapping[str, Array]) -> bool:
    """Whether the expected square is known exactly at these weights."""
    return (m.program.steps == 1 and not m.flow) or linear(specialised(m, zeros(m.model, weights)))


def zeros(model: Model, weights: Mapping[str, Array]) -> tuple[str, ...]:
    """The weights that are zero."""
    return tuple(p.name for p in model.params if not weights[p.name].any())


def measured(m: Moments, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array) -> float | None:
    """The root of the ratio in float64, or a bound from below where it is not known; None where it is not finite."""
    try:
        with np.errstate(all="ignore"):
            after, before = root_mean_square(m, FLOAT, weights, inputs, x, y)
            ratio = float(np.sqrt(after / before))
    except NotLinear:
        return at_least(m, weights, inputs, x, y)
    return ratio if np.isfinite(ratio) else None


def at_least(m: Moments, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array) -> float:
    """A bound from below of two runs that start apart in the first entry. Raises `NotLinear` where there is none."""
    model = m.model
    if m.flow or len(model.free_states) != len(model.states) or (x != y)[1:].any():
        raise NotLinear("the differences do not obey a linear equation")
    try:
        return lower_bound(m, weights, inputs, float(x[0]), float(y[0]))
    except NotConfined as error:
        raise NotLinear(str(error)) from None


def stands(
    m: Moments,
    goal: Goal,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    x: Array,
    y: Array,
) -> float | None:
    """The ratio where float64 and fifty digits both break the claim, far above rounding; None otherwise."""
    try:
        ratio = measured(m, weights, inputs, x, y)
        if ratio is None or not goal.excess(ratio) > MARGIN * goal.target:
            return None
        if not known(m, weights):
            return ratio  # a bound from below, by intervals
        with localcontext(CONTEXT):
            after, before = root_mean_square(m, DECIMAL, weights, inputs, x, y)
            exact = (after / before).sqrt()  # type: ignore[attr-defined]
            margin, error = exact - goal.bound, abs(exact - CONTEXT.create_decimal_from_float(ratio))
            far = margin > CONTEXT.create_decimal_from_float(MARGIN) * goal.bound
            return ratio if far and margin > ROUNDING * error else None
    except (DecimalException, Inexact, NotLinear, ValueError, OverflowError):
        return None


def _measure(model: Model, c: Counterexample, step: Step) -> float:
    from odespec.prove.engines.meansquare import stochastic_program

    m = moments(stochastic_program(model, c.subject), c.subject == "flow")
    x, y = (np.concatenate([v.ravel() for v in values]) for values in (c.x, c.y))
    try:
        ratio = measured(m, c.weights, c.inputs, x, y)
    except NotLinear as error:
        raise ArithmeticError(str(error)) from None
    if ratio is None:
        raise ArithmeticError("the expected square is not finite")
    return ratio


register(
    Quantity(
        NAME, "the root of the expected squared distance of two runs by the distance of their starts", _measure, False
    )
)
