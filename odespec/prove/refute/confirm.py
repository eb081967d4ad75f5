"""The last word on a counterexample: at the sizes of the spec, on the final arrays, its constraints checked exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import DecimalException, localcontext

import numpy as np

from odespec.prove.refute.goal import Goal, decimal_norm, norm
from odespec.prove.refute.mapping import Network, apply, arguments, read
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Array, Inexact
from odespec.weights.evaluate import Unsupported
from odespec.weights.membership import violations
from odespec.weights.steps import NoSolution, unpack

MARGIN = 1e-9
"""The violation in relation to the bound."""
ROUNDING = 100
"""The violation in relation to the difference between float64 and fifty digits."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """``ratio``: as measured in float64, the value that a replay shows."""

    ratio: float
    x: tuple[Array, ...]
    y: tuple[Array, ...]


def confirm(
    net: Network, goal: Goal, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array
) -> Confirmed | None:
    """Whether two states ``[n]`` break the claim beyond doubt: None if not.

    The arrays obey the model exactly; the ratio of distances in float64 breaks the bound by `MARGIN`, and by
    `ROUNDING` times what it differs from the ratio in decimals of fifty digits, which breaks the bound as well; the
    equations of implicit steps have one solution each, found to 1e-12.
    """
    if not obeys(net, weights, inputs, x, y):
        return None
    ratio = float_ratio(net, goal, weights, inputs, x, y)
    if ratio is None or not goal.excess(ratio) > MARGIN * goal.target:
        return None
    if not _stands(net, goal, weights, inputs, x, y, ratio):
        return None
    if net.runner.implicit and not _solvable(net, weights, inputs, x, y):
        return None
    return Confirmed(ratio, tuple(unpack(x, net.shapes)), tuple(unpack(y, net.shapes)))


def _solvable(net: Network, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array) -> bool:
    """Whether the equations of both runs have one solution each: for all states, at the inputs of either run."""
    ends = (x,) if net.by is None else (x, y)
    return all(uniquely_solvable(net.runner, weights, arguments(net, v, inputs)[1]) for v in ends)


def obeys(net: Network, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array) -> bool:
    """Whether all arrays obey the model exactly, and the states differ."""
    model = net.model
    (first, one), (second, two) = (arguments(net, v, inputs) for v in (x, y))
    if np.array_equal(x, y) or violations(model, weights, first, [one[u.name] for u in model.inputs]):
        return False
    alone = replace(model, params=(), constraints=())
    return not violations(alone, {}, second, [two[u.name] for u in model.inputs])


def float_ratio(
    net: Network, goal: Goal, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, y: Array
) -> float | None:
    """The ratio of distances as the reference interpreter computes it; None where it fails or is not finite."""
    from odespec.program.interpret import run

    images = []
    for v in (x, y):
        states, given = arguments(net, v, inputs)
        try:
            final = run(net.runner.program, weights, states, [given[u.name] for u in net.model.inputs])
        except ArithmeticError:
            return None
        images.append(read(net, FLOAT, weights, [np.asarray(f) for f in final], given))
    with np.errstate(all="ignore"):
        ratio = float(norm(images[1] - images[0], goal.p) / norm(y - x, goal.p))
    return ratio if np.isfinite(ratio) else None


def _stands(
    net: Network,
    goal: Goal,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    x: Array,
    y: Array,
    ratio: float,
) -> bool:
    """Whether fifty digits show the same violation."""
    try:
        with localcontext(CONTEXT):
            ends = [DECIMAL.cast(v) for v in (x, y)]
            images = [apply(net, DECIMAL, weights, v, inputs) for v in ends]
            after, before = (decimal_norm(b - a, goal.p) for a, b in (images, ends))
            exact = after / before
            margin = exact - goal.bound if goal.side == "upper" else goal.bound - exact
            error = abs(exact - CONTEXT.create_decimal_from_float(ratio))
            return bool(margin > CONTEXT.create_decimal_from_float(MARGIN) * goal.bound and margin > ROUNDING * error)
    except (DecimalException, Unsupported, Inexact, NoSolution, ValueError, OverflowError):
        return False
