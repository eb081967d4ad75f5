"""What of a field is linear in the states: ``f = L + N`` exactly, and L as operators between the states.

L has every term that is a state under factors without states, after multiplying out; what is added to it, such as a
bias, and all other terms are in N.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.ir.expr import (
    Expr,
    Shape,
    add,
    const,
    full,
    is_zero,
    matmul,
    mul,
    postorder,
    rebuild,
    sub,
)
from odespec.program.fields import Tensors

ONE_PLACE = frozenset({"transpose", "diag", "offdiag", "channel", "pool", "sum", "mean"})
"""Operations that are linear in their one argument."""

TWO_PLACES = frozenset({"mul", "matmul", "apply", "dot"})
"""Operations that are linear in each of their two arguments."""

MAX_TERMS = 256
MAX_DEPTH = 8
_MINUS_ONE = Fraction(-1)
STATE = frozenset({"state", "stage", "past", "initial"})


class NotLinear(ValueError):
    """An expression is not of the form that was asked for; the argument says why."""


def with_states(*roots: Expr) -> set[Expr]:
    """The nodes in which a state occurs."""
    found: set[Expr] = set()
    for node in postorder(*roots):
        if node.op in STATE or any(a in found for a in node.args):
            found.add(node)
    return found


def split(e: Expr) -> tuple[Expr, Expr]:
    """``(L, N)`` with ``e = L + N``: L linear in the states, N all the rest."""
    varying = with_states(e)
    parts: dict[Expr, tuple[Expr, Expr]] = {}
    for node in postorder(e):
        parts[node] = _split(node, parts, varying)
    return parts[e]


def _split(node: Expr, parts: dict[Expr, tuple[Expr, Expr]], varying: set[Expr]) -> tuple[Expr, Expr]:
    nothing = full(0, node.shape)
    if node.op == "state":
        return node, nothing
    moving = [i for i, a in enumerate(node.args) if a in varying]
    if node.op == "add":
        (a, b), (c, d) = (parts[x] for x in node.args)
        return _sum(a, c, node.shape), _sum(b, d, node.shape)
    if len(moving) != 1 or not _linear_in(node, moving[0]):
        return nothing, node
    linear, rest = (_with(node, moving[0], x) for x in parts[node.args[moving[0]]])
    return linear, rest


def _linear_in(node: Expr, place: int) -> bool:
    if node.op == "div":
        return place == 0
    if node.op == "act":
        return node.data == ("identity", ())
    return node.op in ONE_PLACE or node.op in TWO_PLACES


def _sum(a: Expr, b: Expr, shape: Shape) -> Expr:
    """A sum of two terms, of which zeros may have lost the shape of the sum."""
    if is_zero(a) and b.shape == shape:
        return b
    if is_zero(b) and a.shape == shape:
        return a
    return full(0, shape) if is_zero(a) and is_zero(b) else add(a, b)


def _with(node: Expr, place: int, value: Expr) -> Expr:
    """The node with one argument replaced; a zero stays zero."""
    if is_zero(value):
        return full(0, node.shape)
    if value is node.args[place]:
        return node
    return rebuild(node, tuple(value if i == place else a for i, a in enumerate(node.args)))


# --- terms -----------------------------------------------------------------------


def terms(e: Expr) -> dict[Expr, Expr]:
    """A sum multiplied out: to each term, the number in front of it. Raises `NotLinear` where there are too many."""
    found: dict[Expr, Expr] = {}
    pending = [(const(1), e)]
    while pending:
        if len(found) + len(pending) > MAX_TERMS:
            raise NotLinear("a field has too many terms when it is multiplied out")
        scale, node = pending.pop()
        split_up = _addends(node)
        if split_up is not None:
            pending += [(mul(scale, factor), part) for factor, part in reversed(split_up)]
        elif not is_zero(node):
            found[node] = add(found[node], scale) if node in found else scale
    return {node: scale for node, scale in found.items() if not is_zero(scale)}


def _addends(node: Expr, depth: int = MAX_DEPTH) -> list[tuple[Expr, Expr]] | None:
    """A node as numbers times nodes of its own shape; None where it is one term. Products are looked into so deep."""
    one = const(1)
    if node.op == "add":
        return [(one, a) if a.shape == node.shape else (a, full(1, node.shape)) for a in node.args]
    if node.op == "mul" and node.args[0].op == "const":
        return [(node.args[0], node.args[1])] if node.args[1].shape == node.shape else None
    if node.op in ("mul", "matmul", "apply") and depth:
        for place, part in enumerate(node.args):
            parts = _addends(part, depth - 1)
            if parts is not None and all(p.shape == part.shape for _, p in parts):
                return [(factor, _with(node, place, p)) for factor, p in parts]
    return None


def without(e: Expr, linear: Expr) -> Expr:
    """``e - linear``, with equal terms cancelled. Raises `NotLinear`."""
    left = terms(e)
    for node, scale in terms(linear).items():
        left[node] = sub(left.get(node, const(0)), scale)
    total = full(0, e.shape)
    for node, scale in left.items():
        total = _sum(total, full(0, e.shape) if is_zero(scale) else mul(scale, node), e.shape)
    return total


# --- operators -------------------------------------------------------------------


def operators(linear: Expr, states: Tensors) -> list[Expr | None]:
    """A linear expression as an operator on each of the states, None where it does not read it. Raises `NotLinear`."""
    return [_operator(linear, state) for state in states]


def _operator(linear: Expr, state: Expr) -> Expr | None:
    found: dict[Expr, Expr | None] = {}
    varying = with_states(linear)
    for node in postorder(linear):
        found[node] = _moved(node, state, found) if node in varying else None
    return found[linear]


def _moved(node: Expr, state: Expr, found: dict[Expr, Expr | None]) -> Expr | None:
    if node == state:
        return unit(state.shape)
    if node.op == "state":
        return None
    if node.op == "add":
        left, right = (found[a] for a in node.args)
        if any(found[a] is not None and a.shape != node.shape for a in node.args):
            raise NotLinear("a number is spread over a tensor")
        return add(left, right) if left is not None and right is not None else left if right is None else right
    inner = [found[a] for a in node.args]
    place = next((i for i, x in enumerate(inner) if x is not None), None)
    if place is None:
        return None
    operator = inner[place]
    assert operator is not None
    return _after(node, place, operator)


def _after(node: Expr, place: int, inner: Expr) -> Expr:
    """The operator of a node whose argument at a place is an operator's image."""
    if node.op == "act":
        return inner
    other = node.args[1 - place] if len(node.args) == 2 else None
    if node.op == "mul" and other is not None:
        if not other.shape:
            return mul(other, inner)
        if node.args[place].shape == other.shape:
            return composed(Expr("diag", (other,), other.shape * 2), inner)
    if node.op == "div" and other is not None and not other.shape:
        return Expr("div", (inner, other), inner.shape)
    if node.op == "div" and other is not None and other.shape == node.args[0].shape:
        return composed(Expr("diag", (Expr("pow", (other,), other.shape, _MINUS_ONE),), other.shape * 2), inner)
    if node.op == "apply" and place == 1:
        return composed(node.args[0], inner)
    if node.op == "matmul" and place == 1 and node.data is None:
        return composed(_lifted(node.args[0], node.args[1].shape, last=False), inner)
    if node.op == "matmul" and place == 0 and node.data == "last":
        return composed(_lifted(node.args[1], node.args[0].shape, last=True), inner)
    raise NotLinear(f"`{node.op}` of a state is no operator that can be exponentiated")


def _lifted(matrix: Expr, shape: Shape, *, last: bool) -> Expr:
    """A matrix as an operator on tensors of a shape: on their first axis, or from the right on their last one."""
    if len(shape) == 1:
        return matrix
    outs = (*shape[:-1], matrix.shape[1]) if last else (matrix.shape[0], *shape[1:])
    return Expr("lifted", (matrix,), (*outs, *shape), "last" if last else "first")


def composed(outer: Expr, inner: Expr) -> Expr:
    """Two operators one after the other."""
    if inner.op == "eye":
        return outer
    if outer.op == "eye":
        return inner
    if inner.op == "mul" and not inner.args[0].shape:
        return mul(inner.args[0], composed(outer, inner.args[1]))
    if len(outer.shape) == len(inner.shape) == 2:
        return matmul(outer, inner)
    half_out, half_in = len(outer.shape) // 2, len(inner.shape) // 2
    return Expr("compose", (outer, inner), (*outer.shape[:half_out], *inner.shape[half_in:]))


def unit(shape: Shape) -> Expr:
    """The identity on tensors of a shape; on numbers, the number one."""
    return const(1) if not shape else Expr("eye", (), shape * 2)
