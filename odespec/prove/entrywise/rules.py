"""The difference of each operation's results in two runs, entry by entry: one rule for each operation, in one table.

An elementwise function multiplies each entry of the difference by a slope (its difference quotient, no derivative is
needed). Whole-vector functions are letters of their own, the mean of their derivatives on the way between the runs.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod

from odespec.activations import Interval
from odespec.exact import enclose, power, root
from odespec.ir.expr import Expr, transpose
from odespec.ir.ranges import inverse, times
from odespec.ir.ranges import power as power_of
from odespec.prove.entrywise.corners import Shape, whole
from odespec.prove.entrywise.exponentials import applied
from odespec.prove.entrywise.forms import Form, combine
from odespec.prove.entrywise.known import Known
from odespec.prove.entrywise.reader import Reader
from odespec.prove.relate.operators import Letter, NoRelation
from odespec.prove.relate.slopes import activation_slope, power_slope
from odespec.prove.relate.words import text

ZERO, ONE = Fraction(0), Fraction(1)
Rule = Callable[[Reader, Expr, tuple[Form, ...]], Form]


def difference(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """The difference of a node some of whose arguments differ. Raises `NoRelation`."""
    rule = RULES.get(node.op)
    if rule is None:
        raise NoRelation(f"`{text(node)}` is an operation whose rows are not known")
    return rule(reader, node, args)


# --- linear ----------------------------------------------------------------------------


def _add(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    return combine(*((1, reader.spread(z, a.shape, node.shape)) for a, z in zip(node.args, args, strict=True)))


def _mul(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    (a, b), (u, v) = node.args, args
    if not u:
        return _scaled(reader, a, b, v)
    if not v:
        return _scaled(reader, b, a, u)
    return _product(reader, a, b, u, v)


def _scaled(reader: Reader, factor: Expr, other: Expr, z: Form) -> Form:
    """A state-independent factor times a difference."""
    if factor.shape and not other.shape:
        return reader.push(Letter(reader.algebra.column(factor)), z)
    return reader.apply(reader.algebra.factor(factor), z)


def _product(reader: Reader, a: Expr, b: Expr, u: Form, v: Form) -> Form:
    """``a1 b1 - a2 b2 = b1 (a1 - a2) + a2 (b1 - b2)``, with the ranges of a and b."""
    shape = a.shape or b.shape
    first = reader.spread(u, a.shape, shape)
    second = reader.spread(v, b.shape, shape)
    return combine((1, reader.valued(b, 0, first)), (1, reader.valued(a, 1, second)))


def _div(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    (a, b), (u, v) = node.args, args
    inverted = reader.inverse(b)
    if not v:
        return _scaled(reader, inverted, a, u)
    inside = inverse(reader.range(b))
    if inside.lower is None or inside.upper is None:
        raise NoRelation(f"`{text(b)}`, by which `{text(node)}` divides, is not bounded away from zero")
    slope = times(Interval(-ONE, -ONE), power_of(inside, Fraction(2)))
    w = reader.sloped(inverted, v, slope, f"slopes of 1/({text(b)})")
    return _scaled(reader, a, b, w) if not u else _product(reader, a, inverted, u, w)


def _matmul(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    (a, b), (u, v) = node.args, args
    if u and v:
        raise NoRelation(f"`{text(node)}` multiplies two state-dependent matrices")
    if u and len(b.shape) == 2:
        return reader.apply(reader.algebra.polynomial(transpose(b)), u, last=True)
    if u or node.data == "last":
        raise NoRelation(f"`{text(node)}` applies a state-dependent matrix")
    return reader.apply(reader.algebra.polynomial(a), v)


def _apply(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    if args[0]:
        raise NoRelation(f"the operator `{text(node.args[0])}` depends on the state")
    return reader.apply(reader.algebra.polynomial(node.args[0]), args[1])


def _total(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    axes = node.data if isinstance(node.data, tuple) else None
    image = reader.push(Letter(reader.algebra.total(node.args[0].shape, axes)), args[0])
    count = prod(node.args[0].shape) // max(prod(node.shape), 1) if node.op == "mean" else 1
    return combine((Fraction(1, count), image))


def _channel(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    atom = reader.algebra.total(node.shape, tuple(range(len(node.args[0].shape), len(node.shape))))
    return reader.push(Letter(atom, True), args[0])


def _dot(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    (a, b), (u, v) = node.args, args
    if u and v:
        product = _product(reader, a, b, u, v)
        return reader.push(Letter(reader.algebra.total(a.shape, None)), product) if a.shape else product
    factor, z = (a, v) if v else (b, u)
    if not a.shape:
        return _scaled(reader, factor, node, z)
    return reader.push(Letter(reader.algebra.column(factor), True), z)


def _phi(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """``phi_k(Z)`` of one tensor."""
    assert isinstance(node.data, tuple)
    k, _, count = node.data
    if count > 1 or args[0]:
        raise NoRelation("the exponential of an operator that couples several states")
    return applied(reader, k, node.args[0], args[1])


# --- elementwise -----------------------------------------------------------------------


def _act(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    return reader.sloped(node, args[0], *activation_slope(node, reader.range(node.args[0])))


def _power(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    return reader.sloped(node, args[0], *power_slope(node, reader.range(node.args[0])))


# --- whole vectors -----------------------------------------------------------------------


def _softmax(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """Never a diagonal: a symmetric matrix whose rows are ``s_i - s_i^2`` and ``-s_i s_j``, which sum to zero."""
    quarter = Fraction(1, 4)
    corners = Shape(((ZERO, ZERO), (quarter, quarter)))
    return reader.function(node, args[0], Known(corners, corners, "softmax: rows sum to zero, diagonal in [0, 1/4]"))


def _layernorm(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """A symmetric matrix with eigenvalues in [0, 1/sqrt(eps)]: no row is longer."""
    assert isinstance(node.data, tuple)
    axis, eps = node.data
    high = enclose(power(eps, Fraction(-1, 2)))[1]
    size = high * enclose(root(Fraction(node.shape[axis]), 2))[1]
    return reader.function(node, args[0], Known(whole(size), whole(size), "layernorm: eigenvalues"))


def _largest(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """``min`` and ``max``: the derivative is a mean of entries."""
    return reader.function(node, args[0], _summed(node, ONE, ONE))


def _norm(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """The derivative has the length one in the dual norm."""
    n = Fraction(prod(node.args[0].shape))
    rows = {1: n, 2: enclose(root(n, 2))[1]}.get(node.data, ONE)  # type: ignore[call-overload]
    return reader.function(node, args[0], _summed(node, rows, ONE))


def _summed(node: Expr, rows: Fraction, columns: Fraction) -> Known:
    return Known(whole(rows), whole(columns), f"derivative of {node.op}")


def _rearranged(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    """What moves entries, or leaves some out."""
    return reader.function(node, args[0], Known(whole(ONE), whole(ONE), "moves entries"))


def _pool(reader: Reader, node: Expr, args: tuple[Form, ...]) -> Form:
    assert isinstance(node.data, int)
    known = Known(whole(ONE), whole(Fraction(1, node.data**2)), "means over blocks")
    return reader.function(node, args[0], known)


RULES: dict[str, Rule] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "matmul": _matmul,
    "apply": _apply,
    "sum": _total,
    "mean": _total,
    "channel": _channel,
    "dot": _dot,
    "phi": _phi,
    "act": _act,
    "pow": _power,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "min": _largest,
    "max": _largest,
    "norm": _norm,
    "transpose": _rearranged,
    "diag": _rearranged,
    "offdiag": _rearranged,
    "pool": _pool,
}
