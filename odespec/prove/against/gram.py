"""Proofs by inner products against the spec: every relation on the differences of actual runs.

The auditor proves that the bound follows from the relations. Whether the relations are those of the network is tested
here, on extreme and random weights, heavy-tailed states and inputs: a wrong relation cannot hide behind a right identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from odespec.certificate.format import Certificate, GramProof, Part
from odespec.certificate.gram import resolve
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.distance import step_program
from odespec.prove.engines.sides import horizon_of
from odespec.prove.gram.problem import BasisVector, Form, GramProblem, Relation, Vector
from odespec.prove.relate.realise import Run, defects, ratio, realise
from odespec.prove.relate.relations import NoRelation, Reading, read_flow, read_solvability, read_step
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS = 24
SEED = 20
TOLERANCE = 1e-6
"""Relative to the size of a relation's terms: far above rounding, far below what a wrong relation misses."""

MAX_STEPS = 2
"""Steps of a run that are looked at: the first ones."""


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim)[0] != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    proof = certificate.proof_as(GramProof)
    program = _same_numbers(certificate, proof, model, claim)
    for part in proof.parts:
        _holds(part, program)


def _same_numbers(certificate: Certificate, proof: GramProof, model: Model, claim: Claim) -> StepProgram:
    try:
        program = step_program(model, claim.subject)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    horizon = horizon_of(program, claim)
    if (certificate.steps, certificate.time) != (horizon.steps, str(horizon.length)):
        raise Mismatch("the steps or the time are not those of the spec")
    if proof.implicit != (bool(program.solves) and not horizon.flow):
        raise Mismatch("whether the step is implicit is not as in the spec")
    return program


# --- what holds ----------------------------------------------------------------


def _holds(part: Part, program: StepProgram) -> None:
    """Every relation of a part, and its two forms, on actual differences."""
    reading = _reading(part, program)
    if [v.name for v in reading.problem.basis] != [v.name for v in part.basis]:
        raise Mismatch("the vectors are not those of the network")
    problem = _stated(part)
    tried = 0
    for first, second in _runs(program, part.role, np.random.default_rng(SEED)):
        realised = realise(reading, first, second)
        for defect in defects(problem, realised):
            if defect.size > TOLERANCE:
                raise Mismatch(f"a relation fails on actual weights: {defect.relation.rule}, {defect.relation.why}")
        stated = ratio(problem, realised)
        own = _measured(program, first, second) if part.role == "step" else ratio(reading.problem, realised)
        if np.isfinite(stated) and abs(stated - own) > TOLERANCE * max(1.0, abs(own)):
            raise Mismatch(f"the ratio of the {part.role} problem is not that of the network")
        tried += 1
    if tried == 0:
        raise Mismatch("no weights were found on which the relations could be tested")


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


def _runs(program: StepProgram, role: str, rng: np.random.Generator) -> Iterator[tuple[Run, Run]]:
    """Single steps of pairs of runs under common weights and inputs."""
    for trial in range(TRIALS):
        try:
            weights, inputs = sample(program.model, rng), sample_inputs(program.model, rng)
            pair = [_start(program, rng, trial) for _ in range(2)]
            first, second = (environments(program, weights, x, inputs)[:MAX_STEPS] for x in pair)
        except (NoSample, ConvergenceError):
            continue
        for a, b in zip(first, second, strict=True):
            if all(np.isfinite(v).all() for env in (a, b) for v in env.values() if isinstance(v, np.ndarray)):
                yield (_stirred(a, program, rng, role),), (_stirred(b, program, rng, role),)


def _start(program: StepProgram, rng: np.random.Generator, trial: int) -> list[np.ndarray]:
    """Initial values of all states: the relations hold for any."""
    scale = 10.0 ** rng.uniform(-3, 3) if trial % 2 else 1.0
    return [scale * rng.standard_normal(s.shape) for s in program.model.states]


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


# --- reading the certificate ---------------------------------------------------


def _stated(part: Part) -> GramProblem:
    """The problem as the certificate states it."""
    number = {v.name: i for i, v in enumerate(part.basis)}
    basis = tuple(BasisVector(v.name, v.space) for v in part.basis)

    def vector(terms: list[tuple[str, str]]) -> Vector:
        return tuple(sorted((number[name], Fraction(c)) for name, c in terms))

    def form(terms: list[tuple[str, str, str]]) -> Form:
        pairs = [(tuple(sorted((number[a], number[b]))), Fraction(c)) for a, b, c in terms]
        return tuple(sorted(pairs))  # type: ignore[arg-type]

    relations = tuple(
        Relation(
            r.rule,
            tuple((name, tuple(vector(v) for v in vectors)) for name, vectors in r.vectors.items()),
            tuple((name, Fraction(x)) for name, x in r.numbers.items()),
            r.why,
        )
        for r in part.relations
    )
    return GramProblem(part.role, basis, relations, form(part.numerator), form(part.denominator), part.sense == "lower")
