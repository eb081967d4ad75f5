"""What every lowering needs: the states, the field at given values, combinations."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.exact import Real, is_zero
from odespec.ir.expr import TIME, Expr, add, const, leaf, mul, substitute
from odespec.ir.model import Model

Tensors = tuple[Expr, ...]


def state_leaves(model: Model) -> Tensors:
    """The states as they stand in expressions, in order of declaration."""
    return tuple(leaf("state", s.name, s.shape) for s in model.states)


def field_at(model: Model, values: Tensors, elapsed: Real) -> Tensors:
    """The field at given values of the states, ``elapsed`` after the start of the step."""
    replace = dict(zip(state_leaves(model), values, strict=True))
    replace[TIME] = add(TIME, const(elapsed))
    return substitute(model.field, replace)


def combine(base: Expr, coefficients: Sequence[Real], slopes: Sequence[Expr]) -> Expr:
    """``base + sum_i coefficients[i] * slopes[i]`` without the terms whose coefficient is zero."""
    for coefficient, slope in zip(coefficients, slopes, strict=True):
        if not is_zero(coefficient):
            base = add(base, mul(const(coefficient), slope))
    return base
