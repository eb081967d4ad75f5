"""Proofs that a scalar V of the states is constant, or never grows.

Each part is an inequality between inner products of vectors of one run of the network, proved as in `gram`: the
numerator is at most zero (``upper``) or at least zero (``lower``) for all vectors that obey the stated relations. Its role
says what the numerator is:

``rate``    the derivative of V along the flow, ``<grad V, f>``, at any state, time, input and weights
``change``  V after a step minus V before it
``drift``   V minus V before the first state was moved by any multiple of its field; ``kick``: the second one
``shape``   the quadratic part of V

With ``constant`` V is shown to be constant; then it does not grow either.
With ``monotone``, V in these words is a scalar with which the V of the claim grows strictly.

Rates give the claim of the flow; changes, or drifts and kicks where a step is made of these, that of a step.
A Runge-Kutta step changes a quadratic V(x) = <x, Q x> + <c, x> by

    sum_i h b_i <grad V(Y_i), f_i> - h^2 sum_ij M_ij <f_i, Q f_j>,   M_ij = b_i a_ij + b_j a_ji - b_i b_j

(Burrage & Butcher 1979; Cooper 1987), so rates give the claim of a step where M and b allow it. This file computes M,
in the field of the numbers ``p + q sqrt(root)``. Of an affine V it is Q = 0 (``degree`` 1), and M does not matter.
"""

import re
from fractions import Fraction
from math import isqrt
from typing import Any

from . import gram
from .core import Ledger, bits_of, check_assumptions, count, line, number, require

RULES = {"potential": ({"o", "y", "s", "w"}, {"a", "k"})}
RELATION = {**gram.RELATION, "rule": {*gram.RULES, *RULES}}
PART = {
    "role": {"rate", "change", "drift", "kick", "shape"},
    "sense": {"upper", "lower"},
    "basis": [{"name": line, "space": count}],
    "numerator": [(line, line, number)],
    "relations": [RELATION],
}
SURD = (number, number)
SCHEMA = {
    "implicit": {"begin": {True, False}, "later": {True, False}},
    "constant": {True, False},
    "monotone": {True, False},
    "composed": {True, False},
    "parts": [PART],
    "solvability": {str: gram.PART},
    "multistep": [{"alpha": [number], "beta": [number]}],
    "tableau": [{"degree": {1, 2}, "root": count, "A": [[SURD]], "b": [SURD]}],
}
SYSTEMS = ("begin", "later")
"""Equations to be solved in the first steps of a multistep method, and in all others."""

MAX_STAGES, MAX_POINTS, MAX_BITS = 20, 40, 400


# --- the inequalities --------------------------------------------------------------------


class Part(gram.Part):
    """One inequality."""

    def check(self) -> None:
        """The numerator, with its sign, is a combination of the relations minus a sum of squares."""
        slack: gram.Form = {}
        self.add(slack, Fraction(-1 if self.part["sense"] == "upper" else 1), self.form(self.part["numerator"]))
        for relation in self.part["relations"]:
            self.subtract(slack, relation)
        mixed = [c for (a, b), c in slack.items() if self.space[a] != self.space[b]]
        require(not any(mixed), "an inner product of vectors of different spaces")
        require(self.ledger.is_psd(self.matrix(slack)), "the slack is not positive semidefinite")

    def constraints(self, relation: dict[str, Any]) -> tuple[str, list[list[list[gram.Form]]]]:
        """As in `gram`, and values of a function at points between which its curvature is known."""
        if relation["rule"] not in RULES:
            return super().constraints(relation)
        names, wanted = RULES[relation["rule"]]
        require(
            relation["vectors"].keys() == names and relation["numbers"].keys() == wanted, "potential lacks its data"
        )
        v = {name: [self.vector(x) for x in vectors] for name, vectors in relation["vectors"].items()}
        a, k = number(relation["numbers"]["a"]), number(relation["numbers"]["k"])
        points = len(v["y"])
        require(len(v["o"]) == 1 and len(v["s"]) == len(v["w"]) == points <= MAX_POINTS and k >= 0, "no such potential")
        pairs = [(i, j) for i in range(points) for j in range(points) if i != j]
        forms = [self.interpolation(v, i, j, a, k) for i, j in pairs]
        return "psd", [[[f]] for f in forms if any(f.values())]

    def interpolation(self, v: dict[str, list[gram.Vector]], i: int, j: int, a: Fraction, k: Fraction) -> gram.Form:
        """``F(y_i) - F(y_j) - <s_j, d> - a/2 |d|^2 - k/2 |s_i - s_j - a d|^2`` with d = y_i - y_j, where F(y) = <o, w>."""
        d = combined((1, v["y"][i]), (-1, v["y"][j]))
        bent = combined((1, v["s"][i]), (-1, v["s"][j]), (-a, d))
        values = combined((1, v["w"][i]), (-1, v["w"][j]))
        return self.inner((1, v["o"][0], values), (-1, v["s"][j], d), (-a / 2, d, d), (-k / 2, bent, bent))


