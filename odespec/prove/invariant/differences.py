"""The difference of an expression's values at two arguments: linear in the difference of the arguments."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.ir.expr import Expr, add, full, mul, postorder, rebuild
from odespec.prove.invariant.normal import PRODUCTS

LINEAR = ("sum", "mean", "transpose", "channel", "pool")


class Curved(Exception):
    """An operation whose differences are not known to be slopes times those of its arguments."""


def differences(values: Sequence[Expr], unknowns: Sequence[Expr]) -> tuple[tuple[Expr, ...], dict[Expr, Interval]]:
    """The values with differences in place of the unknowns, and the slopes in them: leaves, with their ranges.

    What does not depend on the unknowns is the same at both arguments. Raises `Curved`.
    """
    moving: dict[Expr, Expr] = {u: u for u in unknowns}
    slopes: dict[Expr, Interval] = {}
    for node in postorder(*values):
        if node not in moving and any(a in moving for a in node.args):
            moving[node] = _difference(node, moving, slopes)
    return tuple(moving.get(v, full(0, v.shape)) for v in values), slopes


def _difference(node: Expr, moving: dict[Expr, Expr], slopes: dict[Expr, Interval]) -> Expr:
    args = node.args
    if node.op == "add":
        return add(*(moving.get(a, full(0, a.shape)) for a in args))
    if node.op == "mul" and not (args[0] in moving and args[1] in moving):
        return mul(*(moving.get(a, a) for a in args))
    if node.op == "act":
        name, parameters = named(node)
        slope = Expr("input", (), node.shape, f"slope {len(slopes) + 1} of {name}")
        slopes[slope] = ACTIVATIONS[name].slope(parameters)
        return mul(slope, moving[args[0]])
    place = 0 if (node.data == "last" and node.op == "matmul") or node.op in (*LINEAR, "div") else 1
    if node.op in (*PRODUCTS, *LINEAR, "div") and all((a in moving) == (i == place) for i, a in enumerate(args)):
        return rebuild(node, tuple(moving.get(a, a) for a in args))
    raise Curved(node.op)
