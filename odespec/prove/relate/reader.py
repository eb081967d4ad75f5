"""Reads expressions with differences of two runs: the walk over the operations, and what it collects on the way."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.activations import Interval
from odespec.ir.expr import Expr, Shape, postorder, power
from odespec.ir.ranges import REAL
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Relation, Vector
from odespec.prove.relate.bounds import MAX_NORM2, Knowledge
from odespec.prove.relate.chains import Chains
from odespec.prove.relate.families import Families
from odespec.prove.relate.operators import Letter, NoRelation
from odespec.prove.relate.recipes import Difference, Recipe, Times
from odespec.prove.relate.rules import difference
from odespec.prove.relate.symbols import Step, Symbols
from odespec.prove.relate.words import text

ONE = Fraction(1)
MAX_FACETS = 500


class Reader:
    """``moving`` has the difference of each leaf that differs; all other leaves are the same in both runs."""

    def __init__(self, knowledge: Knowledge, *, plain: bool = False) -> None:
        self.knowledge = knowledge
        self.algebra = knowledge.algebra
        self.symbols = Symbols(self.algebra, plain=plain)
        self.symbols.on_step = self._on_step
        self.symbols.on_remainder = self._on_remainder
        self.chains = Chains()
        self.own: list[Relation] = []
        self._laws: list[tuple[Vector, Vector, Interval, str]] = []
        self.equations: list[Vector] = []
        self.moving: dict[Expr, Vector] = {}
        self.step = 0
        self._memo: dict[Expr, Vector] = {}
        self._rests: dict[tuple[Expr, int], Vector] = {}

    # --- walking ---------------------------------------------------------------

    def leaf(self, e: Expr, name: str) -> Vector:
        """A new vector for the difference of a leaf."""
        return self.symbols.new(name, e.shape, Difference(e, self.step))

    def begin(self, step: int) -> None:
        """What is read from now on belongs to a step of its own, with the copies of the weights of that step."""
        self.step = self.algebra.copy = step
        self.moving = {}
        self._memo = {}

    def read(self, roots: Iterable[Expr]) -> tuple[Vector, ...]:
        """The differences of expressions. Raises `NoRelation`."""
        roots = tuple(roots)
        self.knowledge.intervals.cover(roots)
        for node in postorder(*roots):
            if node not in self._memo:
                self._memo[node] = self._difference(node)
        return tuple(self._memo[root] for root in roots)

    def _difference(self, node: Expr) -> Vector:
        if not node.args:
            return self.moving.get(node, ())
        args = tuple(self._memo[a] for a in node.args)
        return difference(self, node, args) if any(args) else ()

    # --- what rules need -------------------------------------------------------

    def range(self, e: Expr) -> Interval:
        """Bounds of every entry of an expression, in both runs and at every step."""
        return self.knowledge.intervals.of(e)

    def inverse(self, e: Expr) -> Expr:
        return power(e, Fraction(-1))

    def elementwise(self, node: Expr, z: Vector, slope: Interval, why: str) -> Vector:
        """The difference of an elementwise function with slopes in an interval. Raises `NoRelation` for no interval."""
        if _capped(slope) == REAL:
            raise NoRelation(f"the slope of `{text(node)}` is not bounded")
        return self.sloped(text(node, 24), node.shape, Difference(node, self.step), z, slope, why)

    def sloped(self, name: str, shape: Shape, recipe: Recipe, z: Vector, slope: Interval, why: str) -> Vector:
        """A new vector ``D z``, D diagonal with entries in an interval."""
        slope = _capped(slope)
        if slope.lower is not None and slope.lower == slope.upper:
            return combine((slope.lower, z))
        p = self.symbols.new(name, shape, recipe)
        self.chains.add(z, p, slope.lower, slope.upper, why)
        self._laws.append((z, p, slope, why))
        return p

    def remainder(self, name: str, factor: Expr, i: int) -> Vector:
        """A number in [-1, 1], the value of a scalar expression, times a symbol."""
        if (factor, i) not in self._rests:
            z: Vector = ((i, ONE),)
            symbol = self.symbols.items[i]
            rest = self.symbols.new(f"{name} {symbol.name}", symbol.shape, Times(factor, 0, z, self.step))
            self._rests[factor, i] = rest
            self._on_remainder(z, rest)
        return self._rests[factor, i]

    def gradient(self, node: Expr, z: Vector, high: Fraction, why: str) -> Vector:
        """A new vector ``H z``, H symmetric with eigenvalues in [0, high]."""
        p = self.symbols.new(text(node, 24), node.shape, Difference(node, self.step))
        if high**2 <= MAX_NORM2:
            self.own.append(_sector(z, p, Fraction(0), high, why))
        return p

    def contraction(self, z: Vector, p: Vector, norm2: Fraction, why: str) -> None:
        """``|p|^2 <= norm2 |z|^2``."""
        if norm2 <= MAX_NORM2:
            numbers = (("alpha", norm2), ("beta", Fraction(0)), ("gamma", Fraction(-1)))
            self.own.append(Relation("operator", (("u", (z,)), ("v", (p,))), numbers, why))

    # --- what operators bring --------------------------------------------------

    def _on_step(self, step: Step) -> None:
        """Multiplication by given entries or by a scalar is elementwise too: it may belong to a chain."""
        atom = step.letter.atom
        if atom.expr is not None and atom.expr.op == "exponential":
            return  # its range is in the relations of operators; the products with all of a chain would be too many
        if atom.kind in ("entries", "scalar"):
            facts = self.knowledge.facts(atom)
            if facts.low is not None or facts.high is not None:
                z, p = step.parent, ((step.child, ONE),)
                self.chains.add(z, p, facts.low, facts.high, "entries of a factor", implied=True)

    def _on_remainder(self, z: Vector, rest: Vector) -> None:
        self.own.append(_sector(z, rest, -ONE, ONE, "the remainder of an irrational factor"))

    def _lift(self) -> None:
        """A law ``p = D z`` holds for multiples by a scalar too; it is needed where nothing bounds the scalar."""
        laws = {p[0][0]: (z, slope, why) for z, p, slope, why in self._laws if len(p) == 1}
        done: set[int] = set()
        while new := [(key, i) for key, i in self.symbols.index.items() if i not in done and key[0] in laws]:
            for (base, scalars, first, second), i in new:
                done.add(i)
                if first or second or all(self.knowledge.facts(a).norm2 is not None for a in scalars):
                    continue
                z, slope, why = laws[base]
                for atom in scalars:
                    z = self.symbols.scale(atom, z, expand=True)
                if slope.lower is not None and slope.upper is not None:
                    self.own.append(_sector(z, ((i, ONE),), slope.lower, slope.upper, why))

    def _square(self) -> None:
        """Of a W with singular values in [a, b], ``W.T W`` has eigenvalues in [a^2, b^2], which says more than both ends."""
        for step in list(self.symbols.steps()):
            facts = self.knowledge.facts(step.letter.atom)
            floor2 = facts.cofloor2 if step.letter.adjoint else facts.floor2
            if floor2 and facts.norm2 is not None and facts.gram is None and facts.cogram is None:
                self.symbols.push(
                    Letter(step.letter.atom, not step.letter.adjoint), ((step.child, ONE),), last=step.last
                )

    def relations(self, steps: int = 1) -> list[Relation]:
        """Everything that is known of the vectors, with the equations not yet used."""
        self._lift()
        self._square()
        families = Families(self.symbols, self.knowledge, steps)
        return [*self.own, *_thinned(self.chains.relations()), *families.relations()]


def _thinned(relations: list[Relation]) -> list[Relation]:
    """Where chains are long their products would be too many: the relations of neighbours alone are sound too."""
    if len(relations) <= MAX_FACETS:
        return relations
    return [r for r in relations if r.rule == "sector"]


def _sector(z: Vector, p: Vector, low: Fraction, high: Fraction, why: str) -> Relation:
    return Relation("sector", (("z", (z,)), ("p", (p,))), (("a", low), ("b", high)), why)


def _capped(slope: Interval) -> Interval:
    """Slopes of more than a thousand say too little for the numbers they bring in."""
    ends = (None if x is None or x**2 > MAX_NORM2 else x for x in (slope.lower, slope.upper))
    return Interval(*ends)
