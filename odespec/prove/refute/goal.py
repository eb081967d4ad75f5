"""What a distance claim asks, as a bound on the ratio of the distances after and before."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from odespec.exact import Real
from odespec.ir.model import Claim, Model
from odespec.records import dataclass
from odespec.weights.arithmetic import CONTEXT, Array, decimal


@dataclass(frozen=True, slots=True)
class Goal:
    """One side of a claim: ``ratio <= bound`` (``upper``) or ``ratio >= bound`` (``lower``), distances in norm p."""

    side: str
    p: int | str
    bound: Decimal

    @property
    def target(self) -> float:
        return float(self.bound)

    def excess(self, ratio: Any) -> Any:
        """By how much a ratio breaks the claim; negative where it does not. Arrays are taken entry by entry."""
        return ratio - self.target if self.side == "upper" else self.target - ratio


def goals(model: Model, claim: Claim) -> tuple[Goal, ...]:
    """The sides of a claim about distances; none where the claim is of another kind."""
    if claim.metric is not None or claim.mean_square:
        return ()
    if claim.name == "nonexpansive":
        return (Goal("upper", claim.norm, Decimal(1)),)
    if claim.name == "lipschitz" and claim.upper is not None:
        return (Goal("upper", claim.norm, decimal(claim.upper)),)
    if claim.name == "contractive" and claim.lower is not None:
        with localcontext(CONTEXT):
            return (Goal("upper", claim.norm, (-decimal(claim.lower) * decimal(duration(model))).exp()),)
    if claim.name == "gradient":
        sides = (("upper", claim.upper), ("lower", claim.lower))
        return tuple(Goal(s, claim.norm, decimal(b)) for s, b in sides if b is not None and (s == "upper" or b > 0))
    return ()


def duration(model: Model) -> Real:
    """The length T of the time interval; the number of steps of a map."""
    if model.time is not None:
        return model.time.end - model.time.start
    return model.step_size * (model.solver.steps if isinstance(model.solver.steps, int) else 1)


def norm(difference: Array, p: int | str) -> Array:
    """The norm of vectors on the last axis, of floats."""
    order = {2: 2, 1: 1, "inf": np.inf}[p]
    return np.asarray(np.linalg.norm(difference, order, axis=-1))


def decimal_norm(difference: Array, p: int | str) -> Decimal:
    """The norm of a vector of decimals, in the current context."""
    sizes: list[Decimal] = [abs(x) for x in difference]
    if p == "inf":
        return max(sizes)
    if p == 1:
        return sum(sizes, Decimal(0))
    squares: Decimal = sum((x * x for x in sizes), Decimal(0))
    return squares.sqrt()
