"""Proofs about eigenvalues against the spec: the structure of the linearised field, and its eigenvalues on actual weights.

The components, with their operators, must be those that the field falls into; every relation of a part must hold for
random weights and vectors; and whatever the proof says of regions, no eigenvalue of a linearised step, taken from the
field itself by differences at extreme and random weights and states, may lie outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from odespec.certificate.format import Certificate, Part
from odespec.ir.expr import leaf, postorder
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import MissingValue, NoRule
from odespec.program.interpret import environments
from odespec.program.lower import NotLowered
from odespec.program.operators import Edges
from odespec.program.step import StepProgram
from odespec.prove.against.gram import holds
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import compare
from odespec.prove.engines.distance import step_program
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.realise import Run
from odespec.prove.spectrum.amplify import bound, step_eigenvalues, worst
from odespec.prove.spectrum.certificate import implicit, measures, resolved
from odespec.prove.spectrum.components import Component
from odespec.prove.spectrum.enclose import name, read_bound
from odespec.prove.spectrum.factor import Form, forms
from odespec.prove.spectrum.frozen import NoTangent
from odespec.prove.spectrum.jacobian import field_of, jacobians
from odespec.prove.spectrum.prove import Linear, Proved, linearised, ways
from odespec.prove.spectrum.scheme import NoScheme, asked, rounded, scheme_of
from odespec.prove.spectrum.sums import sums_of
from odespec.prove.spectrum.words import described
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS, FEW = 16, 4
"""Samples of weights; few where a convolution has a norm, which takes long to obey exactly."""

SEED = 20
TOLERANCE = 1e-5
LARGEST = 300
BOUNDS = ("low", "high", "size", "disc")


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    proof = certificate.proof
    if resolved(claim) != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    if (certificate.steps, certificate.time) != measures(model):
        raise Mismatch("the steps or the time are not those of the spec")
    scheme = _same_scheme(proof, model, claim)
    parts = [Part.model_validate_json(json.dumps(p)) for p in proof["parts"]]
    for k in (*proof["solvable"], *proof["contraction"]):
        holds(parts[k], step_program(model, claim.subject))
    if proof["components"]:
        _same_components(proof, parts, model, scheme)
    _eigenvalues(model, scheme)


def _same_scheme(proof: dict[str, Any], model: Model, claim: Claim) -> dict[str, Any]:
    try:
        scheme = scheme_of(model, claim.subject)
        if scheme != proof["scheme"]:
            raise Mismatch("the scheme is not that of the solver")
        if proof["rounded"] != (scheme["family"] != "flow" and rounded(model)):
            raise Mismatch("whether the step is rounded is not as in the spec")
        if proof["implicit"] != implicit(scheme, model):
            raise Mismatch("whether the step is implicit is not as in the spec")
    except (NoScheme, NotLowered) as error:
        raise Mismatch(f"the spec has no such scheme: {error}") from None
    return scheme


# --- components --------------------------------------------------------------------


def _same_components(proof: dict[str, Any], parts: list[Part], model: Model, scheme: dict[str, Any]) -> None:
    try:
        linear = linearised(model, scheme["family"])
    except (NoScheme, NoTangent, NoRelation) as error:
        raise Mismatch(f"the field has no such components: {error}") from None
    if linear is None:
        raise Mismatch("the field has no such components")
    left = list(proof["components"])
    for group in linear.groups():
        left = _matched(linear, scheme, group, left, parts)
    if left:
        raise Mismatch("a component that the field does not have")


def _matched(
    linear: Linear, scheme: dict[str, Any], group: tuple[int, ...], left: list[dict[str, Any]], parts: list[Part]
) -> list[dict[str, Any]]:
    """What is left of the stated components when those of a group of states are taken away."""
    for way in ways(linear, scheme["family"], group):
        own = [
            Proved(component, None, (), split).stated(linear.model, scheme["family"], []) for component, split in way
        ]
        first = left[: len(own)]
        alike = len(first) == len(own) and all(_alike(a, b) for a, b in zip(own, first, strict=True))
        if alike and all((c.damping is None) == (x["damping"] is None) for (c, _), x in zip(way, first, strict=True)):
            for (component, _), stated in zip(way, first, strict=True):
                if component.operator is not None:
                    found = forms(component.operator, component.shapes, linear.know(), zero=component.zero)
                    _same_operator(linear, stated["operator"], list(found), parts)
                _same_damping(linear, component, stated["damping"], parts)
            return left[len(own) :]
    raise Mismatch("a component of the field is not stated as it is")


def _same_damping(linear: Linear, component: Component, stated: dict[str, Any] | None, parts: list[Part]) -> None:
    if (component.damping is None) != (stated is None):
        raise Mismatch("the damping of the field is not stated as it is")
    if component.damping is not None and stated is not None:
        if stated["factor"] != "1":
            raise Mismatch("the damping of the field is not stated as it is")
        found = forms(((component.damping,),), component.shapes, linear.know())
        _same_operator(linear, stated["operator"], list(found), parts)


def _alike(own: dict[str, Any], stated: dict[str, Any]) -> bool:
    return all(own[key] == stated[key] for key in ("states", "roles", "matrix", "linear"))


def _same_operator(linear: Linear, stated: dict[str, Any], found: list[Form], parts: list[Part]) -> None:
    """One of the forms is the stated operator: with its kind, factor and shift, and its parts hold for it."""
    reason = Mismatch("the operator has no such form")
    for form in found:
        factor = [] if form.factor is None else [None if x is None else str(x) for x in form.factor]
        own = {"name": described(form.inner), "kind": form.kind, "factor": factor, "shift": str(form.shift)}
        if any(stated[key] != value for key, value in own.items()):
            continue
        try:
            _same_bounds(linear, stated, form, parts)
        except Mismatch as error:
            reason = error
        else:
            return
    raise reason


def _same_bounds(linear: Linear, stated: dict[str, Any], form: Form, parts: list[Part]) -> None:
    if stated["sums"] is not None:
        own = [
            {"p": s.p, "words": [[str(c), list(map(str, n))] for c, n in s.words]} for s in sums_of(form, linear.know())
        ]
        if stated["sums"] not in own:
            raise Mismatch("the sums of entries are not those of the operator")
    for what in BOUNDS:
        if stated[what] is not None:
            reading = read_bound(form, linear.know, what, Fraction(stated["centre"]))
            compare(parts[stated[what]["part"]], reading, _runs(linear, form, np.random.default_rng(SEED)), None)


def _runs(linear: Linear, form: Form, rng: np.random.Generator) -> Iterator[tuple[Run, Run]]:
    """Random weights and frozen slopes, with random vectors in place of an eigenvector."""
    model = linear.model
    kept = tuple(r for r in model.constraints if r.quantity != "degree")
    alone = replace(model, solver=replace(model.solver, steps=2), constraints=kept)
    start = 0 if model.time is None else model.time.start
    length = 1 if model.time is None else model.time.end - model.time.start
    program = StepProgram(alone, length / 2, start, 2, (), model.field)  # type: ignore[arg-type]
    leaves = [leaf("state", name(i), shape) for i, shape in enumerate(form.shapes)]
    for _ in range(trials(model)):
        try:
            weights, inputs = sample(alone, rng), sample_inputs(alone, rng)
            states = [rng.standard_normal(s.shape) for s in model.states]
            env = environments(program, weights, states, inputs, graphs=_graphs(model, rng))[int(rng.integers(2))]
        except NoSample:
            continue
        scale = 10.0 ** rng.uniform(-1, 1)
        vectors = {e: scale * rng.standard_normal(e.shape) for e in leaves}
        yield ({**env, **vectors},), ({**env, **{e: np.zeros(e.shape) for e in leaves}},)


def _graphs(model: Model, rng: np.random.Generator) -> dict[str, Edges]:
    """A path, or a part of it: it keeps to any degree that a spec may ask for beyond one."""
    found = {}
    for g in model.graphs:
        ends = np.array([range(0, g.nodes - 1, 2), range(1, g.nodes, 2)])
        found[g.name] = Edges(ends.astype(np.int64), np.ones(ends.shape[1]) * rng.uniform(0, 1))
    return found


def trials(model: Model) -> int:
    """How many samples of weights are looked at."""
    slow = any(n.op == "conv" for r in model.constraints for n in postorder(r.operand))
    return FEW if slow else TRIALS


# --- eigenvalues -------------------------------------------------------------------


def _eigenvalues(model: Model, scheme: dict[str, Any]) -> None:
    """No eigenvalue of the actual field at random weights and states lies outside."""
    size = sum(prod(s.shape) for s in model.states)
    if size > LARGEST or model.graphs or scheme["family"] == "other":
        return
    rng = np.random.default_rng(SEED)
    try:
        field = field_of(asked(model, scheme["family"]), scheme["family"], 0)
        for trial in range(trials(model)):
            number = _number(field, scheme, rng, trial)
            if number is not None and number > bound(scheme) + TOLERANCE * (1 + bound(scheme)):
                raise Mismatch(f"an eigenvalue on actual weights lies outside: {number:.6g}")
    except (NoScheme, NotLowered, NoRule, MissingValue, Unsupported):
        return


def _number(field: Any, scheme: dict[str, Any], rng: np.random.Generator, trial: int) -> float | None:
    try:
        weights, inputs = sample(field.model, rng), sample_inputs(field.model, rng)
    except NoSample:
        return None
    given = {u.name: v for u, v in zip(field.model.inputs, inputs, strict=True)}
    scale = 10.0 ** rng.uniform(-3, 1) if trial % 2 else 0.0
    x = scale * rng.standard_normal((1, field.whole.size))
    J = jacobians(field.whole, weights, x, given)
    if not np.isfinite(J).all() or np.abs(J).max(initial=0.0) > 1e4:
        return None
    L = None if field.linear is None else jacobians(field.linear, weights, x, given)
    return float(worst(scheme, step_eigenvalues(scheme, J, L, field.momentum))[0])


__all__ = ["check"]
