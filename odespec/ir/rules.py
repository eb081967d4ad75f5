"""How each function types: from the call and its typed tensors to the result."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec import exact
from odespec.activations import ACTIVATIONS
from odespec.ir import expr as ex
from odespec.ir import numbers, pending
from odespec.ir.context import Context, quoted
from odespec.ir.expr import Expr
from odespec.ir.pending import Options
from odespec.ir.values import POISON, Poison, Typed, Value, show_shape
from odespec.ir.walk import key
from odespec.syntax import tree

Rule = Callable[[Context, tree.Call, list[Value]], Typed]

VARYING = frozenset({"state", "value", "input", "time", "noise", "initial", "stage"})
PADDINGS = ("circular", "zero", "reflect")


def bad_argument(context: Context, node: tree.Expr, name: str, why: str, *about: tree.Expr) -> Poison:
    """Report an argument with which a function cannot be called."""
    return context.error("ODE315", node.span, notes=context.origins(*about), name=name, why=why)


def keyword(node: tree.Call, name: str) -> tree.Expr | None:
    return next((k.value for k in node.keywords if k.name == name), None)


# --- elementwise -----------------------------------------------------------------


def activation(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """An elementwise function; of a number, its exact value where it has one."""
    entry = ACTIVATIONS[node.name]
    given = list(node.args[1:])
    for name in entry.parameters[len(given) :]:
        value = keyword(node, name)
        if value is not None:
            given.append(value)
    parameters: list[Fraction] = []
    for option in given:
        number = context.number(option)
        if number is None:
            return POISON
        if not isinstance(number, Fraction):
            return bad_argument(context, option, node.name, "its parameter is not a rational number")
        parameters.append(number)
    x = args[0]
    if x.expr.op == "const" and node.name in _EXACT:
        return _exactly(context, node, x.expr.data)  # type: ignore[arg-type]
    return Value(ex.act(node.name, x.expr, tuple(parameters)), x.axes, x.kinds)


_EXACT: dict[str, Callable[[exact.Real], exact.Real]] = {
    "sqrt": lambda x: exact.root(x, 2),
    "square": lambda x: x * x,
    "abs": numbers.absolute,
    "identity": lambda x: x,
    "relu": lambda x: x if exact.sign(x) > 0 else Fraction(0),
}


def _exactly(context: Context, node: tree.Call, x: exact.Real) -> Typed:
    try:
        value = _EXACT[node.name](x)
        numbers.checked(value)
    except OverflowError:
        return context.error("ODE212", node.span)
    except (ValueError, ArithmeticError) as error:
        return context.error("ODE213", node.span, why=error)
    return Value(ex.const(value))


# --- whole vectors and reductions ----------------------------------------------------


def axes_of(context: Context, node: tree.Expr, x: Value, name: str) -> tuple[int, ...] | None:
    """Axes from ``1`` or ``[1, 2]``, counted from zero; None where a mistake was reported."""
    items = node.items if isinstance(node, tree.Array) else (node,)
    axes: list[int] = []
    for item in items:
        number = context.number(item)
        if number is None:
            return None
        if not isinstance(number, Fraction) or number.denominator != 1 or not -len(x.shape) <= number < len(x.shape):
            count = len(x.shape)
            has = f"has axes 0 to {count - 1}" if count else "is a scalar and has no axes"
            bad_argument(context, item, name, f"there is no axis {quoted(item)}: its argument {has}")
            return None
        axes.append(int(number) % len(x.shape))
    if len(set(axes)) != len(axes):
        bad_argument(context, node, name, "an axis stands twice")
        return None
    return tuple(sorted(axes))


def reduce(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """``sum`` and ``mean``, over everything or along axes."""
    x, option = args[0], node.args[1] if len(node.args) > 1 else keyword(node, "axis")
    axes: tuple[int, ...] | None = None
    if option is not None:
        axes = axes_of(context, option, x, node.name)
        if axes is None:
            return POISON
        if len(axes) == len(x.shape):
            axes = None
    if not x.shape:
        return x
    build = ex.total if node.name == "sum" else ex.mean
    kept = () if axes is None else tuple(a for i, a in enumerate(x.axes) if i not in axes)
    return Value(build(x.expr, axes), kept, x.kinds)


def normalise(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """``softmax`` and ``layernorm`` along one axis."""
    x = args[0]
    if not x.shape:
        return bad_argument(context, node.args[0], node.name, "its argument is a scalar", node.args[0])
    axis, option = len(x.shape) - 1, keyword(node, "axis")
    if option is not None:
        axes = axes_of(context, option, x, node.name)
        if axes is None:
            return POISON
        if len(axes) != 1:
            return bad_argument(context, option, node.name, "it acts along one axis")
        axis = axes[0]
    if node.name == "softmax":
        return Value(Expr("softmax", (x.expr,), x.shape, axis), x.axes, x.kinds)
    eps: object = Fraction(1, 100000)
    given = keyword(node, "eps")
    if given is not None:
        eps = context.number(given)
        if eps is None:
            return POISON
        if not isinstance(eps, Fraction) or eps <= 0:
            return bad_argument(context, given, node.name, "eps is not a positive rational number")
    return Value(Expr("layernorm", (x.expr,), x.shape, (axis, eps)), x.axes, x.kinds)


def dot(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    a, b = args
    if a.shape != b.shape:
        return context.error(
            "ODE301",
            node.span,
            notes=context.origins(*node.args),
            operator="dot",
            left=quoted(node.args[0]),
            right=quoted(node.args[1]),
            left_shape=show_shape(a),
            right_shape=show_shape(b),
        )
    if not a.shape:
        return Value(ex.mul(a.expr, b.expr), (), a.kinds | b.kinds)
    return Value(ex.dot(a.expr, b.expr), (), a.kinds | b.kinds)


def extreme(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    x = args[0]
    return Value(Expr(node.name, (x.expr,), ()), (), x.kinds) if x.shape else x


def norm_order(context: Context, node: tree.Call) -> int | str | None:
    """The p of ``norm(E, p)``; None where a mistake was reported."""
    return 2 if len(node.args) < 2 else order_of(context, node.args[1])


def order_of(context: Context, option: tree.Expr) -> int | str | None:
    """The order of a norm: 2, 1 or inf."""
    if isinstance(option, tree.Name) and option.name == "inf":
        return "inf"
    if isinstance(option, tree.Number) and option.value in (1, 2):
        return int(option.value)
    text = option.name.lower() if isinstance(option, tree.Name) else ""
    advice = (
        "did you mean `inf`?"
        if text[:3] in ("inf", "max") or text in ("linf", "sup", "oo")
        else "norms are 2, 1 and inf"
    )
    context.error("ODE416", option.span, suggestion=advice, text=quoted(option))
    return None


def norm(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """The norm of a weight is a bound that the emitted code computes; that of anything else is a vector norm."""
    order, x = norm_order(context, node), args[0]
    if order is None:
        return POISON
    if x.pending == "channel" or (x.pending and not pending.convolutions(x.expr)):
        return context.error("ODE310", node.args[0].span, text=quoted(node.args[0]))
    weight = bool(x.kinds & {"param", "graph"}) and not x.kinds & VARYING
    if x.pending or (weight and x.shape):
        return Value(Expr("bound", (x.expr,), (), order), (), x.kinds)
    if not x.shape:
        return Value(ex.act("abs", x.expr), (), x.kinds)
    return Value(Expr("norm", (x.expr,), (), order), (), x.kinds)


# --- operators and shaping --------------------------------------------------------------


def conv(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    kernel = args[0]
    if len(kernel.shape) not in (3, 4):
        why = f"a kernel is [out, in, k] or [out, in, kh, kw], this is {show_shape(kernel)}"
        return bad_argument(context, node.args[0], "conv", why, node.args[0])
    padding, option = "circular", keyword(node, "padding")
    if option is not None:
        if not isinstance(option, tree.Name) or option.name not in PADDINGS:
            return bad_argument(context, option, "conv", f"padding is one of {', '.join(PADDINGS)}")
        padding = option.name
    stride, groups = (_positive(context, node, name) for name in ("stride", "groups"))
    if stride is None or groups is None:
        return POISON
    if kernel.shape[0] % groups:
        return bad_argument(context, node, "conv", f"{groups} groups do not divide {kernel.shape[0]} channels")
    return pending.convolution(kernel, Options(padding, stride, groups, kernel.axes))


def _positive(context: Context, node: tree.Call, name: str) -> int | None:
    option = keyword(node, name)
    return 1 if option is None else positive(context, option, node.name, name)


def positive(context: Context, option: tree.Expr, owner: str, name: str) -> int | None:
    """A small positive integer among the options of a function; None where a mistake was reported."""
    number = context.number(option)
    if number is None:
        return None
    if not isinstance(number, Fraction) or number.denominator != 1 or not 1 <= number <= 10**6:
        bad_argument(context, option, owner, f"{name} is not a positive integer")
        return None
    return int(number)


def diag(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    v = args[0]
    if len(v.shape) != 1:
        return bad_argument(context, node.args[0], "diag", f"it takes a vector, this is {show_shape(v)}", node.args[0])
    return Value(Expr("diag", (v.expr,), v.shape * 2), v.axes * 2, v.kinds)


def offdiag(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    w = args[0]
    if not w.matrix or w.shape[0] != w.shape[1]:
        why = f"it takes a square matrix, this is {show_shape(w)}"
        return bad_argument(context, node.args[0], "offdiag", why, node.args[0])
    return Value(Expr("offdiag", (w.expr,), w.shape), w.axes, w.kinds)


def channel(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    b = args[0]
    if len(b.shape) != 1:
        return bad_argument(
            context, node.args[0], "channel", f"it takes a vector, this is {show_shape(b)}", node.args[0]
        )
    return pending.channel(b)


def pool(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    u, k = args[0], positive(context, node.args[1], "pool", "the block")
    if k is None:
        return POISON
    if len(u.shape) < 2 or u.shape[-1] % k or u.shape[-2] % k:
        why = f"{k} by {k} blocks do not divide the last two axes of {show_shape(u)}"
        return bad_argument(context, node, "pool", why, node.args[0])
    shape = (*u.shape[:-2], u.shape[-2] // k, u.shape[-1] // k)
    return Value(Expr("pool", (u.expr,), shape, k), (*u.axes[:-2], *map(str, shape[-2:])), u.kinds)


def graph_matrix(context: Context, node: tree.Call, args: list[Value]) -> Typed:
    """``laplacian``, ``adjacency`` and ``incidence``, whose rows are all the edges that the nodes can have."""
    name = node.args[0]
    if not isinstance(name, tree.Name) or name.primes or name.name not in context.graphs:
        known = key(name.name, name.primes) if isinstance(name, tree.Name) else ""
        context.used.add(known)
        if context.values.get(known) is POISON:
            return POISON
        if known and known not in context.declared:
            return context.unknown(known, name.span, "graph", context.graphs)
        return context.error("ODE321", name.span, text=quoted(name), what="no graph", want="a graph")
    context.used.add(name.name)
    graph, axis = context.graphs[name.name]
    n = graph.shape[0]
    option = keyword(node, "normalized")
    if option is not None and not (isinstance(option, tree.Name) and option.name in ("true", "false")):
        return bad_argument(context, option, node.name, "normalized is true or false")
    if node.name == "incidence":
        edges = max(1, n * (n - 1) // 2)
        return Value(Expr("incidence", (graph,), (edges, n)), ("edges", axis), frozenset({"graph"}))
    normalized = isinstance(option, tree.Name) and option.name == "true"
    return Value(
        Expr(node.name, (graph,), (n, n), ("normalized",) if normalized else ()), (axis, axis), frozenset({"graph"})
    )
