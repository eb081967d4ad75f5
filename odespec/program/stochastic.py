"""Stochastic steps: from a field with noise to the step program.

The field is ``f(t, x) + g(t, x) w``, linear in the noise, in the sense of Ito. In the step program a ``noise`` leaf is the
increment of the Wiener process over the step, W(t + h) - W(t): normal, mean zero, variance h in each entry, independent
of what was before. So the step has no root of h, and its expected squares are rational.

* ``euler_maruyama``: ``x + h f + g dW`` (Maruyama 1955).
* ``milstein``: further ``1/2 sum_jk (Dg_j g_k) (dW_j dW_k - h [j = k])``, which needs no iterated integrals where the
  noise is additive, diagonal or commutative, ``Dg_j g_k = Dg_k g_j`` (Kloeden & Platen, "Numerical Solution of
  Stochastic Differential Equations", 1992, section 10.3).
* ``stochastic_heun``: the trapezoid rule in f and g, which solves the equation in the sense of Stratonovich; so its
  drift is ``f - 1/2 sum_j Dg_j g_j`` (Ruemelin, SIAM J. Numer. Anal. 19, 1982).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import prod

from odespec.exact import Real
from odespec.ir.expr import (
    TIME,
    Expr,
    add,
    const,
    depends_on,
    full,
    is_zero,
    leaf,
    mul,
    postorder,
    sub,
    substitute,
    total,
)
from odespec.ir.model import Input, Model, Noise, Solver
from odespec.program.commuting import same
from odespec.program.directional import NoTangent, directional, spread, without
from odespec.program.fields import Tensors, field_at, state_leaves
from odespec.program.step import StepProgram
from odespec.program.unlowered import NotLowered
from odespec.records import dataclass

HALF = Fraction(1, 2)
MAX_UNROLLED = 32
"""Entries of a noise that are taken one by one where the drift correction has no closed form."""

ELEMENTWISE = frozenset({"add", "mul", "div", "act", "pow"})


@dataclass(frozen=True, slots=True)
class Ito:
    """The parts of a field: ``drift`` without the noise, ``diffusion`` linear in its leaves; one of each for a state."""

    drift: Tensors
    diffusion: Tensors


def noise_leaves(model: Model) -> Tensors:
    """The noises as they stand in expressions, in order of declaration."""
    return tuple(leaf("noise", w.name, w.shape) for w in model.noises)


def parts(model: Model) -> Ito:
    """The drift and the diffusion of a model's field."""
    noises = noise_leaves(model)
    drift = without(model.field, noises)
    linear = directional(model.field, {w: w for w in noises})
    return Ito(drift, tuple(_settled(e) for e in linear))


def _settled(e: Expr) -> Expr:
    return without((e,), ())[0]


def additive(model: Model) -> bool:
    """Whether the noise is multiplied by nothing that depends on a state."""
    return not any(depends_on(g, "state") for g in parts(model).diffusion)


def stochastic_step(model: Model) -> Tensors:
    """The new states. Raises `NotLowered` where the solver does not fit the noise."""
    try:
        ito = parts(model)
        return _SOLVERS[model.solver.name](model, ito)
    except NoTangent as error:
        raise NotLowered(f"`{model.solver.name}` for this noise: {error}", model.solver.span) from None


def _moved(base: Tensors, h: Real, slope: Tensors, *noise: Tensors) -> Tensors:
    moved = tuple(add(x, mul(const(h), f)) for x, f in zip(base, slope, strict=True))
    for part in noise:
        moved = tuple(add(x, g) for x, g in zip(moved, part, strict=True))
    return moved


def _euler_maruyama(model: Model, ito: Ito) -> Tensors:
    return _moved(state_leaves(model), model.step_size, ito.drift, ito.diffusion)


def _milstein(model: Model, ito: Ito) -> Tensors:
    h, states = model.step_size, state_leaves(model)
    new = _moved(states, h, ito.drift, ito.diffusion)
    if not any(depends_on(g, "state") for g in ito.diffusion):
        return new
    table = _brackets(model, ito)
    if table is None:
        raise NotLowered(f"`milstein` with {_mixed(model)}", model.solver.span)
    if not _commutes(table):
        why = "noises that do not commute: the product of two of their increments says too little"
        raise NotLowered(f"`milstein` with {why}", model.solver.span)
    factors = [_factor(w) for w in noise_leaves(model)]
    for (j, k), bracket in table.items():
        square = mul(factors[j], factors[k])
        if j == k:
            square = sub(square, const(h))
        new = tuple(_plus(x, mul(const(HALF), b), square) for x, b in zip(new, bracket, strict=True))
    return new


def _plus(x: Expr, b: Expr, square: Expr) -> Expr:
    return x if is_zero(b) else add(x, mul(b, square))


def _stochastic_heun(model: Model, ito: Ito) -> Tensors:
    h, states = model.step_size, state_leaves(model)
    drift = tuple(sub(f, mul(const(HALF), c)) for f, c in zip(ito.drift, _correction(model, ito), strict=True))
    ahead = _moved(states, h, drift, ito.diffusion)
    slopes, noises = (_at(model, e, ahead, h) for e in (drift, ito.diffusion))
    both = tuple(add(a, b) for a, b in zip(drift, slopes, strict=True))
    noise = tuple(mul(const(HALF), add(a, b)) for a, b in zip(ito.diffusion, noises, strict=True))
    return _moved(states, h * HALF, both, noise)


_SOLVERS = {"euler_maruyama": _euler_maruyama, "milstein": _milstein, "stochastic_heun": _stochastic_heun}


