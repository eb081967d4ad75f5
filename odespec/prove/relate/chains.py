"""Elementwise chains: vectors that are functions of one another entry by entry.

In each coordinate, a vector ``p = D z`` with slopes in [a, b] lies between ``a z`` and ``b z``: the facets ``p - a z``
and ``b z - p`` have the sign of z there. All facets of a chain (activations of one argument, activations of those where
their sign is that of the argument, and whatever is a combination of these) have one common sign in each coordinate, so
that the inner product of any two is non-negative.
"""

from __future__ import annotations

from dataclasses import field
from fractions import Fraction

from odespec.activations import Interval
from odespec.ir.ranges import REAL, plus, times
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Relation, Vector
from odespec.prove.relate.intervals import Bound
from odespec.records import dataclass

MAX_MEMBERS = 10
ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Member:
    """``p = D z`` with slopes in [low, high]; ``within`` encloses p by the root. ``implied``: its sector is known."""

    z: Vector
    p: Vector
    low: Bound
    high: Bound
    sign: int
    within: Interval
    why: str
    implied: bool

    def facets(self) -> list[Vector]:
        """Vectors that in each coordinate have the sign of the chain's root."""
        found = []
        if self.low is not None:
            found.append(combine((self.sign, self.p), (-self.sign * self.low, self.z)))
        if self.high is not None:
            found.append(combine((self.sign * self.high, self.z), (-self.sign, self.p)))
        return found


@dataclass(slots=True)
class Chain:
    root: Vector
    members: list[Member] = field(default_factory=list)

    def place(self, v: Vector) -> Interval | None:
        """Bounds of v by the root, where v is a combination of the chain's vectors."""
        parts = express(v, [self.root, *(m.p for m in self.members)])
        if parts is None:
            return None
        total = Interval(parts[0], parts[0])
        for c, member in zip(parts[1:], self.members, strict=True):
            total = plus(total, times(Interval(c, c), member.within))
        return total


class Chains:
    """All chains of a problem."""

    def __init__(self) -> None:
        self.all: list[Chain] = []

    def add(self, z: Vector, p: Vector, low: Bound, high: Bound, why: str, *, implied: bool = False) -> None:
        """Make known that ``p = D z`` elementwise with slopes in [low, high] (None: unbounded on that side)."""
        member = Member(z, p, low, high, 1, Interval(low, high), why, implied)
        rooted = False
        for chain in self.all:
            place = chain.place(z) if len(chain.members) < MAX_MEMBERS else None
            if place is not None:
                rooted |= _join(chain, place, member)
        if not rooted:
            self.all.append(Chain(z, [member]))

    def relations(self) -> list[Relation]:
        return [r for chain in self.all for r in _relations(chain)]


def _join(chain: Chain, place: Interval, member: Member) -> bool:
    """Add a member whose argument is placed in the chain; False where the argument's sign is not the root's."""
    within = times(place, Interval(member.low, member.high))
    sign = _sign(place)
    if sign:
        chain.members.append(_replaced(member, member.z, member.low, member.high, sign, within))
    elif within != REAL:
        chain.members.append(_replaced(member, chain.root, within.lower, within.upper, 1, within))
    return bool(sign)


def _sign(x: Interval) -> int:
    if x.lower is not None and x.lower >= 0:
        return 1
    return -1 if x.upper is not None and x.upper <= 0 else 0


def _replaced(m: Member, z: Vector, low: Bound, high: Bound, sign: int, within: Interval) -> Member:
    return Member(z, m.p, low, high, sign, within, m.why, m.implied and z == m.z)


def _relations(chain: Chain) -> list[Relation]:
    found = [_sector(m) for m in chain.members if not m.implied and m.low is not None and m.high is not None]
    groups = [(m.facets(), m.why) for m in chain.members]
    if all(m.low is None or m.high is None for m in chain.members if m.z == chain.root):
        groups.insert(0, ([chain.root], "sign of the argument"))
    for i, (facets, why) in enumerate(groups):
        for other, _ in groups[:i]:
            found += [_facets(f, g, why) for f in facets for g in other]
    return found


def _sector(m: Member) -> Relation:
    assert m.low is not None and m.high is not None
    return Relation("sector", (("z", (m.z,)), ("p", (m.p,))), (("a", m.low), ("b", m.high)), m.why)


def _facets(f: Vector, g: Vector, why: str) -> Relation:
    return Relation("facets", (("f", (f,)), ("g", (g,))), (), why)


def express(v: Vector, spanning: list[Vector]) -> list[Fraction] | None:
    """Coefficients of v in a list of vectors by elimination over the rationals; None where v is not in their span."""
    support = {i for w in spanning for i, _ in w}
    if any(i not in support for i, _ in v):
        return None
    rows: list[tuple[int, dict[int, Fraction], dict[int, Fraction]]] = []
    for k, w in enumerate(spanning):
        rest, parts = _reduce(dict(w), {k: ONE}, rows)
        if rest:
            rows.append((next(iter(rest)), rest, parts))
    rest, parts = _reduce(dict(v), {}, rows)
    return None if rest else [-parts.get(k, Fraction(0)) for k in range(len(spanning))]


def _reduce(
    rest: dict[int, Fraction],
    parts: dict[int, Fraction],
    rows: list[tuple[int, dict[int, Fraction], dict[int, Fraction]]],
) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
    """Subtract rows from a vector, keeping in ``parts`` how it is made of the spanning vectors."""
    for pivot, row, made in rows:
        if pivot in rest:
            factor = rest[pivot] / row[pivot]
            rest = dict(combine((ONE, tuple(rest.items())), (-factor, tuple(row.items()))))
            parts = dict(combine((ONE, tuple(parts.items())), (-factor, tuple(made.items()))))
    return rest, parts
