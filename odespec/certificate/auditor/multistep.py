"""Proofs about multistep methods: all steps at once, or a quadratic form over the states and what is remembered.

A certificate of this kind bounds the distance after all steps by that at the start in one of two ways: by one part of the
kind `gram` that speaks of all steps together (``whole``), or by a form V as in the kind `lyapunov`, where

    above   tau |e|^2 - V           once the first steps (``begin``) are done, e the difference at the very start
    step    tau V(before) - V(after)    over each later step
    below   tau V - |e|^2               e the difference of the states, without what is remembered

Equations of implicit steps, of the first ones and of the later ones, have to be shown uniquely solvable.
"""

from fractions import Fraction
from typing import Any

from . import gram, lyapunov
from .core import Ledger, check_assumptions, count, line, number, plain, require

SCHEMA = {
    "begin": count,
    "coordinates": {True, False},
    "implicit": {"begin": {True, False}, "later": {True, False}},
    "whole": [gram.PART],
    "form": [(line, line, number)],
    "parts": [lyapunov.STATED],
    "solvability": {str: gram.PART},
    "conclusion": [{"kind": line, "number": line, "by": {"whole", "form", "nothing"}}],
}
KINDS = {"lipschitz", "contractive", "lower"}


def bound(c: dict[str, Any], kind: str, written: str, taus: list[tuple[Fraction, int]]) -> str:
    """Check factors of the squared distance against the number of the claim; return it in words."""
    upper, rated = kind != "lower", kind == "contractive"
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), gram.squared(written))
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    time = number(c["time"])
    require(time > 0 and c["steps"] >= 1, "there is no time")
    require(all(t >= 0 for t, _ in taus), "a negative squared ratio")
    require(gram.compare(taus, 2 * rate * time, limit, upper), "the bounds do not give the claim")
    powers = " * ".join(f"({t})^{n}" for t, n in taus)
    end = f"exp(-{written} * {c['time']})" if rated else written
    end += f" (1 {'+' if upper else '-'} {c['slack']})" if c["slack"] != "0" else ""
    sign = "<=" if upper else ">="
    return f"over {c['steps']} steps squared distances change by a factor of {powers}, which is {sign} ({end})^2"


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str]) -> str:
    """Check one inequality of the claim; return it in words."""
    proof, kind = c["proof"], stated["kind"]
    require((kind, stated["number"]) == goal and kind in KINDS, "the conclusion is not what the claim asks for")
    if stated["by"] == "nothing":
        require(kind == "lower" and gram.squared(stated["number"]) <= 0, "a bound without a proof")
        return f"a distance is never negative, so it is at least {stated['number']} times what it was"
    if stated["by"] == "whole":
        sense = "lower" if kind == "lower" else "upper"
        parts = [p for p in proof["whole"] if p["sense"] == sense]
        require(len(parts) == 1 and parts[0]["role"] == "step", "not one part that speaks of all steps")
        return bound(c, kind, stated["number"], [(number(parts[0]["tau"]), 1)])
    require(kind != "lower", "a form bounds growth only")
    taus = {p["role"]: number(p["tau"]) for p in proof["parts"]}
    require(taus.keys() == {"step", "below", "above"} and c["steps"] >= proof["begin"], "not the parts that it needs")
    powers = [(taus["above"], 1), (taus["step"], c["steps"] - proof["begin"]), (taus["below"], 1)]
    return bound(c, kind, stated["number"], powers)


def assumptions(implicit: bool, form: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    return [*gram.assumptions(False, implicit), *([lyapunov.ASSUMED] if form else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, goals = c["proof"], gram.check_claim(c)
    for part in (*proof["whole"], *proof["solvability"].values()):
        gram.Part(part, ledger).check()
    _check_form(proof, ledger)
    require(len(proof["conclusion"]) == len(goals), "the conclusion is not what the claim asks for")
    lines = [conclude(c, stated, goal) for stated, goal in zip(proof["conclusion"], goals, strict=True)]
    used = [s["by"] for s in proof["conclusion"]]
    require(used.count("whole") == len(proof["whole"]), "a part that is used for nothing")
    require(("form" in used) == bool(proof["parts"]) == bool(proof["form"]), "a form that is used for nothing")
    needed = {name for name, implicit in proof["implicit"].items() if implicit}
    roles = {(p["role"], p["sense"]) for p in proof["solvability"].values()}
    require(
        proof["solvability"].keys() == needed, "implicit steps, and no others, need a proof that they can be solved"
    )
    require(roles <= {("solvability", "upper")}, "a part of another role")
    check_assumptions(c, assumptions(bool(needed), "form" in used))
    lines += [f"the equations of the {name} steps have exactly one solution" for name in sorted(needed)]
    lines += [f"V = {gram.combination(proof['form'])}"] if proof["form"] else []
    shown = [gram.show(p) for p in (*proof["whole"], *proof["solvability"].values())]
    return [*lines, *(lyapunov.show(p) for p in proof["parts"]), *shown]


def _check_form(proof: dict[str, Any], ledger: Ledger) -> None:
    form, roles = proof["form"], [p["role"] for p in proof["parts"]]
    require(len({tuple(sorted(p[:2])) for p in form}) == len(form), "a product stands twice in the form")
    require(len(set(roles)) == len(roles) and "flow" not in roles, "a part stands twice, or speaks of a flow")
    for part in proof["parts"]:
        lyapunov.Part(part, form, ledger).check()
