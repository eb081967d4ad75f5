"""Expressions as numbers: the NumPy value of every operation of `odespec.ir.expr`.

A value has its expression's axes behind any leading batch axes; the batch axes of arguments broadcast against each
other. Operators on tensors of several axes (convolutions and what is made of them) have `Operator` values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr, postorder, split
from odespec.program import operators
from odespec.program.exponential import exponential, phi
from odespec.program.operators import Array, Edges, Operator, flat, spread

Value = Any
"""An array, an `Operator`, or (of a graph) `Edges`."""

Rule = Callable[..., Value]
SMALLEST_BOUND = 1e-12


class MissingValue(KeyError):
    """A leaf has no value."""


class NoRule(NotImplementedError):
    """There is no rule for an operation; the argument names it."""


def plan(roots: Sequence[Expr]) -> tuple[tuple[Expr, ...], tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The order in which `evaluate` works: the nodes, the places of their arguments, the places of the roots."""
    return _plan(tuple(roots))


@lru_cache(maxsize=64)
def _plan(roots: tuple[Expr, ...]) -> tuple[tuple[Expr, ...], tuple[tuple[int, ...], ...], tuple[int, ...]]:
    nodes = tuple(postorder(*roots))
    place = {node: i for i, node in enumerate(nodes)}
    return nodes, tuple(tuple(place[a] for a in n.args) for n in nodes), tuple(place[r] for r in roots)


def evaluate(roots: Sequence[Expr], env: Mapping[Expr, Value]) -> list[Value]:
    """The values of expressions, given those of their leaves (or of any nodes).

    A leaf of shape s has an array ``[..., *s]``; a graph has `Edges`. Raises `MissingValue` and `NoRule`.
    """
    nodes, arguments, places = plan(roots)
    values: list[Value] = []
    for node, args in zip(nodes, arguments, strict=True):
        values.append(value_of(node, [values[i] for i in args], env))
    return [values[i] for i in places]


def value_of(node: Expr, args: Sequence[Value], env: Mapping[Expr, Value]) -> Value:
    """The value of one node from those of its arguments."""
    if node in env:
        return env[node]
    rule = RULES.get(node.op)
    if rule is not None:
        return rule(node, *args)
    if not node.args:
        raise MissingValue(f"{node.op} {node.data}")
    raise NoRule(node.op)


def flatten(data: object) -> list[float]:
    """The numbers of nested tuples, in order."""
    pending, numbers = [data], []
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending.extend(reversed(item))
        else:
            numbers.append(float(item))  # type: ignore[arg-type]
    return numbers


def aligned(node: Expr, x: Array, y: Array) -> tuple[Array, Array]:
    """The values of two arguments with a scalar's batch axes moved in front of the other's axes."""
    left, right = (a.shape for a in node.args)
    if left == right:
        return x, y
    return (spread(x, len(right)), y) if not left else (x, spread(y, len(left)))


