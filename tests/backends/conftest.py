"""Models built by hand, without parser or prover, and their emitted files."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from odespec.backends import Backend, EmitRequest
from odespec.ir.expr import Expr, Shape, leaf
from odespec.ir.model import Input, Model, Param, Relation, Solver, State, Time
from odespec.program.lower import lower
from odespec.source import Source, Span


class Kit:
    """Declares names, and makes a model of a field."""

    def __init__(self, text: str = "norm(W) <= 1") -> None:
        self.source = Source("hand.ode", text)
        self.span = Span(self.source, 0, len(text))
        self._states: list[State] = []
        self._params: list[Param] = []
        self._inputs: list[Input] = []
        self._constraints: list[Relation] = []

    def state(self, name: str, *shape: int, initial: Expr | None = None) -> Expr:
        self._states.append(State(name, shape, initial, None, self.span))
        return leaf("state", name, shape)

    def param(self, name: str, *shape: int, structure: str | None = None, per_step: bool = False) -> Expr:
        self._params.append(Param(name, shape, structure, per_step, self.span))
        return leaf("param", name, shape)

    def input(self, name: str, *shape: int, per_step: bool = False) -> Expr:
        self._inputs.append(Input(name, shape, None, per_step, self.span))
        return leaf("input", name, shape)

    def constrain(
        self,
        quantity: str,
        operand: Expr,
        lower: Fraction | int | None,
        upper: Fraction | int | None,
        p: int | str = 2,
        text: str | None = None,
    ) -> None:
        bounds = [None if b is None else Fraction(b) for b in (lower, upper)]
        source = Source("hand.ode", text or f"{quantity} of a weight")
        span = Span(source, 0, len(source.text))
        self._constraints.append(Relation(quantity, operand, bounds[0], bounds[1], span, p, lower == upper))

    def model(
        self,
        *field: Expr,
        solver: str = "rk4",
        steps: int = 3,
        time: tuple[Fraction | int, Fraction | int] = (0, 1),
        save: int | None = None,
        output: tuple[str, Expr] | None = None,
        name: str = "Net",
        doc: str | None = None,
    ) -> Model:
        start, end = map(Fraction, time)
        return Model(
            name,
            doc,
            self.source,
            self.span,
            (),
            (),
            tuple(self._states),
            tuple(self._params),
            tuple(self._inputs),
            (),
            (),
            field,
            solver == "map",
            tuple(self._constraints),
            (),
            Solver(solver, steps, (), self.span),
            None if solver == "map" else Time(start, end, save, self.span),
            output,
            (),
        )


def request_of(models: Iterable[Model], spec_name: str = "hand.ode") -> EmitRequest:
    programs = tuple(lower(m) for m in models)
    return EmitRequest(spec_name, "0" * 64, "0.0", programs, tuple((("nonexpansive", "proved"),) for _ in programs))


def import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


@pytest.fixture
def emitted(tmp_path: Path) -> Callable[..., ModuleType]:
    """Emits models with a back end and imports the file; its path is `module.__file__`."""

    numbers = count()

    def make(backend: Backend, *models: Model) -> ModuleType:
        for model in models:
            assert backend.unsupported(lower(model)) == ()
        # A name of its own for each: files of one size and second would share their cached bytecode.
        path = tmp_path / f"emitted_{backend.name}_{next(numbers)}.py"
        path.write_text(backend.emit(request_of(models)), encoding="utf-8")
        return import_file(path)

    return make


@pytest.fixture
def emit_text() -> Callable[..., str]:
    def make(backend: Backend, *models: Model, spec_name: str = "hand.ode") -> str:
        return backend.emit(request_of(models, spec_name))

    return make


def shapes(model: Model) -> list[Shape]:
    """The shapes of all weights, with the axis of the steps."""
    steps = model.solver.steps
    assert isinstance(steps, int)
    return [(steps, *p.shape) if p.per_step else p.shape for p in model.params]
