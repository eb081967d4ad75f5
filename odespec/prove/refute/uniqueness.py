"""Whether the equations of implicit steps have exactly one solution for given weights, whatever the state.

The equations are ``z = G(z)``. For two solutions ``z - z' = M (z - z')`` with M the derivative of G at some slopes of
the activations, each anywhere in its interval. If ``I - M`` is regular for every such M there is at most one solution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr
from odespec.program.step import Solve
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.evaluate import Leaves, Plan, Unsupported, evaluate, plan
from odespec.weights.steps import Runner, step_leaves

Ball = tuple[Array, Array]
"""The derivative of a tensor by the unknowns: middle and radius, each ``[n, *shape]``."""
ROOM = 1e-6
DEPENDENT = ("state", "stage", "past")


def uniquely_solvable(runner: Runner, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> bool:
    """Whether every group of implicit equations is shown to have at most one solution, at every step."""
    model, program = runner.program.model, runner.program
    held = {("param", n): w for n, w in weights.items()} | {("input", n): u for n, u in inputs.items()}
    groups = [*runner.solves, *(runner.begin[1] if runner.begin is not None else ())]
    timed = any(n.op == "time" for _, prepared in groups for n in prepared.nodes)
    first = 0 if runner.program.begin is None else runner.program.begin.steps
    seen = set()
    for k in range(program.steps):
        leaves = step_leaves(model, held, k)
        key = (k if timed else min(k, first), *(v.tobytes() for v in leaves.values()))
        if key in seen:
            continue
        seen.add(key)
        leaves["time", None] = np.asarray(float(program.start + program.h * k))
        if not all(_regular(group, prepared, leaves) for group, prepared in runner.at(k)[1]):
            return False
    return True


def _regular(group: Solve, prepared: Plan, leaves: dict[tuple[str, object], Array]) -> bool:
    try:
        middle, radius = slopes(prepared, group.unknowns, leaves)
    except Unsupported:
        return False
    matrix = np.eye(len(middle)) - middle
    if not (np.isfinite(matrix).all() and np.isfinite(radius).all()):
        return False
    symmetric = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    size = float(np.linalg.norm(radius, 2))
    if symmetric[0] - size > ROOM * max(1.0, size) + 1e-12 * float(np.linalg.norm(matrix)):
        return True
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return False
    rounding = 1e-14 * len(matrix) * (np.abs(inverse) @ np.abs(matrix))
    defect = np.abs(np.eye(len(matrix)) - inverse @ matrix) + np.abs(inverse) @ radius + rounding
    return bool(min(defect.sum(axis=1).max(), np.linalg.norm(defect, 2)) < 1 - ROOM)


def slopes(prepared: Plan, unknowns: tuple[Expr, ...], leaves: dict[tuple[str, object], Array]) -> tuple[Array, Array]:
    """Middle and radius ``[rows, n]`` of the derivative of the roots by the unknowns, over all slopes of activations.

    ``leaves`` are the params, inputs and the time. Raises `Unsupported` for operations whose slopes are unbounded.
    """
    place = {(u.op, u.data): i for i, u in enumerate(unknowns)}
    sizes = [prod(u.shape) for u in unknowns]
    values: list[Array | None] = []
    balls: list[Ball | None] = []
    for node, args in zip(prepared.nodes, prepared.args, strict=True):
        ball, value = None, None
        if (node.op, node.data) in place:
            ball = _unit(place[node.op, node.data], node, sizes)
        elif any(balls[i] is not None for i in args):
            ball = _moved(node, [values[i] for i in args], [balls[i] for i in args])
        elif node.op not in DEPENDENT and not any(values[i] is None for i in args):
            value = _known(node, [values[i] for i in args], leaves)
        values.append(value)
        balls.append(ball)
    n = sum(sizes)
    parts = [balls[i] if balls[i] is not None else _zero(prepared.nodes[i], n) for i in prepared.roots]
    middle, radius = (np.concatenate([p[j].reshape(n, -1) for p in parts if p is not None], axis=1).T for j in (0, 1))
    return middle, radius


def _known(node: Expr, args: list[Any], leaves: dict[tuple[str, object], Array]) -> Array:
    """The value of a node that no state enters."""
    if not node.args:
        return evaluate(plan((node,)), FLOAT, leaves)[0]
    fresh = tuple(Expr("input", (), a.shape, i) for i, a in enumerate(node.args))
    alone = Expr(node.op, fresh, node.shape, node.data)
    known: Leaves = {("input", i): v for i, v in enumerate(args)}
    return evaluate(plan((alone,)), FLOAT, known)[0]


def _unit(which: int, node: Expr, sizes: list[int]) -> Ball:
    start, n = sum(sizes[:which]), sum(sizes)
    middle = np.zeros((n, sizes[which]))
    middle[start : start + sizes[which]] = np.eye(sizes[which])
    middle = middle.reshape(n, *node.shape)
    return middle, np.zeros_like(middle)


def _zero(node: Expr, n: int) -> Ball:
    return np.zeros((n, *node.shape)), np.zeros((n, *node.shape))


def _moved(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    rule = _RULES.get(node.op)
    if rule is None:
        raise Unsupported(node.op)
    return rule(node, values, balls)


def _linear(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    """An operation that is linear in its one state-dependent argument, the others known."""
    (which,) = (i for i, b in enumerate(balls) if b is not None)
    if any(v is None for i, v in enumerate(values) if i != which):
        raise Unsupported("a product of states")
    ball = balls[which]
    assert ball is not None
    fresh = tuple(Expr("input", (), a.shape, i) for i, a in enumerate(node.args))
    prepared = plan((Expr(node.op, fresh, node.shape, node.data),))
    known = {i: v for i, v in enumerate(values) if i != which and v is not None}
    middle = evaluate(prepared, FLOAT, {("input", i): v for i, v in {**known, which: ball[0]}.items()})[0]
    sizes = {i: np.abs(v) for i, v in known.items()}
    radius = evaluate(prepared, FLOAT, {("input", i): v for i, v in {**sizes, which: ball[1]}.items()})[0]
    return middle, radius


def _add(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    total: Ball | None = None
    for ball in (b for b in balls if b is not None):
        n = len(ball[0])
        spread = [
            np.broadcast_to(b.reshape(n, *(b.shape[1:] or (1,) * len(node.shape))), (n, *node.shape)) for b in ball
        ]
        total = (spread[0], spread[1]) if total is None else (total[0] + spread[0], total[1] + spread[1])
    assert total is not None
    return total


def _product(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    if all(b is not None for b in balls):
        raise Unsupported("a product of states")
    return _linear(node, values, balls)


def _division(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    if balls[1] is not None:
        raise Unsupported("a division by states")
    return _linear(node, values, balls)


def _act(node: Expr, values: list[Array | None], balls: list[Ball | None]) -> Ball:
    name, parameters = named(node)
    interval = ACTIVATIONS[name].slope(parameters)
    if interval.lower is None or interval.upper is None or name in ("step", "sign"):
        raise Unsupported(name)
    ball = balls[0]
    assert ball is not None
    low, high = float(interval.lower), float(interval.upper)
    middle, radius = (low + high) / 2, (high - low) / 2
    return middle * ball[0], abs(middle) * ball[1] + radius * (np.abs(ball[0]) + ball[1])


_Rule = Callable[[Expr, list[Array | None], list[Ball | None]], Ball]
_RULES: dict[str, _Rule] = {
    "add": _add,
    "mul": _product,
    "div": _division,
    "matmul": _product,
    "apply": _product,
    "transpose": _linear,
    "sum": _linear,
    "mean": _linear,
    "dot": _product,
    "diag": _linear,
    "offdiag": _linear,
    "channel": _linear,
    "act": _act,
}
