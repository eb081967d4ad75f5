"""A distance claim as targets for Gram problems, and what a bound on a step says of the whole."""

from __future__ import annotations

import math
from fractions import Fraction

from odespec.exact import Real
from odespec.ir.model import Claim
from odespec.program.step import StepProgram
from odespec.prove.gram.threshold import Target
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Horizon:
    """How one Gram problem speaks of the whole: ``steps`` equal steps of a map, or a flow over the time ``length``.

    ``length`` is T of a map as well (its number of steps for a discrete map).
    """

    flow: bool
    steps: int
    length: Real

    def growth(self, tau: float) -> float:
        """The factor on distances over the whole horizon that the ratio tau of the Gram problem gives."""
        if self.flow:
            return _exp(tau * float(self.length))
        return _exp(self.steps / 2 * math.log(tau)) if tau > 0 else 0.0

    def allows(self, target: Target) -> float:
        """The factor on distances over the whole horizon that a target allows."""
        number = float(target.number)
        return _exp(-number * float(self.length)) if target.rated else number


def horizon_of(program: StepProgram, claim: Claim) -> Horizon:
    """The horizon that a claim about a map, or its flow, speaks of."""
    time = program.model.time
    length = Fraction(program.steps) if time is None else time.end - time.start
    return Horizon(claim.subject == "flow", program.steps, length)


def _exp(x: float) -> float:
    return math.inf if x > 700 else math.exp(x)


def targets(claim: Claim, horizon: Horizon, slack: Fraction) -> tuple[Target, ...]:
    """What a distance claim asks, side by side, a lower bound first (the auditor's order)."""
    prefix = "flow-" if horizon.flow else ""

    def target(kind: str, number: Real | None) -> Target:
        assert number is not None, claim.text
        return Target(prefix + kind, number, horizon.length, slack)

    if claim.name == "nonexpansive":
        return (target("lipschitz", Fraction(1)),)
    if claim.name == "lipschitz":
        return (target("lipschitz", claim.upper),)
    if claim.name == "contractive":
        return (target("contractive", claim.lower),)
    return target("lower", claim.lower), target("lipschitz", claim.upper)
