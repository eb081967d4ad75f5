"""Proofs about exponential steps ``x+ = exp(h L) x + h phi_1(h L) N(x)``.

A certificate of this kind states two parts of the kind `gram`: ``growth`` bounds the linear part, ``<e, L e> <= mu <e, e>``,
and ``rest`` the others, ``|N(x) - N(y)| <= l |x - y|`` (left out where N does not depend on the state). As
``|exp(s L)| <= exp(s mu)``, and ``h phi_1(h L)`` is the integral of ``exp(s L)`` over [0, h], a step multiplies distances by at
most b(h), where ``b' = mu b + l``, ``b(0) = 1``:

    b(h) = exp(h mu) + l (exp(h mu) - 1) / mu          which is at most 1 where mu + l <= 0.
"""

from fractions import Fraction
from typing import Any

from . import gram
from .core import Ledger, check_assumptions, line, number, plain, require

SCHEMA = {
    "growth": gram.PART,
    "rest": [gram.PART],
    "gain": number,
    "conclusion": {"kind": line, "number": line},
}
KINDS = {"lipschitz", "contractive"}
BITS = 256


def step_bound(mu: Fraction, gain: Fraction, h: Fraction) -> Fraction:
    """A rational number at least b(h)."""
    if mu + gain <= 0 and gain > 0:
        return Fraction(1)
    require(abs(h * mu) <= 1000, "a step too large")
    low, high = gram.exponential(h * mu, BITS)
    if not gain:
        return high
    if mu == 0:
        return 1 + gain * h
    return high + gain * max((low - 1) / mu, (high - 1) / mu)


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str]) -> str:
    """Check the bound of a step against the number of the claim; return it in words."""
    kind, written = stated["kind"], stated["number"]
    require((kind, written) == goal and kind in KINDS, "the conclusion is not what the claim asks for")
    proof, time, steps = c["proof"], number(c["time"]), c["steps"]
    require(time > 0 and steps >= 1, "there is no time")
    rated = kind == "contractive"
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), gram.squared(written))
    limit *= (1 + number(c["slack"])) ** 2
    mu, gain = number(proof["growth"]["tau"]), number(proof["gain"])
    if gain:
        bound = step_bound(mu, gain, time / steps)
        holds = gram.compare([(bound**2, steps)], 2 * rate * time, limit, True)
    else:
        holds = gram.compare([], 2 * (rate + mu) * time, limit, True)
    require(holds, "the bounds do not give the claim")
    end = f"exp(-{written} * {c['time']})" if rated else written
    end += f" (1 + {c['slack']})" if c["slack"] != "0" else ""
    parts = f"<e, L e> <= {mu} <e, e> and |dN| <= {gain} |e|"
    return f"{parts}: over {steps} exponential steps in the time {c['time']} distances grow at most {end}-fold"


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, goals = c["proof"], gram.check_claim(c)
    growth, rest, gain = proof["growth"], proof["rest"], number(proof["gain"])
    require((growth["role"], growth["sense"]) == ("flow", "upper"), "a part of another role")
    require(len(rest) == (1 if gain else 0) and gain >= 0, "not one part for the terms that are not linear")
    for part in rest:
        require((part["role"], part["sense"]) == ("step", "upper"), "a part of another role")
        require(0 <= number(part["tau"]) <= gain**2, "the gain is not that of the part")
    for part in (growth, *rest):
        gram.Part(part, ledger).check()
    require(len(goals) == 1, "the conclusion is not what the claim asks for")
    first = conclude(c, proof["conclusion"], goals[0])
    check_assumptions(c, gram.assumptions(False, False))
    return [first, *(gram.show(p) for p in (growth, *rest))]
