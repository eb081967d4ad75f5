"""Derivatives and moves as the data that `odespec.certificate.auditor.structure` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from odespec.exact import Real
from odespec.ir.expr import Expr, leaves
from odespec.prove.orders.numbers import RadicalField, common_field
from odespec.prove.relate.intervals import Intervals
from odespec.prove.relate.words import text
from odespec.prove.structure.hamiltonian import Blocks, Pair
from odespec.prove.structure.letters import Letter, Sum, Word
from odespec.prove.structure.moves import Move, Moves
from odespec.prove.structure.shears import Shear
from odespec.solvers import RungeKutta

LONGEST = 300


class Alphabet:
    """The letters of some words, numbered; names are made distinct."""

    def __init__(self, field: RadicalField) -> None:
        self.field = field
        self.letters: list[dict[str, Any]] = []
        self.members: list[Letter | Expr] = []

    def number(self, item: Letter | Expr) -> tuple[int, bool]:
        """The number of a letter, and whether its transpose is meant."""
        if item in self.members:
            return self.members.index(item), False
        if isinstance(item, Letter) and not _symmetric(item):
            for k, known in enumerate(self.members):
                if isinstance(known, Letter) and known == item.transposed():
                    return k, True
            if item.turned:
                return self.number(item.transposed())[0], True
        self.members.append(item)
        self.letters.append(self._described(item))
        return len(self.members) - 1, False

    def _described(self, item: Letter | Expr) -> dict[str, Any]:
        scalar = not isinstance(item, Letter)
        name = (text(item, LONGEST) if not isinstance(item, Letter) else str(item))[:LONGEST] or "?"
        taken = {x["name"] for x in self.letters}
        own, k = name, 2
        while own in taken:
            own, k = f"{name} ({k})", k + 1
        side = "scalar" if scalar else item.kind if item.kind in ("left", "right") else "none"  # type: ignore[union-attr]
        symmetry = 1 if scalar or _symmetric(item) == 1 else _symmetric(item)  # type: ignore[arg-type]
        return {"name": own, "symmetry": symmetry, "side": side}

    def write(self, words: Sum) -> list[dict[str, Any]]:
        return [self._word(word, c) for word, c in words.items()]

    def _word(self, word: Word, c: Real) -> dict[str, Any]:
        pairs = [*map(self.number, word.scalars), *map(self.number, word.letters)]
        return {"coefficient": self.field.write(c), "letters": [[k, turned] for k, turned in pairs]}


def _symmetric(item: Letter) -> int:
    """1, -1 or 0; also of a letter that is its own transpose."""
    return item.symmetry or int(item == item.transposed())


def write_blocks(alphabet: Alphabet, found: Blocks) -> list[dict[str, Any]]:
    return [{"of": of, "by": by, "words": alphabet.write(words)} for (of, by), words in found.items() if words]


def write_pairs(chosen: Iterable[Pair]) -> list[dict[str, str]]:
    return [{"position": p.position.name, "momentum": p.momentum.name} for p in chosen]


def coefficients(*found: Blocks) -> list[Real]:
    return [c for b in found for words in b.values() for c in words.values()]


def state_hamiltonian(found: Blocks, chosen: Sequence[Pair], scheme: RungeKutta | None = None) -> dict[str, Any]:
    """The data of ``hamiltonian flow``; with a tableau, those of ``runge-kutta`` but for its ``forward`` part.

    Raises `odespec.exact.Undecided`.
    """
    numbers = coefficients(found)
    if scheme is not None:
        numbers += [*scheme.b, *(a for row in scheme.A for a in row)]
    field = common_field(numbers)
    alphabet = Alphabet(field)
    derivative = write_blocks(alphabet, found)
    data: dict[str, Any] = {
        "field": field.data(),
        "pairs": write_pairs(chosen),
        "letters": alphabet.letters,
        "derivative": derivative,
    }
    if scheme is not None:
        data["A"] = [[field.write(a) for a in row] for row in scheme.A]
        data["b"] = [field.write(b) for b in scheme.b]
    return data


def state_shears(shears: Sequence[Shear], chosen: Sequence[Pair]) -> dict[str, Any]:
    """The data of ``shears``. Raises `odespec.exact.Undecided`."""
    field = common_field(coefficients(*(b for _, _, b in shears)))
    alphabet = Alphabet(field)
    written = [{"side": side, "derivative": write_blocks(alphabet, b)} for side, _, b in shears]
    return {"field": field.data(), "pairs": write_pairs(chosen), "letters": alphabet.letters, "shears": written}


def state_moves(found: Moves, intervals: Intervals) -> dict[str, Any]:
    """The data of ``moves``. Raises `odespec.exact.Undecided`."""
    field = common_field(m.by.data for m in found.moves if m.kind == "number")  # type: ignore[misc]
    return {
        "field": field.data(),
        "slots": [str(e.data) for e in found.leaves],
        "moves": [_move(m, found, field, intervals) for m in found.moves],
        "order": list(found.order),
    }


def _move(move: Move, found: Moves, field: RadicalField, intervals: Intervals) -> dict[str, Any]:
    numbers: list[list[str]] = []
    if move.kind == "number":
        numbers = [field.write(move.by.data)]  # type: ignore[arg-type]
    elif move.kind == "factor":
        low, high = (intervals.of(move.by).lower, intervals.of(move.by).upper)
        least = low if low is not None and low > 0 else -high if high is not None else None
        assert least is not None
        numbers = [field.write(least)]
    reads = leaves(move.by) if move.kind in ("shift", "factor") else frozenset()
    return {
        "slot": move.slot,
        "kind": move.kind,
        "by": text(move.by, LONGEST)[:LONGEST],
        "reads": [k for k, e in enumerate(found.leaves) if (e.op, e.data) in reads],
        "numbers": numbers,
    }
