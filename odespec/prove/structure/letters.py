"""Words of linear operators: what the derivative of an expression is a sum of.

A letter is one operator with a transpose that is a letter again. A word is their product (the last one acts first) and a
product of scalars; a sum gives each word a coefficient. Words are kept in a normal form, so that equal operators mostly
have equal words: diagonal factors that stand together are one letter, factors on the left and on the right of a matrix
commute, a structure gives the transpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.exact import Real, is_zero
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape
from odespec.prove.relate.words import text
from odespec.records import dataclass

MAX_WORDS = 400


class NoWords(Exception):
    """An operation has no derivative in words; the message names it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """``kind``, with what ``exprs`` holds:

    ``left``: a matrix or operator applied from the left; ``right``: a matrix applied to the last axis; ``times``: one
    tensor by which entries are multiplied; ``outer``: (a, b) for ``x -> a <b, x>``; ``slope``: a ``softmax`` or
    ``layernorm`` node, whose derivative is symmetric; ``fold``: the sum over ``axes`` of a tensor of ``shape``.
    ``symmetry``: 1 symmetric, -1 skew, 0 neither. ``turned``: the transpose is meant.
    """

    kind: str
    exprs: tuple[Expr, ...]
    turned: bool = False
    symmetry: int = 0
    shape: Shape = ()
    axes: tuple[int, ...] = ()

    def transposed(self) -> Letter:
        if self.symmetry:
            return self
        if self.kind == "outer":
            return Letter("outer", self.exprs[::-1])
        return Letter(self.kind, self.exprs, not self.turned, 0, self.shape, self.axes)

    def __str__(self) -> str:
        words = ", ".join(text(e, 120) for e in self.exprs)
        mark = ".T" if self.turned else ""
        if self.kind in ("left", "right"):
            return f"{words}{mark}" if self.kind == "left" else f"(x @ {words}{mark})"
        name = {"times": "diag", "fold": f"sum{list(self.axes)}", "slope": "slope"}.get(self.kind, self.kind)
        return f"{name}({words}){mark}"


def times(e: Expr) -> Letter:
    return Letter("times", (e,), symmetry=1)


@dataclass(frozen=True, slots=True)
class Word:
    """``scalars`` times the product of ``letters``."""

    scalars: tuple[Expr, ...]
    letters: tuple[Letter, ...]

    def __str__(self) -> str:
        return " ".join([*(f"({text(s, 60)})" for s in self.scalars), *map(str, self.letters)]) or "1"


Sum = dict[Word, Real]
EMPTY = Word((), ())


def one() -> Sum:
    return {EMPTY: Fraction(1)}


def plus(a: Sum, b: Sum) -> Sum:
    total = dict(a)
    for word, c in b.items():
        value = total.get(word, Fraction(0)) + c
        if is_zero(value):
            total.pop(word, None)
        else:
            total[word] = value
    if len(total) > MAX_WORDS:
        raise NoWords("a derivative of very many terms")
    return total


def scaled(c: Real, a: Sum) -> Sum:
    return {} if is_zero(c) else {word: c * x for word, x in a.items()}


def product(a: Sum, b: Sum) -> Sum:
    total: Sum = {}
    for u, x in a.items():
        for v, y in b.items():
            sign, word = normal((*u.scalars, *v.scalars), (*u.letters, *v.letters))
            total = plus(total, {word: sign * (x * y)})
    return total


def letter(item: Letter) -> Sum:
    """A sum of one letter, in normal form."""
    sign, word = normal((), (item,))
    return {word: sign}


def scalar(e: Expr) -> Sum:
    """A sum of one scalar factor."""
    sign, word = normal((e,), ())
    return {word: sign}


def transposed(a: Sum) -> Sum:
    total: Sum = {}
    for word, c in a.items():
        skew = sum(x.symmetry == -1 for x in word.letters)
        sign, turned = normal(word.scalars, tuple(x.transposed() for x in reversed(word.letters)))
        total = plus(total, {turned: sign * c * (-1) ** skew})
    return total


# --- the normal form -------------------------------------------------------------


def normal(scalars: tuple[Expr, ...], letters: tuple[Letter, ...]) -> tuple[Real, Word]:
    """The word in normal form, and the number that goes in front of it."""
    coefficient, factors = _factors(scalars)
    kept: list[Letter] = []
    for item in _ordered(letters):
        c, parts = _push(kept, item)
        coefficient, factors = coefficient * c, factors + parts
    c, factors = _factors(tuple(factors))
    return coefficient * c, Word(_sorted(factors), tuple(kept))


