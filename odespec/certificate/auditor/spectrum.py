"""Proofs about eigenvalues: `stable` and `stable of flow`.

The linearised field falls into components (its blocks on the diagonal when the states are put in order). A component is a
small matrix C(k) whose entries are polynomials in one operator K; an eigenvalue k of K makes it a matrix of numbers, and
the linearised step has the eigenvalues that the method has on C(k). Where K's eigenvalues lie follows from bounds of inner
products, each proved by a part as in `gram`:

    re in [low, high]     low <z, z> <= <z, B z> <= high <z, z>
    |im| <= size          |(B - B') z / 2|^2 <= size^2 |z|^2;   0 for a symmetric B, and low = high = 0 for a skew one
    disc(c, r)            |B z - c z|^2 <= r^2 |z|^2
    sums                  |k| <= the norm 1, or inf, of B, at most the sum of the products of its factors' norms

and K = shift + B, or K = shift + D B with a positive semidefinite D whose eigenvalues lie in [a, b]: those of D B are those
of ``D^(1/2) B D^(1/2)``, numbers ``s w`` with s in [a, b] and w in the numerical range of B. This file forms the region and
the characteristic polynomial of the step, and shows that its roots stay in the closed unit disc (see `rootset`). The flow is
asked by the trapezoidal rule with step 2, whose stability region is the closed left half plane. Exponential Euler with a linear
part ``a x`` is Euler's method with another step. A step that expands no distance, by one part of kind
`gram`, has no larger eigenvalue either.
"""

import re
from fractions import Fraction
from typing import Any

from .characteristic import characteristic, surd
from .core import AuditError, Ledger, check_assumptions, conform, count, line, number, require
from .gram import PART, Part
from .regions import BOUNDS, bound, polygon, rectangle, region, sum_of_norms
from .rootset import Region, inside
from .surds import ZERO


def end(value: Any) -> None:
    """A bound that a part proves, or none."""
    if value is not None:
        require(isinstance(value, dict) and value.keys() == {"part", "number"}, "not a bound")
        count(value["part"])
        number(value["number"])


def interval_end(value: Any) -> None:
    if value is not None:
        number(value)


def sums(value: Any) -> None:
    if value is not None:
        conform(value, {"p": {"1", "inf"}, "words": [(number, [number])]}, "sums")


OPERATOR = {
    "name": line,
    "kind": {"symmetric", "skew", "any"},
    "low": end,
    "high": end,
    "size": end,
    "disc": end,
    "sums": sums,
    "centre": number,
    "factor": [interval_end],
    "shift": number,
}


def second(value: Any) -> None:
    if value is not None:
        conform(value, {"factor": number, "operator": OPERATOR}, "damping")


SCHEMA = {
    "scheme": {
        "family": {"runge-kutta", "multistep", "partitioned", "imex", "map", "flow", "exponential", "other"},
        "h": number,
        "A": [[surd]],
        "b": [surd],
        "alpha": [number],
        "beta": [number],
        "substeps": [({"kick", "drift"}, surd)],
    },
    "implicit": {True, False},
    "rounded": {True, False},
    "solvable": [count],
    "contraction": [count],
    "components": [
        {
            "states": [line],
            "roles": [{"position", "momentum", "state"}],
            "matrix": [[[number]]],
            "linear": [[[number]]],
            "operator": OPERATOR,
            "damping": second,
        }
    ],
    "parts": [PART],
}


# --- the whole -----------------------------------------------------------------------------


CLAIM = re.compile(r"stable(?:of(map|flow))?")


def subject(claim: str) -> str:
    match = CLAIM.fullmatch(re.sub(r"\s", "", claim[:2000]))
    if match is None:
        raise AuditError("not a claim that this file can check")
    return match[1] or "map"


def assumptions(family: str) -> list[str]:
    """What every proof of this kind takes for granted."""
    linear = "the linearised field has the stated components, for frozen slopes in their intervals"
    always = ["arithmetic is exact", "the constraints on the weights hold", linear]
    return always if family == "flow" else [*always, "the equations of an implicit step are solved exactly"]


