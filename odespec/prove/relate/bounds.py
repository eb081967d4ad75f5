"""What is known of each operator for all weights that a model allows: its structure, its norm, its eigenvalues.

The squares of norms are kept, which are rational where the norms are not. Bounds of one norm give others:
``norm(W)^2 <= norm(W, 1) norm(W, inf)``, and from entries at most c in size, ``norm(W)^2 <= m d c^2``.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

from odespec.activations import Interval
from odespec.exact import Real, enclose, root
from odespec.ir.expr import Convolution, Expr, depends_on, leaves
from odespec.ir.model import Model, Relation
from odespec.ir.ranges import REAL, magnitude, meet
from odespec.prove.relate import arrays, exponentials
from odespec.prove.relate.intervals import Bound, Intervals, least, lower, upper
from odespec.prove.relate.operators import Algebra, Atom, NoRelation, Polynomial, Shapes, Word
from odespec.prove.relate.words import text
from odespec.records import dataclass

MAX_NORM2 = Fraction(10**6)
ONE = Fraction(1)
MOVING = ("state", "stage", "past", "noise", "initial")


@dataclass(frozen=True, slots=True)
class Facts:
    """``norm2 >= |A u|^2 / |u|^2``; ``floor2`` and ``cofloor2`` are at most that for A and for A.T.

    ``symmetry`` 1 or -1: A.T is A or -A. ``low`` and ``high``: the eigenvalues of a symmetric A. ``gram``: c where
    ``A.T A = c I``; ``cogram``: c where ``A A.T = c I``.
    """

    symmetry: int = 0
    norm2: Bound = None
    floor2: Fraction = Fraction(0)
    cofloor2: Fraction = Fraction(0)
    low: Bound = None
    high: Bound = None
    gram: Bound = None
    cogram: Bound = None


@dataclass(frozen=True, slots=True)
class Compound:
    """A constraint on a sum or a product of operators.

    ``quantity`` is ``norm``, ``eig``, or ``half``: eigenvalues of the sum of the polynomial and its transpose, halved.
    """

    polynomial: Polynomial
    quantity: str
    low: Bound
    high: Bound
    why: str


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Bounds that a constraint states of one operator; ``square`` is one of the squared 2-norm."""

    two: Bound = None
    one: Bound = None
    inf: Bound = None
    floor: Bound = None
    spectrum: Interval = REAL
    square: Bound = None


