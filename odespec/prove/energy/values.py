"""Reads expressions with the values of one run: every tensor is a vector, every factor of a product an operator.

A problem about one run is one about its distance from the origin, so that what the relations of differences say of two
runs holds here of one: an activation with s(0) = 0 has its slopes against zero. More is true: a factor that depends on
the state is one operator, the same wherever it stands, symmetric where it multiplies entries.

Constants are multiples of the number one, a vector of a space of one dimension; a number c is ``c * one``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from odespec.activations import ACTIVATIONS, named
from odespec.exact import enclose
from odespec.exact import power as real_power
from odespec.ir.differentiate import gradient
from odespec.ir.expr import Expr, add, const, full, leaf, substitute, total
from odespec.prove.energy.curvature import curvature
from odespec.prove.energy.factors import Monomial, monomials
from odespec.prove.energy.onerun import OneRun
from odespec.prove.energy.rules import READS, RULES, fresh, nothing
from odespec.prove.energy.sums import Sums
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Relation, Vector
from odespec.prove.relate.bounds import MAX_NORM2, Knowledge
from odespec.prove.relate.operators import Letter
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.recipes import Value
from odespec.prove.relate.rules import spread
from odespec.prove.relate.symbols import Step
from odespec.prove.relate.words import text
from odespec.records import dataclass

ONE, HALF = Fraction(1), Fraction(1, 2)
ONE_EXPR = const(1)
ZERO_VALUES = {"sigmoid": HALF, "cos": ONE, "exp": ONE}
"""Values at zero that are not zero. Others are zero there, or not rational and not used."""

MAX_PAIRS = MAX_POINTS = 12
MAX_BALANCED = 24


@dataclass(frozen=True, slots=True)
class Point:
    """An elementwise potential at an argument: its sum over all entries is ``<one, value>``, its slope ``slope``."""

    argument: Vector
    slope: Vector
    value: Vector


class ValueReader(Reader):
    """``values`` reads expressions in leaves ``state``, ``stage``, ``param``, ``input``, ``time``."""

    def __init__(self, knowledge: Knowledge, sums: Sums, *, rounded: bool = False) -> None:
        super().__init__(knowledge)
        self.sums = sums
        self.symbols = OneRun(self.algebra, sums, rounded=rounded)
        self.symbols.on_step = self._on_step
        self.symbols.on_remainder = self._on_remainder
        self.one = self.symbols.new("1", (), Value(const(1)))
        self._values: dict[Expr, Vector] = {}
        self._activations: dict[Expr, Vector] = {}
        self._potentials: dict[Expr, dict[Expr, Vector]] = {}

    def _on_step(self, step: Step) -> None:
        """A diagonal matrix multiplies entries too."""
        super()._on_step(step)
        atom = step.letter.atom
        if atom.kind == "matrix" and atom.expr in self.sums.diagonal and not step.last:
            facts = self.knowledge.facts(atom)
            if facts.low is not None or facts.high is not None:
                p = ((step.child, ONE),)
                self.chains.add(step.parent, p, facts.low, facts.high, "entries of a diagonal matrix", implied=True)

    # --- walking ---------------------------------------------------------------

    def values(self, roots: Iterable[Expr]) -> tuple[Vector, ...]:
        """The vectors of expressions."""
        roots = tuple(roots)
        self.knowledge.intervals.cover(roots)
        pending = [(r, False) for r in reversed(roots)]
        while pending:
            node, ready = pending.pop()
            if node in self._values:
                continue
            wants = self._wants(node)
            if ready or not wants:
                self._values[node] = self._value(node)
            else:
                pending.append((node, True))
                pending.extend((w, False) for w in reversed(wants))
        return tuple(self._values[r] for r in roots)

    def _wants(self, node: Expr) -> tuple[Expr, ...]:
        """What a node's vector is made of."""
        if node.op in ("mul", "div", "pow"):
            return tuple(m.vector for m in monomials(node) or () if m.vector is not None and m.vector != node)
        return READS.get(node.op, nothing)(node)

    def _value(self, node: Expr) -> Vector:
        if node.op in ("mul", "div", "pow"):
            return self._product(node)
        return RULES.get(node.op, fresh)(self, node)

    def place(self, node: Expr, name: str) -> Vector:
        """A leaf as a vector of that name."""
        self._values[node] = self.symbols.new(name, node.shape, Value(node))
        return self._values[node]

    def of(self, node: Expr) -> Vector:
        """The vector of a node that has been read."""
        return self._values[node]

    def fresh(self, node: Expr) -> Vector:
        """A new vector of which nothing is known."""
        return self.symbols.new(text(node, 24), node.shape, Value(node))

    def number(self, scalar: Expr) -> Vector:
        """A scalar expression as a multiple of the number one."""
        return self.symbols.apply(self.algebra.polynomial(scalar), self.one)

    def ones(self, node: Expr) -> Vector:
        """The tensor of ones of a node's shape."""
        return spread(self, self.one, (), node.shape)

    def balance(self, x: Vector, y: Vector) -> None:
        """Make the multiples of each vector by the scalars of the other: ``<s x, W y>`` is ``<x, s W y>``."""
        for one, other in ((x, y), (y, x)):
            for bag in dict.fromkeys(self.symbols.items[i].key[1] for i, _ in one):
                scaled = other
                for atom in bag if len(self.symbols.items) < MAX_BALANCED else ():
                    scaled = self.symbols.scale(atom, scaled)

    # --- products ----------------------------------------------------------------

    def _product(self, node: Expr) -> Vector:
        parts = monomials(node)
        if parts is None or any(m.vector == node for m in parts):
            return fresh(self, node)
        return combine(*((ONE, self._monomial(node, m)) for m in parts))

    def _monomial(self, node: Expr, m: Monomial) -> Vector:
        vector = self.ones(node) if m.vector is None else spread(self, self.of(m.vector), m.vector.shape, node.shape)
        for e in m.factors:
            vector = self.symbols.push(Letter(self.algebra.entries(e)), vector)
        for s in m.scalars:
            vector = self.symbols.apply(self.algebra.polynomial(s), vector)
        return combine((m.number, vector))

    # --- functions -----------------------------------------------------------------

    def activation(self, node: Expr) -> Vector:
        """An elementwise function: its value at zero, and what has its slopes against zero."""
        name, parameters = named(node)
        entry, z = ACTIVATIONS[name], self.of(node.args[0])
        inside = self.range(node.args[0])
        at_zero = _at_zero(name, parameters)
        if at_zero is None:
            result = self.fresh(node)
        else:
            slope = entry.slope_on(_least(inside.lower), _most(inside.upper), parameters)
            rest = add(node, full(-at_zero, node.shape)) if at_zero else node
            why = f"slopes of {name} from zero"
            moved = self.sloped(text(node, 24), node.shape, Value(rest), z, slope, why)
            result = combine((ONE, moved), *([(at_zero, self.ones(node))] if at_zero else []))
        self._activations[node] = result
        return result

    def layernorm(self, node: Expr) -> Vector:
        """``x / sqrt(var + eps)`` with x centred is zero at zero and monotone."""
        p = self.fresh(node)
        high = enclose(real_power(node.data[1], Fraction(-1, 2)))[1]  # type: ignore[index]
        if high**2 <= MAX_NORM2:
            z = self.of(node.args[0])
            numbers = (("a", Fraction(0)), ("b", high))
            self.own.append(Relation("sector", (("z", (z,)), ("p", (p,))), numbers, "layernorm from zero"))
        return p

    # --- potentials ------------------------------------------------------------------

    def potential(self, node: Expr, argument: Expr) -> Vector:
        """The number ``sum(node)``, node an elementwise function of its argument; its convexity is kept in mind."""
        z = leaf("stage", "z", argument.shape)
        (template,) = substitute((node,), {argument: z})
        points = self._potentials.setdefault(template, {})
        if argument not in points:
            self.values((argument, _slope(template, argument)))
            points[argument] = self.symbols.new(f"sum({text(node, 20)})", (), Value(total(node)))
        return points[argument]

    def _points(self, template: Expr, known: dict[Expr, Vector]) -> list[Point]:
        """The points of one potential: where its value is asked for, and where the field has its slope."""
        z = leaf("stage", "z", template.shape)
        arguments = dict.fromkeys(known)
        for e in list(self._activations):
            if e.shape == template.shape and _slope(template, e.args[0]) == e:
                arguments.setdefault(e.args[0])
        points = []
        for e in list(arguments)[:MAX_POINTS]:
            (node,) = substitute((template,), {z: e})
            argument, slope = self.values((e, _slope(template, e)))
            points.append(Point(argument, slope, self.potential(node, e)))
        return points

    # --- what is known -----------------------------------------------------------------

    def relations(self, steps: int = 1) -> list[Relation]:
        """Everything that is known of the vectors."""
        potentials = [r for template, known in list(self._potentials.items()) for r in self._convex(template, known)]
        self.own += [*potentials, *self._monotone(), *self._ranges(), *self._same_products()]
        return super().relations(steps)

    def _convex(self, template: Expr, known: dict[Expr, Vector]) -> list[Relation]:
        inside = curvature(template, self.range)
        points = self._points(template, known)
        if inside.lower is None or len(points) < 2:
            return []
        room = None if inside.upper is None else inside.upper - inside.lower
        if room == 0:
            return []
        numbers = (("a", inside.lower), ("k", Fraction(0) if room is None else 1 / room))
        vectors = (
            ("o", (self.one,)),
            ("y", tuple(p.argument for p in points)),
            ("s", tuple(p.slope for p in points)),
            ("w", tuple(p.value for p in points)),
        )
        (first,) = substitute((template,), {leaf("stage", "z", template.shape): next(iter(known))})
        name = text(first, 24)
        return [Relation("potential", vectors, numbers, f"curvature of {name} in [{inside.lower}, {inside.upper}]")]

    def _ranges(self) -> list[Relation]:
        """Where the tensor of ones is spoken of: no entry of an activation leaves its range."""
        found = []
        for node, p in self._activations.items():
            key = (self.one[0][0], (), (Letter(self.algebra.total(node.shape, None), True),), ())
            inside, ones = self.range(node), self.symbols.index.get(key)
            if ones is None or not node.shape:
                continue
            unit: Vector = ((ones, ONE),)
            for end, sign in ((inside.lower, 1), (inside.upper, -1)):
                if end is not None:
                    g = combine((sign, p), (-sign * end, unit))
                    found.append(Relation("facets", (("f", (unit,)), ("g", (g,))), (), f"range of {text(node, 24)}"))
        return found

    def _monotone(self) -> list[Relation]:
        """Slopes of an activation between two of its arguments."""
        groups: dict[tuple[object, ...], list[Expr]] = {}
        for node in self._activations:
            groups.setdefault((node.data, node.shape), []).append(node)
        found = []
        for nodes in groups.values():
            for i, second in enumerate(nodes[:MAX_PAIRS]):
                found += [r for first in nodes[:i] for r in self._between(first, second)]
        return found

    def _between(self, first: Expr, second: Expr) -> list[Relation]:
        name, parameters = named(first)
        slope = ACTIVATIONS[name].slope(parameters)
        z = combine((1, self.of(second.args[0])), (-1, self.of(first.args[0])))
        p = combine((1, self._activations[second]), (-1, self._activations[first]))
        why = f"slopes of {name} between two arguments"
        if slope.lower is None or not z:
            return []
        if slope.upper is None:
            return [Relation("facets", (("f", (z,)), ("g", (combine((1, p), (-slope.lower, z)),))), (), why)]
        return [Relation("sector", (("z", (z,)), ("p", (p,))), (("a", slope.lower), ("b", slope.upper)), why)]

    def _same_products(self) -> list[Relation]:
        """``<x * y, z> = <x, y * z>``: inner products of elementwise products with the same factors."""
        bags = {i: bag for i in range(len(self.symbols.items)) if (bag := self._factors(i)) is not None}
        groups: dict[tuple[object, ...], list[tuple[int, int]]] = {}
        for i, first in bags.items():
            for j, second in bags.items():
                shape = self.symbols.items[i].shape
                if i <= j and shape == self.symbols.items[j].shape:
                    whole = Counter(first)
                    whole.update(second)  # adds, and keeps negative counts
                    key = frozenset((e, n) for e, n in whole.items() if n), shape
                    groups.setdefault(key, []).append((i, j))
        found = []
        for pairs in groups.values():
            (u, q), *others = pairs
            for v, p in others[:MAX_PAIRS]:
                named = [(n, (((i, ONE),),)) for n, i in zip("uvpq", (u, v, p, q), strict=True)]
                found.append(Relation("adjoint", tuple(named), (), "the same elementwise product"))
        return found

    def _factors(self, i: int) -> Counter[Expr] | None:
        """The factors of a vector that is an elementwise product, with exponents; of ones there are none."""
        symbol = self.symbols.items[i]
        base, scalars, first, second = symbol.key
        if scalars or second or not symbol.shape:
            return None
        if base == self.one[0][0]:
            ones = len(first) == 1 and first[0].adjoint and first[0].atom.kind == "sum"
            return Counter() if ones else None
        recipe = self.symbols.items[base].recipe
        if not isinstance(recipe, Value) or any(x.atom.kind != "entries" for x in first):
            return None
        found: Counter[Expr] = Counter()
        for e in (recipe.expr, *(x.atom.expr for x in first if x.atom.expr is not None)):
            whole = e.op == "pow" and isinstance(e.data, Fraction) and e.data.denominator == 1
            found[e.args[0] if whole else e] += int(e.data) if whole else 1  # type: ignore[call-overload]
        return found


def _least(x: Fraction | None) -> Fraction | None:
    return None if x is None else min(x, Fraction(0))


def _most(x: Fraction | None) -> Fraction | None:
    return None if x is None else max(x, Fraction(0))


def _at_zero(name: str, parameters: tuple[Fraction, ...]) -> Fraction | None:
    """The value at zero where it is known exactly."""
    import numpy as np

    if name in ZERO_VALUES:
        return ZERO_VALUES[name]
    with np.errstate(all="ignore"):
        return Fraction(0) if float(ACTIVATIONS[name].numpy(np.zeros(1), parameters)[0]) == 0 else None


def _slope(template: Expr, argument: Expr) -> Expr:
    """The derivative of an elementwise function of the leaf z, at an argument."""
    z = leaf("stage", "z", template.shape)
    return substitute((gradient(total(template), z),), {z: argument})[0]
