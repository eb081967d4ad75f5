"""Which tau to prove: the exact limit that a claim sets where it is rational, else a simple fraction within it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from odespec.exact import Real, enclose, power
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.records import dataclass

SHARES = (Fraction(1, 2), Fraction(1, 10), Fraction(1, 1000))
NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Target:
    """What a claim asks of the whole, where ``number`` is L, a or r and ``time`` is T.

    ``kind``: ``lipschitz`` (tau^steps <= L^2), ``lower`` (tau^steps >= a^2), ``contractive`` (tau^steps <= exp(-2rT));
    of a logarithmic norm mu ``flow-lipschitz`` (exp(mu T) <= L), ``flow-lower`` (exp(mu T) >= a) and
    ``flow-contractive`` (mu <= -r). ``slack`` weakens the bound on distances by a factor 1 + slack (1 - slack below).
    """

    kind: str
    number: Real
    time: Real
    slack: Fraction = Fraction(0)

    @property
    def upper(self) -> bool:
        return not self.kind.endswith("lower")

    @property
    def flow(self) -> bool:
        return self.kind.startswith("flow-")

    @property
    def rated(self) -> bool:
        return self.kind.endswith("contractive")

    @property
    def relaxed(self) -> Fraction:
        """The factor on distances that the slack allows."""
        return 1 + self.slack if self.upper else 1 - self.slack


def choose_tau(problem: GramProblem, bound: float | None, steps: int, target: Target) -> list[Fraction]:
    """Candidates for tau, the most promising first; each of them gives the claim. Empty where there is none.

    ``bound`` is the numerical worst case of the problem; without it only an exact limit is proposed.
    Raises ValueError where the problem and the target are of different senses.
    """
    if problem.lower == target.upper:
        raise ValueError("an upper claim needs an upper problem")
    proposals = [*_exact_limit(steps, target), *(_between(bound, steps, target) if bound is not None else ())]
    return list(dict.fromkeys(tau for tau in proposals if allowed(tau, steps, target)))


def largest(steps: int, target: Target) -> Iterator[Fraction]:
    """Numbers tau close to the largest one that gives an upper target, the exact limit first where it is rational."""
    limit = _limit(steps, target)
    room = max(abs(limit - 1.0), abs(limit)) if not target.flow else abs(limit)
    low = -math.inf if target.flow else limit / 2
    shares = (1e-3, 1e-6) if math.isfinite(limit) else ()
    near = [simplest_between(Fraction(max(limit - s * room, low)), Fraction(limit)) for s in shares]
    for tau in dict.fromkeys((*_exact_limit(steps, target), *near)):
        if allowed(tau, steps, target):
            yield tau


def allowed(tau: Fraction, steps: int, target: Target) -> bool:
    """Whether a bound tau on the problem gives the claim, by the auditor's own arithmetic."""
    from odespec.certificate.auditor.gram import compare

    limit, rate = target.relaxed**2, Fraction(0)
    if target.rated:
        rate = enclose(target.number)[1]
    elif not target.flow and not target.upper and target.number <= 0:
        return True
    else:
        low, high = enclose(target.number * target.number, 128)
        limit *= low if target.upper else high
    if not target.flow and tau < 0:
        return False
    low, high = enclose(target.time, 128)
    slope = 2 * (rate + (tau if target.flow else 0))
    exponent = slope * (high if (slope > 0) == target.upper else low)
    return compare([] if target.flow else [(tau, steps)], exponent, limit, target.upper)


def _exact_limit(steps: int, target: Target) -> Iterator[Fraction]:
    """The limit of tau where it is rational."""
    if target.rated:
        if target.slack == 0 and isinstance(target.number, Fraction) and (target.flow or target.number == 0):
            yield -target.number if target.flow else Fraction(1)
        return
    if target.flow:
        if target.number * target.relaxed == 1:
            yield Fraction(0)
        return
    limit = power(target.number * target.number * target.relaxed**2, Fraction(1, steps))
    if isinstance(limit, Fraction):
        yield limit


def _between(bound: float, steps: int, target: Target) -> Iterator[Fraction]:
    """The simplest fractions between the worst case and the limit, with ever less room to the worst case."""
    limit = _limit(steps, target)
    sign = 1 if target.upper else -1
    room = sign * (limit - bound)
    if not math.isfinite(room) or room <= -NEAR * max(1.0, abs(limit)):
        return
    near, far = Fraction(limit) - sign * Fraction(max(abs(limit) * 4e-16, 1e-300)), Fraction(bound)
    for share in SHARES:
        inner = far + share * (near - far)
        if sign * (near - inner) >= 0:
            yield simplest_between(min(inner, near), max(inner, near))


def _limit(steps: int, target: Target) -> float:
    """The limit of tau in floating point."""
    number, time, relaxed = float(target.number), float(target.time), float(target.relaxed)
    if target.rated:
        growth = math.log(relaxed) - number * time
    elif number <= 0:
        return -math.inf if target.flow else 0.0
    else:
        growth = math.log(number * relaxed)
    return growth / time if target.flow else math.exp(2 * growth / steps)