class Knowledge:
    """Reads the constraints of a model once. ``time`` encloses the times at which its field is evaluated."""

    def __init__(self, model: Model, time: Interval) -> None:
        inputs = [r for r in model.domains if not depends_on(r.operand, *MOVING)]
        relations = [r for r in (*model.constraints, *inputs) if not depends_on(r.operand, *MOVING)]
        self.intervals = Intervals(relations, time)
        self._structures = {(op, x.name): x.structure for op, xs in _declared(model) for x in xs if x.structure}
        self._copied = {(op, x.name) for op, xs in _declared(model) for x in xs if x.per_step}
        self._degrees = {r.operand.data: upper(r.upper) for r in model.constraints if r.quantity == "degree"}
        self._sizes: dict[Expr, _Sizes] = {}
        self._memo: dict[Atom, Facts] = {}
        self.compounds: list[Compound] = []
        self.algebra = Algebra(Shapes(self.symmetry, self._product, self._constant), self._per_step)
        self._bounds = _bound_relations(relations)
        for relation in self._bounds:
            self._learn(relation)

    def _per_step(self, e: Expr) -> bool:
        return any(leaf in self._copied or leaf[0] in ("time", "noise") for leaf in leaves(e))

    def copy_of(self, atom: Atom, copy: int) -> int:
        """The number of an atom's copy at a step: 0 where all steps share it."""
        return copy if atom.expr is not None and self._per_step(atom.expr) else 0

    def _constant(self, e: Expr) -> Fraction | None:
        inside = self.intervals.of(e)
        return inside.lower if inside.lower == inside.upper else None

    # --- structure -------------------------------------------------------------

    def symmetry(self, atom: Atom) -> int:
        e = atom.expr
        if atom.kind != "matrix" or e is None or atom.outs != atom.ins:
            return 0
        if e.op == "exponential":
            return exponentials.facts(self, atom).symmetry
        while e.op == "offdiag":
            e = e.args[0]
        structure = self._structures.get((e.op, e.data))
        if structure == "skew":
            return -1
        if structure in ("symmetric", "psd", "diagonal") or e.op in ("laplacian", "adjacency"):
            return 1
        return _array_symmetry(e) if e.op == "array" else 0

    def _product(self, atom: Atom, adjoint: bool) -> Fraction | None:
        e = atom.expr
        if atom.kind == "sum":
            return Fraction(prod(atom.ins), prod(atom.outs)) if adjoint else None
        if e is not None and e.op == "exponential" and atom.kind == "matrix":
            return exponentials.facts(self, atom).gram
        if e is None or atom.kind != "matrix" or self._structures.get((e.op, e.data)) != "orthogonal":
            return None
        tall, wide = e.shape[0] >= e.shape[1], e.shape[0] <= e.shape[1]
        return ONE if (wide if adjoint else tall) else None

    # --- constraints -----------------------------------------------------------

    def _learn(self, relation: Relation) -> None:
        """Keep a constraint under the atom that it speaks of, or as one on a compound expression."""
        if relation.operand.op == "graph" or len(relation.operand.shape) < 2:
            return
        try:
            polynomial = self.algebra.polynomial(relation.operand)
        except NoRelation:
            return
        low, high = lower(relation.lower), upper(relation.upper)
        if len(polynomial) == 1:
            (((scalars, word), factor),) = polynomial.items()
            if not scalars and len(word) == 1 and word[0].atom.kind == "matrix":
                self._keep(word[0].atom, word[0].adjoint, relation, low, high, factor)
                return
            self._square(scalars, word, relation, high, factor)
        if polynomial:
            self._compound(polynomial, relation, low, high)

    def _keep(self, atom: Atom, adjoint: bool, relation: Relation, low: Bound, high: Bound, factor: Fraction) -> None:
        assert atom.expr is not None
        size = abs(factor)
        top = None if high is None else high / size
        if relation.quantity == "norm":
            p = {1: "inf", "inf": 1, 2: 2}[relation.p] if adjoint else relation.p
            two, one, inf = (top if p == q else None for q in (2, 1, "inf"))
            self._merge(atom.expr, _Sizes(two, one, inf))
        elif relation.quantity == "sigma":
            self._merge(atom.expr, _Sizes(two=top, floor=None if low is None else max(low, Fraction(0)) / size))
        elif relation.quantity == "eig":
            ends = [None if x is None else x / factor for x in (low, high)]
            self._merge(atom.expr, _Sizes(spectrum=Interval(ends[factor < 0], ends[factor > 0])))

    def _merge(self, e: Expr, new: _Sizes) -> None:
        old = self._sizes.get(e, _Sizes())
        tops = [least(a, b) for a, b in ((old.two, new.two), (old.one, new.one), (old.inf, new.inf))]
        floor = meet(Interval(old.floor, None), Interval(new.floor, None)).lower
        spectrum, square = meet(old.spectrum, new.spectrum), least(old.square, new.square)
        self._sizes[e] = _Sizes(tops[0], tops[1], tops[2], floor, spectrum, square)

    def _square(self, scalars: object, word: Word, relation: Relation, high: Bound, factor: Fraction) -> None:
        """``norm(W.T @ W) <= c`` bounds the squared norm of W."""
        if scalars or high is None or relation.quantity == "entries" or relation.p != 2 or len(word) != 2:
            return
        first, second = word
        if first.atom == second.atom and first.adjoint != second.adjoint and first.atom.expr is not None and factor > 0:
            self._merge(first.atom.expr, _Sizes(square=high / factor))

    def _compound(self, polynomial: Polynomial, relation: Relation, low: Bound, high: Bound) -> None:
        why = text(relation.operand)
        if relation.quantity in ("norm", "sigma") and relation.p == 2 and high is not None:
            self.compounds.append(Compound(polynomial, "norm", None, high, f"norm({why}) <= {high}"))
        if relation.quantity == "eig" and self.algebra.transpose(polynomial) == polynomial:
            stated = f"eig({why}) in [{low}, {high}]"
            self.compounds.append(Compound(polynomial, "eig", low, high, stated))
            half = self._half(polynomial)
            if half is not None:
                ends = [None if x is None else x / 2 for x in (low, high)]
                self.compounds.append(Compound(half, "half", ends[0], ends[1], stated))

    def _half(self, polynomial: Polynomial) -> Polynomial | None:
        """A with ``A + A.T`` the polynomial, one word of each pair; None where every word is its own transpose."""
        half: Polynomial = {}
        for key, x in polynomial.items():
            ((turned, y),) = self.algebra.transpose({key: x}).items()
            if turned == key:
                half[key] = x / 2
            elif turned not in half:
                half[key] = x
                if polynomial.get(turned) != y:
                    return None
        return half if len(half) < len(polynomial) else None

    # --- facts -----------------------------------------------------------------

    def facts(self, atom: Atom) -> Facts:
        key = replace(atom, copy=0)
        if key not in self._memo:
            self._memo[key] = _bounded(self._facts(key))
        return self._memo[key]

    def _facts(self, atom: Atom) -> Facts:
        gram, cogram = self._product(atom, False), self._product(atom, True)
        if atom.kind == "sum":
            return Facts(0, cogram, cogram=cogram, cofloor2=cogram or Fraction(0))
        assert atom.expr is not None
        if atom.expr.op == "exponential":
            return exponentials.facts(self, atom)
        if atom.kind in ("entries", "scalar"):
            inside = self.intervals.of(atom.expr)
            return Facts(1, _square(inside), low=inside.lower, high=inside.upper)
        if atom.kind == "column":
            return Facts(0, self._vector_norm2(atom.expr))
        if gram is not None or cogram is not None:
            return Facts(0, ONE, gram or Fraction(0), cogram or Fraction(0), None, None, gram, cogram)
        return self._matrix(atom, atom.expr)

    def _vector_norm2(self, e: Expr) -> Bound:
        stated = [
            (upper(r.upper) or Fraction(0)) ** 2
            for r in self._bounds
            if r.quantity == "norm" and r.operand == e and r.p in (1, 2) and r.upper is not None
        ]
        square = _square(self.intervals.of(e))
        return least(*stated, None if square is None else prod(e.shape) * square)

    def _matrix(self, atom: Atom, e: Expr) -> Facts:
        sizes, symmetry = self._sizes.get(e, _Sizes()), self.symmetry(atom)
        one, inf = sizes.one, sizes.inf
        for o, i in self._entry_norms(e):
            one, inf = least(one, o), least(inf, i)
        if symmetry:
            one = inf = least(one, inf)
        spectrum = meet(sizes.spectrum, self._spectrum(e)) if symmetry == 1 else REAL
        squares = [None if sizes.two is None else sizes.two**2, sizes.square, _square(spectrum)]
        squares.append(None if one is None or inf is None else one * inf)
        if e.op == "array" and len(e.shape) == 2:
            squares.append(arrays.norm2(_rows(e)))
        if e.op == "conv":
            squares.append(self._kernel_norm2(e))
        if len(e.shape) == 2:
            squares.append(None if inf is None else e.shape[0] * inf**2)
            squares.append(None if one is None else e.shape[1] * one**2)
        floor2 = (sizes.floor or Fraction(0)) ** 2
        rows, columns = prod(atom.outs), prod(atom.ins)
        return Facts(
            symmetry,
            least(*squares),
            floor2 if rows >= columns else Fraction(0),
            floor2 if rows <= columns else Fraction(0),
            spectrum.lower,
            spectrum.upper,
        )

    def _kernel_norm2(self, e: Expr) -> Bound:
        """From the norm of all entries of a kernel.

        At every frequency the symbol is the sum over the taps of matrices times numbers of modulus one: its norm is at
        most the sum of their Euclidean norms, and that at most sqrt(taps) times the Euclidean norm of all. Zeros at the
        border and strides only leave entries out of a larger convolution; a reflection repeats some.
        """
        kernel, how = e.args[0], e.data
        assert isinstance(how, Convolution)
        if how.padding == "reflect":
            return None
        taps = {2: prod(kernel.shape[2:]), 1: 1}
        return least(
            None,
            *(
                taps[r.p] * (upper(r.upper) or Fraction(0)) ** 2
                for r in self._bounds
                if r.quantity == "norm" and r.operand == kernel and r.p in (1, 2) and r.upper is not None
            ),
        )

    def sums(self, atom: Atom) -> tuple[Bound, Bound]:
        """Bounds of the norms 1 and inf of an atom: the largest sum of a column's, of a row's absolute entries."""
        e = atom.expr
        if e is None:
            return None, None
        if atom.kind in ("entries", "scalar"):
            size = magnitude(self.intervals.of(e))
            return size, size
        if atom.kind != "matrix":
            return None, None
        while e.op == "offdiag":
            e = e.args[0]
        one, inf = self._sizes.get(e, _Sizes()).one, self._sizes.get(e, _Sizes()).inf
        for o, i in self._entry_norms(e):
            one, inf = least(one, o), least(inf, i)
        if self.symmetry(atom):
            one = inf = least(one, inf)
        return one, inf

    def _entry_norms(self, e: Expr) -> list[tuple[Bound, Bound]]:
        """Bounds of the norms 1 and inf from entries and structures."""
        if e.op == "conv":
            return self._convolution_norms(e)
        if len(e.shape) != 2:
            return []
        structure = self._structures.get((e.op, e.data))
        if structure == "stochastic":
            return [(Fraction(e.shape[0]), ONE)]
        if structure == "doubly_stochastic":
            return [(ONE, ONE)]
        if e.op == "array":
            return [_array_norms(e)]
        square = _square(self.intervals.of(e))
        if square is None:
            return []
        size = enclose(root(square, 2))[1]
        count = (1, 1) if structure == "diagonal" else e.shape
        return [(count[0] * size, count[1] * size)]

    def _convolution_norms(self, e: Expr) -> list[tuple[Bound, Bound]]:
        """Each output reads taps x channels inputs; where no padding repeats an input, each input is read as often."""
        kernel, how = e.args[0], e.data
        assert isinstance(how, Convolution)
        square = _square(self.intervals.of(kernel))
        if square is None or how.padding == "reflect":
            return []
        size, taps = enclose(root(square, 2))[1], prod(kernel.shape[2:])
        out, inputs = kernel.shape[0] // how.groups, kernel.shape[1]
        return [(out * taps * size, inputs * taps * size)]

    def _spectrum(self, e: Expr) -> Interval:
        """Eigenvalues of a symmetric matrix by its structure."""
        structure = self._structures.get((e.op, e.data))
        if structure == "psd":
            return Interval(Fraction(0), None)
        if structure == "diagonal":
            return self.intervals.of(e)
        if e.op in ("laplacian", "adjacency"):
            return self._graph_spectrum(e)
        if e.op == "array":
            return arrays.eigenvalues(_rows(e))
        return REAL

    def _graph_spectrum(self, e: Expr) -> Interval:
        """Gershgorin's circles, where the degree of a node is the sum of the weights of its edges."""
        degree = Fraction(1) if e.data else self._degrees.get(e.args[0].data)
        if e.op == "laplacian":
            return Interval(Fraction(0), None if degree is None else 2 * degree)
        return REAL if degree is None else Interval(-degree, degree)