def combined(*parts: tuple[int | Fraction, gram.Vector]) -> gram.Vector:
    total: gram.Vector = {}
    for scale, vector in parts:
        for name, c in vector.items():
            total[name] = total.get(name, Fraction(0)) + scale * c
    return {name: c for name, c in total.items() if c}


# --- the tableau ---------------------------------------------------------------------------


class Number:
    """``p + q sqrt(root)``, exactly."""

    def __init__(self, p: Fraction, q: Fraction, root: int) -> None:
        self.p, self.q, self.root = p, q, root

    def __add__(self, other: "Number") -> "Number":
        return Number(self.p + other.p, self.q + other.q, self.root)

    def __sub__(self, other: "Number") -> "Number":
        return Number(self.p - other.p, self.q - other.q, self.root)

    def __mul__(self, other: "Number") -> "Number":
        p = self.p * other.p + self.q * other.q * self.root
        return Number(p, self.p * other.q + self.q * other.p, self.root)

    def __truediv__(self, other: "Number") -> "Number":
        norm = other.p**2 - other.q**2 * self.root
        return self * Number(other.p / norm, -other.q / norm, self.root)

    def sign(self) -> int:
        """-1, 0 or 1; where the parts have different signs the larger one decides."""
        first, second = ((x > 0) - (x < 0) for x in (self.p, self.q))
        if first == second or first == 0:
            return second
        return first if self.p**2 > self.q**2 * self.root else second


def is_psd(m: list[list[Number]]) -> bool:
    """As `Ledger.is_psd`, in the field of these numbers."""
    m = [list(row) for row in m]
    for k, top in enumerate(m):
        if top[k].sign() < 0 or (top[k].sign() == 0 and any(x.sign() for x in top[k + 1 :])):
            return False
        for i in range(k + 1, len(m)) if top[k].sign() else ():
            for j in range(i, len(m)):
                m[i][j] = m[i][j] - top[i] * top[j] / top[k]
    return True


class Tableau:
    """A Runge-Kutta method and its matrix M."""

    def __init__(self, stated: dict[str, Any], ledger: Ledger) -> None:
        self.degree, self.root, size = stated["degree"], stated["root"], len(stated["b"])
        require(0 < size <= MAX_STAGES, "a method without stages, or with too many")
        require(len(stated["A"]) == size and all(len(r) == size for r in stated["A"]), "A is not square")
        require(isqrt(self.root) ** 2 != self.root or self.root == 0, "the root of a square")
        ledger.charge(size**3)
        a = [[self.entry(x, ledger) for x in row] for row in stated["A"]]
        b, stages = [self.entry(x, ledger) for x in stated["b"]], range(size)
        self.b = b
        self.matrix = [[b[i] * a[i][j] + b[j] * a[j][i] - b[i] * b[j] for j in stages] for i in stages]

    def entry(self, pair: list[str], ledger: Ledger) -> Number:
        p, q = (ledger.spend(number(x)) for x in pair)
        require(q == 0 or self.root > 1, "an entry outside the field")
        require(max(map(bits_of, (p, q))) <= MAX_BITS, "an entry grows too long for an honest certificate")
        return Number(p, q, self.root)

    def exact(self) -> bool:
        """M is zero."""
        return not any(x.sign() for row in self.matrix for x in row)

    def positive(self) -> bool:
        """The weights are not negative."""
        return all(x.sign() >= 0 for x in self.b)

    def stable(self) -> bool:
        """M is positive semidefinite."""
        return is_psd(self.matrix)


# --- the whole -----------------------------------------------------------------------------


CLAIM = r"(conserves|dissipates)\((.*)\)\s*((?:of\s+(?:map|flow))?)"


def read_claim(written: str) -> tuple[str, str, bool]:
    """Whether V is constant or never grows, V as it is written, whether it is asked of the flow."""
    match = re.fullmatch(CLAIM, written[:4000].strip(), flags=re.DOTALL)
    require(match, "not a claim that this file can check")
    assert match is not None
    return match[1], re.sub(r"\s", "", match[2]), match[3].endswith("flow")


