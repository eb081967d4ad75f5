"""Symbolic gradients: reverse accumulation over the expression graph.

The cotangent of a node is kept as a combination of expressions with exact coefficients, so that equal terms meet and
the result reads as a person would write it: the gradient of ``sum(logcosh(W @ x + b))`` is ``W.T @ tanh(W @ x + b)``.
Reference: Griewank & Walther, "Evaluating Derivatives", SIAM 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

from odespec.activations import derivative
from odespec.exact import Real
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape, postorder
from odespec.ir.forms import NotDifferentiable, broadcast, linear, product, spread, total, transposed
from odespec.records import dataclass

__all__ = ["NotDifferentiable", "gradient"]

Terms = dict[Expr, Real]
"""A combination: expressions with their coefficients, in the order in which they were met."""


@dataclass(frozen=True, slots=True)
class Pull:
    """One node on the way back: its cotangent ``ct``, and where the cotangents of its arguments are gathered."""

    node: Expr
    ct: Expr
    active: set[Expr]
    cotangents: dict[Expr, Terms]
    structures: Mapping[Expr, str]

    def wants(self, i: int) -> bool:
        """Whether the argument of this number depends on what is differentiated by."""
        return self.node.args[i] in self.active

    def send(self, i: int, value: Expr) -> None:
        """Add to the cotangent of the argument of this number, if it is wanted."""
        if self.wants(i):
            _accumulate(self.cotangents.setdefault(self.node.args[i], {}), value)


def gradient(scalar: Expr, by: Expr, structures: Mapping[Expr, str] | None = None) -> Expr:
    """The gradient of a scalar by a leaf, of the leaf's shape. ``structures`` are those of the parameters.

    Raises `NotDifferentiable`; ValueError where the expression is no scalar.
    """
    if scalar.shape:
        raise ValueError(f"a gradient is of a scalar, not of shape {scalar.shape}")
    nodes = list(postorder(scalar))
    active = _active(nodes, by)
    if scalar not in active:
        return ex.full(0, by.shape)
    cotangents: dict[Expr, Terms] = {scalar: {ex.const(1): Fraction(1)}}
    for node in reversed(nodes):
        if node in active and node != by and node in cotangents:
            ct = _collected(cotangents.pop(node), node.shape)
            _pull(Pull(node, ct, active, cotangents, structures or {}))
    return _collected(cotangents.get(by, {}), by.shape)


def _active(nodes: list[Expr], by: Expr) -> set[Expr]:
    found: set[Expr] = set()
    for node in nodes:
        if node == by or any(a in found for a in node.args):
            found.add(node)
    return found


def _accumulate(terms: Terms, value: Expr) -> None:
    coefficient: Real = Fraction(1)
    if value.op == "mul" and value.args[0].op == "const":
        coefficient, value = value.args[0].data, value.args[1]  # type: ignore[assignment]
    if not ex.is_zero(value):
        terms[value] = terms[value] + coefficient if value in terms else coefficient


def _collected(terms: Terms, shape: Shape) -> Expr:
    result = ex.full(0, shape)
    for e, coefficient in terms.items():
        result = ex.add(result, ex.mul(ex.const(coefficient), e))
    return result


# --- what each operation sends to its arguments ---------------------------------------


def _pull(p: Pull) -> None:
    rule = _RULES.get(p.node.op)
    if rule is None:
        raise NotDifferentiable(f"`{_NAMES.get(p.node.op, p.node.op)}` of a state")
    rule(p)


def _fold(value: Expr, shape: Shape) -> Expr:
    """The cotangent of a scalar that met a tensor: the sum of all entries."""
    return value if value.shape == shape else total(value)


def _add(p: Pull) -> None:
    for i, a in enumerate(p.node.args):
        p.send(i, _fold(p.ct, a.shape))


def _mul(p: Pull) -> None:
    a, b = p.node.args
    if p.wants(0):
        p.send(0, _fold(product(p.ct, b), a.shape))
    if p.wants(1):
        p.send(1, _fold(product(a, p.ct), b.shape))


def _div(p: Pull) -> None:
    a, b = p.node.args
    if p.wants(0):
        p.send(0, _fold(ex.div(p.ct, b), a.shape))
    if p.wants(1):
        p.send(1, _fold(ex.neg(ex.div(product(p.ct, a), ex.power(b, Fraction(2)))), b.shape))


def _pow(p: Pull) -> None:
    exponent = p.node.data
    assert isinstance(exponent, Fraction)
    p.send(0, product(p.ct, ex.mul(ex.const(exponent), ex.power(p.node.args[0], exponent - 1))))


def _matmul(p: Pull) -> None:
    a, b = p.node.args
    if p.node.data == "last":
        if p.wants(0):
            p.send(0, linear(lambda w, y: ex.matmul_last(y, w), transposed(b, p.structures), p.ct))
        if p.wants(1):
            p.send(1, _outer(transposed(a, p.structures) if len(a.shape) == 2 else a, p.ct, p.structures, True))
        return
    if p.wants(1):
        p.send(1, linear(ex.matmul, transposed(a, p.structures), p.ct))
    if p.wants(0):
        diagonal = a.op == "diag" and len(b.shape) == 1
        p.send(0, Expr("diag", (product(p.ct, b),), a.shape) if diagonal else _outer(p.ct, b, p.structures))


def _outer(u: Expr, x: Expr, structures: Mapping[Expr, str], plain: bool = False) -> Expr:
    """``u x.T`` (``u x`` if ``plain``): of matrices a product, of vectors written with diagonal matrices."""
    if len(u.shape) == len(x.shape) == 2:
        return ex.matmul(u, x if plain else transposed(x, structures))
    if len(u.shape) != 1 or len(x.shape) != 1:
        raise NotDifferentiable("a matrix that acts on more than two axes and that depends on a state")
    left, right = (Expr("diag", (v,), v.shape * 2) for v in (u, x))
    return ex.matmul(ex.matmul(left, ex.full(1, u.shape + x.shape)), right)


def _transpose(p: Pull) -> None:
    p.send(0, ex.transpose(p.ct))


def _apply(p: Pull) -> None:
    if p.wants(0):
        raise NotDifferentiable("a convolution whose kernel depends on a state")
    p.send(1, linear(ex.apply, ex.transpose(p.node.args[0]), p.ct))


def _diag(p: Pull) -> None:
    if p.ct.op == "diag":
        p.send(0, p.ct.args[0])
    else:
        p.send(0, ex.total(ex.mul(p.ct, ex.eye(p.node.shape[0])), (1,)))


def _offdiag(p: Pull) -> None:
    p.send(0, Expr("offdiag", (p.ct,), p.node.shape))


def _act(p: Pull) -> None:
    p.send(0, product(p.ct, derivative(p.node)))


def _softmax(p: Pull) -> None:
    axis, node = p.node.data, p.node
    assert isinstance(axis, int)
    inner = spread(_along(product(p.ct, node), axis), node.shape, (axis,))
    p.send(0, ex.mul(node, ex.sub(p.ct, inner)))


def _layernorm(p: Pull) -> None:
    """With x centred and y the result: ``(ct - mean(ct) - y * mean(y * ct)) / sqrt(variance + eps)``."""
    axis, eps = layernorm_options(p.node)
    shape, x = p.node.shape, p.node.args[0]
    centred = ex.sub(x, spread(_mean_along(x, axis), shape, (axis,)))
    variance = _mean_along(ex.mul(centred, centred), axis)
    scale = spread(ex.power(ex.add(variance, ex.const(eps)), Fraction(-1, 2)), shape, (axis,))
    level = spread(_mean_along(p.ct, axis), shape, (axis,))
    tilt = ex.mul(p.node, spread(_mean_along(product(p.ct, p.node), axis), shape, (axis,)))
    p.send(0, ex.mul(scale, ex.sub(ex.sub(p.ct, level), tilt)))


def layernorm_options(node: Expr) -> tuple[int, Fraction]:
    """The axis and the eps of a ``layernorm``."""
    assert isinstance(node.data, tuple)
    axis, eps = node.data
    assert isinstance(axis, int) and isinstance(eps, Fraction)
    return axis, eps


def _along(x: Expr, axis: int) -> Expr:
    return total(x) if len(x.shape) == 1 else ex.total(x, (axis,))


def _mean_along(x: Expr, axis: int) -> Expr:
    return ex.mean(x) if len(x.shape) == 1 else ex.mean(x, (axis,))


def _reduce(p: Pull) -> None:
    shape, axes, ct = p.node.args[0].shape, p.node.data, p.ct
    axes = tuple(range(len(shape))) if axes is None else axes
    assert isinstance(axes, tuple)
    if p.node.op == "mean":
        ct = ex.mul(ex.const(Fraction(1, prod(shape[i] for i in axes))), ct)
    p.send(0, broadcast(ct, shape, axes))


def _dot(p: Pull) -> None:
    a, b = p.node.args
    p.send(0, ex.mul(p.ct, b))
    p.send(1, ex.mul(p.ct, a))


def _norm(p: Pull) -> None:
    if p.node.data != 2:
        raise NotDifferentiable(f"`norm(x, {p.node.data})`")
    p.send(0, ex.mul(ex.div(p.ct, p.node), p.node.args[0]))


def _channel(p: Pull) -> None:
    kept = len(p.node.args[0].shape)
    p.send(0, ex.total(p.ct, tuple(range(kept, len(p.node.shape)))))


_RULES: dict[str, Callable[[Pull], None]] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "matmul": _matmul,
    "transpose": _transpose,
    "apply": _apply,
    "diag": _diag,
    "offdiag": _offdiag,
    "act": _act,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "sum": _reduce,
    "mean": _reduce,
    "dot": _dot,
    "norm": _norm,
    "channel": _channel,
}

_NAMES = {"opnorm": "norm", "bound": "norm"}
