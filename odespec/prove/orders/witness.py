"""A field of the spec on which a method converges more slowly than is claimed."""

from __future__ import annotations

import time

import numpy as np

from odespec.ir.model import Claim, Model
from odespec.prove.orders.slopes import ATTEMPTS, Start, slope_below, start_of
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.graphs import as_matrices
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.structure.trials import draw_inputs
from odespec.weights.arithmetic import Array, Inexact
from odespec.weights.draw import Rng
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import NoSample, sample, sample_states

CANDIDATES = 10
MARGIN = 0.5


Drawn = tuple[dict[str, Array], dict[str, Array], tuple[Array, ...], Start]
"""Weights, inputs, free states at the sizes of the spec, and the field that they give."""


def slower(source: Model, claim: Claim, order: int, seed: int, deadline: float | None) -> Counterexample | None:
    """Weights, inputs and states within the spec whose convergence slope is below the order claimed."""
    rng = np.random.default_rng([seed, order])
    for trial in range(CANDIDATES):
        if deadline is not None and time.monotonic() > deadline:
            return None
        try:
            weights, inputs, free, start = random_start(source, rng, "dense" if trial % 2 else None)
        except (NoSample, Unsupported, Inexact, ArithmeticError, ValueError):
            continue
        slope = slower_slope(as_matrices(source), start, order)
        if slope is not None:
            return _described(as_matrices(source), claim, order, slope, weights, inputs, free)
    return None


def random_start(source: Model, rng: Rng, kind: str | None = None) -> Drawn:
    """A random field of the spec. Raises `NoSample`, `Unsupported`, ArithmeticError, ValueError."""
    model = as_matrices(source)
    weights = {n: np.asarray(w) for n, w in sample(model, rng, kind).items()}
    inputs = draw_inputs(source, model, rng)
    free = tuple(_moderate(np.asarray(x)) for x in sample_states(model, rng))
    return weights, inputs, free, start_of(model, weights, inputs, free)


def slower_slope(model: Model, start: Start, order: int, attempts: int = ATTEMPTS) -> float | None:
    """A settled slope below an order by `MARGIN`; None where there is none."""
    return slope_below(model, start, order - MARGIN, attempts)


def _moderate(x: Array) -> Array:
    """Values that are not huge: on these an error is seen before the field saturates. A domain is kept if it has zero."""
    size = float(np.max(np.abs(x), initial=0.0))
    return x if size <= 4.0 else x / size


def _described(
    model: Model,
    claim: Claim,
    order: int,
    slope: float,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    free: tuple[Array, ...],
) -> Counterexample:
    given = [f"{n} = {show(v)}" for n, v in (*weights.items(), *inputs.items())]
    given += [f"{s.name} = {show(v)}" for s, v in zip(model.free_states, free, strict=True)]
    sentence = (
        f"with {', '.join(given) or 'this field'}, halving the steps of {model.solver.name} divides the error by "
        f"2^{slope:.2f}, not by 2^{order}"
    )
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject="map",
        side="lower",
        p=2,
        bound=order - MARGIN,
        measured=slope,
        sentence=sentence,
        weights=weights,
        inputs=inputs,
        x=free,
        y=(),
        states=tuple(s.name for s in model.free_states),
        spec="",
        spec_name="",
        quantity=SLOPE.name,
    )


def _measure(model: Model, c: Counterexample, step: Step) -> float:
    start = start_of(model, c.weights, c.inputs, c.x)
    slope = slope_below(model, start, c.bound)
    if slope is None:
        raise ArithmeticError("the error falls as fast as the claim asks")
    return slope


SLOPE = register(
    Quantity(
        "convergence slope",
        "by which power of two the error of the method falls when its steps are halved, in fifty digits",
        _measure,
        emitted=False,
    )
)