NOTES = (
    "a multiple eigenvalue on the boundary may still let runs grow",
    "`stable` is about frozen slopes: it does not imply `nonexpansive`",
)


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof = c["proof"]
    scheme, parts, components = proof["scheme"], proof["parts"], proof["components"]
    asked, resolved = subject(c["claim"]["text"]), subject(c["claim"]["resolved"])
    require(asked == resolved and (asked == "flow") == (scheme["family"] == "flow"), "the claim is another one")
    for part in parts:
        Part(part, ledger).check()
    require(not (proof["rounded"] and proof["contraction"]), "a rounded step")
    require(bool(components) != bool(proof["contraction"]), "either components, or a step that expands no distance")
    for k in proof["contraction"]:
        _check_contraction(parts[k], scheme["family"] == "flow")
    require(scheme["family"] != "other" or not components, "a method without a stability function")
    for component in components:
        _check_component(scheme, component, parts, proof["rounded"], ledger)
    for k in proof["solvable"]:
        require((parts[k]["role"], parts[k]["sense"]) == ("solvability", "upper"), "a part of another role")
    shown = proof["solvable"] or (components and not _coupled(scheme))
    require(shown or not proof["implicit"], "coupled stages need a proof that they can be solved")
    other = scheme["family"] == "other"
    require(other or proof["implicit"] == _implicit(scheme), "whether the step is implicit is not as the scheme says")
    _check_step(c, scheme)
    check_assumptions(c, assumptions(scheme["family"]))
    lines = [_show(x, scheme) for x in components]
    if proof["contraction"]:
        lines.append("the linearised step expands no distance (of a flow: <z, J z> <= 0): no eigenvalue does more")
    return [*lines, *NOTES]


def _check_contraction(part: dict[str, Any], flow: bool) -> None:
    role, most = ("flow", 0) if flow else ("step", 1)
    require((part["role"], part["sense"]) == (role, "upper") and number(part["tau"]) <= most, "the step may expand")


def with_zero(where: Region) -> Region:
    """The convex hull of a bounded region and zero: it has the region of every smaller step in it."""
    if where.disc is not None:
        require(abs(where.disc[0]) <= where.disc[1], "a disc without zero")
        return where
    require(where.bounded, "an unbounded region")
    ends = [p for (x, y), (u, v), _ in where.edges for p in ((x, y), (x + u, y + v))]
    return polygon([(ZERO, ZERO), *ends, *((x, -y) for x, y in ends)])


def _check_component(
    scheme: dict[str, Any], component: dict[str, Any], parts: list[Any], rounded: bool, ledger: Ledger
) -> None:
    n = len(component["matrix"])
    require(
        1 <= n == len(component["roles"]) and all(len(row) == n for row in component["matrix"]), "not a square matrix"
    )
    partitioned = scheme["family"] == "partitioned"
    require(all((role != "state") == partitioned for role in component["roles"]), "a state without its role")
    if component["damping"] is not None:
        require(not rounded, "a rounded step")
        _check_edges(scheme, component, parts, ledger)
        return
    family = characteristic(scheme, component, ledger)
    if all(len(p) <= 1 for p in family):  # no parameter: any region will do
        where = rectangle(ZERO, ZERO, ZERO)
    else:
        where = region(component["operator"], parts)
    if rounded:  # the step is a little smaller than stated
        require(
            component["matrix"] == [[["0", "1"]]] and scheme["family"] not in ("flow", "map", "imex"), "a rounded step"
        )
        where = with_zero(where)
    require(inside(family, where, ledger), f"{', '.join(component['states'])}: an eigenvalue may leave the region")


def _check_edges(scheme: dict[str, Any], component: dict[str, Any], parts: list[Any], ledger: Ledger) -> None:
    """A component ``[[a, c], [k, d]]`` in which k and d are quotients of two symmetric operators, anywhere in two intervals.

    An eigenvector's first part x gives them: k = <x, K x> / <x, x>, and so d. The characteristic polynomial is affine in
    both, so that the boundary of the set of its roots belongs to the four edges of the rectangle (Bartlett, Hollot & Huang
    1988): on it, hence everywhere, they are within the disc. Of an explicit Runge-Kutta method the same holds of the
    eigenvalues of the field, of which R is a polynomial.
    """
    (a, b), (k, d) = component["matrix"]
    require(len(a) <= 1 and len(b) == 1 and number(b[0]) != 0 and len(k) == 2 and len(d) <= 1, "not of second order")
    explicit = scheme["family"] == "runge-kutta" and not _implicit(scheme)
    two = scheme["family"] == "partitioned" and len(scheme["substeps"]) == 2
    affine = two or scheme["family"] in ("flow", "multistep", "map")
    require(explicit or affine, "not a method whose polynomial is affine")
    factor = number(component["damping"]["factor"])
    first, other = (_ends(o, parts) for o in (component["operator"], component["damping"]["operator"]))
    damping = [(number(d[0]) if d else ZERO) + factor * end for end in other]
    stiffness = [number(k[0]) + number(k[1]) * end for end in first]
    for end in damping:
        _check_edge(scheme, component, [a, b, k, [str(end)]], first, ledger)
    for end in stiffness:
        _check_edge(scheme, component, [a, b, [str(end)], ["0", "1"]], sorted(damping), ledger)


