"""A map as a sequence of moves, each a bijection with an inverse in closed form.

The states stand in slots. A move changes one slot by what the others hold: ``slot <- scale(others) slot +
shift(others)``, its scale invertible. A map that is a composition of moves is found by undoing it: as long as a slot's
expression can be computed from the other slots up to a scale and a shift, they are taken off.
"""

from __future__ import annotations

from collections.abc import Sequence

from odespec.exact import Real, is_zero
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, postorder, rebuild
from odespec.ir.model import Model, Relation
from odespec.prove.orders.numbers import tidy
from odespec.prove.relate.intervals import Intervals
from odespec.prove.structure.hamiltonian import structures
from odespec.prove.structure.sums import Combination, canonical, combination, minus, size, written
from odespec.records import dataclass

MAX_MOVES = 200
UNKNOWN = frozenset({"state", "past", "stage"})


@dataclass(frozen=True, slots=True)
class Move:
    """``kind``: ``shift`` (``by`` is added), ``number`` (times a number that is not zero), ``factor`` (times the entries of
    ``by``, which lie in an interval without zero), ``matrix`` (times an orthogonal matrix), ``activation`` (a bijection
    of the line, entry by entry; ``by`` is a leaf under it).

    ``by`` is in the leaves of the slots, of which it never reads ``slot``.
    """

    slot: int
    kind: str
    by: Expr


@dataclass(frozen=True, slots=True)
class Moves:
    """``leaves`` are the slots at the start; after ``moves``, in their order, slot i holds what ``order[i]`` names."""

    leaves: tuple[Expr, ...]
    moves: tuple[Move, ...]
    order: tuple[int, ...]


def find_moves(leaves: Sequence[Expr], images: Sequence[Expr], model: Model) -> Moves | None:
    """The moves of a map from leaves to images; None where it is not found to be one."""
    search = _Search(tuple(leaves), canonical(images), model)
    return search.run()


