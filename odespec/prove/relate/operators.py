"""State-independent factors as polynomials in atomic operators.

A factor such as ``W - W.T - gamma*I`` or ``-K.T @ K`` is a sum of words with rational coefficients; a word is a bag
of scalar atoms (which commute with everything) and a product of letters. A letter is an atom or its adjoint. Words are
kept in a normal form: the transpose of a skew atom is minus the atom, ``W.T @ W`` of an orthogonal W is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.exact import Irrational
from odespec.ir.expr import Expr, Shape, power, split
from odespec.prove.relate.words import text
from odespec.records import dataclass

MAX_TERMS = 64
MAX_LETTERS = 64


class NoRelation(Exception):
    """A difference has no relation yet. ``what`` completes a sentence."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


class TooLarge(NoRelation):
    """There are more vectors than the engine takes on."""


@dataclass(frozen=True, slots=True)
class Atom:
    """An operator that is the same in both runs.

    ``kind``: ``matrix`` (of an expression: a matrix, or an operator on tensors), ``entries`` (elementwise
    multiplication by an expression), ``scalar`` (the same by a number), ``column`` (a number times an expression),
    ``sum`` (over axes).
    ``outs`` and ``ins`` are the shapes it maps between. ``copy`` tells weights of different steps apart.
    """

    kind: str
    expr: Expr | None
    outs: Shape
    ins: Shape
    axes: tuple[int, ...] = ()
    copy: int = 0

    @property
    def symmetry(self) -> int:
        """1 where the atom equals its adjoint by its kind, else 0."""
        return 1 if self.kind in ("entries", "scalar") else 0


@dataclass(frozen=True, slots=True)
class Letter:
    atom: Atom
    adjoint: bool = False

    @property
    def outs(self) -> Shape:
        return self.atom.ins if self.adjoint else self.atom.outs

    @property
    def ins(self) -> Shape:
        return self.atom.outs if self.adjoint else self.atom.ins


