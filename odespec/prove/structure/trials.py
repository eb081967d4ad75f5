"""Random weights, inputs and states of a model, and the derivative of its step there: what counterexamples are sought in.

A step is differentiated in float64 by the interpreter, and again by differences in decimals of fifty digits: a derivative
counts where the two agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext

import numpy as np

from odespec.ir.model import Model
from odespec.program.interpret import ConvergenceError, NoRule, jacobian
from odespec.program.lower import lower
from odespec.program.step import StepProgram
from odespec.prove.refute.graphs import as_matrices, draw_graphs, largest_degree, name_of
from odespec.prove.refute.onestep import at_step, one_step
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, DECIMAL, Array, Inexact
from odespec.weights.draw import Rng
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import NoSample, sample, sample_inputs
from odespec.weights.steps import NoSolution, Runner, pack, prepare, run, unpack

KINDS = ("axes", None, "dense", "blocks", "signs", None, "permutation", "small", "dense", None, "rank_one", "axes")
SPREADS = (1.0, 0.1, 3.0, 10.0, 0.5)
DIRECTIONS = 3
NEAR = 1e-6
"""How near the derivative in decimals must be to that in float64, relatively."""

FAILURES = (
    ArithmeticError,
    ConvergenceError,
    DecimalException,
    Inexact,
    NoRule,
    NoSample,
    NoSolution,
    Unsupported,
    ValueError,
    np.linalg.LinAlgError,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of weights and inputs, at the sizes of the spec (``weights``) and for one step (``own``)."""

    weights: dict[str, Array]
    inputs: dict[str, Array]
    own: dict[str, Array]
    own_inputs: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Subject:
    """A program whose states are all free: one step of a model, or (``whole``) all its steps.

    ``model`` is the ``source`` with matrices in place of graphs.
    """

    source: Model
    model: Model
    program: StepProgram
    runner: Runner
    whole: bool
    number: int = 0

    @property
    def size(self) -> int:
        return sum(int(np.prod(s.shape)) for s in self.model.states)


def subject_of(source: Model, *, whole: bool, number: int = 0) -> Subject:
    """Raises `odespec.program.lower.NotLowered`, and `Unsupported` for graphs that are no adjacency matrices."""
    model = as_matrices(source)
    if whole:
        states = tuple(replace(s, initial=None) for s in model.states)
        program = lower(replace(model, states=states, output=None, domains=()), history=True)
    else:
        program = lower(one_step(model, number))
    return Subject(source, model, program, prepare(program), whole, number)


def trials(subject: Subject, seed: int, deadline: float | None) -> Iterator[Trial]:
    """Extreme and random weights within the constraints, for which an implicit step has one solution."""
    rng = np.random.default_rng([seed, 11])
    model = subject.model
    for kind in KINDS:
        if deadline is not None and time.monotonic() > deadline:
            return
        try:
            weights = {n: np.asarray(w) for n, w in sample(model, rng, kind).items()}
            inputs = draw_inputs(subject.source, model, rng)
        except FAILURES:
            continue
        trial = _trial(subject, weights, inputs)
        if not subject.runner.implicit or uniquely_solvable(subject.runner, trial.own, trial.own_inputs):
            yield trial


def draw_inputs(source: Model, model: Model, rng: Rng) -> dict[str, Array]:
    """Inputs within the domain, and adjacency matrices for the graphs of the source. Raises `NoSample`."""
    inputs = {u.name: np.asarray(v) for u, v in zip(model.inputs, sample_inputs(model, rng), strict=True)}
    for g in source.graphs:
        inputs[name_of(g.name)] = draw_graphs(g, largest_degree(source, g.name), rng, 1)[0]
    return inputs


def _trial(subject: Subject, weights: dict[str, Array], inputs: dict[str, Array]) -> Trial:
    if subject.whole:
        return Trial(weights, inputs, weights, inputs)
    model, k = subject.model, subject.number
    return Trial(weights, inputs, at_step(model, weights, k), at_step(model, inputs, k))


def points(subject: Subject, seed: int, count: int) -> Iterator[Array]:
    """States ``[n]`` of several sizes, with short binary digits."""
    rng = np.random.default_rng([seed, 12])
    for k in range(count):
        x = rng.standard_normal(subject.size) * SPREADS[k % len(SPREADS)]
        yield np.round(x * 64) / 64


def derivative(subject: Subject, trial: Trial, x: Array) -> Array | None:
    """``[n, n]`` in float64; None where it fails."""
    shapes = [s.shape for s in subject.model.states]
    given = [trial.own_inputs[u.name] for u in subject.model.inputs]
    try:
        found = jacobian(subject.program, trial.own, unpack(x, shapes), given)
    except FAILURES:
        return None
    return found if np.isfinite(found).all() else None


def agrees(subject: Subject, trial: Trial, x: Array, found: Array) -> bool:
    """Whether differences in decimals give the same derivative, along some random directions."""
    directions = np.round(np.random.default_rng(13).standard_normal((DIRECTIONS, len(x))) * 64) / 64
    exact = decimal_derivative(subject, trial, x, directions)
    wanted = found @ directions.T
    return exact is not None and bool(np.abs(exact - wanted).max() <= NEAR * max(1.0, float(np.abs(wanted).max())))


def decimal_derivative(subject: Subject, trial: Trial, x: Array, directions: Array) -> Array | None:
    """The derivative ``[n, k]`` along ``directions[k, n]`` by differences in decimals, right to about thirty digits."""
    step = Decimal(1).scaleb(-14)
    try:
        with localcontext(CONTEXT):
            center, columns = DECIMAL.cast(x), []
            for direction in directions:
                move = DECIMAL.cast(direction) * step
                ahead, behind = (image(subject, trial, center + s * move) for s in (1, -1))
                columns.append((ahead - behind) / (2 * step))
            return np.array([[float(v) for v in c] for c in columns]).T
    except FAILURES:
        return None


def image(subject: Subject, trial: Trial, x: Array) -> Array:
    """All states after the step, of decimals ``[n]``."""
    shapes = [s.shape for s in subject.model.states]
    values = run(subject.runner, DECIMAL, trial.own, unpack(x, shapes), trial.own_inputs)
    return pack(values, subject.program.update)


def unpacked(model: Model, x: Array) -> tuple[Array, ...]:
    return tuple(np.ascontiguousarray(v) for v in unpack(x, [s.shape for s in model.states]))


def flat(states: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(np.asarray(s, dtype=np.float64)) for s in states])


def flat_batch(states: Sequence[Array]) -> Array:
    """States ``[batch, *shape]`` as vectors ``[batch, n]``."""
    return np.concatenate([np.asarray(s, dtype=np.float64).reshape(len(s), -1) for s in states], axis=1)


def words(trial: Trial, model: Model, states: Mapping[str, Sequence[Array]]) -> str:
    """``with W = [[1]], x = 0``: what a counterexample is made of."""
    from odespec.prove.refute.explain import show

    given = [f"{n} = {show(v)}" for n, v in (*trial.weights.items(), *trial.inputs.items())]
    for s in model.states:
        values = states[s.name]
        given.append(f"{s.name} = {' or '.join(dict.fromkeys(show(v) for v in values))}")
    return ", ".join(given)
