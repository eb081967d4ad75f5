"""Where a scalar of the states is looked at: over one step of a map, or at one state of a flow.

A scene has a model cut after that step with V as its output; of the flow a map by the field, with the rate of V as output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from odespec.ir.expr import TIME, Expr, const, depends_on, substitute
from odespec.ir.model import Claim, Model, Time
from odespec.program.lower import lower
from odespec.prove.refute.candidates import Candidates
from odespec.prove.refute.mapping import Network, network, read
from odespec.prove.refute.scalars import rate, start
from odespec.records import dataclass
from odespec.solvers import get
from odespec.weights.arithmetic import FLOAT, Arithmetic, Array
from odespec.weights.steps import initial_states, pack, run, unpack


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a change is looked for: over step ``step`` of a model that makes so many steps and one more, or (of the flow)
    at its start. The output of the networks is V; of the flow it is the rate of V, and the final states are the field."""

    after: Network
    before: Network | None
    step: int
    flow: bool
    conserves: bool

    @property
    def model(self) -> Model:
        return self.after.model


def variants(model: Model, claim: Claim, quick: bool) -> Iterator[tuple[Model, int]]:
    """Models whose last step (or start, of the flow) is looked at, with the number of that step."""
    given = any(s.initial is not None for s in model.states)
    limited = given or any(depends_on(r.operand, "state") for r in model.domains)
    timed = any(depends_on(f, "time") for f in model.field)
    free = replace(model, states=tuple(replace(s, initial=None) for s in model.states))
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    if get(model.solver.name).family == "multistep":
        steps = 1  # what a later step does depends on earlier ones
    later = (timed and not limited) if claim.subject == "flow" else (timed or limited)
    for k in range(min(steps, 1 if quick or not later else 4)):
        yield _variant(model, claim, k), k
    if given and (claim.subject == "flow" or not quick):
        yield _variant(free, claim, 0), 0


def _variant(model: Model, claim: Claim, step: int) -> Model:
    """The model cut after a step, with V as output; of the flow a map by the field, with the rate as output."""
    assert claim.scalar is not None
    if claim.subject != "flow":
        short = replace(model, output=("V", claim.scalar), claims=(), solver=replace(model.solver, steps=step + 1))
        if model.time is None:
            return short
        end = model.time.start + model.step_size * (step + 1)
        return replace(short, time=Time(model.time.start, end, None, model.time.span))
    now = {TIME: const(start(model, step))}
    *field, value = substitute((*model.field, rate(model, claim.scalar)), now)
    solver = replace(model.solver, name="map", steps=1, tableau=None)
    return replace(
        model, field=tuple(field), output=("rate", value), claims=(), solver=solver, discrete=True, time=None
    )


def scene_of(variant: Model, claim: Claim, step: int) -> Scene:
    flow = claim.subject == "flow"
    before = None
    if step and not flow:
        count = replace(variant.solver, steps=step)
        before = network(lower(replace(variant, solver=count, time=_shorter(variant)), history=True), "output")
    return Scene(network(lower(variant, history=True), "output"), before, step, flow, claim.name == "conserves")


def _shorter(variant: Model) -> Time | None:
    if variant.time is None:
        return None
    return replace(variant.time, end=variant.time.end - variant.step_size)


# --- measures --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each candidate the change of V (its size, of `conserves`), in relation to V, and a score to climb by."""

    gap: Array
    part: Array
    score: Array


def measure(scene: Scene, c: Candidates) -> Measured:
    with np.errstate(all="ignore"):
        before, after, distance2 = values(scene, FLOAT, c.weights, c.x, c.inputs)
        gap = np.abs(after - before) if scene.conserves else after - before
        size = np.abs(before) + np.abs(after)
        part = np.where(size > 0, gap / np.where(size > 0, size, 1.0), 0.0)
        score = gap / np.where(distance2 > 0, distance2, np.inf)
    good = np.isfinite(gap) & np.isfinite(score)
    return Measured(*(np.where(good, v, -np.inf) for v in (gap, part, score)))


def values(
    scene: Scene, arithmetic: Arithmetic, weights: Mapping[str, Array], x: Array, inputs: Mapping[str, Array]
) -> tuple[Array, Array, Array]:
    """V before and after the step (of the flow zero and its rate), and the squared length of the step (the field)."""
    net = scene.after
    start = initial_states(net.model, arithmetic, weights, unpack(x, net.shapes), inputs)
    if scene.before is not None:
        start = run(scene.before.runner, arithmetic, weights, start, inputs)
    began = initial_states(net.model, arithmetic, weights, unpack(x, net.shapes), inputs)
    final = run(net.runner, arithmetic, weights, began, inputs)
    before = read(net, arithmetic, weights, start, inputs)[..., 0]
    like = [Expr("state", (), s.shape, s.name) for s in net.model.states]
    ends = pack(list(final), like), pack(list(start), like)
    if scene.flow:
        return before * 0, before, np.asarray((ends[0] ** 2).sum(axis=-1))
    return (
        before,
        read(net, arithmetic, weights, final, inputs)[..., 0],
        np.asarray(((ends[0] - ends[1]) ** 2).sum(axis=-1)),
    )
