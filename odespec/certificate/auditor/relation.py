"""The claim ``invariant R``: what it bounds and by what, and whether a stated relation is its."""

import re
from fractions import Fraction
from typing import Any

from .bernstein import Polynomial, polynomial
from .core import LITERAL, AuditError, number, plain, require


def asked(claim: str) -> tuple[str, str, list[str], bool]:
    """The subject, the operator, the ends and whether it is of the flow, of ``invariant R``; without blanks."""
    plain_text = re.sub(r"\s", "", claim[:4000])
    require(plain_text.startswith("invariant"), "not a claim that this file can check")
    body, flow = plain_text[len("invariant") :], plain_text.endswith("offlow")
    body = body[: -len("offlow")] if flow else body.removesuffix("ofmap")
    depth, found = 0, []
    for k, sign in enumerate(body):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0:
            found += [(k, o) for o in ("<=", ">=", "==") if body.startswith(o, k)]
    if found:
        require(len(found) == 1, "not one relation")
        ((k, operator),) = found
        return body[:k], operator, [body[k + 2 :]], flow
    match = re.fullmatch(r"(.+)in\[(.*)\]", body)
    require(match, "not a relation")
    assert match is not None
    return match[1], "in", _pair(match[2]), flow


def _pair(inner: str) -> list[str]:
    depth = 0
    for k, sign in enumerate(inner):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0 and sign == ",":
            return [inner[:k], inner[k + 1 :]]
    raise AuditError("not an interval")


NUMBER = rf"{LITERAL}|sqrt\({LITERAL}\)"


def square(written: str) -> Fraction:
    return plain(written[5:-1]) if written.startswith("sqrt(") else plain(written) * abs(plain(written))


def check_claim(c: dict[str, Any]) -> bool:
    """The resolved claim is the claim of the spec, and the first relation is its; whether it is of the flow."""
    require(c["proof"]["relations"], "no relation")
    subject, operator, ends, flow = asked(c["claim"]["text"])
    resolved = asked(c["claim"]["resolved"])
    require(
        (subject, operator, flow) == (resolved[0], resolved[1], resolved[3]), "the claim was resolved to another one"
    )
    for written, value in zip(ends, resolved[2], strict=True):
        if re.fullmatch(NUMBER, written):
            require(re.fullmatch(NUMBER, value) and square(written) == square(value), "resolved to other numbers")
        else:
            require(re.fullmatch(NUMBER, value) or value == written, "resolved to other bounds")
    first = c["proof"]["relations"][0]
    require("invariant " + first["text"] + (" of flow" if flow else "") == c["claim"]["resolved"], "another relation")
    ends_of = {"in": (0, -1), "==": (0, 0), "<=": (None, 0), ">=": (0, None)}
    low, high = (None if k is None else resolved[2][k] for k in ends_of[operator])
    ranges = {v["name"]: v for case in c["proof"]["cases"] for v in case["variables"]}
    whole = subject.startswith("norm(") and subject.endswith(",inf)") and bool(c["proof"]["cases"])
    for bound, stated in ((low, first["lower"]), (high, first["upper"])):
        if bound is not None:
            require(stated is not None, "a side of the claim is left out")
            check_bound(bound, polynomial(stated), ranges)
    if whole and high is not None:
        require(first["lower"] is not None and low is None, "a norm bounds an entry on both sides")
        mirrored = {m: -v for m, v in polynomial(first["upper"]).items()}
        require(polynomial(first["lower"]) == mirrored, "a norm bounds an entry on both sides")
    require(whole or low is not None or first["lower"] is None, "a side that is not claimed")
    require(high is not None or first["upper"] is None, "a side that is not claimed")
    return flow


def check_bound(written: str, stated: Polynomial, ranges: dict[str, Any]) -> None:
    """A number is stated as itself, or as a variable whose range it lies in; what is no number has a variable."""
    names = {n for m in stated for n, _ in m}
    if not re.fullmatch(NUMBER, written):
        require(names, "a bound that is no number is stated as one")
    elif not names:
        value = stated.get((), Fraction(0))
        require(value * abs(value) == square(written), "another bound")
    else:
        (name,) = names
        require(stated == {((name, 1),): 1}, "another bound")
        low, high = (number(ranges[name][k]) for k in ("low", "high"))
        require(low * abs(low) <= square(written) <= high * abs(high), "another bound")
