"""A counterexample in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from odespec.ir.model import Model
from odespec.prove.refute.goal import Goal
from odespec.weights.arithmetic import Array

LARGEST = 9
"""Arrays with more entries are named by their shape only."""


def sentence(
    model: Model,
    goal: Goal,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    x: Sequence[Array],
    y: Sequence[Array],
    ratio: float,
    subject: str = "map",
    by: str | None = None,
) -> str:
    """``with W = [[1]] (zero elsewhere), b = 0, x = 1 and x = 0 …``: the arrays at their smallest size.

    ``by``: the input of which x and y are the two values; then the free states are among the inputs.
    """
    parts = [_named(p.name, weights[p.name], p.per_step) for p in model.params]
    parts += [_named(u.name, inputs[u.name], u.per_step) for u in model.inputs if u.name != by]
    parts += [_named(s.name, inputs[s.name], False) for s in model.free_states if by is not None]
    names = [s.name for s in model.free_states] if by is None else [by]
    starts = [
        f"{name} = {show(a)} or {show(b)}" if not np.array_equal(a, b) else f"{name} = {show(a)}"
        for name, a, b in zip(names, x, y, strict=True)
    ]
    given = ", ".join([*(p for p in parts if p), *starts])
    before = _distance(x, y, goal.p)
    allowed = "more than" if goal.side == "upper" else "less than"
    return (
        f"with {given}, {_horizon(model, subject)} a distance of {before:.6g} to {before * ratio:.9g}:"
        f" {ratio:.9g} times, {allowed} {goal.target:.9g}"
    )


def _horizon(model: Model, subject: str) -> str:
    if subject == "flow":
        return "the exact flow takes"
    steps = model.solver.steps
    return "one step takes" if steps == 1 else f"{steps} steps take"


def _distance(x: Sequence[Array], y: Sequence[Array], p: int | str) -> float:
    difference = np.concatenate([(b - a).ravel() for a, b in zip(x, y, strict=True)])
    return float(np.linalg.norm(difference, {2: 2, 1: 1, "inf": np.inf}[p]))


def _named(name: str, value: Array, per_step: bool) -> str:
    if not per_step:
        return f"{name} = {show(value)}"
    if all(np.array_equal(v, value[0]) for v in value):
        return f"{name} = {show(value[0])} at every step"
    return f"{name} = {show(value)} by step" if value.size <= LARGEST else f"{name} different by step"


def show(value: Array) -> str:
    """A small array as it stands in a spec; zeros around its corner are left out."""
    if not value.any():
        return "0"
    corner = value[tuple(slice(0, 1 + max(map(int, np.nonzero(value)[i]))) for i in range(value.ndim))]
    if corner.size > LARGEST:
        return f"an array {list(value.shape)}"
    return _text(corner.tolist())


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:.6g}"
