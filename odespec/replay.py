"""Replay a saved counterexample through emitted code, or through the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from odespec import backends
from odespec.diagnostics import Report, SpecError
from odespec.ir.model import Model, Spec
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.prove.refute.counterexample import Counterexample
    from odespec.weights.arithmetic import Array

INTERPRETER = "numpy"


class ReplayError(Exception):
    """The file is no counterexample, or it cannot be replayed on this back end; the message says which."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came out: ``measured`` against the ``bound`` of the claim."""

    model: str
    claim: str
    sentence: str
    measured: float
    bound: float
    violated: bool


def replay(path: Path, target: str, folder: Path) -> Replay:
    """Compile the spec inside the counterexample into ``folder``, load its weights, run both inputs, measure.

    Raises `ReplayError`, and `SpecError` where the back end cannot emit the spec.
    """
    from odespec.prove.refute.counterexample import BadCounterexample, load

    try:
        found = load(path)
        spec = _spec(found, folder)
        ratio = _measure(found, spec, target, folder)
    except OSError as error:
        raise ReplayError(f"cannot read {path}: {error.strerror}") from None
    except (BadCounterexample, backends.UnknownBackend) as error:
        raise ReplayError(str(error)) from None
    except ImportError as error:
        raise ReplayError(f"{target} is not installed: {error}") from None
    return Replay(found.model, found.claim, found.sentence, ratio, found.bound, found.violated(ratio))


def _spec(found: Counterexample, folder: Path) -> Spec:
    """The spec that the counterexample carries, with its used files beside it."""
    from odespec.ir.load import load
    from odespec.prove.auto import settled

    for name, text in ((found.spec_name, found.spec), *found.files):
        (folder / Path(name).name).write_text(text, encoding="utf-8")
    report = Report()
    spec = load(folder / Path(found.spec_name).name, dict(found.definitions), report)
    if spec is None or report.failed:
        raise SpecError(report.errors)
    return settled(spec)


def _model(found: Counterexample, spec: Spec) -> Model:
    for section in spec.sections:
        if section.name == found.model and isinstance(section, Model):
            return section
    raise ReplayError(f"its spec has no model `{found.model}`")


def _measure(found: Counterexample, spec: Spec, target: str, folder: Path) -> float:
    from odespec.program.lower import NotLowered
    from odespec.prove.engines.distance import step_program
    from odespec.prove.refute.counterexample import replay_numpy

    model = _model(found, spec)
    try:
        program = step_program(model, found.subject)
    except NotLowered as error:
        raise ReplayError(f"there is no step program for {error.what} yet") from None
    # The interpreter checks the arrays against the constraints; the exact flow is no emitted map.
    ratio = replay_numpy(program, found)
    if target == INTERPRETER:
        return ratio
    if found.quantity != "ratio":
        return _quantity(found, spec, model, target, folder)
    if found.subject == "flow":
        raise ReplayError(
            "a counterexample of the flow is replayed with --to numpy: the emitted code is a discrete map"
        )
    return _through(found, spec, model, target, folder)


def _quantity(found: Counterexample, spec: Spec, model: Model, target: str, folder: Path) -> float:
    """A quantity of one step, with the emitted module of a model that makes this step alone."""
    from odespec.emit import emit
    from odespec.prove.refute.onestep import at_step, one_step
    from odespec.prove.refute.quantities import QUANTITIES

    quantity = QUANTITIES[found.quantity]
    if not quantity.emitted:
        raise ReplayError(f"{quantity.name} is not a matter of the emitted map: replay it with --to {INTERPRETER}")
    backend = backends.get(target)
    path = folder / f"replayed_{target}.py"
    short = one_step(model, found.step)
    path.write_text(emit(replace(spec, sections=(short,)), target, (), force=True), encoding="utf-8")
    weights, given = (at_step(model, values, found.step) for values in (found.weights, found.inputs))

    def step(states: Sequence[Array]) -> list[Array]:
        return list(backend.run(path, model.name, weights, list(states), [given[u.name] for u in model.inputs]))

    return quantity.measure(model, found, step)


def _through(found: Counterexample, spec: Spec, model: Model, target: str, folder: Path) -> float:
    from odespec.emit import emit

    backend = backends.get(target)
    path = folder / f"replayed_{target}.py"
    path.write_text(emit(spec, target, (), force=True), encoding="utf-8")
    inputs = [found.inputs[u.name] for u in model.inputs]
    images = [backend.run(path, model.name, found.weights, list(states), inputs) for states in (found.x, found.y)]
    return found.ratio(*images)
