"""Matrices whose rows or columns have known sums: sums of all entries pass through them.

``sum(P @ x) = sum(x)`` where the columns of P sum to one; ``P @ ones = ones`` where its rows do. Of a graph's Laplacian
both sums are zero.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from odespec.exact import Real
from odespec.ir.expr import Expr, full, leaf
from odespec.ir.model import Model
from odespec.prove.relate.operators import Atom, Letter
from odespec.records import dataclass

ONE, ZERO = Fraction(1), Fraction(0)
_STRUCTURES = {"stochastic": (ONE, None), "doubly_stochastic": (ONE, ONE)}


@dataclass(frozen=True, slots=True)
class Sums:
    """The sum of each row, and of each column, by matrix; None where it is not known. ``diagonal``: such matrices."""

    known: dict[Expr, tuple[Fraction | None, Fraction | None]]
    diagonal: frozenset[Expr] = frozenset()

    def of(self, letter: Letter) -> tuple[Fraction | None, Fraction | None]:
        """Of a letter, the sums of its rows and of its columns."""
        e = letter.atom.expr
        if letter.atom.kind != "matrix" or e is None:
            return None, None
        rows, columns = self.known.get(e, (None, None))
        if e.op == "laplacian" and not e.data:
            rows = columns = ZERO
        elif e.op == "incidence":
            rows = ZERO
        elif e.op == "array" and len(e.shape) == 2:
            rows, columns = _array(e)
        return (columns, rows) if letter.adjoint else (rows, columns)

    def absorbed(self, first: Letter, second: Letter) -> tuple[Fraction, Letter] | None:
        """``first @ second`` as a number times one letter, where one of them sums entries and the other is a matrix."""
        row = _row(first, second)
        if row is not None:
            return ONE, row
        if first.atom.kind == "sum" and not first.adjoint and 0 in first.atom.axes and len(second.outs) == 1:
            total = self.of(second)[1]
            return None if total is None else (total, Letter(_resized(first.atom, second.ins)))
        if second.atom.kind == "sum" and second.adjoint and 0 in second.atom.axes and len(first.ins) == 1:
            total = self.of(first)[0]
            return None if total is None else (total, Letter(_resized(second.atom, first.outs), True))
        return None


def _row(first: Letter, second: Letter) -> Letter | None:
    """A constant row by a constant matrix: the inner product with another constant vector."""
    vector, matrix = first.atom.expr, second.atom.expr
    if matrix is None or matrix.op != "array" or second.atom.kind != "matrix" or len(second.ins) != 1:
        return None
    if first.atom.kind == "sum" and not first.adjoint and len(first.atom.ins) == 1:
        row: tuple[Real, ...] = (ONE,) * first.atom.ins[0]
    elif first.atom.kind == "column" and first.adjoint and vector is not None and vector.op == "array":
        assert isinstance(vector.data, tuple)
        row = vector.data
    else:
        return None
    assert isinstance(matrix.data, tuple)
    columns = matrix.data if second.adjoint else tuple(zip(*matrix.data, strict=True))
    image: list[Real] = []
    for column in columns:
        total: Real = ZERO
        for x, y in zip(row, column, strict=True):
            total = total + x * y
        image.append(total)
    e = Expr("array", (), (len(image),), tuple(image)) if any(image) else full(0, (len(image),))
    return Letter(Atom("column", e, e.shape, ()), True)


def _resized(atom: Atom, first: tuple[int, ...]) -> Atom:
    """The same sum over tensors with another first axis."""
    return replace(atom, ins=(*first, *atom.ins[1:]))


def _array(e: Expr) -> tuple[Fraction | None, Fraction | None]:
    assert isinstance(e.data, tuple)
    found = []
    for lines in (e.data, tuple(zip(*e.data, strict=True))):
        totals = {sum(line, ZERO) for line in lines}
        only = totals.pop() if len(totals) == 1 else None
        found.append(only if isinstance(only, Fraction) else None)
    return found[0], found[1]


def sums_of(model: Model) -> Sums:
    """What structures and constraints say of sums."""
    known: dict[Expr, tuple[Fraction | None, Fraction | None]] = {}
    for op, declared in (("param", model.params), ("input", model.inputs)):
        for d in declared:
            if d.structure in _STRUCTURES:
                known[leaf(op, d.name, d.shape)] = _STRUCTURES[d.structure]
    for r in model.constraints:
        e = r.operand
        if r.quantity == "entries" and r.equal and e.op == "sum" and isinstance(r.lower, Fraction):
            matrix, axes = e.args[0], e.data
            if matrix.op in ("param", "input") and len(matrix.shape) == 2 and axes in ((0,), (1,)):
                rows, columns = known.get(matrix, (None, None))
                known[matrix] = (rows, r.lower) if axes == (0,) else (r.lower, columns)
    diagonal = {leaf("param", p.name, p.shape) for p in model.params if p.structure == "diagonal"}
    diagonal |= {leaf("input", u.name, u.shape) for u in model.inputs if u.structure == "diagonal"}
    return Sums(known, frozenset(diagonal))
