"""The back end as `odespec.backends.Backend` asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.backends import EmitRequest, Unsupported
from odespec.program.step import StepProgram

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class JaxBackend:
    """Prints step programs as JAX; see `odespec.backends.Backend`."""

    name: str = "jax"

    def unsupported(self, program: StepProgram) -> tuple[Unsupported, ...]:
        """What stands in the way of emitting this program; empty where `emit` will succeed."""
        from odespec_jax.support import unsupported

        return unsupported(program)

    def emit(self, request: EmitRequest) -> str:
        """The text of the emitted file, a pure function of the request.

        Raises ValueError for a program that `unsupported` has something to say about.
        """
        from odespec_jax.module import emit

        gaps = [gap.what for program in request.programs for gap in self.unsupported(program)]
        if gaps:
            raise ValueError(f"cannot emit {gaps[0]}")
        return emit(request)

    def run(
        self,
        path: Path,
        model: str,
        weights: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        inputs: Sequence[np.ndarray],
    ) -> tuple[np.ndarray, ...]:
        """Load an emitted file, set the weights, run it in float64 and return the final (or saved) states.

        Raises ValueError where the weights break a constraint, LookupError where the file has no such model.
        """
        from odespec_jax.runner import run

        return run(path, model, weights, states, inputs)


backend = JaxBackend()
