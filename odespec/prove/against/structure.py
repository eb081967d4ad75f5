"""Proofs about the structure of a step against the spec.

The words, moves and tableaux of the certificate must be those that the spec gives; the words are compared with derivatives
of the field, the moves with steps, and the relations between differences with actual differences, on random extreme
weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from odespec.certificate.format import Certificate, Part
from odespec.ir.expr import TIME, Expr, leaf
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered, lower
from odespec.program.tangents import differentiate
from odespec.prove.against import gram
from odespec.prove.against.entrywise import random_graph
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.structure import all_states, moves_of, resolved, routes
from odespec.prove.orders.method import header_time
from odespec.prove.structure.hamiltonian import Blocks, blocks, pairs
from odespec.prove.structure.inner import parts_of
from odespec.prove.structure.moves import Moves
from odespec.prove.structure.realise import moved, symmetry_defect, words_as_matrix
from odespec.prove.structure.shears import shears_of
from odespec.weights.arithmetic import Array
from odespec.weights.sampling import NoSample, sample, sample_inputs

TRIALS, SEED = 8, 23
TOLERANCE = 1e-8

Env = dict[Expr, Any]


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 0
    if (certificate.steps, certificate.time) != (steps, header_time(model)):
        raise Mismatch("the steps or the time are not those of the spec")
    if certificate.claim.resolved != resolved(claim):
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    route, data = certificate.proof["route"], certificate.proof["data"]
    free = all_states(model)
    try:
        own = dict(routes(model, claim)).get(route)
        if own is None or _plain(own) != _plain(data):
            raise Mismatch("the proof does not start from what the spec says of the step or the field")
        for part, program in parts_of(route, data, free):
            gram.holds(Part.model_validate_json(json.dumps(part)), program)
        _tested(route, free)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without the parts by inner products, which may be proved in several ways and are tested on their own."""
    return {k: v for k, v in data.items() if k not in ("part", "parts", "forward", "back")}


def _tested(route: str, model: Model) -> None:
    if route in ("runge-kutta", "hamiltonian flow"):
        _derivative(model, blocks({s.name: f for s, f in zip(model.states, model.field, strict=True)}, model), {})
    elif route in ("moves", "shears"):
        moves = moves_of(model)
        assert moves is not None
        _steps(model, moves)
        for added, found in _shears(model, moves) if route == "shears" else ():
            _derivative(model, found, added)


def _shears(model: Model, moves: Moves) -> Iterator[tuple[dict[str, Expr], Blocks]]:
    found = shears_of(moves, pairs(model), model)
    assert found is not None
    for _, added, derivative in found:
        yield added, derivative


# --- on numbers ------------------------------------------------------------------


def _derivative(model: Model, found: Blocks, added: dict[str, Expr]) -> None:
    """The words are the derivative of the field, or of what a shear adds, and each letter is as symmetric as it states."""
    rights = added or {s.name: f for s, f in zip(model.states, model.field, strict=True)}
    shapes = {s.name: s.shape for s in model.states}
    tried = 0
    for env, rng in _fields(model):
        tried += 1
        for s in model.states:
            by = leaf("state", s.name, s.shape)
            n = int(np.prod(s.shape))
            moves = differentiate(list(rights.values()), env, {by: np.eye(n).reshape(n, *s.shape)})[1]
            for (name, e), move in zip(rights.items(), moves, strict=True):
                J = (
                    np.zeros((n, int(np.prod(e.shape))))
                    if move is None
                    else np.broadcast_to(move, (n, *e.shape)).reshape(n, -1)
                )
                own = words_as_matrix(found.get((name, s.name), {}), shapes[name], s.shape, env)
                if np.abs(J.T - own).max() > TOLERANCE * (1 + np.abs(J).max()):
                    raise Mismatch(f"the words of d {name} / d {s.name} are not its derivative")
        for words in found.values():
            for word in words:
                if any(symmetry_defect(item, env, rng) > TOLERANCE for item in word.letters):
                    raise Mismatch(f"a letter of {word} is not symmetric as it states")
    if tried == 0:
        raise Mismatch("no weights were found on which the derivative could be tested")


def _fields(model: Model) -> Iterator[tuple[Env, np.random.Generator]]:
    """Values of all leaves of a field."""
    rng = np.random.default_rng(SEED)
    for trial in range(TRIALS):
        try:
            weights, inputs = sample(_plain_graphs(model), rng), sample_inputs(model, rng)
        except NoSample:
            continue
        env: Env = {TIME: np.asarray(rng.uniform(0, 2))}
        for p in model.params:
            env[leaf("param", p.name, p.shape)] = weights[p.name][0] if p.per_step else weights[p.name]
        for u, v in zip(model.inputs, inputs, strict=True):
            env[leaf("input", u.name, u.shape)] = v[0] if u.per_step else v
        env |= {leaf("graph", g.name, (g.nodes,)): random_graph(model, g, rng) for g in model.graphs}
        scale = (1.0, 0.1, 3.0)[trial % 3]
        env.update({leaf("state", s.name, s.shape): scale * rng.standard_normal(s.shape) for s in model.states})
        yield env, rng


def _plain_graphs(model: Model) -> Model:
    """Without bounds on degrees, which are no matter of weights."""
    return replace(model, constraints=tuple(r for r in model.constraints if r.quantity != "degree"))


def _steps(model: Model, found: Moves) -> None:
    """The moves make of the slots what a step makes of them."""
    program = lower(model, history=True)
    rng = np.random.default_rng(SEED)
    tried = 0
    for _ in range(TRIALS):
        try:
            weights, inputs = sample(_plain_graphs(model), rng), sample_inputs(model, rng)
            start = [rng.standard_normal(s.shape) for s in model.states]
            graphs = {g.name: random_graph(model, g, rng) for g in model.graphs}
            env = environments(program, weights, start, inputs, graphs=graphs)[0]
        except (NoSample, ConvergenceError):
            continue
        now = {**env, **{m.past: rng.standard_normal(m.past.shape) for m in program.memory}}
        if program.solves and program.memory:
            continue
        wanted = evaluate([*program.update, *(m.after for m in program.memory)], now)
        values: list[Array] = [now[e] for e in found.leaves]
        for a, b in zip(wanted, moved(found, values, now), strict=True):
            if np.isfinite(a).all() and np.abs(a - b).max() > TOLERANCE * (1 + np.abs(a).max()):
                raise Mismatch("the moves do not make up a step")
        tried += 1
    if tried == 0:
        raise Mismatch("no weights were found on which the moves could be tested")
