"""A scalar of the states as a sum of inner products, of sums of elementwise functions, and of what is left.

``0.5*dot(v, v) + sum(logcosh(K @ x + b))`` is a product of v with itself and the potential ``logcosh`` at ``K @ x + b``.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod

from odespec.ir.expr import Expr, const, div, dot, mul, neg, postorder, power, total
from odespec.records import dataclass

MOVING = ("state", "stage")
CURVED = 99
"""The degree of what is no polynomial in the states."""

MAX_TERMS = 64


@dataclass(frozen=True, slots=True)
class Term:
    """``scale`` (a scalar expression) times: ``product``, <a, b>; ``potential``, the sum over the entries of a, an
    elementwise function of the tensor b, which is affine in the states; ``plain``, the scalar a."""

    kind: str
    scale: Expr
    a: Expr
    b: Expr | None = None


class TooManyTerms(Exception):
    """The scalar has more terms than the engine takes on."""


def moving(e: Expr) -> bool:
    """Whether an expression depends on a state."""
    return any(n.op in MOVING for n in postorder(e))


def terms(scalar: Expr) -> tuple[Term, ...]:
    """The terms of a scalar expression. Raises `TooManyTerms`."""
    found: list[Term] = []
    pending: list[tuple[Expr, Expr, bool]] = [(const(1), scalar, False)]
    while pending:
        scale, e, summed = pending.pop()
        if len(found) + len(pending) > MAX_TERMS:
            raise TooManyTerms
        parts = (_summand if summed else _scalar)(scale, e)
        found += [p for p in parts if isinstance(p, Term)]
        pending += [p for p in reversed(parts) if isinstance(p, tuple)]
    return tuple(found)


Parts = list["Term | tuple[Expr, Expr, bool]"]


def _scalar(scale: Expr, e: Expr) -> Parts:
    """One scalar: terms, and (scale, expression, whether the entries of the expression are summed) still to be read."""
    if e.op == "add":
        return [(scale, a, False) for a in e.args]
    if e.op == "mul":
        a, b = e.args
        if tensor_degree(a) == tensor_degree(b) == 1:
            return [Term("product", scale, a, b)]
        return [(mul(scale, a), b, False)] if not moving(a) or moving(b) else [(mul(scale, b), a, False)]
    if e.op == "div":
        return [(div(scale, e.args[1]), e.args[0], False)]
    if e.op == "pow":
        return _power(scale, e)
    if e.op == "dot":
        return [Term("product", scale, *e.args)]
    if e.op in ("sum", "mean"):
        count = prod(e.args[0].shape) if e.op == "mean" else 1
        return [(mul(const(Fraction(1, count)), scale), e.args[0], True)]
    return [Term("plain", scale, e)]


def _power(scale: Expr, e: Expr) -> Parts:
    (base,), exponent = e.args, e.data
    assert isinstance(exponent, Fraction)
    if exponent.denominator != 1 or exponent < 2:
        return [Term("plain", scale, e)]
    if exponent == 2 and tensor_degree(base) == 1:
        return [Term("product", scale, base, base)]
    if base.op == "norm" and base.data == 2 and exponent % 2 == 0:
        square = dot(*base.args * 2)
        return [(mul(scale, power(square, exponent / 2 - 1)), square, False)]
    return [(mul(scale, power(base, exponent - 1)), base, False)]


def _summand(scale: Expr, e: Expr) -> Parts:
    """The sum over all entries of a tensor."""
    if not e.shape:
        return [(scale, e, False)]
    if e.op == "add":
        counts = [1 if a.shape else prod(e.shape) for a in e.args]
        return [(mul(const(n), scale), a, True) for n, a in zip(counts, e.args, strict=True)]
    if e.op == "mul" and not all(a.shape for a in e.args):
        a, b = e.args
        return [(mul(scale, b), a, True)] if a.shape else [(mul(scale, a), b, True)]
    if e.op == "div" and not e.args[1].shape:
        return [(div(scale, e.args[1]), e.args[0], True)]
    argument = elementwise(e)
    if argument is not None and tensor_degree(e) > 2:
        return [Term("potential", scale, e, argument)]
    if e.op == "mul":
        return [Term("product", scale, *e.args)]
    if (e.op == "pow" and e.data == 2) or (e.op == "act" and e.data == ("square", ())):
        return [Term("product", scale, e.args[0], e.args[0])]
    return [Term("plain", scale, total(e))]


def elementwise(e: Expr) -> Expr | None:
    """The tensor, affine in the states, of which alone a tensor is an elementwise function; None where there is none."""
    found: dict[Expr, None] = {}
    pending, seen = [e], {e}
    while pending:
        node = pending.pop()
        if tensor_degree(node) == 1 and node.shape == e.shape:
            found[node] = None
        elif node.op in ("act", "pow", "mul", "add", "div"):
            pending += [a for a in node.args if a not in seen]
            seen.update(node.args)
        elif node.op not in ("const", "full"):
            return None
    return next(iter(found)) if len(found) == 1 else None


def _even(exponent: object) -> bool:
    return isinstance(exponent, Fraction) and exponent.denominator == 1 and exponent > 0 and exponent % 2 == 0


# --- degrees -------------------------------------------------------------------


def degree(scalar: Expr) -> int:
    """The degree of a scalar as a polynomial in the states, as it is written; at least `CURVED` where it is none."""
    return max((term_degree(t) for t in terms(scalar)), default=0)


def term_degree(t: Term) -> int:
    if t.kind == "potential":
        return CURVED
    return tensor_degree(t.scale) + tensor_degree(t.a) + (tensor_degree(t.b) if t.b is not None else 0)


def tensor_degree(e: Expr) -> int:
    """The degree of the entries of an expression as polynomials in the states."""
    found: dict[Expr, int] = {}
    for node in postorder(e):
        below = [found[a] for a in node.args]
        found[node] = min(_degree(node, below), CURVED)
    return found[e]


def _degree(node: Expr, below: list[int]) -> int:
    if node.op in MOVING:
        return 1
    if not any(below):
        return 0
    if node.op in ("add", "sum", "mean", "channel", "transpose", "diag", "offdiag", "pool"):
        return max(below)
    if node.op in ("mul", "matmul", "dot", "apply"):
        return sum(below)
    if node.op == "div" and below[1] == 0:
        return below[0]
    if node.op == "pow" and isinstance(node.data, Fraction) and node.data.denominator == 1 and node.data > 0:
        return below[0] * int(node.data)
    if node.op == "act" and node.data in (("square", ()), ("identity", ())):
        return below[0] * (2 if node.data == ("square", ()) else 1)
    return CURVED


# --- the same level sets -------------------------------------------------------


def core(scalar: Expr) -> Expr:
    """A simpler scalar with which this one grows strictly: what stands inside of strictly monotone functions."""
    sign = 1
    for _ in range(64):
        inner = _inside(scalar)
        if inner is None:
            break
        scalar, turned = inner
        sign *= turned
    return neg(scalar) if sign < 0 else scalar


def _inside(e: Expr) -> tuple[Expr, int] | None:
    if e.op == "norm" and e.data == 2:
        return dot(e.args[0], e.args[0]), 1
    if e.op == "act" and e.data in _INCREASING:
        return e.args[0], 1
    if e.op == "pow" and isinstance(e.data, Fraction) and not e.shape and not_negative(e.args[0]):
        return (e.args[0], 1) if e.data > 0 else None
    if e.op == "add" and not all(moving(a) for a in e.args):
        a, b = e.args
        return (a, 1) if moving(a) else (b, 1) if moving(b) else None
    if e.op in ("mul", "div") and e.args[1 if e.op == "div" else 0].op == "const":
        number = e.args[1 if e.op == "div" else 0].data
        sign = 0 if number == 0 else 1 if number > 0 else -1  # type: ignore[operator]
        return (e.args[0 if e.op == "div" else 1], sign) if sign else None
    return (e.args[0], 1) if e.op == "mean" and e.args[0].shape == () else None


def not_negative(e: Expr) -> bool:
    """Whether a scalar is seen to be at least zero as it is written."""
    return e.op == "norm" or (e.op == "dot" and e.args[0] == e.args[1]) or _squares(e)


def _squares(e: Expr) -> bool:
    if e.op not in ("sum", "mean"):
        return False
    inner = e.args[0]
    if inner.op == "mul":
        return inner.args[0] == inner.args[1]
    return (inner.op == "pow" and _even(inner.data)) or (inner.op == "act" and inner.data in _POSITIVE)


_INCREASING = [(n, ()) for n in ("exp", "sqrt", "log", "tanh", "sigmoid", "softplus", "arctan")]
_POSITIVE = (("square", ()), ("abs", ()), ("logcosh", ()), ("relu", ()))

__all__ = ["CURVED", "Term", "TooManyTerms", "core", "degree", "elementwise", "moving", "tensor_degree", "terms"]
