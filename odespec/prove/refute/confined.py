"""A lower bound of the expected square where the steps are not linear: on paths that stay in a box, entry by entry.

Two runs start apart in one entry that, at the weights at hand, reads no other entry. On the event that every increment
so far is at most K roots of its variance, that entry stays in boxes, on which the slopes of all coefficients are
enclosed. So with L_n <= E[e_n^2; event], factors ``f = sum_j weight_j min slope_j^2`` and ``|e_n| <= D^n |e_0|`` there,

    L_{n+1} >= f L_n - E[e_{n+1}^2; the event ends at this step],

and the last term is small: by Cauchy and Schwarz, and ``E He_n^4 <= 9^n (E He_n^2)^2`` (Nelson's hypercontractivity;
Janson, "Gaussian Hilbert Spaces", 1997, theorem 5.10), times the probability of a large increment.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import exp, inf, sqrt

import numpy as np

from odespec.activations import Interval
from odespec.exact import enclose
from odespec.ir.expr import Expr, act, add, const, div, leaf, mul, postorder, power
from odespec.ir.ranges import magnitude, plus, ranges, times
from odespec.program.directional import NoTangent, directional
from odespec.program.stochastic import ELEMENTWISE
from odespec.prove.refute.secondmoment import Moments
from odespec.records import dataclass
from odespec.weights.arithmetic import EXACT, Array, Inexact
from odespec.weights.evaluate import Unsupported, evaluate, plan
from odespec.weights.steps import step_leaves

Values = Mapping[str, Array]
LEVELS = (3.5, 4.5, 6.0, 9.0, 14.0, 18.0)
"""How many deviations an increment may have."""
ABOVE, BELOW = 1 + 1e-9, 1 - 1e-9
"""Far above the rounding of a handful of operations in float64."""


class NotConfined(ValueError):
    """The first entry reads others, or the slopes are not enclosed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of the first entry: the new state, and the coefficients with their weights and degrees, as scalars."""

    update: Expr
    slope: Expr
    slopes: tuple[Expr, ...]
    weights: tuple[Fraction, ...]
    degrees: tuple[int, ...]


STATE = leaf("state", "entry", ())


def lower_bound(m: Moments, weights: Values, inputs: Values, x: float, y: float) -> float:
    """At most the root of the expected square in the end by the distance, of runs from x and y in the first entry.

    Raises `NotConfined`.
    """
    try:
        steps = [_entry(m, weights, inputs, k) for k in range(m.program.steps if m.varies else 1)]
    except (Inexact, Unsupported, NoTangent) as error:
        raise NotConfined(str(error)) from None
    best = 0.0
    for level in LEVELS:
        best = max(best, _along(m, steps, Fraction(x), Fraction(y), level))
    return best


def expansion(m: Moments, weights: Values, inputs: Values, state: float) -> float:
    """The expected square after the first step by that before, of runs close to a state, roughly; -inf where unknown."""
    try:
        step = _entry(m, weights, inputs, 0)
    except (Inexact, Unsupported, NoTangent, NotConfined):
        return -inf
    found = ranges(step.slopes, {STATE: Interval(Fraction(state), Fraction(state))})
    sizes = [found[s].lower for s in step.slopes]
    return sum(float(w) * float(s) ** 2 for w, s in zip(step.weights, sizes, strict=True) if s is not None)


def _along(m: Moments, steps: list[Entry], x: Fraction, y: Fraction, level: float) -> float:
    """The bound with increments of at most ``level`` deviations."""
    box, low, reach = Interval(min(x, y), max(x, y)), 1.0, 1.0
    large = Fraction(level * sqrt(float(m.program.h)) * ABOVE)
    noise = Interval(-large, large)
    rare = sqrt(len(m.model.noises) * exp(-level * level / 2)) * ABOVE
    for k in range(m.program.steps):
        step = steps[k if m.varies else 0]
        known = {STATE: box} | {leaf("noise", w.name, ()): noise for w in m.model.noises}
        found = ranges((step.slope, *step.slopes), known)
        slopes = [found[s] for s in step.slopes]
        sizes, steepest = [magnitude(s) for s in slopes], magnitude(found[step.slope])
        if steepest is None or None in sizes:
            return 0.0
        factor = 0.0 + sum(float(w) * _least(s) ** 2 for w, s in zip(step.weights, slopes, strict=True)) * BELOW
        fourth = _fourth(step, [s for s in sizes if s is not None])
        lost = reach**2 * sqrt(len(sizes) ** 3 * fourth) * rare * ABOVE
        low, reach = max(factor * low - lost, 0.0) * BELOW, reach * float(steepest) * ABOVE
        box = _moved(step, box, found[step.slope], noise, m)
    return sqrt(low) * BELOW


def _fourth(step: Entry, sizes: list[Fraction]) -> float:
    """A bound of ``sum_j E (c_j He_j)^4`` by the squares: Nelson's inequality."""
    terms = zip(sizes, step.weights, step.degrees, strict=True)
    return float(sum(float(s) ** 4 * float(w) ** 2 * 9.0**n for s, w, n in terms))