Word = tuple[Letter, ...]
Monomial = tuple[tuple[Atom, ...], Word]
Polynomial = dict[Monomial, Fraction]
UNIT: Monomial = ((), ())


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is known of atoms by their structure: what `Algebra` needs to bring words to normal form.

    ``symmetry``: 1 (symmetric), -1 (skew), 0. ``product(atom, adjoint)``: c where ``A.T A = c I`` (or with ``adjoint``
    ``A A.T = c I``), else None. ``constant``: the value of a scalar expression that has only one, else None.
    """

    symmetry: Callable[[Atom], int]
    product: Callable[[Atom, bool], Fraction | None]
    constant: Callable[[Expr], Fraction | None]


class Algebra:
    """Expands expressions. ``copy`` is the step whose weights are read, ``per_step`` says what has copies."""

    def __init__(self, shapes: Shapes, per_step: Callable[[Expr], bool] = lambda e: False) -> None:
        self.shapes = shapes
        self.per_step = per_step
        self.copy = 0
        self._memo: dict[tuple[Expr, int], Polynomial] = {}

    # --- atoms -----------------------------------------------------------------

    def matrix(self, e: Expr) -> Atom:
        half = split(e)
        return Atom("matrix", e, e.shape[:half], e.shape[half:], (), self._copy(e))

    def entries(self, e: Expr) -> Atom:
        return Atom("entries", e, e.shape, e.shape, (), self._copy(e))

    def column(self, e: Expr) -> Atom:
        return Atom("column", e, e.shape, (), (), self._copy(e))

    def scalar(self, e: Expr) -> Atom:
        return Atom("scalar", e, (), (), (), self._copy(e))

    def total(self, shape: Shape, axes: tuple[int, ...] | None) -> Atom:
        axes = tuple(range(len(shape))) if axes is None else tuple(a % len(shape) for a in axes)
        return Atom("sum", None, tuple(n for i, n in enumerate(shape) if i not in axes), shape, axes)

    def _copy(self, e: Expr) -> int:
        return self.copy if self.per_step(e) else 0

    # --- words -----------------------------------------------------------------

    def letter(self, atom: Atom, adjoint: bool = False) -> tuple[int, Letter]:
        """A letter in normal form with its sign."""
        symmetry = atom.symmetry or self.shapes.symmetry(atom)
        return (symmetry if adjoint and symmetry else 1), Letter(atom, adjoint and not symmetry)

    def join(self, letter: Letter, word: Word) -> tuple[Fraction, Word]:
        """``letter @ word`` in normal form, with its factor."""
        if word and word[0].atom == letter.atom and word[0].adjoint != letter.adjoint:
            factor = self.shapes.product(letter.atom, word[0].adjoint)
            if factor is not None:
                return factor, word[1:]
        return Fraction(1), (letter, *word)

    def product(self, a: Polynomial, b: Polynomial) -> Polynomial:
        """``a @ b``; of scalars and of a scalar with anything as well."""
        total: Polynomial = {}
        for (s, left), x in a.items():
            for (t, word), y in b.items():
                factor = x * y
                for letter in reversed(left):
                    step, word = self.join(letter, word)
                    factor *= step
                add_to(total, (merge(s, t), word), factor)
        return checked(total)

    def transpose(self, a: Polynomial) -> Polynomial:
        total: Polynomial = {}
        for (s, word), x in a.items():
            turned: list[Letter] = []
            for letter in reversed(word):
                sign, other = self.letter(letter.atom, not letter.adjoint)
                x, turned = x * sign, [*turned, other]
            add_to(total, (s, tuple(turned)), x)
        return total

    # --- expressions -----------------------------------------------------------

    def polynomial(self, e: Expr) -> Polynomial:
        """A matrix, an operator or a scalar as a polynomial. Raises `NoRelation` where it has too many terms."""
        if (e, self.copy) not in self._memo:
            for node in _outer(e):
                key = (node, self.copy)
                if key not in self._memo:
                    self._memo[key] = self._expand(node)
        return self._memo[e, self.copy]

    def factor(self, e: Expr) -> Polynomial:
        """An expression that multiplies a tensor of its own shape elementwise, as a polynomial in ``entries`` atoms."""
        total: Polynomial = {}
        pending = [({UNIT: Fraction(1)}, e)]
        for _ in range(MAX_TERMS):
            if not pending:
                return checked(total)
            scale, node = pending.pop()
            if node.op == "add":
                pending += [(scale, a) for a in node.args]
            elif node.op == "mul" and not (node.args[0].shape and node.args[1].shape):
                number, tensor = node.args if not node.args[0].shape else reversed(node.args)
                pending.append((self.product(scale, self.polynomial(number)), tensor))
            else:
                total = sum_of(total, self.product(scale, self._elementwise(node)))
        raise NoRelation("a factor has too many terms when it is multiplied out")

    def _elementwise(self, e: Expr) -> Polynomial:
        if not e.shape:
            return self.polynomial(e)
        if e.op == "full":
            return _constant(e.data)
        return {((), (Letter(self.entries(e)),)): Fraction(1)}

    def _expand(self, e: Expr) -> Polynomial:
        if not e.shape:
            return self._expand_scalar(e)
        below = [self._memo.get((a, self.copy), {}) for a in e.args]
        if e.op == "eye":
            return {UNIT: Fraction(1)}
        if e.op == "full" and e.data == 0:
            return {}
        if e.op == "add" and e.args[0].shape == e.args[1].shape:
            return checked(sum_of(*below))
        if (e.op in ("matmul", "mul") and _linear(e)) or e.op == "compose":
            return self.product(*below)
        if e.op == "lifted" and e.data == "first":  # words act on the first axes, whatever stands behind
            return below[0]
        if e.op == "transpose":
            return self.transpose(below[0])
        if e.op == "diag" and len(e.args[0].shape) == 1:
            return self.factor(e.args[0])
        return {((), (Letter(self.matrix(e)),)): Fraction(1)}

    def _expand_scalar(self, e: Expr) -> Polynomial:
        value = self.shapes.constant(e)
        if value is not None:
            return _constant(value)
        below = [self._memo.get((a, self.copy), {}) for a in e.args]
        if e.op == "const" and isinstance(e.data, Irrational):
            return {((self.scalar(e),), ()): Fraction(1)}
        if e.op == "add":
            return checked(sum_of(*below))
        if e.op == "mul":
            return self.product(*below)
        if e.op == "pow" and isinstance(e.data, Fraction) and e.data.denominator == 1 and 0 < abs(e.data) <= 8:
            return self._power(e.args[0], int(e.data))
        if e.op == "div":
            return self.product(below[0], self._power(e.args[1], -1))
        return {((self.scalar(e),), ()): Fraction(1)}

    def _power(self, e: Expr, n: int) -> Polynomial:
        base = self._memo.get((e, self.copy), {}) if n > 0 else self._inverse(e)
        total: Polynomial = {UNIT: Fraction(1)}
        for _ in range(abs(n)):
            total = self.product(total, base)
        return total

    def _inverse(self, e: Expr) -> Polynomial:
        """``1 / e`` by the inverse of what e is a power of."""
        value = self.shapes.constant(e)
        if value is not None:
            return {UNIT: 1 / value} if value else {((self.scalar(power(e, Fraction(-1))),), ()): Fraction(1)}
        base, count = e, 1
        if e.op == "pow" and isinstance(e.data, Fraction) and e.data.denominator == 1 and 1 < e.data <= 8:
            base, count = e.args[0], int(e.data)
        atom = self.scalar(power(base, Fraction(-1)))
        return {((atom,) * count, ()): Fraction(1)}


def _linear(e: Expr) -> bool:
    """Whether a product is one of polynomials: of matrices, or of a scalar with anything."""
    a, b = e.args
    if e.op == "mul":
        return not a.shape or not b.shape
    return len(a.shape) == len(b.shape) == 2


def _outer(e: Expr) -> list[Expr]:
    """The nodes that a polynomial is made of, arguments first; what stands inside an atom is not among them."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    pending: list[tuple[Expr, bool]] = [(e, False)]
    while pending:
        node, ready = pending.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            pending.append((node, True))
            pending.extend((a, False) for a in _inner(node))
    return order


