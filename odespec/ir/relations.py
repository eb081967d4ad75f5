"""Constraints, domains and invariants: from ``norm(W) <= 1`` to a typed relation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from odespec import exact
from odespec.exact import Irrational, Real, Undecided
from odespec.ir import pending
from odespec.ir.context import quoted
from odespec.ir.declare import Draft
from odespec.ir.expr import Expr, leaves, postorder, rewrite
from odespec.ir.infer import infer, infer_sized
from odespec.ir.misplaced import check_kinds
from odespec.ir.model import Relation
from odespec.ir.numbers import show
from odespec.ir.rules import norm_order
from odespec.ir.symmetry import is_symmetric
from odespec.ir.values import POISON, Typed, Value, show_shape
from odespec.ir.walk import key
from odespec.syntax import tree

ALLOWED = {
    "constraint": frozenset({"param", "graph"}),
    "domain": frozenset({"state", "input"}),
    "invariant": frozenset({"state", "param", "input", "graph"}),
}
NEEDED = {
    "constraint": frozenset({"param", "graph"}),
    "domain": frozenset({"state", "input"}),
    "invariant": frozenset({"state"}),
}
QUANTITIES = {"norm": 2, "sigma": 1, "eig": 1, "degree": 1}
"""Quantities that are written as calls, and their arguments at most."""

Bound = Real | Expr | None


def relation(node: tree.Relation, where: str, draft: Draft, fields: Sequence[Expr] | None = ()) -> tuple[Relation, ...]:
    """The relations that a line states: one, or one for each size at which a convolution is used in ``fields``.

    Empty where a mistake was reported. ``where`` is ``constraint``, ``domain`` or ``invariant``; ``fields`` is None
    where they have mistakes themselves.
    """
    found = _subject(node.subject, where, draft)
    if found is None:
        return ()
    quantity, value, order = found
    bounds = _bounds(node, where, draft, value if quantity == "entries" else None)
    if bounds is None:
        return ()
    operands = [value.expr]
    if value.pending:
        operands = pending.sized_by_use(value.expr, list(fields or ()))
        if not operands and fields is not None:
            draft.context.error("ODE310", node.subject.span, text=quoted(node.subject))
    equal = node.operator == "=="
    return tuple(Relation(quantity, e, *bounds, node.span, order, equal) for e in operands)


def _subject(node: tree.Expr, where: str, draft: Draft) -> tuple[str, Value, int | str] | None:
    """The quantity, its operand, and the order of a norm."""
    quantity, operand = "entries", node
    order: int | str = 2
    if isinstance(node, tree.Call) and node.name in QUANTITIES and not node.primes:
        quantity = node.name
        if not 1 <= len(node.args) <= QUANTITIES[quantity] or node.keywords:
            draft.context.error("ODE303", node.span, name=quantity, wanted="1", count=len(node.args),
                                signature=f"{quantity}(E)")  # fmt: skip
            return None
        operand = node.args[0]
        if quantity == "norm":
            given = norm_order(draft.context, node)
            if given is None:
                return None
            order = given
    value = _operand(operand, quantity, draft)
    value = check_kinds(operand, value, ALLOWED[where], f"a {where}", draft)
    if not isinstance(value, Value) or not _fits(operand, quantity, value, where, draft):
        return None
    return quantity, Value(_plain_norms(value.expr), value.axes, value.kinds, value.pending, value.depth), order


def _operand(node: tree.Expr, quantity: str, draft: Draft) -> Typed:
    context = draft.context
    if quantity == "degree":
        if isinstance(node, tree.Name) and key(node.name, node.primes) in context.graphs:
            context.used.add(node.name)
            return Value(context.graphs[node.name][0], (), frozenset({"graph"}))
        known = key(node.name, node.primes) if isinstance(node, tree.Name) else ""
        if context.values.get(known) is POISON:
            return POISON
        if known and known not in context.declared:
            return context.unknown(known, node.span, "graph", context.graphs)
        return context.error("ODE321", node.span, text=quoted(node), what="no graph", want="a graph")
    return infer_sized(node, context) if quantity == "entries" else infer(node, context)


def _fits(node: tree.Expr, quantity: str, value: Value, where: str, draft: Draft) -> bool:
    """Whether the quantity can be asked of this operand."""
    context, notes = draft.context, draft.context.origins(node)
    if value.pending and (value.pending == "channel" or not pending.convolutions(value.expr)):
        context.error("ODE310", node.span, text=quoted(node))
    elif not value.kinds & NEEDED[where]:
        wanted = "a weight" if where == "constraint" else "a state or an input" if where == "domain" else "a state"
        context.error("ODE422", node.span, text=quoted(node), where=where, wanted=wanted)
    elif where == "domain" and (given := _given(value.expr, draft)):
        context.error("ODE427", node.span, notes=context.declaration(given), name=given)
    elif quantity in ("sigma", "eig") and where != "constraint":
        context.error("ODE423", node.span, quantity=quantity, where=where)
    elif quantity in ("sigma", "eig") and not value.pending and not value.matrix:
        context.error(
            "ODE322", node.span, notes=notes, quantity=quantity, text=quoted(node), why=f"it is {show_shape(value)}"
        )
    elif quantity == "eig" and not value.pending and not is_symmetric(value.expr, context.structures):
        context.error("ODE322", node.span, notes=notes, quantity=quantity, text=quoted(node),
                      why=_asymmetric(value.expr, draft))  # fmt: skip
    else:
        return True
    return False


def _given(e: Expr, draft: Draft) -> str:
    """A state in the expression whose initial value is no input; "" if there is none."""
    for op, data in sorted(leaves(e), key=str):
        name = str(data)
        if op == "state" and (name not in draft.states or draft.states[name].initial is not None):
            return name
    return ""


def _asymmetric(e: Expr, draft: Draft) -> str:
    if draft.context.structures.get(e) == "skew":
        return "it is skew, its eigenvalues are imaginary"
    return "it is not known to be symmetric"


def _plain_norms(e: Expr) -> Expr:
    """Outside of a field a norm is the norm itself, not the bound that is emitted for it."""
    if not any(n.op == "bound" for n in postorder(e)):
        return e

    def plain(node: Expr) -> Expr:
        if node.op != "bound":
            return node
        return Expr("opnorm" if len(node.args[0].shape) != 1 else "norm", node.args, (), node.data)

    return rewrite((e,), plain)[0]


# --- bounds ----------------------------------------------------------------------


def _bounds(node: tree.Relation, where: str, draft: Draft, entries: Value | None) -> tuple[Bound, Bound] | None:
    """Both ends; None where one has a mistake or where they leave nothing between them."""
    ends: list[Bound] = []
    for side in (node.lower, node.upper):
        if side is None:
            ends.append(None)
            continue
        end: Bound = _number(draft, side) if where != "invariant" else _end(side, draft, entries)
        if end is None:
            return None
        ends.append(end)
    lower, upper = ends
    if is_number(lower) and is_number(upper) and not_less(lower, upper):  # type: ignore[arg-type]
        draft.context.error("ODE420", node.span, lower=show(lower), upper=show(upper))
        return None
    return lower, upper


def _number(draft: Draft, side: tree.Expr) -> Real | None:
    value = draft.context.number(side)
    return value if isinstance(value, (Fraction, Irrational)) else None


def is_number(value: object) -> bool:
    return isinstance(value, (Fraction, Irrational))


def not_less(a: Real, b: Real) -> bool:
    """Whether a > b for certain."""
    try:
        return exact.sign(a - b) > 0
    except Undecided:
        return False


def _end(side: tree.Expr, draft: Draft, entries: Value | None) -> Real | Expr | None:
    """An end of an invariant: a number, or an expression that may name the start."""
    context = draft.context
    context.starts = True
    value: Typed = infer_sized(side, context)
    context.starts = False
    value = check_kinds(side, value, frozenset({"param", "input", "initial"}), "a bound of an invariant", draft)
    if value is POISON or not isinstance(value, Value):
        return None
    if value.shape and (entries is None or value.shape != entries.shape):
        target = "the quantity that it bounds"
        context.error("ODE306", side.span, notes=context.origins(side), name=quoted(side), shape=show_shape(value),
                      state=target, state_shape=show_shape(entries) if entries else "a scalar")  # fmt: skip
        return None
    return value.expr.data if value.expr.op == "const" else value.expr  # type: ignore[return-value]
