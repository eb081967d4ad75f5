"""Proofs of ``symplectic``, ``reversible`` and ``invertible``.

``symplectic``: the field is Hamiltonian (its derivative, a sum of words of linear operators, passes the test of Hairer,
Lubich & Wanner, Geometric Numerical Integration, lemma VI.2.7) and the tableau has ``b_i a_ij + b_j a_ji = b_i b_j``
(Sanz-Serna, Suris, Lasagni 1988); or a step is a sequence of shears ``q <- q + g(p)``, ``p <- p + g(q)`` by gradients,
that is, with symmetric derivatives.

``reversible``, ``invertible``: a step is a sequence of moves of the states, each a bijection with an inverse in closed
form. ``invertible`` also: a step changes no distance to less than a positive part of it (a continuous map of R^n that is
injective with a closed image is onto: invariance of domain); the equations of the step forward and of the step back have
one solution each; the field is Lipschitz, so that its flow is a bijection.
"""

import re
from fractions import Fraction
from typing import Any

from . import gram
from .core import Ledger, check_assumptions, conform, count, line, number, require
from .radical import Field, Number, field_of

MAX_WORDS, MAX_LETTERS, MAX_MOVES = 2000, 200, 1000

FIELD = {"degree": count, "of": line}
LETTER = {"name": line, "symmetry": {-1, 0, 1}, "side": {"left", "right", "none", "scalar"}}
WORD = {"coefficient": [line], "letters": [(count, {True, False})]}
BLOCK = {"of": line, "by": line, "words": [WORD]}
PAIR = {"position": line, "momentum": line}
HAMILTONIAN = {"field": FIELD, "pairs": [PAIR], "letters": [LETTER], "derivative": [BLOCK]}
SHEAR = {"side": {"position", "momentum"}, "derivative": [BLOCK]}
MOVE = {
    "slot": count,
    "kind": {"shift", "number", "factor", "matrix", "activation"},
    "by": line,
    "reads": [count],
    "numbers": [[line]],
}


RULE = {
    "rule": {"state", "constant", "linear", "product", "quotient", "bounded", "smooth"},
    "args": [count],
    "what": line,
}


def part(value: Any) -> None:
    conform(value, gram.PART, "part")


ROUTES: dict[str, Any] = {
    "runge-kutta": {**HAMILTONIAN, "A": [[[line]]], "b": [[line]], "forward": part},
    "hamiltonian flow": HAMILTONIAN,
    "shears": {"field": FIELD, "pairs": [PAIR], "letters": [LETTER], "shears": [SHEAR]},
    "moves": {"field": FIELD, "slots": [line], "moves": [MOVE], "order": [count]},
    "distances": {"implicit": {True, False}, "parts": [part]},
    "equations": {"forward": [part], "back": part},
    "lipschitz field": {"part": part},
    "lipschitz rules": {"nodes": [RULE], "field": [count]},
}
ALLOWED = {
    "symplectic": {"runge-kutta", "shears"},
    "symplectic of flow": {"hamiltonian flow"},
    "reversible": {"moves"},
    "invertible": {"moves", "distances", "equations"},
    "invertible of flow": {"lipschitz field", "lipschitz rules"},
}


def anything(value: Any) -> None:
    """What depends on the route."""


SCHEMA = {"route": set(ROUTES), "data": anything}
NEEDED = ["exact arithmetic", "solver equations solved exactly"]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    route, data = c["proof"]["route"], c["proof"]["data"]
    resolved = c["claim"]["resolved"]
    require(resolved in ALLOWED, "not a claim that this file can check")
    written = re.sub(r"\s+", " ", c["claim"]["text"][:2000].strip()).removesuffix(" of map")
    require(written == resolved, "the claim was resolved to another one")
    require(route in ALLOWED[resolved], "not a proof of this claim")
    require(c["slack"] == "0", "such a claim has no slack")
    check_assumptions(c, NEEDED)
    conform(data, ROUTES[route], "proof.data")
    return CHECKS[route](data, ledger)


# --- words ---------------------------------------------------------------------------

Key = tuple[tuple[int, ...], tuple[tuple[int, bool], ...]]
Sum = dict[Key, Number]


