"""Reads expressions with the differences of two runs, as sums of terms: the walk, and what rules need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from odespec.activations import Interval
from odespec.ir.expr import Expr, Shape, postorder, power
from odespec.ir.model import Model
from odespec.prove.entrywise.facts import Compound, RowFacts
from odespec.prove.entrywise.forms import (
    Form,
    Function,
    Letters,
    Linear,
    Slope,
    Value,
    behind,
    combine,
    led,
    unit,
)
from odespec.prove.entrywise.known import Known
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import Algebra, Atom, Letter, Monomial, NoRelation, Polynomial
from odespec.prove.relate.words import atom_text, text

SAME = ("const", "array", "eye", "full", "time", "param", "input", "graph", "noise", "initial")
"""Leaves that two compared runs share (the others must be known as vectors)."""


class Reader:
    """``moving`` has the form of each leaf that differs between the runs. ``columns``: the norm is 1, not inf."""

    def __init__(self, model: Model, knowledge: Knowledge, letters: Letters, *, columns: bool) -> None:
        self.model = model
        self.columns = columns
        self.knowledge = knowledge
        self.algebra = knowledge.algebra
        self.facts = RowFacts(model, knowledge)
        self.letters = letters
        self.moving: dict[Expr, Form] = {}
        self.step = 0
        self._memo: dict[Expr, Form] = {}

    # --- walking -------------------------------------------------------------------

    def begin(self, moving: dict[Expr, Form], step: int = 0) -> None:
        """What is read from now on are expressions in these leaves; weights per step are those of that step."""
        self.moving, self._memo = dict(moving), {}
        self.step = self.algebra.copy = step

    def read(self, roots: Iterable[Expr]) -> tuple[Form, ...]:
        """The differences of expressions. Raises `NoRelation`."""
        roots = tuple(roots)
        self.knowledge.intervals.cover(roots)
        for node in postorder(*roots):
            if node not in self._memo:
                self._memo[node] = self._difference(node)
        return tuple(self._memo[root] for root in roots)

    def _difference(self, node: Expr) -> Form:
        from odespec.prove.entrywise.rules import difference

        if not node.args:
            if node not in self.moving and node.op not in SAME:
                raise NoRelation(f"`{text(node)}` is not known as a vector of the step")
            return self.moving.get(node, {})
        args = tuple(self._memo[a] for a in node.args)
        return difference(self, node, args) if any(args) else {}

    # --- what rules need -----------------------------------------------------------

    def range(self, e: Expr) -> Interval:
        """Bounds of every entry of an expression, in both runs and at every step."""
        return self.knowledge.intervals.of(e)

    def inverse(self, e: Expr) -> Expr:
        return power(e, Fraction(-1))

    def sloped(self, node: Expr, z: Form, slope: Interval, why: str) -> Form:
        """``D z`` for an elementwise node with slopes in an interval. Raises `NoRelation` where nothing bounds them."""
        if slope.lower is None and slope.upper is None:
            raise NoRelation(f"{why} are not bounded")
        if slope.lower is not None and slope.lower == slope.upper:
            return combine((slope.lower, z))
        name = self.letters.factor(f"D[{text(node, 24)}]", slope, Slope(node, self.step), why, scalar=not node.shape)
        return led((name,), z) if not node.shape else behind((name,), z)

    def valued(self, e: Expr, run: int, z: Form, copy: int | None = None) -> Form:
        """An expression's value in one run times a difference of its shape (or of any, by a scalar), term by term."""
        parts: list[tuple[Fraction, Form]] = []
        pending = [(Fraction(1), e)]
        while pending:
            scale, node = pending.pop()
            if node.op == "add" and len(parts) + len(pending) < 16:
                pending += [(scale, a) for a in node.args]
            elif node.op == "mul" and node.args[0].op == "const" and isinstance(node.args[0].data, Fraction):
                pending.append((scale * node.args[0].data, node.args[1]))
            else:
                parts.append((scale, self._valued(node, run, z, self.step if copy is None else copy)))
        return combine(*parts)

    def _valued(self, e: Expr, run: int, z: Form, step: int) -> Form:
        inside = self.range(e)
        if inside.lower is not None and inside.lower == inside.upper:
            return combine((inside.lower, z))
        if inside.lower is None and inside.upper is None:
            raise NoRelation(f"the values of `{text(e)}` are not bounded")
        recipe = Value(e, run, step)
        name = self.letters.factor(text(e, 24), inside, recipe, f"values of {text(e)}", scalar=not e.shape)
        return led((name,), z) if not e.shape else behind((name,), z)

    def function(self, node: Expr, z: Form, known: Known) -> Form:
        """The mean derivative of a node between both runs, of which rows and columns are known."""
        return behind((self.letters.operator(text(node, 24), known, Function(node, self.step)),), z)

    # --- what is the same in both runs ---------------------------------------------

    def apply(self, polynomial: Polynomial, z: Form, *, last: bool = False) -> Form:
        """A state-independent factor or operator, as a polynomial, applied to a difference."""
        parts: list[tuple[Fraction, Form]] = []
        polynomial = dict(polynomial)
        for compound in self.facts.compounds:
            factor = taken(compound, polynomial, self.algebra)
            if factor:
                parts.append((factor, self._compound(compound, z, last)))
        for (scalars, word), factor in polynomial.items():
            image = z
            for letter in reversed(word):
                image = self.push(letter, image, last=last)
            for atom in scalars:
                assert atom.expr is not None
                image = self._valued(atom.expr, 0, image, atom.copy)
            parts.append((factor, image))
        return combine(*parts)

    def _compound(self, compound: Compound, z: Form, last: bool) -> Form:
        """What a constraint speaks of as a whole, as one letter."""
        atom = replace(compound.atom, copy=self.algebra.copy if self.algebra.per_step(_expr(compound.atom)) else 0)
        words = f"({atom_text(atom)})" + (".T" if compound.adjoint else "") + (" on the last axis" if last else "")
        known = compound.known.transposed if compound.adjoint else compound.known
        return behind((self.letters.operator(words, known, Linear(atom, compound.adjoint, last)),), z)

    def push(self, letter: Letter, z: Form, *, last: bool = False) -> Form:
        """One letter applied to a difference."""
        atom = letter.atom
        if atom.kind == "scalar":
            assert atom.expr is not None
            return self._valued(atom.expr, 0, z, atom.copy)
        words = atom_text(atom) + (".T" if letter.adjoint else "") + (" on the last axis" if last else "")
        if atom.kind == "entries":
            assert atom.expr is not None
            recipe = Value(atom.expr, 0, atom.copy, last)
            inside = self.range(atom.expr)
            if inside.lower is None and inside.upper is None:
                raise NoRelation(f"the entries of `{text(atom.expr)}` are not bounded")
            return behind((self.letters.factor(words, inside, recipe, f"entries of {text(atom.expr)}"),), z)
        known = self.facts.known(letter)
        return behind((self.letters.operator(words, known, Linear(atom, letter.adjoint, last)),), z)

    def spread(self, z: Form, shape: Shape, target: Shape) -> Form:
        """A scalar's difference at every entry of a tensor: the adjoint of summing all entries."""
        if shape == target or not z:
            return z
        return self.push(Letter(self.algebra.total(target, None), True), z)


def taken(compound: Compound, polynomial: Polynomial, algebra: Algebra) -> Fraction:
    """How often a compound stands in a polynomial, from which it is taken away; zero where it does not."""
    terms = {_copied(key, algebra): c for key, c in compound.polynomial.items()}
    first = next(iter(terms))
    factor = polynomial.get(first, Fraction(0)) / terms[first]
    if not factor or any(polynomial.get(key) != factor * c for key, c in terms.items()):
        return Fraction(0)
    for key in terms:
        del polynomial[key]
    return factor


def _copied(key: Monomial, algebra: Algebra) -> Monomial:
    """The same monomial with the copies of weights of the step that is read."""

    def moved(atom: Atom) -> Atom:
        per_step = atom.expr is not None and algebra.per_step(atom.expr)
        return replace(atom, copy=algebra.copy if per_step else 0)

    scalars, word = key
    return tuple(map(moved, scalars)), tuple(Letter(moved(x.atom), x.adjoint) for x in word)


def _expr(atom: Atom) -> Expr:
    assert atom.expr is not None
    return atom.expr


__all__ = ["Reader", "unit"]
