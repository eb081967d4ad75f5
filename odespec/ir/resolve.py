"""From the tree of a model section to the typed IR."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.diagnostics import Note, Report
from odespec.ir import expr as ex
from odespec.ir.claiming import Asked, claim
from odespec.ir.declare import Draft, Overrides, declare, report_cycle
from odespec.ir.equations import Equations, collect, fit, lowered
from odespec.ir.expr import Expr, leaves, postorder
from odespec.ir.feasible import conflicts
from odespec.ir.fitting import fits, kind_fits, saved
from odespec.ir.infer import infer, infer_sized
from odespec.ir.misplaced import check_kinds, per_step_names
from odespec.ir.model import Claim, Model, Relation, State
from odespec.ir.order import dependency_order
from odespec.ir.pending import convolutions, sized_by_use
from odespec.ir.relations import relation
from odespec.ir.solving import solver, time
from odespec.ir.values import POISON, Value
from odespec.syntax import tree


def resolve_model(section: tree.Section, overrides: Overrides, models: frozenset[str], report: Report) -> Model | None:
    """The checked model of a section; None where it has errors, which are in the report."""
    before = len(report.errors)
    draft = declare(section, overrides, models, report)
    if not draft.states:
        draft.context.error("ODE227", section.name_span, name=section.name)
    equations = collect(draft)
    type_lets(draft)
    sides = lowered(draft, equations)
    states = _states(draft, list(sides))
    model = _assemble(draft, equations, sides, states)
    unused(draft)
    return model if len(report.errors) == before else None


def type_lets(draft: Draft, later: frozenset[str] = frozenset()) -> None:
    """Give every let its value, those that it uses first; report cycles. Those named in ``later`` get none yet."""
    context = draft.context
    order, cycles = dependency_order(draft.lets)
    for cycle in cycles:
        report_cycle(context, cycle)
    for name in draft.lets:
        context.values[name] = POISON
    for name in order:
        if name not in later:
            context.values[name] = infer(draft.lets[name], context)


def _assemble(draft: Draft, equations: Equations, sides: dict[str, Expr | None], states: list[State]) -> Model | None:
    """Everything behind the equations is checked even where some of them have mistakes."""
    section = draft.section
    field = [e for e in sides.values() if e is not None]
    whole = equations.complete and len(field) == len(sides) == len(states)
    discrete = equations.discrete and bool(equations.of)
    output = outputs(draft)
    field, output = _size_norms(draft, field, output)
    exprs = [*field, *([output[1]] if output else [])]
    constraints, domains = restrictions(draft, exprs if whole and (output or not draft.of(tree.OutputDecl)) else None)
    found = solver(draft)
    interval = time(draft, discrete, found[1] if found else None)
    fitted = found is not None and (not equations.complete or kind_fits(draft, *found, discrete))
    if found and interval:
        saved(draft, found[0], interval)
    if found and fitted and whole:
        fits(draft, *found, states, field)
    claims = all_claims(draft, Asked(False, discrete, bool(draft.of(tree.OutputDecl))))
    if found is None or not whole:
        return None
    return Model(
        section.name, section.doc, section.span.source, section.span, tuple(draft.dims.items()),
        tuple(draft.consts.items()), tuple(states), tuple(draft.params), tuple(draft.inputs), tuple(draft.noises),
        tuple(draft.graphs), tuple(field), discrete, constraints, domains, found[0], interval, output, claims,
    )  # fmt: skip


def _states(draft: Draft, names: Sequence[str]) -> list[State]:
    """The states in order, with their given initial values."""
    context, states = draft.context, []
    for name in names:
        value = context.values.get(name)
        if not isinstance(value, Value):
            continue
        declarator = draft.states.get(name)
        position = name[:-1] if name.endswith("'") else None
        if declarator is None:
            span = draft.states[name[:-1]].span
            states.append(State(name, value.shape, ex.full(0, value.shape), position, span))
            continue
        initial = None
        if declarator.initial is not None:
            initial = _initial(draft, name, value, declarator.initial, {s.name for s in states})
            if initial is None:
                continue
        states.append(State(name, value.shape, initial, position, declarator.span))
    return states


def _initial(draft: Draft, name: str, state: Value, node: tree.Expr, earlier: set[str]) -> Expr | None:
    context = draft.context
    value = infer(node, context)
    value = check_kinds(node, value, frozenset({"param", "input", "state", "graph"}), "an initial value", draft)
    if not isinstance(value, Value):
        return None
    for op, data in sorted(leaves(value.expr), key=str):
        if op == "state" and data not in earlier:
            notes = context.declaration(str(data))
            context.error("ODE229", node.span, notes=notes, name=name, other=data)
            return None
    fitted = fit(node, value, state, name, context)
    return fitted if fitted is not None and _steady(draft, node, fitted, "an initial value") else None


def _steady(draft: Draft, node: tree.Expr, e: Expr, where: str) -> bool:
    """Whether an expression outside of the steps reads nothing that there is a copy of for each step."""
    read = {str(data) for op, data in leaves(e) if op in ("param", "input")} & per_step_names(draft)
    if not read:
        return True
    name = min(read)
    draft.context.error("ODE221", node.span, notes=draft.context.declaration(name), name=name, where=where)
    return False


# --- what networks have too ----------------------------------------------------------

OUTPUT = frozenset({"state", "value", "param", "input", "graph"})


def outputs(draft: Draft) -> tuple[str, Expr] | None:
    """The one output of a section."""
    context, lines = draft.context, draft.of(tree.OutputDecl)
    for extra in lines[1:]:
        context.error("ODE222", extra.span, notes=(Note("the first one is here", lines[0].span),), what="output")
    if not lines:
        return None
    line = lines[0]
    assert isinstance(line, tree.OutputDecl)
    node, name = line.binding.value, line.binding.name
    if name in context.declared and context.declared[name].kind != "layer":
        context.error("ODE202", line.binding.name_span, notes=context.declaration(name), name=name)
    value = check_kinds(node, infer_sized(node, context), OUTPUT, "an output", draft)
    if not isinstance(value, Value) or not _steady(draft, node, value.expr, "an output"):
        return None
    return name, value.expr


def _size_norms(
    draft: Draft, field: list[Expr], output: tuple[str, Expr] | None
) -> tuple[list[Expr], tuple[str, Expr] | None]:
    """Norms of convolutions in the field take their size from where the kernels act."""
    exprs = [*field, *([output[1]] if output else [])]
    sized = size_norms(draft, exprs)
    return (sized[:-1], (output[0], sized[-1])) if output else (sized, None)


def size_norms(draft: Draft, exprs: list[Expr]) -> list[Expr]:
    """Replace norms of operators that still wait for their size."""
    waiting = [n for n in postorder(*exprs) if n.op == "bound" and convolutions(n)]
    if not waiting:
        return exprs
    sized: dict[Expr, Expr] = {}
    for node in waiting:
        found = sized_by_use(node.args[0], exprs)
        if not found:
            draft.context.error("ODE310", draft.section.name_span, text="norm(conv(…))")
            return exprs
        sized[node] = Expr("bound", (found[0],), (), node.data)
    return list(ex.substitute(exprs, sized))


def restrictions(draft: Draft, exprs: Sequence[Expr] | None) -> tuple[tuple[Relation, ...], tuple[Relation, ...]]:
    """Constraints and domains; what nothing obeys is an error. ``exprs``: the fields, None where they have mistakes."""
    found: dict[str, list[Relation]] = {"constraint": [], "domain": []}
    used = set(draft.context.used)
    for line in draft.of(tree.ConstraintDecl, tree.DomainDecl):
        assert isinstance(line, (tree.ConstraintDecl, tree.DomainDecl))
        where = "constraint" if isinstance(line, tree.ConstraintDecl) else "domain"
        found[where].extend(relation(line.relation, where, draft, exprs))
    variables = {v.name for v in draft.given()}
    draft.context.used -= (draft.context.used - used) & variables
    for relations in found.values():
        for conflict in conflicts(relations, draft.context.structures):
            notes = (Note("it contradicts this", conflict.other.span),) if conflict.other else ()
            draft.context.error("ODE421", conflict.relation.span, notes=notes, why=conflict.why)
    return tuple(found["constraint"]), tuple(found["domain"])


def all_claims(draft: Draft, asked: Asked) -> tuple[Claim, ...]:
    lines = [s for s in draft.of(tree.ClaimDecl) if isinstance(s, tree.ClaimDecl)]
    return tuple(c for line in lines if (c := claim(line, draft, asked)) is not None)


def unused(draft: Draft) -> None:
    """Warn of declarations that nothing reads."""
    context = draft.context
    for name, declared in context.declared.items():
        if declared.kind in ("layer", "state") or name in context.used:
            continue
        context.error("ODE204", declared.span, kind=declared.kind, name=name)