class Words:
    """Sums of words over stated letters, and their transposes."""

    def __init__(self, data: dict[str, Any], ledger: Ledger) -> None:
        self.field = field_of(data["field"], ledger)
        self.letters = data["letters"]
        require(len(self.letters) <= MAX_LETTERS, "too many letters")
        names = [x["name"] for x in self.letters]
        require(len(set(names)) == len(names), "a letter stands twice")
        require(all(x["symmetry"] == 1 for x in self.letters if x["side"] == "scalar"), "a scalar is symmetric")

    def read(self, words: Any) -> Sum:
        require(len(words) <= MAX_WORDS, "too many words")
        total: Sum = {}
        for word in words:
            require(all(k < len(self.letters) for k, _ in word["letters"]), "there is no such letter")
            pairs = [(k, turned) for k, turned in word["letters"]]
            fixed = [self.letters[k]["symmetry"] for k, turned in pairs if turned]
            require(not any(fixed), "a letter that needs no transpose has one")
            self.add(total, self.key(pairs), self.field.read(word["coefficient"]))
        return total

    def key(self, pairs: list[tuple[int, bool]]) -> Key:
        """Scalars in front, in order; factors on the left before neighbours on the right, with which they commute."""
        side = [x["side"] for x in self.letters]
        scalars = tuple(sorted(k for k, _ in pairs if side[k] == "scalar"))
        rest = [p for p in pairs if side[p[0]] != "scalar"]
        self.field.ledger.charge(1 + len(rest) ** 2)
        for _ in rest:
            for i in range(len(rest) - 1):
                if (side[rest[i][0]], side[rest[i + 1][0]]) == ("right", "left"):
                    rest[i], rest[i + 1] = rest[i + 1], rest[i]
        return scalars, tuple(rest)

    def transposed(self, a: Sum) -> Sum:
        total: Sum = {}
        for (scalars, word), c in a.items():
            pairs, sign = [(k, False) for k in scalars], 1
            for k, turned in reversed(word):
                symmetry = self.letters[k]["symmetry"]
                sign *= -1 if symmetry == -1 else 1
                pairs.append((k, turned if symmetry else not turned))
            self.add(total, self.key(pairs), self.field.scale(sign, c))
        return total

    def add(self, total: Sum, key: Key, c: Number) -> None:
        total[key] = self.field.add(total.get(key, self.field.zero), c)

    def equal(self, a: Sum, b: Sum, sign: int) -> bool:
        """``a = sign * b``."""
        zero = self.field.zero
        return all(self.field.add(a.get(k, zero), self.field.scale(-sign, b.get(k, zero))) == zero for k in {*a, *b})


def blocks(words: Words, derivative: Any, names: set[str]) -> dict[tuple[str, str], Sum]:
    found = {}
    for block in derivative:
        place = block["of"], block["by"]
        require(place not in found and {*place} <= names, "a block of the derivative stands twice, or is of no state")
        found[place] = words.read(block["words"])
    return found


