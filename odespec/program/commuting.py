"""Whether two expressions are equal as sums of products of the same factors, in whatever order they stand."""

from __future__ import annotations

from fractions import Fraction

from odespec.exact import Real, is_zero
from odespec.ir.expr import Expr, postorder

Sum = dict[frozenset[tuple[Expr, int]], Real]
MAX_TERMS = 200
_ZERO, _ONE = Fraction(0), Fraction(1)


def same(a: Expr, b: Expr) -> bool:
    """True only for equal expressions; may miss some that are."""
    if a == b:
        return True
    try:
        first, second = _expanded(a), _expanded(b)
    except OverflowError:
        return False
    keys = first.keys() | second.keys()
    return a.shape == b.shape and all(is_zero(first.get(k, _ZERO) - second.get(k, _ZERO)) for k in keys)


def _expanded(root: Expr) -> Sum:
    """The sum of products that an elementwise expression is; what is no sum or product is a factor."""
    found: dict[Expr, Sum] = {}
    for node in postorder(root):
        if node.op in ("const", "full"):
            found[node] = {frozenset(): node.data}  # type: ignore[dict-item]
        elif node.op == "add":
            found[node] = _added(*(found[a] for a in node.args))
        elif node.op == "mul":
            found[node] = _multiplied(*(found[a] for a in node.args))
        else:
            found[node] = {frozenset({(node, 1)}): _ONE}
    return found[root]


def _added(a: Sum, b: Sum) -> Sum:
    result = dict(a)
    for key, c in b.items():
        result[key] = result.get(key, _ZERO) + c
    return result


def _multiplied(a: Sum, b: Sum) -> Sum:
    if len(a) * len(b) > MAX_TERMS:
        raise OverflowError
    result: Sum = {}
    for first, c in a.items():
        for second, d in b.items():
            powers = dict(first)
            for factor, n in second:
                powers[factor] = powers.get(factor, 0) + n
            key = frozenset(powers.items())
            result[key] = result.get(key, _ZERO) + c * d
    return result
