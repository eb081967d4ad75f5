"""Proofs by inner products.

A certificate of this kind states relations between vectors of Hilbert spaces (differences of two runs of a network), a
bound tau and multipliers. For each of its parts this file forms

    tau * denominator - numerator - sum(multiplier * relation)        (a lower bound: the first two with the other sign)

which must be a sum of squares: a positive semidefinite matrix of coefficients. As each relation is non-negative (or
zero) and each multiplier non-negative (or free), the bound follows for all vectors, hence for all weights and inputs.
Then it checks that the bounds of the parts give the claim.
"""

import re
from fractions import Fraction
from typing import Any

from .core import LITERAL, AuditError, Interval, Ledger, bits_of, check_assumptions, count, line, number, plain, require

MAX_BASIS, MAX_POWER = 500, 200_000

Vector = dict[str, Fraction]
Form = dict[tuple[str, str], Fraction]

RULES: dict[str, tuple[set[str], set[str]]] = {
    "sector": ({"z", "p"}, {"a", "b"}),
    "facets": ({"f", "g"}, set()),
    "operator": ({"u", "v"}, {"alpha", "beta", "gamma"}),
    "adjoint": ({"u", "v", "p", "q"}, set()),
    "skew": ({"u", "v"}, set()),
    "symmetric": ({"u", "v"}, set()),
    "isometry": ({"u", "v"}, set()),
}
RELATION = {
    "rule": set(RULES),
    "vectors": {str: [[(line, number)]]},
    "numbers": {str: number},
    "why": line,
    "multipliers": [[number]],
}
PART = {
    "role": {"step", "flow", "solvability", "square-step", "square-flow"},
    "sense": {"upper", "lower"},
    "tau": number,
    "basis": [{"name": line, "space": count}],
    "numerator": [(line, line, number)],
    "denominator": [(line, line, number)],
    "relations": [RELATION],
}
SCHEMA = {
    "implicit": {True, False},
    "parts": [PART],
    "conclusion": [{"kind": line, "number": line, "parts": [{"part": count, "steps": count}]}],
}


# --- the identity of a part ------------------------------------------------------------


