"""Proofs about multistep methods against the spec: every relation on the differences of actual runs from the start on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from odespec.certificate.format import Certificate, Part
from odespec.certificate.gram import resolve, vector
from odespec.ir.expr import leaf
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.fields import state_leaves
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.against.entrywise import random_graph
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import TOLERANCE, compare, stated
from odespec.prove.engines.distance import step_program
from odespec.prove.gram.problem import GramProblem
from odespec.prove.lyapunov.reading import Lifted
from odespec.prove.lyapunov.settings import Setting
from odespec.prove.multistep.entries import Entrywise, entrywise
from odespec.prove.multistep.forms import names, setting
from odespec.prove.multistep.solvable import reading, systems
from odespec.prove.relate.history import read_whole
from odespec.prove.relate.realise import Realised, Run, defects, realise
from odespec.prove.relate.relations import NoRelation, Reading
from odespec.prove.sides import horizon_of
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS = 12
SEED = 21
LATER = 2
"""Steps after the first ones that are looked at, where the proof does not speak of all at once."""

Env = dict[Any, Any]


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim)[0] != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    program = _same_numbers(certificate, model, claim)
    proof = certificate.proof
    shown = program if proof["whole"] else _shortened(program)
    entries = _entries(shown) if proof["coordinates"] else None
    runs = list(_runs(shown, entries))
    if entries is not None:
        program = replace(entries.program, steps=program.steps)
    try:
        for part in proof["whole"]:
            _whole(_part(part), program, runs)
        for name, part in proof["solvability"].items():
            _solvable(_part(part), name, program, runs)
        if proof["parts"]:
            _form(proof, program, runs)
    except NoRelation as error:
        raise Mismatch(f"the network has no such relations: {error}") from None


def _same_numbers(certificate: Certificate, model: Model, claim: Claim) -> StepProgram:
    try:
        program = step_program(model, claim.subject)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    if program.begin is None:
        raise Mismatch("the solver is no multistep method")
    horizon = horizon_of(program, claim)
    if (certificate.steps, certificate.time) != (horizon.steps, str(horizon.length)):
        raise Mismatch("the steps or the time are not those of the spec")
    proof, found = certificate.proof, systems(program)
    if proof["begin"] != program.begin.steps:
        raise Mismatch("the number of first steps is not that of the method")
    if proof["implicit"] != {name: name in found for name in ("begin", "later")}:
        raise Mismatch("whether the steps are implicit is not as in the spec")
    return program


def _part(data: dict[str, Any]) -> Part:
    return Part.model_validate_json(json.dumps(data))


def _shortened(program: StepProgram) -> StepProgram:
    """The first steps and a few of the others."""
    assert program.begin is not None and program.model.time is not None
    steps = min(program.steps, program.begin.steps + LATER)
    time = replace(program.model.time, end=program.start + program.h * steps)
    model = replace(program.model, solver=replace(program.model.solver, steps=steps), time=time)
    return replace(program, model=model, steps=steps)


def _entries(program: StepProgram) -> Entrywise:
    found = entrywise(program)
    if found is None:
        raise Mismatch("the field has no matrices of known numbers")
    return found


Pair = tuple[tuple[Env, ...], tuple[Env, ...]]


def _runs(program: StepProgram, entries: Entrywise | None = None) -> Iterator[Pair]:
    """All steps of pairs of runs under common weights and inputs, entry by entry where that is asked for."""
    rng = np.random.default_rng(SEED)
    for trial in range(TRIALS):
        scale = 10.0 ** rng.uniform(-3, 3) if trial % 2 else 1.0
        try:
            weights, inputs = sample(program.model, rng), sample_inputs(program.model, rng)
            pair = [[scale * rng.standard_normal(s.shape) for s in program.model.free_states] for _ in range(2)]
            graphs = {g.name: random_graph(program.model, g, rng) for g in program.model.graphs}
            first, second = (environments(program, weights, x, inputs, graphs=graphs) for x in pair)
            if entries is not None:
                own = entries.weights(weights), entries.inputs(program.model, inputs)
                small = [environments(entries.program, own[0], entries.states(x), own[1]) for x in pair]
                for run, small_run in zip((first, second), small, strict=True):
                    _same_states(program, entries.program, run, small_run)
                first, second = small
        except (NoSample, ConvergenceError):
            continue
        values = [v for env in (*first, *second) for v in env.values() if isinstance(v, np.ndarray)]
        if all(np.isfinite(v).all() for v in values):
            yield first, second


def _same_states(program: StepProgram, small: StepProgram, run: tuple[Env, ...], own: tuple[Env, ...]) -> None:
    """The run entry by entry goes where the other one goes."""
    for env, small_env in zip(run, own, strict=True):
        states = np.concatenate([env[s].reshape(-1) for s in state_leaves(program.model)])
        entries = np.array([float(small_env[s]) for s in state_leaves(small.model)])
        if not np.allclose(states, entries, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise Mismatch("the step entry by entry is not that of the network")


# --- all steps at once -------------------------------------------------------------


def _whole(part: Part, program: StepProgram, runs: list[Pair]) -> None:
    def measured(first: Run, second: Run) -> float:
        last = program.at(program.steps - 1)[1]
        after = [evaluate(last, run[-1]) for run in (first, second)]
        start = [leaf("state", s.name, s.shape) for s in program.model.free_states]
        top = sum(float(np.sum((a - b) ** 2)) for a, b in zip(*after, strict=True))
        bottom = sum(float(np.sum((first[0][s] - second[0][s]) ** 2)) for s in start)
        return top / bottom if bottom > 0 else float("nan")

    compare(part, read_whole(program, lower=part.sense == "lower"), runs, measured)


def _solvable(part: Part, name: str, program: StepProgram, runs: list[Pair]) -> None:
    """The unknowns are free: their residuals are what they are measured by."""
    assert program.begin is not None
    system, rng = systems(program)[name], np.random.default_rng(SEED)
    first = 0 if name == "begin" else program.begin.steps
    unknowns = [u for s in system.solves for u in s.unknowns]

    def stirred(env: Env) -> Env:
        return env | {u: rng.standard_normal(u.shape) for u in unknowns}

    pairs = [((stirred(a[first]),), (stirred(b[first]),)) for a, b in runs]
    compare(part, reading(system), pairs, None)


# --- forms -------------------------------------------------------------------------


def _form(proof: dict[str, Any], program: StepProgram, runs: list[Pair]) -> None:
    """The form's vectors are those of the network, and what is said of them holds."""
    found = setting(program)
    read = {part.role: part for part in (found.change, found.below, found.above)}
    for data in proof["parts"]:
        _same_vectors(data, read[data["role"]], names(found))
        _relations_hold(data, read[data["role"]], program, runs)
    _step_is_actual(found, program, runs)


