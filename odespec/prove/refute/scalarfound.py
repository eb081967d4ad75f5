"""From a candidate to a counterexample about a scalar: plain arrays at the sizes of the spec, checked beyond doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, DecimalException, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

from odespec.ir.expr import TIME, const, substitute
from odespec.ir.model import Claim, Model
from odespec.prove.refute.candidates import Candidates, allowed, inside
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.onestep import interpreted_step
from odespec.prove.refute.scalars import CHANGE, RATE, leaves_of, stacked_names, start
from odespec.prove.refute.scalarsearch import FAINT
from odespec.prove.refute.scenes import Scene, measure, values
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.weights.arithmetic import CONTEXT, DECIMAL, FLOAT, Array, Inexact
from odespec.weights.embed import embed
from odespec.weights.evaluate import Unsupported, evaluate, plan
from odespec.weights.membership import violations
from odespec.weights.project import DISCRETE
from odespec.weights.sampling import exactly
from odespec.weights.steps import NoSolution, initial_states, run, unpack

SAFETY = 100
"""The change in relation to the difference between float64 and fifty digits."""
GRIDS = (0, 3, 10, None)
"""Binary digits after the point to which the numbers of a candidate are rounded, the plainest first."""

Solvable = Callable[[], bool]
"""Whether the equations of a step are proved to be uniquely solvable, for all weights."""


def realised(
    model: Model, full: Scene, small: Scene, candidate: Candidates, claim: Claim, solvable: Solvable
) -> Counterexample | None:
    """The plainest arrays at full size that show the candidate's change beyond doubt."""
    for plain in _plainer(small, candidate):
        weights, inputs, x = _embedded(model, full, small, plain)
        member = exactly(model, weights)
        if member is None:
            continue
        states = confirmed(full, member, inputs, x, solvable)
        if states is not None:
            return _described(model, full, claim, member, inputs, states)
    return None


def _plainer(scene: Scene, c: Candidates) -> Iterator[Candidates]:
    """The candidate rounded to few digits while most of its change is kept."""
    score = measure(scene, c).part[0]
    for change in _simplifications(scene, c):
        plain = allowed(scene.after, change(c))
        if measure(scene, plain).part[0] >= 0.9 * score:
            c = plain
    for digits in GRIDS:
        if digits is None:
            yield c
            continue
        rounded = allowed(scene.after, _rounded(scene.model, c, digits))
        if measure(scene, rounded).part[0] > 0.5 * score:
            yield rounded


def _rounded(model: Model, c: Candidates, digits: int) -> Candidates:
    """To so many binary digits after the point; what cannot be moved stays."""
    kept = {p.name for p in model.params if p.structure in DISCRETE}
    kept |= {u.name for u in model.inputs if u.structure in DISCRETE}
    new = c.map(lambda v: np.asarray(np.round(v * 2.0**digits) / 2.0**digits))
    weights = {n: c.weights[n] if n in kept else w for n, w in new.weights.items()}
    return replace(new, weights=weights, inputs={n: c.inputs[n] if n in kept else u for n, u in new.inputs.items()})


def _simplifications(scene: Scene, c: Candidates) -> list[Any]:
    """Weights and inputs that are left out."""

    def without(group: str, name: str) -> Any:
        return lambda c: replace(c, **{group: {**getattr(c, group), name: getattr(c, group)[name] * 0}})

    model = scene.model
    weights = [p.name for p in model.params if p.structure not in DISCRETE]
    return [without("weights", n) for n in weights] + [
        without("inputs", u.name) for u in model.inputs if not u.structure
    ]


