"""Proofs by a quadratic form that no step lets grow.

A certificate of this kind states a form ``V = sum c <p, q>`` over *probes* (linear images of the difference of two runs,
by operators that all steps share), vectors that each probe is ``before`` and ``after`` a step, and relations between
them. For each of its parts this file forms, from the one V,

    step    tau V(before) - V(after)                                V grows at most tau-fold over ``span`` steps
    flow    tau V(before) - sum c (<p, q'> + <p', q>) / 2           V' <= 2 tau V
    below   tau V - |e|^2                                           V is positive definite
    above   tau |e|^2 - V                                           at the start

less multiples of the relations, as in `gram`: a positive semidefinite matrix of coefficients. By induction over the steps
V bounds the distance at the end by that at the start; in the metric V itself only the first two speak of growth.
"""

import re
from fractions import Fraction
from typing import Any

from . import gram
from .core import Ledger, check_assumptions, count, line, number, plain, require

STATED = {
    "role": {"step", "flow", "below", "above"},
    "span": count,
    "tau": number,
    "basis": gram.PART["basis"],
    "before": {str: [(line, number)]},
    "after": {str: [(line, number)]},
    "distance": [[(line, number)]],
    "relations": [gram.RELATION],
}
SCHEMA = {
    "implicit": {True, False},
    "coordinates": {True, False},
    "lift": [line],
    "form": [(line, line, number)],
    "parts": [STATED],
    "solvability": [gram.PART],
    "conclusion": {"kind": line, "number": line},
}
KINDS = {"lipschitz", "contractive", "flow-lipschitz", "flow-contractive"}
ASSUMED = "the operators in the quadratic form are the same at every step"


class Part(gram.Part):
    """The arithmetic of one part."""

    def __init__(self, part: dict[str, Any], form: list[list[str]], ledger: Ledger) -> None:
        super().__init__(part, ledger)
        self.weights = [(a, b, number(c)) for a, b, c in form]
        used = {name for a, b, _ in form for name in (a, b)}
        moves = part["role"] in ("step", "flow")
        require(part["before"].keys() == used, "not the probes of the form")
        require(part["after"].keys() == (used if moves else set()), "not the probes of the form")
        require(bool(part["distance"]) != moves, "a distance stands where it does not belong, or is missing")

    def check(self) -> None:
        tau, role = number(self.part["tau"]), self.part["role"]
        require(tau >= 0 or role == "flow", "a negative factor")
        require(tau > 0 or role != "below", "the form is not positive definite")
        require(self.part["span"] == 1 or (role == "step" and self.part["span"] > 1), "not a number of steps")
        before = self.values("before")
        if role == "step":
            after = self.values("after")
            self.hold((tau, self.product(before, before)), (Fraction(-1), self.product(after, after)))
        elif role == "flow":
            after, half = self.values("after"), Fraction(-1, 2)
            crossed = [(half, self.product(before, after)), (half, self.product(after, before))]
            self.hold((tau, self.product(before, before)), *crossed)
        else:
            square = self.inner(*((1, v, v) for v in map(self.vector, self.part["distance"])))
            scales = (tau, Fraction(-1)) if role == "below" else (Fraction(-1), tau)
            self.hold((scales[0], self.product(before, before)), (scales[1], square))

    def values(self, when: str) -> dict[str, gram.Vector]:
        return {name: self.vector(v) for name, v in self.part[when].items()}

    def product(self, left: dict[str, gram.Vector], right: dict[str, gram.Vector]) -> gram.Form:
        """``sum c <p, q>``, the first of each pair from the left."""
        return self.inner(*((c, left[a], right[b]) for a, b, c in self.weights))


# --- the claim ---------------------------------------------------------------------------


def split(claim: str) -> tuple[str, str]:
    """A claim without its metric, and the metric (empty where it has none); blanks are left out."""
    claim = re.sub(r"\s", "", claim[:2000])
    start = re.search(r"(?<=[(,])metric=", claim)
    if start is None:
        return claim, ""
    depth, end = 0, start.end()
    while end < len(claim) and (depth or claim[end] not in ",)"):
        depth += (claim[end] in "([") - (claim[end] in ")]")
        end += 1
    rest = claim[: start.start()] + claim[end:].removeprefix(",")
    return rest.replace(",)", ")").replace("()", ""), claim[start.end() : end]


