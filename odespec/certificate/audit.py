"""The independent checker of certificates: the standard library and exact rational arithmetic, nothing else.

A certificate states relations between vectors of Hilbert spaces (differences of two runs of a network), a bound tau
and multipliers. For each of its parts this file forms

    tau * denominator - numerator - sum(multiplier * relation)        (a lower bound: the first two with the other sign)

which must be a sum of squares: a positive semidefinite matrix of coefficients. As each relation is non-negative (or
zero) and each multiplier non-negative (or free), the bound follows for all vectors, hence for all weights and inputs.
Then it checks that the bounds of the parts give the claim. It is also a script: ``python audit.py CERTIFICATE…``.

What it cannot see is whether the relations are those of the network in the text; `odespec audit --against` tests that.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

FORMAT = 1
MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS, MAX_BASIS = 4_000_000, 12, 2_000, 500
MAX_BITS, MAX_WORK, MAX_POWER = 20_000, 2_000_000, 200_000

Vector = dict[str, Fraction]
Form = dict[tuple[str, str], Fraction]
Interval = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Audit:
    """``ok``: the certificate is a proof of ``statement``. Otherwise ``reasons`` say why not."""

    ok: bool
    statement: str
    reasons: list[str]


class AuditError(Exception):
    """A reason to reject the certificate."""


def require(condition: object, reason: str) -> None:
    if not condition:
        raise AuditError(reason)


def audit_text(text: str) -> Audit:
    """Check a certificate, given as the text of its JSON file. Never raises; ends after a bounded amount of work."""
    try:
        return Audit(True, _audit(_parse(text)), [])
    except AuditError as reason:
        return Audit(False, "", [str(reason)])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        return Audit(False, "", [f"malformed: {type(error).__name__}"])


# --- strict reading ------------------------------------------------------------------


def number(text: Any) -> Fraction:
    """A fraction in lowest terms, written ``3`` or ``-3/4``."""
    require(isinstance(text, str) and len(text) <= MAX_DIGITS, "a number is not a short string")
    require(re.fullmatch(r"-?[0-9]+(/[0-9]+)?", text), f"{text[:40]} is not a fraction")
    value = Fraction(text)
    require(str(value) == text, f"{text[:40]} is not in lowest terms")
    return value


def bits_of(x: Fraction) -> int:
    return x.numerator.bit_length() + x.denominator.bit_length()


def line(value: Any) -> None:
    require(isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable(), "not a line of text")


def text(value: Any) -> None:
    require(isinstance(value, str), "not a text")


def count(value: Any) -> None:
    require(type(value) is int and 0 <= value <= 10**9, "not a count")


# A dict has exactly these keys, {str: …} any; a list has items of one kind, a tuple these; a set is one of its values.
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
    "role": {"step", "flow", "solvability"},
    "sense": {"upper", "lower"},
    "tau": number,
    "basis": [{"name": line, "space": count}],
    "numerator": [(line, line, number)],
    "denominator": [(line, line, number)],
    "relations": [RELATION],
}
CERTIFICATE = {
    "format": {FORMAT},
    "odespec": line,
    "spec": {"files": [{"name": line, "text": text}], "overrides": [(line, line)], "sha256": line},
    "model": line,
    "claim": {"text": text, "negated": {True, False}, "resolved": line},
    "verdict": {"proved"},
    "slack": number,
    "steps": count,
    "time": number,
    "implicit": {True, False},
    "parts": [PART],
    "conclusion": [{"kind": line, "number": line, "parts": [{"part": count, "steps": count}]}],
    "assumptions": [line],
    "digest": line,
}


def _parse(source: str) -> dict[str, Any]:
    require(len(source) <= MAX_CHARACTERS, "the file is too large")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"[^"\\]*(?:\\.[^"\\]*)*"?', "", source, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        require(depth <= MAX_DEPTH, "nested too deeply")
    data = json.loads(source, object_pairs_hook=_unique)
    _conform(data, CERTIFICATE, "certificate")
    require(data["digest"] == digest(data), "the digest does not match: the file was changed or damaged")
    return data  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    require(len({key for key, _ in pairs}) == len(pairs), "a key stands twice")
    return dict(pairs)


def _conform(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, set):
        require(any(type(value) is type(s) and value == s for s in schema), f"{where} is not one of its values")
    elif isinstance(schema, dict):
        require(isinstance(value, dict), f"{where} is not an object")
        require(str in schema or value.keys() == schema.keys(), f"{where} has not the fields it must have")
        for key, item in value.items():
            _conform(item, schema[str] if str in schema else schema[key], f"{where}.{key[:40]}")
    elif isinstance(schema, list | tuple):
        require(isinstance(value, list), f"{where} is not a list")
        require(isinstance(schema, list) or len(value) == len(schema), f"{where} has the wrong length")
        for k, item in enumerate(value):
            _conform(item, schema[0] if isinstance(schema, list) else schema[k], f"{where}[{k}]")
    else:
        try:
            schema(value)
        except AuditError as reason:
            raise AuditError(f"{where}: {reason}") from None


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of everything but the digest. It finds damage; it proves nothing."""
    body = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def text_hash(texts: list[str], overrides: list[list[str]]) -> str:
    """SHA-256 over the texts of all files of a spec and its overrides, each preceded by its length."""
    total = hashlib.sha256()
    for part in (*texts, *(f"{name}={value}" for name, value in overrides)):
        total.update(len(part).to_bytes(8, "big") + part.encode())
    return total.hexdigest()


