"""Expressions as linear combinations, written in one canonical way, so that equal sums are equal nodes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.exact import Real, is_zero
from odespec.ir import expr as ex
from odespec.ir.expr import Expr
from odespec.prove.orders.numbers import tidy
from odespec.prove.relate.words import text

Combination = dict[Expr, Real]
"""Terms with their coefficients; a term is no sum and no multiple."""


def combination(e: Expr) -> Combination:
    """The terms of a sum, equal ones collected. Terms of another shape than the sum (scalars) are kept as they are."""
    total: Combination = {}
    pending: list[tuple[Real, Expr]] = [(Fraction(1), e)]
    while pending:
        c, node = pending.pop()
        if node.op == "add":
            pending.extend((c, a) for a in node.args)
        elif node.op == "mul" and node.args[0].op == "const":
            pending.append((c * node.args[0].data, node.args[1]))  # type: ignore[operator]
        elif node.op in ("const", "full"):
            unit = ex.full(1, node.shape)
            _add(total, unit, c * node.data)  # type: ignore[operator]
        else:
            _add(total, node, c)
    return total


def _add(total: Combination, term: Expr, c: Real) -> None:
    value = tidy(total.get(term, Fraction(0)) + c)
    if is_zero(value):
        total.pop(term, None)
    else:
        total[term] = value


def written(terms: Combination, shape: ex.Shape) -> Expr:
    """The sum of some terms in a fixed order."""
    total = ex.full(0, shape)
    for term in sorted(terms, key=lambda t: (text(t, 4000), hash(t))):
        total = ex.add(total, ex.mul(ex.const(terms[term]), term))
    return total


def canonical(exprs: Iterable[Expr]) -> tuple[Expr, ...]:
    """The same expressions with every sum in canonical form."""
    return ex.rewrite(exprs, _canonical)


def _canonical(node: Expr) -> Expr:
    if node.op != "add" and not (node.op == "mul" and node.args[0].op == "const"):
        return node
    return written(combination(node), node.shape)


def minus(a: Combination, c: Real, b: Combination) -> Combination:
    """``a - c b``."""
    total = dict(a)
    for term, x in b.items():
        _add(total, term, -1 * c * x)
    return total


def size(e: Expr) -> int:
    """The number of distinct nodes of an expression."""
    return sum(1 for _ in ex.postorder(e))
