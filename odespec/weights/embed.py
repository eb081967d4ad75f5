"""A model at smaller sizes, and its tensors put back into the sizes of the spec.

Sizes are recognised by their number: every axis of length 64 becomes one of the same smaller length, so that whatever
fitted still fits. Nothing is concluded from the smaller model: what is found there is evaluated again at full size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from odespec.ir.expr import Expr, Shape, postorder, rebuild
from odespec.ir.model import Input, Model, Param, Relation, State
from odespec.weights.arithmetic import Array

Sizes = Mapping[int, int]
_RIGID = ("array", "conv", "pool", "laplacian", "adjacency", "incidence", "graph")
"""Nodes whose sizes are tied to data: their axes keep their lengths."""


def reduction(model: Model, largest: int) -> dict[int, int]:
    """How long an axis of each length becomes in the smaller model."""
    roots = _roots(model)
    rigid = {n for e in postorder(*roots) if e.op in _RIGID for part in (e, *e.args) for n in part.shape}
    lengths = {n for e in postorder(*roots) for n in e.shape}
    declared: list[State | Param | Input] = [*model.states, *model.params, *model.inputs]
    lengths |= {n for d in (*declared, *model.noises) for n in d.shape}
    return {n: n if n in rigid else min(n, largest) for n in lengths}


def _roots(model: Model) -> tuple[Expr, ...]:
    initial = tuple(s.initial for s in model.states if s.initial is not None)
    relations = tuple(r.operand for r in (*model.constraints, *model.domains))
    output = (model.output[1],) if model.output is not None else ()
    return (*model.field, *initial, *relations, *output)


def shrink(model: Model, sizes: Sizes) -> Model:
    """The same model with every axis shortened."""
    new: dict[Expr, Expr] = {}
    for node in postorder(*_roots(model)):
        args = tuple(new[a] for a in node.args)
        small = Expr(node.op, node.args, _short(node.shape, sizes), node.data)
        new[node] = rebuild(small, args) if args else small
    relation = lambda r: replace(r, operand=new[r.operand])  # noqa: E731
    return replace(
        model,
        states=tuple(
            replace(s, shape=_short(s.shape, sizes), initial=None if s.initial is None else new[s.initial])
            for s in model.states
        ),
        params=tuple(replace(p, shape=_short(p.shape, sizes)) for p in model.params),
        inputs=tuple(replace(u, shape=_short(u.shape, sizes)) for u in model.inputs),
        noises=tuple(replace(w, shape=_short(w.shape, sizes)) for w in model.noises),
        field=tuple(new[f] for f in model.field),
        constraints=tuple(map(relation, model.constraints)),
        domains=tuple(map(relation, model.domains)),
        output=None if model.output is None else (model.output[0], new[model.output[1]]),
        claims=(),
    )


def _short(shape: Shape, sizes: Sizes) -> Shape:
    return tuple(sizes[n] for n in shape)


def embed(declared: Param | Input, small: Array, steps: int, relations: tuple[Relation, ...]) -> Array:
    """A tensor at the sizes of the spec: zeros around it, or what its structure and bounds ask for instead of zeros."""
    shape = (steps, *declared.shape) if declared.per_step else declared.shape
    full = np.zeros(shape)
    corner = (...,) + tuple(slice(0, n) for n in small.shape[small.ndim - len(declared.shape) :])
    filler, everywhere = _filler(declared, relations)
    if everywhere:
        full[...] = filler
    elif filler and len(declared.shape) == 2:
        full[...] = filler * np.eye(*declared.shape)
        full[(..., slice(0, small.shape[-2]), slice(None))] = 0.0
        full[(..., slice(None), slice(0, small.shape[-1]))] = 0.0
        full = _completed(full, small.shape[-2:], filler)
    full[corner] = small
    return full


def _completed(full: Array, corner: Shape, filler: float) -> Array:
    """A diagonal from the corner's end on, so that rows and columns behind it are orthogonal to it and each other."""
    rows, columns = corner
    count = min(full.shape[-2] - rows, full.shape[-1] - columns)
    for i in range(count):
        full[..., rows + i, columns + i] = filler
    for i in range(count, full.shape[-2] - rows):
        full[..., rows + i, columns + count - 1 if count else 0] = 0.0
    return full


def _filler(declared: Param | Input, relations: tuple[Relation, ...]) -> tuple[float, bool]:
    """The number on the diagonal outside the corner (or everywhere outside it); 0 where the bounds allow zero."""
    if declared.structure in ("orthogonal", "stochastic", "doubly_stochastic"):
        return 1.0, False
    for r in relations:
        if r.operand.op == "param" and r.operand.data == declared.name and r.quantity in ("sigma", "eig", "entries"):
            low, high = (None if b is None or isinstance(b, Expr) else float(b) for b in (r.lower, r.upper))
            nearest = max(low or 0.0, 0.0) or min(0.0 if high is None else high, 0.0)
            if nearest:
                return nearest, r.quantity == "entries"
    return 0.0, False
