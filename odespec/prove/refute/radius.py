"""Refutation of every inner product at once.

In any inner product, a differentiable map that multiplies distances by at most L has derivatives of norm at most L at
every state. So the spectral radius of a product of k derivatives, at whatever states, is at most L^k: a product with a
larger one rules out every metric (the joint spectral radius; Rota & Strang 1960). Looked at are products of powers of the
derivatives at two states; of a map that conserves a volume only those can grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext

import numpy as np

from odespec.ir.model import Claim, Model
from odespec.prove.refute.confirm import obeys
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.mapping import Network, apply
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.refute.stretch import WORDS, given_text, growth, shown
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.weights.arithmetic import CONTEXT, DECIMAL, Array, Inexact
from odespec.weights.evaluate import Unsupported
from odespec.weights.steps import NoSolution, unpack

CLEAR = Decimal("1e-6")
"""The least violation, in relation to the bound."""

MAX_JACOBIAN = 24
DELTA = Decimal(1).scaleb(-16)
RADIUS = "spectral radius"

Values = dict[str, Array]


def radius_shown(
    full: Network,
    goal: Goal,
    claim: Claim,
    weights: Values,
    inputs: Values,
    ends: Sequence[Array],
    kept: Array | None,
) -> Counterexample | None:
    """A counterexample by the derivatives at the first of two states, the second, or both; None if none stands.

    ``kept``: entries that the map may take to themselves.
    """
    for pair in ((ends[0], ends[0]), (ends[1], ends[1]), tuple(ends)):
        if not all(_allowed(full, weights, inputs, v) for v in pair):
            continue
        exact = _least_radius(full, weights, inputs, pair, kept)
        with localcontext(CONTEXT):
            if exact is None or not exact > goal.bound * (1 + CLEAR):
                continue
        states = [tuple(unpack(v, full.shapes)) for v in pair]
        found = shown(full.model, goal, claim, weights, inputs, states, float(exact), RADIUS)
        measured = _replayed(full, found)
        if measured is not None and measured > goal.target * (1 + float(CLEAR)):
            return replace(found, measured=measured, sentence=_sentence(found, measured))
    return None


def _allowed(net: Network, weights: Values, inputs: Values, x: Array) -> bool:
    """Whether a state lies inside the domain, where derivatives obey what distances do; and its steps are solvable."""
    around = np.eye(len(x)) * 2.0**-20 if net.model.domains else np.eye(1, len(x))
    if not all(obeys(net, weights, inputs, x, x + sign * d) for d in around for sign in (1, -1)):
        return False
    return not net.runner.implicit or uniquely_solvable(net.runner, weights, inputs)


# --- in decimals -------------------------------------------------------------------


def _least_radius(
    net: Network, weights: Values, inputs: Values, ends: Sequence[Array], kept: Array | None
) -> Decimal | None:
    """A lower bound, in decimals, of the root of the spectral radius of the product of the derivatives at two states."""
    places = kept if kept is not None and len(kept) < net.size else np.arange(net.size)
    if len(places) > MAX_JACOBIAN:
        return None
    try:
        with localcontext(CONTEXT):
            first, second = (derivative(net, weights, inputs, x, places) for x in ends)
            return None if first is None or second is None else _least_growth(first, second)
    except (DecimalException, Unsupported, Inexact, NoSolution, ValueError, OverflowError):
        return None


def _least_growth(first: Array, second: Array) -> Decimal:
    """As `odespec.prove.refute.stretch.growth`, from below."""
    best = by_traces(first)
    powers = {1: (first, second)}
    for k in (4, 16):
        a, b = (x @ x for x in powers[k // 4])
        powers[k] = a @ a, b @ b
    for m, n in WORDS:
        best = max(best, by_traces(powers[m][0] @ powers[n][1]) ** (1 / Decimal(m + n)))
    return best


def derivative(net: Network, weights: Values, inputs: Values, x: Array, places: Array) -> Array | None:
    """The derivative at a state that is no kink, on coordinates that the map takes to themselves; else None."""
    start = DECIMAL.cast(x)
    middle = apply(net, DECIMAL, weights, start, inputs)
    others = np.setdiff1d(np.arange(len(x)), places)
    columns = []
    for i in places:
        step = np.array([DELTA if k == i else Decimal(0) for k in range(len(x))], dtype=object)
        forth = (apply(net, DECIMAL, weights, start + step, inputs) - middle) / DELTA
        back = (middle - apply(net, DECIMAL, weights, start - step, inputs)) / DELTA
        size = max(abs(v) for v in forth) + 1
        if max(abs(v) for v in forth - back) > size * Decimal("1e-8"):
            return None
        if any(abs(v) > Decimal("1e-20") for v in forth[others]):
            return None
        columns.append(((forth + back) / 2)[places])
    return np.array(columns, dtype=object).T


def by_traces(matrix: Array) -> Decimal:
    """A lower bound of the spectral radius: ``|tr(A^k)| <= n rho^k`` for every k."""
    n, best = Decimal(len(matrix)), Decimal(0)
    for power, square in ((1, matrix), (3, matrix @ matrix @ matrix)):
        k, current = power, square
        for _ in range(12):
            trace = abs(sum(current[i, i] for i in range(len(current))))
            if trace:
                best = max(best, (trace / n) ** (1 / Decimal(k)))
            current, k = current @ current, 2 * k
    return best


# --- what is shown -----------------------------------------------------------------


def _sentence(c: Counterexample, measured: float) -> str:
    same = all(np.array_equal(a, b) for a, b in zip(c.x, c.y, strict=True))
    ends = zip(c.states, c.x, c.y, strict=True)
    at = [f"{n} = {show(a)}" if same else f"{n} = {show(a)} and {show(b)}" for n, a, b in ends]
    given = ", ".join(p for p in (given_text(c), *at) if p)
    what = "has a spectral radius of" if same else "at the two has products that grow, by factor,"
    return (
        f"with {given}, the derivative of the map {what} {measured:.9g}, more than {c.bound:.9g}:"
        " no inner product allows that"
    )


def _measure(model: Model, c: Counterexample, whole: Step) -> float:
    first, second = (_by_differences(whole, states) for states in (c.x, c.y))
    return float(growth(first, second))


def _by_differences(whole: Step, states: Sequence[Array]) -> Array:
    """The derivative by central differences."""
    shapes = tuple(v.shape for v in states)
    x = np.concatenate([np.ravel(v) for v in states]).astype(float)
    delta = 1e-5 * (1.0 + float(np.abs(x).max()))

    def image(v: Array) -> Array:
        return np.concatenate([np.ravel(w) for w in whole(unpack(v, shapes))])

    units = delta * np.eye(len(x))
    return np.array([(image(x + u) - image(x - u)) / (2 * delta) for u in units]).T


def _replayed(net: Network, c: Counterexample) -> float | None:
    from odespec.prove.refute.onestep import interpreted_map

    try:
        value = _measure(net.model, c, interpreted_map(net.runner.program, c))
    except ArithmeticError:
        return None
    return value if np.isfinite(value) else None


DOC = "the growth in every inner product: the mean growth of products of the derivatives at two states"
register(Quantity(RADIUS, DOC, _measure, whole=True))
