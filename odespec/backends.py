"""What a back end is, and how one is found.

A back end is an importable package that the entry-point group ``odespec.backends`` names. It has a module attribute
``backend`` that satisfies `Backend`. Importing it must not import its framework: emitting code needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from odespec.program.step import StepProgram
from odespec.records import dataclass
from odespec.source import Span

if TYPE_CHECKING:
    import numpy as np

GROUP = "odespec.backends"


@dataclass(frozen=True, slots=True)
class EmitRequest:
    """Everything an emitted file is a function of.

    ``verdicts``: for each program its claims as ``(text, verdict)``, for the header.
    """

    spec_name: str
    spec_hash: str
    version: str
    programs: tuple[StepProgram, ...]
    verdicts: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Something of a model that this back end cannot emit, or cannot enforce; ``what`` completes a sentence."""

    span: Span
    what: str


class Backend(Protocol):
    """Prints step programs as code of one framework."""

    name: str

    def unsupported(self, program: StepProgram) -> tuple[Unsupported, ...]:
        """What stands in the way of emitting this program; empty where `emit` will succeed."""

    def emit(self, request: EmitRequest) -> str:
        """The text of the emitted file, a pure function of the request."""

    def run(
        self,
        path: Path,
        model: str,
        weights: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        inputs: Sequence[np.ndarray],
    ) -> tuple[np.ndarray, ...]:
        """Load an emitted file, set the weights, run it in float64 (imports the framework) and return the final states."""


class UnknownBackend(LookupError):
    """There is no back end of this name; ``known`` lists those there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.known = known
        super().__init__(f"no back end `{name}`; installed: {', '.join(known) or 'none'}")


def names() -> tuple[str, ...]:
    """The names of the installed back ends, sorted."""
    return tuple(sorted(e.name for e in entry_points(group=GROUP)))


def get(name: str) -> Backend:
    """The back end of a name. Raises `UnknownBackend`."""
    for entry in entry_points(group=GROUP, name=name):
        backend: Backend = entry.load().backend
        return backend
    raise UnknownBackend(name, names())


def load_emitted(path: Path) -> ModuleType:
    """An emitted file as a module that no other import sees. Raises ValueError where it is no Python file."""
    specification = spec_from_file_location("odespec_emitted", path)
    if specification is None or specification.loader is None:
        raise ValueError(f"{path} is no Python file")
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