def pairs_of(data: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [(p["position"], p["momentum"]) for p in data["pairs"]]
    names = [n for p in pairs for n in p]
    require(0 < len(names) == len(set(names)) <= 64, "not pairs of a position and a momentum")
    return pairs


def check_hamiltonian(data: dict[str, Any], ledger: Ledger) -> list[str]:
    words, pairs = Words(data, ledger), pairs_of(data)
    found = blocks(words, data["derivative"], {n for p in pairs for n in p})
    for q, p in pairs:
        for r, s in pairs:
            mixed = words.equal(found.get((q, r), {}), words.transposed(found.get((s, p), {})), -1)
            upper = words.equal(found.get((q, s), {}), words.transposed(found.get((r, p), {})), 1)
            lower = words.equal(found.get((p, r), {}), words.transposed(found.get((s, q), {})), 1)
            require(mixed and upper and lower, f"the field is not Hamiltonian in {q}, {p}, {r}, {s}")
    return [
        "dq'/dq = -(dp'/dp)^T, dq'/dp and dp'/dq are symmetric: the field is Hamiltonian"
        f" ({len(data['derivative'])} blocks, letters {', '.join(x['name'] for x in data['letters']) or 'none'})"
    ]


def check_runge_kutta(data: dict[str, Any], ledger: Ledger) -> list[str]:
    field: Field = field_of(data["field"], ledger)
    A, b = [[field.read(a) for a in row] for row in data["A"]], [field.read(x) for x in data["b"]]
    require(1 <= len(b) == len(A) <= 64 and all(len(row) == len(b) for row in A), "a tableau of the wrong size")
    for i in range(len(b)):
        for j in range(len(b)):
            left = field.add(field.mul(b[i], A[i][j]), field.mul(b[j], A[j][i]))
            require(left == field.mul(b[i], b[j]), "b_i a_ij + b_j a_ji = b_i b_j does not hold")
    bound(data["forward"], "solvability", "upper", ledger)
    method = "b_i a_ij + b_j a_ji = b_i b_j: the method is symplectic; its equations have one solution each"
    return [*check_hamiltonian(data, ledger), method]


def check_shears(data: dict[str, Any], ledger: Ledger) -> list[str]:
    words, pairs = Words(data, ledger), pairs_of(data)
    require(1 <= len(data["shears"]) <= MAX_MOVES, "no shears, or too many")
    for shear in data["shears"]:
        moved, still = [p[shear["side"] == "momentum"] for p in pairs], [p[shear["side"] == "position"] for p in pairs]
        found = blocks(words, shear["derivative"], {n for p in pairs for n in p})
        require(all(of in moved and by in still for of, by in found), "a shear that reads what it moves")
        for i, of in enumerate(moved):
            for j, other in enumerate(moved):
                turned = words.transposed(found.get((other, still[i]), {}))
                require(words.equal(found.get((of, still[j]), {}), turned, 1), "a shear that is not by a gradient")
    return [f"a step is {len(data['shears'])} shears by gradients, each of which keeps the two-form"]


# --- bijections ----------------------------------------------------------------------


def check_moves(data: dict[str, Any], ledger: Ledger) -> list[str]:
    field, n = field_of(data["field"], ledger), len(data["slots"])
    require(1 <= n <= 256 and len(data["moves"]) <= MAX_MOVES, "no states, or too many moves")
    require(sorted(data["order"]) == list(range(n)), "the states at the end are not those of the beginning")
    for move in data["moves"]:
        ledger.charge(1)
        values = [field.read(x) for x in move["numbers"]]
        require(move["slot"] < n and all(k < n and k != move["slot"] for k in move["reads"]), "a move reads its slot")
        if move["kind"] == "number":
            require(len(values) == 1 and values[0] != field.zero, "a factor that is zero")
            require(field.degree == 1 or not_zero(values[0], field), "a factor that may be zero")
        elif move["kind"] == "factor":
            require(len(values) == 1 and values[0][1:] == field.zero[1:], "not a bound of a factor")
            require(values[0][0] > 0, "a factor that may be zero")
        else:
            require(not values and (move["kind"] == "shift" or not move["reads"]), "a move with numbers")
    words = "; ".join(f"{data['slots'][m['slot']]}: {m['kind']} {m['by']}" for m in data["moves"])
    return [f"a step is a sequence of moves with inverses in closed form ({words[:1500] or 'none'})"]


def not_zero(x: Number, field: Field) -> bool:
    """Whether a number is seen to differ from zero, by an enclosure of the root."""
    low, high = Fraction(0), max(Fraction(1), field.radicand)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle**field.degree <= field.radicand else (low, middle)
        low, high = Fraction((low * 2**220).__floor__(), 2**220), Fraction((high * 2**220).__ceil__(), 2**220)
    powers = [(low**k, high**k) for k in range(field.degree)]
    least = sum((c * (p[0] if c > 0 else p[1]) for c, p in zip(x, powers, strict=True)), Fraction(0))
    most = sum((c * (p[1] if c > 0 else p[0]) for c, p in zip(x, powers, strict=True)), Fraction(0))
    return least > 0 or most < 0


def bound(stated: dict[str, Any], role: str, sense: str, ledger: Ledger) -> Fraction:
    """The tau of a part, which is checked."""
    require((stated["role"], stated["sense"]) == (role, sense), "a part of another role")
    gram.Part(stated, ledger).check()
    return number(stated["tau"])


def check_distances(data: dict[str, Any], ledger: Ledger) -> list[str]:
    require(len(data["parts"]) == 1 + data["implicit"], "not the parts that are needed")
    tau = bound(data["parts"][0], "step", "lower", ledger)
    require(tau > 0, "distances may vanish")
    if data["implicit"]:
        bound(data["parts"][1], "solvability", "upper", ledger)
    return [
        f"a step leaves at least {tau} of every squared distance, so it is injective, with a closed image: a bijection"
    ]


def check_equations(data: dict[str, Any], ledger: Ledger) -> list[str]:
    require(len(data["forward"]) <= 1, "not the parts that are needed")
    for stated in (*data["forward"], data["back"]):
        bound(stated, "solvability", "upper", ledger)
    return ["the equations of the step forward and of the step back have one solution each, so the step is a bijection"]


def check_lipschitz_field(data: dict[str, Any], ledger: Ledger) -> list[str]:
    tau = bound(data["part"], "step", "upper", ledger)
    return [f"x + f(x) stretches squared distances at most {tau}-fold, so f is Lipschitz and its flow is a bijection"]


def check_lipschitz_rules(data: dict[str, Any], ledger: Ledger) -> list[str]:
    """Each node is constant (0), bounded and Lipschitz (1) or Lipschitz (2) in the states, for any fixed weights."""
    known: list[int] = []
    for node in data["nodes"]:
        ledger.charge(1 + len(node["args"]))
        require(all(k < len(known) for k in node["args"]), "a node before what it is made of")
        require(bool(node["args"]) == (node["rule"] not in ("state", "constant")), "a node with the wrong arguments")
        known.append(lipschitz(node["rule"], [known[k] for k in node["args"]]))
    require(data["field"] and all(k < len(known) for k in data["field"]), "no field")
    return [f"for any weights the field is Lipschitz in the states, by {len(known)} rules: its flow is a bijection"]


def lipschitz(rule: str, args: list[int]) -> int:
    if rule in ("state", "constant"):
        return 2 if rule == "state" else 0
    if rule == "product":
        require(len(args) == 2, "a product of other than two")
        require(min(args) == 0 or max(args) == 1, "a product of two factors that are not both bounded")
        return max(args)
    if rule == "quotient":
        require(len(args) == 2 and args[1] == 0, "a divisor that is not constant")
        return args[0]
    if rule == "smooth":
        require(max(args) <= 1, "a function that is smooth only, of what is not bounded")
    return min(1, max(args)) if rule == "bounded" else max(args)


CHECKS = {
    "runge-kutta": check_runge_kutta,
    "hamiltonian flow": check_hamiltonian,
    "shears": check_shears,
    "moves": check_moves,
    "distances": check_distances,
    "equations": check_equations,
    "lipschitz field": check_lipschitz_field,
    "lipschitz rules": check_lipschitz_rules,
}
