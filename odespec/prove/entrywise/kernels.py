"""Rows and columns of convolutions with constant kernels."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from odespec.ir.expr import Convolution, Expr
from odespec.prove.entrywise.corners import Shape, undominated, whole
from odespec.prove.entrywise.known import Known

ZERO, ONE = Fraction(0), Fraction(1)


def diagonal_is_the_middle(e: Expr) -> bool:
    """Whether the entry of an output at its own place is the middle tap, and nothing else."""
    how, shape = e.data, e.args[0].shape
    assert isinstance(how, Convolution)
    fits = all(n >= k for n, k in zip(how.spatial, shape[2:], strict=True))
    same = shape[0] == shape[1] and how.groups == 1 and how.stride == 1
    return same and fits and how.padding in ("circular", "zero")


def constant_kernel(e: Expr) -> list[Fraction] | None:
    """The sizes of a kernel's entries with their signs, flattened; None where it is no rational constant."""
    factor = ONE
    while e.op == "mul" and e.args[0].op == "const" and isinstance(e.args[0].data, Fraction):
        factor, e = factor * e.args[0].data, e.args[1]
    if e.op != "array":
        return None
    pending, numbers = [e.data], []
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending.extend(reversed(item))
        elif isinstance(item, Fraction):
            numbers.append(factor * item)
        else:
            return None
    return numbers


def of_kernel(kernel: list[Fraction], e: Expr) -> Known:
    """Rows sum over input channels and taps, columns over output channels and taps; borders see fewer."""
    shape, how = e.args[0].shape, e.data
    assert isinstance(how, Convolution)
    outs, ins, taps = shape[0], shape[1], prod(shape[2:])
    sizes = [[[abs(x) for x in kernel[(o * ins + i) * taps :][:taps]] for i in range(ins)] for o in range(outs)]
    rows = [sum((sum(t, ZERO) for t in row), ZERO) for row in sizes]
    per_group = outs // how.groups
    groups = [sizes[g * per_group : (g + 1) * per_group] for g in range(how.groups)]
    columns = [sum((sum(row[i], ZERO) for row in group), ZERO) for group in groups for i in range(ins)]
    if not diagonal_is_the_middle(e):
        repeats = 2 ** len(how.spatial) if how.padding == "reflect" else 1
        return Known(whole(max(rows)), whole(repeats * max(columns)), "its entries")
    at = 0
    for k in shape[2:]:
        at = at * k + (k - 1) // 2
    middle = [kernel[(o * ins + o) * taps + at] for o in range(outs)]
    sides = [Shape(undominated((m, s - abs(m)) for m, s in zip(middle, side, strict=True))) for side in (rows, columns)]
    return Known(sides[0], sides[1], "its entries")
