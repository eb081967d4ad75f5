"""What is known of the rows of an operator, for all weights that a model allows."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from odespec.activations import Interval
from odespec.exact import enclose
from odespec.ir.expr import Convolution, Expr, transpose
from odespec.ir.intervals import REAL, meet, root_above
from odespec.ir.model import Input, Model, Param
from odespec.program.limits import Limits, read_limits
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.intervals import lower, upper
from odespec.records import dataclass

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Rows:
    """``entries`` encloses every entry, ``total`` the sum of a row, ``size`` bounds the sum of its absolute values.

    ``degree``: of a graph's matrix, the sum of a row is the degree of the node. ``why``: in words.
    """

    entries: Interval
    total: Interval
    size: Fraction | None
    degree: str | None = None
    why: str = "its entries are not bounded"

    @property
    def positive(self) -> bool:
        return self.entries.lower is not None and self.entries.lower >= 0


class Operators:
    """Reads what a model says of its operators once."""

    def __init__(self, model: Model, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._limits, _ = read_limits(model.constraints)
        held: tuple[tuple[str, tuple[Param, ...] | tuple[Input, ...]], ...]
        held = (("param", model.params), ("input", model.inputs))
        self._structures: dict[tuple[str, object], str] = {
            (op, x.name): x.structure for op, xs in held for x in xs if x.structure
        }
        self._entries: dict[Expr, Interval] = {}
        for r in model.constraints:
            if r.quantity == "entries":
                stated = Interval(lower(r.lower), upper(r.upper))
                self._entries[r.operand] = meet(self._entries.get(r.operand, REAL), stated)
        self._degrees = {
            str(r.operand.data): upper(r.upper)
            for r in model.constraints
            if r.quantity == "degree" and r.operand.op == "graph" and r.upper is not None
        }

    def degree(self, graph: str) -> Interval:
        """The degrees of the nodes: the sums of the weights of their edges."""
        return Interval(ZERO, self._degrees.get(graph))

    def column_sum(self, operator: Expr) -> Fraction | None:
        """The sum of every column, where all have the same."""
        total = self.rows(_flipped(operator)).total
        return total.lower if total.lower == total.upper else None

    def rows(self, operator: Expr) -> Rows:
        """Of a matrix, or of an operator on tensors."""
        turned = operator.op == "transpose"
        base = operator.args[0] if turned else operator
        if base.op == "offdiag":
            return self._offdiag(base, turned)
        if base.op == "softmax" and not turned:
            last = base.data in (-1, len(base.shape) - 1)
            return _mean("softmax along the rows") if last else Rows(Interval(ZERO, Fraction(1)), REAL, None)
        if base.op == "array":
            return _of_array(base, turned)
        if base.op == "conv":
            return self._convolution(base, turned)
        if base.op == "adjacency" and not base.data:
            name = str(base.args[0].data)
            sums = self.degree(name)
            return Rows(Interval(ZERO, None), sums, sums.upper, name, f"the degrees of {name}")
        if base.op in ("laplacian", "incidence") and not base.data and not (turned and base.op == "incidence"):
            return Rows(REAL, Interval(ZERO, ZERO), None, None, "its rows sum to zero")
        if base.op in ("param", "input") and len(base.shape) == 2:
            return self._matrix(base, turned)
        return self._plain(base, len(base.shape) == 2 and (base.shape[0] if turned else base.shape[1]))

    def _matrix(self, base: Expr, turned: bool) -> Rows:
        structure = self._structures.get((base.op, base.data))
        if structure == "doubly_stochastic" or (structure == "stochastic" and not turned):
            return _mean(f"{base.data} is {structure}")
        count = base.shape[0] if turned else base.shape[1]
        plain = self._plain(base, count)
        limits = self._limits.get(str(base.data), Limits()) if base.op == "param" else Limits()
        sizes = [plain.size, *self._norms(base, turned, count)]
        if structure == "diagonal":
            sizes.append(None if plain.entries.upper is None else _size(plain.entries))
        size = min((s for s in sizes if s is not None), default=None)
        total = plain.total
        for limit in limits.of("sum"):
            if limit.axes == ((0,) if turned else (1,)):
                total = meet(total, Interval(lower(limit.lower), upper(limit.upper)))
        if size is not None:
            total = meet(total, Interval(ZERO if plain.positive else -size, size))
        if plain.positive and total.upper is not None:
            size = total.upper if size is None else min(size, total.upper)
        entries = plain.entries if size is None else meet(plain.entries, Interval(-size, size))
        return Rows(entries, total, size, None, f"the constraints on {base.data}")

    def _norms(self, base: Expr, turned: bool, count: int) -> list[Fraction | None]:
        """Bounds of a row's absolute sum from norms: ``sqrt(count)`` times the 2-norm."""
        facts = self.knowledge._sizes.get(base)
        atom_square = self._norm2(base)
        found: list[Fraction | None] = [None if atom_square is None else root_above(count * atom_square)]
        if facts is not None:
            found.append(facts.one if turned else facts.inf)
        return found

    def _norm2(self, base: Expr) -> Fraction | None:
        """The square of a bound of the 2-norm."""
        facts = self.knowledge._sizes.get(base)
        squares = [] if facts is None or facts.two is None else [facts.two**2]
        structure = self._structures.get((base.op, base.data))
        if structure == "orthogonal":
            squares.append(Fraction(1))
        if facts is not None and None not in (facts.spectrum.lower, facts.spectrum.upper):
            squares.append(_size(facts.spectrum) ** 2)
        return min(squares, default=None)

    def _plain(self, base: Expr, count: int) -> Rows:
        entries = meet(self.knowledge.intervals.of(base), self._by_structure(base))
        if not count or entries.lower is None or entries.upper is None:
            total = Interval(ZERO, None) if count and entries.lower is not None and entries.lower >= 0 else REAL
            return Rows(entries, total, None, None, f"the entries of {base.data or base.op}")
        total = Interval(count * entries.lower, count * entries.upper)
        return Rows(entries, total, count * _size(entries), None, f"the entries of {base.data or base.op}")

    def _by_structure(self, base: Expr) -> Interval:
        """What a structure says of every entry."""
        structure = self._structures.get((base.op, base.data))
        if structure in ("stochastic", "doubly_stochastic"):
            return Interval(ZERO, Fraction(1))
        return Interval(Fraction(-1), Fraction(1)) if structure == "orthogonal" else REAL

    def without_diagonal(self, operator: Expr) -> tuple[Interval, Rows] | None:
        """The diagonal entries and the rest of a square matrix whose constraints tell them apart; else None."""
        base = operator.args[0] if operator.op == "transpose" else operator
        off = Expr("offdiag", (base,), base.shape)
        if base.op not in ("param", "input") or (off not in self._entries and off not in self.knowledge._sizes):
            return None
        return self.rows(operator).entries, self._offdiag(off, operator.op == "transpose")

    def _offdiag(self, base: Expr, turned: bool) -> Rows:
        """Of a matrix without its diagonal; a constraint on it is one on this expression."""
        known = self._entries.get(base, REAL)
        inner = self.rows(Expr("transpose", base.args, base.shape) if turned else base.args[0])
        entries = meet(Interval(*_with_zero(known)), Interval(*_with_zero(inner.entries)))
        facts = self.knowledge._sizes.get(base)
        stated = None if facts is None else facts.one if turned else facts.inf
        count = base.shape[0] - 1
        sizes = [inner.size, stated, None if None in (entries.lower, entries.upper) else count * _size(entries)]
        size = min((s for s in sizes if s is not None), default=None)
        positive = entries.lower is not None and entries.lower >= 0
        total = Interval(ZERO if positive else None if size is None else -size, size)
        return Rows(entries, total, size, None, "what is known off the diagonal")

    def _convolution(self, base: Expr, turned: bool) -> Rows:
        """A row reads every tap of every channel once, at the edge perhaps fewer: without circular padding as zeros."""
        kernel, how = base.args[0], base.data
        assert isinstance(how, Convolution)
        inside = self.knowledge.intervals.of(kernel)
        whole = how.padding in ("circular", "reflect") and how.stride == 1 and not turned
        if kernel.op == "array":
            return _of_kernel(kernel, whole, turned)
        count = prod(kernel.shape[1:]) if not turned else kernel.shape[0] // how.groups * prod(kernel.shape[2:])
        if turned and how.padding == "reflect":
            return Rows(inside, REAL, None, None, "a kernel turned around at a reflecting edge")
        limits = self._limits.get(str(kernel.data), Limits()) if kernel.op == "param" else Limits()
        positive = inside.lower is not None and inside.lower >= 0
        sums = REAL
        for limit in limits.of("sum"):
            axes = tuple(range(len(kernel.shape)))
            if not turned and (limit.axes == axes[1:] or (limit.axes == axes and kernel.shape[0] == 1)):
                sums = meet(sums, Interval(lower(limit.lower), upper(limit.upper)))
        bounded = inside.lower is not None and inside.upper is not None
        sizes = [count * _size(inside) if bounded else None, sums.upper if positive else None]
        sizes += [upper(x.upper) for x in limits.of("absolute") if x.upper is not None]
        size = min((s for s in sizes if s is not None), default=None)
        if not whole:
            sums = Interval(ZERO if positive else None, sums.upper if positive else None)
        if size is not None:
            sums = meet(sums, Interval(ZERO if positive else -size, size))
        entries = Interval(*_with_zero(inside))
        return Rows(entries, sums, size, None, f"the constraints on {kernel.data}")


