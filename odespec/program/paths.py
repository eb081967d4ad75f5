"""Paths of the noise for the interpreter: increments that are given, or drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from odespec.program.operators import Array
from odespec.program.step import StepProgram

Path = Mapping[str, Array] | int | None
"""The increments of each noise by name, ``[..., steps, *shape]``, or the seed of one path."""


def on_path(program: StepProgram, inputs: Sequence[Array], noise: Path) -> tuple[StepProgram, list[Array]]:
    """The same steps with the noise as further inputs, and all inputs. Raises ValueError where the noise is missing."""
    from odespec.program.lower import lower
    from odespec.program.stochastic import with_path

    if noise is None:
        raise ValueError("a model with noise is run with its increments, or a seed for them")
    increments = increments_of(program, noise) if isinstance(noise, int) else noise
    missing = [w.name for w in program.model.noises if w.name not in increments]
    if missing:
        raise ValueError(f"there are no increments of the noise {missing[0]}")
    path = [np.asarray(increments[w.name], dtype=np.float64) for w in program.model.noises]
    return lower(with_path(program)), [*inputs, *path]


def increments_of(program: StepProgram, seed: int) -> dict[str, Array]:
    """Increments ``[steps, *shape]`` of each noise: normal, mean zero, variance h."""
    rng = np.random.default_rng(seed)
    scale = float(program.h) ** 0.5
    return {w.name: scale * rng.standard_normal((program.steps, *w.shape)) for w in program.model.noises}