def goal(c: dict[str, Any]) -> tuple[str, str, str]:
    """The kind of what is asked, its number, and the metric."""
    claim = c["claim"]
    (text, metric), (resolved, same) = split(claim["text"]), split(claim["resolved"])
    require(metric == same, "the claim was resolved to another metric")
    found = gram.check_claim({**c, "claim": {**claim, "text": text, "resolved": resolved}})
    require(len(found) == 1 and found[0][0] in KINDS, "a form bounds growth only")
    return (*found[0], metric)


def conclude(c: dict[str, Any], parts: dict[str, Fraction], asked: tuple[str, str, str]) -> str:
    """Check the bounds of the parts against the number of the claim; return it in words."""
    stated, (kind, written, metric) = c["proof"]["conclusion"], asked
    require((stated["kind"], stated["number"]) == (kind, written), "the conclusion is not what the claim asks for")
    flow, rated = kind.startswith("flow-"), kind.endswith("contractive")
    change = "flow" if flow else "step"
    require(parts.keys() == {change, "below", *(() if metric else ("above",))}, "not the parts that the claim needs")
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), gram.squared(written))
    limit *= (1 + number(c["slack"])) ** 2
    time, steps = number(c["time"]), c["steps"]
    require(time > 0 and steps >= 1, "there is no time")
    taus = [] if metric else [(parts["below"], 1), (parts["above"], 1)]
    span = next(p["span"] for p in c["proof"]["parts"] if p["role"] == change)
    require(steps % span == 0, "the parts do not cover the steps")
    taus += [] if flow else [(parts["step"], steps // span)]
    exponent = 2 * (rate + (parts["flow"] if flow else 0)) * time
    require(gram.compare(taus, exponent, limit, True), "the bounds do not give the claim")
    over = f"in the time {c['time']}" if flow else f"over {steps} steps"
    end = f"exp(-{written} * {c['time']})" if rated else written
    end += f" (1 + {c['slack']})" if c["slack"] != "0" else ""
    often = "in a step" if span == 1 else f"over {span} steps"
    grows = f"V' <= 2 ({parts['flow']}) V" if flow else f"{often} V grows at most {parts['step']}-fold"
    if metric:
        return f"{grows}: {over} distances in the metric V grow at most {end}-fold"
    between = f"|e|^2 <= {parts['below']} V at all times and V <= {parts['above']} |e|^2 at the start"
    return f"{grows}, {between}: {over} distances grow at most {end}-fold"


def assumptions(flow: bool, implicit: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    return [*gram.assumptions(flow, implicit), ASSUMED]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, asked = c["proof"], goal(c)
    form = proof["form"]
    require(form and len({tuple(sorted(p[:2])) for p in form}) == len(form), "a product stands twice in the form")
    roles = [p["role"] for p in proof["parts"]]
    require(len(set(roles)) == len(roles), "a part stands twice")
    for part in proof["parts"]:
        Part(part, form, ledger).check()
    for part in proof["solvability"]:
        require((part["role"], part["sense"]) == ("solvability", "upper"), "a part of another role")
        gram.Part(part, ledger).check()
    flow = asked[0].startswith("flow-")
    require(bool(proof["solvability"]) == proof["implicit"], "an implicit step, and no other, must be solvable")
    require(not (flow and proof["implicit"]), "a flow has no step")
    first = conclude(c, {p["role"]: number(p["tau"]) for p in proof["parts"]}, asked)
    check_assumptions(c, assumptions(flow, proof["implicit"]))
    lines = [first, f"V = {gram.combination(form)}"]
    lines += ["the equations of a step have exactly one solution"] if proof["solvability"] else []
    return [*lines, *(show(p) for p in proof["parts"]), *map(gram.show, proof["solvability"])]


def show(part: dict[str, Any]) -> str:
    """What a part states, with the relations that it rests on."""
    lines = [f"{part['role']}: tau = {part['tau']}"]
    for when in ("before", "after"):
        lines += [f"  {when}: {name} = {gram.combination(v)}" for name, v in part[when].items()]
    lines += (
        [f"  |e|^2 = the sum of the squares of {'; '.join(map(gram.combination, part['distance']))}"]
        if part["distance"]
        else []
    )
    return "\n".join([*lines, *map(gram.show_relation, part["relations"])])
