"""Calls: the arity and keywords of a function, then the rule of its name.

A rule takes the context, the call and its typed tensors, and returns the typed result.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.diagnostics.suggest import nearest
from odespec.functions import FUNCTIONS, Function, function_names, lookup
from odespec.ir import expr as ex
from odespec.ir import numbers
from odespec.ir.calculus import grad
from odespec.ir.context import Context, quoted
from odespec.ir.rules import (
    Rule,
    activation,
    channel,
    conv,
    diag,
    dot,
    extreme,
    graph_matrix,
    norm,
    normalise,
    offdiag,
    pool,
    reduce,
)
from odespec.ir.values import POISON, Poison, Typed, Value
from odespec.ir.walk import key
from odespec.syntax import tree

RULES: dict[str, Rule] = {
    "softmax": normalise,
    "layernorm": normalise,
    "sum": reduce,
    "mean": reduce,
    "dot": dot,
    "norm": norm,
    "min": extreme,
    "max": extreme,
    "conv": conv,
    "diag": diag,
    "laplacian": graph_matrix,
    "adjacency": graph_matrix,
    "incidence": graph_matrix,
    "channel": channel,
    "offdiag": offdiag,
    "pool": pool,
    "grad": grad,
}

MAX_SIZE = 10**7
MAX_ENTRIES = 10**9

WAITING = frozenset({"norm"})
"""Functions that take an expression whose size waits for a context."""


def is_function(name: str) -> bool:
    return lookup(name) is not None


def tensors(node: tree.Call) -> tuple[tree.Expr, ...]:
    """The arguments that are tensors; those of a call that cannot be understood are not looked at."""
    function = lookup(node.name)
    if function is None or node.primes:
        return ()
    return node.args[: function.tensors]


def typed(node: tree.Call, args: list[Typed], context: Context) -> Typed:
    """The typed result of a call."""
    function = lookup(node.name)
    if function is None or node.primes:
        return _initial_value(node, context)
    if not _well_called(node, function, context):
        return POISON
    values = [a for a in args if isinstance(a, Value)]
    if len(values) != len(args):
        return POISON
    for argument, value in zip(node.args, values, strict=False):
        if value.pending and function.name not in WAITING:
            return _waiting(function, argument, value, context)
    return RULES.get(function.name, activation)(context, node, values)


def _waiting(function: Function, argument: tree.Expr, value: Value, context: Context) -> Poison:
    if value.pending == "operator":
        return context.error(
            "ODE321",
            argument.span,
            text=quoted(argument),
            what="a linear operator",
            want=f"the tensor that `{function.name}` takes",
        )
    return context.error("ODE310", argument.span, text=quoted(argument))


def _well_called(node: tree.Call, function: Function, context: Context) -> bool:
    count = len(node.args) + sum(
        1 for k in node.keywords if function.kind == "elementwise" and k.name in function.keywords
    )
    if not function.least <= count <= function.most:
        wanted = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        context.error("ODE303", node.span, name=function.name, wanted=wanted, count=count, signature=function.signature)
        return False
    seen: set[str] = set()
    for keyword in node.keywords:
        if keyword.name not in function.keywords:
            unknown_keyword(context, keyword, function.name, function.keywords)
            return False
        if keyword.name in seen:
            context.error("ODE304", keyword.name_span, name=keyword.name, owner=function.name, why="is given twice")
            return False
        seen.add(keyword.name)
    return True


def unknown_keyword(context: Context, keyword: tree.Keyword, owner: str, known: tuple[str, ...]) -> Poison:
    """Report a keyword that a function, a solver or a claim does not have."""
    close = nearest(keyword.name, known)
    listed = ", ".join(f"`{k}`" for k in known)
    advice = f"did you mean `{close}`?" if close else f"its keywords are {listed}" if known else "it has no keywords"
    return context.error(
        "ODE304", keyword.name_span, suggestion=advice, name=keyword.name, owner=owner, why="is not a keyword"
    )


def _initial_value(node: tree.Call, context: Context) -> Typed:
    """``x(0)``, ``x'(0)``, or a function that does not exist."""
    known = key(node.name, node.primes)
    value = context.values.get(known)
    if value is None and known not in context.declared:
        return _unknown_function(node, context)
    context.used.add(known)
    if isinstance(value, Poison) or value is None:
        return POISON
    if value.expr.op not in ("state", "initial"):
        return context.error("ODE305", node.name_span, notes=context.declaration(known), name=known,
                             why=f"`{known}` is not a function")  # fmt: skip
    zero = len(node.args) == 1 and isinstance(node.args[0], tree.Number) and node.args[0].value == 0
    if not zero or node.keywords:
        return context.error(
            "ODE228", node.span, name=known, why=f"only the value at the start, `{known}(0)`, can be named"
        )
    if not context.starts:
        return context.error("ODE228", node.span, name=known, why="the start can be named in an `invariant` only")
    return Value(ex.leaf("initial", known, value.shape), value.axes, frozenset({"initial"}))