def _least(slope: Interval) -> float:
    """The smallest size of numbers in an interval."""
    assert slope.lower is not None and slope.upper is not None
    return max(float(slope.lower), -float(slope.upper), 0.0) * BELOW


def _moved(step: Entry, box: Interval, slope: Interval, noise: Interval, m: Moments) -> Interval:
    """Where the entry is after a step, by the mean value theorem."""
    assert box.lower is not None and box.upper is not None
    middle = (box.lower + box.upper) / 2
    known = {STATE: Interval(middle, middle)} | {leaf("noise", w.name, ()): noise for w in m.model.noises}
    centre = ranges((step.update,), known)[step.update]
    return plus(centre, times(slope, Interval(box.lower - middle, box.upper - middle)))


# --- one entry -------------------------------------------------------------------


def _entry(m: Moments, weights: Values, inputs: Values, k: int) -> Entry:
    if len(m.model.states) != 1 or any(c.mixed for c in m.found):
        raise NotConfined("more than one state, or noise that is mixed")
    roots = (m.program.update[0], *(c.value for c in m.found))
    update, *values = _scalars(m, roots, weights, inputs, k)
    slope, *slopes = directional((update, *values), {STATE: const(1)})
    squares = tuple(enclose(c.weight)[0] for c in m.found)
    return Entry(update, slope, tuple(slopes), squares, tuple(len(c.monomial) for c in m.found))


def _scalars(m: Moments, roots: tuple[Expr, ...], weights: Values, inputs: Values, k: int) -> list[Expr]:
    """The first entry of expressions, in the first entries of the state and the noise."""
    moving = {n for n in postorder(*roots) if n.op in ("state", "noise")}
    order = list(postorder(*roots))
    for node in order:
        if any(a in moving for a in node.args):
            moving.add(node)
    fixed = [a for n in order if n in moving for a in n.args if a not in moving]
    fixed += [r for r in roots if r not in moving]
    values = dict(zip(fixed, _exact(m, tuple(fixed), weights, inputs, k), strict=True))
    found: dict[Expr, Expr] = {}
    for node in order:
        if node in moving:
            found[node] = _scalar(node, found, values)
    return [found[r] if r in moving else const(_first(values[r])) for r in roots]


def _exact(m: Moments, nodes: tuple[Expr, ...], weights: Values, inputs: Values, k: int) -> list[Array]:
    program = m.program
    held = {("param", n): EXACT.cast(w) for n, w in weights.items()}
    held |= {("input", n): EXACT.cast(u) for n, u in inputs.items()}
    given: dict[tuple[str, object], Array] = step_leaves(m.model, held, k)
    given["time", None] = np.asarray(EXACT.const(program.start + program.h * k), dtype=object)
    return evaluate(plan(nodes), EXACT, given)


def _first(value: Array) -> Fraction:
    return Fraction(np.asarray(value, dtype=object).ravel()[0])


def _scalar(node: Expr, found: dict[Expr, Expr], values: dict[Expr, Array]) -> Expr:
    if node.op == "state":
        return STATE
    if node.op == "noise":
        return leaf("noise", str(node.data), ())
    if node.op == "matmul" and node.data is None and node.args[0] in values and len(node.args[1].shape) == 1:
        matrix = np.asarray(values[node.args[0]], dtype=object)
        if any(v != 0 for v in matrix[0, 1:]):
            raise NotConfined("a matrix mixes the first entry with others")
        return mul(const(Fraction(matrix[0, 0])), found[node.args[1]])
    if node.op not in ELEMENTWISE:
        raise NotConfined(f"`{node.op}` reads other entries")
    args = [found[a] if a in found else const(_first(values[a])) for a in node.args]
    if node.op == "act":
        assert isinstance(node.data, tuple)
        return act(str(node.data[0]), args[0], node.data[1])
    if node.op == "pow":
        return power(args[0], node.data)  # type: ignore[arg-type]
    return {"add": add, "mul": mul, "div": div}[node.op](*args)
