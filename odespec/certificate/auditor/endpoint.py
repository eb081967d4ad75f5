"""Bounds from a given start, or an input, to the final states, or the output: chains of proofs by inner products.

Each part bounds the squared ratio of distances over a segment of the way (`gram`). If all free states differ, the ratios
multiply. If an input differs by d, and a step takes distances of states to at most ``r`` times as much, the input into a
step brings at most ``g d``, so after N steps the states differ by at most

    r^N s d + g d (1 + r + ... + r^(N-1)),

s d being what the start brings; and the output by at most p times that, and q d where it reads the input itself. Of a
sequence of inputs each entry counts with its own distance, and the sum of their products is at most the root of the sum
of squares of the factors times the distance of the sequences (Cauchy and Schwarz).
"""

import re
from fractions import Fraction
from typing import Any

from . import gram
from .core import LITERAL, AuditError, Interval, Ledger, bits_of, check_assumptions, count, line, number, plain, require

ROLES = {"way", "start", "step", "input", "output", "direct", "solvability"}
MAX_STEPS, MAX_BITS = 20_000, 1_500
USE = {"part": count, "times": count}
SCHEMA = {
    "implicit": {True, False},
    "moved": {"states", "input", "sequence"},
    "parts": [{**gram.PART, "role": ROLES, "segment": line}],
    "conclusion": [{"kind": {"lipschitz", "lower", "contractive"}, "number": line, "chain": [USE]}],
}

# --- the claim -------------------------------------------------------------------

PLAIN, WHERE = r"(of(?:output|map))?", r"((?:of(?:output|map))?(?:inmeansquare)?|inmeansquareof(?:output|map))"
CLAIMS = (
    (("lipschitz",), rf"()nonexpansive(?:\(norm=2\))?{WHERE}"),
    (("lipschitz",), rf"lipschitz(?:\((?:norm=2,)?by=(\w+)(?:,norm=2)?\)|\(norm=2\))?<=(.+?){WHERE}"),
    (("contractive",), rf"()contractive\((?:norm=2,)?rate=(.+?)(?:,norm=2)?\){WHERE}"),
    (("lower", "lipschitz"), rf"()gradientin\[(.+),(.+?)\]{PLAIN}"),
)


def goals(claim: str) -> tuple[str, str, bool, list[tuple[str, str]]]:
    """The input that differs (or nothing), what is looked at, whether in mean square; the kinds of conclusion, numbers.

    What holds on every path of a noise holds in mean square: the proofs are the same.
    """
    for kinds, pattern in CLAIMS:
        if match := re.fullmatch(pattern, re.sub(r"\s", "", claim[:2000])):
            by, *numbers, where = match.groups(default="")
            subject = "output" if "ofoutput" in where else "map"
            return by, subject, "inmeansquare" in where, list(zip(kinds, numbers or ["1"], strict=True))
    raise AuditError("not a claim that this file can check")


def check_claim(c: dict[str, Any]) -> tuple[str, str, bool, list[tuple[str, str]]]:
    """What the claim was resolved to is the same claim with its numbers written out."""
    asked, resolved = goals(c["claim"]["text"]), goals(c["claim"]["resolved"])
    require(asked[:3] == resolved[:3], "the claim was resolved to another one")
    require([k for k, _ in asked[3]] == [k for k, _ in resolved[3]], "the claim was resolved to another one")
    for (_, written), (_, value) in zip(asked[3], resolved[3], strict=True):
        literal = re.fullmatch(rf"{LITERAL}|sqrt\({LITERAL}\)", written)
        require(not literal or gram.squared(written) == gram.squared(value), "the claim was resolved to other numbers")
    return resolved


# --- the chains ------------------------------------------------------------------


