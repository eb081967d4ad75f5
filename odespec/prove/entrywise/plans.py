"""Ways to bound the whole from parts, the simplest first: one step, the stages of its tableau, several steps as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from odespec.ir.expr import depends_on
from odespec.program.step import StepProgram
from odespec.prove.entrywise.parts import Part, Parts, scheme_of, with_tableau
from odespec.prove.gram.threshold import Target
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon
from odespec.records import dataclass
from odespec.solvers import RungeKutta

RADII = (1, 2, Fraction(1, 2), Fraction(3, 2), 4, 3, Fraction(3, 4), 6, 8, 16, 64, Fraction(1, 4), 1024)
ROUNDING = 1e-12
MAX_PARTS = 64
MAX_TOGETHER = 8
MAX_CONSTANT = 256
MAX_PRODUCTS = 300_000
LITTLE = 6_000
"""What several steps taken together may cost."""


Uses = tuple[tuple[Part, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Bounded parts, each with how often it is used; ``growth`` is what they give over the whole (in floating point)."""

    parts: tuple[tuple[Part, int], ...]
    growth: float


def plans(
    parts: Parts, program: StepProgram, target: Target, horizon: Horizon, *, to_output: bool = False
) -> Iterator[Plan]:
    """Every way that gives a bound at all. Raises `NoRelation` where none is there to try."""
    start, output = _ends(parts, to_output) if target.upper else ((), ())
    if to_output and not target.upper:
        raise NoRelation("of the output only upper bounds are proved")
    if horizon.flow:
        flow = parts.bounded(parts.field("flow", _sense(target)))
        if flow is not None:
            yield _plan((*start, (flow, 1)), horizon)
        return
    for uses in _of_map(parts, program, target):
        yield _plan((*start, *uses, *output), horizon)


def _ends(parts: Parts, to_output: bool) -> tuple[Uses, Uses]:
    """What stands before the steps and behind them."""
    found: list[Uses] = []
    for part in (parts.start(), parts.output() if to_output else None):
        bounded = None if part is None else parts.bounded(part)
        if part is not None and bounded is None:
            raise NoRelation("the map before or behind the steps is not bounded")
        found.append(() if bounded is None else ((bounded, 1),))
    return found[0], found[1]


def _sense(target: Target) -> str:
    return "upper" if target.upper else "lower"


def _plan(uses: tuple[tuple[Part, int], ...], horizon: Horizon) -> Plan:
    logs = 0.0
    for part, times in uses:
        assert part.bound is not None
        if part.data["role"] == "flow":
            logs += float(part.bound) * float(horizon.length)
        else:
            logs += times * (math.log(part.bound) if part.bound > 0 else -math.inf)
    return Plan(uses, math.exp(min(logs, 700.0)))


def _of_map(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    """Ways to cover all steps. The reason for the first is raised where there is none."""
    failures: list[NoRelation] = []
    found = False
    ways: tuple[Callable[[Parts, StepProgram, Target], Iterator[Uses]], ...] = (_stages, _powers, _timed, _together)
    if program.memory:
        ways = (_whole,)
    for way in ways:
        try:
            for uses in way(parts, program, target):
                found = True
                yield uses
        except NoRelation as failure:
            failures.append(failure)
    if not found and failures:
        raise failures[0]


def _powers(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    one = parts.bounded(parts.step(program, _sense(target)))
    if one is not None:
        yield ((one, program.steps),)


def _stages(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    """By the radius that gives the least bound of those tried."""
    scheme = scheme_of(program)
    if not target.upper or scheme is None or scheme.stages < 2 - (not scheme.explicit):
        return
    if any(depends_on(f, "time") for f in program.model.field):
        return  # the stages see other times than the steps begin at
    field = parts.field("tableau", "upper", program.h)
    tried = [with_tableau(field, scheme, Fraction(r)) for r in (radius_of(scheme), *RADII) if r]
    bounded = [b for p in tried if (b := parts.bounded(p)) is not None]
    if bounded:
        yield ((min(bounded, key=_size), program.steps),)


def radius_of(scheme: RungeKutta) -> Fraction:
    """The radius of absolute monotonicity, rounded down (zero: there is none; at most 64): no larger one gives means."""
    import numpy as np

    s = scheme.stages
    K = np.zeros((s + 1, s + 1))
    K[:, :s] = [[float(x) for x in row] for row in (*scheme.A, scheme.b)]

    def means(r: float) -> bool:
        inverse = np.linalg.inv(np.eye(s + 1) + r * K)
        return bool((inverse.sum(axis=1) >= -ROUNDING).all() and (np.eye(s + 1) - inverse >= -ROUNDING).all())

    low, high = 0.0, 64.0
    for _ in range(48):
        middle = (low + high) / 2
        low, high = (middle, high) if means(middle) else (low, middle)
    return Fraction(int(low * 2**20 * (1 - ROUNDING)), 2**20)


def _size(part: Part) -> Fraction:
    assert part.bound is not None
    return part.bound


def _timed(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    """Each step by itself, where the field depends on the time."""
    if not any(depends_on(f, "time") for f in program.model.field) or not 1 < program.steps <= MAX_PARTS:
        return
    bounded = [parts.bounded(parts.step(program, _sense(target), at=k)) for k in range(program.steps)]
    if all(b is not None for b in bounded):
        yield tuple((b, 1) for b in bounded if b is not None)


def _whole(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    """All steps of a multistep method as one."""
    if program.steps > MAX_TOGETHER:
        raise NoRelation(f"more than {MAX_TOGETHER} steps of a multistep method are not taken together")
    whole = parts.bounded(parts.step(program, _sense(target), steps=program.steps, at=0))
    if whole is not None:
        yield ((whole, 1),)


def _together(parts: Parts, program: StepProgram, target: Target) -> Iterator[Uses]:
    """Several steps as one, where the terms do not become too many."""
    if program.solves or program.steps == 1:
        return
    constant = parts.constant(program) and program.steps * parts.size**3 <= MAX_PRODUCTS
    for n in range(2, program.steps + 1 if constant else MAX_TOGETHER + 1):
        if program.steps % n == 0 and (not constant or n == program.steps <= MAX_CONSTANT):
            several = parts.bounded(parts.step(program, _sense(target), steps=n), LITTLE)
            if several is None:
                return
            yield ((several, program.steps // n),)
