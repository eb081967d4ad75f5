"""Random tensors for a model: extreme points and interior points, at every scale, before any projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log10, sqrt

import numpy as np

from odespec.exact import Real
from odespec.ir.expr import Shape
from odespec.ir.model import Input, Model, Param
from odespec.weights.arithmetic import Array

Rng = np.random.Generator

KINDS = ("dense", "rank_one", "axes", "permutation", "signs", "sparse", "zero", "blocks")
"""The patterns of a matrix; `draw` mixes them."""


def scale_range(model: Model) -> tuple[float, float]:
    """Decimal exponents between which sizes are drawn: past the largest bound of the model, and past a thousand."""
    bounds = [abs(float(b)) for r in model.constraints for b in (r.lower, r.upper) if isinstance(b, Real)]
    return -1.0, max(3.0, 1.0 + log10(max([1.0, *bounds])))


def draw(model: Model, rng: Rng, batch: int, kind: str | None = None) -> dict[str, Array]:
    """A batch of raw weights ``[batch, (steps,) …]``; each matrix has a pattern of `KINDS` of its own, or ``kind``.

    Where there are many, some members have nearly all weights zero: what a few do alone is seldom met at random.
    """
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    drawn = {p.name: _one(p, rng, batch, steps, scale_range(model), kind) for p in model.params}
    if len(drawn) < MANY or kind is not None:
        return drawn
    quiet = rng.random(batch) < 0.3
    for p in model.params:
        if p.structure not in ("orthogonal", "stochastic", "doubly_stochastic"):
            drawn[p.name][quiet & (rng.random(batch) < 0.8)] = 0.0
    return drawn


MANY = 6
"""Weights from which on some members are nearly silent."""


def _one(p: Param | Input, rng: Rng, batch: int, steps: int, scales: tuple[float, float], kind: str | None) -> Array:
    if not p.per_step:
        return tensors(p.shape, p.structure, rng, batch, scales, kind)
    base = tensors(p.shape, p.structure, rng, 2 * batch, scales, kind).reshape(2, batch, *p.shape)
    which = rng.integers(0, 2, size=(batch, steps))
    which[rng.random(batch) < 0.6] = 0
    return np.array(base[which, np.arange(batch)[:, None]])


def tensors(
    shape: Shape, structure: str | None, rng: Rng, batch: int, scales: tuple[float, float], kind: str | None = None
) -> Array:
    """``[batch, *shape]``: matrices by pattern and scale, other tensors heavy-tailed; discrete structures exactly."""
    if structure == "orthogonal":
        return np.stack([orthogonal(shape[0], shape[1], rng) for _ in range(batch)])
    if structure == "doubly_stochastic":
        return np.stack([mixture(shape[0], rng) for _ in range(batch)])
    if len(shape) > 2:
        return _kernels(shape, rng, batch)
    if len(shape) != 2:
        return heavy(rng, (batch, *shape))
    kinds = [kind] * batch if kind in KINDS else list(rng.choice(KINDS, size=batch))
    sizes = 10.0 ** rng.uniform(*scales, size=(batch, 1, 1))
    if structure in ("stochastic", None):
        sizes = np.where(rng.random((batch, 1, 1)) < 0.5, np.round(sizes), sizes)
    return np.stack([_PATTERNS[k](shape, rng) for k in kinds]) * np.where(sizes > 0, sizes, 1.0)


def heavy(rng: Rng, shape: Iterable[int]) -> Array:
    """Zero, small, moderate or huge entries, now and then all of one sign.

    The first axis is the batch; each member has a scale of its own.
    """
    shape = tuple(shape)
    column = (shape[0],) + (1,) * (len(shape) - 1)
    size = 10.0 ** rng.uniform(-2.0, 2.0, size=column)
    size = np.where(rng.random(column) < 0.25, 0.0, size)
    values = rng.standard_normal(shape) * size
    tail = np.clip(rng.standard_cauchy(shape), -1e4, 1e4) * size
    mixed = np.where(rng.random(column) < 0.3, tail, values)
    return np.asarray(np.where(rng.random(column) < 0.15, np.abs(mixed), mixed))


def _kernels(shape: Shape, rng: Rng, batch: int) -> Array:
    """Heavy-tailed, or a matrix of the channels times a wave over the taps: all taps work together at one frequency."""
    result = heavy(rng, (batch, *shape))
    for k in np.flatnonzero(rng.random(batch) < 0.5):
        channels = _PATTERNS[str(rng.choice(KINDS))](shape[:2], rng)
        wave = np.ones(())
        for length in shape[2:]:
            frequency = np.pi * int(rng.integers(0, 2))
            wave = np.multiply.outer(wave, np.cos(frequency * np.arange(length)))
        result[k] = np.multiply.outer(channels, wave) * 10.0 ** rng.uniform(-1, 2)
    return result


_SIGNS = np.array([-1.0, 1.0])


def _signed(rng: Rng, size: int | Shape | None = None) -> Array:
    """Signs; as ``rng.choice([-1.0, 1.0], size)``, which turns the list into an array each time."""
    return np.asarray(_SIGNS[rng.integers(0, 2, size=size)])


def _rank_one(shape: Shape, rng: Rng) -> Array:
    u, v = (rng.standard_normal(n) for n in shape)
    if rng.random() < 0.4:
        u, v = np.sign(u), np.sign(v)
    return (u / _length(u))[:, None] * (v / _length(v))


def _length(v: Array) -> float:
    return sqrt(v.dot(v))


def _axes(shape: Shape, rng: Rng) -> Array:
    return np.asarray(np.eye(shape[0], shape[1]) * _signed(rng))


def _permutation(shape: Shape, rng: Rng) -> Array:
    m, d = shape
    w = np.eye(max(m, d))[rng.permutation(max(m, d))][:m, :d]
    return np.asarray(w * _signed(rng, (m, 1)))


def _signs(shape: Shape, rng: Rng) -> Array:
    return _signed(rng, shape)


def _sparse(shape: Shape, rng: Rng) -> Array:
    return np.asarray(rng.standard_normal(shape) * (rng.random(shape) < 0.4))


def _blocks(shape: Shape, rng: Rng) -> Array:
    """Skew 2 x 2 blocks on the diagonal."""
    w = np.zeros(shape)
    for i in range(0, min(shape) - 1, 2):
        w[i, i + 1], w[i + 1, i] = 1.0, -1.0
    return w


_PATTERNS: dict[str, Callable[[Shape, Rng], Array]] = {
    "dense": lambda shape, rng: rng.standard_normal(shape),
    "rank_one": _rank_one,
    "axes": _axes,
    "permutation": _permutation,
    "signs": _signs,
    "sparse": _sparse,
    "zero": lambda shape, rng: np.zeros(shape),
    "blocks": _blocks,
}


def orthogonal(m: int, d: int, rng: Rng) -> Array:
    """An exactly orthogonal float64 matrix (m >= d, else its transpose is).

    A signed permutation, times a few reflections ``I - 2 v v' / v'v`` by integer vectors v with ``v'v`` a power of two,
    which have dyadic entries. From four rows on there are such v besides those that only exchange two axes.
    """
    n = max(m, d)
    q = np.eye(n)[rng.permutation(n)] * _signed(rng, (n, 1))
    for _ in range(int(rng.integers(0, 3)) if n >= 4 else 0):
        v = np.zeros(n)
        pattern = _REFLECTIONS[int(rng.integers(0, 1 + (n >= 5)))]
        v[rng.permutation(n)[: len(pattern)]] = np.array(pattern) * _signed(rng, len(pattern))
        q = q - np.outer(v, v @ q) * (2.0 / (v @ v))
    return np.asarray(q[:m, :d])


_REFLECTIONS = ((1.0, 1.0, 1.0, 1.0), (3.0, 2.0, 1.0, 1.0, 1.0))


def mixture(n: int, rng: Rng) -> Array:
    """An exactly doubly stochastic matrix: a mean of one, two or four permutations."""
    count = int(rng.choice([1, 2, 4]))
    return np.asarray(sum(np.eye(n)[rng.permutation(n)] for _ in range(count)) / count)
