"""Refutation of ``symplectic``: a state at which the derivative J of a step does not keep the canonical two-form.

The defect is the largest entry of ``J.T Omega J - Omega``. Of the flow, it is that of ``Omega A + A.T Omega`` with A the
derivative of the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from odespec.ir.expr import TIME, Expr, leaf
from odespec.ir.model import Claim, Model
from odespec.program.tangents import differentiate
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.graphs import as_matrices
from odespec.prove.refute.quantities import Quantity, Step, register
from odespec.prove.structure.hamiltonian import Pair, pairs
from odespec.prove.structure.trials import (
    FAILURES,
    NEAR,
    Subject,
    Trial,
    agrees,
    decimal_derivative,
    derivative,
    flat,
    flat_batch,
    points,
    subject_of,
    trials,
    unpacked,
    words,
)
from odespec.weights.arithmetic import Array

if TYPE_CHECKING:
    from odespec.prove.verdict import Task

STATES = 6
CLEAR = 1e-3
FAINT = 1e-8
"""Relative defects that are large enough to stop the search, with the first weights and with later ones."""

LEAST = 1e-12
SURE = 1e3


def canonical_form(model: Model, chosen: Sequence[Pair]) -> Array:
    """Omega ``[n, n]``: for each pair, the entry of q and that of p are conjugate."""
    places, start = {}, 0
    for s in model.states:
        size = int(np.prod(s.shape))
        places[s.name] = np.arange(start, start + size)
        start += size
    omega = np.zeros((start, start))
    for p in chosen:
        omega[places[p.position.name], places[p.momentum.name]] = 1.0
        omega[places[p.momentum.name], places[p.position.name]] = -1.0
    return omega


def defect(J: Array, omega: Array) -> float:
    return float(np.abs(J.T @ omega @ J - omega).max())


def refute_symplectic(task: Task, *, whole: bool, number: int = 0) -> Counterexample | None:
    """Weights, inputs and a state that show it, for one step or (``whole``) for all; None where none is found.

    Raises `odespec.program.lower.NotLowered`, `odespec.weights.evaluate.Unsupported`.
    """
    omega = canonical_form(task.model, pairs(task.model))
    subject = subject_of(task.model, whole=whole, number=number)
    best: tuple[float, Trial, Array] | None = None
    for tried, trial in enumerate(trials(subject, task.options.seed, task.deadline)):
        for x in points(subject, task.options.seed, STATES if tried else 2):
            J = derivative(subject, trial, x)
            if J is None:
                continue
            size = defect(J, omega) / (1.0 + float(np.abs(J).max()) ** 2)
            if size > max(LEAST, 0.0 if best is None else 2 * best[0]):
                best = (size, trial, x)
        if best is not None and best[0] > (CLEAR if tried == 0 else FAINT):
            break
    return None if best is None else _confirmed(task.claim, subject, omega, best[1], best[2])


def _confirmed(claim: Claim, subject: Subject, omega: Array, trial: Trial, x: Array) -> Counterexample | None:
    """The largest entry of the defect is the same in decimals, and as a replay measures it."""
    J = derivative(subject, trial, x)
    if J is None:
        return None
    change = J.T @ omega @ J - omega
    i, j = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    units = np.eye(len(x))[[i, j]]
    exact = decimal_derivative(subject, trial, x, units)
    if exact is None or np.abs(exact - J[:, [i, j]]).max() > NEAR * max(1.0, float(np.abs(J).max())):
        return None
    found = abs(float(exact[:, 0] @ omega @ exact[:, 1] - omega[i, j]))
    if abs(found - abs(change[i, j])) > found / 100 or found <= LEAST * (1 + float(np.abs(J).max()) ** 2):
        return None
    quantity = RUN if subject.whole else STEP
    c = _described(claim, subject.model, trial, x, found, quantity, subject.number)
    if not subject.whole:
        c = replace(c, y=unpacked(subject.model, units[0] + 2 * units[1]))
    try:
        measured = _measured_again(subject, c)
    except FAILURES:
        return None
    return replace(c, measured=measured) if abs(measured - found) < found / 4 else None


def _measured_again(subject: Subject, c: Counterexample) -> float:
    from odespec.prove.refute.onestep import interpreted_step

    if subject.whole:
        return RUN.measure(subject.model, c, _no_step)
    program = replace(subject.program, model=subject.model)
    return STEP.measure(subject.model, c, interpreted_step(program, c))


def _no_step(states: Sequence[Array]) -> list[Array]:
    raise AssertionError("this quantity is not measured on a step")


def _described(
    claim: Claim, model: Model, trial: Trial, x: Array, found: float, quantity: Quantity, number: int
) -> Counterexample:
    states = unpacked(model, x)
    at = words(trial, model, {s.name: [v] for s, v in zip(model.states, states, strict=True)})
    what = {STEP.name: "a step J changes", RUN.name: "the steps J together change"}.get(
        quantity.name, "the flow changes"
    )
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side="upper",
        p=2,
        bound=found / 2,
        measured=found,
        sentence=f"with {at} the derivative of {what} the two-form by {found:.6g}",
        weights=trial.weights,
        inputs=trial.inputs,
        x=states,
        y=(),
        states=tuple(s.name for s in model.states),
        spec="",
        spec_name="",
        quantity=quantity.name,
        step=number,
    )


# --- the flow --------------------------------------------------------------------


def refute_hamiltonian(task: Task) -> Counterexample | None:
    """Weights, inputs and a state at which the field is not Hamiltonian."""
    omega = canonical_form(task.model, pairs(task.model))
    model = as_matrices(task.model)
    plain = replace(task.model, solver=replace(model.solver, name="euler", steps=1, tableau=None, options=()))
    subject = subject_of(plain, whole=False)
    for trial in trials(subject, task.options.seed, task.deadline):
        for x in points(subject, task.options.seed, STATES):
            c = _described(task.claim, model, trial, x, 0.0, FIELD, 0)
            try:
                found = FIELD.measure(model, c, _no_step)
            except FAILURES:
                continue
            J = derivative(subject, trial, x)
            h = float(plain.step_size)
            if J is None or not agrees(subject, trial, x, J) or not found > 1e-4 * (1 + np.abs(J).max() / h):
                continue
            by_step = float(np.abs(omega @ (J - np.eye(len(J))) + (J - np.eye(len(J))).T @ omega).max()) / h
            if abs(by_step - found) < found / 100:
                return _described(task.claim, model, trial, x, found, FIELD, 0)
    return None


def _field_defect(model: Model, c: Counterexample, step: Step) -> float:
    from odespec.prove.refute.onestep import at_step

    assert model.time is not None
    env: dict[Expr, Array] = {TIME: np.asarray(float(model.time.start))}
    weights, inputs = at_step(model, c.weights, 0), at_step(model, c.inputs, 0)
    for op, declared, values in (("param", model.params, weights), ("input", model.inputs, inputs)):
        for d in declared:
            env[leaf(op, d.name, d.shape)] = values[d.name][0] if d.per_step else values[d.name]
    states = [leaf("state", s.name, s.shape) for s in model.states]
    env.update(zip(states, c.x, strict=True))
    n = len(flat(c.x))
    directions = dict(
        zip(states, [np.stack(d) for d in zip(*(unpacked(model, e) for e in np.eye(n)), strict=True)], strict=True)
    )
    moves = differentiate(model.field, env, directions)[1]
    columns = [
        np.zeros((n, *f.shape)) if m is None else np.broadcast_to(m, (n, *f.shape))
        for m, f in zip(moves, model.field, strict=True)
    ]
    A = np.concatenate([c.reshape(n, -1) for c in columns], axis=1).T
    omega = canonical_form(model, pairs(model))
    return float(np.abs(omega @ A + A.T @ omega).max())


# --- quantities ------------------------------------------------------------------

WIDTH = 2.0**-9
_WEIGHTS = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))


def _step_defect(model: Model, c: Counterexample, step: Step) -> float:
    """The two-form of the images of two directions, by central differences of order six, all of them in one batch.

    The directions are the entries that ``y`` marks with 1 and 2.
    """
    x, marks = flat(c.x), flat(c.y)
    units = np.array([marks == 1, marks == 2], dtype=np.float64)
    if (units.sum(axis=1) != 1).any():
        raise ArithmeticError("no two directions are marked")
    scale = WIDTH * max(1.0, float(np.abs(x).max()))
    moves = np.array([[s * k * e for e in units] for k, _ in _WEIGHTS for s in (1, -1)])
    images = flat_batch(step(unpacked(model, x + scale * moves.reshape(-1, len(x))))).reshape(len(_WEIGHTS), 2, 2, -1)
    weights = np.array([w for _, w in _WEIGHTS])
    u, v = np.einsum("k,kij->ij", weights, images[:, 0] - images[:, 1]) / scale
    omega = canonical_form(model, pairs(model))
    return abs(float(u @ omega @ v - units[0] @ omega @ units[1]))


def _run_defect(model: Model, c: Counterexample, step: Step) -> float:
    subject = subject_of(model, whole=True)
    J = derivative(subject, Trial(c.weights, c.inputs, c.weights, c.inputs), flat(c.x))
    if J is None:
        raise ArithmeticError("the steps cannot be run")
    return defect(J, canonical_form(model, pairs(model)))


STEP = register(
    Quantity("change of the two-form", "an entry of J.T Omega J - Omega, J the derivative of a step", _step_defect)
)
RUN = register(
    Quantity(
        "change of the two-form by all steps",
        "the largest entry of J.T Omega J - Omega, J the derivative of all steps together",
        _run_defect,
        emitted=False,
    )
)
FIELD = register(
    Quantity(
        "rate of the two-form",
        "the largest entry of Omega A + A.T Omega, A the derivative of the field",
        _field_defect,
        emitted=False,
    )
)