def assumptions(
    *, flow: bool, implicit: bool, degree: int, monotone: bool, composed: bool, multistep: bool
) -> list[str]:
    """What every proof of this kind takes for granted."""
    lines = ["arithmetic is exact", "the constraints on the weights hold"]
    lines += ["the scalar of the claim is a strictly increasing function of the V that is stated"] if monotone else []
    if flow:
        return [*lines, "the relations hold at all times", "solutions exist"]
    lines.append("the relations hold in every step, for its own weights, inputs and time")
    lines += ["the step is made of drifts and kicks"] if composed else []
    if degree:
        method = "stated multistep method, begun by a Runge-Kutta" if multistep else "stated Runge-Kutta"
        lines.append(f"the step is one of the {method} method, and V is a polynomial of degree {degree} at most")
    return [*lines, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, (name, scalar, flow) = c["proof"], read_claim(c["claim"]["resolved"])
    require(read_claim(c["claim"]["text"]) == (name, scalar, flow), "the claim was resolved to another one")
    require(number(c["slack"]) == 0, "such a claim has no slack")
    for part in proof["parts"]:
        Part(part, ledger).check()
    solvable(proof, flow, ledger)
    tableaux, steps, composed = proof["tableau"], proof["multistep"], proof["composed"]
    require(len(tableaux) + len(steps) + composed <= (not flow), "a method that is used for nothing")
    roles = ("rate",) if flow or tableaux or steps else SUBSTEPS if composed else ("change",)
    constant = proof["constant"]
    require(constant or name == "dissipates", "a scalar that may fall is not constant")
    needed = [(r, s) for r in roles for s in ("upper", "lower")[: 1 + constant]]
    lines = [_method(Tableau(t, ledger), constant, needed) for t in tableaux] + [_multistep(m, constant) for m in steps]
    given = [(p["role"], p["sense"]) for p in proof["parts"]]
    require(sorted(given) == sorted(needed), "the parts are not those that the claim needs")
    taken = assumptions(
        flow=flow,
        implicit=bool(proof["solvability"]),
        degree=tableaux[0]["degree"] if tableaux else len(steps),
        monotone=proof["monotone"],
        composed=composed,
        multistep=bool(steps),
    )
    check_assumptions(c, taken)
    lines += ["the equations of a step have exactly one solution"] if proof["solvability"] else []
    return [*lines, *map(_show, proof["parts"]), *map(gram.show, proof["solvability"].values())]


def solvable(proof: dict[str, Any], flow: bool, ledger: Ledger) -> None:
    """Every system of equations that an implicit step has is shown to have exactly one solution."""
    for part in proof["solvability"].values():
        require((part["role"], part["sense"]) == ("solvability", "upper"), "a part of another role")
        gram.Part(part, ledger).check()
    wanted = {s for s in SYSTEMS if proof["implicit"][s]}
    require(proof["solvability"].keys() == (set() if flow else wanted), "whether a step can be solved is not shown")


def _multistep(method: dict[str, Any], constant: bool) -> str:
    """An affine V with rate zero: ``sum_j alpha_j V(x_{n+j}) = 0`` for its linear part, so V stays where it was."""
    alpha = [number(x) for x in method["alpha"]]
    require(constant, "a multistep method may make a falling V grow")
    require(2 <= len(alpha) <= MAX_STAGES and alpha[-1] != 0 and sum(alpha) == 0, "not a consistent multistep method")
    return "the coefficients sum to zero, so an affine V that all earlier steps kept is kept by the next one"


def _method(tableau: Tableau, constant: bool, needed: list[tuple[str, str]]) -> str:
    """Why rates give the change over a step; where the shape of V matters it is needed as a part."""
    if tableau.degree == 1 and (constant or tableau.positive()):
        return "a step changes an affine V by the rates at its stages, times h b_i, alone"
    if tableau.exact() and (constant or tableau.positive()):
        return "b_i a_ij + b_j a_ji = b_i b_j, so a step changes a quadratic V by the rates at its stages alone"
    require(not constant and tableau.positive() and tableau.stable(), "the method does not carry rates over")
    needed.append(("shape", "lower"))
    return "b and the matrix of b_i a_ij + b_j a_ji - b_i b_j are not negative, so a step adds nothing to the rates"


SUBSTEPS = ("drift", "kick")
WORDS = {
    "rate": "the rate of V along the flow",
    "change": "the change of V over a step",
    "drift": "the change of V over a drift of any size",
    "kick": "the change of V over a kick of any size",
    "shape": "V's quadratic part",
}


def _show(part: dict[str, Any]) -> str:
    sign = "<=" if part["sense"] == "upper" else ">="
    lines = [f"{WORDS[part['role']]}: {gram.combination(part['numerator'])} {sign} 0"]
    for r in part["relations"]:
        words = [f"{name} = [{', '.join(map(gram.combination, vectors))}]" for name, vectors in r["vectors"].items()]
        words += [f"{name} = {value}" for name, value in r["numbers"].items()]
        lines.append(f"  if {r['rule']} with {', '.join(words)} ({r['why']})")
    return "\n".join(lines)