def last_axes(node: Expr, axes: object) -> tuple[int, ...]:
    """Axes of the argument as negative numbers; all of them for None."""
    n = len(node.args[0].shape)
    chosen: tuple[Any, ...] = tuple(range(n)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    return tuple(int(a) % n - n for a in chosen)


# --- leaves --------------------------------------------------------------------


def _const(node: Expr) -> Array:
    return np.full(node.shape, float(node.data))  # type: ignore[arg-type]


def _array(node: Expr) -> Array:
    return np.array(flatten(node.data)).reshape(node.shape)


def _eye(node: Expr) -> Value:
    if len(node.shape) == 2:
        return np.eye(node.shape[0])
    return operators.identity(node.shape[len(node.shape) // 2 :])


# --- elementwise ---------------------------------------------------------------


def _add(node: Expr, x: Value, y: Value) -> Value:
    if isinstance(x, Operator):
        return x.plus(as_operator(node.args[1], y))
    if isinstance(y, Operator):
        return as_operator(node.args[0], x).plus(y)
    x, y = aligned(node, x, y)
    return x + y


def _mul(node: Expr, x: Value, y: Value) -> Value:
    if isinstance(x, Operator) or isinstance(y, Operator):
        return y.times(x) if isinstance(y, Operator) else x.times(y)
    x, y = aligned(node, x, y)
    return x * y


def _div(node: Expr, x: Value, y: Array) -> Value:
    if isinstance(x, Operator):
        return x.times(1.0 / y)
    x, y = aligned(node, x, y)
    return x / y


def power(x: Array, exponent: Fraction) -> Array:
    """``x ** exponent``; odd roots of negative numbers are real."""
    if exponent.denominator % 2 == 0 or exponent.denominator == 1:
        return np.asarray(np.power(x, float(exponent)))
    root = np.sign(x) * np.power(np.abs(x), 1.0 / exponent.denominator)
    return np.asarray(np.power(root, float(exponent.numerator)))


def _act(node: Expr, x: Array) -> Array:
    name, parameters = named(node)
    return ACTIVATIONS[name].numpy(x, parameters)


# --- linear --------------------------------------------------------------------


def as_operator(node: Expr, value: Value) -> Operator:
    """The value of a matrix or operator as an `Operator`."""
    if isinstance(value, Operator):
        return value
    half, axes = split(node), len(node.shape)
    matrix = value.reshape(*value.shape[: value.ndim - axes], prod(node.shape[:half]), -1)
    return operators.dense(matrix, node.shape[:half], node.shape[half:])


def _matmul(node: Expr, a: Value, b: Value) -> Value:
    left, right = node.args
    if isinstance(a, Operator) or isinstance(b, Operator):
        return as_operator(left, a).after(as_operator(right, b))
    if node.data == "last":
        rows = a.reshape(*a.shape[: a.ndim - len(left.shape)], -1, left.shape[-1])
        product = rows @ b
        return product.reshape((*product.shape[:-2], *node.shape))
    if len(right.shape) == 1:
        return np.matmul(a, b[..., None])[..., 0]
    product = a @ flat(b, len(right.shape) - 1)
    return product.reshape(*product.shape[:-1], *node.shape[1:])


def _apply(node: Expr, operator: Value, x: Array) -> Array:
    return as_operator(node.args[0], operator).forward(x)


def _transpose(node: Expr, x: Value) -> Value:
    if isinstance(x, Operator):
        return x.transposed
    half, axes = split(node.args[0]), len(node.shape)
    own = range(x.ndim - axes, x.ndim)
    return x.transpose(*range(x.ndim - axes), *own[half:], *own[:half])


def _diag(node: Expr, x: Array) -> Array:
    axes = len(node.args[0].shape)
    if axes == 1:
        return x[..., None] * np.eye(node.shape[0])
    values = flat(x, axes)[..., None] * np.eye(prod(node.args[0].shape))
    return np.asarray(values.reshape((*values.shape[:-2], *node.shape)))


def _lifted(node: Expr, matrix: Value) -> Operator:
    """A matrix on the first axis of tensors, or from the right on their last one."""
    half = len(node.shape) // 2
    return operators.lifted(matrix, node.shape[:half], node.shape[half:], last=node.data == "last")


def _compose(node: Expr, a: Value, b: Value) -> Value:
    if len(node.args[0].shape) == len(node.args[1].shape) == 2:
        return _matmul(node, a, b)
    return as_operator(node.args[0], a).after(as_operator(node.args[1], b))


def _offdiag(node: Expr, x: Array) -> Array:
    return x * (1.0 - np.eye(node.shape[0]))


def _channel(node: Expr, x: Array) -> Array:
    return np.broadcast_to(spread(x, len(node.shape) - 1), (*x.shape[:-1], *node.shape))


def _pool(node: Expr, x: Array) -> Array:
    k = int(node.data)  # type: ignore[call-overload]
    height, width = node.shape[-2:]
    return np.asarray(x.reshape(*x.shape[:-2], height, k, width, k).mean(axis=(-3, -1)))


def _laplacian(node: Expr, edges: Edges) -> Array:
    return operators.laplacian(edges, node.shape[0], "normalized" in (node.data or ()))  # type: ignore[operator]


# --- reductions and whole vectors ----------------------------------------------


def _sum(node: Expr, x: Array) -> Array:
    return np.asarray(np.sum(x, axis=last_axes(node, node.data)))


def _mean(node: Expr, x: Array) -> Array:
    return np.asarray(np.mean(x, axis=last_axes(node, node.data)))


def _dot(node: Expr, x: Array, y: Array) -> Array:
    return np.asarray(np.sum(x * y, axis=last_axes(node, None)))


def _norm(node: Expr, x: Array) -> Array:
    order = np.inf if node.data == "inf" else node.data
    return np.asarray(np.linalg.norm(flat(x, len(node.args[0].shape)), order, axis=-1))  # type: ignore[call-overload]


def _opnorm(node: Expr, x: Value) -> Array:
    if isinstance(x, Operator):
        return operators.norm(x, node.data or 2)
    half, axes, shape = split(node.args[0]), len(node.args[0].shape), node.args[0].shape
    matrix = x.reshape(*x.shape[: x.ndim - axes], prod(shape[:half]), prod(shape[half:]))
    return operators.matrix_norm(matrix, node.data or 2)


def _bound(node: Expr, x: Value) -> Array:
    value = _norm(node, x) if len(node.args[0].shape) == 1 else _opnorm(node, x)
    return np.maximum(value, SMALLEST_BOUND)


def softmax(node: Expr, x: Array) -> Array:
    axis = last_axes(node, node.data)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return np.asarray(e / np.sum(e, axis=axis, keepdims=True))


def moments(node: Expr, x: Array) -> tuple[Array, Array]:
    """The centred value and the standard deviation, eps included, of a ``layernorm``."""
    assert isinstance(node.data, tuple)
    axes, eps = last_axes(node, node.data[0]), node.data[1]
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred, np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + float(eps))


def _layernorm(node: Expr, x: Array) -> Array:
    centred, deviation = moments(node, x)
    return np.asarray(centred / deviation)


RULES: dict[str, Rule] = {
    "const": _const,
    "full": _const,
    "array": _array,
    "eye": _eye,
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": lambda node, x: power(x, node.data),
    "act": _act,
    "matmul": _matmul,
    "compose": _compose,
    "lifted": _lifted,
    "phi": phi,
    "exponential": exponential,
    "apply": _apply,
    "transpose": _transpose,
    "conv": lambda node, kernel: operators.convolution(kernel, node),
    "diag": _diag,
    "offdiag": _offdiag,
    "channel": _channel,
    "pool": _pool,
    "laplacian": _laplacian,
    "adjacency": lambda node, edges: operators.adjacency(edges, node.shape[0]),
    "incidence": lambda node, edges: operators.incidence(edges, *node.shape),
    "sum": _sum,
    "mean": _mean,
    "min": lambda node, x: np.asarray(np.min(x, axis=last_axes(node, None))),
    "max": lambda node, x: np.asarray(np.max(x, axis=last_axes(node, None))),
    "dot": _dot,
    "norm": _norm,
    "opnorm": _opnorm,
    "bound": _bound,
    "softmax": softmax,
    "layernorm": _layernorm,
}
