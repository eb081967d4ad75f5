"""A multistep method entry by entry, where its field has matrices of known numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odespec.ir.model import Model
from odespec.program.lower import lower
from odespec.program.step import StepProgram
from odespec.prove.lyapunov.coordinates import Coordinates, coordinates
from odespec.records import dataclass
from odespec.weights.arithmetic import Array


@dataclass(frozen=True, slots=True)
class Entrywise:
    """``program``: the same method for a model with a state, parameter and input for every entry."""

    program: StepProgram
    origin: Coordinates

    def weights(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """The entries of given weights."""
        return self._entries("param", given)

    def inputs(self, model: Model, given: Sequence[Array]) -> list[Array]:
        """The entries of given inputs of the original model, in the order of the new one."""
        named = dict(zip((u.name for u in model.inputs), given, strict=True))
        found = self._entries("input", named)
        return [found[u.name] for u in self.program.model.inputs]

    def _entries(self, op: str, given: Mapping[str, Array]) -> dict[str, Array]:
        found = {}
        for new, old, place in self.origin.origin:
            if old.op == op:
                where: Any = (..., *place)
                found[str(new.data)] = np.asarray(given[str(old.data)][where])
        return found

    def states(self, given: Sequence[Array]) -> list[Array]:
        """The entries of given values of the free states."""
        return [entry for x in given for entry in x.reshape(-1)]


def entrywise(program: StepProgram) -> Entrywise | None:
    """The method by entries; None where nothing is gained by it."""
    field = StepProgram(program.model, program.h, program.start, program.steps, (), program.model.field)
    found = coordinates(field)
    return None if found is None else Entrywise(lower(found.program.model, history=True), found)
