"""Tree nodes from reduced rules: one method for each rule or alias of the grammar.

What the grammar cannot say (the size of a number, two keywords of one name) is checked here, where its span is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from odespec.diagnostics import Note, Report
from odespec.records import dataclass
from odespec.source import Source, Span
from odespec.syntax import tree
from odespec.syntax.tokens import Token

MAX_DIGITS = 100
MAX_EXPONENT = 400
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Header:
    """The line ``model NAME`` or ``network NAME``."""

    span: Span
    kind: str
    name: str
    name_span: Span


@dataclass(frozen=True, slots=True)
class Doc:
    """A docstring; ``text`` is without its quotes and escapes."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class _Bound:
    operator: str
    lower: tree.Expr | None
    upper: tree.Expr | None


@dataclass(frozen=True, slots=True)
class _Arguments:
    positional: tuple[tree.Expr, ...] = ()
    keywords: tuple[tree.Keyword, ...] = ()


@dataclass(frozen=True, slots=True)
class _Modifier:
    """``of NAME``, or ``in mean square`` where ``subject`` is None."""

    span: Span
    subject: str | None
    subject_span: Span | None


Values = list[Any]


class Builder:
    """Callbacks for `odespec.syntax.lalr.run`, for one source."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report

    def callbacks(self, names: Sequence[str]) -> Mapping[str, Callable[[int, int, Values], Any]]:
        """The methods by the names under which the rules call them."""
        return {name: getattr(self, name) for name in names}

    def _span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def _text(self, token: Token) -> str:
        return self.source.text[token.start : token.end]

    def _name(self, token: Token) -> tuple[str, Span]:
        name, span = self._text(token), self._span(token.start, token.end)
        if len(name) > MAX_NAME:
            self.report.add("ODE131", span, length=len(name), limit=MAX_NAME)
        return name, span

    def _primes(self, values: Values) -> int:
        """How many primes follow the name in front of ``values``; takes them out."""
        if len(values) < 2 or not isinstance(values[1], Token):
            return 0
        token: Token = values.pop(1)
        if (count := token.end - token.start) > 2:
            self.report.add("ODE128", self._span(token.start, token.end), primes=count)
        return count

    # --- files and sections ---

    def use(self, start: int, end: int, values: Values) -> tree.Use:
        return tree.Use(self._span(start, end), self._text(values[0])[1:-1])

    def header(self, start: int, end: int, values: Values) -> Header:
        return Header(self._span(start, end), self._text(values[0]), *self._name(values[1]))

    def doc(self, start: int, end: int, values: Values) -> Doc:
        text = self._text(values[0])[3:-3].replace("\r\n", "\n")
        return Doc(self._span(start, end), _unescape(text))

    # --- declarations ---

    def dim(self, start: int, end: int, values: Values) -> tree.DimDecl:
        return tree.DimDecl(self._span(start, end), tuple(values))

    def const(self, start: int, end: int, values: Values) -> tree.ConstDecl:
        return tree.ConstDecl(self._span(start, end), tuple(values))

    def let(self, start: int, end: int, values: Values) -> tree.LetDecl:
        return tree.LetDecl(self._span(start, end), values[0])

    def output(self, start: int, end: int, values: Values) -> tree.OutputDecl:
        return tree.OutputDecl(self._span(start, end), values[0])

    def binding(self, start: int, end: int, values: Values) -> tree.Binding:
        return tree.Binding(self._span(start, end), *self._name(values[0]), values[1])

    def state(self, start: int, end: int, values: Values) -> tree.VariableDecl:
        return tree.VariableDecl(self._span(start, end), "state", tuple(values[1:]))

    def runtime(self, start: int, end: int, values: Values) -> tree.VariableDecl:
        return tree.VariableDecl(self._span(start, end), self._text(values[0]), tuple(values[1:]))

    def trainable(self, start: int, end: int, values: Values) -> tree.VariableDecl:
        per_step = isinstance(values[-1], Token)
        if per_step:
            values.pop()
        structure, structure_span = values.pop() if isinstance(values[-1], tuple) else (None, None)
        names = tuple(values[1:])
        return tree.VariableDecl(
            self._span(start, end), self._text(values[0]), names, structure, structure_span, per_step
        )

    def structure(self, start: int, end: int, values: Values) -> tuple[str, Span]:
        return self._name(values[0])

    def per_step(self, start: int, end: int, values: Values) -> Token:
        token: Token = values[0]
        return token

    def declarator(self, start: int, end: int, values: Values) -> tree.Declarator:
        sizes = values[1] if len(values) > 1 else ()
        return tree.Declarator(self._span(start, end), *self._name(values[0]), sizes)

    def state_name(self, start: int, end: int, values: Values) -> tree.Declarator:
        primes = self._primes(values)
        sizes = values[1] if len(values) > 1 and isinstance(values[1], tuple) else ()
        initial = values[-1] if len(values) > 1 and not isinstance(values[-1], tuple) else None
        return tree.Declarator(self._span(start, end), *self._name(values[0]), sizes, primes, initial)

    def sizes(self, start: int, end: int, values: Values) -> tuple[tree.Expr, ...]:
        return tuple(values)

    # --- dynamics ---

    def equation(self, start: int, end: int, values: Values) -> tree.Equation:
        order = self._primes(values)
        return tree.Equation(self._span(start, end), *self._name(values[0]), order, values[1])

    def map(self, start: int, end: int, values: Values) -> tree.Equation:
        return tree.Equation(self._span(start, end), *self._name(values[0]), 0, values[-1])

    def layer(self, start: int, end: int, values: Values) -> tree.Layer:
        names = (self._name(token) for token in values[:-1])
        targets = tuple(tree.Name(span, name) for name, span in names)
        return tree.Layer(self._span(start, end), targets, values[-1])

    def solver(self, start: int, end: int, values: Values) -> tree.SolverDecl:
        arguments = values[1] if len(values) > 1 else _Arguments()
        return tree.SolverDecl(self._span(start, end), *self._name(values[0]), arguments.positional, arguments.keywords)

    def time(self, start: int, end: int, values: Values) -> tree.TimeDecl:
        return tree.TimeDecl(self._span(start, end), *values)

    # --- relations and claims ---

    def constraint(self, start: int, end: int, values: Values) -> tree.ConstraintDecl:
        return tree.ConstraintDecl(self._span(start, end), values[0])

    def domain(self, start: int, end: int, values: Values) -> tree.DomainDecl:
        return tree.DomainDecl(self._span(start, end), values[0])

    def relation(self, start: int, end: int, values: Values) -> tree.Relation:
        subject, bound = values
        return tree.Relation(self._span(start, end), bound.operator, subject, bound.lower, bound.upper)

    def bound(self, start: int, end: int, values: Values) -> _Bound:
        operator, first, last = self._text(values[0]), values[1], values[-1]
        return _Bound(operator, None if operator == "<=" else first, None if operator == ">=" else last)

    def subject(self, start: int, end: int, values: Values) -> _Modifier:
        return _Modifier(self._span(start, end), *self._name(values[0]))

    def mean_square(self, start: int, end: int, values: Values) -> _Modifier:
        return _Modifier(self._span(start, end), None, None)

    def claim(self, start: int, end: int, values: Values) -> tree.ClaimDecl:
        negated = values[0].type == "NOT"
        name, *parts = values[negated:]
        given: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, _Modifier):
                self._modify(given, part)
            elif isinstance(part, _Arguments):
                given.update(args=part.positional, keywords=part.keywords)
            elif isinstance(part, _Bound):
                given.update(operator=part.operator, lower=part.lower, upper=part.upper)
            else:
                given["relation"] = part
        return tree.ClaimDecl(self._span(start, end), negated, *self._name(name), **given)

    def _modify(self, given: dict[str, Any], modifier: _Modifier) -> None:
        key = "mean_square" if modifier.subject is None else "subject"
        if key in given:
            self.report.add("ODE136", modifier.span, modifier=modifier.span.text)
        elif modifier.subject is None:
            given["mean_square"] = True
        else:
            given.update(subject=modifier.subject, subject_span=modifier.subject_span)

    # --- expressions ---

    def binary(self, start: int, end: int, values: Values) -> tree.Binary:
        left, token, right = values
        operator_span = self._span(token.start, token.end)
        return tree.Binary(self._span(start, end), self._text(token), operator_span, left, right)

    def negate(self, start: int, end: int, values: Values) -> tree.Negate:
        return tree.Negate(self._span(start, end), values[0])

    def transpose(self, start: int, end: int, values: Values) -> tree.Transpose:
        return tree.Transpose(self._span(start, end), values[0])

    def number(self, start: int, end: int, values: Values) -> tree.Number:
        text, span = self._text(values[0]), self._span(start, end)
        digits, _, exponent = text.lower().partition("e")
        if len(digits) > MAX_DIGITS:
            self.report.add("ODE111", span, what=f"{len(digits)} digits", limit=f"{MAX_DIGITS} digits")
        elif len(exponent) > 8 or abs(int(exponent or 0)) > MAX_EXPONENT:
            limit = f"exponents from -{MAX_EXPONENT} to {MAX_EXPONENT}"
            self.report.add("ODE111", span, what="an enormous exponent", limit=limit)
        else:
            return tree.Number(span, Fraction(text), text)
        return tree.Number(span, Fraction(0), text)

    def name(self, start: int, end: int, values: Values) -> tree.Name:
        primes = self._primes(values)
        return tree.Name(self._span(start, end), self._name(values[0])[0], primes)

    def call(self, start: int, end: int, values: Values) -> tree.Call:
        primes = self._primes(values)
        name, span = self._name(values[0])
        arguments: _Arguments = values[1]
        return tree.Call(self._span(start, end), name, span, arguments.positional, arguments.keywords, primes)

    def sized(self, start: int, end: int, values: Values) -> tree.Sized:
        return tree.Sized(self._span(start, end), *self._name(values[0]), values[1])

    def array(self, start: int, end: int, values: Values) -> tree.Array:
        return tree.Array(self._span(start, end), tuple(values))

    def keyword(self, start: int, end: int, values: Values) -> tree.Keyword:
        return tree.Keyword(self._span(start, end), *self._name(values[0]), values[1])

    def arguments(self, start: int, end: int, values: Values) -> _Arguments:
        keywords: dict[str, tree.Keyword] = {}
        positional: list[tree.Expr] = []
        for value in values:
            if not isinstance(value, tree.Keyword):
                if keywords:
                    self.report.add("ODE129", value.span, argument=value.span.text)
                positional.append(value)
            elif value.name in keywords:
                note = Note("given here already", keywords[value.name].span)
                self.report.add("ODE130", value.span, notes=(note,), name=value.name)
            else:
                keywords[value.name] = value
        return _Arguments(tuple(positional), tuple(keywords.values()))


def _unescape(text: str) -> str:
    """Resolve ``\\"`` and ``\\\\``; any other backslash stands for itself."""
    parts = text.split("\\\\")
    return "\\".join(part.replace('\\"', '"') for part in parts)
