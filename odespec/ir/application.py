"""``a @ b`` in the type checker: matrices, tensors, and operators whose size waits for what they meet."""

from __future__ import annotations

from odespec.ir import expr as ex
from odespec.ir import pending
from odespec.ir.context import Context, quoted
from odespec.ir.expr import Expr
from odespec.ir.forms import linear
from odespec.ir.pending import DoesNotFit, combined
from odespec.ir.values import Poison, Typed, Value, show_shape
from odespec.syntax import tree


def apply(node: tree.Binary, a: Value, b: Value, context: Context) -> Typed:
    if a.pending == "channel" or b.pending == "channel":
        return context.error("ODE310", node.span, text=quoted(node))
    if a.pending and b.pending:
        return nested(node, combined("compose", a, b), context)
    if a.scalar or b.scalar:
        return _cannot_apply(node, a, b, context)
    try:
        return _applied(a, b, context) or _cannot_apply(node, a, b, context)
    except DoesNotFit as error:
        side = node.left if a.pending else node.right
        return context.error("ODE311", side.span, notes=context.origins(node.left, node.right), text=quoted(side),
                             why=error.why)  # fmt: skip


def _applied(a: Value, b: Value, context: Context) -> Value | None:
    """``a @ b``, None where the shapes do not allow it. Raises `DoesNotFit`."""
    kinds = a.kinds | b.kinds
    if a.pending:
        result = pending.act_on(a.expr, b.expr)
        return Value(result, _axes_after(a, b, result), kinds)
    if b.pending:
        if not a.matrix:
            raise DoesNotFit("an operator stands to the right of a tensor that is no matrix")
        return Value(linear(ex.matmul, a.expr, pending.as_matrix(b.expr, a.shape[1])), a.axes, kinds)
    tensor = bool(a.kinds & {"state", "value", "stage"}) and not b.kinds & {"state", "value", "stage"}
    if b.matrix and a.shape[-1] == b.shape[0] and (len(a.shape) > 2 or (tensor and len(a.shape) == 2)):
        return Value(linear(ex.matmul_last, a.expr, b.expr), (*a.axes[:-1], b.axes[1]), kinds)
    if a.matrix and a.shape[1] == b.shape[0]:
        return Value(linear(ex.matmul, a.expr, b.expr), (a.axes[0], *b.axes[1:]), kinds)
    if b.matrix and len(a.shape) == 1 and a.shape[0] == b.shape[0]:
        return Value(linear(ex.matmul, transposed(b.expr, context), a.expr), (b.axes[1],), kinds)
    return None


def _axes_after(operator: Value, x: Value, result: Expr) -> tuple[str, ...]:
    """How the axes of ``operator @ x`` are written: as those of x where they are equal, as the kernel's else."""
    known: dict[int, str] = {}
    for node in pending.convolutions(operator.expr):
        axes = node.data.axes  # type: ignore[attr-defined]
        known.update(zip(node.args[0].shape[:2], axes[:2], strict=True))
    old = dict(enumerate(zip(x.shape, x.axes, strict=True)))
    result_axes = []
    for i, n in enumerate(result.shape):
        same = i in old and old[i][0] == n
        result_axes.append(old[i][1] if same else known.get(n, str(n)) if i == 0 else str(n))
    return tuple(result_axes)


def _cannot_apply(node: tree.Binary, a: Value, b: Value, context: Context) -> Poison:
    advice = None
    if a.scalar or b.scalar:
        advice = "use `*` to multiply by a number"
    elif len(a.shape) == len(b.shape) == 1:
        advice = "the inner product of two vectors is `dot(a, b)`"
    elif a.matrix and a.shape[0] == b.shape[0]:
        advice = f"`{quoted(node.left)}.T` would fit"
    return context.error(
        "ODE302",
        node.operator_span,
        notes=context.origins(node.left, node.right),
        suggestion=advice,
        left=quoted(node.left),
        right=quoted(node.right),
        left_shape=show_shape(a),
        right_shape=show_shape(b),
    )


def transposed(e: Expr, context: Context) -> Expr:
    """Symmetric parameters are their own transposes; numbers stay in front."""
    if e.op == "mul" and e.args[0].op == "const":
        return ex.mul(e.args[0], transposed(e.args[1], context))
    return e if context.structures.get(e) in ("symmetric", "psd", "diagonal") else ex.transpose(e)


def nested(node: tree.Expr, value: Value, context: Context) -> Typed:
    if value.depth > pending.MAX_DEPTH:
        return context.error("ODE310", node.span, text=quoted(node))
    return value
