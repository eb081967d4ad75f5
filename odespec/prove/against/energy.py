"""Proofs about a scalar of the states against the spec: every relation, and the change or the rate of V, on actual runs.

The auditor proves that the signs follow from the relations. Here the same problems are read from the network again, their
relations are measured on extreme and random weights, and the numerator must be what V does: over a step of the
interpreter, along the field by forward derivatives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from odespec.certificate.auditor.energy import SYSTEMS
from odespec.certificate.format import Certificate, Part
from odespec.exact import Undecided
from odespec.ir.expr import TIME, Expr, depends_on
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered, lower, state_leaves
from odespec.program.step import StepProgram
from odespec.program.tangents import differentiate
from odespec.prove.against.entrywise import random_graph
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import TOLERANCE, compare, stated
from odespec.prove.energy import problems
from odespec.prove.energy.arguments import composed, method_of, multistep_of
from odespec.prove.energy.scalar import core
from odespec.prove.energy.statement import resolve, steps, write_multistep, write_tableau, written_time
from odespec.prove.multistep.solvable import reading, systems
from odespec.prove.relate.realise import defects, ratio, realise
from odespec.prove.relate.relations import NoRelation, Reading
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS = 24
SEED = 22
Env = dict[Expr, Any]


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model) or claim.scalar is None:
        raise Mismatch("the claim is none about a scalar of states")
    if resolve(claim) != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    if (certificate.steps, certificate.time) != (steps(model), written_time(model)):
        raise Mismatch("the steps or the time are not those of the spec")
    proof, free = certificate.proof, _free(model)
    scalar = core(claim.scalar)
    if proof["monotone"] != (scalar != claim.scalar):
        raise Mismatch("whether V stands inside a monotone function is not as in the spec")
    program = _program(free, claim, proof)
    if proof["composed"] and not composed(free):
        raise Mismatch("the steps are not made of drifts and kicks")
    _same_method(free, proof)
    try:
        _hold(free, program, claim, scalar, proof)
    except NoRelation as error:
        raise Mismatch(f"the network has no such relations: {error}") from None


def _free(model: Model) -> Model:
    """The step acts on all states, whatever they are at the start."""
    return replace(model, states=tuple(replace(s, initial=None) for s in model.states), domains=_inputs_only(model))


def _inputs_only(model: Model) -> Any:
    return tuple(r for r in model.domains if not depends_on(r.operand, "state", "initial"))


def _program(model: Model, claim: Claim, proof: Mapping[str, Any]) -> StepProgram:
    """The step; for the flow, adaptive solvers and multistep methods a program that stays where it is."""
    resting = replace(model, solver=replace(model.solver, name="map", steps=1, tableau=None), discrete=True)
    still = StepProgram(resting, problems.ONE, _start_time(model), 1, (), state_leaves(model))
    try:
        program = still if claim.subject == "flow" else lower(model, history=True)
    except NotLowered as error:
        if not proof["tableau"] or isinstance(model.solver.steps, int):
            raise Mismatch(f"there is no step program for {error.what}") from None
        return still
    if {s for s in SYSTEMS if proof["implicit"][s]} != systems(program).keys():
        raise Mismatch("whether the step is implicit is not as in the spec")
    return program


def _start_time(model: Model) -> Any:
    return problems.ONE * 0 if model.time is None else model.time.start


def _same_method(model: Model, proof: Mapping[str, Any]) -> None:
    later = multistep_of(model)
    if proof["multistep"] and (later is None or proof["multistep"] != [write_multistep(later)]):
        raise Mismatch("the multistep method is not that of the solver")
    if not proof["tableau"]:
        return
    method, (given,) = method_of(model), proof["tableau"]
    try:
        own = None if method is None else write_tableau(method)
    except Undecided:
        own = None
    if own is None or {k: given[k] for k in own} != own:
        raise Mismatch("the method is not that of the solver")


# --- what holds ----------------------------------------------------------------


def _hold(model: Model, program: StepProgram, claim: Claim, scalar: Expr, proof: Mapping[str, Any]) -> None:
    runs = list(_runs(model, program))
    if not runs:
        raise Mismatch("no weights were found on which the relations could be tested")
    for part in proof["parts"]:
        again = _reading(part, model, program, claim, scalar)
        with np.errstate(all="ignore"):
            compared = [_compare(part, again, e, _measured(part["role"], model, program, scalar, e)) for e in runs]
        if not any(compared):
            raise Mismatch("no weights were found on which V could be measured")
    for name, part in proof["solvability"].items():
        system = systems(program)[name]
        unknowns = [u for group in system.solves for u in group.unknowns]
        pairs = [((_stirred(a, unknowns, 0),), (_stirred(a, unknowns, 1),)) for a in runs]
        compare(Part.model_validate_json(json.dumps(part)), reading(system), pairs, None)
    for degree in (*(t["degree"] for t in proof["tableau"]), *(1 for _ in proof["multistep"])):
        _polynomial(model, scalar, degree, runs)
    if proof["monotone"]:
        _monotone(model, claim, scalar, runs)


def _reading(part: Mapping[str, Any], model: Model, program: StepProgram, claim: Claim, scalar: Expr) -> Reading:
    """The problem of a part, read again; a change may have been read with rounded coefficients."""
    names = [v["name"] for v in part["basis"]]
    for rounded in (False, True):
        again = _again(part["role"], part["sense"] == "lower", model, program, claim, scalar, rounded)
        if [v.name for v in again.problem.basis] == names:
            return again
        if part["role"] != "change":
            break
    raise Mismatch("the vectors are not those of the network")


def _again(
    role: str, below: bool, model: Model, program: StepProgram, claim: Claim, scalar: Expr, rounded: bool
) -> Reading:
    if role == "change":
        return problems.change(program, scalar, lower=below, rounded=rounded)
    if role in problems.SUBSTEPS:
        return problems.substep(model, scalar, role, lower=below)
    if role == "rate":
        method = None if claim.subject == "flow" else method_of(model)
        return problems.rate(model, scalar, lower=below, method=method)
    return problems.shape(model, scalar)


def _compare(part: Mapping[str, Any], reading: Reading, env: Env, measured: float) -> bool:
    """The relations hold in one run, and the numerator is what was measured; False where that cannot be told."""
    body = {k: v for k, v in part.items() if k != "role"} | {"role": "flow", "tau": "0", "denominator": []}
    problem = stated(Part.model_validate_json(json.dumps(body)))
    realised = realise(reading, (env,), (env,))
    for defect in defects(problem, realised):
        if defect.size > TOLERANCE:
            raise Mismatch(f"a relation fails on actual weights: {defect.relation.rule}, {defect.relation.why}")
    below = 1.0 + sum(float(np.sum(v**2)) for e, v in env.items() if e.op == "state")
    found = ratio(replace(problem, denominator=reading.problem.denominator), realised)
    scale = max(float(np.sum(v**2)) for v in (*realised.vectors, np.ones(1)))
    size = max(1.0, abs(measured) / below, scale / below)
    if not (np.isfinite(found) and np.isfinite(measured)):
        return False
    if abs(found - measured / below) > TOLERANCE * size:
        raise Mismatch(f"the {part['role']} of V is not as stated")
    return True


def _measured(role: str, model: Model, program: StepProgram, scalar: Expr, env: Env) -> float:
    """What V does in a run, by the interpreter."""
    leaves = state_leaves(model)
    if role == "change":
        after = dict(zip(leaves, evaluate(program.update, env), strict=True))
        return _value(scalar, env | after) - _value(scalar, env)
    if role in problems.SUBSTEPS:
        moved = problems.substep_moves(model, role)
        return _value(scalar, env | dict(zip(moved, evaluate(tuple(moved.values()), env), strict=True))) - _value(
            scalar, env
        )
    if role == "rate":
        moves = {s: f[None] for s, f in zip(leaves, map(np.asarray, evaluate(model.field, env)), strict=True)}
        move = differentiate([scalar], env, moves)[1][0]
        return 0.0 if move is None else float(np.ravel(move)[0])
    zero = {s: np.zeros(s.shape) for s in leaves}
    turned = {s: -env[s] for s in leaves}
    return (_value(scalar, env) + _value(scalar, env | turned)) / 2 - _value(scalar, env | zero)


def _value(scalar: Expr, env: Mapping[Expr, Any]) -> float:
    return float(evaluate([scalar], env)[0])


def _polynomial(model: Model, scalar: Expr, degree: int, runs: list[Env]) -> None:
    """Differences of the order after the degree vanish along lines."""
    signs = {1: (1.0, -2.0, 1.0), 2: (-1.0, 3.0, -3.0, 1.0)}[degree]
    for env, other in zip(runs, runs[1:] + runs[:1], strict=True):
        points = [{s: env[s] + k * other[s] for s in state_leaves(model)} for k in range(len(signs))]
        found = [_value(scalar, env | p) for p in points]
        if abs(sum(c * v for c, v in zip(signs, found, strict=True))) > TOLERANCE * max(1.0, *map(abs, found)):
            raise Mismatch(f"V is no polynomial of degree {degree}")


def _monotone(model: Model, claim: Claim, scalar: Expr, runs: list[Env]) -> None:
    """The scalar of the claim grows with V."""
    assert claim.scalar is not None
    for env, other in zip(runs, runs[1:] + runs[:1], strict=True):
        moved = env | {s: other[s] for s in state_leaves(model)}
        inner, outer = (_value(e, moved) - _value(e, env) for e in (scalar, claim.scalar))
        if inner * outer < 0:
            raise Mismatch("the scalar of the claim does not grow with the stated one")


# --- runs ----------------------------------------------------------------------


def _runs(model: Model, program: StepProgram) -> Iterator[Env]:
    """The leaves of single steps, under extreme and random weights, from any states, at any time."""
    rng = np.random.default_rng(SEED)
    sampled = replace(model, constraints=tuple(r for r in model.constraints if r.quantity != "degree"))
    for trial in range(TRIALS):
        scale = 10.0 ** rng.uniform(-2, 2) if trial % 2 else 1.0
        states = [scale * rng.standard_normal(s.shape) for s in model.states]
        states = [np.abs(s) for s in states] if trial % 3 == 2 else states
        try:
            weights, inputs = sample(sampled, rng), sample_inputs(sampled, rng)
            graphs = {g.name: random_graph(model, g, rng) for g in model.graphs}
            with np.errstate(all="ignore"):
                env = dict(environments(program, weights, states, inputs, graphs=graphs)[0])
        except (NoSample, ConvergenceError):
            continue
        env[problems.SIZE] = rng.standard_normal(())
        if model.time is not None and not program.solves:
            low, high = float(model.time.start), float(model.time.end)
            env[TIME] = np.asarray(rng.uniform(low, high if program.update == state_leaves(model) else low))
        if all(np.isfinite(v).all() for v in env.values() if isinstance(v, np.ndarray)):
            yield env


def _stirred(env: Env, unknowns: list[Expr], run: int) -> Env:
    """Of solvability the stages are free."""
    rng = np.random.default_rng([SEED, run])
    return env | {u: rng.standard_normal(u.shape) for u in unknowns}
