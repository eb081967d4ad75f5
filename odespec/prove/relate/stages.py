"""Implicit stages: linear equations between vectors, used up exactly.

An equation lets one of its vectors be written by the others. Where an operator was applied to the vectors of an
equation, the images obey it too. Vectors to which no operator was applied are eliminated first: little follows then.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.operators import Letter
from odespec.prove.relate.symbols import Symbols
from odespec.prove.relate.words import atom_text

MAX_EQUATIONS = 64
ONE = Fraction(1)


def eliminate(symbols: Symbols, equations: list[Vector], first: set[int]) -> dict[int, Vector]:
    """Substitutions that satisfy ``equation = 0`` for each; ``first`` are the vectors best eliminated."""
    pending = list(equations)
    found: dict[int, Vector] = {}
    for _ in range(MAX_EQUATIONS):
        if not pending:
            break
        equation = pending.pop(0)
        row = substitute(equation, found)
        if not row:
            continue
        pivot = min((i for i, _ in row), key=lambda i: _cost(symbols, i, first))
        pending += _images(symbols, equation, pivot)
        scale = dict(row)[pivot]
        value = combine(*((-c / scale, ((i, ONE),)) for i, c in row if i != pivot))
        found = {i: substitute(v, {pivot: value}) for i, v in found.items()} | {pivot: value}
    return found


def substitute(v: Vector, values: dict[int, Vector]) -> Vector:
    """Replace basis vectors by combinations."""
    if not any(i in values for i, _ in v):
        return v
    return combine(*((c, values.get(i, ((i, ONE),))) for i, c in v))


def _cost(symbols: Symbols, i: int, first: set[int]) -> tuple[bool, bool, int, int]:
    _, scalars, word, last = symbols.items[i].key
    return bool(symbols.children(i)), i not in first, -len(scalars) - len(word) - len(last), -i


def _images(symbols: Symbols, equation: Vector, pivot: int) -> list[Vector]:
    """The equation under each operator that was applied to its pivot, or to all of its vectors."""
    wanted = symbols.children(pivot) | set.intersection(*(symbols.children(i) for i, _ in equation))
    ordered = sorted(wanted, key=lambda child: (child[1], _name(child[0])))
    return [
        symbols.scale(letter.atom, equation, expand=True)
        if letter.atom.kind == "scalar"
        else symbols.push(letter, equation, last=last, expand=True)
        for letter, last in ordered
    ]


def _name(letter: Letter) -> str:
    return f"{atom_text(letter.atom)} {letter.adjoint}"
