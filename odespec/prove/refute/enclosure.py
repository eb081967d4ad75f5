"""Two exact solutions of the differential equation, and bounds of the ratio of their distances.

Linear fields: the difference of two solutions is a matrix exponential times the initial difference, summed in decimals
of fifty digits. Other fields whose slopes are bounded: an approximate solution, how far it is from solving the equation
at every time (its defect), and the differential inequality ``E' <= mu E + |defect|`` for its error, with mu a bound of
the logarithmic norm over all slopes (Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, I.10.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException, localcontext
from math import ceil, expm1, sqrt
from typing import Any

import numpy as np

from odespec.ir.expr import TIME, Expr, leaf
from odespec.ir.model import Model
from odespec.prove.refute.goal import Goal, decimal_norm, duration, norm
from odespec.prove.refute.uniqueness import slopes
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Array, Inexact, decimal
from odespec.weights.evaluate import Plan, Unsupported, evaluate, plan
from odespec.weights.steps import initial_states, pack, step_leaves, unpack

Values = Mapping[str, Array]
ROUNDING = 1e-12
"""Relative allowance for float64 rounding in defects: some four thousand units in the last place."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A model's field with its data at hand, in pieces of constant ``per step`` data."""

    model: Model
    field: Plan
    states: tuple[Expr, ...]
    weights: Values
    inputs: Values

    @property
    def pieces(self) -> int:
        """How many intervals of equal length have constant data."""
        steps = self.model.solver.steps
        varying = any(p.per_step for p in self.model.params) or any(u.per_step for u in self.model.inputs)
        return steps if varying and isinstance(steps, int) else 1

    def leaves(self, k: int) -> dict[tuple[str, object], Array]:
        held = {("param", n): w for n, w in self.weights.items()} | {("input", n): u for n, u in self.inputs.items()}
        return step_leaves(self.model, held, k)


def flow(model: Model, weights: Values, inputs: Values) -> Flow:
    states = tuple(leaf("state", s.name, s.shape) for s in model.states)
    return Flow(model, plan(model.field), states, weights, inputs)


@dataclass(frozen=True, slots=True)
class Metric:
    """The metrics, matrices of decimals, in which differences of all states, and of the free states, are measured."""

    whole: Array
    free: Array


def ratio_bounds(f: Flow, goal: Goal, x: Array, y: Array, metric: Metric | None = None) -> tuple[float, float] | None:
    """Lower and upper bound of the ratio of distances of the exact solutions from two free initial states ``[n]``.

    None where the field is of no kind that can be enclosed. In a metric the norm of the goal is not looked at.
    """
    try:
        timed = any(n == TIME for n in f.field.nodes)
        bounds = [_slope_bounds(f, k) for k in range(f.pieces)]
    except (Unsupported, DecimalException):
        return None
    try:
        if not timed and all(b.linear for b in bounds):
            return _linear(f, goal, x, y, [b.size for b in bounds], metric)
        return _nonlinear(f, goal, x, y, bounds, metric)
    except (Unsupported, Inexact, DecimalException, OverflowError, FloatingPointError):
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


# --- linear fields -------------------------------------------------------------


def _linear(f: Flow, goal: Goal, x: Array, y: Array, sizes: list[float], metric: Metric | None) -> tuple[float, float]:
    with localcontext(CONTEXT):
        ends = [DECIMAL.cast(v) for v in (x, y)]
        first, second = (_start(f, DECIMAL, v) for v in ends)
        difference = second - first
        length = decimal(duration(f.model)) / f.pieces
        for k in range(f.pieces):
            difference = _exponential(f, k, difference, length, sizes[k])
        after = _length(difference, goal, None if metric is None else metric.whole)
        ratio = after / _length(ends[1] - ends[0], goal, None if metric is None else metric.free)
        low, high = ratio * (1 - Decimal("1e-25")), ratio * (1 + Decimal("1e-25"))
    return _below(low), _above(high)


