"""Norms of a state by the triangle inequality: the norms of the terms of its new value."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.exact import enclose
from odespec.ir.expr import Expr, postorder
from odespec.ir.intervals import magnitude, root_above
from odespec.ir.model import Claim, Model, Relation
from odespec.ir.ranges import ranges
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.invariant.normal import PRODUCTS, normal
from odespec.prove.invariant.prove import setting_of
from odespec.prove.invariant.rows import Operators
from odespec.prove.invariant.smooth import locally_lipschitz
from odespec.prove.invariant.tube import start_box
from odespec.prove.relate.operators import NoRelation
from odespec.records import dataclass

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Ball:
    """The new state, or its derivative, as ``own`` times the state and ``terms``: (factor, bound of the norm, why)."""

    radius: Fraction
    own: Fraction
    terms: tuple[tuple[Fraction, Fraction, str], ...]


def prove_triangle(program: StepProgram, claim: Claim, flow: bool) -> Ball | None:
    """A proof for a norm of one state by the norms of the terms of its new value; None where it gives none."""
    relation, model = claim.relation, program.model
    assert relation is not None
    good = (
        relation.quantity == "norm" and relation.operand.op == "state" and relation.lower is None and not program.solves
    )
    if not good or not isinstance(relation.upper, Fraction) or relation.upper <= 0:
        return None
    ball = _terms(program, relation, model.field if flow else program.update, relation.upper)
    inside = {relation.operand: Interval(-relation.upper, relation.upper)}
    if ball is None or (flow and not locally_lipschitz(model.field, inside)):
        return None
    rest = sum((abs(c) * size for c, size, _ in ball.terms), ZERO)
    reach = (ball.own if flow else abs(ball.own)) * relation.upper + rest
    return ball if reach <= (0 if flow else relation.upper) else None


def _terms(program: StepProgram, relation: Relation, roots: Sequence[Expr], radius: Fraction) -> Ball | None:
    """The new value of a state, or its derivative, as a sum of terms with their norms while it is in a ball."""
    operand = relation.operand
    operators = setting_of(program, (relation,), roots is program.model.field).operators
    sizes = _Sizes(operators, relation.p, operand, radius)
    root = dict(zip(state_leaves(program.model), roots, strict=True))[operand]
    own, terms = ZERO, []
    for node, factor in combination(normal((root,), True, operators.column_sum)[0]):
        if node == operand:
            own += factor
            continue
        size = sizes.of(node)
        if size is None:
            return None
        terms.append((factor, size, sizes.why(node)))
    return Ball(radius, own, tuple(terms))


def start_radius(model: Model, operand: Expr, p: int | str) -> Fraction | None:
    """A bound of the norm of a state at the start, by the domain or its given initial value."""
    found = [
        enclose(r.upper)[1]
        for r in model.domains
        if r.quantity == "norm"
        and r.p == p
        and r.operand == operand
        and r.upper is not None
        and not isinstance(r.upper, Expr)
    ]
    inside = dict(zip(state_leaves(model), start_box(model), strict=True)).get(operand)
    size = None if inside is None else magnitude(inside)
    if size is not None:
        found.append(size * entries_factor(prod(operand.shape), p))
    return min(found, default=None)


def entries_factor(count: int, p: int | str) -> Fraction:
    """The norm of a vector of ones, rounded up."""
    return root_above(Fraction(count)) if p == 2 else Fraction(count) if p == 1 else ONE


def prove_radii(program: StepProgram, claim: Claim) -> tuple[Ball, ...] | None:
    """Balls for every step that there is, by the triangle inequality, from the start on; None where they grow too large."""
    relation, model = claim.relation, program.model
    assert relation is not None
    good = relation.quantity == "norm" and relation.operand.op == "state" and relation.lower is None
    if not good or program.solves or not isinstance(relation.upper, Fraction) or program.steps > MAX_STEPS:
        return None
    radius = start_radius(model, relation.operand, relation.p)
    balls = []
    for _ in range(program.steps):
        if radius is None or radius > relation.upper:
            return None
        ball = _terms(program, relation, program.update, radius)
        if ball is None:
            return None
        balls.append(ball)
        radius = _short(abs(ball.own) * radius + sum((abs(c) * size for c, size, _ in ball.terms), ZERO))
    return tuple(balls) if radius is not None and radius <= relation.upper else None


MAX_STEPS = 128


def _short(x: Fraction) -> Fraction:
    """The same number, or one a little above it with fewer digits."""
    return x if x.denominator.bit_length() <= 160 else Fraction((x * 2**80).__ceil__(), 2**80)


def combination(root: Expr) -> list[tuple[Expr, Fraction]]:
    """A sum as its terms with rational factors; equal terms are one."""
    factors: dict[Expr, Fraction] = {root: ONE}
    terms: dict[Expr, Fraction] = {}
    for node in reversed(list(postorder(root))):
        factor = factors.pop(node, ZERO)
        if not factor:
            continue
        if node.op == "add" and all(a.shape == node.shape for a in node.args):
            parts = [(a, factor) for a in node.args]
        elif node.op == "mul" and node.args[0].op == "const" and isinstance(node.args[0].data, Fraction):
            parts = [(node.args[1], factor * node.args[0].data)]
        else:
            terms[node] = terms.get(node, ZERO) + factor
            continue
        for a, c in parts:
            factors[a] = factors.get(a, ZERO) + c
    return list(terms.items())


class _Sizes:
    """Bounds of norms of tensors, over all their entries, while a state keeps to its ball."""

    def __init__(self, operators: Operators, p: int | str, operand: Expr, radius: Fraction) -> None:
        self.operators, self.p = operators, p
        self._known: dict[Expr, Fraction | None] = {operand: radius}
        self._inside = {operand: Interval(-radius, radius)}

    def of(self, root: Expr) -> Fraction | None:
        for node in postorder(root):
            if node not in self._known:
                self._known[node] = self._least(node)
        return self._known[root]

    def why(self, node: Expr) -> str:
        from odespec.prove.relate.words import text

        return f"the norm of {text(node)[:200]}"

    def _least(self, node: Expr) -> Fraction | None:
        found = [s for s in (self._by_entries(node), self._by_rule(node)) if s is not None]
        return min(found, default=None)

    def _range(self, e: Expr) -> Interval:
        knowledge = self.operators.knowledge
        return ranges((e,), {**knowledge.intervals._known, **self._inside})[e]

    def _by_entries(self, node: Expr) -> Fraction | None:
        size, n = magnitude(self._range(node)), prod(node.shape)
        if size is None or node.op == "state":
            return None
        return size * entries_factor(n, self.p)

    def _by_rule(self, node: Expr) -> Fraction | None:
        args = [self._known.get(a) for a in node.args]
        if node.op == "add" and all(a.shape == node.shape for a in node.args):
            return None if args[0] is None or args[1] is None else args[0] + args[1]
        if node.op == "act":
            return self._of_act(node, args[0])
        if node.op == "softmax" and len(node.shape) == 1:
            return ONE
        if node.op == "layernorm" and self.p == 2:
            return root_above(Fraction(prod(node.shape)))
        if node.op == "mul":
            return self._of_mul(node, args)
        if node.op in PRODUCTS and node.data is None and args[1] is not None:
            size = self._operator(node.args[0])
            return None if size is None else size * args[1]
        return None

    def _of_act(self, node: Expr, size: Fraction | None) -> Fraction | None:
        name, parameters = named(node)
        entry = ACTIVATIONS[name]
        if size is None or entry.range_on(ZERO, ZERO, parameters) != Interval(ZERO, ZERO):
            return None
        slope = magnitude(entry.slope_on(-size, size, parameters))
        return None if slope is None else slope * size

    def _of_mul(self, node: Expr, args: list[Fraction | None]) -> Fraction | None:
        found = []
        for k in (0, 1):
            factor, size = magnitude(self._range(node.args[k])), args[1 - k]
            if factor is not None and size is not None and node.args[1 - k].shape == node.shape:
                found.append(factor * size)
        return min(found, default=None)

    def _operator(self, operator: Expr) -> Fraction | None:
        """A bound of the operator norm."""
        if self.p == "inf":
            return self.operators.rows(operator).size
        if self.p == 1:
            turned = (
                operator.args[0] if operator.op == "transpose" else Expr("transpose", (operator,), operator.shape[::-1])
            )
            return self.operators.rows(turned).size if len(operator.shape) == 2 else None
        knowledge = self.operators.knowledge
        try:
            words = knowledge.algebra.polynomial(operator)
        except NoRelation:
            return None
        total = ZERO
        for (scalars, word), c in words.items():
            squares = [knowledge.facts(x.atom).norm2 for x in word] + [knowledge.facts(s).norm2 for s in scalars]
            if any(s is None for s in squares):
                return None
            total += abs(c) * prod((root_above(s) for s in squares if s is not None), start=ONE)
        return total
