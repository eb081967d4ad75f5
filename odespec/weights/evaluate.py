"""Expressions evaluated over any kind of numbers.

In float64 this is `odespec.program.evaluate`; here stand the rules for arrays of fractions and decimals, in which every
operator is a whole array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, cast

import numpy as np

from odespec.activations import named
from odespec.exact import Real
from odespec.ir.expr import Convolution, Expr, postorder, split
from odespec.program import evaluate as floats
from odespec.program.exponential import phi
from odespec.program.operators import Operator, taps
from odespec.records import dataclass
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array

Leaves = Mapping[tuple[str, object], Array]
"""Values of leaves by ``(op, data)``: the trailing axes are the leaf's shape, the axes before them broadcast."""


class Unsupported(Exception):
    """An operation that this evaluator does not know; the argument names it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Nodes in an order in which they can be computed, with the places of their arguments and of the roots."""

    nodes: tuple[Expr, ...]
    args: tuple[tuple[int, ...], ...]
    roots: tuple[int, ...]


def plan(roots: tuple[Expr, ...]) -> Plan:
    nodes = tuple(postorder(*roots))
    place = {node: i for i, node in enumerate(nodes)}
    return Plan(nodes, tuple(tuple(place[a] for a in n.args) for n in nodes), tuple(place[r] for r in roots))


def evaluate(what: Plan, arithmetic: Arithmetic, leaves: Leaves) -> list[Array]:
    """The values of the roots. Raises `Unsupported`, and `Inexact` where the numbers have no exact result."""
    if arithmetic is FLOAT:
        return _in_floats(what, leaves)
    values: list[Array] = []
    for node, args in zip(what.nodes, what.args, strict=True):
        values.append(_value(node, arithmetic, [values[i] for i in args], leaves))
    return [values[i] for i in what.roots]


def _in_floats(what: Plan, leaves: Leaves) -> list[Array]:
    values: list[Any] = []
    try:
        for node, args in zip(what.nodes, what.args, strict=True):
            known = leaves.get((node.op, node.data)) if not args else None
            values.append(known if known is not None else floats.value_of(node, [values[i] for i in args], {}))
    except (floats.NoRule, floats.MissingValue) as error:
        raise Unsupported(str(error)) from None
    arrays = [(n, v) for n, v in zip(what.nodes, values, strict=True) if isinstance(v, np.ndarray)]
    batch = max((v.ndim - len(n.shape) for n, v in arrays), default=0)
    return [_dense(what.nodes[i], values[i], batch) for i in what.roots]


def _dense(node: Expr, value: Any, batch: int) -> Array:
    """An operator as an array, from the images of all unit tensors."""
    if not isinstance(value, Operator):
        return np.asarray(value)
    n = prod(value.input)
    images = value.forward(np.eye(n).reshape(n, *(1,) * batch, *value.input))
    columns = np.moveaxis(images.reshape(*images.shape[: images.ndim - len(value.output)], -1), 0, -1)
    return columns.reshape((*columns.shape[:-2], *node.shape))


def _value(node: Expr, arithmetic: Arithmetic, args: list[Array], leaves: Leaves) -> Array:
    if not args and node.op not in _CONSTANT:
        if (node.op, node.data) not in leaves:
            raise Unsupported(node.op)
        return leaves[node.op, node.data]
    operation = _OPERATIONS.get(node.op)
    if operation is None:
        raise Unsupported(node.op)
    result = operation(node, arithmetic, *args)
    return result if isinstance(result, np.ndarray) else np.asarray(result, dtype=object)


# --- constants -----------------------------------------------------------------


def _const(node: Expr, a: Arithmetic) -> Array:
    return np.full(node.shape, a.const(node.data), dtype=object)  # type: ignore[arg-type]


def _array(node: Expr, a: Arithmetic) -> Array:
    flat: list[Any] = [node.data]
    for _ in node.shape:
        flat = [x for row in flat for x in row]
    return np.array([a.const(x) for x in flat], dtype=object).reshape(node.shape)


def _eye(node: Expr, a: Arithmetic) -> Array:
    half = len(node.shape) // 2
    return a.cast(np.eye(prod(node.shape[:half]))).reshape(node.shape)


_CONSTANT = ("const", "full", "array", "eye")


# --- elementwise ---------------------------------------------------------------


