"""Proofs of ``order >= p``: the order conditions of a method, over the rooted trees that its field can have.

The expansions of the exact solution and of a step in powers of h run over rooted trees whose nodes have a colour: the
group of states that the node's field drives (Butcher; Hairer, Norsett & Wanner I, sections II.2 and II.15). They agree
to order p if and only if, for every tree with at most p nodes, the number that the method gives the tree is
``1 / gamma(tree)``. A tree in which a node has children by which its field has no mixed derivative contributes nothing.

``stages``: Runge-Kutta methods, one tableau for each group of states (partitioned methods have several). ``series``:
methods that treat a part L x of the field by functions of hL, written as power series in hL (exponential and
linearly implicit ones). ``multistep``: the conditions on its polynomials, the root condition, and a start of order
p - 1. ``consistent``: a step ``x + h f(x) + O(h^2)``, which gives order 1.
"""

import re
from fractions import Fraction
from typing import Any

from .core import LITERAL, Ledger, check_assumptions, conform, count, line, plain, require
from .radical import Field, Number, field_of

MAX_ORDER, MAX_TREES, MAX_STAGES, MAX_COLOURS = 12, 20_000, 64, 12
TIME = "t"

NUMBER = [line]
TERM = {"free": [line], "degrees": {str: count}}
TABLEAU = {"A": [[NUMBER]], "b": [NUMBER]}
GROUP = {"name": line, "states": [line], "tableau": count, "terms": [TERM]}
STAGES = {"tableaux": [TABLEAU], "times": [NUMBER], "groups": [GROUP]}
SERIES = {
    "start": [[NUMBER]],
    "weights": [[[NUMBER]]],
    "last": [NUMBER],
    "sum": [[NUMBER]],
    "times": [NUMBER],
    "linear": line,
}
MULTISTEP = {"alpha": [NUMBER], "beta": [NUMBER], "start": STAGES}
METHODS: dict[str, Any] = {
    "stages": STAGES,
    "series": SERIES,
    "multistep": MULTISTEP,
    "consistent": {"step": line},
}


def anything(value: Any) -> None:
    """What depends on the family."""


SCHEMA = {
    "order": count,
    "field": {"degree": count, "of": line},
    "family": set(METHODS),
    "method": anything,
}
NEEDED = [
    "exact arithmetic",
    "solver equations solved exactly",
    "the field is as smooth as the order asks, and data given step by step is constant within a step",
]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    proof = c["proof"]
    p = claimed(c)
    require(proof["order"] == p, "the order is not the one that is claimed")
    check_assumptions(c, NEEDED)
    require(c["slack"] == "0", "an order has no slack")
    conform(proof["method"], METHODS[proof["family"]], "proof.method")
    require(1 <= p <= MAX_ORDER, "an order that is not looked at")
    field = field_of(proof["field"], ledger)
    return CHECKS[proof["family"]](proof["method"], p, field)


def claimed(c: dict[str, Any]) -> int:
    """The order that the claim asks for; the resolved claim is the one of the text."""
    resolved = re.fullmatch(r"order >= ([0-9]{1,3})", c["claim"]["resolved"])
    require(resolved, "not a claim that this file can check")
    written = re.fullmatch(r"order>=(.+)", re.sub(r"\s", "", c["claim"]["text"][:2000]))
    require(written, "the claim was resolved to another one")
    assert resolved and written
    if re.fullmatch(LITERAL, written[1]):
        require(plain(written[1]).__ceil__() == int(resolved[1]), "the claim was resolved to another number")
    return int(resolved[1])


# --- tableaux ------------------------------------------------------------------------


def check_stages(method: dict[str, Any], p: int, field: Field) -> list[str]:
    n = Stages(method, field).check(p)
    names = "; ".join(f"{' '.join(g['states'])}: {terms_in_words(g['terms'])}" for g in method["groups"])
    return [f"the field depends on the states as follows ({names})", f"all order conditions hold: {n} trees"]


def terms_in_words(terms: list[dict[str, Any]]) -> str:
    """``any function of x t; x times y^2``."""

    def one(term: dict[str, Any]) -> str:
        powers = [f"{n}^{k}" if k > 1 else n for n, k in term["degrees"].items() if k]
        free = [f"any function of {', '.join(term['free'])}"] if term["free"] else []
        return " times ".join([*free, *powers]) or "a constant"

    return " + ".join(map(one, terms)) or "zero"


class Tree:
    """A tree by what is needed of it: its colour, size, density, and its weight in the stages before and after A."""

    def __init__(self, colour: str, size: int, density: int, own: list[Number], pushed: list[Number]) -> None:
        self.colour, self.size, self.density, self.own, self.pushed = colour, size, density, own, pushed


