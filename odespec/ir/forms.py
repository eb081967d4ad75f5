"""Products, sums and transposes in the form in which a person would write them, with numbers in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape


class NotDifferentiable(Exception):
    """``what`` has no derivative that can be written as an expression."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


def total(value: Expr) -> Expr:
    """The sum of all entries, with constants taken out and products written as `dot`."""
    if value.op in ("full", "const"):
        return ex.const(value.data * prod(value.shape))  # type: ignore[operator]
    if value.op == "mul" and not value.args[0].shape:
        return ex.mul(value.args[0], total(value.args[1]))
    if value.op == "mul" and value.args[0].shape == value.args[1].shape:
        return ex.dot(*value.args)
    return ex.total(value) if value.shape else value


def product(a: Expr, b: Expr) -> Expr:
    """The elementwise product, where a tensor of ones or of one number is read as a scalar."""
    if a.op == "full" and b.shape == a.shape:
        return ex.mul(ex.const(a.data), b)  # type: ignore[arg-type]
    if b.op == "full" and a.shape == b.shape:
        return ex.mul(ex.const(b.data), a)  # type: ignore[arg-type]
    return ex.mul(a, b)


def transposed(matrix: Expr, structures: Mapping[Expr, str]) -> Expr:
    """The transpose; a symmetric parameter is its own, a skew one its negative."""
    structure = structures.get(matrix)
    if structure in ("symmetric", "psd", "diagonal"):
        return matrix
    return ex.neg(matrix) if structure == "skew" else ex.transpose(matrix)


def linear(build: Callable[[Expr, Expr], Expr], operator: Expr, x: Expr) -> Expr:
    """An operator by a tensor, with the numbers in front of both taken out."""
    factor: Expr = ex.const(1)
    parts = []
    for e in (operator, x):
        if e.op == "mul" and e.args[0].op == "const":
            factor, e = ex.mul(factor, e.args[0]), e.args[1]
        parts.append(e)
    return ex.mul(factor, build(*parts))


def broadcast(value: Expr, shape: Shape, axes: tuple[int, ...]) -> Expr:
    """As `spread`, always at the full shape."""
    if value.op in ("const", "full"):
        return ex.full(value.data, shape)  # type: ignore[arg-type]
    value = spread(value, shape, axes)
    return value if value.shape == shape else ex.mul(value, ex.full(1, shape))


def spread(value: Expr, shape: Shape, axes: tuple[int, ...]) -> Expr:
    """What a reduction over ``axes`` left, repeated along them; a scalar stays one.

    Raises `NotDifferentiable` where the axes are neither the last ones nor one of two.
    """
    if not value.shape:
        return value
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    if kept == tuple(range(len(kept))):
        return Expr("channel", (value,), shape)
    if len(shape) == 2:
        return ex.transpose(Expr("channel", (value,), (shape[1], shape[0])))
    raise NotDifferentiable("a reduction along an axis that is not the last")
