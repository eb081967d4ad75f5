"""Proofs by inner products against the spec: every relation on the differences of actual runs.

The auditor proves that the bound follows from the relations. Whether the relations are those of the network is tested
here, on extreme and random weights, heavy-tailed states and inputs: a wrong relation cannot hide behind a right identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from odespec.activations import Interval
from odespec.certificate.format import Certificate, GramProof, Part
from odespec.certificate.gram import resolve
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.ir.ranges import REAL
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.against import expected
from odespec.prove.against.entrywise import random_graph
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import compare
from odespec.prove.boxes import boxed
from odespec.prove.engines.distance import step_program
from odespec.prove.relate.realise import Run
from odespec.prove.relate.relations import NoRelation, Reading, read_flow, read_solvability, read_step
from odespec.prove.sides import horizon_of
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS = 24
SEED = 20
MAX_STEPS = 2
"""Steps of a run that are looked at: the first ones."""


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim)[0] != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    proof = certificate.proof_as(GramProof)
    program = _same_numbers(certificate, proof, spec, model, claim)
    for part in proof.parts:
        if part.role.startswith("square-"):
            expected.holds(part, program)
        else:
            holds(part, step_program(model, claim.subject) if claim.mean_square else program)


def _same_numbers(certificate: Certificate, proof: GramProof, spec: Spec, model: Model, claim: Claim) -> StepProgram:
    try:
        program = expected.program(model, claim) if claim.mean_square else step_program(model, claim.subject)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    horizon = horizon_of(program, claim)
    if (certificate.steps, certificate.time) != (horizon.steps, str(horizon.length)):
        raise Mismatch("the steps or the time are not those of the spec")
    if proof.implicit != (bool(program.solves) and not horizon.flow):
        raise Mismatch("whether the step is implicit is not as in the spec")
    return program if horizon.flow or claim.mean_square else boxed(spec, program)


# --- what holds ----------------------------------------------------------------


def holds(part: Part, program: StepProgram) -> None:
    """Every relation of a part, and its two forms, on actual differences."""
    measured = partial(_measured, program) if part.role == "step" else None
    compare(part, _reading(part, program), runs(program, part.role, np.random.default_rng(SEED)), measured)


def _reading(part: Part, program: StepProgram) -> Reading:
    below = part.sense == "lower"
    try:
        if part.role == "flow":
            return read_flow(program.model, lower=below)
        reading = read_step(program, lower=below) if part.role == "step" else read_solvability(program)
    except NoRelation as error:
        raise Mismatch(f"the network has no such relations: {error}") from None
    if reading is None:
        raise Mismatch("an explicit step has no equations to solve")
    return reading


def runs(program: StepProgram, role: str, rng: np.random.Generator, span: int = 1) -> Iterator[tuple[Run, Run]]:
    """Single steps of pairs of runs under common weights and inputs; or so many steps, one after the other."""
    for trial in range(TRIALS):
        try:
            weights, inputs = sample(program.model, rng), sample_inputs(program.model, rng)
            pair = [_start(program, rng, trial) for _ in range(2)]
            graphs = {g.name: random_graph(program.model, g, rng) for g in program.model.graphs}
            free = _free(program)
            first, second = (
                environments(free, weights, x, inputs, graphs=graphs)[: MAX_STEPS + span - 1] for x in pair
            )
        except (NoSample, ConvergenceError):
            continue
        for k in range(len(first) - span + 1):
            ends = first[k : k + span], second[k : k + span]
            if all(np.isfinite(v).all() for x in ends for e in x for v in e.values() if isinstance(v, np.ndarray)):
                yield tuple(tuple(_stirred(e, program, rng, role) for e in x) for x in ends)  # type: ignore[misc]


def _free(program: StepProgram) -> StepProgram:
    """The same steps from any values of all states."""
    states = tuple(replace(s, initial=None) for s in program.model.states)
    return replace(program, model=replace(program.model, states=states, domains=()))


def _start(program: StepProgram, rng: np.random.Generator, trial: int) -> list[np.ndarray]:
    """Initial values of all states: the relations hold for any within their boxes."""
    scale = 10.0 ** rng.uniform(-3, 3) if trial % 2 else 1.0
    boxes = {e.data: box for e, box in program.inside}
    values = [scale * rng.standard_normal(s.shape) for s in program.model.states]
    return [_clipped(v, boxes.get(s.name, REAL)) for v, s in zip(values, program.model.states, strict=True)]


def _clipped(value: np.ndarray, box: Interval) -> np.ndarray:
    low, high = (None if x is None else float(x) for x in (box.lower, box.upper))
    return value if low is None and high is None else np.clip(value, low, high)


def _stirred(env: Mapping, program: StepProgram, rng: np.random.Generator, role: str) -> Mapping:  # type: ignore[type-arg]
    """Of solvability the stages are free: their residuals are what they are measured by."""
    if role != "solvability":
        return env
    unknowns = [u for group in program.solves for u in group.unknowns]
    return {**env, **{u: rng.standard_normal(u.shape) for u in unknowns}}


def _measured(program: StepProgram, first: Run, second: Run) -> float:
    """The squared ratio of distances after and before the step."""
    after = [evaluate(program.update, run[0]) for run in (first, second)]
    names = {s.name for s in program.model.states}
    before = [{e.data: v for e, v in run[0].items() if e.op == "state" and e.data in names} for run in (first, second)]
    top = sum(float(np.sum((a - b) ** 2)) for a, b in zip(*after, strict=True))
    bottom = sum(float(np.sum((before[0][n] - before[1][n]) ** 2)) for n in names)
    return top / bottom if bottom > 0 else float("nan")
