"""Ways to write an operator as ``shift + D B``, with a positive semidefinite D taken out, or turned about.

The eigenvalues of D B are those of ``D^(1/2) B D^(1/2)``; the eigenvalues of P Q that are not zero are those of Q P.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from odespec.ir.expr import Shape
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import Letter
from odespec.prove.spectrum.words import UNIT, Block, Entry, Operators, Word, identity, ordered, scaled, sum_of
from odespec.records import dataclass

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Form:
    """``shift + D B`` on tensors of the given shapes, one for each row of the block ``inner`` (B).

    ``factor``: the ends of the eigenvalues of D; None where there is no D. ``kind``: of B.
    """

    inner: Block
    shapes: tuple[Shape, ...]
    factor: tuple[Fraction, Fraction | None] | None
    shift: Fraction
    kind: str


def forms(block: Block, shapes: tuple[Shape, ...], knowledge: Knowledge, *, zero: bool = False) -> Iterator[Form]:
    """The ways in which an operator can be written, the ones of which most is known first.

    ``zero``: the region must have the number ``shift`` in it as well.
    """
    ways: list[Form] = []
    for shift in [ZERO] if zero else _shifts(block):
        moved = sum_of(block, identity(len(block), shift), -1) if shift else block
        ways += _ways(Form(moved, shapes, (ZERO, ONE) if zero else None, shift, "any"), knowledge)
    operators = Operators(knowledge.algebra)
    known = [replace(f, kind=_kind(f.inner, operators)) for f in ways]
    seen: list[Form] = []
    for f in sorted(known, key=lambda f: (f.kind == "any", f.factor is not None)):
        if f not in seen:
            seen.append(f)
            yield f


def _shifts(block: Block) -> list[Fraction]:
    """Zero, and the multiple of the identity that can be taken out."""
    found = {row[i].get(UNIT, ZERO) for i, row in enumerate(block)}
    return [ZERO, *(found - {ZERO})] if len(found) == 1 else [ZERO]


def _kind(block: Block, operators: Operators) -> str:
    turned = operators.transposed(block)
    if turned == block:
        return "symmetric"
    return "skew" if turned == scaled(block, -ONE) else "any"


def _ways(form: Form, knowledge: Knowledge) -> Iterator[Form]:
    yield form
    yield from _factored(form, knowledge)
    if len(form.inner) == 1:
        for turned in _turned(form):
            yield turned
            yield from _factored(turned, knowledge)


# --- a factor taken out ----------------------------------------------------------


def _factored(form: Form, knowledge: Knowledge) -> Iterator[Form]:
    for side in ("scalar", "left", "right"):
        found = _stripped(form, knowledge, side)
        if found is not None:
            yield found


def _stripped(form: Form, knowledge: Knowledge, side: str) -> Form | None:
    """Without the positive semidefinite letters that all words of a row (of a column) begin (end) with."""
    n = range(len(form.inner))
    block = form.inner if side != "right" else tuple(zip(*form.inner, strict=True))
    letters = [_common(row, knowledge, side) for row in block]
    if side == "scalar" and len(set(letters)) > 1:
        return None
    if not any(letters):
        return None
    low, high, sign = [], [], []
    for letter in letters:
        facts = None if letter is None else knowledge.facts(letter.atom)
        ends = (ONE, ONE) if facts is None else (facts.low, facts.high)
        negative = ends[0] is None or ends[0] < 0
        sign.append(-ONE if negative else ONE)
        a, b = (None if ends[1] is None else -ends[1], None if ends[0] is None else -ends[0]) if negative else ends
        assert a is not None
        low.append(a)
        high.append(b)
    rows = [tuple(_without(e, letters[i], side, sign[i]) for e in block[i]) for i in n]
    inner = tuple(rows) if side != "right" else tuple(zip(*rows, strict=True))
    before = form.factor or (ONE, ONE)
    top = None if before[1] is None or None in high else before[1] * max(h for h in high if h is not None)
    return replace(form, inner=inner, factor=(before[0] * min(low), top))


def _common(row: tuple[Entry, ...], knowledge: Knowledge, side: str) -> Letter | None:
    """The letter that all words of the entries share, where it has a sign."""
    words = [w for e in row for w in e]
    for letter in _ends(words[0], side) if words else ():
        if all(letter in _ends(w, side) for w in words) and _signed(letter, knowledge):
            return letter
    return None


def _ends(word: Word, side: str) -> list[Letter]:
    """The letters that can be taken out on a side."""
    scalars, steps = word
    if side == "scalar":
        return [Letter(a) for a in dict.fromkeys(scalars)]
    ends = steps[:1] if side == "left" else steps[-1:]
    return [letter for letter, last in ends if not last]


def _signed(letter: Letter, knowledge: Knowledge) -> bool:
    facts = knowledge.facts(letter.atom)
    positive = facts.low is not None and facts.low >= 0
    return facts.symmetry == 1 and (positive or (facts.high is not None and facts.high <= 0))


def _without(e: Entry, letter: Letter | None, side: str, sign: Fraction) -> Entry:
    if letter is None:
        return e
    total: Entry = {}
    for (scalars, steps), c in e.items():
        if side == "scalar":
            bag = list(scalars)
            bag.remove(letter.atom)
            key = tuple(bag), steps
        else:
            key = scalars, steps[1:] if side == "left" else steps[:-1]
        total[key] = c * sign
    return total


# --- turned about ----------------------------------------------------------------


def _turned(form: Form) -> Iterator[Form]:
    """``Q P`` for ``P Q``, where P is what all words begin with, on the first axes."""
    entry, shape = form.inner[0][0], form.shapes[0]
    products = [steps for _, steps in entry]
    if not products:
        return
    for k in range(1, min(map(len, products)) + 1):
        prefix = products[0][:k]
        if any(p[:k] != prefix for p in products) or any(last for _, last in prefix):
            return
        rest = shape[len(prefix[0][0].outs) :]
        moved = (*prefix[-1][0].ins, *rest)
        turned: Entry = {}
        for (scalars, steps), c in entry.items():
            key = scalars, ordered(steps[k:] + prefix)
            turned[key] = turned.get(key, ZERO) + c
        factor = form.factor
        if moved != shape:
            factor = (ZERO, ONE if factor is None else factor[1])
        yield replace(form, inner=((turned,),), shapes=(moved,), factor=factor)
