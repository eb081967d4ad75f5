"""The equations of a model: one for each state, second-order ones lowered to first order, noise linear."""

from __future__ import annotations

from odespec.diagnostics import Note
from odespec.diagnostics.suggest import nearest
from odespec.ir import expr as ex
from odespec.ir import pending
from odespec.ir.context import Context, quoted
from odespec.ir.declare import Draft
from odespec.ir.expr import Expr, postorder
from odespec.ir.infer import infer
from odespec.ir.misplaced import check_kinds
from odespec.ir.pending import DoesNotFit
from odespec.ir.values import POISON, Value, show_shape
from odespec.ir.walk import key
from odespec.records import dataclass
from odespec.syntax import tree


@dataclass(slots=True)
class Equations:
    """The equations by the name of their state. ``complete``: every state has its one equation, all of one kind."""

    of: dict[str, tree.Equation]
    discrete: bool
    complete: bool


def collect(draft: Draft) -> Equations:
    """Match equations and states, and declare the velocities of second-order equations."""
    context = draft.context
    found: dict[str, tree.Equation] = {}
    complete = True
    for line in draft.section.statements:
        if not isinstance(line, tree.Equation):
            continue
        if line.name not in draft.states:
            complete = _no_state(draft, line)
        elif line.name in found:
            note = Note("the first one is here", found[line.name].span)
            context.error("ODE215", line.span, notes=(note,), name=line.name)
            complete = False
        else:
            found[line.name] = line
            context.used.add(line.name)
    orders = {min(e.order, 1) for e in found.values()}
    if len(orders) > 1:
        _mixed(context, found)
        complete = False
    complete &= _velocities(draft, found)
    for name, declarator in draft.states.items():
        if not declarator.primes and name not in found and complete:
            context.error("ODE214", declarator.span, name=name)
    complete = complete and all(n in found or d.primes for n, d in draft.states.items())
    return Equations(found, orders == {0}, complete)


def _no_state(draft: Draft, line: tree.Equation) -> bool:
    context, name = draft.context, line.name
    if name in context.declared and context.declared[name].kind != "state":
        kind = context.declared[name].kind
        context.error(
            "ODE216", line.name_span, notes=context.declaration(name), name=name, what=f"a {kind}, not a state"
        )
        return False
    if name not in context.told:
        context.told.add(name)
        close = nearest(name, [n for n, d in draft.states.items() if not d.primes])
        advice = f"did you mean `{close}`?" if close else f"declare it: `state {name}[…]`"
        context.error("ODE216", line.name_span, suggestion=advice, name=name, what="not declared")
    return False


def _mixed(context: Context, found: dict[str, tree.Equation]) -> None:
    fields = [e for e in found.values() if e.order]
    maps = [e for e in found.values() if not e.order]
    note = Note("this is a field", fields[0].span)
    context.error("ODE217", maps[0].span, notes=(note,), name=maps[0].name)


def _velocities(draft: Draft, found: dict[str, tree.Equation]) -> bool:
    """Declare the velocities that are states of their own; check those that the spec declares."""
    context, good = draft.context, True
    for name, declarator in draft.states.items():
        if not declarator.primes:
            continue
        equation = found.get(declarator.name)
        if declarator.primes > 1 or equation is None or equation.order != 2:
            notes = (Note("its equation is here", equation.span),) if equation else ()
            context.error("ODE219", declarator.span, notes=notes, velocity=name, name=declarator.name)
            good = False
            continue
        context.used.add(name)
        good &= _same_shape(context, name, declarator)
    for name, equation in found.items():
        position, velocity = context.values.get(name), name + "'"
        if equation.order == 2 and velocity not in draft.states:
            context.values[velocity] = POISON
            if isinstance(position, Value):
                leaf = ex.leaf("state", velocity, position.shape)
                context.values[velocity] = Value(leaf, position.axes, position.kinds)
    return good


