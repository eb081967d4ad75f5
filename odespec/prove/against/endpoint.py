"""Chains of proofs by inner products against the spec: every segment on actual pieces of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from odespec.certificate.auditor.endpoint import segment as written
from odespec.certificate.endpoint import moved, resolve
from odespec.certificate.format import Certificate, ChainPart, ChainProof
from odespec.ir.expr import Expr, leaf, leaves
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.fields import state_leaves
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered
from odespec.program.step import StepProgram
from odespec.prove.against.gram import holds as step_holds
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.against.part import compare
from odespec.prove.engines.endpoint import implicit_steps, whole_program
from odespec.prove.relate.realise import Run
from odespec.prove.relate.relations import NoRelation
from odespec.prove.relate.segments import Segment, read_segment, start_depends
from odespec.prove.sides import horizon_of
from odespec.records import dataclass
from odespec.weights.arithmetic import Array
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS, SEED = 16, 22


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim) != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    try:
        program = whole_program(model)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    proof = certificate.proof_as(ChainProof)
    _same_numbers(certificate, proof, program, claim)
    _complete(program, claim, {p.role for p in proof.parts})
    equations = dict(implicit_steps(program))
    if sorted(p.segment for p in proof.parts if p.role == "solvability") != sorted(equations):
        raise Mismatch("the equations that are shown to be solvable are not those of the steps")
    for part in proof.parts:
        if part.role == "solvability":
            step_holds(part.plain, equations[part.segment])
        else:
            holds(part, program, claim)


def _same_numbers(certificate: Certificate, proof: ChainProof, program: StepProgram, claim: Claim) -> None:
    horizon = horizon_of(program, claim)
    if (certificate.steps, certificate.time) != (horizon.steps, str(horizon.length)):
        raise Mismatch("the steps or the time are not those of the spec")
    if proof.implicit != bool(implicit_steps(program)):
        raise Mismatch("whether the step is implicit is not as in the spec")
    if proof.moved != moved(program.model, claim):
        raise Mismatch("what differs is not what the claim says")


def _complete(program: StepProgram, claim: Claim, roles: set[str]) -> None:
    """What the claim moves reaches nothing by a way of which no part speaks."""
    if claim.by is None or "way" in roles:
        return
    read = {
        "start": start_depends(program.model, claim.by),
        "input": _reads((*program.update, *(v for s in program.solves for v in s.values)), claim.by),
        "direct": claim.subject == "output"
        and _reads((program.model.output or ("", Expr("time", (), ())))[1:], claim.by),
    }
    for role, needed in read.items():
        if needed and role not in roles:
            raise Mismatch(f"the input {claim.by} acts in a way that the certificate does not speak of: {role}")


def _reads(roots: tuple[Expr, ...], name: str) -> bool:
    return ("input", name) in leaves(*roots)


# --- pieces of runs ------------------------------------------------------------


def holds(part: ChainPart, program: StepProgram, claim: Claim) -> None:
    """Raises `Mismatch` where a part is not true of actual pieces of runs."""
    start, steps, end = written(part.segment)
    by = claim.by if part.role not in ("step", "output") else None
    segment = Segment(start, steps, end, by)
    if part.role != "way" and (start, steps, end) != _ROLES[part.role]:
        raise Mismatch(f"the segment of the role {part.role} is another one")
    try:
        reading = read_segment(program, segment, lower=part.sense == "lower")
    except NoRelation as error:
        raise Mismatch(f"the network has no such relations: {error}") from None
    compare(part.plain, reading, _runs(program, segment), partial(_measured, program, segment))


_ROLES = {
    "start": (True, 0, False),
    "step": (False, 1, False),
    "input": (False, 1, False),
    "output": (False, 0, True),
    "direct": (False, 0, True),
}


def _runs(program: StepProgram, segment: Segment) -> Iterator[tuple[Run, Run]]:
    """The leaves of the steps of a segment, and of what follows them, in two runs."""
    rng = np.random.default_rng(SEED)
    for trial in range(TRIALS):
        scale = 10.0 ** rng.uniform(-3, 3) if trial % 2 else 1.0
        try:
            weights = sample(program.model, rng)
            inputs = [sample_inputs(program.model, rng) for _ in range(2)]
            piece = _Piece(program, segment, weights)
            given = _other(program.model, segment, *inputs)
            states = [piece.states(rng, scale) for _ in range(2)]
            second = states[0] if segment.by else states[1]
            pair = piece.run(states[0], inputs[0]), piece.run(second, given)
        except (NoSample, ConvergenceError):
            continue
        if all(np.isfinite(v).all() for run in pair for env in run for v in env.values() if isinstance(v, np.ndarray)):
            yield pair


def _other(model: Model, segment: Segment, first: list[Array], second: list[Array]) -> list[Array]:
    """The inputs of the second run: all as in the first, but the one that differs."""
    return [b if u.name == segment.by else a for u, a, b in zip(model.inputs, first, second, strict=True)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment's steps, and one more, as a program of their own."""

    program: StepProgram
    segment: Segment
    weights: dict[str, Array]

    @property
    def first(self) -> int:
        return self.program.steps - self.segment.steps if self.segment.end and not self.segment.start else 0

    @property
    def model(self) -> Model:
        own = self.program.model
        steps = self.segment.steps + 1
        own = replace(own, domains=(), solver=replace(own.solver, steps=steps))
        return own if self.segment.start else replace(own, states=tuple(replace(s, initial=None) for s in own.states))

    def states(self, rng: np.random.Generator, scale: float) -> list[Array]:
        return [scale * rng.standard_normal(s.shape) for s in self.model.free_states]

    def run(self, states: list[Array], inputs: list[Array]) -> Run:
        whole, first = self.program, self.first
        short = replace(whole, model=self.model, start=whole.start + whole.h * first, steps=self.segment.steps + 1)
        weights = {p.name: self._own(self.weights[p.name], p.per_step) for p in whole.model.params}
        given = [self._own(u, i.per_step) for u, i in zip(inputs, whole.model.inputs, strict=True)]
        return environments(short, weights, states, given)

    def _own(self, value: Array, per_step: bool) -> Array:
        """The copies of the segment's steps; what follows has the last copy once more."""
        if not per_step:
            return value
        last = self.program.steps - 1
        return value[[min(self.first + i, last) for i in range(self.segment.steps + 1)]]


def _measured(program: StepProgram, segment: Segment, first: Run, second: Run) -> float:
    """The squared ratio of distances behind and before the segment."""
    model = program.model
    behind: tuple[Expr, ...] = state_leaves(model)
    if segment.end and model.output is not None:
        behind = (model.output[1],)
    top = _distance2(behind, first[-1], second[-1])
    if segment.by is None:
        names = {s.name for s in (model.free_states if segment.start else model.states)}
        before = tuple(s for s in state_leaves(model) if s.data in names)
        bottom = _distance2(before, first[0], second[0])
    else:
        declared = next(u for u in model.inputs if u.name == segment.by)
        node = (leaf("input", declared.name, declared.shape),)
        count = max(segment.steps, 1) if declared.per_step else 1
        bottom = sum(_distance2(node, first[k], second[k]) for k in range(count))
    return top / bottom if bottom > 0 else float("nan")


def _distance2(nodes: tuple[Expr, ...], first: object, second: object) -> float:
    a, b = (evaluate(nodes, env) for env in (first, second))  # type: ignore[arg-type]
    return sum(float(np.sum((x - y) ** 2)) for x, y in zip(a, b, strict=True))
