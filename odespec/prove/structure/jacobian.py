"""The derivative of an expression by the states, as sums of operator words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

from odespec.activations import derivative
from odespec.exact import Real
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, postorder
from odespec.ir.symmetry import is_symmetric
from odespec.prove.structure.letters import (
    Letter,
    NoWords,
    Sum,
    letter,
    one,
    orthogonal,
    plus,
    product,
    scalar,
    scaled,
    times,
    transposed,
)

Derivative = dict[Expr, Sum]
"""For each leaf that is moved, the derivative by it; none where it is zero."""

UNUSABLE = "unusable"
"""A letter that stands for what has no words."""


class Jacobian:
    """``of(e)`` gives the derivatives of an expression by some leaves. ``structures`` are those of the parameters."""

    def __init__(self, by: tuple[Expr, ...], structures: Mapping[Expr, str]) -> None:
        self.by, self.structures = by, structures
        self._known: dict[Expr, Derivative] = {}

    def of(self, e: Expr) -> Derivative:
        """Raises `NoWords`."""
        for node in postorder(e):
            if node not in self._known:
                self._known[node] = self._derived(node)
        found = self._known[e]
        if any(x.kind == UNUSABLE for words in found.values() for word in words for x in word.letters):
            raise NoWords("a diagonal matrix of a state")
        return found

    def _derived(self, node: Expr) -> Derivative:
        if node in self.by:
            return {node: one()}
        args = [self._known[a] for a in node.args]
        if not any(args):
            return {}
        rule = _RULES.get(node.op)
        if rule is None:
            raise NoWords(f"`{node.op}` of a state")
        return rule(self, node, args)

    def operator(self, matrix: Expr, kind: str) -> Sum:
        """A matrix or operator without states as words; ``kind``: ``left`` or ``right``."""
        known: dict[Expr, Sum] = {}
        for node in postorder(matrix):
            if node.shape and (len(node.shape) > 1 or node.op == "diag"):
                known[node] = self._operator(node, known, kind)
        return known[matrix]

    def _operator(self, node: Expr, known: dict[Expr, Sum], kind: str) -> Sum:
        if node.op == "add" and all(a.shape == node.shape for a in node.args):
            return plus(known[node.args[0]], known[node.args[1]])
        if node.op == "mul" and not node.args[0].shape:
            return _by_scalar(node.args[0], known[node.args[1]])
        if node.op == "mul" and not node.args[1].shape:
            return _by_scalar(node.args[1], known[node.args[0]])
        if node.op == "matmul" and node.data is None:
            a, b = (known[x] for x in node.args)
            return product(a, b) if kind == "left" else product(b, a)
        if node.op == "transpose" and node.args[0] in known:
            return transposed(known[node.args[0]])
        if node.op == "eye":
            return one()
        if self.structures.get(node) == "skew":
            return letter(Letter(kind, (node,), symmetry=-1))
        if self.structures.get(node) == "orthogonal" and kind == "left":
            return letter(orthogonal(node))
        symmetric = is_symmetric(node, self.structures)
        return letter(Letter(kind, (node,), symmetry=int(symmetric)))


def _by_scalar(factor: Expr, words: Sum) -> Sum:
    if factor.op == "const":
        return scaled(factor.data, words)  # type: ignore[arg-type]
    return product(scalar(factor), words)


# --- rules -----------------------------------------------------------------------


def _after(words: Sum, moved: Derivative) -> Derivative:
    """A sum of words behind a derivative."""
    return {leaf: s for leaf, own in moved.items() if (s := product(words, own))}


def _total(a: Derivative, b: Derivative) -> Derivative:
    found = dict(a)
    for leaf, words in b.items():
        found[leaf] = plus(found.get(leaf, {}), words)
    return {leaf: words for leaf, words in found.items() if words}


def _spread(node: Expr, arg: Expr) -> Sum:
    """A scalar that meets a tensor stands at every entry."""
    if arg.shape == node.shape:
        return one()
    return letter(Letter("outer", (ex.full(1, node.shape), ex.const(1))))


def _entries(factor: Expr) -> Sum:
    """Multiplication by a tensor entry by entry, or by a scalar."""
    return letter(times(factor)) if factor.shape else scalar(factor)


def _add(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    return _total(*(_after(_spread(node, a), d) for a, d in zip(node.args, args, strict=True)))


def _mul(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    a, b = node.args
    return _total(_factor(node, a, b, args[0]), _factor(node, b, a, args[1]))


def _factor(node: Expr, moving: Expr, held: Expr, moved: Derivative) -> Derivative:
    """One side of a product: ``d(moving) * held``."""
    if not moved:
        return {}
    if held.op in ("const", "full"):
        held_words = scaled(held.data, one())  # type: ignore[arg-type]
    else:
        held_words = _entries(held)
    return _after(product(held_words, _spread(node, moving)), moved)


def _div(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    a, b = node.args
    inverse = ex.power(b, Fraction(-1))
    quotient = ex.neg(ex.mul(a, ex.power(b, Fraction(-2))))
    return _total(_factor(node, a, inverse, args[0]), _factor(node, b, quotient, args[1]))


def _pow(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    exponent = node.data
    assert isinstance(exponent, Fraction)
    slope = ex.mul(ex.const(exponent), ex.power(node.args[0], exponent - 1))
    return _after(_entries(slope), args[0])


def _act(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    return _after(_entries(derivative(node)), args[0])


def _matmul(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    a, b = node.args
    if node.data == "last":
        if args[1]:
            raise NoWords("a matrix on the right that depends on a state")
        return _after(transposed_right(j, b), args[0])
    if args[0]:
        return _moving_matrix(j, a, b, args)
    return _after(j.operator(a, "left"), args[1])


def transposed_right(j: Jacobian, matrix: Expr) -> Sum:
    """``x -> x @ W``."""
    return j.operator(matrix, "right")


def _moving_matrix(j: Jacobian, a: Expr, b: Expr, args: list[Derivative]) -> Derivative:
    """``diag(v) @ x`` is an elementwise product."""
    if a.op != "diag" or len(b.shape) != 1:
        raise NoWords("a matrix that depends on a state")
    v = a.args[0]
    return _total(_after(_entries(b), j.of(v)), _after(_entries(v), args[1]))


def _apply(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    if args[0]:
        raise NoWords("an operator that depends on a state")
    return _after(j.operator(node.args[0], "left"), args[1])


def _diag(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    """Only its product with a vector has a derivative in words, and that is made from its argument."""
    return _after(letter(Letter(UNUSABLE, ())), args[0])


def _dot(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    a, b = node.args
    unit = ex.const(1)
    left = _after(letter(Letter("outer", (unit, b))), args[0])
    return _total(left, _after(letter(Letter("outer", (unit, a))), args[1]))


def _reduce(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    x, axes = node.args[0], node.data
    chosen: tuple[int, ...] = tuple(range(len(x.shape))) if axes is None else axes  # type: ignore[assignment]
    size: Real = Fraction(1, prod(x.shape[i] for i in chosen)) if node.op == "mean" else Fraction(1)
    if len(chosen) == len(x.shape):
        item = Letter("outer", (ex.const(1), ex.full(1, x.shape)))
    else:
        item = Letter("fold", (), shape=x.shape, axes=chosen)
    return _after(scaled(size, letter(item)), args[0])


def _norm(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    if node.data != 2:
        raise NoWords(f"the norm {node.data} of a state")
    x = node.args[0]
    direction = ex.mul(ex.power(node, Fraction(-1)), x)
    return _after(letter(Letter("outer", (ex.const(1), direction))), args[0])


def _slope(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    return _after(letter(Letter("slope", (node,), symmetry=1)), args[0])


def _channel(j: Jacobian, node: Expr, args: list[Derivative]) -> Derivative:
    kept = len(node.args[0].shape)
    axes = tuple(range(kept, len(node.shape)))
    return _after(letter(Letter("fold", (), True, 0, node.shape, axes)), args[0])


_RULES: dict[str, Callable[[Jacobian, Expr, list[Derivative]], Derivative]] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "act": _act,
    "matmul": _matmul,
    "apply": _apply,
    "diag": _diag,
    "dot": _dot,
    "sum": _reduce,
    "mean": _reduce,
    "norm": _norm,
    "softmax": _slope,
    "layernorm": _slope,
    "channel": _channel,
}
