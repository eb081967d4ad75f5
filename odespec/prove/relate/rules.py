"""The difference of each operation's results in two runs, from the differences of its arguments.

One rule for each operation of `odespec.ir.expr`, in one table. A rule gets the node and the difference vectors of its
arguments (empty: the argument is the same in both runs) and returns a combination of vectors, making new ones where the
operation is not linear. It raises `NoRelation` where nothing is known of the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from odespec.activations import Interval
from odespec.exact import enclose, power
from odespec.ir.expr import Expr, Shape, transpose
from odespec.ir.ranges import inverse, magnitude, times
from odespec.ir.ranges import power as power_of
from odespec.program.exponential import numbers_of
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.exponentials import applied
from odespec.prove.relate.operators import Letter, NoRelation
from odespec.prove.relate.recipes import Difference, Times
from odespec.prove.relate.slopes import activation_slope, power_slope
from odespec.prove.relate.words import text

if TYPE_CHECKING:
    from odespec.prove.relate.reader import Reader

ONE = Fraction(1)
Rule = Callable[["Reader", Expr, tuple[Vector, ...]], Vector]


def difference(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """The difference of a node some of whose arguments differ. Raises `NoRelation`."""
    rule = RULES.get(node.op)
    if rule is None:
        raise NoRelation(f"`{text(node)}` is an operation of which no relation between differences is known")
    return rule(reader, node, args)


# --- linear ----------------------------------------------------------------------


def _add(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    parts = [(1, spread(reader, v, a.shape, node.shape)) for a, v in zip(node.args, args, strict=True)]
    return combine(*parts)


def spread(reader: Reader, v: Vector, shape: Shape, target: Shape) -> Vector:
    """A scalar's difference at every entry of a tensor: the adjoint of summing all entries."""
    if shape == target or not v:
        return v
    return reader.symbols.push(Letter(reader.algebra.total(target, None), True), v)


