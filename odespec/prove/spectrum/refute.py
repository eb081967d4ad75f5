"""Refutation of `stable`: weights, inputs and a state whose linearised step has an eigenvalue outside.

The search is over weights and states at tiny sizes, by random extreme points and ascent. What it finds counts only at the
sizes of the spec, its constraints checked exactly and the eigenvalue to fifty digits (`odespec.prove.spectrum.eigen`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from odespec.ir.expr import depends_on
from odespec.ir.model import Input, Model, Param, State
from odespec.prove.refute.candidates import Candidates, allowed, moved, random_candidates
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.spectrum import amplified
from odespec.prove.spectrum.amplify import bound, step_eigenvalues, worst
from odespec.prove.spectrum.eigen import Pencil, enclosed, refined
from odespec.prove.spectrum.jacobian import Field, Kink, field_of, jacobians
from odespec.prove.spectrum.pencils import restricted, whole
from odespec.prove.spectrum.quantity import described
from odespec.prove.spectrum.scheme import NoScheme, asked, scheme_of
from odespec.prove.verdict import Task
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, Array, Inexact
from odespec.weights.draw import Rng
from odespec.weights.embed import embed, reduction, shrink
from odespec.weights.evaluate import Unsupported
from odespec.weights.membership import violations
from odespec.weights.sampling import exactly
from odespec.weights.steps import unpack

SIZES = (1, 2, 3, None)
SAMPLES, STARTS, ROUNDS, CHILDREN = 300, 10, 50, 8
CLEAR, FAINT = 1e-3, 1e-6
MARGIN = Decimal("1e-9")
LARGEST, SMALL = 400, 18
GRIDS = (0, 3, 10, None)
CONFIRMATIONS = 6


@dataclass(frozen=True, slots=True)
class Found:
    """Arrays at the sizes of the spec, of one step; ``value`` is the eigenvalue's modulus (a flow: its real part)."""

    weights: dict[str, Array]
    inputs: dict[str, Array]
    x: Array
    value: float


def refute(task: Task) -> Counterexample | None:
    """A counterexample to `stable`; None where none was found, or the model is not evaluated here."""
    if task.model.noises or task.model.graphs:
        return None
    try:
        scheme = scheme_of(task.model, task.claim.subject)
        model = asked(task.model, scheme["family"])
        for step in _steps(model):
            found = _search(model, scheme, step, task)
            if found is not None:
                return described(
                    task.model, task.claim, scheme, step, found.weights, found.inputs, found.x, found.value
                )
    except (NoScheme, Unsupported, Inexact):
        return None
    return None