def product(c: dict[str, Any], chain: list[dict[str, Any]], subject: str, sense: str) -> list[tuple[Fraction, int]]:
    """The ratios along the way of the states: it begins at the start, has all steps, and ends where the claim looks."""
    parts = [(c["proof"]["parts"][u["part"]], u["times"]) for u in chain]
    require(parts and all(p["role"] == "way" and p["sense"] == sense for p, _ in parts), "a part of another role")
    pieces = [(*segment(p["segment"]), n) for p, n in parts]
    require(all(start == (i == 0) and (not start or n == 1) for i, (start, _, _, n) in enumerate(pieces)), "no start")
    ends = [end for _, _, end, _ in pieces]
    wanted = [False] * (len(pieces) - 1) + [subject == "output"]
    require(ends == wanted and (pieces[-1][3] == 1 or subject == "map"), "the way ends elsewhere")
    require(sum(steps * n for _, steps, _, n in pieces) == c["steps"], "the parts do not cover the steps")
    taus = [(number(p["tau"]), n) for p, n in parts]
    require(all(t >= 0 for t, _ in taus), "a negative squared ratio")
    return taus


def segment(written: str) -> tuple[bool, int, bool]:
    """``start+2+output``: whether it has the start, its steps, whether it has the output."""
    match = re.fullmatch(r"(start)?\+?([0-9]{1,9})?\+?(output)?", written)
    require(match is not None and written, "not a segment")
    assert match is not None
    require(written == "+".join(g for g in match.groups() if g), "not a segment")
    return bool(match[1]), int(match[2] or 0), bool(match[3])


def gain(c: dict[str, Any], chain: list[dict[str, Any]], subject: str) -> Interval:
    """The square of the factor on the distance of an input, enclosed."""
    parts = [c["proof"]["parts"][u["part"]] for u in chain]
    require(all(u["times"] == 1 and p["sense"] == "upper" for u, p in zip(chain, parts, strict=True)), "not bounds")
    taus = {p["role"]: number(p["tau"]) for p in parts}
    require(len(taus) == len(parts) and all(t >= 0 for t in taus.values()), "a role stands twice, or is negative")
    if "way" in taus:
        wanted = "+".join(["start", str(c["steps"])] + ["output"] * (subject == "output"))
        require(len(parts) == 1 and parts[0]["segment"] == wanted, "the way ends elsewhere")
        return taus["way"], taus["way"]
    require(taus.keys() <= {"start", "step", "input", "output", "direct"}, "a part of another role")
    require(("output" in taus) == (subject == "output") and ("direct" not in taus or "output" in taus), "no output")
    steps = c["steps"]
    require("step" in taus or (steps <= 1 and "start" not in taus), "no bound of a step")
    require(1 <= steps <= MAX_STEPS, "too many steps")
    return sequence(taus, steps) if c["proof"]["moved"] == "sequence" else constant(taus, steps)


def constant(taus: dict[str, Fraction], steps: int) -> Interval:
    """One distance in every step: ``(p (r^N s + g (1 + ... + r^(N-1))) + q)^2``."""
    r, s, g, p, q = (root(taus.get(role, Fraction(role == "output"))) for role in ORDER)
    total = s
    for _ in range(steps):
        total = plus(times(total, r), g)
    total = plus(times(total, p), q)
    return times(total, total)


ORDER = ("step", "start", "input", "output", "direct")


def sequence(taus: dict[str, Fraction], steps: int) -> Interval:
    """A distance in each step: the sum of the squares of the factors, the first with the start, the last with the output."""
    r2, s2, g2, p2, q2 = (taus.get(role, Fraction(role == "output")) for role in ORDER)
    total, power = (Fraction(0), Fraction(0)), (g2, g2)
    for k in reversed(range(steps)):
        plain_one = not (k == 0 and s2) and not (k == steps - 1 and q2)
        factor = times(power, (p2, p2)) if plain_one else squared_sum(r2, s2, p2, q2, power, k, steps)
        total, power = plus(total, factor), times(power, (r2, r2))
    return total


def squared_sum(
    r2: Fraction, s2: Fraction, p2: Fraction, q2: Fraction, power: Interval, k: int, steps: int
) -> Interval:
    """The square of the factor of an entry that acts in more than one way."""
    inner = (root(power[0])[0], root(power[1])[1])
    if k == 0:
        early, ratio = root(s2), root(r2)
        for _ in range(steps):
            early = times(early, ratio)
        inner = plus(inner, early)
    whole = plus(times(inner, root(p2)), root(q2) if k == steps - 1 else (Fraction(0), Fraction(0)))
    return times(whole, whole)