class Stages:
    """The trees of a field, with their weights in tableaux that share their stages."""

    def __init__(self, method: dict[str, Any], field: Field) -> None:
        self.field = field
        self.tableaux = [
            ([[field.read(a) for a in row] for row in t["A"]], [field.read(b) for b in t["b"]])
            for t in method["tableaux"]
        ]
        self.times = [field.read(t) for t in method["times"]]
        s = len(self.times)
        require(1 <= s <= MAX_STAGES and self.tableaux, "no stages, or too many")
        for A, b in self.tableaux:
            require(len(A) == len(b) == s and all(len(row) == s for row in A), "a tableau has the wrong size")
        self.groups = {g["name"]: g for g in method["groups"]}
        require(len(self.groups) == len(method["groups"]) <= MAX_COLOURS, "a group stands twice, or there are too many")
        require(TIME not in self.groups and self.groups, "no groups, or one with the name of the time")
        names = [n for g in method["groups"] for n in g["states"]]
        require(len(set(names)) == len(names) > 0, "a state in two groups")
        known = {*self.groups, TIME}
        for g in method["groups"]:
            require(g["tableau"] < len(self.tableaux), "there is no such tableau")
            require(all({*t["free"], *t["degrees"]} <= known for t in g["terms"]), "a term in unknown groups")

    def check(self, p: int) -> int:
        """All trees with up to p nodes fulfil their conditions; returns their number."""
        one = [self.field.one] * len(self.times)
        found: list[Tree] = [Tree(TIME, 1, 1, one, self.times)]
        number_of_trees = 0
        for size in range(1, p + 1):
            fresh = [t for g in self.groups for t in self.rooted(g, size, found)]
            for tree in fresh:
                self.holds(tree)
            number_of_trees += len(fresh)
            require(number_of_trees <= MAX_TREES, "too many trees")
            found += fresh
        return number_of_trees

    def holds(self, tree: Tree) -> None:
        b = self.tableaux[self.groups[tree.colour]["tableau"]][1]
        wanted = self.field.rational(Fraction(1, tree.density))
        require(self.field.dot(b, tree.own) == wanted, f"a condition for order {tree.size} does not hold")

    def rooted(self, colour: str, size: int, smaller: list[Tree]) -> list[Tree]:
        """All trees of a size with a root of a colour, from the smaller ones."""
        found = []
        for children in self.forests(size - 1, smaller, len(smaller)):
            counts: dict[str, int] = {}
            for child in children:
                counts[child.colour] = counts.get(child.colour, 0) + 1
            if any(supports(term, counts) for term in self.groups[colour]["terms"]):
                found.append(self.grown(colour, size, children))
        return found

    def grown(self, colour: str, size: int, children: list[Tree]) -> Tree:
        density, own = size, [self.field.one] * len(self.times)
        for child in children:
            density *= child.density
            own = [self.field.mul(x, y) for x, y in zip(own, child.pushed, strict=True)]
        A = self.tableaux[self.groups[colour]["tableau"]][0]
        return Tree(colour, size, density, own, [self.field.dot(row, own) for row in A])

    def forests(self, nodes: int, trees: list[Tree], until: int) -> list[list[Tree]]:
        """Multisets of the first trees with so many nodes together."""
        if nodes == 0:
            return [[]]
        self.field.ledger.charge(1)
        found = []
        for k in range(until):
            if trees[k].size <= nodes:
                found += [[trees[k], *rest] for rest in self.forests(nodes - trees[k].size, trees, k + 1)]
        require(len(found) <= MAX_TREES, "too many trees")
        return found


def supports(term: dict[str, Any], counts: dict[str, int]) -> bool:
    """Whether a term of the field has a derivative by so many variables of each colour."""
    return all(c in term["free"] or n <= term["degrees"].get(c, 0) for c, n in counts.items())


# --- functions of hL -----------------------------------------------------------------


