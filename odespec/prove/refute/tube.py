"""Exact solutions enclosed in a tube around an approximate one, with slopes bounded on the tube alone.

On each step the approximate solution p is a cubic. Its defect ``p' - f(t, p)`` is enclosed on parts of the step by the
mean value theorem in time. While the exact solution z stays in the tube, ``|z - p|' <= mu |z - p| + |defect|`` with mu
a bound of the logarithmic norm over the tube (Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I,
I.10.6). Where this bound stays below the radius of the tube, z cannot have left it, and exists to the end. So fields
that are bounded on no more than a part of the space can be enclosed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from odespec.ir.expr import TIME, Expr, leaf
from odespec.program.directional import NoTangent, directional
from odespec.prove.refute.balls import ROUNDING, TINY, Ball, enclose, exactly
from odespec.records import dataclass
from odespec.weights.arithmetic import Array
from odespec.weights.evaluate import Plan, Unsupported, plan
from odespec.weights.steps import unpack

Field = Callable[[Array, Array], Array]
"""The value of the field at times ``[...]`` and states ``[..., n]``, in float64."""
Data = dict[tuple[str, object], Array]
PARTS = 4
"""Of each step, on which the defect is enclosed."""
WIDENINGS = 8
LIMIT = 1e100


class NotEnclosed(ArithmeticError):
    """The solution leaves the tube, or what it meets there is not bounded."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The field of some states and, where they and the time move, its derivative, ready to be enclosed."""

    states: tuple[Expr, ...]
    value: Plan
    by_state: Plan
    along: Plan

    @property
    def size(self) -> int:
        return sum(prod(s.shape) for s in self.states)


def fields(states: tuple[Expr, ...], field: tuple[Expr, ...]) -> Fields:
    """Raises `Unsupported` where there is no symbolic derivative."""
    moves = {s: leaf("direction", str(s.data), s.shape) for s in states}
    try:
        by_state = directional(field, moves)
        along = directional(field, {**moves, TIME: leaf("direction", "", ())})
    except NoTangent as error:
        raise Unsupported(str(error)) from None
    return Fields(states, plan(field), plan(by_state), plan(along))


@dataclass(frozen=True, slots=True)
class Pieces:
    """Cubics ``first + s (left + s (c2 + s c3))``, s the time since ``begin``; arrays ``[runs, steps, n]``."""

    begin: Array
    step: float
    first: Array
    left: Array
    c2: Array
    c3: Array
    last: Array

    def at(self, s: Array | float, order: int) -> Ball:
        """The derivative of an order, at a time s since the beginning."""
        a = (self.first, self.left, self.c2, self.c3)
        factors = ((1.0, 1.0, 1.0, 1.0), (0.0, 1.0, 2.0, 3.0), (0.0, 0.0, 2.0, 6.0), (0.0, 0.0, 0.0, 6.0))[order]
        terms = [f * v * s ** (k - order) for k, (f, v) in enumerate(zip(factors, a, strict=True)) if f]
        middle = np.asarray(sum(terms))
        return Ball(middle, np.asarray(ROUNDING * sum(np.abs(v) for v in terms) + TINY))

    def within(self, s: float, width: float, order: int) -> Ball:
        """The derivative of an order at all times within ``width`` of s: the rest of its Taylor polynomial."""
        centre = self.at(s, order)
        radius, factor = centre.radius, 1.0
        for k in range(order + 1, 4):
            factor *= width / (k - order)
            radius = radius + factor * self.at(s, k).size
        return Ball(centre.middle, radius * (1 + ROUNDING))


def integrate(f: Field, z: Array, begin: float, step: float, count: int) -> Pieces:
    """From states ``[runs, n]``, by the classical Runge–Kutta method. Raises `NotEnclosed` where numbers explode."""
    nodes = [z]
    with np.errstate(all="ignore"):
        for i in range(count):
            t = np.asarray(begin + i * step)
            k1 = f(t, z)
            k2 = f(t + step / 2, z + step / 2 * k1)
            k3 = f(t + step / 2, z + step / 2 * k2)
            k4 = f(t + step, z + step * k3)
            z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if not (np.abs(z) < LIMIT).all():
                raise NotEnclosed("the approximate solution explodes")
            nodes.append(z)
        states = np.stack(nodes, axis=1)
        times = begin + step * np.arange(count + 1)
        slopes = np.broadcast_to(f(times, states), states.shape)
    first, last, left, right = states[:, :-1], states[:, 1:], slopes[:, :-1], slopes[:, 1:]
    c2 = (3 * (last - first) / step - 2 * left - right) / step
    c3 = (left + right - 2 * (last - first) / step) / step**2
    return Pieces(times[:-1], step, first, left, c2, c3, last)


# --- the defect ------------------------------------------------------------------


def defects(what: Fields, data: Data, p: Pieces) -> Array:
    """For each run and step, ``[runs, steps]``, a bound of ``|p' - f(t, p)|`` over the step."""
    worst = np.zeros(p.first.shape[:2])
    width = p.step / PARTS / 2
    for i in range(PARTS):
        s = p.step * (i + 0.5) / PARTS
        here = _difference(p.at(s, 1), _field(what, data, _time(p, s, 0.0), p.at(s, 0)))
        wide = width * (1 + 1e-9)
        time, state, speed = _time(p, s, wide), p.within(s, wide, 0), p.within(s, wide, 1)
        turning = _difference(p.within(s, wide, 2), _moved(what, data, time, state, speed))
        worst = np.maximum(worst, _length(here.size + wide * turning.size))
    return worst