class _Search:
    def __init__(self, leaves: tuple[Expr, ...], images: tuple[Expr, ...], model: Model) -> None:
        self.leaves, self.held, self.model = leaves, list(images), model
        self.structures = structures(model)
        self.intervals = Intervals((*model.constraints, *known_inputs(model)))
        self.undone: list[Move] = []

    def run(self) -> Moves | None:
        while len(self.undone) < MAX_MOVES:
            open_slots = [i for i, e in enumerate(self.held) if e not in self.leaves]
            if not open_slots:
                break
            if not any(self.undo(i) for i in open_slots):
                return None
        if sorted(map(self._place, self.held)) != list(range(len(self.leaves))):
            return None
        return Moves(self.leaves, tuple(reversed(self.undone)), tuple(map(self._place, self.held)))

    def _place(self, e: Expr) -> int:
        return self.leaves.index(e) if e in self.leaves else -1

    def undo(self, i: int) -> bool:
        """Take one move off a slot."""
        terms = combination(self.held[i])
        shift: Combination = {}
        for j, other in enumerate(self.held):
            terms, shift = self._without(terms, shift, i, j, other)
        open_terms: Combination = {}
        for term, c in terms.items():
            known = self.expressed(term, i)
            if known is None:
                open_terms[term] = c
            else:
                shift[known] = c
        if not open_terms:
            return False
        if shift:
            self._put(i, "shift", written(shift, self.held[i].shape), written(open_terms, self.held[i].shape))
            return True
        return self._unscale(i, open_terms)

    def _without(
        self, terms: Combination, shift: Combination, i: int, j: int, other: Expr
    ) -> tuple[Combination, Combination]:
        """The terms without a multiple of what another slot holds, where all of it stands among them.

        The multiple is that which takes away the largest term: of an explicit step, what was computed last.
        """
        own = combination(other)
        if i == j or len(own) < 2 or other.shape != self.held[i].shape or not own.keys() <= terms.keys():
            return terms, shift
        last = max(own, key=size)
        ratio = tidy(terms[last] / own[last])
        left = minus(terms, ratio, own)
        return (left, {**shift, self.leaves[j]: ratio}) if len(left) < len(terms) else (terms, shift)

    def _unscale(self, i: int, terms: Combination) -> bool:
        """The factors in front of one open expression."""
        shape = self.held[i].shape
        if len(terms) == 1:
            term, c = next(iter(terms.items()))
            if not _is_one(c):
                self._put(i, "number", ex.const(c), term)
                return True
            return self._unary(i, term) or self._common(i, terms, shape)
        return self._common(i, terms, shape)

    def _common(self, i: int, terms: Combination, shape: ex.Shape) -> bool:
        """``u + k * u + …``: one open expression under known factors, whose sum never vanishes."""
        factors = {term: self._factor(term, i) for term in terms}
        inner = {f[1] for f in factors.values() if f is not None}
        if len(inner) != 1 or None in factors.values():
            return False
        total = ex.const(0)
        for term, c in terms.items():
            factor = factors[term]
            assert factor is not None
            total = ex.add(total, ex.mul(ex.const(c), factor[0]))
        if total.op == "const" or not self._never_zero(total):
            return False
        self._put(i, "factor", total, inner.pop())
        return True

    def _factor(self, term: Expr, i: int) -> tuple[Expr, Expr] | None:
        """``(known, open)`` of a product entry by entry; a bare expression has the factor one."""
        if term.op == "mul":
            for a, b in (term.args, term.args[::-1]):
                known = self.expressed(a, i)
                if known is not None and b.shape == term.shape:
                    return known, b
        if term.op == "div" and term.args[0].shape == term.shape:
            known = self.expressed(term.args[1], i)
            if known is not None:
                return ex.power(known, -ex.const(1).data), term.args[0]  # type: ignore[operator]
        return ex.const(1), term

    def _never_zero(self, factor: Expr) -> bool:
        found = self.intervals.of(factor)
        return (found.lower is not None and found.lower > 0) or (found.upper is not None and found.upper < 0)

    def _unary(self, i: int, term: Expr) -> bool:
        if term.op == "matmul" and term.data is None and self._orthogonal(term.args[0]):
            self._put(i, "matrix", term.args[0], term.args[1])
            return True
        if term.op == "act" and _bijective(term):
            self._put(i, "activation", term, term.args[0])
            return True
        return False

    def _orthogonal(self, matrix: Expr) -> bool:
        inner = matrix.args[0] if matrix.op == "transpose" else matrix
        return self.structures.get(inner) == "orthogonal" and inner.shape[0] == inner.shape[1]

    def _put(self, i: int, kind: str, by: Expr, rest: Expr) -> None:
        self.undone.append(Move(i, kind, by))
        self.held[i] = rest

    def expressed(self, e: Expr, i: int) -> Expr | None:
        """An expression in the leaves of the slots other than i; None where it needs more than they hold."""
        others = {h: self.leaves[j] for j, h in enumerate(self.held) if j != i}
        new: dict[Expr, Expr | None] = {}
        for node in postorder(e):
            if node in others:
                new[node] = others[node]
                continue
            args = [new[a] for a in node.args]
            if node.op in UNKNOWN or any(a is None for a in args):
                new[node] = self._by_sum(node, others, new) if node.op == "add" else None
            else:
                new[node] = rebuild(node, tuple(a for a in args if a is not None)) if args else node
        return new[e]

    def _by_sum(self, node: Expr, others: dict[Expr, Expr], new: dict[Expr, Expr | None]) -> Expr | None:
        """A sum of which a part is what another slot holds, and the rest is known."""
        terms = combination(node)
        for held, leaf in others.items():
            own = combination(held)
            if held.shape != node.shape or not own or not own.keys() <= terms.keys():
                continue
            ratio = tidy(terms[last := max(own, key=size)] / own[last])
            left = minus(terms, ratio, own)
            known = {term: new.get(term) for term in left}
            if len(left) < len(terms) and None not in known.values():
                rest = {k: left[t] for t, k in known.items() if k is not None}
                return ex.add(ex.mul(ex.const(ratio), leaf), written(rest, node.shape))
        return None


def _is_one(c: Real) -> bool:
    return is_zero(c - 1)


def known_inputs(model: Model) -> tuple[Relation, ...]:
    """Domains that speak of inputs: they hold at every step."""
    return tuple(r for r in model.domains if not ex.depends_on(r.operand, "state"))


def _bijective(node: Expr) -> bool:
    """Whether an activation maps the line onto itself, one to one."""
    assert isinstance(node.data, tuple)
    name, parameters = node.data
    return name == "identity" or (name == "leaky_relu" and bool(parameters[0] > 0))
