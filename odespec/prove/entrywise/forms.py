"""Differences as sums of terms: a number, scalar factors, a word of letters, and the vector that it acts on.

The names of letters stand in the terms; `Letters` says what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from odespec.activations import Interval
from odespec.ir.expr import Expr
from odespec.prove.entrywise.corners import Shape
from odespec.prove.entrywise.known import Known
from odespec.prove.relate.operators import Atom, TooLarge
from odespec.records import dataclass

Key = tuple[tuple[str, ...], tuple[str, ...], str]
Form = dict[Key, Fraction]
MAX_TERMS = 600
MAX_WORD = 24
LONG = 64
"""Bits of numbers that are written as they are."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The difference quotient, entry by entry, of an elementwise node and its argument."""

    node: Expr
    step: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an expression in one run (0 or 1), spread over the axes behind (or with ``last`` before) its own."""

    expr: Expr
    run: int = 0
    step: int = 0
    last: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """An atom, or its adjoint, on the first axes or the last ones."""

    atom: Atom
    adjoint: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Function:
    """The mean derivative between two runs of a node that is not elementwise."""

    node: Expr
    step: int = 0


FactorRecipe = Slope | Value
OperatorRecipe = Linear | Function


@dataclass(frozen=True, slots=True)
class Factor:
    name: str
    inside: Interval
    scalar: bool
    why: str
    recipe: FactorRecipe


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    known: Known
    recipe: OperatorRecipe

    def side(self, columns: bool) -> Shape:
        return self.known.columns if columns else self.known.rows


class Letters:
    """All letters by name; the same recipe has the same letter."""

    def __init__(self) -> None:
        self.factors: dict[str, Factor] = {}
        self.operators: dict[str, Operator] = {}
        self._named: dict[object, str] = {}

    def factor(self, words: str, inside: Interval, recipe: FactorRecipe, why: str, *, scalar: bool = False) -> str:
        """The name of a factor, whose range may be unbounded."""
        if recipe not in self._named:
            name = self._name(words)
            self.factors[name] = Factor(name, _short(inside), scalar, why, recipe)
            self._named[recipe] = name
        return self._named[recipe]

    def operator(self, words: str, known: Known, recipe: OperatorRecipe) -> str:
        if recipe not in self._named:
            name = self._name(words)
            self.operators[name] = Operator(name, known, recipe)
            self._named[recipe] = name
        return self._named[recipe]

    def _name(self, words: str) -> str:
        name, k = words, 2
        while name in self.factors or name in self.operators:
            name, k = f"{words} #{k}", k + 1
        return name


def _short(inside: Interval) -> Interval:
    """Ends with many digits, rounded outward."""
    low, high = inside.lower, inside.upper
    return Interval(low if low is None else _rounded(low, -1), high if high is None else _rounded(high, 1))


def _rounded(x: Fraction, sign: int) -> Fraction:
    if max(x.numerator.bit_length(), x.denominator.bit_length()) <= LONG:
        return x
    scale = Fraction(2) ** (LONG - x.numerator.bit_length() + x.denominator.bit_length())
    return Fraction((x * scale).__ceil__() if sign > 0 else (x * scale).__floor__()) / scale


# --- sums of terms -------------------------------------------------------------------


def unit(vector: str) -> Form:
    return {((), (), vector): Fraction(1)}


def combine(*parts: tuple[Fraction | int, Form]) -> Form:
    total: Form = {}
    for scale, form in parts:
        for key, c in form.items():
            add_to(total, key, scale * c)
    return checked(total)


def add_to(total: Form, key: Key, value: Fraction) -> None:
    """Add to a term, keeping the form free of zeros."""
    value += total.get(key, Fraction(0))
    if value:
        total[key] = value
    else:
        total.pop(key, None)


def led(scalars: Iterable[str], form: Form) -> Form:
    """The form times scalar factors."""
    scalars = tuple(scalars)
    return {(tuple(sorted(lead + scalars)), word, v): c for (lead, word, v), c in form.items()} if scalars else form


def behind(letters: tuple[str, ...], form: Form) -> Form:
    """Letters applied to a form. Raises `TooLarge`."""
    if any(len(word) + len(letters) > MAX_WORD for _, word, _ in form):
        raise TooLarge("a product of more matrices than the engine takes on")
    return {(lead, letters + word, v): c for (lead, word, v), c in form.items()} if letters else form


def checked(form: Form) -> Form:
    if len(form) > MAX_TERMS:
        raise TooLarge("the step has more terms than the engine takes on")
    return form


def used(forms: Iterable[Form]) -> Iterator[str]:
    """The names of letters in forms, each once, in order."""
    seen: dict[str, None] = {}
    for form in forms:
        for lead, word, _ in form:
            seen.update(dict.fromkeys((*lead, *word)))
    yield from seen
