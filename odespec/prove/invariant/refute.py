"""Counterexamples to invariants: found by the search, confirmed on their final arrays."""

from __future__ import annotations

import time
from decimal import DecimalException, localcontext
from itertools import islice

import numpy as np

from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Input, Param
from odespec.program.step import StepProgram
from odespec.prove.engines.distance import step_program
from odespec.prove.invariant.search import ROUNDS, Found, Search
from odespec.prove.refute.candidates import Candidates
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.explain import show
from odespec.prove.refute.graphs import as_matrices, largest_degree, relation_of
from odespec.prove.refute.leaving import OUTWARD, VIOLATION, Sides, outward, sides_of, simpler, state_values
from odespec.prove.refute.uniqueness import uniquely_solvable
from odespec.weights.arithmetic import CONTEXT, DECIMAL, EXACT, FLOAT, Array, Inexact
from odespec.weights.evaluate import Unsupported
from odespec.weights.membership import violations
from odespec.weights.sampling import exactly
from odespec.weights.steps import NoSolution, prepare, unpack

MARGIN = 1e-9
"""The violation in relation to the size of the state."""
ROUNDING = 100
"""The violation in relation to the difference between float64 and fifty digits."""
CONFIRMATIONS = 8
EXCUSE = 1e-40
"""Where a start cannot be compared with a bound exactly: what fifty digits may differ by."""


def refute(
    program: StepProgram,
    claim: Claim,
    flow: bool,
    seed: int = 0,
    deadline: float | None = None,
    rounds: int = ROUNDS,
) -> Counterexample | None:
    """Weights, inputs and a start from which a step leaves the relation (or the flow does at once); None if none."""
    assert claim.relation is not None
    if program.model.noises:
        return None

    def over() -> bool:
        return deadline is not None and time.monotonic() > deadline

    try:
        search = searching(program, claim, flow)
        sides = search.sides
        rng = np.random.default_rng([seed, 7])
        for found in islice(search.found(rng, over, rounds), CONFIRMATIONS):
            confirmed = _confirmed(search, sides, found)
            if confirmed is not None:
                return _described(search, claim, *confirmed)
    except (Unsupported, Inexact, ValueError, NoSolution, ArithmeticError):
        return None
    return None


def searching(program: StepProgram, claim: Claim, flow: bool) -> Search:
    """The search; graphs are matrices in it. Raises `Unsupported`."""
    assert claim.relation is not None
    model = program.model
    relation = simpler(claim.relation) if flow else claim.relation
    if not model.graphs:
        return Search(program, sides_of(relation), flow)
    graphs = tuple((g, largest_degree(model, g.name)) for g in model.graphs)
    program = step_program(as_matrices(model), claim.subject)
    return Search(program, sides_of(relation_of(relation)), flow, graphs)


def _confirmed(search: Search, sides: Sides, found: Found) -> tuple[Candidates, Found, float] | None:
    """The candidate with weights that obey the model exactly, and the violation beyond doubt; None if it is not."""
    model = search.model
    c = found.candidate
    weights = exactly(model, {n: np.asarray(w[0]) for n, w in c.weights.items()})
    inputs = {n: np.asarray(u[0]) for n, u in c.inputs.items()}
    if weights is None:
        return None
    c = Candidates({n: w[None] for n, w in weights.items()}, c.inputs, c.x, c.offset)
    free = [np.asarray(v[0]) for v in unpack(c.x, search.net.shapes)] if search.net.shapes else []
    if violations(model, weights, free, [inputs[u.name] for u in model.inputs]):
        return None
    if not _begins(search, sides, c):
        return None
    size = _float(search, sides, c, found.step)
    if size is None or not _stands(search, sides, c, found.step, size):
        return None
    solved = search.flow or not search.program.solves or uniquely_solvable(prepare(search.program), weights, inputs)
    return (c, found, size) if solved else None


def _begins(search: Search, sides: Sides, c: Candidates) -> bool:
    """Whether the relation is true at the start."""
    for arithmetic in (EXACT, DECIMAL):
        try:
            with localcontext(CONTEXT):
                one = _single(c)
                start = [np.asarray(v[0]) for v in search.start(one, arithmetic)]
                data = {k: np.asarray(v[0]) for k, v in search.data(one, 0, arithmetic).items()}
                worst = sides.worst(arithmetic, data | state_values(search.model, start, start))
                limit = arithmetic.const(_ZERO)
                if arithmetic is DECIMAL and _curved(sides):
                    limit = CONTEXT.create_decimal_from_float(EXCUSE)
                return bool(worst <= limit)
        except (Inexact, Unsupported):
            continue
    return False


