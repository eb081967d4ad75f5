"""The vectors of one run: words of operators, some of which depend on the state."""

from __future__ import annotations

from fractions import Fraction

from odespec.exact import Irrational
from odespec.ir.expr import const, is_zero
from odespec.prove.energy.sums import Sums
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.operators import Algebra, Atom, Letter
from odespec.prove.relate.symbols import Key, Symbols
from odespec.prove.relate.words import text

ONE = Fraction(1)


class OneRun(Symbols):
    """Symbols in which elementwise factors commute and an irrational number is a factor like any other.

    With ``rounded`` it is a rational number and a tiny remainder instead: more is known then, but nothing exactly.
    """

    def __init__(self, algebra: Algebra, sums: Sums, *, rounded: bool = False) -> None:
        super().__init__(algebra)
        self.sums = sums
        self.rounded = rounded

    def scale(self, atom: Atom, vector: Vector, *, expand: bool = False) -> Vector:
        if self.rounded and atom.expr is not None and isinstance(atom.expr.data, Irrational):
            return super().scale(atom, vector, expand=expand)
        result = []
        for i, c in vector:
            base, scalars, first, second = self.items[i].key
            key = (base, tuple(sorted((*scalars, atom), key=_order)), first, second)
            result.append((c, ((self._ensure(key), ONE),)))
        return combine(*result)

    def _joined(self, letter: Letter, i: int, last: bool) -> tuple[Key, Fraction]:
        (base, scalars, first, second), factor = super()._joined(letter, i, last)
        if not last and len(first) > 1:
            summed = self.sums.absorbed(first[0], first[1])
            if summed is not None and is_zero(summed[1].atom.expr or const(1)):
                return super()._joined(letter, i, last)[0], Fraction(0)
            if summed is not None:
                return (base, scalars, (summed[1], *first[2:]), second), factor * summed[0]
        if not last and letter.atom.kind == "entries":
            count = next((k for k, x in enumerate(first) if x.atom.kind != "entries"), len(first))
            first = (*sorted(first[:count], key=lambda x: _order(x.atom)), *first[count:])
        return (base, scalars, first, second), factor


def _order(atom: Atom) -> tuple[str, int, int]:
    return "" if atom.expr is None else text(atom.expr), atom.copy, hash(atom)
