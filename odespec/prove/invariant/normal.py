"""Expressions with their linear operators pushed inward, so that each stands alone before what it acts on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

from odespec.ir.expr import Expr, add, const, dot, full, mul, postorder, rewrite, transpose
from odespec.prove.relate.words import text

PRODUCTS = ("matmul", "apply")
DEEPEST = 40
"""Operators that are nested more deeply than this are left as they are."""


ColumnSum = Callable[[Expr], Fraction | None]
"""The sum of every column of an operator, where all have the same."""


def normal(roots: Sequence[Expr], spread: bool, column_sum: ColumnSum) -> tuple[Expr, ...]:
    """The same expressions with sums and products of operators written out.

    With ``spread`` an operator is also applied to the terms of a sum one by one, so that equal products are equal nodes.
    """
    return rewrite(roots, lambda node: _one(node, spread, column_sum))


def _one(node: Expr, spread: bool, column_sum: ColumnSum) -> Expr:
    if node.op == "act" and node.data == ("identity", ()):
        return node.args[0]
    if node.op in PRODUCTS and node.data is None:
        return _applied(node.args[0], node.args[1], node, spread, DEEPEST)
    if node.op == "matmul" and node.data == "last":
        return _last(node.args[0], node.args[1], node, spread, DEEPEST)
    try:
        if node.op in ("sum", "mean"):
            return _summed(node, column_sum)
        if node.op == "dot":
            return _inner(*node.args)
    except RecursionError:  # a sum of hundreds of terms is left as it is
        return node
    return node


def _applied(operator: Expr, x: Expr, like: Expr, spread: bool, depth: int) -> Expr:
    """``operator @ x``, of the kind of ``like`` (``matmul`` or ``apply``)."""

    def again(a: Expr, b: Expr) -> Expr:
        return _applied(a, b, like, spread, depth - 1)

    if depth == 0:
        return Expr(like.op, (operator, x), _shape(operator, x))
    if operator.op == "eye":
        return x
    if operator.op == "add":
        return add(again(operator.args[0], x), again(operator.args[1], x))
    if operator.op == "mul" and not operator.args[0].shape:
        return mul(operator.args[0], again(operator.args[1], x))
    if operator.op == "mul" and not operator.args[1].shape:
        return mul(operator.args[1], again(operator.args[0], x))
    if operator.op == "div" and not operator.args[1].shape:
        return Expr("div", (again(operator.args[0], x), operator.args[1]), _shape(operator, x))
    if operator.op in ("matmul", "compose") and operator.data is None:
        return again(operator.args[0], again(operator.args[1], x))
    if operator.op == "transpose" and (inner := _turned(operator.args[0])) is not None:
        return again(inner, x)
    if operator.op == "diag" and len(x.shape) == 1:
        return mul(operator.args[0], x)
    if spread and x.op == "add" and x.args[0].shape == x.args[1].shape:
        return add(again(operator, x.args[0]), again(operator, x.args[1]))
    if spread and x.op == "mul" and x.args[0].op == "const":
        return mul(x.args[0], again(operator, x.args[1]))
    return Expr(like.op, (operator, x), _shape(operator, x))


def _shape(operator: Expr, x: Expr) -> tuple[int, ...]:
    if len(operator.shape) == 2:
        return (operator.shape[0], *x.shape[1:])
    return operator.shape[: len(operator.shape) - len(x.shape)]


def _turned(inner: Expr) -> Expr | None:
    """The transpose of a sum or a product, written out; None for another operator."""
    if inner.op == "add":
        return add(transpose(inner.args[0]), transpose(inner.args[1]))
    if inner.op == "mul" and not (inner.args[0].shape and inner.args[1].shape):
        k = int(not inner.args[1].shape)
        return (
            mul(inner.args[1 - k], transpose(inner.args[k])) if k == 0 else mul(inner.args[1], transpose(inner.args[0]))
        )
    if inner.op in ("matmul", "compose") and inner.data is None:
        a, b = transpose(inner.args[1]), transpose(inner.args[0])
        return Expr(inner.op, (a, b), (*a.shape[:1], *b.shape[1:])) if len(inner.shape) == 2 else None
    return inner if inner.op in ("laplacian", "adjacency") else None


def _last(x: Expr, operator: Expr, like: Expr, spread: bool, depth: int) -> Expr:
    """``x @ operator`` on the last axis."""

    def again(a: Expr, b: Expr) -> Expr:
        return _last(a, b, like, spread, depth - 1)

    plain = Expr("matmul", (x, operator), (*x.shape[:-1], operator.shape[1]), "last")
    if depth == 0:
        return plain
    if operator.op == "eye":
        return x
    if operator.op == "add":
        return add(again(x, operator.args[0]), again(x, operator.args[1]))
    if operator.op == "mul" and not operator.args[0].shape:
        return mul(operator.args[0], again(x, operator.args[1]))
    if operator.op == "matmul" and operator.data is None:
        return again(again(x, operator.args[0]), operator.args[1])
    if operator.op == "transpose" and (inner := _turned(operator.args[0])) is not None:
        return again(x, inner)
    if spread and x.op == "add" and x.args[0].shape == x.args[1].shape:
        return add(again(x.args[0], operator), again(x.args[1], operator))
    if spread and x.op == "mul" and x.args[0].op == "const":
        return mul(x.args[0], again(x.args[1], operator))
    return plain


# --- sums ----------------------------------------------------------------------


def _summed(node: Expr, column_sum: ColumnSum) -> Expr:
    """A mean as a sum, and the sum of a linear combination term by term."""
    x, axes = node.args[0], node.data
    count = prod(x.shape if axes is None else [x.shape[i] for i in axes])  # type: ignore[attr-defined]

    def again(e: Expr) -> Expr:
        return _summed(Expr("sum", (_stretched(e, x.shape),), node.shape, axes), column_sum)

    if node.op == "mean":
        return mul(const(Fraction(1, count)), again(x))
    if x.op == "add":
        return add(*(again(a) for a in x.args))
    for k in (0, 1) if x.op == "mul" and x.shape else ():
        if not x.args[k].shape:
            return mul(x.args[k], again(x.args[1 - k]))
    if x.op == "mul" and x.shape and axes is None:
        return _inner(*x.args)
    if x.op == "full":
        return full(x.data * count, node.shape)  # type: ignore[operator]
    if x.op == "softmax" and axes in (None, (x.data,)) and (axes is not None or len(x.shape) == 1):
        return full(1, node.shape)
    if x.op in PRODUCTS and (found := _through(x, axes)) is not None:
        factor = column_sum(found[0])
        if factor is not None:
            inner = Expr("sum", (found[1],), node.shape, axes)
            return mul(const(factor), _summed(inner, column_sum))
    return node if x.shape else x


def _inner(a: Expr, b: Expr) -> Expr:
    """An inner product term by term, the same whichever argument comes first, with numbers in front."""
    factor = const(1)
    pair = []
    for e in (a, b):
        while e.op == "mul" and not (e.args[0].shape and e.args[1].shape) and e.shape:
            k = int(not e.args[1].shape)
            factor, e = mul(factor, e.args[k]), e.args[1 - k]
        pair.append(e)
    for x, y in (pair, pair[::-1]):
        if y.op == "add":
            return mul(factor, add(*(_inner(x, _stretched(t, y.shape)) for t in y.args)))
    for x, y in (pair, pair[::-1]):
        if y.op == "full":
            return mul(factor, mul(const(y.data), Expr("sum", (x,), ()) if x.shape else x))  # type: ignore[arg-type]
    pair.sort(key=text)
    return mul(factor, dot(*pair))


def _through(x: Expr, axes: object) -> tuple[Expr, Expr] | None:
    """The operator of a product whose columns a sum adds up, and what it acts on; None where it adds up others."""
    if x.op == "matmul" and x.data == "last":
        every = axes is None or len(x.shape) - 1 in axes  # type: ignore[operator]
        return (transpose(x.args[1]), x.args[0]) if every else None
    if x.op == "matmul" and (axes is None or 0 in axes):  # type: ignore[operator]
        return x.args[0], x.args[1]
    return (x.args[0], x.args[1]) if axes is None else None


def _stretched(e: Expr, shape: tuple[int, ...]) -> Expr:
    """A scalar as a tensor, where it is a number."""
    if e.shape == shape:
        return e
    return full(e.data, shape) if e.op == "const" else mul(e, full(1, shape))  # type: ignore[arg-type]


def operands(roots: Sequence[Expr]) -> list[Expr]:
    """The nodes whose entries are needed, in postorder: all but operators and what only they are made of."""
    needed: set[Expr] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node in needed:
            continue
        needed.add(node)
        pending.extend(entries_of(node))
    return [n for n in postorder(*roots) if n in needed]


def entries_of(node: Expr) -> tuple[Expr, ...]:
    """The arguments whose entries an operation reads: an operator is read by its rows."""
    if node.op == "matmul" and node.data == "last":
        return node.args[:1]
    if node.op in PRODUCTS:
        return node.args[1:]
    if node.op == "phi":
        assert isinstance(node.data, tuple)
        blocks = node.data[2] ** 2
        return (*(e for block in node.args[:blocks] for e in diagonal(block)[1:] if e is not None), *node.args[blocks:])
    return () if node.op in ("conv", "laplacian", "adjacency", "incidence", "opnorm", "bound", "graph") else node.args


def diagonal(operator: Expr) -> tuple[Expr | None, Expr | None]:
    """An operator that multiplies every entry: by the number (an expression) and by the entries of a vector, if any.

    ``(None, None)`` for another operator.
    """
    factor: Expr = const(1)
    for _ in range(DEEPEST):
        if operator.op == "mul" and not operator.args[0].shape:
            factor, operator = mul(factor, operator.args[0]), operator.args[1]
        elif operator.op == "eye":
            return factor, None
        elif operator.op == "diag":
            return factor, operator.args[0]
        else:
            break
    return None, None