def _flipped(operator: Expr) -> Expr:
    return operator.args[0] if operator.op == "transpose" else transpose(operator)


def _mean(why: str) -> Rows:
    one = Fraction(1)
    return Rows(Interval(ZERO, one), Interval(one, one), one, None, why)


def _size(x: Interval) -> Fraction:
    assert x.lower is not None and x.upper is not None
    return max(abs(x.lower), abs(x.upper))


def _with_zero(x: Interval) -> tuple[Fraction | None, Fraction | None]:
    return None if x.lower is None else min(x.lower, ZERO), None if x.upper is None else max(x.upper, ZERO)


def _of_array(e: Expr, turned: bool) -> Rows:
    rows = [[enclose(x) for x in row] for row in e.data]  # type: ignore[attr-defined]
    if turned:
        rows = [list(column) for column in zip(*rows, strict=True)]
    return _summed(rows, whole=True, why="the matrix of the spec")


def _of_kernel(kernel: Expr, whole: bool, turned: bool) -> Rows:
    channels: list[list[tuple[Fraction, Fraction]]] = []
    for output in kernel.data:  # type: ignore[attr-defined]
        pending: list[Any] = [output]
        flat: list[tuple[Fraction, Fraction]] = []
        while pending:
            item = pending.pop()
            if isinstance(item, tuple):
                pending.extend(item)
            else:
                flat.append(enclose(item))
        channels.append(flat)
    if turned:
        channels = [[x for c in channels for x in c]]
    return _summed(channels, whole=whole, why="the kernel of the spec")


def _summed(rows: list[list[tuple[Fraction, Fraction]]], *, whole: bool, why: str) -> Rows:
    flat = [x for row in rows for x in row]
    entries = Interval(min(a for a, _ in flat), max(b for _, b in flat))
    low, high = min(sum(a for a, _ in row) for row in rows), max(sum(b for _, b in row) for row in rows)
    size = max(sum((max(abs(a), abs(b)) for a, b in row), ZERO) for row in rows)
    if not whole:
        entries = Interval(*_with_zero(entries))
        low, high = (ZERO if entries.lower == 0 else -size), size
    return Rows(entries, Interval(Fraction(low), Fraction(high)), size, None, why)