def _push(kept: list[Letter], item: Letter) -> tuple[Real, list[Expr]]:
    """Put a letter behind others; returns the number and the scalars that come out of it."""
    last = kept[-1] if kept else None
    if last is not None and _cancels(last, item):
        kept.pop()
        return (Fraction(1), []) if not kept else _push(kept, kept.pop())
    if last is not None and {last.kind, item.kind} <= {"times", "outer"}:
        joined = _joined(kept.pop(), item)
        c, parts = _push(kept, joined[1])
        return c, parts + joined[0]
    if item.kind == "times":
        c, parts = _factors(item.exprs)
        tensors = _sorted(p for p in parts if p.shape)
        if tensors:
            kept.append(times(_product(tensors)))
        return c, [p for p in parts if not p.shape]
    if item.kind == "outer":
        sides = [_side(e) for e in item.exprs]
        kept.append(Letter("outer", tuple(e for _, _, e in sides)))
        return sides[0][0] * sides[1][0], sides[0][1] + sides[1][1]
    kept.append(item)
    return Fraction(1), []


def _joined(a: Letter, b: Letter) -> tuple[list[Expr], Letter]:
    """Two neighbours, each diagonal or of rank one, as scalars and one letter."""
    if a.kind == b.kind == "times":
        return [], times(ex.mul(a.exprs[0], b.exprs[0]))
    if a.kind == "times":
        return [], Letter("outer", (ex.mul(a.exprs[0], b.exprs[0]), b.exprs[1]))
    if b.kind == "times":
        return [], Letter("outer", (a.exprs[0], ex.mul(b.exprs[0], a.exprs[1])))
    u, v = a.exprs[1], b.exprs[0]
    inner = ex.mul(u, v) if not u.shape else ex.dot(u, v)
    return [inner], Letter("outer", (a.exprs[0], b.exprs[1]))


def _side(e: Expr) -> tuple[Real, list[Expr], Expr]:
    """A number, scalars, and the rest of one side of a letter of rank one."""
    c, parts = _factors((e,))
    tensors = _sorted(p for p in parts if p.shape)
    scalars = [p for p in parts if not p.shape]
    if tensors:
        return c, scalars, _product(tensors)
    return c, scalars, ex.full(1, e.shape)


def _product(factors: tuple[Expr, ...]) -> Expr:
    merged = factors[0]
    for p in factors[1:]:
        merged = ex.mul(merged, p)
    return merged


def _factors(exprs: tuple[Expr, ...]) -> tuple[Real, list[Expr]]:
    """The factors of a product of expressions: a number, and what is no product."""
    coefficient: Real = Fraction(1)
    pending, parts = list(exprs), list[Expr]()
    while pending:
        e = pending.pop()
        if e.op in ("const", "full"):
            coefficient = coefficient * e.data  # type: ignore[operator]
        elif e.op == "mul":
            pending.extend(e.args)
        elif e.op == "pow" and isinstance(e.data, Fraction) and e.data.denominator == 1 and 1 < e.data <= 8:
            pending.extend([e.args[0]] * e.data.numerator)
        else:
            parts.append(e)
    return coefficient, parts


def _sorted(exprs: Iterable[Expr]) -> tuple[Expr, ...]:
    return tuple(sorted(exprs, key=lambda e: (text(e, 2000), hash(e))))


def _ordered(letters: tuple[Letter, ...]) -> list[Letter]:
    """Factors on the left before neighbours on the right: they commute."""
    result = list(letters)
    moved = True
    while moved:
        moved = False
        for i in range(len(result) - 1):
            a, b = result[i], result[i + 1]
            if a.kind == "right" and b.kind == "left" and a.shape == b.shape == ():
                result[i], result[i + 1] = b, a
                moved = True
    return result


def _cancels(a: Letter, b: Letter) -> bool:
    """Whether two neighbours are ``Q.T Q`` of an orthogonal Q (marked by its shape) that gives the identity."""
    if not (a.axes == b.axes == _ORTHOGONAL and a.exprs == b.exprs and a.kind == b.kind == "left"):
        return False
    rows, columns = a.exprs[0].shape
    return a.turned != b.turned and (rows >= columns if a.turned else rows <= columns)


_ORTHOGONAL = (-1,)


def orthogonal(e: Expr) -> Letter:
    """The letter of an orthogonal matrix acting from the left."""
    return Letter("left", (e,), axes=_ORTHOGONAL)