# --- the identity of a part ------------------------------------------------------------


class Part:
    """One part's arithmetic. It counts its work, so that a hostile file cannot run for long."""

    def __init__(self, part: dict[str, Any], work: list[int]) -> None:
        self.part, self.work = part, work
        self.space = {v["name"]: v["space"] for v in part["basis"]}
        require(
            len(self.space) == len(part["basis"]) <= MAX_BASIS, "a basis vector stands twice, or there are too many"
        )

    def check(self) -> None:
        """The identity holds, every multiplier has its sign, and the squared distances are squares."""
        tau, sign = number(self.part["tau"]), 1 if self.part["sense"] == "upper" else -1
        numerator, denominator = self.form(self.part["numerator"]), self.form(self.part["denominator"])
        slack: Form = {}
        for scale, form in ((sign * tau, denominator), (Fraction(-sign), numerator)):
            self.add(slack, scale, form)
        for relation in self.part["relations"]:
            self.subtract(slack, relation)
        mixed = [c for (a, b), c in slack.items() if self.space[a] != self.space[b]]
        require(not any(mixed), "an inner product of vectors of different spaces")
        require(self.is_psd(self.matrix(slack)), "the slack is not positive semidefinite")
        for form in (denominator,) if self.part["role"] == "flow" else (numerator, denominator):
            require(form and self.is_psd(self.matrix(form)), "a squared distance is not a sum of squares")

    def subtract(self, slack: Form, relation: dict[str, Any]) -> None:
        """Subtract multiplier times constraint, for all constraints that a relation stands for."""
        kind, constraints = self.constraints(relation)
        require(len(constraints) == len(relation["multipliers"]), "not one multiplier for each constraint")
        for forms, multiplier in zip(constraints, relation["multipliers"], strict=True):
            values = [number(m) for m in multiplier]
            entries = dict(zip([(i, j) for i in range(len(forms)) for j in range(i + 1)], values, strict=True))
            k = range(len(forms))
            matrix = [[entries[max(i, j), min(i, j)] for j in k] for i in k]
            require(kind == "zero" or self.is_psd(matrix), "a multiplier has the wrong sign")
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
        self.charge(10)
        for scale, x, y in terms:
            for a in x if scale else ():
                for b in y:
                    self.add(total, x[a] * y[b], {(min(a, b), max(a, b)): Fraction(scale)})
        return total

    def add(self, total: Form, scale: Fraction, form: Form) -> None:
        for key, c in form.items():
            total[key] = self.spend(total.get(key, Fraction(0)) + scale * c)

    def charge(self, amount: int) -> None:
        self.work[0] += amount
        require(self.work[0] <= MAX_WORK, "too much work for an honest certificate")

    def spend(self, value: Fraction) -> Fraction:
        require(bits_of(value) <= MAX_BITS, "a number grows too long for an honest certificate")
        self.charge(1 + bits_of(value) // 64)
        return value

    def matrix(self, form: Form) -> list[list[Fraction]]:
        """The symmetric matrix of a form: an off-diagonal entry is half the coefficient."""
        zero = Fraction(0)
        return [[form.get((min(a, b), max(a, b)), zero) / (1 if a == b else 2) for b in self.space] for a in self.space]

    def is_psd(self, m: list[list[Fraction]]) -> bool:
        """Exact LDL^T: pivots are never negative, and a zero pivot has a zero row."""
        m = [list(row) for row in m]
        for k, top in enumerate(m):
            if top[k] < 0 or (top[k] == 0 and any(top[k + 1 :])):
                return False
            for i in range(k + 1, len(m)):
                for j in range(i, len(m)) if top[i] else ():
                    m[i][j] = self.spend(m[i][j] - top[i] * top[j] / top[k])
        return True


# --- from the bounds to the claim --------------------------------------------------------

LITERAL = r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:e-?[0-9]{1,3})?(?:/[0-9]{1,400})?"
CLAIMS = (
    (("lipschitz",), r"nonexpansive(?:\(norm=2\))?(of(?:map|flow))?"),
    (("lipschitz",), r"lipschitz(?:\(norm=2\))?<=(.+?)(of(?:map|flow))?"),
    (("contractive",), r"contractive\((?:norm=2,)?rate=(.+?)(?:,norm=2)?\)(of(?:map|flow))?"),
    (("lower", "lipschitz"), r"gradientin\[(.+),(.+?)\](of(?:map|flow))?"),
)