def _time(p: Pieces, s: float, width: float) -> Ball:
    middle = p.begin + s
    return Ball(middle, width + ROUNDING * (np.abs(p.begin) + s) + TINY)


def _field(what: Fields, data: Data, time: Ball, state: Ball) -> Ball:
    leaves = _leaves(what, data, time, state)
    return _packed(what, enclose(what.value, leaves), state)


def _moved(what: Fields, data: Data, time: Ball, state: Ball, speed: Ball) -> Ball:
    """The derivative of the field in time along a motion."""
    leaves = _leaves(what, data, time, state) | _directions(what, speed)
    leaves["direction", ""] = exactly(np.asarray(1.0))
    return _packed(what, enclose(what.along, leaves), state)


def _leaves(what: Fields, data: Data, time: Ball, state: Ball) -> dict[tuple[str, object], Ball]:
    leaves = {key: exactly(v) for key, v in data.items()}
    return leaves | {("time", None): time} | _named(what, "state", state)


def _directions(what: Fields, v: Ball) -> dict[tuple[str, object], Ball]:
    return _named(what, "direction", v)


def _named(what: Fields, op: str, v: Ball) -> dict[tuple[str, object], Ball]:
    shapes = [s.shape for s in what.states]
    parts = zip(unpack(v.middle, shapes), unpack(v.radius, shapes), strict=True)
    return {(op, s.data): Ball(m, r) for s, (m, r) in zip(what.states, parts, strict=True)}


def _packed(what: Fields, parts: list[Ball], like: Ball) -> Ball:
    """The parts of a field as vectors on the last axis, with the batch axes of a ball."""
    batch = like.middle.shape[:-1]
    joined = []
    for side in ("middle", "radius"):
        arrays = [
            np.broadcast_to(getattr(b, side), (*batch, *s.shape)).reshape(*batch, -1)
            for b, s in zip(parts, what.states, strict=True)
        ]
        joined.append(np.concatenate(arrays, axis=-1))
    return Ball(joined[0], joined[1])


def _difference(a: Ball, b: Ball) -> Ball:
    size = np.abs(a.middle) + np.abs(b.middle)
    return Ball(a.middle - b.middle, (a.radius + b.radius + size * ROUNDING) * (1 + ROUNDING))


def _length(v: Array) -> Array:
    return np.asarray(np.linalg.norm(v, axis=-1) * (1 + ROUNDING * v.shape[-1]))


# --- the tube --------------------------------------------------------------------


def growth(what: Fields, data: Data, p: Pieces, radius: Array) -> Array:
    """For each run and step a bound of the logarithmic norm within ``radius[runs, steps]`` of the cubic."""
    n, half = what.size, p.step / 2 * (1 + 1e-9)
    state = p.within(p.step / 2, half, 0)
    state = Ball(state.middle, state.radius + radius[..., None])
    unit = np.broadcast_to(np.eye(n)[:, None, None, :], (n, *state.middle.shape))
    leaves = _leaves(what, data, _time(p, p.step / 2, half), state) | _directions(what, exactly(unit))
    columns = _packed(what, enclose(what.by_state, leaves), exactly(unit))
    middle, spread = (np.moveaxis(v, 0, -1) for v in (columns.middle, columns.radius))
    if not np.isfinite(spread).all():
        raise NotEnclosed("a slope is not bounded")
    symmetric, room = ((m + np.swapaxes(m, -1, -2)) / 2 for m in (middle, spread))
    largest = symmetric[..., 0, 0] if n == 1 else np.linalg.eigvalsh(symmetric)[..., -1]
    frobenius = np.linalg.norm(symmetric, axis=(-2, -1)) * 1e-12 * n
    return np.asarray(largest + frobenius + np.linalg.norm(room, axis=(-2, -1)) * (1 + 1e-12 * n))


def follow(what: Fields, data: Data, p: Pieces, start: Array) -> Array:
    """A bound ``[runs]`` of the distance from the cubics at their end, from one at their start.

    Raises `NotEnclosed`, and `Unsupported`.
    """
    defect = defects(what, data, p)
    if not np.isfinite(defect).all():
        raise NotEnclosed("the field is not bounded")
    end = p.at(p.step, 0)
    jump = _length(np.abs(end.middle - p.last) + end.radius + ROUNDING * np.abs(p.last))
    radius = np.zeros(defect.shape)
    for _ in range(WIDENINGS):
        errors = _errors(growth(what, data, p, radius), defect, jump, start, p.step)
        needed = np.maximum(errors[:, :-1], errors[:, 1:])
        if not (needed < LIMIT).all():
            break
        if (needed < radius).all():
            return errors[:, -1]
        radius = np.maximum(radius, 2 * needed)
    raise NotEnclosed("the errors outgrow every tube")


def _errors(mu: Array, defect: Array, jump: Array, start: Array, step: float) -> Array:
    """The bound of the error at all nodes ``[runs, steps + 1]``."""
    with np.errstate(all="ignore"):
        factor = np.exp(mu * step) * (1 + 1e-12)
        small = np.abs(mu * step) < 1e-9
        averaged = np.where(small, step * (1 + 1e-8), np.expm1(mu * step) / np.where(small, 1.0, mu)) * (1 + 1e-9)
        errors = [start]
        for i in range(mu.shape[1]):
            errors.append(errors[-1] * factor[:, i] + defect[:, i] * averaged[:, i] + jump[:, i])
    return np.stack(errors, axis=1)


__all__ = ["Fields", "NotEnclosed", "fields", "follow", "integrate"]
