"""Proofs that a relation on the states, true at the start, is true after every step.

Entry by entry: a case states the new value of an entry as a quotient of polynomials in variables of known ranges, under
which the old entries obey the relations. This file forms the inequality that the case is about,

    step    bound * bottom - top >= 0                             (the lower side with the other sign)
    flow    -top >= 0: on the face where the entry is at the bound its derivative does not point outwards (Nagumo)
    stage   bound * bottom - top + (1 - 1/1000) * excess * bottom >= 0: no solution has a stage beyond its bounds, as the
            one that is the farthest beyond, by excess, would miss its equation
    unique  the same with bound 0 for the difference R(y) - R(z) where two stages differ most, by excess: y - R(y) grows
            with y by at least 1/1000 of the difference in the norm inf, so it takes every value once
    rate    top = 0: the derivative along the field is zero everywhere

and proves it on the box by Bernstein coefficients, after the splits that are stated. Balls: by the triangle inequality,
or by inner products (`gram`) of one run with the one that stays at zero.
"""

from fractions import Fraction
from typing import Any

from . import gram
from .bernstein import Polynomial, nonnegative, plus, polynomial, times
from .core import Ledger, bits_of, check_assumptions, count, line, number, require
from .relation import check_claim

ROOM = Fraction(1, 1000)


def optional(value: Any) -> None:
    if value is not None:
        polynomial(value)


def end(value: Any) -> None:
    if value is not None:
        number(value)


def split(value: Any) -> None:
    """None, or a pair of a variable and a place."""
    if value is not None:
        require(isinstance(value, list) and len(value) == 2, "not a split")
        line(value[0])
        number(value[1])


CASE = {
    "at": count,
    "role": {"step", "flow", "stage", "unique", "rate"},
    "side": {"lower", "upper"},
    "relation": count,
    "entry": line,
    "variables": [{"name": line, "low": end, "high": end, "why": line}],
    "top": polynomial,
    "bottom": polynomial,
    "room": number,
    "bound": polynomial,
    "excess": line,
    "splits": [split],
    "positive": [split],
}
BALL = {
    "radius": number,
    "own": number,
    "terms": [{"factor": number, "size": number, "why": line}],
}
SCHEMA = {
    "implicit": {True, False},
    "shape": {"entries", "rates", "tube", "triangle", "radii", "products", "growth"},
    "boxes": [[{"state": line, "low": end, "high": end}]],
    "relations": [{"text": line, "lower": optional, "upper": optional}],
    "cases": [CASE],
    "balls": [BALL],
    "parts": [gram.PART],
}

NO_EXCESS = "none"


# --- cases -----------------------------------------------------------------------------


def check_case(c: dict[str, Any], ledger: Ledger, bound: Polynomial | None) -> None:
    ranges = {v["name"]: (_end(v["low"]), _end(v["high"])) for v in c["variables"]}
    require(len(ranges) == len(c["variables"]), "a variable stands twice")
    for low, high in ranges.values():
        require(low is None or high is None or low <= high, "an empty range")
    top, bottom, stated = polynomial(c["top"]), polynomial(c["bottom"]), polynomial(c["bound"])
    require(stated == bound, "the bound of a case is not that of its relation")
    for p in (top, bottom, stated):
        require({n for m in p for n, _ in m} <= ranges.keys(), "a variable without a range")
    room = number(c["room"])
    away = plus(ledger, (1, bottom), (-1, {(): room}))
    require(room > 0 and nonnegative(ledger, away, ranges, c["positive"]), "a denominator is not positive")
    sign = 1 if c["side"] == "upper" else -1
    beyond = c["role"] in ("stage", "unique")
    require(beyond == (c["excess"] != NO_EXCESS), "an excess belongs to a stage, and to nothing else")
    require(c["role"] != "rate" or not top, "a derivative that is not zero")
    if c["role"] in ("flow", "rate"):
        gap = plus(ledger, (-sign, top))
    else:
        gap = plus(ledger, (sign, times(ledger, stated, bottom)), (-sign, top))
    if beyond:
        require(ranges.get(c["excess"]) == (Fraction(0), None), "the excess is any positive number")
        excess: Polynomial = {((c["excess"], 1),): 1 - ROOM}
        gap = plus(ledger, (1, gap), (1, times(ledger, excess, bottom)))
    require(nonnegative(ledger, gap, ranges, c["splits"]), f"an inequality fails: {c['role']} {c['side']}")


def _end(value: str | None) -> Fraction | None:
    return None if value is None else number(value)


