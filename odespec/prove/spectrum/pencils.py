"""The eigenvalue problem of a step at a state: in float64, and as maps of vectors of decimals.

It is that of the field where the method is a function of its eigenvalues, else that of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from odespec.prove.spectrum import amplified
from odespec.prove.spectrum.amplify import one_step_matrix
from odespec.prove.spectrum.eigen import Linear, Pencil
from odespec.prove.spectrum.jacobian import Field, Values, along, jacobians
from odespec.weights.arithmetic import Array


def restricted(
    field: Field, scheme: dict[str, Any], weights: Values, inputs: Values, x: Array, support: Array
) -> Pencil | None:
    """On some entries of the state, by their columns in decimals; None where other entries change with them.

    What maps the others to themselves or to these has no part in the eigenvalues of the block: the matrix is block
    triangular. To be called in the context of decimals. Raises `Kink`.
    """
    others = np.setdiff1d(np.arange(len(x)), support)
    blocks: list[Array | None] = []
    for net in (field.whole, field.linear):
        if net is None:
            blocks.append(None)
            continue
        columns = [along(net, weights, x, inputs, _unit(len(x), int(i))) for i in support]
        if any(c[k] != 0 for c in columns for k in others):
            return None
        blocks.append(np.stack([c[support] for c in columns], axis=1))
    J, L = blocks
    assert J is not None
    return _pencil(scheme, _floats(J), _floats(L), _product(J), _product(L), field.momentum[support])


def whole(field: Field, scheme: dict[str, Any], weights: Values, inputs: Values, x: Array) -> Pencil | None:
    """On all entries, by derivatives along vectors; None where the field is not finite."""
    J = jacobians(field.whole, weights, x[None], inputs)[0]
    L = None if field.linear is None else jacobians(field.linear, weights, x[None], inputs)[0]
    if not np.isfinite(J).all():
        return None

    def slope(v: Array) -> Array:
        return along(field.whole, weights, x, inputs, v)

    def linear(v: Array) -> Array:
        assert field.linear is not None
        return along(field.linear, weights, x, inputs, v)

    return _pencil(scheme, J, L, slope, linear, field.momentum)


def _unit(n: int, i: int) -> Array:
    return np.array([Decimal(int(k == i)) for k in range(n)], dtype=object)


def _floats(matrix: Array | None) -> Any:
    return None if matrix is None else matrix.astype(np.float64)


def _product(matrix: Array | None) -> Linear:
    return lambda v: np.asarray(np.dot(matrix, v))  # type: ignore[arg-type]


def _pencil(
    scheme: dict[str, Any], J: Array, L: Array | None, slope: Linear, linear: Linear, momentum: Array
) -> Pencil:
    if scheme["family"] == "partitioned":
        return Pencil(one_step_matrix(scheme, J, L, momentum), None, _composed(scheme, momentum, slope), None)
    if scheme["family"] != "imex":
        return Pencil(J, None, slope, None)
    assert L is not None
    h, one = amplified.number(scheme["h"]), np.eye(len(J))

    def below(v: Array) -> Array:
        return np.asarray(v - h * linear(v))

    def above(v: Array) -> Array:
        return np.asarray(v + h * (slope(v) - linear(v)))

    return Pencil(one + float(h) * (J - L), one - float(h) * L, above, below)


def _composed(scheme: dict[str, Any], momentum: Array, slope: Linear) -> Callable[[Array], Array]:
    def step(v: Array) -> Array:
        h = amplified.number(scheme["h"])
        for kind, size in scheme["substeps"]:
            where = momentum if kind == "kick" else ~momentum
            v = np.where(where, v + h * amplified.number(size) * slope(v), v)
        return v

    return step
