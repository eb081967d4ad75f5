"""The expected squared distance of two runs with concrete weights, over any kind of numbers: exact moments, no sampling.

Where the differences of the coefficients are linear in the difference of the states, ``e_{n+1} = sum_j T_j e_n xi_j``
with uncorrelated xi_j of known variance, so ``M = E e e^T`` obeys ``M_{n+1} = sum_j var_j T_j M_n T_j^T``, and over time
``M' = A M + M A^T + sum_j B_j M B_j^T`` (Arnold, "Stochastic Differential Equations", 1974, section 8.5). Of a single
step the expected square is a sum of squares whatever the coefficients are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, prod
from typing import Any

import numpy as np

from odespec.exact import Real
from odespec.ir.expr import Expr, depends_on, leaves, postorder
from odespec.ir.model import Model
from odespec.program.directional import LINEAR, without
from odespec.program.moments import Coefficient, coefficients, flow_coefficients, moving
from odespec.program.step import StepProgram
from odespec.program.stochastic import parts
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.evaluate import Plan, evaluate, plan
from odespec.weights.steps import step_leaves

Values = Mapping[str, Array]
TERMS, FLOAT_TERMS = 60, 22
"""Of the exponential series, at arguments of norm one at most: to fifty digits, and in float64."""
MAX_SUBSTEPS = 200


class NotLinear(ValueError):
    """The difference of two runs does not obey a linear equation at these weights."""


@dataclass(frozen=True, slots=True)
class Moments:
    """A stochastic program prepared for evaluation. Of a flow the first coefficients are the drift, of weight one.

    ``varies``: whether the steps differ from each other, in weights, inputs or the time.
    """

    program: StepProgram
    flow: bool
    found: tuple[Coefficient, ...]
    prepared: Plan
    varies: bool

    @property
    def model(self) -> Model:
        return self.program.model

    @property
    def size(self) -> int:
        return sum(prod(s.shape) for s in self.model.states)


def moments(program: StepProgram, flow: bool) -> Moments:
    """Raises `NoPolynomial`."""
    found = coefficients(program) if not flow else _drift(program.model) + flow_coefficients(program.model)
    return _prepared(program, flow, moving(found))


def _prepared(program: StepProgram, flow: bool, found: tuple[Coefficient, ...]) -> Moments:
    model, values = program.model, tuple(c.value for c in found)
    stacked = {p.name for p in model.params if p.per_step} | {u.name for u in model.inputs if u.per_step}
    varies = any(op == "time" or (op in ("param", "input") and name in stacked) for op, name in leaves(*values))
    return Moments(program, flow, found, plan(values), varies)


def _drift(model: Model) -> tuple[Coefficient, ...]:
    return tuple(Coefficient(i, (), Fraction(1), f) for i, f in enumerate(parts(model).drift))


def specialised(m: Moments, zeros: Sequence[str]) -> Moments:
    """With some weights zero, and what vanishes with them left out."""
    names = [e for e in postorder(*(c.value for c in m.found)) if e.op == "param" and e.data in zeros]
    values = without([c.value for c in m.found], names)
    kept = [(c, v) for c, v in zip(m.found, values, strict=True) if depends_on(v, "state")]
    found = tuple(Coefficient(c.state, c.monomial, c.weight, v, c.mixed) for c, v in kept)
    return _prepared(m.program, m.flow, found)


def linear(m: Moments) -> bool:
    """Whether every coefficient is affine in the states."""
    degree: dict[Expr, int] = {}
    for node in postorder(*(c.value for c in m.found)):
        below = [degree[a] for a in node.args]
        degree[node] = min(_degree(node, below), 2)
    return all(degree[c.value] <= 1 for c in m.found)


def _degree(node: Expr, below: list[int]) -> int:
    if node.op == "state":
        return 1
    if not any(below):
        return 0
    if node.op == "add" or node.op in LINEAR or (node.op == "act" and node.data == ("identity", ())):
        return max(below)
    if node.op in ("mul", "matmul", "apply", "dot"):
        return sum(below)
    return below[0] if node.op == "div" and not below[1] else 2


# --- one step --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Linear:
    """``e -> sum_j T_j e xi_j``: matrices ``[j, n, columns]`` with the variances of the xi_j; of a flow the drift apart."""

    matrices: Array
    variances: tuple[Real, ...]
    drift: Array


def linear_step(
    m: Moments, arithmetic: Arithmetic, weights: Values, inputs: Values, k: int, columns: Sequence[int]
) -> Linear:
    """Step k on some coordinates of the difference: the coefficients at units less those at zero."""
    points = np.concatenate([np.zeros((1, m.size)), np.eye(m.size)[list(columns)]])
    values = evaluated(m, arithmetic, weights, inputs, k, points)
    drift = arithmetic.cast(np.zeros((m.size, len(columns))))
    blocks: dict[tuple[str, ...], Array] = {}
    weight: dict[tuple[str, ...], Real] = {}
    for c, value in zip(m.found, values, strict=True):
        rows = _rows(m, c, value, arithmetic)
        if m.flow and not c.monomial:
            drift = drift + rows[0]
        else:
            blocks[c.monomial] = blocks[c.monomial] + rows if c.monomial in blocks else rows
            weight[c.monomial] = c.weight
    variances = tuple(w for key, w in weight.items() for _ in blocks[key])
    empty = arithmetic.cast(np.zeros((0, m.size, len(columns))))
    return Linear(np.concatenate([empty, *blocks.values()]), variances, drift)


def evaluated(
    m: Moments, arithmetic: Arithmetic, weights: Values, inputs: Values, k: int, points: Array
) -> list[Array]:
    """The coefficients ``[p, *shape]`` in step k at points ``[p, n]``, all states as one vector."""
    program = m.program
    held = {("param", n): arithmetic.cast(w) for n, w in weights.items()}
    held |= {("input", n): arithmetic.cast(u) for n, u in inputs.items()}
    given: dict[tuple[str, object], Array] = step_leaves(m.model, held, k)
    dtype = np.float64 if arithmetic.name == "float64" else object
    given["time", None] = np.asarray(arithmetic.const(program.start + program.h * k), dtype=dtype)
    start, cast = 0, arithmetic.cast(points) if points.dtype != object else points
    for s in m.model.states:
        size = prod(s.shape)
        given["state", s.name] = cast[:, start : start + size].reshape(len(points), *s.shape)
        start += size
    values = evaluate(m.prepared, arithmetic, given)
    return [np.broadcast_to(v, (len(points), *c.value.shape)) for v, c in zip(values, m.found, strict=True)]


def _rows(m: Moments, c: Coefficient, value: Array, arithmetic: Arithmetic) -> Array:
    """One coefficient's matrices ``[j, n, columns]`` from its values at zero and at the units."""
    moved = value.reshape(len(value), -1)
    moved = (moved[1:] - moved[:1]).T  # [entries, columns]
    start = sum(prod(s.shape) for s in m.model.states[: c.state])
    size = prod(m.model.states[c.state].shape)
    count = max((prod(w.shape) for w in m.model.noises if w.name in c.monomial), default=1)
    result = np.broadcast_to(arithmetic.cast(np.zeros(())), (count, m.size, moved.shape[1])).copy()
    if c.mixed:
        result[:, start : start + size] = np.swapaxes(moved.reshape(size, count, -1), 0, 1)
    elif count == 1:
        result[0, start : start + size] = moved
    else:
        result[np.arange(size), start + np.arange(size)] = moved
    return result


