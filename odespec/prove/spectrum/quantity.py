"""What counterexamples to `stable` measure: the eigenvalues of the linearised step, or field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odespec.ir.model import Claim, Input, Model, Param
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.onestep import at_step, interpreted_step
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.spectrum.amplify import bound, step_eigenvalues, worst
from odespec.prove.spectrum.jacobian import field_of, jacobians
from odespec.prove.spectrum.scheme import asked, scheme_of
from odespec.weights.arithmetic import Array
from odespec.weights.steps import unpack

if TYPE_CHECKING:
    from odespec.program.step import StepProgram

NEAR = 1e-4
"""How well the linearised step must agree with the frozen slopes to be shown in their place."""


def _frozen(model: Model, c: Counterexample, step: Step) -> float:
    """With the slopes of the field at the state x in all stages."""
    scheme = scheme_of(model, c.subject)
    field = field_of(asked(model, scheme["family"]), scheme["family"], c.step)
    weights, inputs = at_step(model, c.weights, c.step), at_step(model, c.inputs, c.step)
    x = np.concatenate([np.ravel(v) for v in c.x])[None]
    J = jacobians(field.whole, weights, x, inputs)
    L = None if field.linear is None else jacobians(field.linear, weights, x, inputs)
    return float(worst(scheme, step_eigenvalues(scheme, J, L, field.momentum))[0])


def _of_step(model: Model, c: Counterexample, step: Step) -> float:
    """By central differences of the step itself."""
    x = np.concatenate([np.ravel(v) for v in c.x])
    shapes = [v.shape for v in c.x]
    delta = 1e-4 * (1.0 + float(np.max(np.abs(x), initial=0.0)))

    def image(v: Array) -> Array:
        return np.concatenate([np.ravel(w) for w in step(unpack(v, shapes))]).astype(float)

    columns = [(image(x + delta * e) - image(x - delta * e)) / (2 * delta) for e in np.eye(len(x))]
    return float(np.max(np.abs(np.linalg.eigvals(np.stack(columns, axis=1)))))


FROZEN = register(
    Quantity(
        "eigenvalue with frozen slopes",
        "the largest modulus of an eigenvalue of the step with the slopes of the field at x frozen",
        _frozen,
        emitted=False,
    )
)
OF_STEP = register(
    Quantity("eigenvalue of the step", "the largest modulus of an eigenvalue of the linearised step at x", _of_step)
)
OF_FLOW = register(
    Quantity(
        "real part of an eigenvalue",
        "the largest real part of an eigenvalue of the Jacobian of the field at x",
        _frozen,
        emitted=False,
    )
)


def described(
    model: Model,
    claim: Claim,
    scheme: dict[str, Any],
    step: int,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    x: Array,
    value: float,
) -> Counterexample:
    """The counterexample with the arrays of one step repeated for all."""
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    stacked = {p.name for p in model.params if p.per_step} | {u.name for u in model.inputs if u.per_step}
    weights, inputs = (
        {n: np.repeat(v, steps, axis=0) if n in stacked else v for n, v in values.items()}
        for values in (weights, inputs)
    )
    states = tuple(unpack(x, [s.shape for s in model.states]))
    flow = scheme["family"] == "flow"
    found = Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side="upper",
        p=2,
        bound=bound(scheme),
        measured=value,
        sentence=_sentence(model, scheme, weights, inputs, states, value),
        weights=weights,
        inputs=inputs,
        x=states,
        y=(),
        states=tuple(s.name for s in model.states),
        spec=model.source.text,
        spec_name=model.source.name,
        quantity=OF_FLOW.name if flow else FROZEN.name,
        step=step,
    )
    return found if flow else _on_the_step(model, found)


def _on_the_step(model: Model, found: Counterexample) -> Counterexample:
    """The same about the step itself, where its linearisation shows the same number."""
    from dataclasses import replace

    from odespec.program.lower import NotLowered, lower

    if len(np.concatenate([np.ravel(v) for v in found.x])) > 100:
        return found
    try:
        program: StepProgram = lower(model)
        own = replace(found, quantity=OF_STEP.name)
        measured = _of_step(model, own, interpreted_step(program, own))
    except (NotLowered, ArithmeticError, np.linalg.LinAlgError):
        return found
    near = abs(measured - found.measured) <= NEAR * (found.measured - found.bound)
    return replace(own, measured=measured) if near and measured > found.bound else found


def _sentence(
    model: Model,
    scheme: dict[str, Any],
    weights: dict[str, Array],
    inputs: dict[str, Array],
    states: Sequence[Array],
    value: float,
) -> str:
    parts = [f"{n} = {_first(model, n, v)}" for n, v in (*weights.items(), *inputs.items())]
    parts += [f"{s.name} = {show(v)}" for s, v in zip(model.states, states, strict=True)]
    given = f"with {', '.join(parts)} "
    if scheme["family"] == "flow":
        return f"{given}an eigenvalue of the Jacobian of the field has the real part {value:.9g}, more than 0"
    return f"{given}an eigenvalue of the linearised step has the modulus {value:.9g}, more than 1"


def _first(model: Model, name: str, value: Array) -> str:
    declared: list[Param | Input] = [*model.params, *model.inputs]
    per_step = any(d.name == name and d.per_step for d in declared)
    return f"{show(value[0])} at every step" if per_step else show(value)