class Part:
    """One part's arithmetic."""

    def __init__(self, part: dict[str, Any], ledger: Ledger) -> None:
        self.part, self.ledger = part, ledger
        self.space = {v["name"]: v["space"] for v in part["basis"]}
        require(
            len(self.space) == len(part["basis"]) <= MAX_BASIS, "a basis vector stands twice, or there are too many"
        )

    def check(self) -> None:
        """The identity holds, every multiplier has its sign, and the squared distances are squares."""
        tau, sign = number(self.part["tau"]), 1 if self.part["sense"] == "upper" else -1
        numerator, denominator = self.form(self.part["numerator"]), self.form(self.part["denominator"])
        self.hold((sign * tau, denominator), (Fraction(-sign), numerator))
        for form in (denominator,) if self.part["role"].endswith("flow") else (numerator, denominator):
            require(form and self.ledger.is_psd(self.matrix(form)), "a squared distance is not a sum of squares")

    def hold(self, *terms: tuple[Fraction, Form]) -> None:
        """The terms are non-negative together, by the part's relations and multipliers."""
        slack: Form = {}
        for scale, form in terms:
            self.add(slack, scale, form)
        for relation in self.part["relations"]:
            self.subtract(slack, relation)
        mixed = [c for (a, b), c in slack.items() if self.space[a] != self.space[b]]
        require(not any(mixed), "an inner product of vectors of different spaces")
        require(self.ledger.is_psd(self.matrix(slack)), "the slack is not positive semidefinite")

    def subtract(self, slack: Form, relation: dict[str, Any]) -> None:
        """Subtract multiplier times constraint, for all constraints that a relation stands for."""
        kind, constraints = self.constraints(relation)
        require(len(constraints) == len(relation["multipliers"]), "not one multiplier for each constraint")
        for forms, multiplier in zip(constraints, relation["multipliers"], strict=True):
            values = [number(m) for m in multiplier]
            entries = dict(zip([(i, j) for i in range(len(forms)) for j in range(i + 1)], values, strict=True))
            k = range(len(forms))
            matrix = [[entries[max(i, j), min(i, j)] for j in k] for i in k]
            require(kind == "zero" or self.ledger.is_psd(matrix), "a multiplier has the wrong sign")
            for (i, j), m in entries.items():
                self.add(slack, -m if i == j else -2 * m, forms[i][j])

    def constraints(self, relation: dict[str, Any]) -> tuple[str, list[list[list[Form]]]]:
        """Their kind (``psd`` or ``zero``), and each one's matrix of forms by its lower triangle (mostly 1 x 1)."""
        rule, (names, wanted) = relation["rule"], RULES[relation["rule"]]
        require(relation["vectors"].keys() == names and relation["numbers"].keys() == wanted, f"{rule} lacks its data")
        v = {name: [self.vector(x) for x in vectors] for name, vectors in relation["vectors"].items()}
        n = {name: number(x) for name, x in relation["numbers"].items()}
        for a, b in (("z", "p"), ("f", "g"), ("u", "v"), ("p", "q")):
            require(not {a, b} <= names or len(v[a]) == len(v[b]) >= 1, f"{rule}: lists of different length")
        require(not names & {"z", "f"} or all(len(x) == 1 for x in v.values()), f"{rule} takes single vectors")
        if rule == "sector":
            (z,), (p,) = v["z"], v["p"]
            return "psd", [[[self.inner((n["a"] + n["b"], z, p), (-1, p, p), (-n["a"] * n["b"], z, z))]]]
        if rule == "facets":
            return "psd", [[[self.inner((1, v["f"][0], v["g"][0]))]]]
        u, w = v["u"], v["v"]
        if rule == "operator":
            scales = (n["alpha"], n["beta"] / 2, n["beta"] / 2, n["gamma"])
            pairs = ((u, u), (u, w), (w, u), (w, w))
            terms = [(c, *xy) for c, xy in zip(scales, pairs, strict=True)]
            k = range(len(u))
            return "psd", [[[self.inner(*((c, x[i], y[j]) for c, x, y in terms)) for j in k[: i + 1]] for i in k]]
        if rule == "adjoint":
            k, m = range(len(u)), range(len(v["p"]))
            return "zero", [[[self.inner((1, u[i], v["q"][j]), (-1, w[i], v["p"][j]))]] for i in k for j in m]
        below = ((i, j) for i in range(len(u)) for j in range(i + (rule != "symmetric")))
        if rule == "isometry":
            return "zero", [[[self.inner((1, w[i], w[j]), (-1, u[i], u[j]))]] for i, j in below]
        sign = 1 if rule == "skew" else -1
        return "zero", [[[self.inner((1, u[i], w[j]), (sign, w[i], u[j]))]] for i, j in below]

    def vector(self, pairs: list[list[str]]) -> Vector:
        vector = {name: number(c) for name, c in pairs}
        require(len(vector) == len(pairs) and all(vector.values()), "a vector has a repeated or zero entry")
        require(vector.keys() <= self.space.keys(), "a vector that is not in the basis")
        return vector

    def form(self, triples: list[list[str]]) -> Form:
        form = {(min(a, b), max(a, b)): number(c) for a, b, c in triples}
        require(len(form) == len(triples) and all(form.values()), "a form has a repeated or zero entry")
        require(all(self.space[a] == self.space[b] for a, b in form), "a form multiplies vectors of different spaces")
        return form

    def inner(self, *terms: tuple[int | Fraction, Vector, Vector]) -> Form:
        """The sum of ``scale <x, y>``."""
        total: Form = {}
        self.ledger.charge(10)
        for scale, x, y in terms:
            for a in x if scale else ():
                for b in y:
                    self.add(total, x[a] * y[b], {(min(a, b), max(a, b)): Fraction(scale)})
        return total

    def add(self, total: Form, scale: Fraction, form: Form) -> None:
        for key, c in form.items():
            total[key] = self.ledger.spend(total.get(key, Fraction(0)) + scale * c)

    def matrix(self, form: Form) -> list[list[Fraction]]:
        """The symmetric matrix of a form: an off-diagonal entry is half the coefficient."""
        zero = Fraction(0)
        return [[form.get((min(a, b), max(a, b)), zero) / (1 if a == b else 2) for b in self.space] for a in self.space]


# --- from the bounds to the claim --------------------------------------------------------

SQUARE = r"((?:of(?:map|flow))?(?:inmeansquare)?|inmeansquareof(?:map|flow))"
CLAIMS = (
    (("lipschitz",), rf"nonexpansive(?:\(norm=2\))?{SQUARE}"),
    (("lipschitz",), rf"lipschitz(?:\(norm=2\))?<=(.+?){SQUARE}"),
    (("contractive",), rf"contractive\((?:norm=2,)?rate=(.+?)(?:,norm=2)?\){SQUARE}"),
    (("lower", "lipschitz"), r"gradientin\[(.+),(.+?)\](of(?:map|flow))?"),
)


