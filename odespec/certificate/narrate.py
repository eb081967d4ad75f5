"""A certificate as a person would read the proof: what is known, with what weight it is used, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from odespec.certificate.auditor import audit_text
from odespec.certificate.auditor.energy import WORDS
from odespec.certificate.build import Draft

REFERENCES = {
    "gram": "Drori & Teboulle, Math. Program. 145 (2014); Taylor, Hendrickx & Glineur, Math. Program. 161 (2017)",
    "operators": "Bousselmi, Hendrickx & Glineur, SIAM J. Optim. 34 (2024)",
    "slopes": "Fazlyab, Robey, Hassani, Morari & Pappas, NeurIPS 2019 (diagonal multipliers)",
    "endpoint": "Sontag, Input to state stability (2008) (the gain from an input over many steps)",
    "energy": "Hairer, Lubich & Wanner, Geometric Numerical Integration, chapters IV and V",
    "entrywise": "Söderlind, BIT 46 (2006); Ferracina & Spijker, Math. Comp. 74 (2005); Higueras, SINUM 43 (2005)",
    "exponential": "Hochbruck & Ostermann, Acta Numerica 19 (2010)",
    "invariant": "Nagumo, Proc. Phys.-Math. Soc. Japan 24 (1942); Farouki, CAGD 29 (2012) (Bernstein polynomials)",
    "lyapunov": "Lessard, Recht & Packard, SIAM J. Optim. 26 (2016) (quadratic forms that no step lets grow)",
    "multistep": "Dahlquist, BIT 18 (1978) (quadratic forms over the steps that a method remembers)",
    "network": "Lipschitz constants multiply along a chain: Szegedy et al., ICLR 2014",
    "order": "Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, II.2, II.15 and III.2",
    "spectrum": "Hairer & Wanner, Solving Ordinary Differential Equations II, IV and V; Bauer & Fike (1960)",
    "structure": "Hairer, Lubich & Wanner, Geometric Numerical Integration, chapters V and VI",
}
"""Where the kinds of reasoning, and of proofs, are from."""

OPERATORS = frozenset({"operator", "adjoint", "skew", "symmetric", "isometry"})


def narrate(draft: Draft) -> list[str]:
    """The proof line by line. A part that is a Gram problem is written out; the rest is in the auditor's words."""
    body, lines = draft.body, []
    said = audit_text(draft.text()).statement.splitlines()
    parts = [p for p in _parts(body["proof"]) if p["relations"] or p.get("numerator")]
    for same in _alike(map(_part, parts)):
        lines += same
    head = [line for line in said[1:] if not line.startswith(("  if ", "assumed")) and not _is_part(line)]
    lines += [f"so {line}" if parts else line for line in head]
    lines.append(said[-1])
    return [*lines, *(f"reference: {r}" for r in _references(body["kind"], parts))]


def _alike(parts: Iterable[list[str]]) -> Iterator[list[str]]:
    """Each part once, with how often it is used."""
    for lines, times in Counter(map(tuple, parts)).items():
        yield [*lines, f"(the same for {times} parts of the proof)"] if times > 1 else list(lines)