def _inner(e: Expr) -> tuple[Expr, ...]:
    if e.op in ("transpose", "compose") or (e.op == "lifted" and e.data == "first"):
        return e.args
    if e.op == "add" and (not e.shape or e.args[0].shape == e.args[1].shape):
        return e.args
    if e.op in ("mul", "matmul") and (not e.shape or _linear(e)):
        return e.args
    return e.args if not e.shape and e.op in ("div", "pow") else ()


def _constant(value: object) -> Polynomial:
    if not isinstance(value, Fraction):
        raise NoRelation("an irrational number stands in an array")
    return {UNIT: value} if value else {}


def merge(s: tuple[Atom, ...], t: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """Two bags of scalars as one, in a fixed order."""
    return tuple(sorted(s + t, key=_order)) if s and t else s or t


def _order(atom: Atom) -> tuple[str, int, int]:
    return "" if atom.expr is None else text(atom.expr), atom.copy, hash(atom)


def add_to(total: Polynomial, key: Monomial, value: Fraction) -> None:
    """Add to a coefficient, keeping the polynomial free of zeros."""
    value += total.get(key, Fraction(0))
    if value:
        total[key] = value
    else:
        total.pop(key, None)


def sum_of(a: Polynomial, b: Polynomial) -> Polynomial:
    total = dict(a)
    for key, value in b.items():
        add_to(total, key, value)
    return total


def checked(a: Polynomial) -> Polynomial:
    """The polynomial itself. Raises `NoRelation` where it is too large to be used."""
    if len(a) > MAX_TERMS or any(len(s) + len(w) > MAX_LETTERS for s, w in a):
        raise NoRelation("a matrix expression has too many terms when it is multiplied out")
    return a
