"""``grad(V, x)`` in the type checker."""

from __future__ import annotations

from odespec.ir.context import Context, quoted
from odespec.ir.differentiate import NotDifferentiable, gradient
from odespec.ir.values import POISON, Typed, Value, show_shape
from odespec.ir.walk import key
from odespec.syntax import tree


def grad(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """The gradient of a scalar by a state."""
    scalar, by = args[0], node.args[1]
    if not scalar.scalar:
        return context.error(
            "ODE317", node.args[0].span, notes=context.origins(node.args[0]), text=quoted(node.args[0]),
            shape=show_shape(scalar), what="grad differentiates",
        )  # fmt: skip
    known = key(by.name, by.primes) if isinstance(by, tree.Name) else ""
    if known and known not in context.declared and known not in context.values:
        return context.unknown(known, by.span, "state", context.values)
    context.used.add(known)
    state = context.values.get(known)
    if state is None or not isinstance(state, Value) or state.expr.op != "state":
        if state is POISON:
            return POISON
        return context.error("ODE312", by.span, notes=context.declaration(known), text=quoted(by))
    try:
        result = gradient(scalar.expr, state.expr, context.structures)
    except NotDifferentiable as error:
        return context.error("ODE318", node.span, what=error.what)
    return Value(result, state.axes, scalar.kinds)
