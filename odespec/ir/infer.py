"""From syntax trees to typed expressions: shapes, sizes that wait for a context, folding of numbers.

A mistake is reported once and its expression is `POISON`, which everything built of it absorbs in silence.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.exact import Irrational, Real, Undecided
from odespec.ir import calls, numbers, pending
from odespec.ir import expr as ex
from odespec.ir.application import apply, nested, transposed
from odespec.ir.context import Context, quoted
from odespec.ir.expr import Expr
from odespec.ir.numbers import Constant, array_shape
from odespec.ir.pending import DoesNotFit, combined
from odespec.ir.values import POISON, Poison, Typed, Value, show_shape
from odespec.ir.walk import children, key
from odespec.syntax import tree

MAX_EXPONENT = 1000


def infer(root: tree.Expr, context: Context) -> Typed:
    """The typed value of an expression."""
    results: dict[int, Typed] = {}
    waiting: list[tuple[tree.Expr, bool]] = [(root, False)]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            value = _node(node, results, context)
            results[id(node)] = context.intern(value) if isinstance(value, Value) else value
            continue
        waiting.append((node, True))
        waiting.extend((c, False) for c in reversed(_typed_children(node)))
    return results[id(root)]


def infer_sized(root: tree.Expr, context: Context) -> Typed:
    """As `infer`, for a place that gives no size: what still waits for one is a mistake."""
    value = infer(root, context)
    if isinstance(value, Value) and value.pending:
        return context.error("ODE310", root.span, text=quoted(root))
    return value


def _typed_children(node: tree.Expr) -> tuple[tree.Expr, ...]:
    """The operands that are typed; the options among the arguments of a call are read by its rule."""
    if isinstance(node, tree.Call):
        return calls.tensors(node)
    if isinstance(node, (tree.Array, tree.Sized)):
        return ()
    return children(node)


def _node(node: tree.Expr, results: dict[int, Typed], context: Context) -> Typed:
    args = [results[id(c)] for c in _typed_children(node)]
    if isinstance(node, tree.Number):
        return Value(ex.const(node.value))
    if isinstance(node, tree.Name):
        return _name(node, context)
    if isinstance(node, tree.Array):
        constant = context.constant(node)
        return POISON if constant is None else constant_value(constant)
    if isinstance(node, tree.Sized):
        return calls.sized(node, context)
    if isinstance(node, tree.Call):
        return calls.typed(node, args, context)
    values = [a for a in args if isinstance(a, Value)]
    if len(values) != len(args):
        return POISON
    if isinstance(node, tree.Negate):
        return _negate(values[0])
    if isinstance(node, tree.Transpose):
        return _transpose(node, values[0], context)
    return _binary(node, values[0], values[1], context)


def constant_value(constant: Constant) -> Value:
    """A number or an array of numbers as an expression."""
    if not isinstance(constant, tuple):
        return Value(ex.const(constant))
    shape = array_shape(constant)
    return Value(Expr("array", (), shape, constant), tuple(map(str, shape)))


def _name(node: tree.Name, context: Context) -> Typed:
    known = key(node.name, node.primes)
    if known == "I":
        return pending.identity()
    if known == "t":
        return Value(ex.TIME, (), frozenset({"time"}))
    if known in context.values:
        context.used.add(known)
        return context.values[known]
    if known in context.graphs:
        context.used.add(known)
        return context.error(
            "ODE321", node.span, notes=context.declaration(known), text=known, what="a graph", want="a tensor"
        )
    if known in context.declared:
        context.used.add(known)
        return POISON
    if node.primes and node.name in context.values:
        return context.error("ODE218", node.span, notes=context.declaration(node.name), name=node.name)
    if calls.is_function(node.name):
        return context.error("ODE321", node.span, text=known, what="a function", want="a tensor")
    return context.unknown(known, node.span, among=context.values)


def _negate(a: Value) -> Value:
    if a.pending:
        return combined("mul", Value(ex.const(-1)), a)
    return Value(ex.neg(a.expr), a.axes, a.kinds)


def _transpose(node: tree.Transpose, a: Value, context: Context) -> Typed:
    if a.pending == "operator":
        return nested(node, combined("transpose", a), context)
    if not a.matrix:
        return context.error(
            "ODE314", node.span, notes=context.origins(node.operand), text=quoted(node.operand), shape=show_shape(a)
        )
    return Value(transposed(a.expr, context), a.axes[::-1], a.kinds)


# --- two operands ----------------------------------------------------------------


def _binary(node: tree.Binary, a: Value, b: Value, context: Context) -> Typed:
    if node.operator == "^":
        return _checked(node, _power(node, a, b, context), context)
    if node.operator == "@":
        return _checked(node, apply(node, a, b, context), context)
    if a.expr.op == b.expr.op == "const":
        return _folded(node, a.expr.data, b.expr.data, context)
    if a.pending or b.pending:
        met = _meet_pending(node, a, b, context)
        if met is None or isinstance(met, (Value, Poison)):
            return context.error("ODE310", node.span, text=quoted(node)) if met is None else met
        a, b = met
    if a.shape != b.shape and a.shape and b.shape:
        return _mismatch(node, a, b, context)
    return _checked(node, _elementwise(node, a, b, context), context)


def _folded(node: tree.Binary, a: object, b: object, context: Context) -> Typed:
    assert isinstance(a, (Fraction, Irrational)) and isinstance(b, (Fraction, Irrational))
    try:
        return Value(ex.const(_arithmetic(node.operator, a, b)))
    except (ZeroDivisionError, Undecided):
        return context.error("ODE213", node.span, why="it divides by zero")
    except ValueError as error:
        return context.error("ODE213", node.span, why=error)
    except OverflowError:
        return context.error("ODE212", node.span)


def _arithmetic(operator: str, a: Real, b: Real) -> Real:
    value = numbers.BINARY[operator](a, b)
    numbers.checked(value)
    return value


def _elementwise(node: tree.Binary, a: Value, b: Value, context: Context) -> Typed:
    if node.operator == "/" and b.expr.op == "const":
        if b.expr.data == 0:
            return context.error("ODE213", node.span, why="it divides by zero")
        try:
            numbers.quotient(Fraction(1), b.expr.data)  # type: ignore[arg-type]
        except (ZeroDivisionError, Undecided):
            return context.error("ODE213", node.span, why="it divides by zero")
    build = {"+": ex.add, "-": ex.sub, "*": ex.mul, "/": ex.div}[node.operator]
    return Value(build(a.expr, b.expr), a.axes or b.axes, a.kinds | b.kinds)


def _checked(node: tree.Expr, value: Typed, context: Context) -> Typed:
    """Coefficients that were merged may have grown past what is reasonable."""
    if isinstance(value, Poison):
        return value
    e = value.expr
    coefficient = e.args[0] if e.op == "mul" and e.args[0].op == "const" else e
    if coefficient.op == "const":
        try:
            numbers.checked(coefficient.data)  # type: ignore[arg-type]
        except OverflowError:
            return context.error("ODE212", node.span)
    return value


def _mismatch(node: tree.Binary, a: Value, b: Value, context: Context) -> Poison:
    return context.error(
        "ODE301",
        node.operator_span,
        notes=context.origins(node.left, node.right),
        operator=node.operator,
        left=quoted(node.left),
        right=quoted(node.right),
        left_shape=show_shape(a),
        right_shape=show_shape(b),
    )


def _power(node: tree.Binary, a: Value, b: Value, context: Context) -> Typed:
    exponent = b.expr.data
    if b.expr.op != "const" or b.pending or not isinstance(exponent, Fraction):
        return context.error("ODE313", node.right.span, text=quoted(node.right))
    if a.pending:
        return context.error("ODE310", node.left.span, text=quoted(node.left))
    if a.expr.op == "const":
        return _folded(node, a.expr.data, exponent, context)
    if abs(exponent.numerator) > MAX_EXPONENT or exponent.denominator > numbers.MAX_ROOT:
        return context.error("ODE212", node.right.span)
    return Value(ex.power(a.expr, exponent), a.axes, a.kinds)


def _meet_pending(node: tree.Binary, a: Value, b: Value, context: Context) -> tuple[Value, Value] | Typed | None:
    """What ``a o b`` is where a side waits for its size: still waiting, both sides sized, or None."""
    operator = node.operator
    if a.pending and b.pending:
        if a.pending != b.pending or operator not in "+-":
            return None
        return nested(node, combined("add", a, b if operator == "+" else _negate(b)), context)
    waits, other = (a, b) if a.pending else (b, a)
    if other.scalar:
        if operator == "*":
            return nested(node, combined("mul", other, waits), context)
        if operator == "/" and a.pending:
            factor = _elementwise(node, Value(ex.const(1)), other, context)
            return factor if isinstance(factor, Poison) else nested(node, combined("mul", factor, waits), context)
        return None
    try:
        sized = Value(_size_like(waits, other), other.axes, waits.kinds)
    except DoesNotFit as error:
        waiting = node.left if a.pending else node.right
        return context.error("ODE311", waiting.span, notes=context.origins(node.left, node.right), text=quoted(waiting),
                             why=error.why)  # fmt: skip
    return (sized, b) if a.pending else (a, sized)


def _size_like(waits: Value, other: Value) -> Expr:
    """A waiting expression at the shape of what it meets. Raises `DoesNotFit`."""
    if waits.pending == "channel":
        return pending.spread(waits.expr, other.shape)
    if not other.matrix or other.shape[0] != other.shape[1]:
        raise DoesNotFit(f"what it meets is {show_shape(other)}, not a square matrix")
    return pending.as_matrix(waits.expr, other.shape[0])