def check_cases(proof: dict[str, Any], flow: bool, ledger: Ledger) -> None:
    """Every case holds, and on every side of every relation there is one."""
    sides = [{s: None if r[s] is None else polynomial(r[s]) for s in ("lower", "upper")} for r in proof["relations"]]
    ranges: dict[str, tuple[str | None, str | None]] = {}
    covered = set()
    for c in proof["cases"]:
        require(c["relation"] < len(sides), "a case of no relation")
        wanted_role = "rate" if proof["shape"] == "rates" else "flow" if flow else "step"
        beyond = c["role"] in ("stage", "unique")
        require(c["role"] == wanted_role or (beyond and proof["implicit"]), "a wrong role")
        require(c["at"] == 0, "a case of one step alone")
        check_case(c, ledger, {} if c["role"] == "unique" else sides[c["relation"]][c["side"]])
        for v in c["variables"]:
            known = ranges.setdefault(v["name"], (v["low"], v["high"]))
            require(known == (v["low"], v["high"]) or beyond, f"{v['name']} has two ranges")
        if not beyond:
            covered.add((c["relation"], c["side"]))
    wanted = {(k, s) for k, r in enumerate(sides) for s, b in r.items() if b is not None}
    require(wanted == covered, "a side of a relation without a case")


def check_tube(c: dict[str, Any], ledger: Ledger) -> None:
    """Every step takes one box into the next, and the relation holds after it."""
    proof, steps = c["proof"], c["steps"]
    (relation,), boxes = proof["relations"], proof["boxes"]
    require(len(boxes) == steps + 1 and steps >= 1, "not one box for each step")
    names = [side["state"] for side in boxes[0]]
    require(all([side["state"] for side in box] == names for box in boxes), "boxes of different states")
    require(len(set(names)) == len(names), "a state stands twice")
    wanted = {(k, 0, s) for k in range(steps) for s in ("lower", "upper") if relation[s] is not None}
    for k, box in enumerate(boxes[1:]):
        wanted |= {(k, j + 1, s) for j, b in enumerate(box) for s in ("lower", "upper") if _side(b, s) is not None}
    covered = set()
    for case in proof["cases"]:
        k, j, side = case["at"], case["relation"], case["side"]
        require(case["role"] == "step" and k < steps and j <= len(names), "a case of no step")
        value = relation[side] if j == 0 else _side(boxes[k + 1][j - 1], side)
        require(value is not None, "a side without a bound")
        check_case(case, ledger, polynomial(value) if j == 0 else _constant(number(value)))
        for v in case["variables"]:
            if v["name"] in names:
                box = boxes[k][names.index(v["name"])]
                require((v["low"], v["high"]) == (box["low"], box["high"]), "a state is not in its box")
        covered.add((k, j, side))
    require(covered == wanted, "a side without a case")


def _side(box: dict[str, Any], side: str) -> Any:
    return box["low" if side == "lower" else "high"]


# --- balls -----------------------------------------------------------------------------


def check_triangle(proof: dict[str, Any], flow: bool) -> None:
    """The norm of a sum is at most the sum of the norms."""
    (ball,), (relation,) = proof["balls"], proof["relations"]
    radius, own = number(ball["radius"]), number(ball["own"])
    require(relation["lower"] is None and polynomial(relation["upper"]) == _constant(radius), "another radius")
    require(radius > 0, "a ball without a radius")
    sizes = [(number(t["factor"]), number(t["size"])) for t in ball["terms"]]
    require(all(size >= 0 for _, size in sizes), "a negative norm")
    rest = sum((abs(factor) * size for factor, size in sizes), Fraction(0))
    reach = own * radius + rest if flow else abs(own) * radius + rest
    require(reach <= (0 if flow else radius), "the sum of the norms is larger than the radius")


def check_radii(c: dict[str, Any]) -> None:
    """From ball to ball, step by step, none larger than the radius that is claimed."""
    (relation,), balls = c["proof"]["relations"], c["proof"]["balls"]
    require(relation["lower"] is None and len(balls) == c["steps"] >= 1, "not one ball for each step")
    stated = polynomial(relation["upper"])
    require(stated.keys() <= {()}, "a radius that is no number")
    top = stated.get((), Fraction(0))
    radii = [*(number(b["radius"]) for b in balls), top]
    require(all(0 <= r <= top for r in radii), "a ball is larger than the radius")
    for ball, reached in zip(balls, radii[1:], strict=True):
        sizes = [(number(t["factor"]), number(t["size"])) for t in ball["terms"]]
        require(all(size >= 0 for _, size in sizes), "a negative norm")
        reach = abs(number(ball["own"])) * number(ball["radius"])
        require(sum((abs(f) * size for f, size in sizes), reach) <= reached, "a step leads out of the next ball")


def check_growth(c: dict[str, Any]) -> None:
    """The squared norm grows by a factor a step; the last step is within the radius, so all are."""
    proof = c["proof"]
    (relation,), (ball,) = proof["relations"], proof["balls"]
    (part,) = [p for p in proof["parts"] if p["role"] != "solvability"]
    require((part["role"], part["sense"]) == ("step", "upper") and not ball["terms"], "a part of another role")
    require(relation["lower"] is None and number(ball["own"]) == 1, "a side that growth says nothing of")
    stated, start, tau = polynomial(relation["upper"]), number(ball["radius"]), number(part["tau"])
    require(stated.keys() <= {()} and tau >= 1 and start >= 0, "not a growth from a ball")
    require(c["steps"] * bits_of(tau) <= 400_000, "powers too large")
    require(tau ** c["steps"] * start**2 <= stated.get((), Fraction(0)) ** 2, "the norm may grow past the radius")
    require(stated.get((), Fraction(0)) >= 0, "a negative radius")


