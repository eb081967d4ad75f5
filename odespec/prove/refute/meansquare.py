"""Refutation of claims in mean square: weights and two states whose expected squared distance is computed exactly.

Of a single step the expected square is a map like any other (`one_step`). Where differences obey a linear equation, any
number of steps, and the flow, have second moments in closed form (`odespec.prove.refute.linearsquare`). Otherwise one entry
gives bounds from below (`odespec.prove.refute.confined`).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice

import numpy as np

from odespec.exact import power
from odespec.ir.expr import TIME, const, mul, substitute
from odespec.ir.model import Claim
from odespec.program.fields import state_leaves
from odespec.program.lower import NotLowered
from odespec.program.moments import NoPolynomial
from odespec.program.step import StepProgram
from odespec.prove.refute.confined import expansion
from odespec.prove.refute.confirm import confirm
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.distance import Budget
from odespec.prove.refute.enlarge import realised
from odespec.prove.refute.expectedsquare import NAME, known
from odespec.prove.refute.explain import sentence
from odespec.prove.refute.goal import Goal, goals
from odespec.prove.refute.linearsquare import search_linear
from odespec.prove.refute.mapping import Network
from odespec.prove.refute.search import search
from odespec.prove.refute.secondmoment import (
    Moments,
    moments,
)
from odespec.prove.refute.squarearrays import Found, Level, checked, drawn, embedded, shrunk
from odespec.weights.draw import heavy
from odespec.weights.evaluate import Unsupported, plan
from odespec.weights.steps import prepare

_HALF = Fraction(1, 2)


def refute_square(program: StepProgram, claim: Claim, *, seed: int, budget: Budget) -> Counterexample | None:
    """Weights and two initial states that break a claim in mean square; None if none are found."""
    (goal,) = goals(program.model, replace(claim, mean_square=False))
    flow = claim.subject == "flow"
    try:
        found = None if flow or program.steps > 1 else _one_step(program, goal, seed, budget)
        found = found or search_linear(program, goal, flow, seed, budget)
        if found is None and not flow and program.steps > 1:
            found = _confined(program, goal, seed, budget)
    except (Unsupported, NoPolynomial, NotLowered):
        return None
    return None if found is None else _described(program, claim, goal, found)


# --- a single step -------------------------------------------------------------


def _one_step(program: StepProgram, goal: Goal, seed: int, budget: Budget) -> Found | None:
    """By the search for distances, on the map whose output has all coefficients, each by the root of its weight."""
    m = moments(program, False)
    full = one_step(m)
    for size in budget.sizes:
        small = one_step(moments(shrunk(program, size), False))
        rng = np.random.default_rng([seed, size])
        check = partial(confirm, full, goal)
        for candidate in islice(search(small, goal, rng, budget.effort, budget.over), budget.confirmations):
            found = None if budget.over() else realised(full, small, goal, candidate, check)
            if found is not None:
                confirmed, weights, inputs = found
                return confirmed.ratio, weights, inputs, list(confirmed.x), list(confirmed.y)
    return None


def one_step(m: Moments) -> Network:
    """The states as they are, with the coefficients of the step as output: its squared norm is the expected square."""
    model = replace(m.model, noises=())
    values = tuple(mul(const(power(c.weight, _HALF)), c.value) for c in m.found)
    values = substitute(values, {TIME: const(m.program.start)})
    quiet = StepProgram(model, m.program.h, m.program.start, 1, (), state_leaves(model))
    return Network(prepare(quiet), plan(values))


# --- what is not linear ----------------------------------------------------------

DRAWS, LOOKS = 160, 8
GAPS = (1e-2, 1e-5, 1e-9, 1e-17)
"""How far apart the runs start: a tiny gap keeps both close to a state that noise does not move."""


def _confined(program: StepProgram, goal: Goal, seed: int, budget: Budget) -> Found | None:
    """Runs that start apart in one entry: bounds from below, at weights and states where a step expands most."""
    full, small = moments(program, False), moments(shrunk(program, 1), False)
    if len(small.model.free_states) != 1 or len(small.model.states) != 1 or small.size != 1:
        return None
    level, rng = Level(small, ()), np.random.default_rng([seed, 7])
    pool = []
    for _ in range(DRAWS):
        weights, inputs = drawn(level, rng)
        state = 0.0 if rng.random() < 0.5 else float(heavy(rng, (1, 1))[0, 0])
        pool.append((expansion(small, weights, inputs, state), weights, inputs, state))
    for _, weights, inputs, state in sorted(pool, key=lambda c: -c[0])[:LOOKS]:
        for gap in () if budget.over() else GAPS:
            found = embedded(full, level, weights, inputs, np.array([1.0]))
            if found is None or state + gap == state:
                continue
            member, given, x, y = found
            for v, start in ((x[0], state), (y[0], state + gap)):
                v.ravel()[0] = start
            ratio = checked(full, goal, (member, given, x, y))
            if ratio is not None:
                return ratio, member, given, x, y
    return None


# --- in words ------------------------------------------------------------------


def _described(program: StepProgram, claim: Claim, goal: Goal, found: Found) -> Counterexample:
    ratio, weights, inputs, x, y = found
    model, exact = program.model, known(moments(program, claim.subject == "flow"), weights)
    words = "roots of expected squares" if exact else "at least: roots of expected squares"
    plain = sentence(model, goal, weights, inputs, x, y, ratio, claim.subject)
    return Counterexample(
        model=model.name,
        claim=claim.text,
        subject=claim.subject,
        side="upper",
        p=2,
        bound=goal.target,
        measured=ratio,
        sentence=f"{plain} ({words} over all paths of the noise)",
        weights=weights,
        inputs=inputs,
        x=tuple(x),
        y=tuple(y),
        states=tuple(s.name for s in model.free_states),
        spec=model.source.text,
        spec_name=model.source.name,
        quantity=NAME,
    )