def _length(difference: Array, goal: Goal, metric: Array | None) -> Decimal:
    """Of a vector of decimals."""
    if metric is None:
        return decimal_norm(difference, goal.p)
    square: Decimal = difference @ metric @ difference
    return square.sqrt()


def _exponential(f: Flow, k: int, v: Array, length: Decimal, size: float) -> Array:
    """``exp(length A) v``, in parts with ``|A| s <= 1/2``: the rest of each series is less than its last term."""
    leaves = {key: DECIMAL.cast(value) for key, value in f.leaves(k).items()}
    zero = _field(f, DECIMAL, leaves, v * 0)
    parts = max(1, ceil(2.0 * size * float(length)))
    if parts > 2000:
        raise Unsupported("a field of this size")
    step = length / parts
    for _ in range(parts):
        term = total = v
        for j in range(1, 60):
            term = (_field(f, DECIMAL, leaves, term) - zero) * (step / j)
            total = total + term
            if max(map(abs, term)) <= Decimal("1e-45") * max(map(abs, total)):
                break
        v = total
    return v


def _field(f: Flow, arithmetic: Any, leaves: dict[tuple[str, object], Array], z: Array) -> Array:
    """The field at states packed in one vector."""
    parts = unpack(z, [s.shape for s in f.states])
    values = {(s.op, s.data): v for s, v in zip(f.states, parts, strict=True)}
    return pack(evaluate(f.field, arithmetic, leaves | values), f.states)


def _start(f: Flow, arithmetic: Any, x: Array) -> Array:
    """All states at the start, as one vector, from the free ones."""
    free = unpack(x, [s.shape for s in f.model.free_states])
    return pack(initial_states(f.model, arithmetic, f.weights, free, f.inputs), f.states)


def _below(value: Decimal) -> float:
    return float(np.nextafter(float(value), -np.inf))


def _above(value: Decimal) -> float:
    return float(np.nextafter(float(value), np.inf))


# --- other fields --------------------------------------------------------------

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
        before, after, scale = _measured(goal, y - x, ends[1] - ends[0], metric)
        error = sum(errors) * scale
        low, high = (after * (1 - ROUNDING) - error) / before, (after * (1 + ROUNDING) + error) / before
        result = (low * (1 - ROUNDING), high * (1 + ROUNDING))
        if low > goal.target or high < goal.target or not np.isfinite(error):
            break
        middle = after / before
        if not goal.excess(middle) > 0:
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
    z = _start(f, FLOAT, x)
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


def _at(f: Flow, k: int, times: Array, z: Array) -> Array:
    leaves = f.leaves(k)
    leaves["time", None] = times
    return _field(f, FLOAT, leaves, z)


def _integrated(f: Flow, k: int, z: Array, begin: float, step: float, count: int) -> tuple[Array, Array]:
    """States ``[count + 1, n]`` by the classical Runge–Kutta method, and the field there."""
    nodes = [z]
    for i in range(count):
        t = np.asarray(begin + i * step)
        k1 = _at(f, k, t, z)
        k2 = _at(f, k, t + step / 2, z + step / 2 * k1)
        k3 = _at(f, k, t + step / 2, z + step / 2 * k2)
        k4 = _at(f, k, t + step, z + step * k3)
        z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        nodes.append(z)
    states = np.stack(nodes)
    times = begin + step * np.arange(count + 1)
    return states, _at(f, k, times, states)


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
        value = _at(f, k, starts + s, p)
        rounding = ROUNDING * (_sizes(value) + speed + (1.0 + b.size) * (_sizes(p) + data))
        worst = np.maximum(worst, _sizes(slope - value) + rounding)
    return np.asarray(worst + jumps + step / parts / 2 * (bend + b.size * speed + b.drift) * (1 + 1e-9))


def _sizes(v: Array) -> Array:
    return np.asarray(np.sqrt(np.sum(v * v, axis=-1)))


__all__ = ["Flow", "Metric", "flow", "ratio_bounds"]
