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
    from odespec.program.step import StepProgram
    from odespec.prove.refute.counterexample import Counterexample
    from odespec.weights.arithmetic import Array

INTERPRETER = "numpy"
EXPECTED = "root of the expected square"
"""The quantity that is measured on no path of the noise, but on all."""


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
    """The model that it speaks of; a network as one discrete map."""
    from odespec.prove.networks import flattened

    for section in spec.sections:
        if section.name == found.model:
            return section if isinstance(section, Model) else flattened(section)
    raise ReplayError(f"its spec has no model or network `{found.model}`")


def _measure(found: Counterexample, spec: Spec, target: str, folder: Path) -> float:
    from odespec.program.lower import NotLowered
    from odespec.prove.refute.counterexample import replay_numpy

    model = _model(found, spec)
    try:
        program = _program(found, model)
    except NotLowered as error:
        raise ReplayError(f"there is no step program for {error.what} yet") from None
    # The interpreter checks the arrays against the constraints; the exact flow is no emitted map.
    ratio = replay_numpy(program, found)
    if target == INTERPRETER:
        return ratio
    if found.quantity != "ratio":
        return _quantity(found, spec, program.model if found.quantity != EXPECTED else model, target, folder)
    if found.subject == "flow":
        raise ReplayError(
            "a counterexample of the flow is replayed with --to numpy: the emitted code is a discrete map"
        )
    own = replace(spec, sections=(program.model,)) if model.noises else spec
    return _through(found, own, program, target, folder)


def _program(found: Counterexample, model: Model) -> StepProgram:
    """What the counterexample is about. Of a model with noise: the steps on its path, or with the noise in them."""
    from odespec.prove.engines.distance import step_program
    from odespec.prove.engines.meansquare import stochastic_program

    if model.noises and found.quantity == EXPECTED:
        return stochastic_program(model, found.subject)
    adaptive = found.quantity != "ratio" and model.solver.steps is None and not model.discrete
    # What is measured on single steps, or on the method itself, needs no program of a whole run.
    return step_program(model, "flow" if adaptive else found.subject)


def _quantity(found: Counterexample, spec: Spec, model: Model, target: str, folder: Path) -> float:
    """A quantity of one step, with the emitted module of a model that makes this step alone; or of the whole map."""
    from odespec.emit import emit
    from odespec.prove.refute.onestep import at_step, one_step
    from odespec.prove.refute.quantities import QUANTITIES

    quantity = QUANTITIES[found.quantity]
    if not quantity.emitted:
        raise ReplayError(f"{quantity.name} is not a matter of the emitted map: replay it with --to {INTERPRETER}")
    backend = backends.get(target)
    path = folder / f"replayed_{target}.py"
    short = replace(model, output=None, claims=()) if quantity.whole else one_step(model, found.step)
    path.write_text(emit(replace(spec, sections=(short,)), target, (), force=True), encoding="utf-8")
    weights, given = found.weights, found.inputs
    if not quantity.whole:
        weights, given = (at_step(model, values, found.step) for values in (weights, given))

    def step(states: Sequence[Array]) -> list[Array]:
        return list(backend.run(path, model.name, weights, list(states), [given[u.name] for u in model.inputs]))

    return quantity.measure(model, found, step)


def _through(found: Counterexample, spec: Spec, program: StepProgram, target: str, folder: Path) -> float:
    """The final states by emitted code. Its output, where the claim is about that, is read from them."""
    from odespec.emit import emit
    from odespec.prove.refute.mapping import network, read
    from odespec.weights.arithmetic import FLOAT

    backend, model = backends.get(target), program.model
    path = folder / f"replayed_{target}.py"
    path.write_text(emit(spec, target, (), force=True), encoding="utf-8")
    net, images = network(program, found.subject), []
    for states, inputs in found.arguments(model):
        final = backend.run(path, model.name, found.weights, states, inputs)
        given = {u.name: v for u, v in zip(model.inputs, inputs, strict=True)}
        images.append([read(net, FLOAT, found.weights, final, given)])
    return found.ratio(*images)
