"""Enclosures of the entries of expressions, over all weights, inputs, times and states that a model allows.

States and stages are unbounded here: a `domain` holds at the start only. What bounds an expression is an activation
with a bounded range, or constraints and domains on parameters and inputs. Everything is rounded outward.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Real, enclose
from odespec.ir.expr import TIME, Expr
from odespec.ir.model import Relation
from odespec.ir.ranges import REAL, meet, ranges, times

Bound = Fraction | None


class Intervals:
    """``of(e)`` encloses every entry of e. ``relations`` are the constraints of weights and the domains of inputs."""

    def __init__(self, relations: Iterable[Relation], time: Interval = REAL) -> None:
        self._known: dict[Expr, Interval] = {TIME: time}
        self._memo: dict[Expr, Interval] = {}
        for relation in relations:
            self._learn(relation)

    def cover(self, roots: Iterable[Expr]) -> None:
        """Enclose all nodes of some expressions in one walk."""
        self._memo.update(ranges(roots, self._known))

    def of(self, e: Expr) -> Interval:
        if e not in self._memo:
            self.cover((e,))
        return self._memo[e]

    def assume(self, e: Expr, inside: Interval) -> None:
        """Enclose an expression (a state that a proved invariant keeps in a box) from now on."""
        self._known[e] = meet(self._known.get(e, REAL), inside)
        self._memo.clear()

    def _learn(self, relation: Relation) -> None:
        """Bounds of a parameter's or input's entries; a norm, whichever, bounds every entry."""
        e, interval = relation.operand, Interval(lower(relation.lower), upper(relation.upper))
        if isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
            return
        if relation.quantity == "norm" and interval.upper is not None:
            interval = Interval(-interval.upper, interval.upper)
        elif relation.quantity != "entries":
            return
        factor = Fraction(1)
        while e.op == "mul" and e.args[0].op == "const" and isinstance(e.args[0].data, Fraction):
            factor, e = factor * e.args[0].data, e.args[1]
        while e.op in ("transpose", "diag"):
            e = e.args[0]
        if factor and e.op in ("param", "input"):
            inside = times(interval, Interval(1 / factor, 1 / factor))
            self._known[e] = meet(self._known.get(e, REAL), inside)


def lower(value: Real | Expr | None) -> Bound:
    """A rational at most the bound; None where there is none."""
    return None if value is None or isinstance(value, Expr) else enclose(value)[0]


def upper(value: Real | Expr | None) -> Bound:
    """A rational at least the bound; None where there is none."""
    return None if value is None or isinstance(value, Expr) else enclose(value)[1]


def least(*bounds: Bound) -> Bound:
    """The smallest of upper bounds; None where there is none."""
    return min((b for b in bounds if b is not None), default=None)
