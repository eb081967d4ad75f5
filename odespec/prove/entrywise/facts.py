"""Rows and columns of operators, from constraints, structures and entries.

Sources of bounds: the norms inf and 1; a norm 2, as no row is longer (a row of n entries sums to at most sqrt(n) times
its length); eigenvalues, between which the diagonal of a symmetric matrix lies; entries; stochastic rows; graphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod

from odespec.exact import enclose, root
from odespec.ir.expr import Convolution, Expr, add, const, depends_on, eye, mul
from odespec.ir.model import Model, Relation
from odespec.ir.ranges import magnitude
from odespec.prove.entrywise.corners import Shape, Side, corners, lumped, of_rows, total, whole
from odespec.prove.entrywise.kernels import constant_kernel, diagonal_is_the_middle, of_kernel
from odespec.prove.entrywise.known import Known
from odespec.prove.relate.bounds import MOVING, Knowledge
from odespec.prove.relate.intervals import lower, upper
from odespec.prove.relate.operators import UNIT, Atom, Letter, NoRelation, Polynomial
from odespec.records import dataclass

ZERO, ONE = Fraction(0), Fraction(1)
Sides = tuple[Side, Side]
NOTHING: Sides = (Side(), Side())


@dataclass(frozen=True, slots=True)
class Compound:
    """A sum or product of operators (or its adjoint), as a polynomial and as one atom, of which a constraint speaks."""

    polynomial: Polynomial
    atom: Atom
    known: Known
    adjoint: bool


class RowFacts:
    """Reads the constraints of a model once."""

    def __init__(self, model: Model, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._structures: dict[tuple[str, object], str] = {
            (op, x.name): x.structure
            for op, xs in (("param", model.params), ("input", model.inputs))
            for x in xs
            if x.structure
        }
        self._degrees = {r.operand.data: upper(r.upper) for r in model.constraints if r.quantity == "degree"}
        self._stated: dict[Expr, Sides] = {}
        self.compounds: list[Compound] = []
        for relation in (*model.constraints, *model.domains):
            if not depends_on(relation.operand, *MOVING) and relation.quantity != "degree":
                self._learn(relation)

    # --- constraints ---------------------------------------------------------------

    def _learn(self, relation: Relation) -> None:
        """A constraint on one operator, or on one plus a multiple of the identity."""
        if len(relation.operand.shape) < 2 or isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
            return
        try:
            polynomial = dict(self.knowledge.algebra.polynomial(relation.operand))
        except NoRelation:
            return
        shift = polynomial.pop(UNIT, ZERO)
        if not polynomial:
            return
        (scalars, word), factor = next(iter(polynomial.items()))
        if (
            len(polynomial) > 1
            or scalars
            or len(word) != 1
            or word[0].atom.kind != "matrix"
            or word[0].atom.expr is None
        ):
            self._compound(polynomial, shift, relation)
            return
        found = _stated(relation, word[0].atom, shift / factor, factor)
        if found is not None:
            self._keep(word[0].atom.expr, found[::-1] if word[0].adjoint else found)

    def _compound(self, polynomial: Polynomial, shift: Fraction, relation: Relation) -> None:
        """A constraint on a sum or a product of operators, of which rows and columns are bounded together."""
        e = relation.operand
        atom = self.knowledge.algebra.matrix(e)
        sides = _stated(relation, atom, shift, ONE)
        if sides is None:
            return
        turned = self.knowledge.algebra.transpose(polynomial)
        if turned == polynomial or turned == _times(polynomial, -ONE):
            both = sides[0].meet(sides[1])
            sides = (both, both) if turned == polynomial else _skew(both)
        shape = corners if atom.outs == atom.ins else lumped
        known = Known(shape(sides[0]), shape(sides[1]), "a constraint on it")
        rest = e if not shift else add(e, mul(const(-shift), eye(e.shape[0])))
        found = Compound(polynomial, self.knowledge.algebra.matrix(rest), known, False)
        self.compounds.append(found)
        if turned != polynomial:
            self.compounds.append(Compound(turned, found.atom, known, True))

    def _keep(self, e: Expr, new: Sides) -> None:
        old = self._stated.get(e, NOTHING)
        self._stated[e] = (old[0].meet(new[0]), old[1].meet(new[1]))

    # --- operators -----------------------------------------------------------------

    def known(self, letter: Letter) -> Known:
        """Corners of the rows and columns of a letter that is no factor."""
        atom = letter.atom
        if atom.kind == "sum":
            found = Known(whole(Fraction(prod(atom.ins), prod(atom.outs))), whole(ONE), "a sum of entries")
        elif atom.kind == "column":
            assert atom.expr is not None
            found = self._column(atom.expr)
        else:
            assert atom.kind == "matrix"
            assert atom.expr is not None
            found = self._matrix(atom, atom.expr)
        return found.transposed if letter.adjoint else found

    def _column(self, e: Expr) -> Known:
        size = magnitude(self.knowledge.intervals.of(e))
        if size is None:
            return Known(Shape(), Shape())
        return Known(whole(size), whole(prod(e.shape) * size), "entries of a vector")

    def _matrix(self, atom: Atom, e: Expr) -> Known:
        if e.op == "array":
            return of_array(e)
        if e.op == "conv" and (kernel := constant_kernel(e.args[0])) is not None:
            return of_kernel(kernel, e)
        rows, columns = self._sides(atom, e)
        if atom.outs == atom.ins:
            return Known(corners(rows), corners(columns), "constraints on it")
        return Known(lumped(rows), lumped(columns), "constraints on it")

    def _sides(self, atom: Atom, e: Expr) -> Sides:
        found = NOTHING
        for rows, columns in self._all(atom, e):
            found = (found[0].meet(rows), found[1].meet(columns))
        if self.knowledge.symmetry(atom):
            both = found[0].meet(found[1])
            found = (both, both)
        return found

    def _all(self, atom: Atom, e: Expr) -> Iterator[Sides]:
        yield self._stated.get(e, NOTHING)
        if e.op == "offdiag":
            inner = self._sides(self.knowledge.algebra.matrix(e.args[0]), e.args[0])
            yield inner[0].without_diagonal(), inner[1].without_diagonal()
        else:
            yield from self._others(e)
        yield from self._structure(atom, e)
        yield from self._entries(atom, e)
        facts = self.knowledge.facts(atom)
        if facts.norm2 is not None:
            size = enclose(root(facts.norm2, 2))[1]
            rows, columns = _entries_in(atom, e)
            yield _long(size, rows), _long(size, columns)
        if self.knowledge.symmetry(atom) > 0 and (facts.low is not None or facts.high is not None):
            side = Side(low=facts.low, high=facts.high)
            yield side, side

    def _others(self, e: Expr) -> Iterator[Sides]:
        """What is stated of ``offdiag(W)`` holds of the entries of W beside the diagonal."""
        rows, columns = self._stated.get(Expr("offdiag", (e,), e.shape), NOTHING)
        zero = Side(low=ZERO, high=ZERO)
        tops = [max((r for _, r in corners(s.meet(zero)).corners), default=None) for s in (rows, columns)]
        yield Side(others=tops[0]), Side(others=tops[1])

    def _structure(self, atom: Atom, e: Expr) -> Iterator[Sides]:
        structure = self._structures.get((e.op, e.data))
        stochastic = Side(((ZERO, ONE),), low=ZERO, high=ONE)
        if structure == "stochastic":
            yield stochastic, Side(((ZERO, Fraction(e.shape[0])),), low=ZERO, high=ONE)
        elif structure == "doubly_stochastic":
            yield stochastic, stochastic
        elif structure in ("skew", "psd", "diagonal"):
            side = {
                "skew": Side(low=ZERO, high=ZERO),
                "psd": Side(low=ZERO),
                "diagonal": Side(others=ZERO),
            }[structure]
            yield side, side
        elif e.op in ("laplacian", "adjacency"):
            side = self._graph(e)
            yield side, side

    def _graph(self, e: Expr) -> Side:
        """The degree of a node is the sum of the weights of its edges."""
        degree = self._degrees.get(e.args[0].data)
        n = e.shape[0]
        if e.op == "adjacency":
            return Side() if degree is None else Side(((ZERO, degree),), low=ZERO)
        if e.data:
            return Side(others=enclose(root(Fraction(n - 1), 2))[1], low=ZERO, high=ONE)
        return Side(low=ZERO, high=degree, dominant=True)

    def _entries(self, atom: Atom, e: Expr) -> Iterator[Sides]:
        if e.op == "conv":
            yield from self._convolution(e)
            return
        inside = self.knowledge.intervals.of(e)
        size = magnitude(inside)
        if len(e.shape) != 2 or e.op not in ("param", "input"):
            return
        if size is None:
            side = Side(low=inside.lower, high=inside.upper)
            yield side, side
            return
        m, n = e.shape
        sides = []
        for k in (n, m):
            sides.append(Side(((ZERO, k * size),), (k - 1) * size, inside.lower, inside.upper))
        yield sides[0], sides[1]

    def _convolution(self, e: Expr) -> Iterator[Sides]:
        """An output reads each tap of each of its input channels once, and an input is read by each output channel."""
        kernel, how = e.args[0], e.data
        assert isinstance(how, Convolution)
        size = magnitude(self.knowledge.intervals.of(kernel))
        axes, shape = len(how.spatial), kernel.shape
        if size is None:
            return
        taps, repeats = prod(shape[2:]), 2**axes if how.padding == "reflect" else 1
        out = shape[0] // how.groups
        yield total(shape[1] * taps * size), total(out * taps * repeats * size)
        if diagonal_is_the_middle(e):
            inside = self.knowledge.intervals.of(kernel)
            side = Side(others=(shape[1] * taps - 1) * size, low=inside.lower, high=inside.upper)
            yield side, side


def _times(polynomial: Polynomial, factor: Fraction) -> Polynomial:
    return {key: factor * c for key, c in polynomial.items()}


def _skew(side: Side) -> Sides:
    """Rows and columns of a skew matrix have equal sizes, and nothing on the diagonal."""
    both = side.meet(Side(low=ZERO, high=ZERO))
    return both, both


def _entries_in(atom: Atom, e: Expr) -> tuple[int, int]:
    """How many entries other than zero a row, and a column, has at most."""
    rows, columns = prod(atom.ins), prod(atom.outs)
    if e.op == "conv":
        how, (out, ins, *window) = e.data, e.args[0].shape
        assert isinstance(how, Convolution)
        repeats = 2 ** len(window) if how.padding == "reflect" else 1
        return min(rows, ins * prod(window)), min(columns, out // how.groups * prod(window) * repeats)
    return rows, columns


def _long(size: Fraction, n: int) -> Side:
    """A row of n entries of at most that length."""
    return Side(
        ((ZERO, size * enclose(root(Fraction(n), 2))[1]),),
        size * enclose(root(Fraction(n - 1), 2))[1],
        -size,
        size,
    )


def _stated(relation: Relation, atom: Atom, centre: Fraction, factor: Fraction) -> Sides | None:
    """Bounds of W from one on ``factor * (W + centre * I)``."""
    high, size = upper(relation.upper), abs(factor)
    if high is None and relation.quantity != "eig":
        return None
    square = atom.outs == atom.ins
    if relation.quantity == "norm" and relation.p in (1, "inf"):
        assert high is not None
        side = Side(((-centre, high / size),)) if square or not centre else Side()
        return (side, Side()) if relation.p == "inf" else (Side(), side)
    if relation.quantity in ("norm", "sigma") and square:
        assert high is not None
        around = _around(_long(high / size, prod(atom.ins)), -centre)
        return around, around
    if relation.quantity == "eig" and high is not None and (low := lower(relation.lower)) is not None:
        around = _around(_long((high - low) / (2 * size), prod(atom.ins)), (high + low) / (2 * factor) - centre)
        return around, around
    return None


def _around(side: Side, k: Fraction) -> Side:
    """The bounds of rows moved by a multiple of the identity."""
    low, high = (None if x is None else x + k for x in (side.low, side.high))
    return Side(tuple((c + k, r) for c, r in side.balls), side.others, low, high)


def of_array(e: Expr) -> Known:
    """Of a constant matrix, whose entries are enclosed where they are irrational."""
    assert isinstance(e.data, tuple)
    ends = [[enclose(x) for x in row] for row in e.data]
    if all(low == high for row in ends for low, high in row) and e.shape[0] == e.shape[1]:
        exact = [[low for low, _ in row] for row in ends]
        return Known(of_rows(exact), of_rows([list(c) for c in zip(*exact, strict=True)]), "its entries")
    sizes = [[max(abs(x) for x in pair) for pair in row] for row in ends]
    rows, columns = (max(sum(r, ZERO) for r in side) for side in (sizes, list(zip(*sizes, strict=True))))
    return Known(whole(rows), whole(columns), "its entries")