def _aligned(node: Expr, x: Array, y: Array) -> tuple[Array, Array]:
    """A scalar that meets a tensor gets the tensor's axes behind its batch axes."""
    left, right = (arg.shape for arg in node.args)
    if left == right:
        return x, y
    if not left:
        return x[(...,) + (None,) * len(right)], y
    return x, y[(...,) + (None,) * len(left)]


def _add(node: Expr, a: Arithmetic, x: Array, y: Array) -> Array:
    x, y = _aligned(node, x, y)
    return x + y


def _mul(node: Expr, a: Arithmetic, x: Array, y: Array) -> Array:
    x, y = _aligned(node, x, y)
    return x * y


def _div(node: Expr, a: Arithmetic, x: Array, y: Array) -> Array:
    x, y = _aligned(node, x, y)
    return x / y


def _act(node: Expr, a: Arithmetic, x: Array) -> Array:
    return a.act(*named(node), x)


# --- linear algebra ------------------------------------------------------------


def _matmul(node: Expr, a: Arithmetic, x: Array, y: Array) -> Array:
    if node.data == "last":
        return np.asarray(np.matmul(x, y))
    axes = len(node.args[1].shape)
    if axes == 2:
        return np.asarray(np.matmul(x, y))
    if axes == 1:
        return _by_vector(x, y)
    batch = y.shape[: y.ndim - axes]
    flat = y.reshape(*batch, y.shape[-axes], -1)
    return _reshaped(np.matmul(x, flat), 2, node.shape)


def _by_vector(x: Array, y: Array) -> Array:
    if y.ndim == 1 and x.ndim == 2:
        return _sparse_product(x, y)
    return np.asarray(np.matmul(x, y[..., None])[..., 0])


def _sparse_product(x: Array, y: Array) -> Array:
    """A matrix by a vector, without the rows and columns that are zero."""
    result = np.full(len(x), x.flat[0] * 0, dtype=object)
    used = np.flatnonzero(y != 0)
    filled = x[:, used] != 0
    rows, columns = np.flatnonzero(filled.any(axis=1)), used[filled.any(axis=0)]
    if len(rows):
        result[rows] = np.dot(x[np.ix_(rows, columns)], y[columns])
    return result


def _reshaped(x: Any, axes: int, shape: tuple[int, ...]) -> Array:
    """The last ``axes`` axes replaced by others of the same number of entries."""
    return np.asarray(x).reshape(*np.shape(x)[: np.ndim(x) - axes], *shape)


def _transpose(node: Expr, a: Arithmetic, x: Array) -> Array:
    shape = node.args[0].shape
    half, n = split(node.args[0]), len(shape)
    batch = x.ndim - n
    order = (*range(batch), *(batch + i for i in range(half, n)), *(batch + i for i in range(half)))
    return x.transpose(order)


def _apply(node: Expr, a: Arithmetic, operator: Array, x: Array) -> Array:
    shape = node.args[0].shape
    half = split(node.args[0])
    matrix = _reshaped(operator, len(shape), (prod(shape[:half]), prod(shape[half:])))
    flat = _reshaped(x, len(node.args[1].shape), (prod(shape[half:]),))
    return _reshaped(_by_vector(matrix, flat), 1, node.shape)


def _compose(node: Expr, a: Arithmetic, left: Array, right: Array) -> Array:
    return _reshaped(np.matmul(_matrix(node.args[0], left), _matrix(node.args[1], right)), 2, node.shape)


def _matrix(operator: Expr, value: Array) -> Array:
    half, shape = split(operator), operator.shape
    return _reshaped(value, len(shape), (prod(shape[:half]), prod(shape[half:])))


def _conv(node: Expr, a: Arithmetic, kernel: Array) -> Array:
    """The whole array ``[out, *grid, in, *grid]`` of a kernel without batch axes."""
    how = node.data
    assert isinstance(how, Convolution)
    window = kernel.shape[2:]
    outputs, inputs = kernel.shape[0] // how.groups, kernel.shape[1]
    result = np.full(node.shape, a.const(Fraction(0)), dtype=object)
    layouts = [taps(n, k, how.stride, how.padding).reshape(-1, k, n) for n, k in zip(how.spatial, window, strict=True)]
    seen = [np.argwhere(layout) for layout in layouts]
    for places in product(*seen):
        point, tap, source = (tuple(int(p[i]) for p in places) for i in range(3))
        for g in range(how.groups):
            rows = slice(g * outputs, (g + 1) * outputs)
            where: Any = (rows, *point, slice(g * inputs, (g + 1) * inputs), *source)
            part: Any = (rows, slice(None), *tap)
            result[where] += kernel[part]
    return result