def root(x: Fraction) -> Interval:
    """The square root of a number that is not negative, enclosed; exactly where it is rational."""
    scale = 1 << 256
    low = isqrt(x.numerator * x.denominator * scale * scale)
    exact = low * low == x.numerator * x.denominator * scale * scale
    return Fraction(low, x.denominator * scale), Fraction(low + (not exact), x.denominator * scale)


def isqrt(n: int) -> int:
    """The whole part of a square root, by Newton's method."""
    if n == 0:
        return 0
    x = 1 << ((n.bit_length() + 1) // 2)
    while True:
        y = (x + n // x) // 2
        if y >= x:
            return x
        x = y


def times(a: Interval, b: Interval) -> Interval:
    return short(a[0] * b[0], a[1] * b[1])


def plus(a: Interval, b: Interval) -> Interval:
    return short(a[0] + b[0], a[1] + b[1])


def short(low: Fraction, high: Fraction) -> Interval:
    """Rounded outward where the numbers grow long."""
    return (low, high) if bits_of(low) + bits_of(high) <= MAX_BITS else gram.outward(low, high, 400)


# --- the whole -------------------------------------------------------------------


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str], by: str, subject: str) -> str:
    """Check one inequality of the claim; return it in words."""
    kind, written = stated["kind"], stated["number"]
    require((kind, written) == goal, "the conclusion is not what the claim asks for")
    upper, rated = kind != "lower", kind == "contractive"
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), gram.squared(written))
    if not upper and limit <= 0:
        require(not stated["chain"], "a part that is used for nothing")
        return f"a distance is never negative, so it is at least {written} times what it was"
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    where = "the output" if subject == "output" else "the final states"
    if by:
        require(gain(c, stated["chain"], subject)[1] <= limit, "the bounds do not give the claim")
        return f"{where} differ by at most {written} times the distance of the two inputs {by}"
    require(number(c["time"]) > 0, "no time")
    taus = product(c, stated["chain"], subject, "upper" if upper else "lower")
    require(gram.compare(taus, 2 * rate * number(c["time"]), limit, upper), "the bounds do not give the claim")
    powers = " * ".join(f"({t})^{n}" for t, n in taus)
    sign, end = "<=" if upper else ">=", f"exp(-{written} * {c['time']})" if rated else written
    return f"from the free states to {where} the squared ratio of distances is {powers} {sign} ({end})^2"


def assumptions(implicit: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    taken = [
        "arithmetic is exact",
        "the constraints on the weights hold",
        "the relations hold in every step, for its own weights, inputs and time",
        "what no part speaks of does not depend on what differs",
    ]
    return [*taken, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof = c["proof"]
    by, subject, square, resolved = check_claim(c)
    require((proof["moved"] == "states") == (not by), "what differs is not what the claim says")
    for part in proof["parts"]:
        gram.Part(part, ledger).check()
    require(len(proof["conclusion"]) == len(resolved), "the conclusion is not what the claim asks for")
    lines = [conclude(c, s, goal, by, subject) for s, goal in zip(proof["conclusion"], resolved, strict=True)]
    solvable = {k for k, p in enumerate(proof["parts"]) if (p["role"], p["sense"]) == ("solvability", "upper")}
    require(all(proof["parts"][k]["segment"] in ("1", "start+1") for k in solvable), "not the equations of a step")
    require(bool(solvable) == proof["implicit"], "an implicit step, and no other, needs a proof that it can be solved")
    used = {u["part"] for s in proof["conclusion"] for u in s["chain"]}
    require(used | solvable == set(range(len(proof["parts"]))), "a part that is used for nothing")
    check_assumptions(c, assumptions(proof["implicit"]))
    lines += ["the equations of a step have exactly one solution"] if solvable else []
    lines += ["this holds on every path of the noise, so in mean square too"] if square else []
    return [*lines, *(f"{p['segment']}: {gram.show(p)}" for p in proof["parts"])]
