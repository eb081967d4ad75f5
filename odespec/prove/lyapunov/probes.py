"""The vectors in which a quadratic form is sought: the differences of the states under operators that all steps share.

A form is ``V = sum theta_k <p_a, p_b>`` over pairs of probes. A probe is a word of operators (with a bag of scalars)
applied to the base of a state: its difference e, or where the state is *lifted* by an invertible operator A the vector q
with ``A q = e``: only so the form ``<e, A^-1 e>`` can be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from odespec.ir.expr import Shape
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import Algebra, Atom, Letter, Word, merge
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.symbols import Key
from odespec.prove.relate.words import atom_text
from odespec.records import dataclass

_ONE = Fraction(1)
MAX_WORD = 3
MAX_PROBES = 14
MAX_PAIRS = 40

Lift = tuple[Atom | None, ...]
"""For each state the operator that it is lifted by, or None."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``scalars * first @ base`` with ``last`` on the last axis. ``state``: the number of the state."""

    state: int
    scalars: tuple[Atom, ...]
    first: Word
    last: Word
    shape: Shape

    @property
    def atoms(self) -> list[Atom]:
        return [*self.scalars, *(x.atom for x in (*self.first, *self.last))]

    @property
    def weight(self) -> int:
        return len(self.scalars) + len(self.first) + len(self.last)

    def of(self, reader: Reader, base: Vector) -> Vector:
        """The probe's value where the base of its state is the given vector."""
        vector = base
        for letter in reversed(self.first):
            vector = reader.symbols.push(letter, vector)
        for letter in reversed(self.last):
            vector = reader.symbols.push(letter, vector, last=True)
        for atom in self.scalars:
            vector = reader.symbols.scale(atom, vector)
        return vector

    def name(self, bases: Sequence[str]) -> str:
        """``g K.T K e[x]``."""
        return " ".join([*(atom_text(a) for a in self.scalars), *map(_letter, self.first), bases[self.state],
                         *map(_letter, reversed(self.last))])  # fmt: skip


def _letter(letter: Letter) -> str:
    return atom_text(letter.atom) + (".T" if letter.adjoint else "")


def base_names(states: Sequence[str], lift: Lift) -> list[str]:
    return [f"e[{s}]" if a is None else f"{atom_text(a)}^-1 e[{s}]" for s, a in zip(states, lift, strict=True)]


# --- candidates ------------------------------------------------------------------


def candidates(reader: Reader, bases: Sequence[int], shapes: Sequence[Shape]) -> list[Probe]:
    """The probes that a step that was read suggests, the plainest first. ``bases``: the symbols of the bases."""
    found: dict[Probe, None] = {Probe(s, (), (), (), shape): None for s, shape in enumerate(shapes)}
    state = {i: s for s, i in enumerate(bases)}
    for key, i in list(reader.symbols.index.items()):
        if key[0] in state and _shared(reader.knowledge, key):
            found[Probe(state[key[0]], key[1], key[2], key[3], reader.symbols.items[i].shape)] = None
    letters = dict.fromkeys(x for key in reader.symbols.index if _shared(reader.knowledge, key) for x in _letters(key))
    for letter, last in letters:
        for s, shape in enumerate(shapes):
            probe = _applied(letter, last, s, shape)
            if probe is not None:
                found[probe] = None
    kept = [p for p in found if p.weight <= MAX_WORD]
    return sorted(kept, key=lambda p: p.weight)[:MAX_PROBES]


def _letters(key: Key) -> Iterator[tuple[Letter, bool]]:
    yield from ((x, False) for x in key[2])
    yield from ((x, True) for x in key[3])


def _applied(letter: Letter, last: bool, state: int, shape: Shape) -> Probe | None:
    """A letter on the base of a state, where its shape allows it."""
    n = len(letter.ins)
    if letter.atom.kind not in ("matrix", "entries") or n > len(shape):
        return None
    if last:
        if shape[len(shape) - n :] != letter.ins:
            return None
        return Probe(state, (), (), (letter,), (*shape[: len(shape) - n], *letter.outs))
    return Probe(state, (), (letter,), (), (*letter.outs, *shape[n:])) if shape[:n] == letter.ins else None


def _shared(knowledge: Knowledge, key: Key) -> bool:
    return shared(knowledge, [*key[1], *(x.atom for x in (*key[2], *key[3]))])


def shared(knowledge: Knowledge, atoms: Iterable[Atom]) -> bool:
    """Whether operators are the same at all steps and times."""
    return all(not a.copy and not knowledge.copy_of(a, 1) for a in atoms)


# --- pairs -----------------------------------------------------------------------

Pair = tuple[int, int]
"""Two probes, by number, the first not after the second."""


def pairs(algebra: Algebra, probes: Sequence[Probe]) -> list[Pair]:
    """The products that a form may be made of, each once: ``<W e, W e>`` and ``<e, W.T W e>`` are the same."""
    seen: set[object] = set()
    found: list[Pair] = []
    order = [(i, j) for j in range(len(probes)) for i in range(j + 1) if probes[i].shape == probes[j].shape]
    for i, j in sorted(order, key=lambda p: (probes[p[0]].weight + probes[p[1]].weight, p[0] != p[1], p)):
        keys = {_normal(algebra, probes[i], probes[j]), _normal(algebra, probes[j], probes[i])}
        if seen.isdisjoint(keys) and not (i != j and _vanishes(algebra, probes[i], probes[j])):
            found.append((i, j))
        seen |= keys
    return sorted(found[:MAX_PAIRS])


def _normal(algebra: Algebra, a: Probe, b: Probe) -> object:
    """``<a, b>`` as ``<base of a, word base of b>`` in normal form."""
    first = _product(algebra, a.first, b.first)
    last = _product(algebra, a.last, b.last)
    return a.state, b.state, merge(a.scalars, b.scalars), first, last


def _product(algebra: Algebra, a: Word, b: Word) -> tuple[object, ...]:
    product = algebra.product(algebra.transpose({((), a): _ONE}), {((), b): _ONE})
    return tuple((word, c > 0) for (_, word), c in product.items())


def _vanishes(algebra: Algebra, a: Probe, b: Probe) -> bool:
    """``<e, S e>`` of a skew S is zero."""
    if a.state != b.state or a.last != b.last:
        return False
    one = algebra.product(algebra.transpose({((), a.first): _ONE}), {((), b.first): _ONE})
    return algebra.transpose(one) == {key: -c for key, c in one.items()}