def _embedded(
    model: Model, full: Scene, small: Scene, c: Candidates
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Weights and inputs for all steps of the model, and the free states, at full size."""
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    weights = {
        p.name: embed(p, _for_all(c.weights[p.name][0], p.per_step, steps), steps, model.constraints)
        for p in model.params
    }
    inputs = {
        u.name: embed(u, _for_all(c.inputs[u.name][0], u.per_step, steps), steps, model.domains) for u in model.inputs
    }
    parts = []
    for shape, value in zip(full.after.shapes, unpack(c.x[0], small.after.shapes), strict=True):
        whole = np.zeros(shape)
        whole[tuple(slice(0, n) for n in value.shape)] = value
        parts.append(whole.ravel())
    return weights, inputs, np.asarray(inside(full.after, np.concatenate(parts)[None])[0])


def _for_all(value: Array, per_step: bool, steps: int) -> Array:
    """Copies for the steps that come after the last one that was looked at."""
    if not per_step or len(value) >= steps:
        return value
    return np.concatenate([value, np.repeat(value[-1:], steps - len(value), axis=0)])


def confirmed(
    scene: Scene, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array, solvable: Solvable
) -> tuple[Array, ...] | None:
    """All states before the step, if the change stands beyond doubt."""
    net, given = scene.after, [inputs[u.name] for u in scene.model.inputs]
    cut = {p.name for p in net.model.params if p.per_step}
    steps = net.runner.program.steps
    own = {n: w[:steps] if n in cut else w for n, w in weights.items()}
    held = {u.name: v[:steps] if u.per_step else v for u, v in zip(net.model.inputs, given, strict=True)}
    if violations(net.model, own, unpack(x, net.shapes), [held[u.name] for u in net.model.inputs]):
        return None
    if not _stands(scene, own, held, x):
        return None
    if net.runner.program.solves and not (uniquely_solvable(net.runner, own, held) or solvable()):
        return None
    start = initial_states(net.model, FLOAT, own, unpack(x, net.shapes), held)
    if scene.before is not None:
        start = run(scene.before.runner, FLOAT, own, start, held)
    return tuple(np.asarray(s, dtype=np.float64) for s in start)


def _stands(scene: Scene, weights: Mapping[str, Array], inputs: Mapping[str, Array], x: Array) -> bool:
    """Whether float64 and fifty digits show the same change, far above rounding."""
    try:
        with np.errstate(all="ignore"):
            before, after, _ = values(scene, FLOAT, weights, x, inputs)
        rough = float(after) - float(before)
        with localcontext(CONTEXT):
            exact = values(scene, DECIMAL, weights, DECIMAL.cast(x), inputs)
            first, second, square = (+Decimal(np.asarray(v).item()) for v in exact)
            gap = second - first
            error = abs(gap - CONTEXT.create_decimal_from_float(rough))
            size = max(abs(gap), square) if scene.flow else abs(first) + abs(second)
            gap = abs(gap) if scene.conserves else gap
            least = CONTEXT.create_decimal_from_float(FAINT) * size
            return bool(gap > 0 and gap > SAFETY * error and (scene.flow or gap > least))
    except (DecimalException, Unsupported, Inexact, NoSolution, ValueError, OverflowError, TypeError):
        return False


def _described(
    model: Model,
    scene: Scene,
    claim: Claim,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    states: tuple[Array, ...],
) -> Counterexample | None:
    quantity = RATE if scene.flow else CHANGE
    found = Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side="upper",
        p=2,
        bound=0.0,
        measured=0.0,
        sentence="",
        weights=weights,
        inputs=inputs,
        x=states,
        y=(),
        states=tuple(s.name for s in model.states),
        spec=model.source.text,
        spec_name=model.source.name,
        quantity=quantity.name,
        step=scene.step,
    )
    program = scene.after.runner.program
    measured = quantity.measure(model, found, interpreted_step(replace(program, model=model), found))
    if not measured > 0 or (scene.flow and not _moves(model, claim, found)):
        return None
    return replace(found, measured=measured, sentence=_sentence(scene, weights, inputs, states, measured))


NEARBY = Fraction(1, 10**15)


def _moves(model: Model, claim: Claim, c: Counterexample) -> bool:
    """Whether V really changes (grows) a very little way along the field: at a kink a derivative may deceive."""
    assert claim.scalar is not None
    leaves = leaves_of(model, c, c.x)
    try:
        with localcontext(CONTEXT):
            exact = {key: DECIMAL.cast(np.asarray(v, dtype=np.float64)) for key, v in leaves.items()}
            now = substitute((claim.scalar, *model.field), {TIME: const(start(model, c.step))})
            first, *field = evaluate(plan(now), DECIMAL, exact)
            tiny = DECIMAL.const(NEARBY)
            states = {
                ("state", s.name): exact["state", s.name] + tiny * f for s, f in zip(model.states, field, strict=True)
            }
            (second,) = evaluate(plan((claim.scalar,)), DECIMAL, exact | states)
            change = Decimal(np.asarray(second).item()) - Decimal(np.asarray(first).item())
            return change != 0 if claim.name == "conserves" else change > 0
    except (DecimalException, Unsupported, Inexact, ValueError, OverflowError, TypeError):
        return False


def _sentence(
    scene: Scene, weights: Mapping[str, Array], inputs: Mapping[str, Array], states: tuple[Array, ...], part: float
) -> str:
    model = scene.model
    stacked = stacked_names(model)
    given = [f"{n} = {show(v[scene.step] if n in stacked else v)}" for n, v in (*weights.items(), *inputs.items())]
    given += [f"{s.name} = {show(v)}" for s, v in zip(model.states, states, strict=True)]
    does = "changes" if scene.conserves else "grows"
    if scene.flow:
        return f"with {', '.join(given)}, the scalar {does} along the flow: its rate is {part:.3g} of what it could be"
    return (
        f"with {', '.join(given)}, one step {'changes' if scene.conserves else 'makes'} the scalar {_by(scene, part)}"
    )


def _by(scene: Scene, part: float) -> str:
    return f"by {part:.3g} of its size" if scene.conserves else f"grow by {part:.3g} of its size"
