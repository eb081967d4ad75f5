"""The metric of ``nonexpansive(metric = P)``: a positive definite matrix of the size of the state."""

from __future__ import annotations

from fractions import Fraction

from odespec.ir.context import quoted
from odespec.ir.declare import Draft
from odespec.ir.expr import Expr
from odespec.ir.infer import infer_sized
from odespec.ir.misplaced import check_kinds
from odespec.ir.symmetry import is_symmetric
from odespec.ir.values import Value, show_shape
from odespec.syntax import tree

MAX_EXACT = 64
"""Up to this size a constant metric is tested by exact elimination here; the prover tests all."""


def metric(node: tree.Expr, draft: Draft) -> str | Expr | None:
    """``some``, or the matrix; None where a mistake was reported."""
    context = draft.context
    if isinstance(node, tree.Name) and node.name == "some" and "some" not in context.values:
        return "some"
    value = infer_sized(node, context)
    value = check_kinds(node, value, frozenset({"param"}), "a metric", draft)
    if not isinstance(value, Value):
        return None
    why = _why_not(value, draft)
    if why is None:
        return value.expr
    context.error("ODE426", node.span, notes=context.origins(node), text=quoted(node), why=why)
    return None


def _why_not(value: Value, draft: Draft) -> str | None:
    size = sum(_entries(draft, name) for name in draft.states)
    if not value.matrix or value.shape != (size, size):
        return f"it is {show_shape(value)}, the states have {size} entries together"
    if not is_symmetric(value.expr, draft.context.structures):
        return "it is not known to be symmetric"
    if value.expr.op == "array" and not positive_definite(value.expr.data):
        return "it is not positive definite"
    return None


def _entries(draft: Draft, name: str) -> int:
    value = draft.context.values.get(name)
    count = 1
    for n in value.shape if isinstance(value, Value) else ():
        count *= n
    return count


def positive_definite(rows: object) -> bool:
    """Whether a symmetric matrix of fractions is positive definite: all pivots are positive.

    True where it is not decided here: of other numbers, or larger than `MAX_EXACT`.
    """
    if (
        not isinstance(rows, tuple)
        or len(rows) > MAX_EXACT
        or not all(isinstance(x, Fraction) for r in rows for x in r)
    ):
        return True
    matrix = [list(row) for row in rows]
    for k in range(len(matrix)):
        pivot = matrix[k][k]
        if pivot <= 0:
            return False
        for i in range(k + 1, len(matrix)):
            factor = matrix[i][k] / pivot
            if factor:
                matrix[i] = [x - factor * y for x, y in zip(matrix[i], matrix[k], strict=True)]
    return True