def _pool(node: Expr, a: Arithmetic, x: Array) -> Array:
    k = cast(int, node.data)
    height, width = node.shape[-2:]
    blocks = x.reshape(*x.shape[:-2], height, k, width, k)
    return np.asarray(np.sum(blocks, axis=(-3, -1)) / (k * k))


def _diag(node: Expr, a: Arithmetic, x: Array) -> Array:
    size, shape = prod(node.args[0].shape), node.args[0].shape
    flat = x.reshape(*x.shape[: x.ndim - len(shape)], size)
    return _reshaped(flat[..., None] * a.cast(np.eye(size)), 2, node.shape)


def _lifted(node: Expr, a: Arithmetic, matrix: Array) -> Array:
    """The whole array of a matrix that acts on one axis of a tensor."""
    half = len(node.shape) // 2
    rest = a.cast(np.eye(prod(node.shape[: half - 1] if node.data == "last" else node.shape[1:half])))
    turned = np.swapaxes(matrix, -1, -2)
    blocks = rest[:, None, :, None] * turned[..., None, :, None, :]
    if node.data != "last":
        blocks = matrix[..., :, None, :, None] * rest[:, None, :]
    return _reshaped(blocks, 4, node.shape)


def _offdiag(node: Expr, a: Arithmetic, x: Array) -> Array:
    return x * a.cast(1.0 - np.eye(node.shape[0]))


def _channel(node: Expr, a: Arithmetic, x: Array) -> Array:
    spread = x[(...,) + (None,) * (len(node.shape) - 1)]
    return np.broadcast_to(spread, (*x.shape[:-1], *node.shape))


# --- reductions ----------------------------------------------------------------


def _axes(node: Expr, axes: object) -> tuple[int, ...]:
    """Axes of the argument, counted from its end; all of them for None."""
    n = len(node.args[0].shape)
    chosen = range(n) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    return tuple(int(i) % n - n for i in cast(tuple[int, ...], chosen))


def _sum(node: Expr, a: Arithmetic, x: Array) -> Array:
    return np.asarray(np.sum(x, axis=_axes(node, node.data)))


def _mean(node: Expr, a: Arithmetic, x: Array) -> Array:
    axes = _axes(node, node.data)
    return np.asarray(np.sum(x, axis=axes) / prod(x.shape[i] for i in axes))


def _extreme(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda node, a, x: np.asarray(function(x, axis=_axes(node, None)))


def _dot(node: Expr, a: Arithmetic, x: Array, y: Array) -> Array:
    return np.asarray(np.sum(x * y, axis=_axes(node, None)))


def _norm(node: Expr, a: Arithmetic, x: Array) -> Array:
    axes = _axes(node, None)
    if node.data == 2:
        return a.sqrt(np.asarray(np.sum(x * x, axis=axes)))
    return np.asarray((np.sum if node.data == 1 else np.max)(np.abs(x), axis=axes))


def _softmax(node: Expr, a: Arithmetic, x: Array) -> Array:
    axis = _axes(node, node.data)
    e = a.exp(x - np.max(x, axis=axis, keepdims=True))
    return np.asarray(e / np.sum(e, axis=axis, keepdims=True))


def _layernorm(node: Expr, a: Arithmetic, x: Array) -> Array:
    axis, eps = cast(tuple[object, Real], node.data)
    axes = _axes(node, axis)
    count = prod(x.shape[i] for i in axes)
    centred = x - np.sum(x, axis=axes, keepdims=True) / count
    variance = np.sum(centred * centred, axis=axes, keepdims=True) / count
    return np.asarray(centred / a.sqrt(variance + a.const(eps)))


_OPERATIONS: dict[str, Callable[..., Array]] = {
    "const": _const,
    "full": _const,
    "array": _array,
    "eye": _eye,
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": lambda node, a, x: a.power(x, node.data),
    "act": _act,
    "matmul": _matmul,
    "compose": _compose,
    "lifted": _lifted,
    "phi": lambda node, a, *args: phi(node, *args),
    "conv": _conv,
    "pool": _pool,
    "transpose": _transpose,
    "apply": _apply,
    "diag": _diag,
    "offdiag": _offdiag,
    "channel": _channel,
    "sum": _sum,
    "mean": _mean,
    "min": _extreme(np.min),
    "max": _extreme(np.max),
    "dot": _dot,
    "norm": _norm,
    "softmax": _softmax,
    "layernorm": _layernorm,
}