def _is_part(line: str) -> bool:
    """Whether the auditor restates a Gram problem, which is written out already, here."""
    start = line.split(" <", 1)[0]
    return line.startswith(_ROLES) or any(f": {role}" in start for role in _ROLES)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every Gram problem inside a proof, whatever its kind."""
    if isinstance(value, dict):
        if {"basis", "relations", "role"} <= value.keys():
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _parts(item)


def _references(kind: str, parts: list[dict[str, Any]]) -> Iterator[str]:
    rules = {r["rule"] for p in parts for r in p["relations"]}
    if parts:
        yield REFERENCES["gram"]
    if rules & OPERATORS:
        yield REFERENCES["operators"]
    if rules - OPERATORS:
        yield REFERENCES["slopes"]
    if kind != "gram":
        yield REFERENCES[kind]


# --- one Gram problem ----------------------------------------------------------------

_WAYS = {
    "way": "one part of the way",
    "start": "the way to the start",
    "input": "what an input brings in a step",
    "output": "the output",
    "direct": "what the output reads of the input",
    "growth": "the linear part of the field",
    "rest": "the rest of the field",
}
_ROLES = (
    "step:",
    "flow:",
    "solvability:",
    "square-step:",
    "square-flow:",
    *(f"{words}:" for words in (*WORDS.values(), *_WAYS)),
)
_ABOUT = {"step": "one step", "flow": "the field", "solvability": "the equations of a step", **_WAYS}

Terms = list[list[str]]
"""A vector: pairs of a name and a coefficient."""


def _part(part: dict[str, Any]) -> list[str]:
    """The vectors get letters: their names are expressions of the spec."""
    role = part["role"].removeprefix("square-")
    letters = {v["name"]: _letter(k) for k, v in enumerate(part["basis"])}
    lines = [
        f"about {WORDS[role]}, in one run: the vectors"
        if role in WORDS
        else f"about {_ABOUT.get(role, role)}, of two runs with the same weights and inputs: the differences"
    ]
    lines += [f"  {letter} = {name}" for name, letter in letters.items()]
    if part["relations"]:
        lines.append("what is known of them, each with the weight that the proof gives it:")
    for relation in part["relations"]:
        lines.append(_relation(relation, letters))
    if "tau" in part and part.get("denominator"):
        left, right = form(part["numerator"], letters), form(part["denominator"], letters)
        sign, what = (">=", "minus") if part.get("sense") == "lower" else ("<=", "with")
        lines.append(f"together, {what} a sum of squares: {left} {sign} {part['tau']} ({right})")
    if role in WORDS:
        sign, what = (">=", "minus") if part["sense"] == "lower" else ("<=", "with")
        lines.append(f"together, {what} a sum of squares: {form(part['numerator'], letters)} {sign} 0")
    return lines


def _letter(k: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[k] if k < 26 else f"v{k}"


def _relation(relation: dict[str, Any], letters: dict[str, str]) -> str:
    """A relation as an inequality or equation, why it holds, and its weights."""
    vectors = {key: [_renamed(v, letters) for v in vs] for key, vs in relation["vectors"].items()}
    words = _FORMULAS[relation["rule"]]({**relation, "vectors": vectors})
    weights = ", ".join(_weight(m) for m in relation["multipliers"] if any(x != "0" for x in m))
    return f"  {words}    [{relation['why']}; weight {weights}]"


def _renamed(v: Terms, letters: dict[str, str]) -> Terms:
    return [[letters[name], c] for name, c in v]


def _weight(numbers: list[str]) -> str:
    """A number, or the lower triangle of a matrix."""
    return numbers[0] if len(numbers) == 1 else f"[{' '.join(numbers)}]"


def vector(terms: Terms) -> str:
    """``2 p - q``, of pairs of a name and a coefficient."""
    return _sum([(name, c) for name, c in terms]) or "0"


def form(terms: list[list[str]], letters: dict[str, str]) -> str:
    """``|e|^2 - 2 <e, p>``, of triples of two names and a coefficient."""
    named = ((letters[a], letters[b], c) for a, b, c in terms)
    return _sum([(f"|{a}|^2" if a == b else f"<{a}, {b}>", c) for a, b, c in named]) or "0"


def _sum(terms: list[tuple[str, str]]) -> str:
    text = ""
    for name, written in terms:
        value = Fraction(written)
        sign = " - " if value < 0 else " + " if text else ""
        size = "" if abs(value) == 1 else f"{abs(value)} "
        text += (sign if text else sign.strip()) + size + name
    return text


def _mixed(*scaled: tuple[Fraction, Terms]) -> str:
    """A linear combination of vectors, collected."""
    total: dict[str, Fraction] = {}
    for scale, terms in scaled:
        for name, c in terms:
            total[name] = total.get(name, Fraction(0)) + scale * Fraction(c)
    return vector([[name, str(c)] for name, c in total.items() if c])


def _sector(r: dict[str, Any]) -> str:
    z, p = r["vectors"]["z"][0], r["vectors"]["p"][0]
    a, b, one = Fraction(r["numbers"]["a"]), Fraction(r["numbers"]["b"]), Fraction(1)
    return f"<{_mixed((one, p), (-a, z))}, {_mixed((b, z), (-one, p))}> >= 0"


def _pairs(r: dict[str, Any], u: str = "u", v: str = "v") -> str:
    both = zip(r["vectors"][u], r["vectors"][v], strict=True)
    return ", ".join(f"{vector(x)} to {vector(y)}" for x, y in both)


def _operator(r: dict[str, Any]) -> str:
    alpha, beta, gamma = (r["numbers"][k] for k in ("alpha", "beta", "gamma"))
    bound = f"{alpha} |u|^2 + {beta} <u, v> + {gamma} |v|^2 >= 0"
    if (beta, gamma) == ("0", "-1"):
        bound = "|v| <= |u|" if alpha == "1" else f"|v|^2 <= {alpha} |u|^2"
    return f"{bound} for what takes {_pairs(r)}"


def _above(r: dict[str, Any]) -> str:
    """The other end of a curvature."""
    k = Fraction(r["numbers"]["k"])
    return f" and at most {Fraction(r['numbers']['a']) + 1 / k}" if k else ""


_FORMULAS: dict[str, Callable[[dict[str, Any]], str]] = {
    "sector": _sector,
    "facets": lambda r: f"<{vector(r['vectors']['f'][0])}, {vector(r['vectors']['g'][0])}> >= 0",
    "operator": _operator,
    "adjoint": lambda r: f"<u, q> = <v, p> for what takes u to v: {_pairs(r)}; and p to q: {_pairs(r, 'p', 'q')}",
    "skew": lambda r: f"<u, v'> = -<v, u'> for what takes {_pairs(r)}",
    "symmetric": lambda r: f"<u, v'> = <v, u'> for what takes {_pairs(r)}",
    "potential": lambda r: (
        f"values <{vector(r['vectors']['o'][0])}, F> with slopes s at y, of a function with curvature at least"
        f" {r['numbers']['a']}{_above(r)}: {_pairs(r, 'y', 's')}; F = {', '.join(map(vector, r['vectors']['w']))}"
    ),
    "isometry": lambda r: f"<v, v'> = <u, u'> for what takes {_pairs(r)}",
}
"""How each rule of `odespec.prove.gram.expand` reads."""
