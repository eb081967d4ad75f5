"""The slopes of elementwise operations, from the range of what they are applied to."""

from __future__ import annotations

from fractions import Fraction

from odespec.activations import ACTIVATIONS, Interval
from odespec.ir.expr import Expr
from odespec.ir.ranges import power, times
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.words import text

LARGEST_EXPONENT = 64


def activation_slope(node: Expr, inside: Interval) -> tuple[Interval, str]:
    """The slopes of an activation, and in words what they are."""
    assert isinstance(node.data, tuple)
    name, parameters = node.data
    return ACTIVATIONS[name].slope_on(inside.lower, inside.upper, parameters), f"slopes of {name}"


def power_slope(node: Expr, inside: Interval) -> tuple[Interval, str]:
    """The slopes of a whole power, and in words what they are. Raises `NoRelation` for other exponents."""
    exponent = node.data
    if not isinstance(exponent, Fraction) or exponent.denominator != 1 or abs(exponent) > LARGEST_EXPONENT:
        raise NoRelation(f"the slope of `{text(node)}` is not bounded")
    return times(Interval(exponent, exponent), power(inside, exponent - 1)), f"slopes of {text(node)}"