def goals(claim: str) -> list[tuple[str, str]]:
    """What a claim asks for: kinds of conclusion, each with its number as it is written."""
    for kinds, pattern in CLAIMS:
        if match := re.fullmatch(pattern, re.sub(r"\s", "", claim[:2000])):
            *numbers, words = match.groups(default="")
            prefix = ("square-" if "inmeansquare" in words else "") + ("flow-" if "offlow" in words else "")
            return [(prefix + kind, n) for kind, n in zip(kinds, numbers or ["1"], strict=True)]
    raise AuditError("not a claim that this file can check")


def squared(written: str) -> Fraction:
    """The square of a written number, with its sign: ``-2`` gives -4, ``sqrt(2)`` gives 2."""
    if written.startswith("sqrt("):
        return plain(written[5:-1])
    return plain(written) * abs(plain(written))


def check_claim(c: dict[str, Any]) -> list[tuple[str, str]]:
    """What the claim was resolved to is the same claim with its numbers written out."""
    asked, resolved = goals(c["claim"]["text"]), goals(c["claim"]["resolved"])
    require([k for k, _ in asked] == [k for k, _ in resolved], "the claim was resolved to another one")
    for (_, written), (_, value) in zip(asked, resolved, strict=True):
        literal = re.fullmatch(rf"{LITERAL}|sqrt\({LITERAL}\)", written)
        require(not literal or squared(written) == squared(value), "the claim was resolved to other numbers")
    return resolved


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str]) -> str:
    """Check one inequality, the bounds of the parts against the number of the claim; return it in words."""
    kind, written = stated["kind"], stated["number"]
    require((kind, written) == goal, "the conclusion is not what the claim asks for")
    square, kind = kind.startswith("square-"), kind.removeprefix("square-")
    upper, flow, rated = not kind.endswith("lower"), kind.startswith("flow-"), kind.endswith("contractive")
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), squared(written))
    if not upper and limit <= 0:
        return f"a distance is never negative, so it is at least {written} times what it was"
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    parts, time = [(c["proof"]["parts"][u["part"]], u["steps"]) for u in stated["parts"]], number(c["time"])
    role, sense = "flow" if flow else "step", "upper" if upper else "lower"
    roles = {role, "square-" + role} if square else {role}  # what holds on every path holds in mean
    require(all(p["role"] in roles and p["sense"] == sense for p, _ in parts), "a part of another role")
    require(
        time > 0 and sum(n for _, n in parts) == (1 if flow else c["steps"]) >= 1, "the parts do not cover the time"
    )
    taus = [(number(p["tau"]), n) for p, n in parts]
    mu = taus[0][0] if flow else Fraction(0)
    require(flow or all(t >= 0 for t, _ in taus), "a negative squared ratio")
    require(compare([] if flow else taus, 2 * (rate + mu) * time, limit, upper), "the bounds do not give the claim")
    sign, goes = ("<=", "most") if upper else (">=", "least")
    end = f"exp(-{written} * {c['time']})" if rated else written
    end += f" (1 {'+' if upper else '-'} {c['slack']})" if c["slack"] != "0" else ""
    what = "roots of the expected squared distances" if square else "distances"
    if flow:
        product = "<e, f> + 1/2 sum |g_j|^2" if square else "<e, f>"
        return (
            f"at every time {product} {sign} {mu} <e, e>, so {what} grow at {goes} {end}-fold in the time {c['time']}"
        )
    steps = ", ".join(f"tau = {t} for {n} steps" for t, n in taus)
    powers = " * ".join(f"({t})^{n}" for t, n in taus)
    return f"over one step the squared ratio of {what} is at {goes} {steps}; in all {powers} {sign} ({end})^2"


def compare(taus: list[tuple[Fraction, int]], exponent: Fraction, limit: Fraction, upper: bool) -> bool:
    """Whether the product of the ``tau^n`` times ``exp(exponent)`` keeps to a limit; False where it cannot be told."""
    taus = [(t, n) for t, n in taus if t != 1]
    if exponent == 0 and sum(n * bits_of(t) for t, n in taus) <= MAX_POWER:
        product = Fraction(1)
        for t, n in taus:
            product *= t**n
        return product <= limit if upper else product >= limit
    sizes = [n * (1 + abs(t.numerator.bit_length() - t.denominator.bit_length())) for t, n in taus]
    require(abs(exponent) + sum(sizes) <= MAX_POWER and len(taus) <= 1000, "powers too large")
    for bits in (128, 1024, 4096):
        low, high = exponential(exponent, bits)
        for t, n in taus:
            a, b = power((t, t), n, bits)
            low, high = outward(low * a, high * b, bits)
        if high <= limit or low >= limit:
            return high <= limit if upper else low >= limit
    return False


