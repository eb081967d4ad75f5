"""Operators on the states as sums of products: blocks of words, one for each pair of states.

A word is a bag of scalars and a product of steps. A step is a letter that acts on the first axes, or on the last one;
neighbours of either kind that touch different axes commute, and stand with the one on the first axes before the other.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.operators import Algebra, Atom, Letter, merge
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.words import atom_text
from odespec.records import dataclass

Step = tuple[Letter, bool]
"""A letter, and whether it acts on the last axis."""

Word = tuple[tuple[Atom, ...], tuple[Step, ...]]
Entry = dict[Word, Fraction]
Block = tuple[tuple[Entry, ...], ...]
UNIT: Word = ((), ())


@dataclass(frozen=True, slots=True)
class Operators:
    """Arithmetic of operators between tensors."""

    algebra: Algebra

    def product(self, a: Entry, b: Entry) -> Entry:
        total: Entry = {}
        for (s, left), x in a.items():
            for (t, right), y in b.items():
                steps, factor = self._joined(left, right)
                _add(total, (merge(s, t), steps), x * y * factor)
        return total

    def _joined(self, left: tuple[Step, ...], right: tuple[Step, ...]) -> tuple[tuple[Step, ...], Fraction]:
        """Two products as one, with what cancels where they meet."""
        factor = Fraction(1)
        for letter, last in reversed(left):
            if right and right[0][1] == last:
                scale, word = self.algebra.join(letter, (right[0][0],))
                factor, right = factor * scale, (*((x, last) for x in word), *right[1:])
            else:
                right = ((letter, last), *right)
        return ordered(right), factor

    def transpose(self, a: Entry) -> Entry:
        total: Entry = {}
        for (scalars, steps), c in a.items():
            turned: list[Step] = []
            for letter, last in reversed(steps):
                sign, other = self.algebra.letter(letter.atom, not letter.adjoint)
                c, turned = c * sign, [*turned, (other, last)]
            _add(total, (scalars, ordered(tuple(turned))), c)
        return total

    def transposed(self, block: Block) -> Block:
        n = range(len(block))
        return tuple(tuple(self.transpose(block[j][i]) for j in n) for i in n)


def ordered(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps on the first axis moved in front of neighbours on the last axis, which they commute with."""
    result: list[Step] = []
    for letter, last in steps:
        place = len(result)
        while not last and _one_axis(letter) and place and result[place - 1][1] and _one_axis(result[place - 1][0]):
            place -= 1
        result.insert(place, (letter, last))
    return tuple(result)


def _one_axis(letter: Letter) -> bool:
    return len(letter.outs) == len(letter.ins) == 1


def _add(total: Entry, key: Word, value: Fraction) -> None:
    value += total.get(key, Fraction(0))
    if value:
        total[key] = value
    else:
        total.pop(key, None)


def plus(a: Entry, b: Entry, factor: Fraction | int = 1) -> Entry:
    total = dict(a)
    for key, value in b.items():
        _add(total, key, value * factor)
    return total


def sum_of(a: Block, b: Block, factor: Fraction | int = 1) -> Block:
    return tuple(tuple(plus(x, y, factor) for x, y in zip(r, s, strict=True)) for r, s in zip(a, b, strict=True))


def scaled(a: Block, factor: Fraction) -> Block:
    return tuple(tuple({w: c * factor for w, c in e.items()} for e in row) for row in a)


def identity(n: int, factor: Fraction | int = 1) -> Block:
    one: Entry = {UNIT: Fraction(factor)} if factor else {}
    return tuple(tuple(one if i == j else {} for j in range(n)) for i in range(n))


def number(e: Entry) -> Fraction | None:
    """The c of ``c I``; None for any other operator."""
    if not e:
        return Fraction(0)
    return e[UNIT] if e.keys() == {UNIT} else None


def read_block(reader: Reader, leaves: list[Vector], images: list[Vector]) -> Block | None:
    """The images of the states as words applied to them; None where one is no word."""
    base = {v[0][0]: j for j, v in enumerate(leaves)}
    rows: list[list[Entry]] = []
    for image in images:
        row: list[Entry] = [{} for _ in leaves]
        for i, c in image:
            start, word = _word(reader, i)
            if start not in base:
                return None
            _add(row[base[start]], word, c)
        rows.append(row)
    return tuple(tuple(row) for row in rows)


def _word(reader: Reader, i: int) -> tuple[int, Word]:
    """The symbol that nothing is applied to, and the word that leads from it to symbol i."""
    scalars: tuple[Atom, ...] = ()
    steps: tuple[Step, ...] = ()
    while True:
        start, bag, first, second = reader.symbols.items[i].key
        scalars = merge(scalars, bag)
        steps = (*steps, *((x, False) for x in first), *((x, True) for x in second))
        if start == i:
            return i, (scalars, ordered(steps))
        i = start


def apply(reader: Reader, e: Entry, v: Vector) -> Vector:
    """An operator applied to a vector."""
    parts: list[tuple[Fraction, Vector]] = []
    for (scalars, steps), c in e.items():
        image = v
        for letter, last in reversed(steps):
            image = reader.symbols.push(letter, image, last=last)
        for atom in scalars:
            image = reader.symbols.scale(atom, image)
        parts.append((c, image))
    return combine(*parts)


LONGEST = 300


def described(block: Block) -> str:
    """A block of operators in words, row by row."""
    rows = [", ".join(" + ".join(_term(w, c) for w, c in e.items()) or "0" for e in row) for row in block]
    told = rows[0] if len(block) == 1 else f"[{'; '.join(rows)}]"
    return told if len(told) <= LONGEST else told[:LONGEST] + "…"


def _term(word: Word, c: Fraction) -> str:
    scalars, steps = word
    factors = [atom_text(a) for a in scalars]
    factors += [
        f"{atom_text(x.atom)}{'.T' if x.adjoint else ''}{' (on the last axis)' if last else ''}" for x, last in steps
    ]
    return " ".join([*([] if c == 1 and factors else [str(c)]), *factors])


__all__ = [
    "UNIT",
    "Block",
    "Entry",
    "Operators",
    "Step",
    "Word",
    "apply",
    "described",
    "identity",
    "number",
    "ordered",
    "plus",
    "read_block",
    "scaled",
    "sum_of",
]