# --- many steps ------------------------------------------------------------------


def support(m: Moments, weights: Values, inputs: Values, first: Sequence[int]) -> list[int]:
    """The coordinates that a difference in some of them reaches, over all steps."""
    found, new = list(first), list(first)
    steps = range(m.program.steps) if m.varies and not m.flow else range(1)
    while new:
        reached: set[int] = set()
        for k in steps:
            step = linear_step(m, FLOAT, weights, inputs, k, new)
            hit = (step.matrices != 0).any(axis=(0, 2)) | (step.drift != 0).any(axis=1)
            reached |= set(np.nonzero(hit)[0].tolist())
        new = sorted(reached - set(found))
        found += new
    return sorted(found)


def second_moment(m: Moments, arithmetic: Arithmetic, weights: Values, inputs: Values, e: Array) -> Any:
    """The expected squared norm of the difference in the end from the difference ``e[n]`` in the beginning.

    Of a flow the time must not occur. Raises `NotLinear` where a difference leaves the coordinates that it can reach, or
    the exponent is too large.
    """
    inside = support(m, weights, inputs, np.nonzero(e)[0].tolist())
    start = e[inside] if e.dtype == object else arithmetic.cast(e[inside])
    second = np.outer(start, start)
    if m.flow:
        if m.varies:
            raise NotLinear("the coefficients depend on the time")
        return np.trace(_flow(m, arithmetic, _inside(m, arithmetic, weights, inputs, 0, inside), second))
    step = None
    for k in range(m.program.steps):
        step = _inside(m, arithmetic, weights, inputs, k, inside) if step is None or m.varies else step
        second = _advanced(step, arithmetic, second)
    return np.trace(second)


