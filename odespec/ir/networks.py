"""From the tree of a network section to the typed IR.

Layers run in their order and may rebind a name. In the IR every binding has a name of its own (``u``, ``u.2``, …), so
that what an expression reads does not depend on where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from odespec.diagnostics import Note, Report
from odespec.ir.applying import Applier, Usable
from odespec.ir.claiming import Asked
from odespec.ir.context import Declared, quoted
from odespec.ir.declare import Draft, Overrides, declare
from odespec.ir.expr import Expr, leaf
from odespec.ir.infer import infer, infer_sized
from odespec.ir.misplaced import check_kinds
from odespec.ir.model import LayerIR, Model, Network
from odespec.ir.order import dependency_order
from odespec.ir.resolve import all_claims, outputs, restrictions, size_norms, type_lets, unused
from odespec.ir.values import POISON, Typed, Value
from odespec.ir.walk import names
from odespec.records import dataclass
from odespec.source import Span
from odespec.syntax import tree

LAYER = frozenset({"value", "param", "input"})


@dataclass(slots=True)
class _Run:
    """The layers so far; ``bound`` counts the bindings of each name."""

    draft: Draft
    applier: Applier
    layers: list[LayerIR] = field(default_factory=list)
    bound: dict[str, int] = field(default_factory=dict)
    whole: bool = True


def resolve_network(
    section: tree.Section, overrides: Overrides, models: frozenset[str], usable: Mapping[str, Usable], report: Report
) -> Network | None:
    """The checked network of a section; None where it has errors, which are in the report."""
    before = len(report.errors)
    draft = declare(section, overrides, models, report)
    for variable in draft.given():
        if variable.per_step:
            draft.context.error("ODE221", variable.span, name=variable.name, where="a network, which has no steps")
    run = _Run(draft, Applier(draft.context, overrides, models, usable))
    _layers(run)
    network = _assemble(run)
    unused(draft)
    return network if len(report.errors) == before and run.whole else None


def _layers(run: _Run) -> None:
    """Type the lines in the order of the text; lets that read no layer come first."""
    draft = run.draft
    late = _reading_layers(draft)
    type_lets(draft, late)
    for line in draft.section.statements:
        if (
            isinstance(line, tree.LetDecl)
            and line.binding.name in late
            and draft.lets.get(line.binding.name) is line.binding.value
        ):
            draft.context.values[line.binding.name] = infer(line.binding.value, draft.context)
        elif isinstance(line, tree.Layer):
            _layer(run, line)


def _reading_layers(draft: Draft) -> frozenset[str]:
    """The lets that read a layer, directly or through other lets."""
    targets = {t.name for line in draft.of(tree.Layer) for t in line.targets}  # type: ignore[union-attr]
    late: set[str] = set()
    for name in dependency_order(draft.lets)[0]:
        read = {n.name for n in names(draft.lets[name])}
        if read & (targets | late):
            late.add(name)
    return frozenset(late)


def _layer(run: _Run, line: tree.Layer) -> None:
    context = run.draft.context
    call = line.value
    if isinstance(call, tree.Call) and call.name in context.models and call.name not in context.declared:
        args = [_argument(run, a) for a in call.args]
        applied = run.applier.apply(call, args)
        values = [v.expr for v in args if isinstance(v, Value)]
        results: Sequence[Typed] | None = None if applied is None else applied[1]
        model: Model | None = None if applied is None else applied[0]
    else:
        value = check_kinds(line.value, infer_sized(line.value, context), LAYER, "a layer", run.draft)
        results = [value] if isinstance(value, Value) else None
        values, model = ([value.expr] if isinstance(value, Value) else []), None
    if results is not None and len(results) != len(line.targets):
        context.error(
            "ODE431", line.span, name=quoted(call), why=f"gives {len(results)} values for {len(line.targets)} names"
        )
        results = None
    _bind(run, line, results, tuple(values), model)


def _argument(run: _Run, node: tree.Expr) -> Typed:
    return check_kinds(node, infer_sized(node, run.draft.context), LAYER, "a layer", run.draft)


def _bind(
    run: _Run, line: tree.Layer, results: Sequence[Typed] | None, values: tuple[Expr, ...], model: Model | None
) -> None:
    """Give the targets of a layer their values."""
    context = run.draft.context
    targets = []
    for i, target in enumerate(line.targets):
        if not _free(run, target.name, target.span):
            run.whole = False
            continue
        result = results[i] if results is not None else POISON
        if not isinstance(result, Value):
            context.values[target.name] = POISON
            run.whole = False
            continue
        count = run.bound.get(target.name, 0) + 1
        run.bound[target.name] = count
        unique = target.name if count == 1 else f"{target.name}.{count}"
        context.values[target.name] = Value(leaf("value", unique, result.shape), result.axes, frozenset({"value"}))
        targets.append((unique, result.shape))
    run.layers.append(LayerIR(tuple(targets), values, model, line.span))


def _free(run: _Run, name: str, span: Span) -> bool:
    """Whether a layer may bind a name: a new one, a layer's, or an input's."""
    context = run.draft.context
    declared = context.declared.get(name)
    if declared is None:
        context.declared[name] = Declared("layer", span)
    elif declared.kind == "input":
        run.bound.setdefault(name, 1)
    elif declared.kind != "layer":
        context.error("ODE202", span, notes=(Note("first declared here", declared.span),), name=name)
        return False
    return True


def _assemble(run: _Run) -> Network | None:
    draft = run.draft
    section, context = draft.section, draft.context
    output = outputs(draft)
    if output is None and not draft.of(tree.OutputDecl):
        output = _last(run)
    exprs = [e for layer in run.layers for e in layer.values]
    sized = size_norms(draft, [*exprs, *([output[1]] if output else [])])
    if output:
        output = (output[0], sized[-1])
    layers, at = [], 0
    for layer in run.layers:
        count = len(layer.values)
        layers.append(LayerIR(layer.targets, tuple(sized[at : at + count]), layer.model, layer.span))
        at += count
    constraints, domains = restrictions(draft, sized if run.whole and output else None)
    claims = all_claims(draft, Asked(True, False, True))
    if output is None and run.whole and not draft.of(tree.OutputDecl):
        context.error("ODE433", section.name_span, name=section.name)
    return Network(
        section.name, section.doc, section.span.source, section.span, tuple(draft.dims.items()),
        tuple(draft.consts.items()), tuple(draft.params), tuple(draft.inputs), constraints, domains, tuple(layers),
        output, claims,
    )  # fmt: skip


def _last(run: _Run) -> tuple[str, Expr] | None:
    """Without an `output` line a network returns what its last layer binds, if that is one value."""
    if not run.layers or len(run.layers[-1].targets) != 1:
        return None
    name, shape = run.layers[-1].targets[0]
    return name.split(".")[0], leaf("value", name, shape)