def _at(model: Model, roots: Tensors, values: Tensors, elapsed: Real) -> Tensors:
    """Parts of the field at given states, ``elapsed`` after the start of the step."""
    return field_at(replace(model, field=roots), values, elapsed)


# --- sums over the noise -----------------------------------------------------------


def _brackets(model: Model, ito: Ito) -> dict[tuple[int, int], Tensors] | None:
    """``Dg_j g_k`` for each pair of noises, where each is one channel: a scalar, or entry by entry; None otherwise.

    Entry by entry: an entry of the new state reads its own entry of states and noises alone. Then noises of different
    entries commute, and one tensor holds what all entries have to say.
    """
    if not _is_channelled(model, ito):
        return None
    noises, states = noise_leaves(model), state_leaves(model)
    single = [_channel(ito, noises, j) for j in range(len(noises))]
    return {
        (j, k): directional(single[j], dict(zip(states, single[k], strict=True)))
        for j in range(len(noises))
        for k in range(len(noises))
    }


def _channel(ito: Ito, noises: Tensors, j: int) -> Tensors:
    """The diffusion with one noise equal to one in every entry, the others zero."""
    ones = substitute(ito.diffusion, {noises[j]: full(1, noises[j].shape)})
    return without(ones, (w for k, w in enumerate(noises) if k != j))


def _is_channelled(model: Model, ito: Ito) -> bool:
    used = {n for n in postorder(*ito.diffusion) if n.op == "noise"}
    if all(prod(w.shape) == 1 for w in used):
        return True
    active = [g for g in ito.diffusion if depends_on(g, "state")]
    read = {n.data for g in active for n in postorder(g) if n.op == "state"}
    named = zip(model.states, ito.diffusion, strict=True)
    concerned = [*active, *(g for s, g in named if s.name in read)]
    return all(_entry_by_entry(g) for g in concerned)


def _entry_by_entry(root: Expr) -> bool:
    """Whether each entry reads its own entry of states and noises alone; noises of one entry may be read by all."""
    moving: set[Expr] = set()
    for node in postorder(root):
        if node.op in ("state", "noise"):
            if node.shape != root.shape and not (node.op == "noise" and not node.shape):
                return False
            moving.add(node)
        elif any(a in moving for a in node.args):
            if node.op not in ELEMENTWISE:
                return False
            moving.add(node)
    return True


def _commutes(table: dict[tuple[int, int], Tensors]) -> bool:
    pairs = ((b, table[k, j]) for (j, k), b in table.items() if j < k)
    return all(same(x, y) for first, second in pairs for x, y in zip(first, second, strict=True))


def _factor(noise: Expr) -> Expr:
    """What a channel's tensors are multiplied by."""
    return total(noise) if noise.shape and prod(noise.shape) == 1 else noise


def _mixed(model: Model) -> str:
    names = ", ".join(f"`{w.name}`" for w in model.noises if prod(w.shape) > 1)
    return f"noise that is neither additive, nor diagonal, nor one number: {names} mixes entries of the states"


def _correction(model: Model, ito: Ito) -> Tensors:
    """``sum_j Dg_j g_j``, over all entries of all noises."""
    zero = tuple(full(0, s.shape) for s in model.states)
    if not any(depends_on(g, "state") for g in ito.diffusion):
        return zero
    table = _brackets(model, ito)
    terms = _unrolled(model, ito) if table is None else (b for (j, k), b in table.items() if j == k)
    for term in terms:
        zero = tuple(add(x, spread(b, x.shape)) for x, b in zip(zero, term, strict=True))
    return zero


def _unrolled(model: Model, ito: Ito) -> Iterator[Tensors]:
    noises, states = noise_leaves(model), state_leaves(model)
    if sum(prod(w.shape) for w in noises) > MAX_UNROLLED or any(len(w.shape) > 1 for w in noises):
        raise NotLowered(f"`{model.solver.name}` with {_mixed(model)}", model.solver.span)
    for j, w in enumerate(noises):
        others = [v for k, v in enumerate(noises) if k != j]
        for i in range(prod(w.shape)):
            unit = Expr("array", (), w.shape, tuple(Fraction(int(i == n)) for n in range(prod(w.shape))))
            single = without(substitute(ito.diffusion, {w: unit}), others)
            yield directional(single, dict(zip(states, single, strict=True)))


# --- with the noise given ------------------------------------------------------------


def with_path(program: StepProgram) -> Model:
    """The steps as a discrete map whose further inputs ``per step`` are the increments of the noise, by its name.

    A path of the noise is an input like any other then: claims that hold on every path are claims about this map. It
    keeps the time of the model, of which claims speak; its clock counts steps.
    """
    model = program.model
    clock = add(const(program.start), mul(const(program.h), sub(TIME, const(program.start))))
    values = {w: leaf("input", str(w.data), w.shape) for w in noise_leaves(model)} | {TIME: clock}
    extra = tuple(_input(w) for w in model.noises)
    output = None if model.output is None else (model.output[0], substitute((model.output[1],), {TIME: clock})[0])
    return replace(
        model,
        inputs=(*model.inputs, *extra),
        noises=(),
        field=substitute(program.update, values),
        discrete=True,
        solver=Solver("map", program.steps, (), model.solver.span),
        output=output,
    )


def without_noise(model: Model) -> Model:
    """The model on the path that stays at zero: its field is the drift alone."""
    return replace(model, noises=(), field=parts(model).drift)


def _input(noise: Noise) -> Input:
    return Input(noise.name, noise.shape, None, True, noise.span)
