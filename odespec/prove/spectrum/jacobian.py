"""The linearised field of a model at states, by differences of the field itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np

from odespec.exact import Real
from odespec.ir.expr import depends_on
from odespec.ir.model import Model, Time
from odespec.program.fields import Tensors
from odespec.program.lower import NotLowered
from odespec.program.splitting import parts
from odespec.program.step import StepProgram
from odespec.prove.refute.mapping import Network, apply, network
from odespec.prove.spectrum.scheme import NoScheme
from odespec.records import dataclass
from odespec.weights.arithmetic import DECIMAL, FLOAT, Array

Values = Mapping[str, Array]
NEAR = Decimal("1e-16")
AGREE = Decimal("1e-11")


class Kink(ArithmeticError):
    """The field has no derivative at this state."""


@dataclass(frozen=True, slots=True)
class Field:
    """A model whose states are all free, at one step: its field as a map of states, and of an imex step the linear part."""

    model: Model
    whole: Network
    linear: Network | None

    @property
    def momentum(self) -> Array:
        """Which entries of the states belong to the second state."""
        sizes = [int(np.prod(s.shape)) for s in self.model.states]
        return np.repeat(np.arange(len(sizes)) > 0, sizes)


def field_of(model: Model, family: str, step: int) -> Field:
    """The field at the start of a step. Raises `NoScheme`."""
    short = alone(model, step)
    linear = None
    if family == "imex":
        try:
            linear = _network(short, parts(short)[0])
        except NotLowered as error:
            raise NoScheme(error.what) from None
    return Field(short, _network(short, short.field), linear)


def alone(model: Model, step: int) -> Model:
    """The model with one step, the one of that number, and all states free; what is given of initial values is gone."""
    states = tuple(replace(s, initial=None) for s in model.states)
    domains = tuple(r for r in model.domains if not depends_on(r.operand, "initial"))
    short = replace(
        model, states=states, domains=domains, solver=replace(model.solver, steps=1), output=None, claims=()
    )
    if model.time is None:
        return short
    h: Real = model.step_size if isinstance(model.solver.steps, int) else model.time.end - model.time.start
    begin = model.time.start + h * step
    return replace(short, time=Time(begin, begin + h, None, model.time.span))


def _network(model: Model, update: Tensors) -> Network:
    start = Fraction(0) if model.time is None else model.time.start
    return network(StepProgram(model, Fraction(1), start, 1, (), update), "map")


def jacobians(net: Network, weights: Values, x: Array, inputs: Values) -> Array:
    """Central difference quotients ``[batch, n, n]`` at ``x[batch, n]``, in float64."""
    n = x.shape[-1]
    step = 1e-5 * (1.0 + np.max(np.abs(x), axis=-1))
    moves = np.concatenate([np.eye(n), -np.eye(n)]).reshape(2 * n, *(1,) * (x.ndim - 1), n)
    with np.errstate(all="ignore"):
        values = apply(net, FLOAT, weights, x + moves * step[..., None], inputs)
        values = np.broadcast_to(values, (2 * n, *x.shape[:-1], values.shape[-1]))
        quotient = (values[:n] - values[n:]) / (2 * step[..., None])
    return np.moveaxis(quotient, 0, -1)


def along(net: Network, weights: Values, x: Array, inputs: Values, direction: Array) -> Array:
    """The derivative along a direction of decimals, to about thirty digits. Raises `Kink`.

    To be called in the context of decimals. The quotients to both sides must agree.
    """
    size = max((abs(d) for d in direction), default=Decimal(0))
    if not size:
        return np.asarray(direction * Decimal(0))
    step = NEAR / size
    start = DECIMAL.cast(x)
    middle, right, left = (
        np.asarray(apply(net, DECIMAL, weights, start + direction * (step * k), inputs)) for k in (0, 1, -1)
    )
    forth, back = (right - middle) / step, (middle - left) / step
    scale = max([abs(v) for v in forth] + [size])
    if max(abs(v) for v in forth - back) > AGREE * scale:
        raise Kink
    return np.asarray((right - left) / (2 * step))


__all__ = ["Field", "Kink", "Values", "alone", "along", "field_of", "jacobians"]