def _same_vectors(data: dict[str, Any], own: Lifted, called: tuple[str, ...]) -> None:
    basis = [v.name for v in own.basis]
    if basis != [v["name"] for v in data["basis"]]:
        raise Mismatch("the vectors are not those of the network")
    for when, vectors in (("before", own.before), ("after", own.after)):
        actual = {name: vector(v, basis) for name, v in zip(called, vectors, strict=False)}
        if any(actual.get(name) != v for name, v in data[when].items()):
            raise Mismatch(f"the vectors {when} a step are not those of the network")
    if data["distance"] != [vector(v, basis) for v in own.distance]:
        raise Mismatch("the distance is not that of the network")


def _relations_hold(data: dict[str, Any], own: Lifted, program: StepProgram, runs: list[Pair]) -> None:
    fields = {name: data[name] for name in ("basis", "relations")}
    part = _part({"role": "step", "sense": "upper", "tau": "0", "numerator": [], "denominator": [], **fields})
    problem = stated(part)
    for first, second in _moments(program, data["role"], runs):
        for defect in defects(problem, _realised(own, first, second)):
            if defect.size > TOLERANCE:
                raise Mismatch(f"a relation fails on actual weights: {defect.relation.rule}, {defect.relation.why}")


def _realised(own: Lifted, first: Run, second: Run) -> Realised:
    problem = GramProblem("step", own.basis, own.relations, (), ())
    return realise(Reading(problem, own.recipes, own.kept), first, second)


def _moments(program: StepProgram, role: str, runs: list[Pair]) -> Iterator[Pair]:
    """The parts of runs that a role speaks of: the first steps, or one later step with its memory as states."""
    assert program.begin is not None
    count = program.begin.steps
    places = {m.past: leaf("state", str(m.past.data), m.past.shape) for m in program.memory}

    def moved(env: Env) -> Env:
        return env | {state: env[past] for past, state in places.items()}

    for first, second in runs:
        if role == "above":
            yield first[:count], second[:count]
            continue
        for a, b in zip(first[count : count + LATER], second[count : count + LATER], strict=True):
            yield (moved(a),), (moved(b),)


def _step_is_actual(found: Setting, program: StepProgram, runs: list[Pair]) -> None:
    """What the reading says that a step makes of the states and the memory is what it makes of them."""
    plain = [(p.state, v) for p, v in zip(found.probes, found.change.after, strict=True) if p.weight == 0]
    for first, second in _moments(program, "step", runs):
        own = _realised(found.change, first, second)
        after = [evaluate(found.program.update, run[0]) for run in (first, second)]
        for state, v in plain:
            actual = after[0][state] - after[1][state]
            value = sum((float(c) * own.vectors[i] for i, c in v), np.zeros_like(actual))
            if float(np.linalg.norm(value - actual)) > TOLERANCE * (float(np.linalg.norm(actual)) + own.floor):
                raise Mismatch("the step is not that of the network")
