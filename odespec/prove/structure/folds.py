"""Refutation of ``invertible`` and ``reversible``: two states with one image, or a map that turns space over.

Two states collide beyond doubt where exact fractions give them one image. A continuous map that is injective keeps the
orientation everywhere or nowhere (its local degree is 1 or -1 throughout; Deimling, Nonlinear Functional Analysis, section
1.3): derivatives with determinants of both signs refute it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from odespec.activations import named
from odespec.ir.expr import Expr, depends_on, postorder
from odespec.ir.model import Claim, Model
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.structure.trials import (
    FAILURES,
    Subject,
    Trial,
    agrees,
    derivative,
    flat,
    flat_batch,
    points,
    subject_of,
    trials,
    unpacked,
    words,
)
from odespec.weights.arithmetic import EXACT, Array, Inexact
from odespec.weights.steps import pack, run, unpack

if TYPE_CHECKING:
    from odespec.prove.verdict import Task

STATES, FEW = 12, 4
"""How many states are looked at for one choice of weights, and how many (of both) where a step has equations."""

COLLIDED = 1e-9
REGULAR = 1e-6
"""The least singular value in relation to the largest, for the sign of a determinant to be certain."""

LENGTHS = (1.0, 0.25, 1 / 64)


def refute_bijection(task: Task, number: int = 0) -> Counterexample | None:
    """Weights, inputs and two states that show that a step is not one to one; None where none are found.

    Raises `odespec.program.lower.NotLowered`, `odespec.weights.evaluate.Unsupported`.
    """
    subject = subject_of(task.model, whole=False, number=number)
    continuous = _continuous(subject)
    tries, states = (FEW, FEW) if subject.runner.solves else (None, STATES)
    for trial in islice(trials(subject, task.options.seed, task.deadline), tries):
        seen: dict[int, Array] = {}
        for x in points(subject, task.options.seed, states):
            J = derivative(subject, trial, x)
            if J is None:
                continue
            values = np.linalg.svd(J, compute_uv=False)
            if values[-1] <= 1e-9 * max(1.0, values[0]):
                found = _collision(subject, trial, x, J)
                if found is not None:
                    return _described(task.claim, subject, trial, x, found, COLLISION)
            elif values[-1] > REGULAR * values[0]:
                seen.setdefault(int(np.linalg.slogdet(J)[0]), x)
            if len(seen) == 2 and continuous:
                found_pair = _turned(task.claim, subject, trial, seen[1], seen[-1])
                if found_pair is not None:
                    return found_pair
                seen.clear()
    return None


# --- collisions ------------------------------------------------------------------


def _collision(subject: Subject, trial: Trial, x: Array, J: Array) -> Array | None:
    """Another state with the same image, in exact fractions."""
    try:
        image = _exactly(subject, trial, x)
        for y in _nearby(x, J):
            if (_exactly(subject, trial, y) == image).all():
                return y
    except FAILURES:
        return None
    return None


def _nearby(x: Array, J: Array) -> Iterator[Array]:
    """States beside x in directions of few entries that J takes to about zero."""
    small = 1e-9 * max(1.0, float(np.abs(J).max()))
    columns = [i for i in range(len(x)) if np.abs(J[:, i]).max() <= small]
    directions = [np.eye(len(x))[i] for i in columns[:4]]
    kernel = np.linalg.svd(J)[2][-1]
    largest = kernel / kernel[np.abs(kernel).argmax()]
    directions.append(np.round(largest * 64) / 64)
    for direction in directions:
        for length in LENGTHS:
            for sign in (1, -1):
                if direction.any():
                    yield x + sign * length * direction


def _exactly(subject: Subject, trial: Trial, x: Array) -> Array:
    shapes = [s.shape for s in subject.model.states]
    states = unpack(EXACT.cast(x), shapes)
    return pack(run(subject.runner, OPAQUE, trial.own, states, trial.own_inputs), subject.program.update)


def _opaque(name: str, parameters: tuple[Fraction, ...], x: Array) -> Array:
    """An activation without exact values: a fixed random number for each argument.

    Two images that are equal for random values of it are equal as polynomials in these values, so for the true ones as
    well, but for a chance of about 2^-100 (Schwartz, J. ACM 1980).
    """
    try:
        return EXACT.act(name, parameters, x)
    except Inexact:  # the names below are no activations, so they come here too
        values = [_random(name, parameters, v) for v in x.flat]
        return np.array([*values, None], dtype=object)[:-1].reshape(x.shape)


def _random(*key: object) -> Fraction:
    digest = sha256(repr(key).encode()).digest()
    return Fraction(int.from_bytes(digest[:16], "big"), 1 << 128)


def _opaque_root(x: Array) -> Array:
    return _opaque("square root", (), x)


def _opaque_exp(x: Array) -> Array:
    return _opaque("exponential", (), x)


OPAQUE = replace(EXACT, act=_opaque, sqrt=_opaque_root, exp=_opaque_exp)


# --- orientation -----------------------------------------------------------------


def _continuous(subject: Subject) -> bool:
    """Whether a step is seen to be continuous on all of space: nothing is divided by, or a root of, what depends on it."""
    values = [v for group in subject.program.solves for v in group.values]
    return not any(_singular(n) for n in postorder(*subject.program.update, *values))


def _singular(node: Expr) -> bool:
    if node.op == "div":
        return depends_on(node.args[1], "state", "stage")
    if node.op == "pow":
        exponent = node.data
        whole = isinstance(exponent, Fraction) and exponent.denominator == 1 and exponent > 0
        return not whole and depends_on(node, "state", "stage")
    return node.op == "act" and named(node)[0] in ("log", "sqrt") and depends_on(node, "state", "stage")


def _turned(claim: Claim, subject: Subject, trial: Trial, x: Array, y: Array) -> Counterexample | None:
    """A counterexample of two states with determinants of both signs, each the same by differences in decimals."""
    for state in (x, y):
        J = derivative(subject, trial, state)
        if J is None or not agrees(subject, trial, state, J):
            return None
    return _described(claim, subject, trial, x, y, ORIENTATION)


def _described(
    claim: Claim, subject: Subject, trial: Trial, x: Array, y: Array, quantity: Quantity
) -> Counterexample | None:
    """The counterexample, if the reference interpreter shows it too."""
    from odespec.prove.refute.onestep import interpreted_step

    model = subject.model
    first, second = unpacked(model, x), unpacked(model, y)
    at = words(trial, model, {s.name: [a, b] for s, a, b in zip(model.states, first, second, strict=True)})
    said = {
        COLLISION.name: "a step takes both states to one",
        ORIENTATION.name: "a step keeps the orientation at one state and turns it at the other, so some states collide",
    }
    c = Counterexample(
        model=model.name,
        claim=claim.text,
        subject="map",
        side="lower",
        p=2,
        bound=COLLIDED if quantity is COLLISION else 0.0,
        measured=0.0,
        sentence=f"with {at} {said[quantity.name]}",
        weights=trial.weights,
        inputs=trial.inputs,
        x=first,
        y=second,
        states=tuple(s.name for s in model.states),
        spec="",
        spec_name="",
        quantity=quantity.name,
        step=subject.number,
    )
    try:
        measured = quantity.measure(model, c, interpreted_step(replace(subject.program, model=model), c))
    except FAILURES:
        return None
    return replace(c, measured=measured) if c.violated(measured) else None


# --- quantities ------------------------------------------------------------------

WIDTH = 2.0**-16


def _ratio(model: Model, c: Counterexample, step: Step) -> float:
    x, y = flat(c.x), flat(c.y)
    return float(np.linalg.norm(flat(step(c.y)) - flat(step(c.x))) / np.linalg.norm(y - x))


def _orientation(model: Model, c: Counterexample, step: Step) -> float:
    """The product of the signs of two determinants, each by central differences."""
    return float(np.prod([np.linalg.slogdet(_differences(model, states, step))[0] for states in (c.x, c.y)]))


def _differences(model: Model, states: Sequence[Array], step: Step) -> Array:
    """The derivative of a step by central differences, all of them in one batch."""
    x = flat(states)
    n, width = len(x), WIDTH * max(1.0, float(np.abs(x).max()))
    moves = np.concatenate([np.eye(n), -np.eye(n)])
    images = flat_batch(step(unpacked(model, x + width * moves)))
    return np.asarray((images[:n] - images[n:]).T / (2 * width))


COLLISION = register(
    Quantity("distance after one step", "the distance of the images of two states in relation to their own", _ratio)
)
ORIENTATION = register(
    Quantity(
        "orientation", "the product of the signs of the determinants of a step's derivative at two states", _orientation
    )
)
