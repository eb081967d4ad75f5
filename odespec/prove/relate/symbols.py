"""The vectors of a Gram problem: differences, and operators applied to them.

A symbol is a base vector with a word of letters on its first axes, a word on its last axis and a bag of scalars;
letters on first and last axes commute, scalars commute with all. Each such combination is one symbol, in whatever order
the factors came, and with a symbol all its partial words are there, so that every operator meets its adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from odespec.exact import Irrational, enclose
from odespec.ir.expr import Shape
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.operators import Algebra, Atom, Letter, Polynomial, TooLarge, Word, merge
from odespec.prove.relate.recipes import Applied, Recipe, Remainder
from odespec.records import dataclass

MAX_SYMBOLS = 160
IRRATIONAL_BITS = 40
ONE = Fraction(1)
Key = tuple[int, tuple[Atom, ...], Word, Word]


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str
    shape: Shape
    key: Key
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Step:
    """``child`` is a letter applied to ``parent``, on the first axes or on the last one (of a scalar: on all)."""

    letter: Letter
    last: bool
    parent: Vector
    child: int


class Symbols:
    """Grows by `new` and `apply`. ``plain``: operators are applied to whole vectors, which makes fewer symbols.
    ``on_step`` hears of applications, ``on_remainder`` of z and a vector as short."""

    def __init__(self, algebra: Algebra, *, plain: bool = False) -> None:
        self.algebra = algebra
        self.plain = plain
        self._whole: dict[tuple[Letter, bool, Vector], int] = {}
        self.items: list[Symbol] = []
        self.index: dict[Key, int] = {}
        self.on_step: Callable[[Step], None] = lambda step: None
        self.on_remainder: Callable[[Vector, Vector], None] = lambda z, rest: None
        self._children: dict[int, set[tuple[Letter, bool]]] = {}
        self._remainders: dict[tuple[Irrational, int], Vector] = {}

    def new(self, name: str, shape: Shape, recipe: Recipe) -> Vector:
        """A vector of which nothing is known yet."""
        i = len(self.items)
        self._put(Symbol(name, shape, (i, (), (), ()), recipe))
        return ((i, ONE),)

    def _put(self, symbol: Symbol) -> int:
        if len(self.items) >= MAX_SYMBOLS:
            raise TooLarge("the step has more vectors than the engine takes on")
        self.items.append(symbol)
        self.index[symbol.key] = len(self.items) - 1
        return len(self.items) - 1

    # --- applying --------------------------------------------------------------

    def apply(self, polynomial: Polynomial, vector: Vector, *, last: bool = False) -> Vector:
        """A polynomial on the first axes (or the last axis) of a vector."""
        parts = []
        for (scalars, word), factor in polynomial.items():
            image = vector
            for letter in reversed(word):
                image = self.push(letter, image, last=last)
            for atom in scalars:
                image = self.scale(atom, image)
            parts.append((factor, image))
        return combine(*parts)

    def push(self, letter: Letter, vector: Vector, *, last: bool = False, expand: bool = False) -> Vector:
        """A letter applied to a vector: to each of its symbols, or where the basis is plain to the whole."""
        if self.plain and not expand and len(vector) > 1:
            return self._pushed_whole(letter, vector, last)
        return combine(*(self._pushed(letter, i, c, last) for i, c in vector))

    def _pushed_whole(self, letter: Letter, vector: Vector, last: bool) -> Vector:
        key = (letter, last, vector)
        if key not in self._whole:
            name = f"{_name(letter)} of {len(vector)} terms"
            shape = _moved(self.items[vector[0][0]].shape, letter, last)
            made = self.new(name, shape, Applied(letter.atom, letter.adjoint, last, vector))
            self._whole[key] = made[0][0]
            self.on_step(Step(letter, last, vector, made[0][0]))
        return ((self._whole[key], ONE),)

    def _pushed(self, letter: Letter, i: int, c: Fraction, last: bool) -> tuple[Fraction, Vector]:
        key, factor = self._joined(letter, i, last)
        return c * factor, ((self._ensure(key), ONE),)

    def _joined(self, letter: Letter, i: int, last: bool) -> tuple[Key, Fraction]:
        base, scalars, first, second = self.items[i].key
        if not self._commutes(letter, i, last):
            if (i, (), (), ()) not in self.index:
                self.index[i, (), (), ()] = i
            base, scalars, first, second = i, (), (), ()
        factor, word = self.algebra.join(letter, second if last else first)
        return (base, scalars, first, word) if last else (base, scalars, word, second), factor

    def _commutes(self, letter: Letter, i: int, last: bool) -> bool:
        """Whether the letter can pass the word on the other side: the last axis is none of the first ones."""
        symbol = self.items[i]
        first, second = symbol.key[2], symbol.key[3]
        if last:
            return not first or (len(symbol.shape) > len(first[0].outs) and _plain(first))
        return not second or (len(symbol.shape) > len(letter.ins) and _plain(second) and _plain((letter,)))

    def scale(self, atom: Atom, vector: Vector, *, expand: bool = False) -> Vector:
        """A scalar atom times a vector."""
        if atom.expr is not None and isinstance(atom.expr.data, Irrational):
            return combine(*((c, self._irrational(atom.expr.data, i)) for i, c in vector))
        if self.plain and not expand and len(vector) > 1:
            return self._pushed_whole(Letter(atom), vector, False)
        result = []
        for i, c in vector:
            base, scalars, first, second = self.items[i].key
            result.append((c, ((self._ensure((base, merge(scalars, (atom,)), first, second)), ONE),)))
        return combine(*result)

    def _irrational(self, value: Irrational, i: int) -> Vector:
        """An irrational multiple: a rational one, and a tiny remainder of which the size is known."""
        low, high = enclose(value, IRRATIONAL_BITS)
        middle, half = (low + high) / 2, (high - low) / 2
        if (value, i) not in self._remainders:
            recipe = Remainder(value, middle, half, i)
            rest = self.new(f"rest of {float(value):.4g} {self.items[i].name}", self.items[i].shape, recipe)
            self._remainders[value, i] = rest
            self.on_remainder(((i, ONE),), rest)
        return combine((middle, ((i, ONE),)), (half, self._remainders[value, i]))

    def _ensure(self, key: Key) -> int:
        """The symbol of a key, made with all its partial words where it is new."""
        if key in self.index:
            return self.index[key]
        steps = [(letter, last, self._ensure(parent)) for letter, last, parent in _parents(key)]
        letter, last, parent = steps[0]
        shape = _moved(self.items[parent].shape, letter, last)
        name, inner = _name(letter), self.items[parent].name
        name = f"{inner} {name}" if last else f"{name} {inner}"
        child = self._put(Symbol(name, shape, key, Applied(letter.atom, letter.adjoint, last, ((parent, ONE),))))
        for letter, last, parent in steps:
            self._children.setdefault(parent, set()).add((letter, last))
            self.on_step(Step(letter, last, ((parent, ONE),), child))
        return child

    # --- reading ---------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """Every pair of symbols of which one is a letter applied to the other."""
        for key, child in list(self.index.items()):
            for letter, last, parent in _parents(key):
                if parent in self.index:
                    yield Step(letter, last, ((self.index[parent], ONE),), child)
        for (letter, last, vector), child in self._whole.items():
            yield Step(letter, last, vector, child)

    def above(self, i: int, letter: Letter, last: bool) -> list[int]:
        """The symbol that i is the letter applied to."""
        return [
            self.index[parent]
            for other, side, parent in _parents(self.items[i].key)
            if (other, side) == (letter, last) and parent in self.index
        ]

    def children(self, i: int) -> set[tuple[Letter, bool]]:
        """The letters that have been applied to a symbol, with the side."""
        return self._children.get(i, set())

    def find(self, polynomial: Polynomial, i: int, *, last: bool = False) -> Vector | None:
        """A polynomial applied to a symbol where all its terms are there already, else None."""
        parts = []
        for (scalars, word), factor in polynomial.items():
            key = self.items[i].key
            for letter in reversed(word):
                found = self.index.get(key)
                if found is None or not self._commutes(letter, found, last):
                    return None
                key, step = self._joined(letter, found, last)
                factor *= step
            base, bag, first, second = key
            found = self.index.get((base, merge(bag, scalars), first, second))
            if found is None:
                return None
            parts.append((factor, ((found, ONE),)))
        return combine(*parts)


def _parents(key: Key) -> Iterator[tuple[Letter, bool, Key]]:
    """The ways in which a symbol is one letter more than another."""
    base, scalars, first, second = key
    if first:
        yield first[0], False, (base, scalars, first[1:], second)
    if second:
        yield second[0], True, (base, scalars, first, second[1:])
    for k, atom in enumerate(scalars):
        if atom not in scalars[:k]:
            yield Letter(atom), False, (base, scalars[:k] + scalars[k + 1 :], first, second)


def _plain(word: Word) -> bool:
    """Whether every letter takes one axis to one axis, so that it leaves the other axes where they are."""
    return all(len(x.outs) == len(x.ins) == 1 for x in word)


def _moved(shape: Shape, letter: Letter, last: bool) -> Shape:
    if letter.atom.kind == "scalar":
        return shape
    n = len(letter.ins)
    if last:
        return (*shape[: len(shape) - n], *letter.outs)
    return (*letter.outs, *shape[n:])


def _name(letter: Letter) -> str:
    from odespec.prove.relate.words import atom_text

    return atom_text(letter.atom) + (".T" if letter.adjoint else "")
