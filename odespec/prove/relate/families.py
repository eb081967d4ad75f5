"""The relations of linear operators: what all pairs ``v_i = A u_i`` and ``q_j = A.T p_j`` of one operator obey.

The conditions are those of Bousselmi, Hendrickx & Glineur, "Interpolation conditions for linear operators and
applications to performance estimation problems" (SIAM J. Optim. 2024), and consequences of further structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from odespec.activations import Interval
from odespec.ir.expr import Shape
from odespec.ir.ranges import times
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Relation, Vector
from odespec.prove.relate.bounds import Compound, Facts, Knowledge
from odespec.prove.relate.operators import Atom, Letter, Polynomial
from odespec.prove.relate.symbols import Step, Symbols
from odespec.prove.relate.words import atom_text, text

Pair = tuple[Vector, Vector]
ZERO, ONE = Fraction(0), Fraction(1)


class Families:
    """All operators of a problem with their pairs. ``steps``: how many copies of weights per step there are."""

    def __init__(self, symbols: Symbols, knowledge: Knowledge, steps: int = 1) -> None:
        self.symbols = symbols
        self.knowledge = knowledge
        self.steps = steps

    def relations(self) -> Iterator[Relation]:
        for (atom, _, _), (forward, backward) in self._pairs().items():
            yield from _relations(atom_text(atom), self.knowledge.facts(atom), forward, backward)
        yield from self._squares()
        yield from self._commuting()
        for compound in [*self.knowledge.compounds, *self._normalised()]:
            for copy in range(self.steps):
                yield from self._compound(compound, copy)

    def _pairs(self) -> dict[tuple[Atom, bool, Shape], tuple[list[Pair], list[Pair]]]:
        """Pairs by atom, by the side that it acts on and by the axes that it leaves alone."""
        found: dict[tuple[Atom, bool, Shape], tuple[list[Pair], list[Pair]]] = {}
        for step in self.symbols.steps():
            key = step.letter.atom, step.last, self._rest(step)
            pairs = found.setdefault(key, ([], []))[step.letter.adjoint]
            pairs.append((step.parent, ((step.child, ONE),)))
        return found

    def _rest(self, step: Step) -> Shape:
        shape = self.symbols.items[step.parent[0][0]].shape
        if step.letter.atom.kind == "scalar":
            return shape
        n = len(step.letter.ins)
        return shape[: len(shape) - n] if step.last else shape[n:]

    def _squares(self) -> Iterator[Relation]:
        """``W.T W u`` where the singular values of W are known from both sides."""
        found: dict[tuple[Atom, bool, bool, Shape], list[Pair]] = {}
        for step in self.symbols.steps():
            i = step.parent[0][0]
            _, _, first, second = self.symbols.items[i].key
            word = (second if step.last else first) if len(step.parent) == 1 else ()
            if word and word[0].atom == step.letter.atom and word[0].adjoint != step.letter.adjoint:
                for inner in self.symbols.above(i, word[0], step.last):
                    key = step.letter.atom, step.letter.adjoint, step.last, self.symbols.items[inner].shape
                    found.setdefault(key, []).append((((inner, ONE),), ((step.child, ONE),)))
        for (atom, adjoint, _, _), pairs in found.items():
            facts = self.knowledge.facts(atom)
            floor2 = facts.floor2 if adjoint else facts.cofloor2
            if floor2 and facts.norm2 is not None:
                why = f"squared singular values of {atom_text(atom)} in [{floor2}, {facts.norm2}]"
                yield from _spectrum(pairs, floor2, facts.norm2, why)

    def _commuting(self) -> Iterator[Relation]:
        """Symmetric factors on both sides commute: their product is symmetric, with the products of the eigenvalues."""
        found: dict[tuple[Atom, Atom, Shape], list[Pair]] = {}
        for (base, scalars, first, second), child in self.symbols.index.items():
            if first and second:
                parent = self.symbols.index[base, scalars, first[1:], second[1:]]
                key = first[0].atom, second[0].atom, self.symbols.items[child].shape
                found.setdefault(key, []).append((((parent, ONE),), ((child, ONE),)))
        for (a, b, _), pairs in found.items():
            left, right = self.knowledge.facts(a), self.knowledge.facts(b)
            if left.symmetry == right.symmetry == 1:
                spectrum = times(Interval(left.low, left.high), Interval(right.low, right.high))
                why = f"eigenvalues of {atom_text(a)} and {atom_text(b)} together"
                yield from _spectrum(pairs, spectrum.lower, spectrum.upper, why)

    def _normalised(self) -> Iterator[Compound]:
        """``norm(W / s) <= 1`` where the field divides by an s that is at least the norm of W."""
        atoms = {a for _, scalars, _, _ in self.symbols.index for a in scalars}
        for atom in sorted(atoms, key=atom_text):
            e = atom.expr
            if e is not None and e.op == "pow" and e.data == -1 and e.args[0].op == "bound":
                operand = e.args[0].args[0]
                if len(operand.shape) > 1:
                    inner = self.knowledge.algebra.polynomial(operand)
                    product = self.knowledge.algebra.product({((atom,), ()): ONE}, inner)
                    yield Compound(product, "norm", None, ONE, f"norm of {text(operand)} divided by its bound")

    # --- constraints on compound expressions -----------------------------------

    def _compound(self, compound: Compound, copy: int) -> Iterator[Relation]:
        """The constraint on every vector to which all terms of the expression have been applied."""
        polynomial = self._copied(compound.polynomial, copy)
        if copy and polynomial == self._copied(compound.polynomial, 0):
            return
        turned = self.knowledge.algebra.transpose(polynomial)
        for last in (False, True):
            for part in (polynomial,) if turned == polynomial else (polynomial, turned):
                for pairs in self._images(part, last).values():
                    yield from _bounds(pairs, compound)

    def _copied(self, polynomial: Polynomial, copy: int) -> Polynomial:
        def moved(atom: Atom) -> Atom:
            return replace(atom, copy=self.knowledge.copy_of(atom, copy))

        return {
            (tuple(map(moved, scalars)), tuple(Letter(moved(x.atom), x.adjoint) for x in word)): c
            for (scalars, word), c in polynomial.items()
        }

    def _images(self, polynomial: Polynomial, last: bool) -> dict[Shape, list[Pair]]:
        found: dict[Shape, list[Pair]] = {}
        if not any(word for _, word in polynomial):
            return found
        for i, symbol in enumerate(self.symbols.items):
            image = self.symbols.find(polynomial, i, last=last)
            if image is not None:
                found.setdefault(symbol.shape, []).append((((i, ONE),), image))
        return found


def _bounds(pairs: list[Pair], compound: Compound) -> Iterator[Relation]:
    if compound.quantity == "norm":
        assert compound.high is not None
        yield _operator(pairs, compound.high**2, ZERO, -ONE, compound.why)
    elif compound.quantity == "eig":
        yield from _spectrum(pairs, compound.low, compound.high, compound.why)
    else:
        yield from _spectrum(pairs, compound.low, None, compound.why)
        yield from _spectrum(pairs, None, compound.high, compound.why)


# --- one operator ----------------------------------------------------------------


def _relations(name: str, facts: Facts, forward: list[Pair], backward: list[Pair]) -> Iterator[Relation]:
    if facts.gram == facts.cogram == ONE:
        pairs = forward + [(q, p) for p, q in backward]
        yield Relation("isometry", _named("uv", pairs), (), f"{name} is orthogonal")
        return
    if facts.symmetry:
        yield from _symmetric(name, facts, forward)
        return
    forward, backward = (
        forward + [(q, combine((facts.cogram, p))) for p, q in backward if facts.cogram is not None],
        backward + [(v, combine((facts.gram, u))) for u, v in forward if facts.gram is not None],
    )
    if forward and backward:
        yield Relation("adjoint", _named("uv", forward) + _named("pq", backward), (), f"{name} and its adjoint")
    for pairs, exact, floor2, side in (
        (forward, facts.gram, facts.floor2, name),
        (backward, facts.cogram, facts.cofloor2, f"{name}.T"),
    ):
        if pairs and facts.norm2 is not None and facts.norm2 != exact:
            yield _operator(pairs, facts.norm2, ZERO, -ONE, f"norm({side})^2 <= {facts.norm2}")
        if pairs and floor2 and exact is None:
            yield _operator(pairs, -floor2, ZERO, ONE, f"singular values of {side} at least, squared, {floor2}")


def _symmetric(name: str, facts: Facts, pairs: list[Pair]) -> Iterator[Relation]:
    if facts.symmetry < 0:
        yield Relation("skew", _named("uv", pairs), (), f"{name} is skew")
    elif len(pairs) > 1:
        yield Relation("symmetric", _named("uv", pairs), (), f"{name} is symmetric")
    low, high, norm2 = facts.low, facts.high, facts.norm2
    if facts.symmetry > 0:
        yield from _spectrum(pairs, low, high, f"eigenvalues of {name} in [{low}, {high}]")
    enclosed = facts.symmetry > 0 and low is not None and high is not None
    if norm2 is not None and not (enclosed and max(low**2, high**2) <= norm2):  # type: ignore[operator]
        yield _operator(pairs, norm2, ZERO, -ONE, f"norm({name})^2 <= {norm2}")


def _spectrum(pairs: list[Pair], low: Fraction | None, high: Fraction | None, why: str) -> Iterator[Relation]:
    """``(A - low) (high - A) >= 0`` for a symmetric A, or one side of it."""
    if low is not None and high is not None:
        yield _operator(pairs, -low * high, low + high, -ONE, why)
    elif low is not None:
        yield _operator(pairs, -low, ONE, ZERO, why)
    elif high is not None:
        yield _operator(pairs, high, -ONE, ZERO, why)


def _operator(pairs: list[Pair], alpha: Fraction, beta: Fraction, gamma: Fraction, why: str) -> Relation:
    numbers = (("alpha", alpha), ("beta", beta), ("gamma", gamma))
    return Relation("operator", _named("uv", pairs), numbers, why)


def _named(names: str, pairs: list[Pair]) -> tuple[tuple[str, tuple[Vector, ...]], ...]:
    return (names[0], tuple(u for u, _ in pairs)), (names[1], tuple(v for _, v in pairs))