def outward(low: Fraction, high: Fraction, bits: int) -> Interval:
    """Round a non-negative interval outward to about so many bits."""
    scale = Fraction(2) ** (bits - high.numerator.bit_length() + high.denominator.bit_length())
    return Fraction((low * scale).__floor__()) / scale, Fraction((high * scale).__ceil__()) / scale


def power(base: Interval, n: int, bits: int) -> Interval:
    result, square = (Fraction(1), Fraction(1)), outward(*base, bits)
    while n:
        if n & 1:
            result = outward(result[0] * square[0], result[1] * square[1], bits)
        square, n = outward(square[0] ** 2, square[1] ** 2, bits), n >> 1
    return result


def exponential(x: Fraction, bits: int) -> Interval:
    """Taylor at x / 2^k < 1/16 with a remainder below the last term, squared k times; a negative x by its inverse."""
    if x < 0:
        low, high = exponential(-x, bits)
        return 1 / high, 1 / low
    k = x.__ceil__().bit_length() + 4
    y, term = outward(x / 2**k, x / 2**k, bits), (Fraction(1), Fraction(1))
    low = high = Fraction(1)
    for n in range(1, bits // 4 + 8):
        term = outward(term[0] * y[0] / n, term[1] * y[1] / n, bits)
        low, high = low + term[0], high + term[1]
    return power((low, high + term[1]), 2**k, bits)


# --- the whole -----------------------------------------------------------------------------


def assumptions(flow: bool, implicit: bool, square: bool = False) -> list[str]:
    """What every proof of this kind takes for granted."""
    always = ["arithmetic is exact", "the constraints on the weights hold"]
    if square:
        noise = "the noise is independent of the past, normal, with mean zero and variance h over a step"
        always.append("the noise is a Wiener process, in the sense of Ito" if flow else noise)
    if flow:
        return [*always, "the relations hold at all times", "solutions exist"]
    steps = "the relations hold in every step, for its own weights, inputs and time"
    return [*always, steps, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, resolved = c["proof"], check_claim(c)
    parts = proof["parts"]
    for part in parts:
        Part(part, ledger).check()
    require(len(proof["conclusion"]) == len(resolved), "the conclusion is not what the claim asks for")
    lines = [conclude(c, stated, goal) for stated, goal in zip(proof["conclusion"], resolved, strict=True)]
    flow, square = "flow-" in resolved[0][0], resolved[0][0].startswith("square-")
    solvable = {k for k, p in enumerate(parts) if (p["role"], p["sense"]) == ("solvability", "upper")}
    require(
        flow or bool(solvable) == proof["implicit"],
        "an implicit step, and no other, needs a proof that it can be solved",
    )
    used = {u["part"] for stated in proof["conclusion"] for u in stated["parts"]}
    require(used | solvable == set(range(len(parts))), "a part that is used for nothing")
    check_assumptions(c, assumptions(flow, proof["implicit"], square))
    lines += ["the equations of a step have exactly one solution"] if solvable else []
    return [*lines, *map(show, parts)]


def show(part: dict[str, Any]) -> str:
    """What a part states, with the relations that it rests on."""
    sign = "<=" if part["sense"] == "upper" else ">="
    first = (
        f"{part['role']}: {combination(part['numerator'])} {sign} {part['tau']} * ({combination(part['denominator'])})"
    )
    return "\n".join([first, *map(show_relation, part["relations"])])


def show_relation(r: dict[str, Any]) -> str:
    words = [f"{name} = [{', '.join(map(combination, vectors))}]" for name, vectors in r["vectors"].items()]
    words += [f"{name} = {value}" for name, value in r["numbers"].items()]
    return f"  if {r['rule']} with {', '.join(words)} ({r['why']})"


def combination(terms: list[list[str]]) -> str:
    """A vector, or a form of inner products."""
    return " + ".join(f"{t[-1]} {t[0]}" if len(t) == 2 else f"{t[2]} <{t[0]}, {t[1]}>" for t in terms) or "0"
