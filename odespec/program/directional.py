"""Symbolic directional derivatives: forward accumulation over the expression graph.

The tangent of a node is the derivative of its value when each leaf moves in a direction of its own. Reference: Griewank &
Walther, "Evaluating Derivatives", SIAM 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from odespec.activations import derivative
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape, is_zero, postorder

LINEAR = frozenset({"sum", "mean", "transpose", "diag", "offdiag", "channel", "pool"})
"""Operations of one argument that are linear in it."""


class NoTangent(ValueError):
    """An operation has no symbolic derivative here; the message names it."""


def directional(roots: Iterable[Expr], moves: Mapping[Expr, Expr]) -> tuple[Expr, ...]:
    """The derivatives of expressions when each leaf of ``moves`` moves in its direction (of the leaf's shape).

    Raises `NoTangent`.
    """
    roots = tuple(roots)
    found: dict[Expr, Expr | None] = {}
    for node in postorder(*roots):
        if node in moves:
            found[node] = moves[node]
        else:
            found[node] = _tangent(node, tuple(found[a] for a in node.args))
    return tuple(_or_zero(found[r], r.shape) for r in roots)


def without(roots: Iterable[Expr], leaves: Iterable[Expr]) -> tuple[Expr, ...]:
    """Expressions with some leaves set to zero, and what vanishes with them left out."""
    zeros = {e: ex.full(0, e.shape) for e in leaves}
    new: dict[Expr, Expr] = {}
    roots = tuple(roots)
    for node in postorder(*roots):
        args = tuple(new[a] for a in node.args)
        if node in zeros:
            new[node] = zeros[node]
        elif _vanishes(node, args):
            new[node] = ex.full(0, node.shape)
        else:
            new[node] = node if all(a is b for a, b in zip(args, node.args, strict=True)) else ex.rebuild(node, args)
    return tuple(new[r] for r in roots)


def spread(e: Expr, shape: Shape) -> Expr:
    """A scalar at every entry of a tensor."""
    return e if e.shape == shape else ex.mul(e, ex.full(1, shape))


def _vanishes(node: Expr, args: tuple[Expr, ...]) -> bool:
    if node.op in ("mul", "matmul", "apply", "dot"):
        return any(map(is_zero, args))
    return node.op in (*LINEAR, "div") and is_zero(args[0])


def _or_zero(e: Expr | None, shape: Shape) -> Expr:
    return ex.full(0, shape) if e is None else e


def _tangent(node: Expr, moved: tuple[Expr | None, ...]) -> Expr | None:
    """None where nothing that the node reads moves."""
    if all(m is None or is_zero(m) for m in moved):
        return None
    if node.op in LINEAR:
        return Expr(node.op, (moved[0],), node.shape, node.data)  # type: ignore[arg-type]
    rule = _RULES.get(node.op)
    if rule is None:
        raise NoTangent(f"`{node.op}` has no symbolic derivative")
    return rule(node, moved)


def _add(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    first, second = (_or_zero(m, a.shape) for m, a in zip(moved, node.args, strict=True))
    return spread(ex.add(first, second), node.shape)


def _bilinear(node: Expr, moved: tuple[Expr | None, ...], product: Callable[[Expr, Expr], Expr]) -> Expr:
    (a, b), (u, v) = node.args, moved
    parts = [product(u, b)] if u is not None and not is_zero(u) else []
    parts += [product(a, v)] if v is not None and not is_zero(v) else []
    return ex.add(*parts) if len(parts) == 2 else parts[0]


def _matmul(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    return _bilinear(node, moved, ex.matmul_last if node.data == "last" else ex.matmul)


def _apply(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    if moved[0] is not None and not is_zero(moved[0]):
        raise NoTangent("an operator that depends on the state has no symbolic derivative")
    return ex.apply(node.args[0], moved[1])  # type: ignore[arg-type]


def _div(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    (a, b), (u, v) = node.args, moved
    result = ex.full(0, node.shape)
    if u is not None and not is_zero(u):
        result = spread(ex.div(u, b), node.shape)
    if v is not None and not is_zero(v):
        result = ex.sub(result, ex.div(ex.mul(a, v), ex.power(b, Fraction(2))))
    return result


def _pow(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    exponent = node.data
    assert isinstance(exponent, Fraction) and moved[0] is not None
    return ex.mul(ex.mul(ex.const(exponent), ex.power(node.args[0], exponent - 1)), moved[0])


def _act(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    assert moved[0] is not None
    return ex.mul(derivative(node), moved[0])


def _norm(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    if node.data != 2 or moved[0] is None:
        raise NoTangent(f"`norm(x, {node.data})` has no symbolic derivative")
    return ex.div(ex.dot(node.args[0], moved[0]), node)


def _softmax(node: Expr, moved: tuple[Expr | None, ...]) -> Expr:
    if moved[0] is None or len(node.shape) != 1:
        raise NoTangent("`softmax` along one of several axes has no symbolic derivative")
    return ex.mul(node, ex.sub(moved[0], spread(ex.dot(node, moved[0]), node.shape)))


_RULES: dict[str, Callable[[Expr, tuple[Expr | None, ...]], Expr]] = {
    "add": _add,
    "mul": lambda node, moved: _bilinear(node, moved, ex.mul),
    "dot": lambda node, moved: _bilinear(node, moved, ex.dot),
    "matmul": _matmul,
    "apply": _apply,
    "div": _div,
    "pow": _pow,
    "act": _act,
    "norm": _norm,
    "softmax": _softmax,
}
