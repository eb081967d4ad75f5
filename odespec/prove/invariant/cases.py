"""What has to be shown of each entry so that relations stay true: inequalities between polynomials on boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Real
from odespec.ir.expr import Expr, full, substitute
from odespec.ir.intervals import root_above
from odespec.ir.model import Model, Relation
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.invariant import polynomial as poly
from odespec.prove.invariant.bernstein import Tree, bounds, nonnegative
from odespec.prove.invariant.differences import Curved, differences
from odespec.prove.invariant.normal import normal
from odespec.prove.invariant.polynomial import ONE, Polynomial, Quotient, put, whole
from odespec.prove.invariant.reader import Bounds, Reader, Strategy, Variable, numeric
from odespec.prove.invariant.rows import Operators
from odespec.prove.invariant.smooth import locally_lipschitz
from odespec.records import dataclass

ROOM = Fraction(1, 1000)
"""Of an implicit stage that is beyond its bounds by v, its equation must be missed by this part of v."""

DIRECT = ("state", "sum", "min", "max", "norm", "dot")
"""What a relation speaks of without anything to be solved for."""


class NotShown(Exception):
    """An inequality was not shown; the message says which."""


@dataclass(frozen=True, slots=True)
class Case:
    """One inequality of one entry.

    ``role``: "step" (the new value keeps to ``bound`` on its ``side``), "flow" (on the face where the entry is at the
    bound, ``value`` is its derivative, which does not point outwards), "stage" (a stage that is the farthest beyond the
    bounds, by ``excess``, does not solve its equation), "unique" (see `unique`), "rate" (see `rates`). ``relation`` is
    the number of the relation. ``splits`` and ``positive`` are the splits of the box for the inequality and for the
    bottom, which is at least ``room``.
    """

    role: str
    side: str
    relation: int
    entry: str
    variables: tuple[tuple[str, Variable], ...]
    value: Quotient
    room: Fraction
    bound: Polynomial
    excess: str
    splits: Tree
    positive: Tree


@dataclass(frozen=True, slots=True)
class Setting:
    """What a proof is about. ``relations``: the one that is claimed, then those that are proved with it."""

    program: StepProgram
    operators: Operators
    relations: tuple[Relation, ...]
    flow: bool

    @property
    def model(self) -> Model:
        return self.program.model


def rates(setting: Setting, strategy: Strategy) -> list[Case]:
    """The relation's expression does not change along the field at all. Raises `NotShown` and `TooLarge`."""
    work = _Work(setting, strategy)
    found = []
    for i, rate in enumerate(work.rates(0)):
        if rate.top:
            raise NotShown("the expression changes along the field")
        for side, bound in work._sides(0):
            found.append(work._case("rate", side, 0, i, rate, bound))
    return found


def unique(setting: Setting, strategy: Strategy) -> list[Case]:
    """The equations of a step have exactly one solution, in the norm inf.

    At the entry in which two arguments of ``y - R(y)`` differ most, by ``excess``, its values differ by at least `ROOM`
    of that: the map is a bijection. Raises `NotShown` and `TooLarge`.
    """
    return [
        c for group in setting.program.solves for c in _Work(setting, strategy).unique(group.unknowns, group.values)
    ]


def cases(setting: Setting, strategy: Strategy, solve: bool) -> list[Case]:
    """Every case of a proof by this strategy. Raises `NotShown` and `TooLarge`.

    ``solve``: the equations of implicit stages are solved for their own entry.
    """
    work = _Work(setting, strategy)
    found: list[Case] = []
    if setting.flow:
        work.lipschitz()
        return [c for k in range(len(setting.relations)) for c in work.faces(k)]
    found += work.stages(solve)
    for k in range(len(setting.relations)):
        found += work.steps(k)
    return found


