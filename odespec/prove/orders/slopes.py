"""Convergence slopes: how fast the error of a method falls as its steps are halved, in decimals of fifty digits.

Over an interval of length tau the method makes N, 2N, 4N, 8N steps. The reference is Gragg's extrapolated midpoint rule
(Hairer, Norsett & Wanner I, section II.9), whose error falls as
tau^11, or tau^17. As tau goes to zero, the slopes between
consecutive N go to the order of the method on this field: they count once they have settled near a half-integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext
from fractions import Fraction
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np

from odespec.ir.model import Model, Time
from odespec.program.lower import lower
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, Array, Inexact
from odespec.weights.evaluate import Plan, Unsupported, evaluate, plan
from odespec.weights.steps import NoSolution, Runner, initial_states, pack, prepare, run
from odespec.weights.steps import unpack as unpacked

LEVELS = 8
FEWER = 5
"""Of the reference; the smaller number will do for one-step methods up to order four."""

HALVINGS = 4
"""How many numbers of steps are looked at."""

LONGEST = Fraction(1, 4)
SHORTER = Fraction(1, 16)
ATTEMPTS = 6
SETTLED = 0.06
"""A slope so near to a half-integer, twice in a row, has settled."""

FLOOR = 1e-44
SOLVED = 1e-32
"""Errors below these are rounding, or what is left of the equations of an implicit step."""

Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Start:
    """One field of the spec: weights and inputs as in the first step, and all states at its beginning."""

    weights: dict[str, Array]
    inputs: dict[str, Array]
    states: tuple[Array, ...]


def start_of(model: Model, weights: Values, inputs: Values, free: Sequence[Array]) -> Start:
    """From arrays of the sizes of the spec. Raises `Unsupported`, ArithmeticError."""
    with localcontext(CONTEXT):
        states = initial_states(model, DECIMAL, weights, list(free), inputs)
    stepped = {p.name for p in model.params if p.per_step} | {u.name for u in model.inputs if u.per_step}

    def first(given: Values) -> dict[str, Array]:
        return {n: v[0] if n in stepped else v for n, v in given.items()}

    return Start(first(weights), first(inputs), states)


def slopes(model: Model, start: Start, attempts: int, levels: int = LEVELS) -> Iterator[float]:
    """Settled slopes on ever shorter intervals from the beginning of the time. Raises what the evaluation raises."""
    tau = min(_step(model), LONGEST)
    with localcontext(CONTEXT):
        for _ in range(attempts):
            slope = _settled(_errors(model, start, tau, levels))
            if slope is not None:
                yield slope
            tau *= SHORTER


def slope_below(model: Model, start: Start, bound: float, attempts: int = ATTEMPTS) -> float | None:
    """The first settled slope below a bound; None where there is none, or the arithmetic fails."""
    levels = FEWER if bound <= 4 and model.solver.name not in _SEVERAL else LEVELS
    try:
        return next((s for s in slopes(model, start, attempts, levels) if s < bound), None)
    except (DecimalException, Unsupported, Inexact, NoSolution, ArithmeticError, ValueError):
        return None


def _step(model: Model) -> Fraction:
    """About the length of a step, as a fraction."""
    assert model.time is not None
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    return Fraction(float((model.time.end - model.time.start) / steps)).limit_denominator(1 << 20) or SHORTER


def _settled(errors: Sequence[tuple[float, float]]) -> float | None:
    """The last of the slopes between ``(log2 N, log2 error)``, where it and the one before lie near one half-integer."""
    found = [-(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(errors)]
    if len(found) < 2:
        return None
    nearest = round(2 * found[-1]) / 2
    return found[-1] if all(abs(s - nearest) <= SETTLED for s in found[-2:]) else None


def _errors(model: Model, start: Start, tau: Fraction, levels: int) -> list[tuple[float, float]]:
    exact, doubt = _reference(model, start, tau, levels)
    first = 1 if model.solver.name not in _SEVERAL else 8
    errors = []
    for k in range(HALVINGS):
        runner = _refined(model, tau, first << k)
        implicit = bool(runner.solves) or (runner.begin is not None and bool(runner.begin[1]))
        error = _distance(_final(runner, model, start), exact)
        if error <= 1e3 * max(doubt, SOLVED if implicit else FLOOR):
            break
        errors.append((log2(first << k), log2(error)))
    return errors


_SEVERAL = frozenset({"leapfrog", "ab2", "ab3", "bdf2"})


def _refined(model: Model, tau: Fraction, steps: int) -> Runner:
    assert model.time is not None
    time = Time(model.time.start, model.time.start + tau, None, model.time.span)
    plain = replace(
        model,
        states=tuple(replace(s, initial=None) for s in model.states),
        params=tuple(replace(p, per_step=False) for p in model.params),
        inputs=tuple(replace(u, per_step=False) for u in model.inputs),
        solver=replace(model.solver, steps=steps),
        time=time,
        output=None,
        claims=(),
        domains=(),
    )
    return prepare(lower(plain, history=True))


def _final(runner: Runner, model: Model, start: Start) -> Array:
    values = run(runner, DECIMAL, start.weights, list(start.states), start.inputs)
    return pack(values, model.field)


def _distance(a: Array, b: Array) -> float:
    return float(max((abs(x) for x in (a - b).flat), default=Decimal(0)))


# --- the reference ---------------------------------------------------------------


def _reference(model: Model, start: Start, tau: Fraction, levels: int) -> tuple[Array, float]:
    """The states after tau, and how far the last two extrapolated values are apart."""
    shapes = [s.shape for s in model.states]
    x0 = pack(list(start.states), model.field)
    held: dict[tuple[str, object], Any] = {("param", n): DECIMAL.cast(w) for n, w in start.weights.items()}
    held |= {("input", n): DECIMAL.cast(u) for n, u in start.inputs.items()}
    prepared = plan(model.field)
    assert model.time is not None
    begin = DECIMAL.const(model.time.start)

    def field(elapsed: Decimal, x: Array) -> Array:
        leaves = held | {("state", s.name): v for s, v in zip(model.states, unpacked(x, shapes), strict=True)}
        leaves["time", None] = np.asarray(begin + elapsed, dtype=object)
        return _packed(prepared, leaves, model)

    rows: list[Array] = []
    last = x0
    for k in range(levels):
        row = [_midpoint(field, x0, DECIMAL.const(tau), 2 * (k + 1))]
        for j in range(k):
            ratio = DECIMAL.const(Fraction((k + 1) ** 2, (k - j) ** 2))
            row.append(row[j] + (row[j] - rows[j]) / (ratio - 1))
        last = rows[-1] if rows else x0
        rows = row
    return rows[-1], _distance(rows[-1], last)


def _packed(prepared: Plan, leaves: dict[tuple[str, object], Any], model: Model) -> Array:
    return pack(evaluate(prepared, DECIMAL, leaves), model.field)


def _midpoint(field: Any, x: Array, tau: Decimal, steps: int) -> Array:
    h = tau / steps
    before: Array = x
    now: Array = x + h * field(Decimal(0), x)
    for k in range(1, steps):
        before, now = now, before + 2 * h * field(k * h, now)
    return now
