"""What counterexamples to claims about a scalar measure: its change over a step, its rate along the flow."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from odespec.exact import Real
from odespec.ir.differentiate import gradient
from odespec.ir.expr import TIME, Expr, add, const, dot, leaf, mul, substitute
from odespec.ir.model import Claim, Model
from odespec.prove.refute.onestep import at_step
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.evaluate import evaluate, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odespec.prove.refute.counterexample import Counterexample

ROUNDING = 1e-9
"""A change below this part of the size of the scalar counts as none."""


def rate(model: Model, scalar: Expr) -> Expr:
    """``<grad V, f>``. Raises `odespec.ir.differentiate.NotDifferentiable`."""
    total: Expr = const(0)
    for slope, f in zip(gradients(model, scalar), model.field, strict=True):
        total = add(total, dot(slope, f) if f.shape else mul(slope, f))
    return total


def gradients(model: Model, scalar: Expr) -> tuple[Expr, ...]:
    """Raises `odespec.ir.differentiate.NotDifferentiable`."""
    return tuple(gradient(scalar, leaf("state", s.name, s.shape)) for s in model.states)


def relative(gap: float, size: float, conserves: bool) -> float:
    """A change in relation to a size: what is a rounding error is zero; of `conserves` its absolute value."""
    gap = abs(gap) if conserves else gap
    if not np.isfinite(gap) or abs(gap) <= ROUNDING * size:
        return 0.0
    return gap / size if size else gap


def _claim(model: Model, c: Counterexample) -> Claim:
    return next(x for x in model.claims if x.text == c.claim and x.scalar is not None)


def leaves_of(model: Model, c: Counterexample, states: Sequence[Array]) -> dict[tuple[str, object], Array]:
    """The values of leaves at the step of a counterexample, with other states."""
    found: dict[tuple[str, object], Array] = {}
    groups: tuple[tuple[str, Mapping[str, Array]], ...] = (("param", c.weights), ("input", c.inputs))
    for op, values in groups:
        one = at_step(model, dict(values), c.step)
        stacked = stacked_names(model)
        found |= {(op, n): v[0] if n in stacked else v for n, v in one.items()}
    return found | {("state", s.name): v for s, v in zip(model.states, states, strict=True)}


def _change(model: Model, c: Counterexample, step: Step) -> float:
    claim = _claim(model, c)
    assert claim.scalar is not None
    prepared = plan((claim.scalar,))
    before, after = (
        float(evaluate(prepared, FLOAT, leaves_of(model, c, [np.asarray(v, dtype=np.float64) for v in states]))[0])
        for states in (c.x, step(c.x))
    )
    return relative(after - before, abs(before) + abs(after), claim.name == "conserves")


def _rate(model: Model, c: Counterexample, step: Step) -> float:
    claim = _claim(model, c)
    assert claim.scalar is not None
    slopes = gradients(model, claim.scalar)
    roots = substitute((*slopes, *model.field), {TIME: const(start(model, c.step))})
    values = [np.asarray(v, dtype=np.float64) for v in evaluate(plan(roots), FLOAT, leaves_of(model, c, c.x))]
    pairs = list(zip(values[: len(slopes)], values[len(slopes) :], strict=True))
    size = sum(float(np.linalg.norm(np.ravel(g)) * np.linalg.norm(np.ravel(f))) for g, f in pairs)
    return relative(sum(float(np.sum(g * f)) for g, f in pairs), size, claim.name == "conserves")


def stacked_names(model: Model) -> set[str]:
    """The weights and inputs of which there is one for each step."""
    return {p.name for p in model.params if p.per_step} | {u.name for u in model.inputs if u.per_step}


def start(model: Model, step: int) -> Real:
    """The time at the start of a step."""
    if model.time is None:
        return Fraction(step)
    return model.time.start + (model.step_size * step if step else 0)


CHANGE = register(
    Quantity(
        "change of the scalar",
        "the change of the scalar over one step in relation to the sum of its sizes before and after (of `conserves`:"
        " its absolute value); 0 below 1e-9, which rounding may make",
        _change,
    )
)
RATE = register(
    Quantity(
        "rate of the scalar",
        "the derivative of the scalar along the flow in relation to the sizes of its gradient and of the field (of"
        " `conserves`: its absolute value); 0 below 1e-9, which rounding may make",
        _rate,
        emitted=False,
    )
)
