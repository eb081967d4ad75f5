"""The declarations of a section: unique names, sizes, exact numbers, and what each name reads as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction

from odespec.diagnostics import Note, Report
from odespec.diagnostics.suggest import nearest
from odespec.functions import lookup
from odespec.ir import expr as ex
from odespec.ir.calls import size_of, sizes
from odespec.ir.context import Context, Declared
from odespec.ir.infer import constant_value
from odespec.ir.model import Graph, Input, Noise, Param
from odespec.ir.numbers import Constant
from odespec.ir.order import dependency_order
from odespec.ir.values import POISON, Value, show_shape
from odespec.ir.walk import key
from odespec.records import dataclass
from odespec.source import Span
from odespec.structures import STRUCTURES
from odespec.syntax import tree

Overrides = Mapping[str, tree.Expr]
"""The values given with ``-D``, as constant expressions."""

MAX_CHAIN = 12


@dataclass(slots=True)
class Draft:
    """A section while it is worked out: its declarations, and the expressions of its lets."""

    section: tree.Section
    context: Context
    dims: dict[str, int] = field(default_factory=dict)
    consts: dict[str, Constant] = field(default_factory=dict)
    states: dict[str, tree.Declarator] = field(default_factory=dict)
    params: list[Param] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    noises: list[Noise] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)
    lets: dict[str, tree.Expr] = field(default_factory=dict)

    def of(self, *kinds: type) -> list[tree.Statement]:
        """The statements of some kinds, in the order of the text."""
        return [s for s in self.section.statements if isinstance(s, kinds)]

    def given(self) -> list[Param | Input]:
        """The params and inputs."""
        return [*self.params, *self.inputs]

    def variables(self) -> list[tree.VariableDecl]:
        """The lines that declare states, params, inputs, graphs and noises."""
        return [s for s in self.section.statements if isinstance(s, tree.VariableDecl)]


def declare(section: tree.Section, overrides: Overrides, models: frozenset[str], report: Report) -> Draft:
    """Take up all names of a section; lets are collected, not typed."""
    draft = Draft(section, Context(report, models=models))
    bindings = _collect_numbers(draft)
    lines = draft.variables()
    new = [[_declarator(draft, line, d) for d in line.declarators] for line in lines]
    for line in draft.of(tree.LetDecl):
        assert isinstance(line, tree.LetDecl)
        if _name(draft, "let", line.binding.name, line.binding.name_span):
            draft.lets[line.binding.name] = line.binding.value
    _evaluate_numbers(draft, bindings, overrides)
    for line, fresh in zip(lines, new, strict=True):
        for declarator, is_new in zip(line.declarators, fresh, strict=True):
            if is_new:
                _variable(draft, line, declarator)
    _look_alikes(draft)
    return draft


# --- names -----------------------------------------------------------------------


def _name(draft: Draft, kind: str, name: str, span: Span, shape: str = "") -> bool:
    """Take up a name; False where it is reserved or taken, which is reported."""
    context = draft.context
    if name in ("I", "t") or (lookup(name) is not None):
        what = {"I": "the identity", "t": "time"}.get(name, "a function")
        context.error("ODE203", span, name=name, what=what)
        context.values[name] = POISON
        return False
    if name in context.declared:
        first = context.declared[name]
        context.error("ODE202", span, notes=(Note("first declared here", first.span),), name=name)
        if (kind, shape) != (first.kind, first.shape):
            context.values[name] = POISON
        return False
    context.declared[name] = Declared(kind, span, shape)
    return True


def _declarator(draft: Draft, line: tree.VariableDecl, declarator: tree.Declarator) -> bool:
    shape = ", ".join(" ".join(s.span.text.split()) for s in declarator.sizes)
    return _name(draft, line.kind, key(declarator.name, declarator.primes), declarator.name_span, shape)


_LOOK_ALIKE = str.maketrans({"l": "1", "I": "1", "O": "0"})


def _look_alikes(draft: Draft) -> None:
    """Warn of names that many fonts show alike: ``l1`` and ``ll``, ``O`` and ``0``."""
    seen: dict[str, str] = {}
    for name, declared in draft.context.declared.items():
        other = seen.setdefault(name.translate(_LOOK_ALIKE), name)
        if other != name:
            notes = draft.context.declaration(other)
            draft.context.error("ODE206", declared.span, notes=notes, name=name, other=other)


# --- numbers ---------------------------------------------------------------------


def _collect_numbers(draft: Draft) -> dict[str, tuple[str, tree.Binding]]:
    bindings: dict[str, tuple[str, tree.Binding]] = {}
    for line in draft.section.statements:
        if isinstance(line, (tree.DimDecl, tree.ConstDecl)):
            kind = "dim" if isinstance(line, tree.DimDecl) else "const"
            for binding in line.bindings:
                if _name(draft, kind, binding.name, binding.name_span):
                    bindings[binding.name] = (kind, binding)
    return bindings


def _evaluate_numbers(draft: Draft, bindings: Mapping[str, tuple[str, tree.Binding]], overrides: Overrides) -> None:
    context = draft.context
    definitions = {name: overrides.get(name, binding.value) for name, (_, binding) in bindings.items()}
    order, cycles = dependency_order(definitions)
    for cycle in cycles:
        report_cycle(context, cycle)
    for name in definitions:
        context.numbers[name] = None
        context.values[name] = POISON
    for name in order:
        value = _number(context, bindings[name][0], definitions[name])
        context.numbers[name] = value
        if value is not None:
            context.values[name] = constant_value(value)
    for name, (kind, _) in bindings.items():
        number = context.numbers[name]
        if number is not None and kind == "dim":
            draft.dims[name] = int(number)  # type: ignore[arg-type]
        elif number is not None:
            draft.consts[name] = number


def _number(context: Context, kind: str, node: tree.Expr) -> Constant | None:
    if kind == "dim":
        size = size_of(node, context)
        return None if size is None else Fraction(size)
    return context.constant(node)


def report_cycle(context: Context, cycle: list[str]) -> None:
    """Report a chain of definitions that comes back to its start."""
    context.used.update(cycle)
    shown = cycle if len(cycle) <= MAX_CHAIN else [*cycle[: MAX_CHAIN - 1], "…"]
    notes = tuple(note for name in shown[1:] for note in context.declaration(name))
    chain = " -> ".join([*shown, cycle[0]])
    context.error("ODE205", context.declared[cycle[0]].span, notes=notes, name=cycle[0], chain=chain)


# --- variables -------------------------------------------------------------------


def _variable(draft: Draft, line: tree.VariableDecl, declarator: tree.Declarator) -> None:
    context, name = draft.context, key(declarator.name, declarator.primes)
    shape = sizes(declarator.sizes, context) if declarator.sizes else ((), ())
    if line.kind == "state":
        draft.states[name] = declarator
    if shape is None:
        context.values[name] = POISON
        return
    value = Value(ex.leaf(line.kind, name, shape[0]), shape[1], frozenset({line.kind}))
    if line.kind == "graph":
        _graph(draft, declarator, value)
        return
    context.values[name] = value
    structure = _structure(draft, line, declarator, value)
    span = declarator.span
    if line.kind == "param":
        draft.params.append(Param(name, value.shape, structure, line.per_step, span))
    elif line.kind == "input":
        draft.inputs.append(Input(name, value.shape, structure, line.per_step, span))
    elif line.kind == "noise":
        draft.noises.append(Noise(name, value.shape, span))


def _graph(draft: Draft, declarator: tree.Declarator, value: Value) -> None:
    if len(value.shape) != 1:
        draft.context.error("ODE225", declarator.span, name=declarator.name, shape=show_shape(value))
        draft.context.values[declarator.name] = POISON
        return
    draft.context.graphs[declarator.name] = (value.expr, value.axes[0])
    draft.graphs.append(Graph(declarator.name, value.shape[0], declarator.span))


def _structure(draft: Draft, line: tree.VariableDecl, declarator: tree.Declarator, value: Value) -> str | None:
    """The structure of a parameter, checked against its shape."""
    context = draft.context
    if line.structure is None:
        return None
    structure = STRUCTURES.get(line.structure)
    if structure is None:
        _unknown_structure(context, line)
        return None
    if len(value.shape) != 2:
        context.error(
            "ODE309", declarator.span, structure=structure.name, name=declarator.name, shape=show_shape(value)
        )
        return None
    if structure.square and value.shape[0] != value.shape[1]:
        context.error(
            "ODE307", declarator.span, structure=structure.name, name=declarator.name, shape=show_shape(value)
        )
        context.values[declarator.name] = POISON
        return None
    context.structures[value.expr] = structure.name
    return structure.name


def _unknown_structure(context: Context, line: tree.VariableDecl) -> None:
    name, told = line.structure or "", f": {line.structure}"
    if told in context.told:
        return
    context.told.add(told)
    close = nearest(name, STRUCTURES)
    advice = f"did you mean `{close}`?" if close else f"structures are {', '.join(STRUCTURES)}"
    context.error("ODE308", line.structure_span, suggestion=advice, name=name)
