"""What the type checker reads and writes while it works through one section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from odespec.diagnostics import Note, Report
from odespec.diagnostics.suggest import nearest
from odespec.ir.expr import Expr
from odespec.ir.numbers import Constant, Mistake, Unknown, evaluate, number
from odespec.ir.values import POISON, Poison, Typed, Value, excerpt, show_shape
from odespec.ir.walk import key, names
from odespec.records import dataclass
from odespec.source import Span
from odespec.syntax import tree

MAX_SUGGESTED = 400
MAX_ADVISED = 20
"""Names among which a suggestion is looked for, and unknown names of a section that get one: the cost stays linear."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared name. ``kind``: dim, const, state, param, input, graph, noise, let or layer.

    ``shape`` is as written.
    """

    kind: str
    span: Span
    shape: str = ""


@dataclass(slots=True)
class Context:
    """``values``: what a name reads as; ``numbers``: dims and consts (None after a mistake); ``graphs``: their nodes.

    ``used`` collects the names that were read, ``told`` those whose absence was reported. ``nodes`` makes equal
    expressions one object, which keeps comparing and walking them cheap. ``starts`` allows ``x(0)``.
    """

    report: Report
    declared: dict[str, Declared] = field(default_factory=dict)
    values: dict[str, Typed] = field(default_factory=dict)
    numbers: dict[str, Constant | None] = field(default_factory=dict)
    graphs: dict[str, tuple[Expr, str]] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    structures: dict[Expr, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    nodes: dict[Expr, Expr] = field(default_factory=dict)
    starts: bool = False

    def error(
        self,
        code: str,
        span: Span | None,
        *,
        notes: tuple[Note, ...] = (),
        suggestion: str | None = None,
        **values: object,
    ) -> Poison:
        """Report a mistake; the poison that stands for what it spoils."""
        self.report.add(code, span, notes=notes, suggestion=suggestion, **values)
        return POISON

    def intern(self, value: Value) -> Value:
        """The same value, over the one object that stands for its expression."""
        known = self.nodes.setdefault(value.expr, value.expr)
        if known is value.expr:
            return value
        return Value(known, value.axes, value.kinds, value.pending, value.depth)

    # --- names -----------------------------------------------------------------

    def unknown(self, name: str, span: Span, kind: str = "name", among: Iterable[str] | None = None) -> Poison:
        """Report a name that is not declared, once a section."""
        if name in self.told:
            return POISON
        self.told.add(name)
        candidates = list(self.declared if among is None else among)[:MAX_SUGGESTED]
        close = nearest(name, candidates) if len(self.told) <= MAX_ADVISED else None
        return self.error(
            "ODE201",
            span,
            notes=self.declaration(close) if close else (),
            suggestion=f"did you mean `{close}`?" if close else None,
            kind=kind,
            name=name,
        )

    def declaration(self, name: str) -> tuple[Note, ...]:
        """A note that points at where a name was declared."""
        known = self.declared.get(name)
        return (Note(f"`{name}` is declared here", known.span),) if known else ()

    def origins(self, *nodes: tree.Expr) -> tuple[Note, ...]:
        """Where the shapes of some expressions come from: the declarations of the first names in them."""
        notes: dict[str, Note] = {}
        for node in nodes:
            for count, name in enumerate(names(node)):
                known = key(name.name, name.primes)
                value = self.values.get(known)
                if isinstance(value, Value) and (value.shape or value.pending) and known in self.declared:
                    text = f"`{known}` is {show_shape(value)}, declared here"
                    notes.setdefault(known, Note(text, self.declared[known].span))
                if count >= 8 or len(notes) >= 6:
                    break
        return tuple(notes.values())

    # --- numbers ---------------------------------------------------------------

    def number_of(self, name: tree.Name) -> Constant:
        """The value of a dim or const. Raises `Mistake` and `Unknown`."""
        known = key(name.name, name.primes)
        self.used.add(known)
        if known in self.numbers:
            value = self.numbers[known]
            if value is None:
                raise Unknown
            return value
        if known in self.declared or known in ("I", "t"):
            raise Mistake("ODE211", name.span, (("text", known),))
        self.unknown(known, name.span, "dim or const", self.numbers)
        raise Unknown

    def number(self, node: tree.Expr) -> object:
        """The exact value of a constant expression, None where a mistake was reported."""
        try:
            return number(node, self.number_of)
        except Mistake as mistake:
            self.mistake(mistake)
        except Unknown:
            pass
        return None

    def constant(self, node: tree.Expr) -> Constant | None:
        """As `number`, arrays included."""
        try:
            return evaluate(node, self.number_of)
        except Mistake as mistake:
            self.mistake(mistake)
        except Unknown:
            pass
        return None

    def mistake(self, mistake: Mistake) -> Poison:
        self.report.add(mistake.code, mistake.span, **dict(mistake.values))  # type: ignore[arg-type]
        return POISON


def quoted(node: tree.Expr) -> str:
    """An expression as the spec writes it, for a message."""
    return excerpt(node.span.text)