def _constant(value: Fraction) -> Polynomial:
    return {(): value} if value else {}


def check_products(proof: dict[str, Any], flow: bool) -> None:
    """The squared norm is multiplied by at most, or at least, one; of the flow, its derivative has a sign."""
    (relation,) = proof["relations"]
    parts = [p for p in proof["parts"] if p["role"] != "solvability"]
    wanted = {"upper"} if relation["lower"] is None else {"lower"} if relation["upper"] is None else {"lower", "upper"}
    require({p["sense"] for p in parts} == wanted and len(parts) == len(wanted), "not one part for each side")
    still = Fraction(0 if flow else 1)
    for p in parts:
        require(p["role"] == ("flow" if flow else "step"), "a part of another role")
        tau = number(p["tau"])
        require(tau <= still if p["sense"] == "upper" else tau >= still, "a norm may cross its bound")


# --- the whole -----------------------------------------------------------------------------

DEGREES = "the degree of a node is the sum of the weights of its edges"


def assumptions(shape: str, flow: bool, implicit: bool, degrees: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    always = ["arithmetic is exact", "the constraints on the weights hold", *([DEGREES] if degrees else [])]
    if shape == "rates":
        return [*always, "a step adds multiples of values of the field to a weighted mean of earlier states"]
    if flow:
        return [*always, "the field is locally Lipschitz", "solutions exist"]
    steps = "the stated values are those of every step, for its own weights, inputs and time"
    return [*always, steps, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof = c["proof"]
    flow = check_claim(c)
    shape = proof["shape"]
    require(c["slack"] == "0", "an invariant has no slack")
    by_entries = shape in ("entries", "rates", "tube")
    require(by_entries == bool(proof["cases"]), "cases belong to a proof by entries")
    require((shape == "tube") == bool(proof["boxes"]), "boxes belong to a proof step by step")
    require(not flow or shape not in ("rates", "tube", "radii", "growth"), "a proof about steps")
    require((shape in ("triangle", "radii", "growth")) == bool(proof["balls"]), "balls belong to a proof of norms")
    require(not (flow and proof["implicit"]), "a flow has no equations to solve")
    solvable = [p for p in proof["parts"] if p["role"] == "solvability"]
    require(all(p["sense"] == "upper" for p in solvable), "solvability is an upper bound")
    once = {case["side"] for case in proof["cases"] if case["role"] == "unique"}
    shown = bool(solvable) or once == {"lower", "upper"}
    require(shown == proof["implicit"], "an implicit step, and no other, needs a proof that it can be solved")
    require(shape in ("products", "growth") or len(solvable) == len(proof["parts"]), "a part that is used for nothing")
    for part in proof["parts"]:
        gram.Part(part, ledger).check()
    if shape == "tube":
        check_tube(c, ledger)
    elif by_entries:
        check_cases(proof, flow, ledger)
    elif shape == "triangle":
        check_triangle(proof, flow)
    elif shape == "radii":
        check_radii(c)
    elif shape == "growth":
        check_growth(c)
    else:
        check_products(proof, flow)
    names = {v["name"] for case in proof["cases"] for v in case["variables"]}
    check_assumptions(c, assumptions(shape, flow, proof["implicit"], any(n.startswith("degree in ") for n in names)))
    return _show(proof, flow)


def _show(proof: dict[str, Any], flow: bool) -> list[str]:
    when = "on its boundary the field does not point outwards" if flow else "each step keeps it"
    lines = [f"{r['text']}: {when}" for r in proof["relations"]]
    for c in proof["cases"]:
        value = _written(polynomial(c["top"]))
        value += "" if polynomial(c["bottom"]) == {(): 1} else f" over {_written(polynomial(c['bottom']))}"
        lines.append(f"{c['role']}, {c['side']} side {_written(polynomial(c['bound']))}: {value}")
        lines += [f"  {v['name']} in {_range(v)} ({v['why']})" for v in c["variables"]]
    for ball in proof["balls"]:
        lines.append(f"{ball['own']} times the state, of norm {ball['radius']}")
        lines += [
            f"  plus {t['factor']} times a vector of norm at most {t['size']} ({t['why']})" for t in ball["terms"]
        ]
    return lines + [gram.show(p) for p in proof["parts"]]


def _written(p: Polynomial) -> str:
    terms = [" * ".join([str(c), *(n if k == 1 else f"{n}^{k}" for n, k in m)]) for m, c in sorted(p.items())]
    return " + ".join(terms) or "0"


def _range(variable: dict[str, Any]) -> str:
    low, high = variable["low"], variable["high"]
    return f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
