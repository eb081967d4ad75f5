"""Whether a field is locally Lipschitz, so that its solutions are unique and cannot leave where it points inwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.ir.expr import Expr, postorder
from odespec.ir.intervals import meet
from odespec.ir.ranges import ranges

WIDE = Interval(Fraction(-1000), Fraction(1000))


def locally_lipschitz(field: Iterable[Expr], known: Mapping[Expr, Interval]) -> bool:
    """Whether no operation has an infinite slope where ``known`` lets it be."""
    field = tuple(field)
    found = ranges(field, known)
    return all(_gentle(node, found) for node in postorder(*field))


def _gentle(node: Expr, found: Mapping[Expr, Interval]) -> bool:
    if node.op == "act":
        name, parameters = named(node)
        near = meet(found[node.args[0]], WIDE)
        slope = ACTIVATIONS[name].slope_on(near.lower, near.upper, parameters)
        return slope.lower is not None and slope.upper is not None
    if node.op == "div":
        return _apart(found[node.args[1]])
    if node.op == "pow":
        exponent = node.data
        assert isinstance(exponent, Fraction)
        return (exponent.denominator == 1 and exponent > 0) or _apart(found[node.args[0]])
    return True


def _apart(inside: Interval) -> bool:
    """Whether a range keeps away from zero."""
    return (inside.lower is not None and inside.lower > 0) or (inside.upper is not None and inside.upper < 0)
