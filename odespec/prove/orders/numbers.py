"""Irrational coefficients in one field Q(r), r a root of a rational number: as the auditor reads them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from odespec.exact import Irrational, Real, Undecided, root
from odespec.records import dataclass
from odespec.solvers.quadratic import Quadratic, quadratic


@dataclass(frozen=True, slots=True)
class RadicalField:
    """Q(r) with ``r^degree = radicand``; its elements are tuples of ``degree`` coefficients."""

    degree: int
    radicand: Fraction

    def data(self) -> dict[str, Any]:
        return {"degree": self.degree, "of": str(self.radicand)}

    def write(self, value: Real) -> list[str]:
        """The coefficients of a number. Raises `Undecided` where it is not found to be in the field."""
        return [str(c) for c in self.coefficients(value)]

    def coefficients(self, value: Real) -> tuple[Fraction, ...]:
        if isinstance(value, Fraction):
            return self._rational(value)
        if self.degree == 2:
            return self._quadratic(quadratic(value))
        if value.op == "root":
            if value.degree == self.degree and value.args[0] == self.radicand:
                return (Fraction(0), Fraction(1), *self._rational(Fraction(0))[2:])
            raise Undecided("roots of different numbers")
        parts = [self.coefficients(a) for a in value.args]
        if value.op == "inv":
            return self._inverse(parts[0])
        if value.op == "add":
            return tuple(a + b for a, b in zip(*parts, strict=True))
        return self._product(*parts)

    def _rational(self, x: Fraction) -> tuple[Fraction, ...]:
        return (x, *[Fraction(0)] * (self.degree - 1))

    def _quadratic(self, x: Quadratic) -> tuple[Fraction, ...]:
        if x.b and x.d != self.radicand:
            raise Undecided("square roots of different numbers")
        return x.a, x.b

    def _product(self, x: tuple[Fraction, ...], y: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
        total = [Fraction(0)] * self.degree
        for i, a in enumerate(x):
            for j, b in enumerate(y):
                over = i + j >= self.degree
                total[i + j - self.degree * over] += a * b * (self.radicand if over else 1)
        return tuple(total)

    def _inverse(self, x: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
        """By elimination: the matrix of multiplication with x, against one."""
        n = self.degree
        units = [tuple(Fraction(int(i == k)) for i in range(n)) for k in range(n)]
        columns = [self._product(x, u) for u in units]
        rows = [[columns[j][i] for j in range(n)] + [Fraction(int(i == 0))] for i in range(n)]
        for k in range(n):
            pivot = next((i for i in range(k, n) if rows[i][k]), None)
            if pivot is None:
                raise Undecided("a number that has no inverse in its field")
            rows[k], rows[pivot] = rows[pivot], rows[k]
            rows[k] = [a / rows[k][k] for a in rows[k]]
            for i in range(n):
                if i != k and rows[i][k]:
                    rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
        return tuple(row[-1] for row in rows)


RATIONAL = RadicalField(1, Fraction(1))


def common_field(values: Iterable[Real]) -> RadicalField:
    """The smallest field of this kind that is seen to hold all values. Raises `Undecided`."""
    found: set[tuple[int, Fraction]] = set()
    for value in values:
        found |= _generators(value)
    if not found:
        return RATIONAL
    if len(found) > 1:
        raise Undecided("several different roots in one method")
    return RadicalField(*found.pop())


def _generators(value: Real) -> set[tuple[int, Fraction]]:
    if isinstance(value, Fraction):
        return set()
    try:
        x = quadratic(value)
        return {(2, Fraction(x.d))} if x.b else set()
    except Undecided:
        pass
    found: set[tuple[int, Fraction]] = set()
    pending: list[Real] = [value]
    while pending:
        v = pending.pop()
        if not isinstance(v, Irrational):
            continue
        if v.op != "root":
            pending.extend(v.args)
        elif isinstance(v.args[0], Fraction):
            found.add((v.degree, v.args[0]))
        else:
            raise Undecided("a root of a root")
    return found


def as_real(coefficients: Iterable[Fraction], field: RadicalField) -> Real:
    """The number of some coefficients."""
    total: Real = Fraction(0)
    power: Real = Fraction(1)
    for c in coefficients:
        if c:
            total = total + c * power
        power = power * root(field.radicand, field.degree)
    return total


def tidy(value: Real) -> Real:
    """The same number in a canonical form, rational (and zero) where it is; as it stands where it is in no such field."""
    if isinstance(value, Fraction):
        return value
    try:
        field = common_field([value])
        return as_real(field.coefficients(value), field)
    except Undecided:
        return value
