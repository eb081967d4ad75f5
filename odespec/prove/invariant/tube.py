"""Relations that hold over the steps that there are, though a step alone does not keep them: boxes, step by step."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Undecided, enclose
from odespec.ir.expr import TIME, Expr, depends_on, substitute
from odespec.ir.intervals import REAL, hull, meet
from odespec.ir.model import Claim, Model, Relation
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.invariant import polynomial as poly
from odespec.prove.invariant.bernstein import bounds, nonnegative
from odespec.prove.invariant.cases import Case, inequality
from odespec.prove.invariant.normal import normal
from odespec.prove.invariant.polynomial import ONE, Quotient, TooLarge
from odespec.prove.invariant.prove import OPERATIONS, per_step, setting_of
from odespec.prove.invariant.reader import Reader, Strategy, numeric
from odespec.prove.invariant.rows import Operators
from odespec.prove.relate.intervals import Intervals, lower, upper
from odespec.records import dataclass

MAX_STEPS = 64
LONGEST = 160
"""Ends with more bits are rounded outward."""
Box = tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Tube:
    """``boxes[k]`` encloses the entries of every state after k steps; ``cases`` are pairs (step, case).

    In a case the relation 0 is the one that is claimed, and j + 1 that of state j with its box after the step.
    """

    boxes: tuple[Box, ...]
    cases: tuple[tuple[int, Case], ...]


def prove_tube(program: StepProgram, claim: Claim) -> Tube | None:
    """A proof by boxes; None where it gives none."""
    relation = claim.relation
    assert relation is not None
    good = relation.quantity == "entries" or (relation.quantity == "norm" and relation.p == "inf")
    if not good or program.solves or program.steps > MAX_STEPS or per_step(program.model, relation):
        return None
    if isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
        return None
    poly.allow(OPERATIONS)
    for spread in (True, False):
        for slopes in (False, True):
            try:
                found = _tube(program, relation, Strategy(spread, slopes))
            except (TooLarge, Undecided):
                continue
            if found is not None:
                return found
    return None


def _tube(program: StepProgram, relation: Relation, strategy: Strategy) -> Tube | None:
    model = program.model
    known = sides(relation)
    boxes = [tuple(met(model, relation, known, start_box(model)))]
    found: list[tuple[int, Case]] = []
    for k in range(program.steps):
        step = _Step(program, k, boxes[-1], strategy)
        mine = step.of(relation.operand, 0, known)
        if mine is None:
            return None
        found += [(k, c) for c in mine]
        after = step.box()
        after = tuple(met(model, relation, known, after))
        for j, inside in enumerate(after):
            leaf = state_leaves(model)[j]
            own = step.of(leaf, j + 1, inside)
            if own is None:
                return None
            found += [(k, c) for c in own]
        boxes.append(after)
    return Tube(tuple(boxes), tuple(found))


def sides(relation: Relation) -> Interval:
    """The bounds of a relation's entries, which must be rational to be stated."""
    low, high = (None if b is None else enclose(b)[k] for k, b in ((1, relation.lower), (0, relation.upper)))  # type: ignore[arg-type]
    return Interval(None if high is None else -high, high) if relation.quantity == "norm" else Interval(low, high)


def met(model: Model, relation: Relation, known: Interval, box: tuple[Interval, ...]) -> list[Interval]:
    """Boxes with the relation, where it speaks of a state itself."""
    return [
        meet(inside, known) if relation.operand == leaf else inside
        for leaf, inside in zip(state_leaves(model), box, strict=True)
    ]


def start_box(model: Model) -> tuple[Interval, ...]:
    """Enclosures of the entries of all states at the start."""
    fixed = Intervals([r for r in (*model.constraints, *model.domains) if not depends_on(r.operand, "state")])
    found: dict[Expr, Interval] = {}
    for r in model.domains:
        if r.operand.op == "state" and r.quantity == "entries":
            found[r.operand] = meet(found.get(r.operand, REAL), Interval(lower(r.lower), upper(r.upper)))
        if r.operand.op == "state" and r.quantity == "norm" and r.upper is not None:
            size = upper(r.upper)
            found[r.operand] = meet(found.get(r.operand, REAL), Interval(None if size is None else -size, size))
    fixed._known.update(found)
    for s, leaf in zip(model.states, state_leaves(model), strict=True):
        if s.initial is not None:
            found[leaf] = fixed.of(s.initial)
            fixed._known[leaf] = found[leaf]
    return tuple(found.get(leaf, REAL) for leaf in state_leaves(model))


class _Step:
    """One step, read from one box."""

    def __init__(self, program: StepProgram, k: int, box: Box, strategy: Strategy) -> None:
        self.program, self.strategy = program, strategy
        self.at = enclose(program.start + program.h * k)
        setting = setting_of(replace(program, start=program.start + program.h * k), (), False)
        self.operators: Operators = setting.operators
        self.operators.knowledge.intervals._known[TIME] = Interval(*self.at)
        leaves = state_leaves(program.model)
        self.reader = Reader(self.operators, {}, strategy)
        self.reader.known.update({leaf: numeric(b) for leaf, b in zip(leaves, box, strict=True)})
        self.after = dict(zip(leaves, program.update, strict=True))

    def _entries(self, operand: Expr) -> tuple[Quotient, ...]:
        after = substitute((operand,), self.after)
        return self.reader.read(normal(after, self.strategy.spread, self.operators.column_sum)[0])

    def box(self) -> Box:
        """What encloses the states after the step."""
        found = []
        for leaf in self.after:
            inside = None
            for q in self._entries(leaf):
                own = self.reader.inside(q)
                inside = own if inside is None else hull(inside, own)
            found.append(_short(inside or REAL))
        return tuple(found)

    def of(self, operand: Expr, number: int, inside: Interval) -> list[Case] | None:
        """The cases that keep an expression within numbers after the step; None where one is not shown."""
        found = []
        ranges = self.reader.ranges
        for i, q in enumerate(self._entries(operand)):
            ranges = self.reader.ranges
            least = Fraction(1) if q.bottom == ONE else bounds(q.bottom, ranges).lower
            if least is None or least <= 0:
                return None
            room = Fraction(1) if least >= 1 else Fraction(1, (2 / least).__ceil__())
            positive = nonnegative(poly.minus(q.bottom, poly.constant(room)), ranges)
            for side, end in (("lower", inside.lower), ("upper", inside.upper)):
                if end is None:
                    continue
                bound = poly.constant(end)
                gap = inequality("step", side, q, bound, "")
                good, splits = nonnegative(gap, ranges)
                if not good or not positive[0]:
                    return None
                used = sorted(poly.names(gap, q.top, q.bottom))
                variables = tuple((n, self.reader.variables[n]) for n in used)
                found.append(Case("step", side, number, str(i), variables, q, room, bound, "", splits, positive[1]))
        return found


def _short(x: Interval) -> Interval:
    """Long numbers rounded outward."""

    def end(value: Fraction | None, up: bool) -> Fraction | None:
        if value is None or value.numerator.bit_length() + value.denominator.bit_length() <= LONGEST:
            return value
        scaled = value * 2**64
        return Fraction(scaled.__ceil__() if up else scaled.__floor__(), 2**64)

    return Interval(end(x.lower, False), end(x.upper, True))
