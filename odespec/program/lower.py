"""From a model and its solver's data to the step program.

Implicit stages are written for the stage values, ``Y_i = x + h sum_j A[i][j] f(t + c[j] h, Y_j)``, one `Solve` for each
block of stages that depend on each other. The step size is folded into the coefficients. Stages at equal arguments are
equal nodes, so what they have in common is shared by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

from odespec.exact import Real, is_zero
from odespec.ir.expr import TIME, Expr, add, const, leaf, leaves, mul, substitute
from odespec.ir.model import Model
from odespec.program.step import Solve, StepProgram
from odespec.solvers import Composition, RungeKutta, get, tableau
from odespec.source import Span

Tensors = tuple[Expr, ...]


class NotLowered(Exception):
    """This model has no step program yet; ``what`` says why and completes "not supported yet: …"."""

    def __init__(self, what: str, span: Span) -> None:
        self.what = what
        self.span = span
        super().__init__(what)


def lower(model: Model) -> StepProgram:
    """The step program of a model with a fixed-step solver. Raises `NotLowered`."""
    steps = model.solver.steps
    if not isinstance(steps, int):
        reason = "`steps = auto`" if steps == "auto" else f"the adaptive solver `{model.solver.name}` without `steps`"
        raise NotLowered(reason, model.solver.span)
    if model.noises:
        raise NotLowered("noise", model.noises[0].span)
    solves, update = _step(model)
    start = model.time.start if model.time is not None else model.step_size * 0
    return StepProgram(model, model.step_size, start, steps, solves, update)


def _step(model: Model) -> tuple[tuple[Solve, ...], Tensors]:
    if model.discrete:
        return (), model.field
    scheme = _scheme(model)
    if isinstance(scheme, Composition):
        return (), _composition(model, scheme)
    if isinstance(scheme, RungeKutta):
        return _runge_kutta(model, scheme)
    raise NotLowered(f"the solver `{model.solver.name}`", model.solver.span)


def _scheme(model: Model) -> object:
    if model.solver.tableau is not None:
        return tableau(*model.solver.tableau)
    return get(model.solver.name).scheme


def state_leaves(model: Model) -> Tensors:
    """The states as they stand in expressions, in order of declaration."""
    return tuple(leaf("state", s.name, s.shape) for s in model.states)


def field_at(model: Model, values: Tensors, elapsed: Real) -> Tensors:
    """The field at given values of the states, ``elapsed`` after the start of the step."""
    replace = dict(zip(state_leaves(model), values, strict=True))
    replace[TIME] = add(TIME, const(elapsed))
    return substitute(model.field, replace)


def combine(base: Expr, coefficients: Sequence[Real], slopes: Sequence[Expr]) -> Expr:
    """``base + sum_i coefficients[i] * slopes[i]`` without the terms whose coefficient is zero."""
    for coefficient, slope in zip(coefficients, slopes, strict=True):
        if not is_zero(coefficient):
            base = add(base, mul(const(coefficient), slope))
    return base


# --- Runge–Kutta ---------------------------------------------------------------


def blocks(A: Sequence[Sequence[Real]]) -> tuple[range, ...]:
    """The finest consecutive blocks of stages for which A is block lower triangular."""
    result, start, reach = [], 0, 0
    for i, row in enumerate(A):
        reach = max([reach, i, *(j for j, a in enumerate(row) if not is_zero(a))])
        if reach == i:
            result.append(range(start, i + 1))
            start = i + 1
    return tuple(result)


def _runge_kutta(model: Model, scheme: RungeKutta) -> tuple[tuple[Solve, ...], Tensors]:
    states, h = state_leaves(model), model.step_size
    values: list[Tensors] = []
    slopes: list[Tensors] = []
    solves: list[Solve] = []

    def moved(weights: Sequence[Real]) -> Tensors:
        used = [h * w for w in weights[: len(slopes)]]
        return tuple(combine(x, used, [k[s] for k in slopes]) for s, x in enumerate(states))

    for block in blocks(scheme.A):
        implicit = any(not is_zero(scheme.A[i][j]) for i in block for j in block)
        values.extend(_unknowns(model, i) if implicit else moved(scheme.A[i]) for i in block)
        slopes.extend(field_at(model, values[i], h * scheme.c[i]) for i in block)
        if implicit:
            right = tuple(e for i in block for e in moved(scheme.A[i]))
            solves.append(Solve(tuple(y for i in block for y in values[i]), right))
    if scheme.b == scheme.A[-1]:
        return tuple(solves), values[-1]
    return tuple(solves), moved(scheme.b)


def _unknowns(model: Model, stage: int) -> Tensors:
    count = len(model.states)
    return tuple(Expr("stage", (), s.shape, stage * count + n) for n, s in enumerate(model.states))


# --- partitioned ---------------------------------------------------------------


def _composition(model: Model, scheme: Composition) -> Tensors:
    """The first state is the position, the second the momentum."""
    if len(model.states) != 2:
        raise NotLowered(f"`{model.solver.name}` with {len(model.states)} states instead of two", model.solver.span)
    if scheme.separable and not separable(model):
        raise NotLowered(f"`{model.solver.name}` for a field that is not separable", model.solver.span)
    values = list(state_leaves(model))
    for step in scheme.substeps:
        which = 1 if step.kind == "kick" else 0
        slope = field_at(model, tuple(values), model.step_size * step.at)[which]
        values[which] = combine(values[which], [model.step_size * step.size], [slope])
    return tuple(values)


def separable(model: Model) -> bool:
    """Whether neither of two states' right-hand sides reads the state itself."""
    return all(("state", s.name) not in leaves(f) for s, f in zip(model.states, model.field, strict=True))
