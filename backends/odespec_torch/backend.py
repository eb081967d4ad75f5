"""The back end as `odespec.backends.Backend` asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.backends import EmitRequest, Unsupported
from odespec.program.step import StepProgram

if TYPE_CHECKING:
    import numpy as np


class TorchBackend:
    """Emits one PyTorch file with one class for each program."""

    name = "torch"

    def unsupported(self, program: StepProgram) -> tuple[Unsupported, ...]:
        """What stands in the way of emitting this program; empty where `emit` will succeed."""
        from odespec_torch.limits import unsupported

        return unsupported(program)

    def emit(self, request: EmitRequest) -> str:
        """The text of the emitted file, a pure function of the request."""
        from odespec_torch.emit import emit

        return emit(request)

    def run(
        self,
        path: Path,
        model: str,
        weights: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        inputs: Sequence[np.ndarray],
    ) -> tuple[np.ndarray, ...]:
        """The final states of a model of an emitted file in float64, with given weights (imports torch).

        Raises ValueError where the file has no such model or the weights break a constraint.
        """
        from odespec_torch.run import run

        return run(path, model, weights, states, inputs)
