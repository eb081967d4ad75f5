"""Expressions as straight-line code."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.ir.expr import Expr, postorder
from odespec.program.step import Instruction


def linearise(roots: Sequence[Expr]) -> tuple[tuple[Instruction, ...], tuple[int, ...]]:
    """One instruction for each distinct node, numbered from zero in the order of computation, and the roots' numbers.

    The order depends on the expressions alone.
    """
    numbers: dict[Expr, int] = {}
    lines = []
    for node in postorder(*roots):
        number = numbers[node] = len(numbers)
        lines.append(Instruction(number, node.op, tuple(numbers[a] for a in node.args), node.shape, node.data))
    return tuple(lines), tuple(numbers[root] for root in roots)
