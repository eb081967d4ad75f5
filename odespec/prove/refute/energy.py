"""Counterexamples to claims about a scalar of the states: steps, and states of the flow, at which it changes or grows.

A candidate is weights, inputs and a state. It is found by random samples and ascent at tiny sizes, put back into the sizes
of the spec, and counts once float64 and decimals of fifty digits agree on a change far above rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from math import prod

import numpy as np

from odespec.ir.differentiate import NotDifferentiable
from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered
from odespec.prove.refute.counterexample import Counterexample
from odespec.prove.refute.scalarfound import Solvable, realised
from odespec.prove.refute.scalarsearch import IMPLICIT, QUICK, Effort, search
from odespec.prove.refute.scenes import scene_of, variants
from odespec.records import dataclass
from odespec.solvers import get
from odespec.weights.embed import reduction, shrink
from odespec.weights.evaluate import Unsupported

SIZES = (1, 2, 3, None)
LARGEST = 400
"""Sizes with more entries than this are not searched themselves."""
CONFIRMATIONS = 4


@dataclass(frozen=True, slots=True)
class Hunt:
    """What is looked for, and how hard."""

    model: Model
    claim: Claim
    effort: Effort
    seed: int
    solvable: Solvable
    over: Callable[[], bool]


def refute(
    model: Model,
    claim: Claim,
    *,
    quick: bool,
    solvable: Solvable = lambda: False,
    seed: int = 0,
    deadline: float | None = None,
) -> Counterexample | None:
    """Weights, inputs and a state at which V changes (`conserves`) or grows (`dissipates`); None if none was found.

    ``quick``: only a glance. ``solvable`` is asked where the weights alone do not show that an implicit step is unique.
    """
    if claim.subject != "flow" and not isinstance(model.solver.steps, int):
        return None

    def over() -> bool:
        return deadline is not None and time.monotonic() > deadline

    hunt = Hunt(
        model, claim, QUICK if quick else IMPLICIT if _implicit(model, claim) else Effort(), seed, solvable, over
    )
    try:
        for variant, step in variants(model, claim, quick):
            for size in SIZES:
                found = None if over() else _at_size(hunt, variant, step, size)
                if found is not None:
                    return found
    except (Unsupported, NotLowered, NotDifferentiable):
        return None
    return None


def _implicit(model: Model, claim: Claim) -> bool:
    return claim.subject != "flow" and get(model.solver.name).family == "implicit"


def _at_size(hunt: Hunt, variant: Model, step: int, size: int | None) -> Counterexample | None:
    """Search a variant with its axes shortened to a size (None: as they are)."""
    full = scene_of(variant, hunt.claim, step)
    small = full
    if size is not None:
        sizes = reduction(variant, size)
        if all(a == b for a, b in sizes.items()):
            return None
        small = scene_of(shrink(variant, sizes), hunt.claim, step)
    elif full.after.size + sum(prod(p.shape) for p in hunt.model.params) > LARGEST:
        return None
    rng = np.random.default_rng([hunt.seed, size or 0, step])
    for candidate in islice(search(small, rng, hunt.effort, hunt.over), CONFIRMATIONS):
        found = realised(hunt.model, full, small, candidate, hunt.claim, hunt.solvable)
        if found is not None:
            return found
    return None
