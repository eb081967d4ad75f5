"""Which form, at which rate: the search for a quadratic form that proves a bound on growth, or that is a metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

from odespec.exact import enclose
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import DEPTH
from odespec.prove.gram.facial import reduce
from odespec.prove.gram.pencil import lay_out
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.spectral import floats, least
from odespec.prove.gram.threshold import SHARES, Target, largest
from odespec.prove.lyapunov.joint import Asked, FormProof, Joint
from odespec.prove.lyapunov.settings import Setting, settings
from odespec.prove.sides import Horizon
from odespec.records import dataclass

ONE = Fraction(1)
NEAR = 1e-6
SHARES_OF_GROWTH = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0)
"""Shares of the growth that a claim allows, or of one, that the constant of the form takes in place of the rate."""

DECAYS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Logarithms of decay over the whole horizon that are tried beyond that, each only where the one before has a form."""

MODERATE = Fraction(100)
"""No larger rate of a step is tried: numbers of so different sizes do not meet in one program."""

SCALES = (ONE, Fraction(10**4))
"""A form that is far from the Euclidean one is found only where it may be small in some directions."""

MAX_UNKNOWNS, MAX_MORE_UNKNOWNS = 400, 130
REDUCTIONS = 8


# --- metrics ---------------------------------------------------------------------


def metric(program: StepProgram, target: Target, horizon: Horizon) -> tuple[Setting, FormProof] | None:
    """A positive definite form that grows by no more than the target allows. Raises `NoRelation`."""
    for k, found in enumerate(settings(program, horizon.flow, weights=True)):
        if unknowns(found) > (MAX_MORE_UNKNOWNS if k else MAX_UNKNOWNS):
            continue
        rate = next(largest(found.horizon(horizon).steps, target), None)
        if rate is None:
            return None
        rate = min(rate, MODERATE) if not horizon.flow else rate
        for scale in SCALES:
            joint = Joint(found.pairs, (Asked(found.change, rate), Asked(found.below, scale)), None)
            proof = joint.prove(depth=DEPTH if scale == 1 else 0)
            if proof is not None:
                return found, proof
    return None


# --- growth ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Growth:
    """``bound``: the factor on distances over the whole horizon, numerically; ``proof`` proves the target, or is None."""

    setting: Setting
    bound: float
    proof: FormProof | None


def growth(program: StepProgram, target: Target, horizon: Horizon) -> Growth | None:
    """A form that proves an upper target in the 2-norm, or the best bound that was seen; None where there is no form.

    Raises `NoRelation`.
    """
    return growth_in(settings(program, horizon.flow), target, horizon)


def growth_in(readings: Iterable[Setting], target: Target, horizon: Horizon) -> Growth | None:
    """As `growth`, in given readings, one after the other."""
    best: Growth | None = None
    for found in readings:
        if unknowns(found) > (MAX_UNKNOWNS if best is None else MAX_MORE_UNKNOWNS):
            continue
        own = found.horizon(horizon)
        for rate, bound in _bounds(found, target, own):
            if best is None or bound < best.bound:
                best = Growth(found, bound, None)
            if math.log(bound) <= _allowed(target) + NEAR:
                proof = _proved(found, rate, bound, target, own)
                if proof is not None:
                    return Growth(found, bound, proof)
    return best


def unknowns(found: Setting) -> int:
    """How large the programs over a reading are."""
    parts = (found.change, found.below, found.above)
    return len(found.pairs) + sum(lay_out(p.relations, 0).count for p in parts)


def _bounds(found: Setting, target: Target, horizon: Horizon) -> Iterator[tuple[Fraction, float]]:
    """Rates with the factors on distances that they give, as long as these get better.

    With a faster decay the constant of a form grows; their product has a least value in between.
    """
    last, worse = math.inf, 0
    for total in _totals(target):
        rate = _rate(total, horizon)
        bound = None if rate is None else _bounded(found, rate, horizon)
        if rate is not None and bound is not None:
            yield rate, bound
        if total == 0:
            continue  # a rate at the edge of what there is: where it fails little is said of the others
        worse = worse + 1 if bound is None or bound >= last else 0
        if bound is None or worse == 2:
            return
        last = bound


def _allowed(target: Target) -> float:
    """The logarithm of the factor on distances that a target allows."""
    slack = math.log(float(target.relaxed))
    if target.rated:
        return slack - float(target.number) * float(target.time)
    return slack + math.log(float(target.number)) if target.number > 0 else -math.inf