def _unknown_function(node: tree.Call, context: Context) -> Poison:
    if node.name in context.models:
        return context.error(
            "ODE431", node.span, name=node.name, why="a model is applied on a line of its own, `u = M(u)`"
        )
    if node.name in context.told:
        return POISON
    context.told.add(node.name)
    close = nearest(node.name, function_names())
    return context.error(
        "ODE305",
        node.name_span,
        suggestion=f"did you mean `{close}`?" if close else None,
        name=key(node.name, node.primes),
        why="there is no such function",
    )


def sized(node: tree.Sized, context: Context) -> Typed:
    """``ones[d]``, ``zeros[m, d]``."""
    function = FUNCTIONS.get(node.name)
    if function is None or function.kind != "sized":
        known = [f.name for f in FUNCTIONS.values() if f.kind == "sized"]
        if node.name in context.values:
            return context.error("ODE305", node.name_span, notes=context.declaration(node.name), name=node.name,
                                 why="entries of a tensor cannot be picked")  # fmt: skip
        close = nearest(node.name, known)
        return context.error("ODE305", node.name_span, suggestion=f"did you mean `{close}`?" if close else None,
                             name=node.name, why="there is no such function")  # fmt: skip
    shape = sizes(node.sizes, context)
    if shape is None:
        return POISON
    return Value(ex.full(1 if node.name == "ones" else 0, shape[0]), shape[1])


def sizes(nodes: tuple[tree.Expr, ...], context: Context) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """The shape that some sizes give, and how its axes are written; None where a mistake was reported."""
    shape: list[int] = []
    for node in nodes:
        size = size_of(node, context)
        if size is None:
            return None
        shape.append(size)
    entries = 1
    for n in shape:
        entries *= n
    if entries > MAX_ENTRIES:
        span = nodes[0].span.to(nodes[-1].span)
        context.error("ODE210", span, text=f"a tensor of {numbers.show(entries)} entries", limit=f"{MAX_ENTRIES:,}")
        return None
    return tuple(shape), tuple(quoted(n) for n in nodes)


def size_of(node: tree.Expr, context: Context) -> int | None:
    """A size: a positive integer within reason; None where a mistake was reported."""
    try:
        value = numbers.number(node, context.number_of)
    except numbers.Unknown:
        return None
    except numbers.Mistake as mistake:
        if mistake.code == "ODE212":
            context.error("ODE210", node.span, text=f"the size `{quoted(node)}`", limit=f"{MAX_SIZE:,}")
        else:
            context.mistake(mistake)
        return None
    return positive_size(value, node, context)


def positive_size(value: object, node: tree.Expr, context: Context) -> int | None:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 1:
        context.error("ODE209", node.span, text=quoted(node), value=numbers.show(value))
        return None
    if value > MAX_SIZE:
        context.error("ODE210", node.span, text=f"the size `{quoted(node)}`", limit=f"{MAX_SIZE:,}")
        return None
    return int(value)
