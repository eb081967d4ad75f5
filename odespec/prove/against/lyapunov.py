"""Proofs by a quadratic form against the spec: what the form is made of before and after actual steps, and every relation.

The auditor proves the claim from three kinds of facts: relations between vectors, what each probe of the form is before
and after a step (or its derivative), and what the distance is. All are measured here on actual runs. The values of the
probes come from the states of the runs and the operators alone, not from the reading of the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from odespec.certificate.format import Certificate, LyapunovPart, LyapunovProof, Term
from odespec.certificate.gram import resolve
from odespec.certificate.lyapunov import with_metric
from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.lower import NotLowered, state_leaves
from odespec.program.operators import Array
from odespec.program.step import StepProgram
from odespec.prove.against import gram
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import TOLERANCE, stated_relations
from odespec.prove.engines.distance import step_program
from odespec.prove.gram.problem import GramProblem
from odespec.prove.lyapunov.coordinates import Coordinates, coordinates
from odespec.prove.lyapunov.given import read_given
from odespec.prove.lyapunov.probes import Probe
from odespec.prove.lyapunov.settings import Setting, settings
from odespec.prove.lyapunov.verdicts import lift_names, probe_names
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.realise import Run, applied, defects, realise, solved
from odespec.prove.relate.relations import Reading
from odespec.prove.sides import horizon_of

Env = Mapping[Expr, Any]


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if with_metric(claim.text, resolve(claim)[0]) != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    proof = certificate.proof_as(LyapunovProof)
    program = _same_numbers(certificate, proof, model, claim)
    entries = coordinates(program, claim.metric if isinstance(claim.metric, Expr) else None)
    if proof.coordinates and entries is None:
        raise Mismatch("the model is not taken entry by entry")
    own = entries if proof.coordinates else None
    setting, theta = _setting(program if own is None else own.program, proof, claim, own)
    if theta is not None and theta != _terms(proof):
        raise Mismatch("the form is not that of the metric")
    for part in proof.parts:
        _holds(part, program, setting, own)
    for solvability in proof.solvability:
        gram.holds(solvability, program)


def _same_numbers(certificate: Certificate, proof: LyapunovProof, model: Model, claim: Claim) -> StepProgram:
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


# --- the probes ------------------------------------------------------------------

Form = dict[tuple[str, str], Fraction]


def _terms(proof: LyapunovProof) -> Form:
    return {(min(a, b), max(a, b)): Fraction(c) for a, b, c in proof.form}


def _setting(
    program: StepProgram, proof: LyapunovProof, claim: Claim, entries: Coordinates | None
) -> tuple[Setting, Form | None]:
    """The reading whose probes the certificate names; of a given metric also the form that it must have."""
    flow, span = claim.subject == "flow", max(p.span for p in proof.parts)
    try:
        if isinstance(claim.metric, Expr):
            given = read_given(program, flow, claim.metric, entries, span)
            names = probe_names(given.setting)
            pairs = zip(given.setting.pairs, given.theta, strict=True)
            theta = {(min(names[a], names[b]), max(names[a], names[b])): c for (a, b), c in pairs}
            return given.setting, theta
        for setting in settings(program, flow, weights=claim.metric == "some"):
            names = probe_names(setting)
            same = setting.change.span == span and list(lift_names(setting)) == proof.lift
            if same and all(x in names for p in proof.form for x in p[:2]):
                return setting, None
    except NoRelation as error:
        raise Mismatch(f"the network has no such relations: {error}") from None
    raise Mismatch("the form is not made of vectors of the network")


def _value(probe: Probe, setting: Setting, differences: Sequence[Array], values: Mapping[Expr, Any]) -> Array:
    """A probe of differences of the states, by the values of the operators."""
    x, atom = differences[probe.state], setting.lift[probe.state]
    if atom is not None:
        x = solved(atom, values.get(atom.expr) if atom.expr is not None else None, x)
    chain = [(a, False, False) for a in probe.scalars]
    chain += [(y.atom, y.adjoint, False) for y in reversed(probe.first)]
    chain += [(y.atom, y.adjoint, True) for y in reversed(probe.last)]
    for a, adjoint, last in chain:
        x = applied(a, adjoint, last, None if a.expr is None else values[a.expr], x)
    return x


def _operators(setting: Setting, env: Env) -> dict[Expr, Any]:
    atoms = [a for p in setting.probes for a in p.atoms] + [a for a in setting.lift if a is not None]
    exprs = list(dict.fromkeys(a.expr for a in atoms if a.expr is not None))
    return dict(zip(exprs, evaluate(exprs, env), strict=True))


# --- what holds ------------------------------------------------------------------


def _holds(part: LyapunovPart, program: StepProgram, setting: Setting, entries: Coordinates | None) -> None:
    """Every relation, and every vector of the form, on actual differences."""
    read = {"below": setting.below, "above": setting.above}.get(part.role, setting.change)
    if read.role != part.role or [v.name for v in read.basis] != [v.name for v in part.basis]:
        raise Mismatch("the vectors are not those of the network")
    problem = _problem(part)
    reading = Reading(problem, read.recipes, read.kept)
    tried = 0
    for first, second in _runs(program, part, entries):
        realised = realise(reading, first, second)
        if not all(np.isfinite(v).all() for v in realised.vectors):
            continue
        for defect in defects(problem, realised):
            if defect.size > TOLERANCE:
                raise Mismatch(f"a relation fails on actual weights: {defect.relation.rule}, {defect.relation.why}")
        vectors = dict(zip([v.name for v in part.basis], realised.vectors, strict=True))
        for what, stated, actual in _pairs(part, setting, first, second):
            _equal(what, stated, actual, vectors, realised.floor)
        tried += 1
    if tried == 0:
        raise Mismatch("no weights were found on which the relations could be tested")


def _equal(what: str, stated: Sequence[Term], actual: Array, vectors: Mapping[str, Array], floor: float) -> None:
    made, size = np.zeros_like(actual), float(np.linalg.norm(actual)) + floor
    for name, c in stated:
        if vectors[name].shape != actual.shape:
            raise Mismatch(f"{what} is a vector of another shape")
        made = made + float(Fraction(c)) * vectors[name]
        size += abs(float(Fraction(c))) * float(np.linalg.norm(vectors[name]))
    if float(np.linalg.norm(made - actual)) > TOLERANCE * max(size, 1e-300):
        raise Mismatch(f"{what} is not that of the network")


def _pairs(
    part: LyapunovPart, setting: Setting, first: Run, second: Run
) -> Iterator[tuple[str, Sequence[Term], Array]]:
    """What the certificate states of probes and distances, and what they are."""
    leaves = state_leaves(setting.program.model)
    start = [np.asarray(first[0][x] - second[0][x]) for x in leaves]
    operators = _operators(setting, first[0])
    named = dict(zip(probe_names(setting), setting.probes, strict=True))
    for name, stated in part.before.items():
        yield f"{name} before the step", stated, _value(named[name], setting, start, operators)
    if part.after:
        roots = setting.program.model.field if part.role == "flow" else setting.program.update
        images = zip(evaluate(roots, first[-1]), evaluate(roots, second[-1]), strict=True)
        ends = [np.asarray(a - b) for a, b in images]
        for name, stated in part.after.items():
            yield f"{name} after the step", stated, _value(named[name], setting, ends, operators)
    if part.distance:
        states = setting.program.model.states
        kept = [d for d, s in zip(start, states, strict=True) if part.role == "below" or s.initial is None]
        if len(kept) != len(part.distance):
            raise Mismatch("the distance is not that of the states")
        for difference, stated in zip(kept, part.distance, strict=True):
            yield "the distance", stated, difference


def _runs(program: StepProgram, part: LyapunovPart, entries: Coordinates | None) -> Iterator[tuple[Run, Run]]:
    """Pairs of runs of a part's steps under common weights; for ``above`` with the initial values that are given."""

    def seen(env: Env) -> Env:
        env = _initial(program.model, env) if part.role == "above" else env
        return env if entries is None else _entries(env, entries)

    for first, second in gram.runs(program, "step", np.random.default_rng(gram.SEED), part.span):
        yield tuple(map(seen, first)), tuple(map(seen, second))


def _initial(model: Model, env: Env) -> Env:
    """The environment with given initial values in place of what the states were."""
    env = dict(env)
    for state, leaf in zip(model.states, state_leaves(model), strict=True):
        if state.initial is not None:
            env[leaf] = np.asarray(evaluate([state.initial], env)[0])
    return env


def _entries(env: Env, entries: Coordinates) -> Env:
    """The values of the scalar leaves."""
    found = {new: np.asarray(np.asarray(env[old])[place]) for new, old, place in entries.origin if old in env}
    return {**env, **found}


def _problem(part: LyapunovPart) -> GramProblem:
    """The relations of a part, as a problem without forms."""
    basis, relations = stated_relations(part.basis, part.relations)
    return GramProblem(part.role, basis, relations, (), ())