def _same_shape(context: Context, name: str, declarator: tree.Declarator) -> bool:
    velocity, position = context.values.get(name), context.values.get(declarator.name)
    if not isinstance(velocity, Value) or not isinstance(position, Value) or velocity.shape == position.shape:
        return True
    context.error(
        "ODE306",
        declarator.span,
        notes=context.declaration(declarator.name),
        name=name,
        shape=show_shape(velocity),
        state=declarator.name,
        state_shape=show_shape(position),
    )
    return False


# --- right-hand sides ------------------------------------------------------------

FIELD = frozenset({"state", "param", "input", "noise", "time", "graph"})


def right_hand_side(draft: Draft, equation: tree.Equation, discrete: bool) -> Expr | None:
    """The typed right-hand side, at the shape of its state; None where a mistake was reported."""
    context = draft.context
    value = infer(equation.value, context)
    allowed = FIELD - {"noise", "time"} if discrete else FIELD
    where = "a discrete map" if discrete else "a field"
    value = check_kinds(equation.value, value, allowed, where, draft)
    state = context.values.get(equation.name)
    if not isinstance(value, Value) or not isinstance(state, Value):
        return None
    fitted = fit(equation.value, value, state, equation.name, context)
    if fitted is None or not _noise_is_linear(fitted):
        if fitted is not None:
            context.error("ODE320", equation.value.span, name=equation.name)
        return None
    return fitted


def fit(node: tree.Expr, value: Value, target: Value, name: str, context: Context) -> Expr | None:
    """A value at the shape of what it is for: equal shapes, a scalar for every entry, or ``channel(b)``."""
    if value.pending == "channel":
        try:
            return pending.spread(value.expr, target.shape)
        except DoesNotFit as error:
            context.error("ODE311", node.span, text=quoted(node), why=error.why)
            return None
    if value.pending:
        context.error("ODE310", node.span, text=quoted(node))
        return None
    if value.shape == target.shape:
        return value.expr
    if value.scalar:
        return filled(value.expr, target.shape)
    notes = (*context.declaration(name), *(n for n in context.origins(node) if not n.text.startswith(f"`{name}`")))
    context.error(
        "ODE306",
        node.span,
        notes=notes,
        name=quoted(node),
        shape=show_shape(value),
        state=name,
        state_shape=show_shape(target),
    )
    return None


def filled(scalar: Expr, shape: ex.Shape) -> Expr:
    """A scalar in every entry."""
    if scalar.op == "const":
        return ex.full(scalar.data, shape)  # type: ignore[arg-type]
    return ex.mul(scalar, ex.full(1, shape))


_THROUGH = frozenset({"sum", "mean", "transpose", "diag", "offdiag", "channel", "pool"})
_PRODUCTS = frozenset({"mul", "matmul", "apply", "dot"})


def _noise_is_linear(e: Expr) -> bool:
    """Whether every term has the noise once at most, as a factor."""
    degree: dict[Expr, int] = {}
    for node in postorder(e):
        below = [degree[a] for a in node.args]
        if node.op == "noise":
            degree[node] = 1
        elif not any(below):
            degree[node] = 0
        elif node.op in _THROUGH or node.op == "add":
            degree[node] = max(below)
        elif node.op in _PRODUCTS:
            degree[node] = sum(below)
        elif node.op == "div":
            degree[node] = below[0] if not below[1] else 2
        else:
            degree[node] = 2
        if degree[node] > 1:
            return False
    return True


def lowered(draft: Draft, equations: Equations) -> dict[str, Expr | None]:
    """For each state in order, velocities behind their positions where they are not declared, its right-hand side."""
    context = draft.context
    sides: dict[str, Expr | None] = {}
    typed = {n: right_hand_side(draft, e, equations.discrete) for n, e in equations.of.items()}
    for name, declarator in draft.states.items():
        if declarator.primes:
            sides[name] = typed.get(declarator.name)
            continue
        equation = equations.of.get(name)
        if equation is None or equation.order < 2:
            sides[name] = typed.get(name)
            continue
        velocity = context.values[key(name, 1)]
        sides[name] = velocity.expr if isinstance(velocity, Value) else None
        if key(name, 1) not in draft.states:
            sides[key(name, 1)] = typed.get(name)
    return sides