class _Work:
    """The reading of one step, or of the field, and what was put in place of its variables."""

    def __init__(self, setting: Setting, strategy: Strategy) -> None:
        self.setting = setting
        self.strategy = strategy
        self.reader = Reader(setting.operators, {}, strategy)
        self.put: dict[str, Quotient] = {}
        self.operands = self._normal([r.operand for r in setting.relations])
        self.bounds = tuple(self._bounds(r) for r in setting.relations)
        named = ("state",) if strategy.explicit else DIRECT
        direct = [k for k, e in enumerate(self.operands) if e.op in named]
        for k in direct:
            self.reader.known[self.operands[k]] = _both(self.reader.known.get(self.operands[k]), self.bounds[k])
        for k, e in enumerate(self.operands):
            for state, implied in _implied(e, self.bounds[k]):
                self.reader.known[state] = _both(self.reader.known.get(state), implied)
        for k in range(len(self.operands)):
            if k not in direct:
                self._eliminate(k)

    def _normal(self, roots: Sequence[Expr]) -> tuple[Expr, ...]:
        return normal(roots, self.strategy.spread, self.setting.operators.column_sum)

    # --- what is known before the step -------------------------------------------

    def _bounds(self, relation: Relation) -> Bounds:
        """The bounds of a relation as polynomials in what they name."""
        if relation.quantity == "norm" and relation.p == "inf":
            top = self._side(relation.upper)
            if relation.lower is not None and relation.lower != 0:
                raise NotShown("a lower bound of a norm")
            return Bounds(None if top is None else poly.scaled(-1, top), top, _shared(relation.upper))
        if relation.quantity != "entries":
            raise NotShown(f"the {relation.quantity} of an expression")
        low, high = self._side(relation.lower), self._side(relation.upper)
        shared = _shared(relation.lower) and _shared(relation.upper)
        if low is not None and high is not None and low != high and poly.names(low, high):
            width_known = nonnegative(poly.minus(high, low), self.reader.ranges)[0]
            if not width_known:
                width = self.reader.fresh("width", Interval(Fraction(0), None), "the upper bound less the lower one")
                high = poly.plus(low, width)
        return Bounds(low, high, shared)

    def _side(self, side: Real | Expr | None) -> Polynomial | None:
        if side is None:
            return None
        if not isinstance(side, Expr):
            return self.reader.constant(side)
        entries = self.reader.read(self._normal((side,))[0])
        if any(q.bottom != ONE for q in entries) or len(entries) != 1:
            raise NotShown("a bound that is no polynomial")
        return entries[0].top

    def _eliminate(self, k: int) -> None:
        """Use a relation on a linear expression: one state's entry by the expression's value and the others."""
        bounds_k, e = self.bounds[k], self.operands[k]
        for i, q in enumerate(self.reader.read(e)):
            q = put(q, self.put)
            pivot = self._pivot(q)
            if pivot is None:
                continue
            c = poly.number(poly.coefficients(q.top, pivot)[1]) or Fraction(1)
            value = self.reader.between(f"value {k}[{i}]", bounds_k, "the value of a relation's expression")
            rest = poly.coefficients(q.top, pivot)[0]
            solved = whole(poly.scaled(1 / c, poly.minus(value, rest)))
            self.put = {n: put(v, {pivot: solved}) for n, v in self.put.items()} | {pivot: solved}

    def _own_names(self, leaf: Expr) -> set[str]:
        return poly.names(*(q.top for q in self.reader.read(leaf)))

    def _pivot(self, q: Quotient) -> str | None:
        """A variable without bounds of its own that is a linear term with a number before it."""
        for name in sorted(poly.names(q.top)) if q.bottom == ONE else ():
            inside = self.reader.variables[name].inside
            free = inside.lower is None and inside.upper is None and poly.degree(q.top, name) == 1
            if free and poly.number(poly.coefficients(q.top, name)[1]):
                return name
        return None

    # --- the step ------------------------------------------------------------------

    def steps(self, k: int) -> Iterator[Case]:
        leaves = state_leaves(self.setting.model)
        after = substitute(
            (self.setting.relations[k].operand,), dict(zip(leaves, self.setting.program.update, strict=True))
        )
        for i, q in enumerate(self.reader.read(self._normal(after)[0])):
            for side, bound in self._sides(k):
                yield self._case("step", side, k, i, put(q, self.put), bound)

    def _sides(self, k: int) -> list[tuple[str, Polynomial]]:
        found = [("lower", self.bounds[k].lower), ("upper", self.bounds[k].upper)]
        return [(side, b) for side, b in found if b is not None]

    def _case(self, role: str, side: str, k: int, i: int, q: Quotient, bound: Polynomial, excess: str = "") -> Case:
        """The case with its proof. Raises `NotShown`."""
        gap = inequality(role, side, q, bound, excess)
        ranges = self.reader.ranges
        good, splits = nonnegative(gap, ranges)
        name = f"{role} of relation {k}, entry {i}, {side} side"
        if not good:
            raise NotShown(name)
        least = Fraction(1) if q.bottom == ONE else bounds(q.bottom, ranges).lower
        if least is None or least <= 0:
            raise NotShown(f"{name}: a denominator")
        room = Fraction(1) if least >= 1 else Fraction(1, (2 / least).__ceil__())
        positive = nonnegative(poly.minus(q.bottom, poly.constant(room)), ranges)
        if not positive[0]:
            raise NotShown(f"{name}: a denominator")
        used = sorted(poly.names(gap, q.top, q.bottom, bound))
        variables = tuple((n, self.reader.variables[n]) for n in used)
        return Case(role, side, k, str(i), variables, q, room, bound, excess, splits, positive[1])

    # --- implicit stages -----------------------------------------------------------

    def stages(self, solve: bool) -> list[Case]:
        """Every stage keeps to the bounds of its state: the one that is farthest beyond them is nowhere."""
        found: list[Case] = []
        named = {e.data: k for k, e in enumerate(self.operands) if e.op == "state"}
        states = self.setting.model.states
        for group in self.setting.program.solves:
            owners = {u: named.get(states[_number(u) % len(states)].name) for u in group.unknowns}
            found += self._beyond(group.unknowns, group.values, owners)
            for u, k in owners.items():
                if k is not None:
                    self.reader.known[u] = self.bounds[k]
            if solve:
                self._solved(group.unknowns, group.values)
        return found

    def _beyond(
        self, unknowns: Sequence[Expr], values: Sequence[Expr], owners: dict[Expr, int | None]
    ) -> Iterator[Case]:
        """With all stages of a group within their bounds moved outward by ``excess``."""
        other = _Work(self.setting, self.strategy)
        other.reader.known |= {n: b for n, b in self.reader.known.items() if n.op == "stage"}
        name = poly.names(
            excess := other.reader.fresh("excess", Interval(Fraction(0), None), "the largest excess")
        ).pop()
        for u, k in owners.items():
            if k is None:
                continue
            known = other.bounds[k]
            low = None if known.lower is None else poly.minus(known.lower, excess)
            high = None if known.upper is None else poly.plus(known.upper, excess)
            other.reader.known[u] = Bounds(low, high, known.shared)
        for u, value in zip(unknowns, self._normal(values), strict=True):
            k = owners[u]
            if k is None:
                continue
            own = other.reader.read(u)
            for i, q in enumerate(other.reader.read(value)):
                for side, bound in other._sides(k):
                    yield other._at_bound(k, i, put(q, other.put), side, bound, own[i], excess, name)

    def _at_bound(
        self, k: int, i: int, q: Quotient, side: str, bound: Polynomial, own: Quotient, excess: Polynomial, name: str
    ) -> Case:
        """The stage's own entry moved to where it is beyond the bound by ``excess``."""
        place = poly.plus(bound, excess) if side == "upper" else poly.minus(bound, excess)
        fixed = self._fixed(own, side, place)
        return self._case("stage", side, k, i, put(q, fixed), bound, name)

    def _fixed(self, own: Quotient, side: str, place: Polynomial) -> dict[str, Quotient]:
        """What to put in place of the variable of an entry so that it is at an end of its bounds."""
        for name in sorted(poly.names(own.top)):
            if name.startswith("place of "):
                return {name: whole(poly.constant(1 if side == "upper" else 0))}
            if name.startswith("distance of "):
                return {name: whole({})}
        return {name: whole(place) for name in poly.names(own.top)}

    def unique(self, unknowns: Sequence[Expr], values: Sequence[Expr]) -> Iterator[Case]:
        try:
            found, slopes = differences(values, unknowns)
        except Curved as reason:
            raise NotShown(f"the differences of {reason}") from None
        excess = self.reader.fresh("excess", Interval(Fraction(0), None), "the largest difference")
        self.reader.known = {e: numeric(inside) for e, inside in slopes.items()}
        self.reader.known |= {u: Bounds(poly.scaled(-1, excess), excess) for u in unknowns}
        for u, value in zip(unknowns, self._normal(found), strict=True):
            own = self.reader.read(u)
            for i, q in enumerate(self.reader.read(value)):
                for side in ("lower", "upper"):
                    fixed = self._fixed(own[i], side, excess)
                    yield self._case("unique", side, 0, i, put(q, fixed), {}, "excess")

    def _solved(self, unknowns: Sequence[Expr], values: Sequence[Expr]) -> None:
        """Put solutions in place of the stages' own entries, where their equations are linear in them."""
        equations: dict[str, Quotient] = {}
        for u, value in zip(unknowns, self._normal(values), strict=True):
            for own, q in zip(self.reader.read(u), self.reader.read(value), strict=True):
                if own.bottom == ONE and len(own.top) == 1 and len(names := poly.names(own.top)) == 1:
                    equations[names.pop()] = put(q, self.put)
        for name in sorted(equations):
            q = put(equations[name], self.put)
            if poly.degree(q.top, name) > 1 or poly.degree(q.bottom, name) > 0:
                continue
            parts = poly.coefficients(q.top, name)
            bottom = poly.minus(q.bottom, parts[1]) if len(parts) > 1 else q.bottom
            if self.reader.sign(bottom) > 0:
                solution = Quotient(parts[0], bottom)
                self.put = {n: put(v, {name: solution}) for n, v in self.put.items()} | {name: solution}

    def lipschitz(self) -> None:
        """Raises `NotShown` where solutions may not be unique."""
        known = {e: b.inside for e, b in self.reader.known.items()}
        known = {**self.setting.operators.knowledge.intervals._known, **known}
        if not locally_lipschitz(self.setting.model.field, known):
            raise NotShown("a field that may not be Lipschitz")

    # --- the flow ------------------------------------------------------------------

    def faces(self, k: int) -> Iterator[Case]:
        """On each face the derivative of the entry does not point outwards (Nagumo 1942)."""
        found = self.rates(k)
        own = self.reader.read(self.operands[k])
        for i, rate in enumerate(found):
            for side, bound in self._sides(k):
                if self.operands[k] in self.reader.known:
                    fixed = self._fixed(own[i], side, bound)
                else:
                    fixed = {n: whole(bound) for n in self.reader.variables if n == f"value {k}[{i}]"}
                yield self._case("flow", side, k, i, put(put(rate, self.put), fixed), bound)

    def rates(self, k: int) -> list[Quotient]:
        """The derivatives along the field of the entries of a linear expression."""
        relation, model = self.setting.relations[k], self.setting.model
        leaves = state_leaves(model)
        zero = {leaf: full(0, leaf.shape) for leaf in leaves}
        along, still = (
            self._normal(substitute((relation.operand,), values))[0]
            for values in (dict(zip(leaves, model.field, strict=True)), zero)
        )
        self._linear(k)
        constant = self.reader.read(still)
        minus = whole(poly.constant(-1))
        return [poly.total((q, poly.product(minus, constant[i]))) for i, q in enumerate(self.reader.read(along))]

    def _linear(self, k: int) -> None:
        """Raises `NotShown` where a relation's expression is not linear in the states."""
        e = self.operands[k]
        if e.op in ("state", "sum"):
            return
        if e.op in DIRECT:
            raise NotShown("an expression that is not linear in the states")
        states = {n for leaf in state_leaves(self.setting.model) for n in self._own_names(leaf)}
        for q in self.reader.read(e):
            if q.bottom != ONE or any(sum(p for n, p in m if n in states) > 1 for m in q.top):
                raise NotShown("an expression that is not linear in the states")