def _steps(model: Model) -> tuple[int, ...]:
    """The steps that are looked at: all are alike unless the field reads the time."""
    count = model.solver.steps if isinstance(model.solver.steps, int) else 1
    timed = any(depends_on(f, "time") for f in model.field)
    return tuple(dict.fromkeys((0, count - 1, count // 2))) if timed else (0,)


def _search(model: Model, scheme: dict[str, Any], step: int, task: Task) -> Found | None:
    full = field_of(model, scheme["family"], step)

    def late() -> bool:
        return task.deadline is not None and time.monotonic() > task.deadline

    for small in _levels(full, model, scheme["family"], step):
        rng = np.random.default_rng([task.options.seed, small.whole.size, step])
        for candidate in islice(_candidates(small, scheme, rng, late), CONFIRMATIONS):
            found = None if late() else _realised(full, small, scheme, candidate)
            if found is not None:
                return found
    return None


def _levels(full: Field, model: Model, family: str, step: int) -> Iterator[Field]:
    seen = set()
    for size in SIZES:
        own = model if size is None else shrink(model, reduction(model, size))
        declared: list[State | Param | Input] = [*own.states, *own.params, *own.inputs]
        key = tuple(d.shape for d in declared)
        entries = sum(prod(s) for s in key)
        if key in seen or entries > (600 if size is None else 3000):
            continue
        seen.add(key)
        yield full if size is None else field_of(own, family, step)


# --- searching -----------------------------------------------------------------


def _excess(field: Field, scheme: dict[str, Any], c: Candidates) -> Array:
    """By how much the number exceeds what the claim allows."""
    J = jacobians(field.whole, c.weights, c.x, c.inputs)
    L = None if field.linear is None else jacobians(field.linear, c.weights, c.x, c.inputs)
    score = worst(scheme, step_eigenvalues(scheme, J, L, field.momentum)) - bound(scheme)
    return np.where(np.isfinite(score), score, -np.inf)


def _candidates(field: Field, scheme: dict[str, Any], rng: Rng, late: Callable[[], bool]) -> Iterator[Candidates]:
    net = field.whole
    pool = random_candidates(net, rng, SAMPLES)
    origin = allowed(net, replace(pool, x=pool.x * 0.0))
    pool = pool.join(origin.take(np.arange(SAMPLES // 3)))
    score = _excess(field, scheme, pool)
    yield from _promising(pool, score, CLEAR)
    order = np.argsort(-score)[:STARTS]
    pool, score, size = pool.take(order), score[order], np.full(STARTS, 0.5)
    for _ in range(ROUNDS):
        if late():
            return
        pool, score, size = _round(field, scheme, rng, pool, score, size)
        if score.max() > CLEAR:
            yield from _promising(pool, score, CLEAR)
    yield from _promising(pool, score, FAINT)


def _promising(pool: Candidates, score: Array, least: float) -> Iterator[Candidates]:
    for i in np.argsort(-score)[:3]:
        if score[i] > least:
            yield pool.take(np.array([i]))


def _round(
    field: Field, scheme: dict[str, Any], rng: Rng, pool: Candidates, score: Array, size: Array
) -> tuple[Candidates, Array, Array]:
    """One generation of every start; the step grows after a success and shrinks after a failure."""
    n = len(pool)
    parents = np.repeat(np.arange(n), CHILDREN)
    young = moved(field.whole, pool.take(parents), rng, size[parents])
    new = _excess(field, scheme, young)
    table = new.reshape(n, CHILDREN)
    best = np.argmax(table, axis=1) + CHILDREN * np.arange(n)
    better = table.max(axis=1) > score
    rows = np.where(better, n + best, np.arange(n))
    size = np.clip(size * np.where(better, 1.5, 0.85), 1e-4, 2.0)
    return pool.join(young).take(rows), np.concatenate([score, new])[rows], size


# --- at the sizes of the spec ---------------------------------------------------------


def _realised(full: Field, small: Field, scheme: dict[str, Any], candidate: Candidates) -> Found | None:
    """The plainest arrays at full size that show the eigenvalue beyond doubt."""
    for plain in _plainer(small, scheme, candidate):
        weights, inputs, x, support = _embedded(full, small, plain)
        member = exactly(full.model, weights)
        if member is None or not _obeys(full.model, member, inputs, x):
            continue
        value = confirmed(full, scheme, member, inputs, x, support)
        if value is not None:
            return Found(member, inputs, x, value)
    return None


def _plainer(field: Field, scheme: dict[str, Any], c: Candidates) -> Iterator[Candidates]:
    net, score = field.whole, float(_excess(field, scheme, c)[0])
    changes: list[Callable[[Candidates], Candidates]] = [lambda c: replace(c, x=c.x * 0.0)]
    changes += [lambda c, n=n: replace(c, inputs={**c.inputs, n: c.inputs[n] * 0.0}) for n in c.inputs]  # type: ignore[misc]
    changes += [lambda c, n=n: replace(c, weights={**c.weights, n: c.weights[n] * 0.0}) for n in c.weights]  # type: ignore[misc]
    sharp = c
    for change in changes:
        plain = allowed(net, change(sharp))
        if float(_excess(field, scheme, plain)[0]) >= 0.99 * score:
            sharp = plain
    for digits in GRIDS:
        if digits is None:
            yield sharp
            yield c
            continue
        scale = 2.0**digits
        rounded = allowed(net, sharp.map(lambda v, s=scale: np.asarray(np.round(v * s) / s)))  # type: ignore[misc]
        if float(_excess(field, scheme, rounded)[0]) > 0.5 * score:
            yield rounded


def _embedded(full: Field, small: Field, c: Candidates) -> tuple[dict[str, Array], dict[str, Array], Array, Array]:
    """Weights, inputs and the state at full size, and the places of the state's entries that the search had."""
    if small is full:
        weights, inputs = {n: w[0] for n, w in c.weights.items()}, {n: u[0] for n, u in c.inputs.items()}
        return weights, inputs, c.x[0], np.arange(full.whole.size)
    model = full.model
    weights = {p.name: embed(p, c.weights[p.name][0], 1, model.constraints) for p in model.params}
    inputs = {u.name: embed(u, c.inputs[u.name][0], 1, model.domains) for u in model.inputs}
    x, known = [], []
    for state, value in zip(model.states, unpack(c.x[0], small.whole.shapes), strict=True):
        corner = tuple(slice(0, n) for n in value.shape)
        whole, mask = np.zeros(state.shape), np.zeros(state.shape, dtype=bool)
        whole[corner], mask[corner] = value, True
        x.append(whole.ravel())
        known.append(mask.ravel())
    return weights, inputs, np.concatenate(x), np.flatnonzero(np.concatenate(known))


def _obeys(model: Model, weights: dict[str, Array], inputs: dict[str, Array], x: Array) -> bool:
    states = unpack(x, [s.shape for s in model.states])
    return not violations(model, weights, states, [inputs[u.name] for u in model.inputs])


def confirmed(
    field: Field,
    scheme: dict[str, Any],
    weights: dict[str, Array],
    inputs: dict[str, Array],
    x: Array,
    support: Array,
) -> float | None:
    """The number that breaks the claim, where fifty digits show it with a margin; None where they do not.

    ``support``: entries of the state; where the linearised field maps them to themselves, they are enough.
    """
    try:
        with localcontext(CONTEXT):
            pencil = restricted(field, scheme, weights, inputs, x, support) if len(support) <= SMALL else None
            if pencil is None and len(x) <= LARGEST:
                pencil = whole(field, scheme, weights, inputs, x)
            return None if pencil is None else _largest(scheme, pencil)
    except (DecimalException, np.linalg.LinAlgError, Kink, Unsupported, Inexact, ArithmeticError, ValueError):
        return None


def _largest(scheme: dict[str, Any], pencil: Pencil) -> float | None:
    """The number of the eigenvalue that breaks the claim most, with all that it may be off."""
    P = pencil.P if pencil.Q is None else np.linalg.solve(pencil.Q, pencil.P)
    values, vectors = np.linalg.eig(P)
    own = {**scheme, "family": "map"} if scheme["family"] in ("partitioned", "imex") else scheme
    sizes = [worst(own, step_eigenvalues(own, np.array([[z]]), None, np.array([False]))) for z in values]
    best = int(np.argmax(sizes))
    z, error = refined(pencil, complex(values[best])), Decimal(0)
    if z is None:
        rough = enclosed(pencil, complex(values[best]), vectors[:, best], vectors)
        if rough is None:
            return None
        z, error = rough
    numbers = [amplified.factor(own, (z[0] + i * error, z[1] + j * error)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    least, limit = min(numbers) - 10 * (max(numbers) - min(numbers)), Decimal(bound(scheme))
    return float(numbers[4]) if least - limit > MARGIN * (1 + limit) else None


__all__ = ["confirmed", "refute"]