def goals(claim: str) -> list[tuple[str, str]]:
    """What a claim asks for: kinds of conclusion, each with its number as it is written."""
    for kinds, pattern in CLAIMS:
        if match := re.fullmatch(pattern, re.sub(r"\s", "", claim[:2000])):
            *numbers, subject = match.groups()
            flow = "flow-" if subject == "offlow" else ""
            return [(flow + kind, n) for kind, n in zip(kinds, numbers or ["1"], strict=True)]
    raise AuditError("not a claim that this file can check")


def plain(written: str) -> Fraction:
    require(re.fullmatch(LITERAL, written), f"{written[:40]} is not a number")
    top, _, bottom = written.partition("/")
    return Fraction(top) / Fraction(bottom or 1)


def squared(written: str) -> Fraction:
    """The square of a written number, with its sign: ``-2`` gives -4, ``sqrt(2)`` gives 2."""
    if written.startswith("sqrt("):
        return plain(written[5:-1])
    return plain(written) * abs(plain(written))


def check_claim(c: dict[str, Any]) -> list[tuple[str, str]]:
    """The claim stands in the spec, and what it was resolved to is the same claim with its numbers written out."""
    texts, overrides = [f["text"] for f in c["spec"]["files"]], c["spec"]["overrides"]
    require(text_hash(texts, overrides) == c["spec"]["sha256"], "the hash is not that of the spec")
    words = ["claim", *(["not"] if c["claim"]["negated"] else []), *c["claim"]["text"].split()]
    for pattern in (r"\s+".join(map(re.escape, words)), rf"(?:model|network)[ \t]+{re.escape(c['model'])}"):
        found = any(re.search(rf"(?m)^[ \t]*{pattern}[ \t\r]*(?:#.*)?$", t) for t in texts)
        require(found, "the claim or the model does not stand in the spec")
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
    upper, flow, rated = not kind.endswith("lower"), kind.startswith("flow-"), kind.endswith("contractive")
    rate, limit = (plain(written), Fraction(1)) if rated else (Fraction(0), squared(written))
    if not upper and limit <= 0:
        return f"a distance is never negative, so it is at least {written} times what it was"
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    parts, time = [(c["parts"][u["part"]], u["steps"]) for u in stated["parts"]], number(c["time"])
    wanted = ("flow" if flow else "step", "upper" if upper else "lower")
    require(all((p["role"], p["sense"]) == wanted for p, _ in parts), "a part of another role")
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
    if flow:
        return (
            f"at every time <e, f> {sign} {mu} <e, e>, so distances grow at {goes} {end}-fold in the time {c['time']}"
        )
    steps = ", ".join(f"tau = {t} for {n} steps" for t, n in taus)
    powers = " * ".join(f"({t})^{n}" for t, n in taus)
    return f"over one step the squared ratio of distances is at {goes} {steps}; in all {powers} {sign} ({end})^2"


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


