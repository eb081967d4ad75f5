"""Words and moves as numbers: what they say of a field or a step is tested with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from odespec.ir import expr as ex
from odespec.ir.expr import Expr, leaf, substitute
from odespec.ir.forms import broadcast
from odespec.program.directional import directional
from odespec.program.evaluate import evaluate
from odespec.prove.structure.letters import Letter, Sum, Word
from odespec.prove.structure.moves import Move, Moves
from odespec.weights.arithmetic import Array

Env = Mapping[Expr, Any]


def word_of(word: Word, x: Expr) -> Expr:
    """A word applied to an expression."""
    for item in reversed(word.letters):
        x = applied(item, x)
    for factor in word.scalars:
        x = ex.mul(factor, x)
    return x


def applied(item: Letter, x: Expr) -> Expr:
    """A letter applied to an expression."""
    if item.kind == "left":
        matrix = ex.transpose(item.exprs[0]) if item.turned else item.exprs[0]
        return ex.matmul(matrix, x) if len(matrix.shape) == 2 else ex.apply(matrix, x)
    if item.kind == "right":
        return ex.matmul_last(x, ex.transpose(item.exprs[0]) if item.turned else item.exprs[0])
    if item.kind == "times":
        return ex.mul(item.exprs[0], x)
    if item.kind == "outer":
        a, b = item.exprs
        return ex.mul(a, ex.dot(b, x) if x.shape else ex.mul(b, x))
    if item.kind == "fold":
        return broadcast(x, item.shape, item.axes) if item.turned else ex.total(x, item.axes)
    node = item.exprs[0]
    at = leaf("state", "?at", node.args[0].shape)
    (moved,) = directional([Expr(node.op, (at,), node.shape, node.data)], {at: x})
    return substitute([moved], {at: node.args[0]})[0]


def words_as_matrix(words: Sum, of: ex.Shape, by: ex.Shape, env: Env) -> Array:
    """``[entries of, entries by]``."""
    probe = leaf("state", "?probe", by)
    columns = []
    n = int(np.prod(by))
    for direction in np.eye(n).reshape(n, *by):
        total = np.zeros(of)
        values = evaluate([word_of(w, probe) for w in words], {**env, probe: direction})
        for value, c in zip(values, words.values(), strict=True):
            total = total + float(c) * value
        columns.append(np.broadcast_to(total, of).ravel())
    return np.array(columns).T


def symmetry_defect(item: Letter, env: Env, rng: np.random.Generator) -> float:
    """How far a letter is from being symmetric (skew), as it states, on random tensors."""
    if not item.symmetry or item.kind in ("times", "outer", "fold"):
        return 0.0
    shape = _input(item)
    u, v = rng.standard_normal(shape), rng.standard_normal(shape)
    probe = leaf("state", "?probe", shape)
    image = applied(item, probe)
    (a,), (b,) = evaluate([image], {**env, probe: u}), evaluate([image], {**env, probe: v})
    size = float(np.linalg.norm(np.ravel(a)) * np.linalg.norm(np.ravel(v))) + 1e-300
    return abs(float(np.sum(a * v) - item.symmetry * np.sum(u * b))) / size


def _input(item: Letter) -> ex.Shape:
    e = item.exprs[0]
    if item.kind == "slope":
        return e.args[0].shape
    if item.kind == "right":
        return (2, e.shape[0])
    return e.shape[ex.split(e) :]


def moved(found: Moves, values: list[Array], env: Env) -> list[Array]:
    """What the moves make of the values of the slots."""
    held = [values[k] for k in found.order]
    for move in found.moves:
        held[move.slot] = _after(move, found, held, env)
    return held


def _after(move: Move, found: Moves, held: list[Array], env: Env) -> Array:
    x = held[move.slot]
    now = {**env, **dict(zip(found.leaves, held, strict=True))}
    if move.kind == "activation":
        (value,) = evaluate([move.by], {**now, move.by.args[0]: x})
        return np.asarray(value)
    if move.kind == "matrix":
        own = leaf("state", "?own", x.shape)
        (value,) = evaluate([ex.matmul(move.by, own)], {**now, own: x})
        return np.asarray(value)
    (by,) = evaluate([move.by], now)
    return np.asarray(x + by if move.kind == "shift" else x * by)
