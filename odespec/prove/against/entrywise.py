"""Proofs by rows against the spec: the terms are made again, and every letter is measured on actual runs.

The auditor proves that the bound follows from terms, ranges and corners. Here the terms are read from the network again
and must be the same; in runs with extreme and random weights every factor must lie in its range, every operator's rows
below its corners, and every sum of terms must be the actual difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from odespec.certificate.entrywise import resolve
from odespec.certificate.format import Certificate
from odespec.exact import enclose
from odespec.ir.expr import Expr, leaf
from odespec.ir.model import Claim, Graph, Model, Network, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, environments
from odespec.program.lower import NotLowered
from odespec.program.operators import Edges
from odespec.program.step import StepProgram
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.distance import step_program
from odespec.prove.entrywise.forms import Form
from odespec.prove.entrywise.parts import Part, Parts, reread
from odespec.prove.entrywise.realise import TOLERANCE, Realised, Run
from odespec.prove.relate.operators import NoRelation
from odespec.prove.sides import Horizon, horizon_of
from odespec.weights.arithmetic import Array
from odespec.weights.sampling import NoSample, sample, sample_inputs, sample_states

TRIALS = 24
SEED = 21
HIDDEN = 1e-9
"""Differences below this part of the values that they are differences of are rounding errors."""


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no step")
    if resolve(claim)[0] != certificate.claim.resolved:
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    try:
        program = step_program(model, "flow" if claim.subject == "flow" else "map")
        horizon = horizon_of(program, claim)
        if (certificate.steps, certificate.time) not in _covered(horizon):
            raise Mismatch("the steps or the time are not those of the spec")
        parts, made = reread(spec, program, claim, certificate.proof)
    except NotLowered as error:
        raise Mismatch(f"there is no step program for {error.what}") from None
    except NoRelation as error:
        raise Mismatch(f"the network has no such rows: {error}") from None
    stated = certificate.proof
    again = parts.proof(made, implicit=bool(program.solves) and not horizon.flow, conclusion=stated["conclusion"])
    if again != stated:
        raise Mismatch("the terms are not those of the network")
    _measured(program, parts, made)


def _covered(horizon: Horizon) -> tuple[tuple[int, str], ...]:
    """The steps, with the time or (where it is irrational) an end of an enclosure of it."""
    length = horizon.length
    ends = (length,) if isinstance(length, Fraction) else enclose(length, 128)
    return tuple((horizon.steps, str(end)) for end in ends)


def _measured(program: StepProgram, parts: Parts, made: list[Part]) -> None:
    tried = 0
    steps = max([1, *(_begin(p) + p.data["steps"] for p in made)])
    for runs in _runs(program, np.random.default_rng(SEED), steps):
        for part in made:
            first, second = (run[_begin(part) :] for run in runs)
            realised = Realised(parts.letters, first, second)
            _letters(realised, part, parts)
            for form, vectors, actual, scale in _rows(part, program, first, second):
                value, size = realised.form(form, vectors)
                if float(np.max(np.abs(value - actual))) > TOLERANCE * size + HIDDEN * scale:
                    raise Mismatch("a sum of terms is not the difference of actual runs")
        tried += 1
    if tried == 0:
        raise Mismatch("no weights were found on which the terms could be tested")


def _begin(part: Part) -> int:
    """The number of the step with which a part begins; any step will do where it does not say."""
    return int(part.data["at"][0]) if part.data["at"] else 0


def _letters(realised: Realised, part: Part, parts: Parts) -> None:
    for name in {n for form in part.forms for lead, word, _ in form for n in (*lead, *word)}:
        factor = parts.letters.factors.get(name)
        if factor is not None:
            if realised.factor_defect(factor) > TOLERANCE:
                raise Mismatch(f"on actual runs {name} leaves its range")
        elif realised.operator_defect(parts.letters.operators[name], parts.columns) > TOLERANCE:
            raise Mismatch(f"actual rows of {name} are larger than stated")


# --- runs ----------------------------------------------------------------------


def _runs(program: StepProgram, rng: np.random.Generator, steps: int) -> Iterator[tuple[Run, Run]]:
    """Pairs of runs under common weights and inputs: some steps in a row, from any values of all states."""
    model = program.model
    states = tuple(replace(s, initial=None) for s in model.states)
    weights_only = tuple(r for r in model.constraints if r.quantity != "degree")
    free = replace(program, model=replace(model, states=states, constraints=weights_only))
    for trial in range(TRIALS):
        try:
            weights, inputs = sample(free.model, rng), sample_inputs(free.model, rng)
            pair = [_start(free.model, rng, trial) for _ in range(2)]
            graphs = {g.name: random_graph(model, g, rng) for g in model.graphs}
            first, second = (environments(free, weights, x, inputs, graphs=graphs)[:steps] for x in pair)
        except (NoSample, ConvergenceError):
            continue
        if all(np.isfinite(v).all() for run in (first, second) for e in run for v in e.values() if _plain(v)):
            yield first, second


def _plain(value: object) -> bool:
    return isinstance(value, np.ndarray)


def _start(model: Model, rng: np.random.Generator, trial: int) -> list[Array]:
    """Values of all states, in the domain if there is one: nothing else restricts them."""
    if model.domains:
        return sample_states(model, rng)
    scale = 10.0 ** rng.uniform(-2, 2) if trial % 2 else 1.0
    return [scale * rng.standard_normal(s.shape) for s in model.states]


def random_graph(model: Model, graph: Graph, rng: np.random.Generator) -> Edges:
    """Random edges with weights, as many as the bound of the degree leaves room for."""
    bound = next((r.upper for r in model.constraints if r.quantity == "degree" and r.operand.data == graph.name), None)
    room = np.full(graph.nodes, np.inf if bound is None else float(bound))  # type: ignore[arg-type]
    ends, weights = [], []
    pairs = [(k, m) for k in range(graph.nodes) for m in range(k)]
    for i, j in rng.permutation(pairs).reshape(-1, 2):
        weight = min(float(rng.choice([1.0, 0.5, 3.0])), room[i], room[j])
        if weight > 0 and rng.random() < 0.8:
            ends.append((i, j))
            weights.append(weight)
            room[[i, j]] -= weight
    return Edges(np.array(ends, dtype=np.int64).reshape(-1, 2).T, np.array(weights))


Row = tuple[Form, Mapping[str, Array], Array, float]


def _rows(part: Part, program: StepProgram, first: Run, second: Run) -> Iterator[Row]:
    """Each form of a part with the vectors that it speaks of, the actual difference, and the size of the values."""
    model = program.model
    names = {leaf("state", s.name, s.shape): s.name for s in model.states}
    vectors = {names[e]: v - second[0][e] for e, v in first[0].items() if e in names}
    last = part.data["steps"] - 1 if part.data["role"] == "step" else 0
    if part.data["role"] == "step":
        unknowns = [u for group in program.solves for u in group.unknowns]
        labels = [v for group in part.data["solves"] for v, _ in group]
        vectors |= {n: first[0][u] - second[0][u] for n, u in zip(labels, unknowns, strict=True)}
        _, update = program.at(_begin(part) + last) if part.data["at"] else ((), program.update)
        roots: tuple[Expr, ...] = (*(v for group in program.solves for v in group.values), *update)
    elif part.data["role"] == "map":
        if [v for v, _ in part.data["rows"]] != [s.name for s in model.states]:
            roots = (model.output[1],) if model.output else ()
        else:
            yield from _starting(part, program, first, second)
            return
    else:
        roots = model.field
    scale = float(program.h) if part.data["role"] == "tableau" else 1.0
    after = [evaluate(roots, run[last]) for run in (first, second)]
    for form, a, b in zip(part.forms, *after, strict=True):
        yield form, vectors, scale * (a - b), scale * float(np.max(np.abs(a)) + np.max(np.abs(b)))


def _starting(part: Part, program: StepProgram, first: Run, second: Run) -> Iterator[Row]:
    """The given initial values, from the free ones."""
    envs: list[dict[Expr, Any]] = [dict(first[0]), dict(second[0])]
    for state, form in zip(program.model.states, part.forms, strict=True):
        e = leaf("state", state.name, state.shape)
        if state.initial is not None:
            for env in envs:
                (env[e],) = evaluate((state.initial,), env)
        names = {s.name: envs[0][k] - envs[1][k] for s in program.model.states if (k := _leaf(s)) in envs[0]}
        yield form, names, envs[0][e] - envs[1][e], float(np.max(np.abs(envs[0][e])) + np.max(np.abs(envs[1][e])))


def _leaf(state: Any) -> Expr:
    return leaf("state", state.name, state.shape)