def edges_allowed(scheme: dict[str, Any], component: dict[str, Any], parts: list[Any]) -> bool:
    """Whether a component with damping is accepted."""
    try:
        _check_edges(scheme, component, parts, Ledger())
    except AuditError:
        return False
    return True


def _ends(operator: dict[str, Any], parts: list[Any]) -> list[Fraction]:
    """The ends of the eigenvalues of a symmetric operator."""
    require(operator["kind"] == "symmetric" and not operator["factor"] and operator["sums"] is None, "not symmetric")
    require(operator["disc"] is None, "not an interval")
    ends = [bound(operator[name], parts, "flow", sense) for name, sense in (("low", "lower"), ("high", "upper"))]
    require(None not in ends, "not an interval")
    return [e + number(operator["shift"]) for e in ends if e is not None]


def _check_edge(
    scheme: dict[str, Any], component: dict[str, Any], entries: list[Any], ends: list[Fraction], ledger: Ledger
) -> None:
    family = characteristic(scheme, {**component, "matrix": [entries[:2], entries[2:]]}, ledger)
    edge = rectangle(ends[0], ends[1], ZERO)
    require(inside(family, edge, ledger), f"{', '.join(component['states'])}: an eigenvalue may leave the region")


def _check_step(c: dict[str, Any], scheme: dict[str, Any]) -> None:
    h, steps, time = number(scheme["h"]), c["steps"], number(c["time"])
    require(steps >= 1 and h > 0, "no step")
    require(scheme["family"] == "flow" or h * steps == time, "the step is not that of the time and the steps")


def _implicit(scheme: dict[str, Any]) -> bool:
    if scheme["family"] == "runge-kutta":
        return any(surd(a) != 0 for i, row in enumerate(scheme["A"]) for a in row[i:])
    return scheme["family"] == "imex" or (scheme["family"] == "multistep" and number(scheme["beta"][-1]) != 0)


def _coupled(scheme: dict[str, Any]) -> bool:
    """Stages that depend on each other need more than invertible ``1 - h a K`` for one K."""
    return scheme["family"] == "runge-kutta" and any(
        surd(a) != 0 for i, row in enumerate(scheme["A"]) for a in row[i + 1 :]
    )


def _show(component: dict[str, Any], scheme: dict[str, Any]) -> str:
    flow = scheme["family"] == "flow"
    goal = "no eigenvalue has a positive real part" if flow else "no eigenvalue of the step exceeds 1 in modulus"
    rows = "; ".join(", ".join(_polynomial(p) for p in row) for row in component["matrix"])
    shown = f"{', '.join(component['states'])}: {goal}, as the field has the eigenvalues of [{rows}]"
    if component["operator"]["name"] != "none":
        shown += f" for the eigenvalues k of {_operator(component['operator'])}"
    if component["damping"] is not None:
        shown += f", with the last entry plus a quotient of {_operator(component['damping']['operator'])}"
    return shown


def _polynomial(p: list[str]) -> str:
    powers = ("", " k", *(f" k^{i}" for i in range(2, len(p))))
    return " + ".join(f"{c}{power}" for c, power in zip(p, powers, strict=False) if c != "0") or "0"


def _operator(o: dict[str, Any]) -> str:
    """``-1/2 + D B, B = S (skew), size 2, D in [0, 1]``."""
    bounds = [f"{name} {o[name]['number']}" for name, _, _ in BOUNDS if o[name] is not None]
    if o["sums"] is not None:
        bounds.append(f"norm {o['sums']['p']} at most {sum_of_norms(o['sums']['words'])}")
    shift = "" if o["shift"] == "0" else f"{o['shift']} + "
    kind = "" if o["kind"] == "any" else f", {o['kind']}"
    factor = f"; D with eigenvalues in [{', '.join(map(str, o['factor']))}]" if o["factor"] else ""
    return f"{shift}{'D B' if factor else 'B'} with B = {o['name']}{kind} ({', '.join(bounds) or 'no bound'}){factor}"