def assumptions(flow: bool, implicit: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    always = ["arithmetic is exact", "the constraints on the weights hold"]
    if flow:
        return [*always, "the relations hold at all times", "solutions exist"]
    steps = "the relations hold in every step, for its own weights, inputs and time"
    return [*always, steps, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def _audit(c: dict[str, Any]) -> str:
    resolved, work, parts = check_claim(c), [0], c["parts"]
    require(0 <= number(c["slack"]) <= Fraction(1, 1000), "the slack is not small")
    for part in parts:
        Part(part, work).check()
    require(len(c["conclusion"]) == len(resolved), "the conclusion is not what the claim asks for")
    lines = [conclude(c, stated, goal) for stated, goal in zip(c["conclusion"], resolved, strict=True)]
    flow = resolved[0][0].startswith("flow-")
    solvable = {k for k, p in enumerate(parts) if (p["role"], p["sense"]) == ("solvability", "upper")}
    require(
        flow or bool(solvable) == c["implicit"], "an implicit step, and no other, needs a proof that it can be solved"
    )
    used = {u["part"] for stated in c["conclusion"] for u in stated["parts"]}
    require(used | solvable == set(range(len(parts))), "a part that is used for nothing")
    require(c["assumptions"] == assumptions(flow, c["implicit"]), "not the assumptions that such a proof makes")
    lines += ["the equations of a step have exactly one solution"] if solvable else []
    lines += ["assumed: " + "; ".join(c["assumptions"]), *map(_show, parts)]
    condition = "if the forms and relations below are those of the spec (which `audit --against` tests)"
    return "\n".join([f"{c['model']}: {c['claim']['resolved']}, {condition}", *lines])


def _show(part: dict[str, Any]) -> str:
    """What a part states, with the relations that it rests on."""
    sign = "<=" if part["sense"] == "upper" else ">="
    lines = [f"{part['role']}: {_sum(part['numerator'])} {sign} {part['tau']} * ({_sum(part['denominator'])})"]
    for r in part["relations"]:
        words = [f"{name} = [{', '.join(map(_sum, vectors))}]" for name, vectors in r["vectors"].items()]
        words += [f"{name} = {value}" for name, value in r["numbers"].items()]
        lines.append(f"  if {r['rule']} with {', '.join(words)} ({r['why']})")
    return "\n".join(lines)


def _sum(terms: list[list[str]]) -> str:
    """A vector, or a form of inner products."""
    return " + ".join(f"{t[-1]} {t[0]}" if len(t) == 2 else f"{t[2]} <{t[0]}, {t[1]}>" for t in terms) or "0"


def main(paths: list[str]) -> int:
    """Audit files; 0 where all are accepted."""
    results = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as stream:
                results.append(audit_text(stream.read(MAX_CHARACTERS + 1)))
        except (OSError, ValueError) as error:
            results.append(Audit(False, "", [f"cannot be read: {type(error).__name__}"]))
        verdict = "accepted" if results[-1].ok else "rejected"
        print(f"{path}: {verdict}", results[-1].statement, *results[-1].reasons, sep="\n")
    return int(not results or not all(r.ok for r in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