class Series(Stages):
    """Trees whose nodes are L (with one child, or none for L x) or N (with any children and times).

    Stage i has the value ``start[i](hL) x + h sum_j weights[i][j](hL) N(t + times[j] h, stage j)``; the step likewise
    with ``last`` and ``sum``.
    """

    def __init__(self, method: dict[str, Any], field: Field, p: int) -> None:
        self.field, self.p = field, p
        read = field.read
        self.times = [read(t) for t in method["times"]]
        s = len(self.times)
        require(1 <= s <= MAX_STAGES, "no stages, or too many")
        self.start = [[read(x) for x in r] for r in method["start"]]
        self.weights = [[[read(x) for x in a] for a in row] for row in method["weights"]]
        self.last, self.sum = [read(x) for x in method["last"]], [[read(x) for x in b] for b in method["sum"]]
        require(len(self.start) == len(self.weights) == len(self.sum) == s, "series of the wrong number")
        require(all(len(row) == s for row in self.weights), "series of the wrong number")
        series = [*self.start, *(a for row in self.weights for a in row), self.last, *self.sum]
        require(all(len(x) > p for x in series), "a series that is too short")
        require(all(r[0] == field.one for r in (*self.start, self.last)), "a step of length zero moves the state")

    def check(self, p: int) -> int:
        ones = [self.field.one] * len(self.times)
        found = [Tree(TIME, 1, 1, ones, self.times)]
        chains: list[tuple[int, Tree | None, int, int]] = [(0, None, 0, 1)]  # L-nodes, the tree below, size, density
        number_of_trees = 0
        for size in range(1, p + 1):
            fresh = [(k + 1, below, size, size * d) for k, below, n, d in chains if n == size - 1]
            for children in self.forests(size - 1, found, len(found)):
                tree = self.root(size, children)
                fresh.append((0, tree, size, tree.density))
            for k, below, _, density in fresh:
                value = self.value(k, below, self.last, self.sum)
                require(value == self.field.rational(Fraction(1, density)), f"a condition for order {size} fails")
                stages = [self.value(k, below, r, a) for r, a in zip(self.start, self.weights, strict=True)]
                found.append(Tree("L" if k else "N", size, density, ones, stages))
            chains += fresh
            number_of_trees += len(fresh)
            require(number_of_trees <= MAX_TREES, "too many trees")
        return number_of_trees

    def root(self, size: int, children: list[Tree]) -> Tree:
        """An N-node on children."""
        density, own = size, [self.field.one] * len(self.times)
        for child in children:
            density *= child.density
            own = [self.field.mul(x, y) for x, y in zip(own, child.pushed, strict=True)]
        return Tree("N", size, density, own, own)

    def value(self, k: int, below: Tree | None, first: list[Number], parts: list[list[Number]]) -> Number:
        """The weight of ``L^k`` on a tree (None: on the state) in a value of the form of a stage."""
        if below is None:
            return first[k]
        return self.field.dot([part[k] for part in parts], below.own)


def check_series(method: dict[str, Any], p: int, field: Field) -> list[str]:
    n = Series(method, field, p).check(p)
    return [f"the field is L x + N(t, x), L x = {method['linear']}", f"all order conditions hold: {n} trees"]


# --- several steps -------------------------------------------------------------------


def check_multistep(method: dict[str, Any], p: int, field: Field) -> list[str]:
    require(field.degree == 1, "a multistep method with roots")
    alpha, beta = ([field.read(x)[0] for x in method[key]] for key in ("alpha", "beta"))
    require(2 <= len(alpha) == len(beta) <= 8 and alpha[-1] != 0, "coefficients of the wrong number")
    for q in range(p + 1):
        left = sum(a * j**q for j, a in enumerate(alpha))
        right = q * sum(b * (j ** (q - 1) if q > 1 else 1) for j, b in enumerate(beta)) if q else 0
        require(left == right, f"the condition of order {q} does not hold")
    require(zero_stable(alpha), "the root condition does not hold")
    starting = Stages(method["start"], field).check(p - 1) if p > 1 else 0
    return [
        f"sum alpha_j j^q = q sum beta_j j^(q-1) for q = 0 .. {p}, and the root condition holds",
        f"the starting steps have order {p - 1}: {starting} trees",
    ]


def zero_stable(alpha: list[Fraction]) -> bool:
    """All roots of a polynomial (coefficients from the constant on) in the unit disc, those on the circle simple.

    Roots 1 and -1 are divided off once each; what is left must have all its roots inside: the Schur-Cohn test.
    """
    for root in (1, -1):
        value = sum(a * root**j for j, a in enumerate(alpha))
        if value == 0:
            quotient = [alpha[-1]]
            for a in alpha[-2:0:-1]:
                quotient.append(a + root * quotient[-1])
            alpha = quotient[::-1]
    while len(alpha) > 1:
        if abs(alpha[0]) >= abs(alpha[-1]):
            return False
        ratio = alpha[0] / alpha[-1]
        alpha = [a - ratio * b for a, b in mirrored(alpha)]
    return True


def mirrored(alpha: list[Fraction]) -> list[tuple[Fraction, Fraction]]:
    """Coefficients 1, 2, … with those of the reversed polynomial at the same places."""
    return list(zip(alpha[1:], alpha[-2::-1], strict=True))


def check_consistent(method: dict[str, Any], p: int, field: Field) -> list[str]:
    require(p == 1, "consistency gives order 1 only")
    return [f"a step is x + h f(t, x) + O(h^2): {method['step']}"]


CHECKS = {
    "stages": check_stages,
    "series": check_series,
    "multistep": check_multistep,
    "consistent": check_consistent,
}