def _mul(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    (a, b), (u, v) = node.args, args
    if not u:
        return scaled(reader, a, b.shape, v)
    if not v:
        return scaled(reader, b, a.shape, u)
    return _product(reader, node, a, b, u, v)


def scaled(reader: Reader, factor: Expr, shape: Shape, v: Vector) -> Vector:
    """A state-independent factor times a difference of a given shape."""
    if factor.shape and not shape:
        return reader.symbols.push(Letter(reader.algebra.column(factor)), v)
    return reader.symbols.apply(reader.algebra.factor(factor), v)


def _div(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    (a, b), (u, v) = node.args, args
    inverted = reader.inverse(b)
    if not v:
        return scaled(reader, inverted, a.shape, u)
    inside = inverse(reader.range(b))
    if inside.lower is None or inside.upper is None:
        raise NoRelation(f"`{text(b)}`, by which `{text(node)}` divides, is not bounded away from zero")
    slope = times(Interval(-ONE, -ONE), power_of(inside, Fraction(2)))
    w = reader.elementwise(inverted, v, slope, f"slopes of 1/({text(b)})")
    if not u:
        return scaled(reader, a, b.shape, w)
    return _product(reader, node, a, inverted, u, w)


def _matmul(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    (a, b), (u, v) = node.args, args
    if u and v:
        raise NoRelation(f"`{text(node)}` multiplies two state-dependent matrices")
    if u:
        return _from_right(reader, b, u)
    if node.data == "last":
        raise NoRelation(f"`{text(node)}` applies a state-dependent matrix")
    return reader.symbols.apply(reader.algebra.polynomial(a), v)


def _from_right(reader: Reader, b: Expr, u: Vector) -> Vector:
    """``X @ b``: the adjoint of b on the last axis."""
    if len(b.shape) == 1:
        return reader.symbols.push(Letter(reader.algebra.column(b), True), u, last=True)
    if len(b.shape) != 2:
        raise NoRelation(f"a state-dependent matrix is applied to `{text(b)}`")
    return reader.symbols.apply(reader.algebra.polynomial(transpose(b)), u, last=True)


def _apply(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    if args[0]:
        raise NoRelation(f"the operator `{text(node.args[0])}` depends on the state")
    return reader.symbols.apply(reader.algebra.polynomial(node.args[0]), args[1])


def _total(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    axes = node.data if isinstance(node.data, tuple) else None
    image = reader.symbols.push(Letter(reader.algebra.total(node.args[0].shape, axes)), args[0])
    count = prod(node.args[0].shape) // max(prod(node.shape), 1) if node.op == "mean" else 1
    return combine((Fraction(1, count), image))


def _channel(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """One value for each channel, at every entry of the channel: the adjoint of summing over the axes behind."""
    atom = reader.algebra.total(node.shape, tuple(range(len(node.args[0].shape), len(node.shape))))
    return reader.symbols.push(Letter(atom, True), args[0])


def _phi(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """``phi_k(Z)`` of one tensor."""
    k, _, count = numbers_of(node)
    if count > 1:
        raise NoRelation("the exponential of an operator that couples several states")
    if args[0]:
        raise NoRelation("the exponential of an operator that depends on the state")
    return applied(reader, k, node.args[0], args[1], node.shape)


# --- functions -------------------------------------------------------------------


def _act(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    return reader.elementwise(node, args[0], *activation_slope(node, reader.range(node.args[0])))


def _power(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    return reader.elementwise(node, args[0], *power_slope(node, reader.range(node.args[0])))


def _softmax(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """A gradient of a convex function: a symmetric matrix with eigenvalues in [0, 1/2], not a diagonal one."""
    return reader.gradient(node, args[0], Fraction(1, 2), "softmax: symmetric, eigenvalues in [0, 1/2]")


def _layernorm(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """The gradient of ``n sqrt(var + eps)``: symmetric, eigenvalues in [0, 1/sqrt(eps)]."""
    eps = node.data[1]  # type: ignore[index]
    high = enclose(power(eps, Fraction(-1, 2)))[1]
    return reader.gradient(node, args[0], high, f"layernorm: symmetric, eigenvalues in [0, {high}]")


def _lipschitz(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """``min``, ``max`` and the norms 2 and inf change by at most the Euclidean distance of their arguments."""
    if node.op == "norm" and node.data == 1:
        return _bounded(reader, node, args[0], Fraction(prod(node.args[0].shape)))
    return _bounded(reader, node, args[0], ONE)


def _rearranged(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """What moves entries, or leaves some out."""
    return _bounded(reader, node, args[0], ONE)


def _pool(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    """Means over k by k blocks: the norm is 1/k."""
    assert isinstance(node.data, int)
    return _bounded(reader, node, args[0], Fraction(1, node.data**2))


def _bounded(reader: Reader, node: Expr, z: Vector, norm2: Fraction) -> Vector:
    p = reader.symbols.new(text(node, 24), node.shape, Difference(node, reader.step))
    reader.contraction(z, p, norm2, f"slope of {text(node)}")
    return p


# --- products --------------------------------------------------------------------


def _product(reader: Reader, node: Expr, a: Expr, b: Expr, u: Vector, v: Vector) -> Vector:
    """``a1 b1 - a2 b2 = b1 (a1 - a2) + a2 (b1 - b2)``, with the ranges of a and b as slopes."""
    parts = []
    for factor, run, other, d in ((b, 0, a, u), (a, 1, b, v)):
        inside = reader.range(factor)
        size = magnitude(inside)
        if size is None:
            raise NoRelation(f"`{text(node)}` is a product of two state-dependent factors whose ranges are not bounded")
        recipe = Times(factor, run, d, reader.step)
        name = f"({text(factor, 20)}) d({text(other, 20)})"
        if factor.shape and not other.shape:
            p = reader.symbols.new(name, factor.shape, recipe)
            reader.contraction(d, p, prod(factor.shape) * size**2, f"range of {text(factor)}")
        else:
            p = reader.sloped(name, other.shape, recipe, d, inside, f"range of {text(factor)}")
        parts.append((ONE, p))
    return combine(*parts)


def _dot(reader: Reader, node: Expr, args: tuple[Vector, ...]) -> Vector:
    (a, b), (u, v) = node.args, args
    if not u:
        return _row(reader, a, v)
    if not v:
        return _row(reader, b, u)
    product = _product(reader, node, a, b, u, v)
    return reader.symbols.push(Letter(reader.algebra.total(a.shape, None)), product) if a.shape else product


def _row(reader: Reader, a: Expr, v: Vector) -> Vector:
    if not a.shape:
        return scaled(reader, a, (), v)
    return reader.symbols.push(Letter(reader.algebra.column(a), True), v)


RULES: dict[str, Rule] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "matmul": _matmul,
    "apply": _apply,
    "sum": _total,
    "mean": _total,
    "channel": _channel,
    "phi": _phi,
    "act": _act,
    "pow": _power,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "min": _lipschitz,
    "max": _lipschitz,
    "norm": _lipschitz,
    "dot": _dot,
    "pool": _pool,
    "transpose": _rearranged,
    "diag": _rearranged,
    "offdiag": _rearranged,
}
