"""How a field depends on the states and the time: which of its mixed derivatives can differ from zero.

An expression is a sum of terms, each a product of powers of variables and of a smooth function of others. ``free`` holds
the variables of the function, ``degrees`` the powers: a term has a derivative by a variable n times only if it is free,
or n is at most its power. Any operation that is not a sum, a product or linear makes its variables free.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from odespec.ir.expr import Expr, is_zero, postorder
from odespec.records import dataclass

MAX_TERMS = 24
LINEAR = frozenset({"sum", "mean", "transpose", "diag", "offdiag", "channel", "pool", "conv"})
PRODUCTS = frozenset({"mul", "matmul", "apply", "dot"})


@dataclass(frozen=True, slots=True)
class Term:
    """``degrees`` in the order of the names, without zeros."""

    free: frozenset[str]
    degrees: tuple[tuple[str, int], ...]

    def times(self, other: Term) -> Term:
        free = self.free | other.free
        powers: dict[str, int] = {}
        for name, n in (*self.degrees, *other.degrees):
            powers[name] = powers.get(name, 0) + n
        return Term(free, tuple(sorted((n, k) for n, k in powers.items() if n not in free)))

    @property
    def names(self) -> frozenset[str]:
        return self.free | {n for n, _ in self.degrees}


CONSTANT = Term(frozenset(), ())
Terms = frozenset[Term]


def dependence(expr: Expr, variables: Mapping[tuple[str, object], str]) -> Terms:
    """The terms of an expression; ``variables`` names the leaves by ``(op, data)``, others are constant."""
    known: dict[Expr, Terms] = {}
    for node in postorder(expr):
        known[node] = _simplified(_terms(node, [known[a] for a in node.args], variables))
    return known[expr]


def _terms(node: Expr, args: list[Terms], variables: Mapping[tuple[str, object], str]) -> Terms:
    if not node.args:
        name = variables.get((node.op, node.data))
        return (
            frozenset() if is_zero(node) else frozenset({CONSTANT if name is None else Term(frozenset(), ((name, 1),))})
        )
    if node.op == "add":
        return args[0] | args[1]
    if node.op in LINEAR:
        return args[0]
    if node.op in PRODUCTS:
        return frozenset(a.times(b) for a in args[0] for b in args[1])
    if node.op == "div" and not _names(args[1]):
        return args[0]
    if node.op == "pow" and isinstance(node.data, Fraction) and node.data.denominator == 1 and 0 < node.data <= 8:
        return _power(args[0], node.data.numerator)
    return frozenset({Term(frozenset().union(*map(_names, args)), ())})


def _power(terms: Terms, n: int) -> Terms:
    result: Terms = frozenset({CONSTANT})
    for _ in range(n):
        result = _simplified(frozenset(a.times(b) for a in result for b in terms))
    return result


def _names(terms: Terms) -> frozenset[str]:
    return frozenset().union(*(t.names for t in terms))


def _simplified(terms: Terms) -> Terms:
    """Without terms that others cover; too many become one that is free in everything."""
    kept = frozenset(t for t in terms if not any(t != u and _covers(u, t) for u in terms))
    return kept if len(kept) <= MAX_TERMS else frozenset({Term(_names(kept), ())})


def _covers(u: Term, t: Term) -> bool:
    """Whether every derivative that t has, u has too."""
    powers = dict(u.degrees)
    return t.free <= u.free and all(n in u.free or k <= powers.get(n, 0) for n, k in t.degrees)
