"""Expected squares against the spec: by cubature over the noise, which knows nothing of polynomials in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np

from odespec.certificate.format import Part
from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Model
from odespec.program.evaluate import evaluate
from odespec.program.fields import state_leaves
from odespec.program.interpret import environments
from odespec.program.step import StepProgram
from odespec.program.stochastic import noise_leaves, parts
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import compare
from odespec.prove.engines.meansquare import stochastic_program
from odespec.prove.relate.expected import read_square, read_square_flow
from odespec.prove.relate.realise import Run
from odespec.prove.relate.relations import NoRelation
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS, SEED = 12, 21
MAX_ENTRIES = 40
"""Of the noise: cubature takes a number of points that is quadratic in it."""


def program(model: Model, claim: Claim) -> StepProgram:
    """What a claim in mean square is about. Raises `NotLowered`."""
    return stochastic_program(model, claim.subject)


def holds(part: Part, program: StepProgram) -> None:
    """Raises `Mismatch` where a part about an expected square is not one of this program."""
    model, flow = program.model, part.role == "square-flow"
    try:
        reading = read_square_flow(model) if flow else read_square(program)
    except NoRelation as error:
        raise Mismatch(str(error)) from None
    few = sum(int(np.prod(w.shape)) for w in model.noises) <= MAX_ENTRIES
    measure = (lambda a, b: _rate(model, a[0], b[0])) if flow else (lambda a, b: _square(program, a[0], b[0]))
    compare(part, reading, _runs(program), measure if few or flow else None)


def _runs(program: StepProgram) -> Iterator[tuple[Run, Run]]:
    """The leaves of first steps from random states, without the noise."""
    quiet = replace(program, model=replace(program.model, noises=()), update=state_leaves(program.model))
    rng = np.random.default_rng(SEED)
    for trial in range(TRIALS):
        scale = 10.0 ** rng.uniform(-3, 3) if trial % 2 else 1.0
        try:
            weights, inputs = sample(quiet.model, rng), sample_inputs(quiet.model, rng)
        except NoSample:
            continue
        pair = [[scale * rng.standard_normal(s.shape) for s in quiet.model.states] for _ in range(2)]
        first, second = (environments(quiet, weights, x, inputs)[0] for x in pair)
        yield (first,), (second,)


Env = Mapping[Expr, Any]


def _square(program: StepProgram, first: Env, second: Env) -> float:
    """The expected squared distance after the step, by cubature, by the squared distance before."""
    leaves = noise_leaves(program.model)
    total = 0.0
    for weight, point in cubature(sum(int(np.prod(w.shape)) for w in leaves)):
        noise = _unpacked(leaves, sqrt(float(program.h)) * point)
        after = [evaluate(program.update, {**env, **noise}) for env in (first, second)]
        total += weight * _distance2(*after)
    return total / _before(program.model, first, second)


def cubature(n: int) -> Iterator[tuple[float, np.ndarray]]:
    """Weights and points in n dimensions that are exact for polynomials of degree five of normal numbers.

    Stroud, "Approximate Calculation of Multiple Integrals", 1971, formula E_n^{r^2} 5-2.
    """
    yield 2 / (n + 2), np.zeros(n)
    for i in range(n):
        for sign in (1, -1):
            point = np.zeros(n)
            point[i] = sign * sqrt(n + 2)
            yield (4 - n) / (2 * (n + 2) ** 2), point
    for i, j in combinations(range(n), 2):
        for a in (1, -1):
            for b in (1, -1):
                point = np.zeros(n)
                point[i], point[j] = a * sqrt((n + 2) / 2), b * sqrt((n + 2) / 2)
                yield 1 / (n + 2) ** 2, point


def _rate(model: Model, first: Env, second: Env) -> float:
    """``<e, f> + 1/2 sum |g_j|^2`` by ``<e, e>``, with the noise one entry at a time."""
    ito, leaves = parts(model), noise_leaves(model)
    slopes = [evaluate(ito.drift, env) for env in (first, second)]
    ends = [evaluate(state_leaves(model), env) for env in (first, second)]
    total = sum(float(np.sum((a - b) * (f - g))) for a, b, f, g in zip(*ends, *slopes, strict=True))
    for point in np.eye(sum(int(np.prod(w.shape)) for w in leaves)):
        noise = _unpacked(leaves, point)
        total += 0.5 * _distance2(*(evaluate(ito.diffusion, {**env, **noise}) for env in (first, second)))
    return total / _before(model, first, second)


def _before(model: Model, first: Env, second: Env) -> float:
    return _distance2(*(evaluate(state_leaves(model), env) for env in (first, second)))


def _distance2(a: list[Any], b: list[Any]) -> float:
    return sum(float(np.sum((x - y) ** 2)) for x, y in zip(a, b, strict=True))


def _unpacked(leaves: tuple[Expr, ...], values: np.ndarray) -> dict[Expr, np.ndarray]:
    found, start = {}, 0
    for w in leaves:
        size = int(np.prod(w.shape))
        found[w] = values[start : start + size].reshape(w.shape)
        start += size
    return found