def _totals(target: Target) -> Iterator[float]:
    """Logarithms of growth by the rate alone: none at all first, then from all that is allowed to ever faster decay."""
    allowed = _allowed(target)
    if not math.isfinite(allowed):
        return
    unit = max(abs(allowed), 0.1)
    first = [0.0] if allowed >= 0 else []
    first += [allowed - share * unit for share in SHARES_OF_GROWTH]
    yield from dict.fromkeys([*first, *(min(allowed - unit, 0.0) - decay for decay in DECAYS)])


def _rate(total: float, horizon: Horizon) -> Fraction | None:
    """A simple tau that gives a growth of ``exp(total)`` at most over the whole horizon."""
    if horizon.flow:
        mu = total / float(horizon.length)
        return Fraction(0) if total == 0 else simplest_between(Fraction(mu - abs(mu) * 1e-3), Fraction(mu))
    tau = math.exp(2 * total / horizon.steps)
    if total == 0:
        return ONE
    if not 1e-12 < tau < 1e6:
        return None
    return simplest_between(Fraction(max(tau - abs(tau - 1) * 1e-3, tau / 2)), Fraction(tau))


def _bounded(found: Setting, rate: Fraction, horizon: Horizon) -> float | None:
    """The factor on distances that the best form at a rate gives, numerically."""
    asked = (Asked(found.change, rate), Asked(found.below, ONE), Asked(found.above, None))
    joint = Joint(found.pairs, asked, None)
    pencil = joint.pencil(joint.layouts())
    solved = least(floats(pencil), joint.bound)
    if solved is None and rate in (0, 1):
        reduced = reduce(pencil, [REDUCTIONS])
        solved = None if reduced is None else least(floats(reduced), joint.bound)
    if solved is None or not 1e-12 < solved[0] < 1e12:
        return None
    return math.sqrt(solved[0]) * horizon.growth(float(rate))


def _proved(found: Setting, rate: Fraction, bound: float, target: Target, horizon: Horizon) -> FormProof | None:
    constant = (bound / horizon.growth(float(rate))) ** 2
    for c in constants(rate, constant, target, horizon):
        scale = Fraction(10) ** round(math.log10(c) / 2)
        asked = (Asked(found.change, rate), Asked(found.below, scale), Asked(found.above, c / scale))
        proof = Joint(found.pairs, asked, None).prove()
        if proof is not None:
            return proof
    return None


def constants(rate: Fraction, least_constant: float, target: Target, horizon: Horizon) -> Iterator[Fraction]:
    """Values of c, from the largest that the target allows down to close to the least one."""
    limit = _limit(rate, target, horizon)
    if limit is None:
        return
    near = Fraction(least_constant)
    seen = set()
    for share in SHARES[:2]:
        low = near + share * (limit - near)
        c = simplest_between(low, limit) if low < limit else limit
        if c not in seen and gives(rate, c, target, horizon):
            seen.add(c)
            yield c
    if limit not in seen and gives(rate, limit, target, horizon):
        yield limit


def _limit(rate: Fraction, target: Target, horizon: Horizon) -> Fraction | None:
    """The largest c with which a rate gives the target: exact where nothing but L stands in the way, else rounded down."""
    if not target.rated and rate == (0 if horizon.flow else 1):
        return enclose(target.number * target.number, 128)[0] * target.relaxed**2
    log = 2 * _allowed(target) - 2 * math.log(horizon.growth(float(rate)))
    return Fraction(math.exp(log) * (1 - 1e-12)) if -30 < log < 60 else None


def gives(rate: Fraction, c: Fraction, target: Target, horizon: Horizon) -> bool:
    """Whether a rate and a constant give a target, by the auditor's own arithmetic."""
    from odespec.certificate.auditor.gram import compare

    limit, decay = target.relaxed**2, Fraction(0)
    if target.rated:
        decay = enclose(target.number)[1]
    else:
        limit *= enclose(target.number * target.number, 128)[0]
    low, high = enclose(target.time, 128)
    slope = 2 * (decay + (rate if horizon.flow else 0))
    taus = [(c, 1), *([] if horizon.flow else [(rate, horizon.steps)])]
    return compare(taus, slope * (high if slope > 0 else low), limit, True)