def _declared(model: Model) -> tuple[tuple[str, tuple], ...]:  # type: ignore[type-arg]
    return (("param", model.params), ("input", model.inputs))


def _bound_relations(relations: list[Relation]) -> list[Relation]:
    return [r for r in relations if not isinstance(r.lower, Expr) and not isinstance(r.upper, Expr)]


def _square(inside: Interval) -> Bound:
    size = magnitude(inside)
    return None if size is None else size**2


def _bounded(facts: Facts) -> Facts:
    """Norms above a thousand say too little for the numbers they bring in: dropping them is sound."""
    norm2 = facts.norm2 if facts.norm2 is not None and facts.norm2 <= MAX_NORM2 else None
    low = facts.low if facts.low is not None and facts.low**2 <= MAX_NORM2 else None
    high = facts.high if facts.high is not None and facts.high**2 <= MAX_NORM2 else None
    if facts.symmetry == 1 and norm2 is not None:
        size = enclose(root(norm2, 2))[1]
        near = meet(Interval(low, high), Interval(None if high is None else -size, None if low is None else size))
        low, high = near.lower, near.upper
    return replace(facts, norm2=norm2, low=low, high=high)


# --- constant arrays -------------------------------------------------------------


def _rows(e: Expr) -> tuple[tuple[Real, ...], ...]:
    assert isinstance(e.data, tuple)
    return e.data


def _array_symmetry(e: Expr) -> int:
    rows = _rows(e)
    turned = tuple(zip(*rows, strict=True))
    if rows == turned:
        return 1
    return -1 if rows == tuple(tuple(-1 * x for x in row) for row in turned) else 0


def _array_norms(e: Expr) -> tuple[Fraction, Fraction]:
    sizes = [[max(abs(end) for end in enclose(x)) for x in row] for row in _rows(e)]
    zero = Fraction(0)
    return max(sum(column, zero) for column in zip(*sizes, strict=True)), max(sum(row, zero) for row in sizes)