def inequality(role: str, side: str, q: Quotient, bound: Polynomial, excess: str) -> Polynomial:
    """What must not be negative."""
    sign = 1 if side == "upper" else -1
    if role in ("flow", "rate"):
        return poly.scaled(-sign, q.top)
    gap = poly.scaled(sign, poly.minus(poly.times(bound, q.bottom), q.top))
    if role in ("stage", "unique"):
        gap = poly.plus(gap, poly.scaled(1 - ROOM, poly.times(poly.variable(excess), q.bottom)))
    return gap


def _implied(e: Expr, known: Bounds) -> list[tuple[Expr, Bounds]]:
    """What a relation on a function of one state says of the state's entries."""
    if not e.args or e.args[0].op != "state":
        return []
    high = known.upper
    if e.op == "max":
        return [(e.args[0], Bounds(None, high))]
    if e.op == "min":
        return [(e.args[0], Bounds(known.lower, None))]
    if e.op == "act" and e.data == ("abs", ()) and high is not None:
        return [(e.args[0], Bounds(poly.scaled(-1, high), high, known.shared))]
    top = None if high is None else poly.number(high)
    even = (e.op == "pow" and e.data == 2) or (e.op == "act" and e.data == ("square", ()))
    if even and top is not None and top >= 0:
        size = root_above(top)
        return [(e.args[0], numeric(Interval(-size, size)))]
    return []


def _both(old: Bounds | None, new: Bounds) -> Bounds:
    """The tighter of two bounds of one node, as far as they are numbers; else the later ones."""
    if old is None:
        return new

    def tighter(a: Polynomial | None, b: Polynomial | None, sign: int) -> Polynomial | None:
        if a is None or b is None:
            return b if a is None else a
        x, y = poly.number(a), poly.number(b)
        if x is None or y is None:
            return a
        return a if sign * x < sign * y else b

    return Bounds(tighter(old.lower, new.lower, -1), tighter(old.upper, new.upper, 1), old.shared and new.shared)


def _shared(side: Real | Expr | None) -> bool:
    return not isinstance(side, Expr) or side.shape == ()


def _number(unknown: Expr) -> int:
    assert isinstance(unknown.data, int)
    return unknown.data
