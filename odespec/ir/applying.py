"""Applying a model in a network: its sizes are those of its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from fractions import Fraction

from odespec.diagnostics import Note, Report
from odespec.ir.context import Context, quoted
from odespec.ir.declare import Overrides
from odespec.ir.expr import Shape, leaf
from odespec.ir.model import Model
from odespec.ir.resolve import resolve_model
from odespec.ir.values import Typed, Value, show_shape
from odespec.records import dataclass
from odespec.syntax import tree

Usable = tuple[tree.Section, Model | None]
"""The tree of a model that can be applied, and the model at its own sizes (None: not worked out yet)."""

Sizes = dict[str, int]


@dataclass(slots=True)
class Applier:
    """Makes models at the sizes of their arguments, each once."""

    context: Context
    overrides: Overrides
    models: frozenset[str]
    usable: Mapping[str, Usable]
    made: dict[tuple[str, tuple[tuple[str, int], ...]], Model | None] = field(default_factory=dict)

    def apply(self, call: tree.Call, args: Sequence[Typed]) -> tuple[Model, list[Typed]] | None:
        """The model at these sizes and the typed results; None where a mistake was reported."""
        values = [a for a in args if isinstance(a, Value)]
        if len(values) != len(args) or call.name not in self.usable:
            return None
        if call.keywords:
            self._wrong(call, "takes no keywords")
            return None
        section, base = self.usable[call.name]
        sizes = self._sizes(call, section, values)
        if sizes is None:
            return None
        model = self._make(call, section, base, sizes)
        if model is None or not self._matches(call, model, values):
            return None
        return model, results(model)

    def _wrong(self, call: tree.Call, why: str, notes: tuple[Note, ...] = ()) -> None:
        self.context.error("ODE431", call.span, notes=notes, name=call.name, why=why)

    def _sizes(self, call: tree.Call, section: tree.Section, values: list[Value]) -> Sizes | None:
        """What the states' dims are at these arguments."""
        dims = {b.name for s in section.statements if isinstance(s, tree.DimDecl) for b in s.bindings}
        states = [
            d
            for s in section.statements
            if isinstance(s, tree.VariableDecl) and s.kind == "state"
            for d in s.declarators
            if d.initial is None
        ]
        sizes: Sizes = {}
        for declarator, value, argument in zip(states, values, call.args, strict=False):
            if len(declarator.sizes) != len(value.shape):
                shape = f"[{', '.join(quoted(s) for s in declarator.sizes)}]" if declarator.sizes else "a scalar"
                why = f"takes {shape} as `{declarator.name}`, but `{quoted(argument)}` is {show_shape(value)}"
                self._wrong(call, why, (Note(f"`{declarator.name}` is declared here", declarator.span),))
                return None
            for size, n in zip(declarator.sizes, value.shape, strict=True):
                if isinstance(size, tree.Name) and size.name in dims and sizes.setdefault(size.name, n) != n:
                    self._wrong(call, f"has one size `{size.name}`, its arguments have {sizes[size.name]} and {n}")
                    return None
        return sizes

    def _make(self, call: tree.Call, section: tree.Section, base: Model | None, sizes: Sizes) -> Model | None:
        if base is not None and all(dict(base.dims).get(n) == size for n, size in sizes.items()):
            return base
        known = (call.name, tuple(sorted(sizes.items())))
        if known not in self.made:
            own = Report()
            given = {n: tree.Number(call.span, Fraction(size), str(size)) for n, size in sizes.items()}
            self.made[known] = resolve_model(section, {**self.overrides, **given}, self.models, own)
            for first in own.errors[:1]:
                at = ", ".join(f"{n} = {size}" for n, size in sizes.items()) or "its own sizes"
                notes = (Note(f"{first.code}: {first.message}", first.span),)
                self.context.error("ODE432", call.span, notes=notes, name=call.name, sizes=at)
        return self.made[known]

    def _matches(self, call: tree.Call, model: Model, values: list[Value]) -> bool:
        """Whether the arguments are the states and inputs of the model."""
        wanted = [(s.name, s.shape, s.span) for s in model.free_states]
        wanted += [(i.name, i.shape, i.span) for i in model.inputs]
        if len(wanted) != len(values):
            listed = ", ".join(f"`{name}`" for name, _, _ in wanted) or "nothing"
            self._wrong(call, f"takes {listed}; {len(values)} arguments are given")
            return False
        if model.graphs:
            self._wrong(call, f"needs the graph `{model.graphs[0].name}`, which a network cannot give")
            return False
        for (name, shape, span), value in zip(wanted, values, strict=True):
            if shape != value.shape:
                why = f"takes {list(shape)} as `{name}`, the argument is {show_shape(value)}"
                self._wrong(call, why, (Note(f"`{name}` is declared here", span),))
                return False
        return True


def results(model: Model) -> list[Typed]:
    """What a model returns: its output, or its final states; at every saved time, if times are saved."""
    shapes = [model.output[1].shape] if model.output else [s.shape for s in model.states]
    saved = (model.time.save,) if model.time is not None and model.time.save is not None else ()
    return [_result(saved + shape) for shape in shapes]


def _result(shape: Shape) -> Value:
    return Value(leaf("value", "", shape), tuple(map(str, shape)), frozenset({"value"}))
