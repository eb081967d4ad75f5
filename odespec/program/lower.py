"""From a model and its solver's data to the step program.

Implicit stages are written for the stage values, ``Y_i = x + h sum_j A[i][j] f(t + c[j] h, Y_j)``, one `Solve` for each
block of stages that depend on each other. The step size is folded into the coefficients. Stages at equal arguments are
equal nodes, so what they have in common is shared by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

from odespec.exact import Real, is_zero
from odespec.ir.expr import Expr, full, leaves
from odespec.ir.model import Model
from odespec.program.fields import Tensors, combine, field_at, state_leaves
from odespec.program.step import Begin, Memory, Solve, StepProgram
from odespec.program.unlowered import NotLowered
from odespec.solvers import Composition, Multistep, RungeKutta, get, tableau

__all__ = ["NotLowered", "lower", "state_leaves"]

Step = tuple[tuple[Solve, ...], Tensors]


def lower(model: Model, *, history: bool = False, noise: bool = False) -> StepProgram:
    """The step program of a model with a fixed-step solver. Raises `NotLowered`.

    Programs of multistep methods read values of earlier steps (``memory``, ``begin``); they are made with ``history``.
    Those of stochastic ones read increments of the noise (`odespec.program.stochastic`); they are made with ``noise``.
    """
    steps = model.solver.steps
    if not isinstance(steps, int):
        reason = "`steps = auto`" if steps == "auto" else f"the adaptive solver `{model.solver.name}` without `steps`"
        raise NotLowered(reason, model.solver.span)
    if model.noises and not noise:
        raise NotLowered("noise", model.noises[0].span)
    start = model.time.start if model.time is not None else model.step_size * 0
    if model.noises:
        from odespec.program.stochastic import stochastic_step

        return StepProgram(model, model.step_size, start, steps, (), stochastic_step(model))
    scheme = None if model.discrete else _scheme(model)
    if not isinstance(scheme, Multistep):
        return StepProgram(model, model.step_size, start, steps, *_step(model, scheme))
    if not history:
        raise NotLowered(f"the multistep method `{model.solver.name}`", model.solver.span)
    (solves, update), memory = _multistep(model, scheme)
    begin = Begin(len(scheme.alpha) - 2, *_step(model, get(_starter(model, scheme)).scheme))
    return StepProgram(model, model.step_size, start, steps, solves, update, memory, begin)


def _step(model: Model, scheme: object) -> Step:
    """One step of a one-step method."""
    if model.discrete:
        return (), model.field
    if isinstance(scheme, Composition):
        return (), _composition(model, scheme)
    if isinstance(scheme, RungeKutta):
        return _runge_kutta(model, scheme)
    from odespec.program.splitting import SPLITTINGS  # only such methods need it

    rule = SPLITTINGS.get(model.solver.name)
    if rule is None:
        raise NotLowered(f"the solver `{model.solver.name}`", model.solver.span)
    return rule(model)


def _scheme(model: Model) -> object:
    if model.solver.tableau is not None:
        return tableau(*model.solver.tableau)
    return get(model.solver.name).scheme


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


def _runge_kutta(model: Model, scheme: RungeKutta) -> Step:
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


# --- multistep -----------------------------------------------------------------


def _starter(model: Model, scheme: Multistep) -> str:
    """The one-step method that begins."""
    return str(dict(model.solver.options).get("start") or scheme.start)


def _multistep(model: Model, scheme: Multistep) -> tuple[Step, tuple[Memory, ...]]:
    """``x_{n+1}`` from x_n and what is remembered of earlier steps, by the newest coefficients divided by alpha[k]."""
    k, lead, h = len(scheme.alpha) - 1, scheme.alpha[-1], model.step_size
    states, now = state_leaves(model), field_at(model, state_leaves(model), h * 0)
    memory: list[Memory] = []
    parts: list[tuple[Real, Tensors]] = [(-1 * scheme.alpha[-2] / lead, states), (h * scheme.beta[-2] / lead, now)]
    for coefficients, scale, newest, mark in ((scheme.alpha, -1, states, "{}"), (scheme.beta, h, now, "f({})")):
        lags = _remembered(model, coefficients[: k - 1], newest, mark)
        memory += [m for lag in lags for m in lag]
        parts += [
            (scale * c / lead, tuple(m.past for m in lag))
            for c, lag in zip(reversed(coefficients[: k - 1]), lags, strict=False)
        ]
    zero = tuple(full(0, s.shape) for s in states)
    known = tuple(combine(z, [c for c, _ in parts], [v[i] for _, v in parts]) for i, z in enumerate(zero))
    if is_zero(scheme.beta[-1]):
        return ((), known), tuple(memory)
    unknowns = _unknowns(model, 0)
    slopes = field_at(model, unknowns, h)
    value = tuple(combine(x, [h * scheme.beta[-1] / lead], [f]) for x, f in zip(known, slopes, strict=True))
    return ((Solve(unknowns, value),), unknowns), tuple(memory)


def _remembered(model: Model, old: Sequence[Real], newest: Tensors, mark: str) -> list[tuple[Memory, ...]]:
    """What is remembered, lag by lag from one step ago on, as far back as a coefficient (oldest first) reads it."""
    used = [len(old) - j for j, c in enumerate(old) if not is_zero(c)]
    lags: list[tuple[Memory, ...]] = []
    for lag in range(1, max(used, default=0) + 1):
        past = (Expr("past", (), s.shape, f"{mark.format(s.name)}[-{lag}]") for s in model.states)
        before = newest if lag == 1 else tuple(m.past for m in lags[-1])
        lags.append(tuple(Memory(leaf, after) for leaf, after in zip(past, before, strict=True)))
    return lags


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
