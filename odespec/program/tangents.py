"""Derivatives forward: the value of an expression together with its derivatives in given directions.

A tangent has the directions on a first axis, before the batch axes. All values that depend on a leaf with a tangent
must have equally many batch axes, so that directions and batch never meet. At kinks the derivative is one of those
beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr, leaf
from odespec.program.evaluate import (
    RULES,
    NoRule,
    Value,
    aligned,
    evaluate,
    last_axes,
    moments,
    plan,
    power,
    value_of,
)
from odespec.program.exponential import numbers_of
from odespec.program.operators import Array, spread

Tangent = Array | None
Rule = Callable[..., Array]


def differentiate(
    roots: Sequence[Expr], env: Mapping[Expr, Value], tangents: Mapping[Expr, Array]
) -> tuple[list[Value], list[Tangent]]:
    """Values and tangents of expressions; a tangent is None where nothing that moves is read. Raises `NoRule`."""
    nodes, arguments, places = plan(roots)
    values: list[Value] = []
    moves: list[Tangent] = []
    for node, places_of_args in zip(nodes, arguments, strict=True):
        args = [values[i] for i in places_of_args]
        directions = [moves[i] for i in places_of_args]
        values.append(value_of(node, args, env))
        moves.append(tangents.get(node) if node in env else _tangent(node, args, directions, values[-1]))
    return [values[i] for i in places], [moves[i] for i in places]


def _tangent(node: Expr, args: Sequence[Value], directions: Sequence[Tangent], value: Value) -> Tangent:
    if all(d is None for d in directions):
        return None
    if node.op in _LINEAR:
        return RULES[node.op](node, *directions)  # type: ignore[no-any-return]
    if node.op == "add":
        return _sum(node, args, directions)
    if node.op in _BILINEAR:
        return _product(node, args, directions)
    rule = _UNARY.get(node.op)
    if rule is None or directions[0] is None or len(args) > 1:
        rule = _BINARY.get(node.op)
        if rule is None:
            raise NoRule(f"the derivative of {node.op}")
        return rule(node, args, directions, value)
    return rule(node, args[0], directions[0], value)


_LINEAR = frozenset({"transpose", "diag", "offdiag", "channel", "pool", "sum", "mean"})
_BILINEAR = frozenset({"mul", "matmul", "apply", "dot"})


def _added(parts: Sequence[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _sum(node: Expr, args: Sequence[Value], directions: Sequence[Tangent]) -> Array:
    parts = [spread_out(node, i, d) for i, d in enumerate(directions) if d is not None]
    return _added(parts)


def spread_out(node: Expr, which: int, direction: Array) -> Array:
    """The tangent of an argument at the rank of an elementwise result."""
    if node.args[which].shape == node.shape:
        return direction
    moved = spread(direction, len(node.shape))
    return np.broadcast_to(moved, (*moved.shape[: moved.ndim - len(node.shape)], *node.shape))


def _product(node: Expr, args: Sequence[Value], directions: Sequence[Tangent]) -> Array:
    """The rule is linear in each argument."""
    left, right = directions
    parts = []
    if left is not None:
        parts.append(RULES[node.op](node, left, args[1]))
    if right is not None:
        parts.append(RULES[node.op](node, args[0], right))
    return _added(parts)


def _div(node: Expr, args: Sequence[Value], directions: Sequence[Tangent], value: Array) -> Array:
    left, right = directions
    parts = []
    if left is not None:
        x, y = aligned(node, left, args[1])
        parts.append(x / y)
    if right is not None:
        shape = node.args[1].shape
        ratio = right / args[1]
        parts.append(-value * (ratio if shape == node.shape else spread(ratio, len(node.shape))))
    return _added(parts)


def slope(node: Expr, x: Array) -> Array:
    """The derivative of an ``act`` node at the value of its argument."""
    name, parameters = named(node)
    at = leaf("state", "?", node.shape)
    return evaluate([ACTIVATIONS[name].derivative(at, parameters)], {at: x})[0]  # type: ignore[no-any-return]


def _pow(node: Expr, x: Array, d: Array, value: Array) -> Array:
    exponent = node.data
    assert isinstance(exponent, Fraction)
    return np.asarray(float(exponent) * power(x, exponent - 1) * d)


def _softmax(node: Expr, x: Array, d: Array, value: Array) -> Array:
    axes = last_axes(node, node.data)
    weighted = value * d
    return np.asarray(weighted - value * np.sum(weighted, axis=axes, keepdims=True))


def _layernorm(node: Expr, x: Array, d: Array, value: Array) -> Array:
    assert isinstance(node.data, tuple)
    axes = last_axes(node, node.data[0])
    deviation = moments(node, x)[1]
    centred = d - np.mean(d, axis=axes, keepdims=True)
    return np.asarray((centred - value * np.mean(value * centred, axis=axes, keepdims=True)) / deviation)


def _norm(node: Expr, x: Array, d: Array, value: Array) -> Array:
    axes = last_axes(node, None)
    if node.data == "inf":
        return _pick(np.abs(x), np.sign(x) * d, len(axes))
    if node.data == 1:
        return np.asarray(np.sum(np.sign(x) * d, axis=axes))
    safe = np.where(value > 0, value, 1.0)
    return np.asarray(np.sum(x * d, axis=axes) / safe)


def _pick(keys: Array, d: Array, axes: int) -> Array:
    """The entries of tangents where the keys, over their last axes, are largest."""
    place = keys.reshape(*keys.shape[: keys.ndim - axes], -1).argmax(axis=-1)
    entries = d.reshape(*d.shape[: d.ndim - axes], -1)
    return np.take_along_axis(entries, np.broadcast_to(place, entries.shape[:-1])[..., None], -1)[..., 0]


def _phi(node: Expr, args: Sequence[Value], directions: Sequence[Tangent], value: Array) -> Array:
    """Linear in its tensors; operators with states in them have no rule."""
    count = numbers_of(node)[2] ** 2
    if any(d is not None for d in directions[:count]):
        raise NoRule("the derivative of phi by its operator")
    moved = [np.zeros_like(a) if d is None else d for a, d in zip(args[count:], directions[count:], strict=True)]
    return np.asarray(RULES["phi"](node, *args[:count], *moved))


_BINARY: dict[str, Rule] = {"div": _div, "phi": _phi}

_UNARY: dict[str, Rule] = {
    "act": lambda node, x, d, value: slope(node, x) * d,
    "pow": _pow,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "norm": _norm,
    "max": lambda node, x, d, value: _pick(x, d, len(node.args[0].shape)),
    "min": lambda node, x, d, value: _pick(-x, d, len(node.args[0].shape)),
}