def _curved(sides: Sides) -> bool:
    """Whether a bound is an expression, so that both sides round."""
    return isinstance(sides.relation.upper, Expr) or isinstance(sides.relation.lower, Expr)


def _single(c: Candidates) -> Candidates:
    return c.take(np.array([0]))


def _float(search: Search, sides: Sides, c: Candidates, step: int) -> float | None:
    """The violation as the search measures it on the final arrays."""
    with np.errstate(all="ignore"):
        value, _, _ = _after(search, sides, c, step, FLOAT)
    size = float(value)
    return size if np.isfinite(size) else None


def _after(search: Search, sides: Sides, c: Candidates, step: int, arithmetic):  # type: ignore[no-untyped-def]
    """The violation after a step, the states before and at the start."""
    start = [np.asarray(v[0]) for v in search.start(c, arithmetic)]
    data = {k: np.asarray(v[0]) for k, v in search.data(c, step, arithmetic).items()}
    if search.flow:
        return outward(search.model, sides, arithmetic, data | state_values(search.model, start, start)), start, start
    one = Candidates({n: w[0] for n, w in c.weights.items()}, {n: u[0] for n, u in c.inputs.items()}, c.x, c.offset)
    now, before = start, start
    for k in range(step + 1):
        before, now = now, [np.asarray(v) for v in search.step(one, k, now, arithmetic)]
    return sides.worst(arithmetic, data | state_values(search.model, now, start)), before, start


def _stands(search: Search, sides: Sides, c: Candidates, step: int, size: float) -> bool:
    """Whether fifty digits show the same violation, well above what rounding makes."""
    try:
        with localcontext(CONTEXT):
            value, before, _ = _after(search, sides, c, step, DECIMAL)
            exact = float(value)
            scale = 1.0 + max(float(np.max(np.abs(v.astype(float)), initial=0.0)) for v in before)
            return exact > MARGIN * scale and exact > ROUNDING * abs(exact - size)
    except (DecimalException, Unsupported, Inexact, NoSolution, OverflowError):
        return False


# --- words -------------------------------------------------------------------------


def _described(search: Search, claim: Claim, c: Candidates, found: Found, size: float) -> Counterexample:
    model = search.model
    _, before, start = _after(search, search.sides, c, found.step, FLOAT)
    weights = {n: np.asarray(w[0]) for n, w in c.weights.items()}
    inputs = {n: np.asarray(u[0]) for n, u in c.inputs.items()}
    quantity = OUTWARD if search.flow else VIOLATION
    x = tuple(np.array(v, dtype=np.float64) for v in before)
    return Counterexample(
        model.name,
        claim.text,
        "flow" if search.flow else "map",
        "upper",
        2,
        0.0,
        size,
        _sentence(search, claim, weights, inputs, x, found, size),
        weights,
        inputs,
        x,
        tuple(np.array(v, dtype=np.float64) for v in start) if not search.flow else (),
        tuple(s.name for s in model.states),
        "",
        "",
        quantity=quantity.name,
        step=found.step,
    )


def _sentence(
    search: Search,
    claim: Claim,
    weights: dict[str, Array],
    inputs: dict[str, Array],
    x: tuple[Array, ...],
    found: Found,
    size: float,
) -> str:
    model = search.model
    declared: list[Param | Input] = [*model.params, *model.inputs]
    stacked = {d.name for d in declared if d.per_step}
    shown = {n: v[found.step] if n in stacked else v for n, v in (weights | inputs).items()}
    shown |= {s.name: v for s, v in zip(model.states, x, strict=True)}
    given = ", ".join(f"{n} = {show(np.asarray(v))}" for n, v in shown.items())
    relation = " ".join(claim.relation.span.text.split()) if claim.relation is not None else claim.text
    if search.flow:
        return (
            f"with {given}, which is on the boundary of `{relation}`, the flow moves out of it at the rate {size:.6g}"
        )
    where = "" if found.step == 0 else f" (step {found.step + 1} of a run that began within it)"
    return f"with {given}, one step{where} breaks `{relation}` by {size:.6g}"


_ZERO = EXACT.cast(np.zeros(1))[0]
