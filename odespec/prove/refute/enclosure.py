"""Two exact solutions of the differential equation, and bounds of the ratio of their distances.

Linear fields: the difference of two solutions is a matrix exponential times the initial difference, summed in decimals
of fifty digits. Other fields: an approximate solution, how far it is from solving the equation at every time (its
defect), and the differential inequality ``E' <= mu E + |defect|`` for its error, with mu a bound of the logarithmic
norm near the solution (`odespec.prove.refute.tube`), or over all slopes where there is no symbolic derivative (Hairer,
Nørsett & Wanner, Solving Ordinary Differential Equations I, I.10.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import DecimalException, localcontext
from functools import partial
from math import expm1, sqrt

import numpy as np

from odespec.ir.expr import TIME
from odespec.program.directional import NoTangent, directional
from odespec.prove.refute import tube
from odespec.prove.refute.flowfield import Flow, field_at, flow, start_of
from odespec.prove.refute.flowlinear import Metric, linear_ratio
from odespec.prove.refute.goal import Goal, duration, norm
from odespec.prove.refute.uniqueness import slopes
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Array, Inexact
from odespec.weights.evaluate import Unsupported, plan

Values = Mapping[str, Array]
ROUNDING = 1e-12
"""Relative allowance for float64 rounding in defects: some four thousand units in the last place."""


def ratio_bounds(f: Flow, goal: Goal, x: Array, y: Array, metric: Metric | None = None) -> tuple[float, float] | None:
    """Lower and upper bound of the ratio of distances of the exact solutions from two free initial states ``[n]``.

    None where the field is of no kind that can be enclosed. In a metric the norm of the goal is not looked at.
    """
    bounds = _everywhere(f)
    timed = any(n == TIME for n in f.field.nodes)
    try:
        if bounds is not None and not timed and all(b.linear for b in bounds):
            return linear_ratio(f, goal, x, y, [b.size for b in bounds], metric)
        linear = bounds is not None and all(b.linear for b in bounds)
        near = _local(f, goal, x, y, metric, linear=linear)
        if near is not None or bounds is None:
            return near
        return _nonlinear(f, goal, x, y, bounds, metric)
    except _FAILURES:
        return None


_FAILURES = (Unsupported, Inexact, DecimalException, OverflowError, FloatingPointError)


def _everywhere(f: Flow) -> list[_Slopes] | None:
    """Bounds of the slopes for all states, piece by piece; None where they have none."""
    try:
        return [_slope_bounds(f, k) for k in range(f.pieces)]
    except (Unsupported, DecimalException):
        return None


@dataclass(frozen=True, slots=True)
class _Slopes:
    """Over all states and times of one piece.

    ``size`` bounds the norm of the field's derivative by the states, ``mu`` its logarithmic norm, ``drift`` the norm of
    its derivative by the time.
    """

    linear: bool
    size: float
    mu: float
    drift: float


def _slope_bounds(f: Flow, k: int) -> _Slopes:
    middle, radius = slopes(f.field, (*f.states, TIME), f.leaves(k))
    n = middle.shape[0]
    if not (np.isfinite(middle).all() and np.isfinite(radius).all()):
        raise Unsupported("an unbounded slope")
    by_state, by_time = middle[:, :n], np.abs(middle[:, n:]) + radius[:, n:]
    spread = float(np.linalg.norm(radius[:, :n])) * (1 + ROUNDING)
    size = float(np.linalg.norm(by_state, 2)) * (1 + 1e-9) + spread
    mu = float(np.linalg.eigvalsh((by_state + by_state.T) / 2)[-1]) + 1e-9 * size + spread
    return _Slopes(_ordinary(f) and not radius.any(), size, mu, float(np.linalg.norm(by_time)) * (1 + 1e-9))


def _ordinary(f: Flow) -> bool:
    """Whether no radius can vanish by underflow: all entries are zero or of ordinary size."""
    sizes = [np.abs(v[v != 0]) for v in (*f.weights.values(), *f.inputs.values())]
    return all(((s > 1e-60) & (s < 1e60)).all() for s in sizes)


# --- other fields, near the solutions ------------------------------------------

COUNTS = (200, 800, 3200)
"""Steps over the whole interval, until the bounds are tight enough."""
CLOSE = 1.1
"""Bounds that break a claim are made no closer than by this factor of each other."""
LARGEST = 8_000_000
"""Entries of all derivatives together that are worth their time."""


def _local(
    f: Flow, goal: Goal, x: Array, y: Array, metric: Metric | None, *, linear: bool
) -> tuple[float, float] | None:
    """Bounds of the ratio from tubes around both solutions; None where there are none."""
    result = None
    try:
        f, z = _homogeneous(f, x, y) if linear else (f, np.stack([start_of(f, FLOAT, v) for v in (x, y)]))
        what = tube.fields(f.states, tuple(f.field.nodes[i] for i in f.field.roots))
    except (Unsupported, NoTangent):
        return None
    for count in COUNTS:
        if 2 * count * what.size**2 > LARGEST:
            break
        try:
            ends, errors = _tubes(f, what, z, count)
        except (tube.NotEnclosed, *_FAILURES):
            if count == COUNTS[0]:
                continue
            break
        found, settled = _bounds(goal, y - x, ends[1] - ends[0], float(sum(errors)), metric)
        result = found if result is None else (max(result[0], found[0]), min(result[1], found[1]))
        if settled and (goal.side == "lower" or found[1] < found[0] * CLOSE or found[1] < goal.target):
            break
    return result


def _homogeneous(f: Flow, x: Array, y: Array) -> tuple[Flow, Array]:
    """Of a field that is linear in the states: the equation of differences, and zero and the difference as starts."""
    field = directional((f.field.nodes[i] for i in f.field.roots), {s: s for s in f.states})
    with localcontext(CONTEXT):
        first, second = (start_of(f, DECIMAL, DECIMAL.cast(v)) for v in (x, y))
        difference = np.asarray(second - first, dtype=np.float64)
    return replace(f, field=plan(field)), np.stack([0 * difference, difference])


def _tubes(f: Flow, what: tube.Fields, z: Array, count: int) -> tuple[Array, Array]:
    """Approximate final states ``[runs, n]`` and bounds ``[runs]`` of their distances from the exact ones."""
    length = float(duration(f.model)) / f.pieces
    begin = 0.0 if f.model.time is None else float(f.model.time.start)
    steps = max(2, count // f.pieces)
    errors, fastest = ROUNDING * (1e-280 + _sizes(z)), 0.0
    for k in range(f.pieces):
        p = tube.integrate(partial(field_at, f, k), z, begin + k * length, length / steps, steps)
        errors = tube.follow(what, f.leaves(k), p, errors)
        fastest = max(fastest, float(_sizes(p.left).max()))
        errors, z = errors + ROUNDING * length * fastest, p.last[:, -1]
    return z, errors * (1 + ROUNDING) + ROUNDING * _sizes(z)


def _bounds(
    goal: Goal, start: Array, end: Array, error: float, metric: Metric | None
) -> tuple[tuple[float, float], bool]:
    """Bounds of the ratio, and whether closer ones would not help."""
    before, after, scale = _measured(goal, start, end, metric)
    low = (after * (1 - ROUNDING) - error * scale) / before * (1 - ROUNDING)
    high = (after * (1 + ROUNDING) + error * scale) / before * (1 + ROUNDING)
    settled = low > goal.target or high < goal.target or not goal.excess(after / before) > 0
    return (low, high), settled


# --- other fields, with bounds for all states ----------------------------------

SAMPLES = (4_000, 40_000, 200_000)
"""How many times the defect is looked at, over the whole interval, until the bounds are tight enough."""


def _nonlinear(
    f: Flow, goal: Goal, x: Array, y: Array, bounds: list[_Slopes], metric: Metric | None
) -> tuple[float, float] | None:
    length = float(duration(f.model)) / f.pieces
    growth = sum(max(b.mu, 0.0) * length for b in bounds)
    if growth > 25 or max(b.size for b in bounds) * length > 2000:
        return None
    result = None
    for samples in SAMPLES:
        ends, errors = zip(*(_enclosed(f, v, bounds, samples) for v in (x, y)), strict=True)
        error = sum(errors)
        result, settled = _bounds(goal, y - x, ends[1] - ends[0], error, metric)
        if settled or not np.isfinite(error):
            break
    return result


def _measured(goal: Goal, start: Array, end: Array, metric: Metric | None) -> tuple[float, float, float]:
    """Both distances, and by how much an error in the 2-norm counts in theirs."""
    if metric is None:
        scale = sqrt(len(end)) if goal.p == 1 else 1.0
        return float(norm(start, goal.p)), float(norm(end, goal.p)), scale
    free, whole = metric.free.astype(float), metric.whole.astype(float)
    scale = sqrt(float(np.linalg.norm(whole))) * (1 + ROUNDING)
    return sqrt(float(start @ free @ start)), sqrt(float(end @ whole @ end)), scale


def _enclosed(f: Flow, x: Array, bounds: list[_Slopes], samples: int) -> tuple[Array, float]:
    """The approximate final state and a bound of its distance from the exact one."""
    length = float(duration(f.model)) / f.pieces
    begin = 0.0 if f.model.time is None else float(f.model.time.start)
    z = start_of(f, FLOAT, x)
    error = ROUNDING * float(_sizes(z))
    for k, b in enumerate(bounds):
        count = max(2, samples // f.pieces // 20)
        step = length / count
        nodes, slopes_at = _integrated(f, k, z, begin + k * length, step, count)
        defects = _defects(f, k, nodes, slopes_at, begin + k * length, step, b)
        grow, add = np.exp(b.mu * step) * (1 + ROUNDING), _averaged(b.mu, step)
        for d in defects:
            error = error * grow + add * d
        z = nodes[-1]
    return z, float(error) * (1 + ROUNDING) + ROUNDING * float(np.max(np.abs(z), initial=0.0))


def _averaged(mu: float, step: float) -> float:
    """The integral of ``exp(mu s)`` over a step."""
    return (expm1(mu * step) / mu if abs(mu * step) > 1e-12 else step) * (1 + 1e-9)


def _integrated(f: Flow, k: int, z: Array, begin: float, step: float, count: int) -> tuple[Array, Array]:
    """States ``[count + 1, n]`` by the classical Runge–Kutta method, and the field there."""
    nodes = [z]
    for i in range(count):
        t = np.asarray(begin + i * step)
        k1 = field_at(f, k, t, z)
        k2 = field_at(f, k, t + step / 2, z + step / 2 * k1)
        k3 = field_at(f, k, t + step / 2, z + step / 2 * k2)
        k4 = field_at(f, k, t + step, z + step * k3)
        z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        nodes.append(z)
    states = np.stack(nodes)
    times = begin + step * np.arange(count + 1)
    return states, field_at(f, k, times, states)


def _defects(f: Flow, k: int, nodes: Array, values: Array, begin: float, step: float, b: _Slopes) -> Array:
    """For each step a bound of ``|p' - f(t, p)|`` along the cubic p through the nodes with the field as its slopes.

    Looked at in the middle of twenty parts; within a part of half-width w the defect moves by at most
    ``w (max |p''| + |f_x| max |p'| + |f_t|)``, and p'' is linear, p' quadratic in time. By rounding p misses the next
    node a little; these jumps are spread over the step.
    """
    parts = 20
    first, last, left, right = nodes[:-1], nodes[1:], values[:-1], values[1:]
    c2 = (3 * (last - first) / step - 2 * left - right) / step
    c3 = (left + right - 2 * (last - first) / step) / step**2
    bend = np.maximum(_sizes(2 * c2), _sizes(2 * c2 + 6 * c3 * step))
    speed = _sizes(left) + bend * step
    worst = np.zeros(len(first))
    starts = begin + step * np.arange(len(first))
    data = 1.0 + sum(float(np.abs(v).max(initial=0.0)) for v in f.leaves(k).values())
    jumps = ROUNDING * _sizes(last) / step
    for i in range(parts):
        s = step * (i + 0.5) / parts
        p = first + s * (left + s * (c2 + s * c3))
        slope = left + s * (2 * c2 + 3 * s * c3)
        value = field_at(f, k, starts + s, p)
        rounding = ROUNDING * (_sizes(value) + speed + (1.0 + b.size) * (_sizes(p) + data))
        worst = np.maximum(worst, _sizes(slope - value) + rounding)
    return np.asarray(worst + jumps + step / parts / 2 * (bend + b.size * speed + b.drift) * (1 + 1e-9))


def _sizes(v: Array) -> Array:
    return np.asarray(np.sqrt(np.sum(v * v, axis=-1)))


__all__ = ["Flow", "Metric", "flow", "ratio_bounds"]