def _inside(
    m: Moments, arithmetic: Arithmetic, weights: Values, inputs: Values, k: int, inside: Sequence[int]
) -> Linear:
    step = linear_step(m, arithmetic, weights, inputs, k, inside)
    outside = np.setdiff1d(np.arange(m.size), inside)
    if (step.matrices[:, outside] != 0).any() or (step.drift[outside] != 0).any():
        raise NotLinear("a difference leaves its coordinates")
    return Linear(step.matrices[:, list(inside)], step.variances, step.drift[list(inside)])


def _advanced(step: Linear, arithmetic: Arithmetic, second: Array) -> Array:
    total = second * 0
    for t, variance in zip(step.matrices, step.variances, strict=True):
        total = total + arithmetic.const(variance) * (t @ second @ t.T)
    return total


def _flow(m: Moments, arithmetic: Arithmetic, step: Linear, second: Array) -> Array:
    """``exp`` of the generator, by its series over substeps on which its norm is at most one."""
    time = m.model.time
    assert time is not None
    size = float(np.abs(step.drift.astype(float)).sum(axis=1).max(initial=0.0)) * 2
    size += sum(float(np.abs(t.astype(float)).sum()) ** 2 for t in step.matrices)
    count = max(1, ceil(size * float(time.end - time.start)))
    if count > MAX_SUBSTEPS:
        raise NotLinear("the exponent is too large")
    h = arithmetic.const((time.end - time.start) / count)
    terms = TERMS if second.dtype == object else FLOAT_TERMS
    for _ in range(count):
        term, total = second, second
        for n in range(1, terms):
            moved = step.drift @ term + term @ step.drift.T + _advanced(step, arithmetic, term)
            term = moved * h / arithmetic.const(Fraction(n))
            total = total + term
        second = total
    return second


def flow_form(m: Moments, step: Linear) -> Array:
    """The matrix P with ``E|e(T)|^2 = e.T P e``, in float64: the generator's adjoint, from the identity on.

    Not finite where the exponent is too large.
    """
    adjoint = Linear(np.swapaxes(step.matrices, -1, -2), step.variances, step.drift.T)
    try:
        return _flow(m, FLOAT, adjoint, np.eye(m.size))
    except NotLinear:
        return np.full((m.size, m.size), np.nan)


def step_square(m: Moments, arithmetic: Arithmetic, weights: Values, inputs: Values, x: Array, y: Array) -> Any:
    """The expected squared distance after a single step from two states ``[n]`` each, whatever the coefficients are."""
    points = np.stack([x, y])
    total: Any = arithmetic.const(Fraction(0))
    for c, value in zip(m.found, evaluated(m, arithmetic, weights, inputs, 0, points), strict=True):
        total = total + arithmetic.const(c.weight) * ((value[0] - value[1]) ** 2).sum()
    return total
