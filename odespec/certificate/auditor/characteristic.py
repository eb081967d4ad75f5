"""The characteristic polynomial of a step of a method on a small matrix whose entries are polynomials in k."""

import re
from fractions import Fraction
from typing import Any

from .core import Ledger, number, require
from .gram import exponential
from .rootset import Family
from .surds import ONE, ZERO, Number, Polynomial, Surd, add, multiply, pay, scale, trim, whole_root

MAX_SIZE, MAX_STAGES = 8, 16
Matrix = list[list[Polynomial]]


def surd(text: Any) -> Number:
    """A fraction, or ``[a, b] with root 2 of 5``: a + b r with r^2 = 5 (three numbers with a cube root)."""
    require(isinstance(text, str), "not a number")
    match = re.fullmatch(r"\[([^\[\]]+)\] with root ([23]) of ([1-9][0-9]{0,8})", text)
    if match is None:
        return number(text)
    parts, k, n = [number(x) for x in match[1].split(", ")], int(match[2]), int(match[3])
    require(len(parts) == k and any(parts[1:]) and whole_root(n, k) ** k != n, "not a number of the field")
    return Surd(tuple(parts), n)


class Algebra:
    """Square matrices of polynomials in k, and polynomials in z over them."""

    def __init__(self, size: int, ledger: Ledger) -> None:
        self.n, self.ledger = size, ledger

    def unit(self, c: Number = ONE) -> Matrix:
        return [[trim([c]) if i == j else [] for j in range(self.n)] for i in range(self.n)]

    def add(self, x: Matrix, y: Matrix) -> Matrix:
        return [[add(p, q) for p, q in zip(r, s, strict=True)] for r, s in zip(x, y, strict=True)]

    def scale(self, x: Matrix, c: Number) -> Matrix:
        return [[scale(p, c) for p in row] for row in x]

    def multiply(self, x: Matrix, y: Matrix) -> Matrix:
        result: Matrix = [[[] for _ in range(self.n)] for _ in range(self.n)]
        for i in range(self.n):
            for j in range(self.n):
                for k in range(self.n):
                    result[i][j] = add(result[i][j], multiply(x[i][k], y[k][j], self.ledger))
        return result

    def of(self, coefficients: list[Number], x: Matrix) -> Matrix:
        """A polynomial at a matrix."""
        result = self.unit(ZERO)
        for c in reversed(coefficients):
            result = self.add(self.multiply(result, x), self.unit(c))
        return result

    def determinant(self, terms: list[Matrix]) -> Family:
        """``det(sum z^i terms[i])``: the coefficients of z, by expansion along the rows."""
        require(self.n <= MAX_SIZE, "too large a matrix")
        known: dict[tuple[int, ...], Family] = {(): [[ONE]]}
        for i in reversed(range(self.n)):
            known = {chosen: self._expanded(terms, i, chosen, known) for chosen in _subsets(range(self.n), self.n - i)}
        return known[tuple(range(self.n))]

    def _expanded(
        self, terms: list[Matrix], i: int, columns: tuple[int, ...], known: dict[tuple[int, ...], Family]
    ) -> Family:
        total: Family = []
        for place, j in enumerate(columns):
            minor = known[columns[:place] + columns[place + 1 :]]
            for power, term in enumerate(terms):
                entry = scale(term[i][j], Fraction((-1) ** place))
                for k, q in enumerate(minor) if entry else ():
                    while len(total) <= power + k:
                        total.append([])
                    total[power + k] = add(total[power + k], multiply(entry, q, self.ledger))
        return total


def _subsets(items: Any, size: int) -> list[tuple[int, ...]]:
    if size == 0:
        return [()]
    items = list(items)
    return [(x, *rest) for k, x in enumerate(items) for rest in _subsets(items[k + 1 :], size - 1)]


def stability_function(A: list[list[Number]], b: list[Number], ledger: Ledger) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator of R(z): ``det(I - z A + z 1 b')`` and ``det(I - z A)``."""
    above = [[a - w for a, w in zip(row, b, strict=True)] for row in A]
    return _reversed_characteristic(above, ledger), _reversed_characteristic(A, ledger)


def _reversed_characteristic(A: list[list[Number]], ledger: Ledger) -> Polynomial:
    """``det(I - z A)`` by the Faddeev-LeVerrier recursion."""
    n = range(len(A))
    coefficients: Polynomial = [ONE]
    product: list[list[Number]] = [[ONE if i == j else ZERO for j in n] for i in n]
    for k in range(1, len(A) + 1):
        ledger.charge(len(A) ** 3)
        product = [[sum((A[i][m] * product[m][j] for m in n), ZERO) for j in n] for i in n]
        for row in product:
            pay(row, ledger)
        c = sum((product[i][i] for i in n), ZERO) * Fraction(-1, k)
        coefficients.append(c)
        product = [[x + c if i == j else x for j, x in enumerate(row)] for i, row in enumerate(product)]
    return trim(coefficients)


def characteristic(scheme: dict[str, Any], component: dict[str, Any], ledger: Ledger) -> Family:
    """The characteristic polynomial in z of the step on a component, with coefficients in k."""
    n = len(component["matrix"])
    ring, family = Algebra(n, ledger), scheme["family"]
    C = [[trim([number(c) for c in p]) for p in row] for row in component["matrix"]]
    h = number(scheme["h"])
    if family == "map":
        return ring.determinant([ring.scale(C, -ONE), ring.unit()])
    if family == "flow":
        return ring.determinant(
            [ring.scale(ring.add(ring.unit(), C), -ONE), ring.add(ring.unit(), ring.scale(C, -ONE))]
        )
    if family == "exponential":
        h = euler_step(h, number(scheme["alpha"][0]))
        return ring.determinant([ring.scale(ring.add(ring.unit(), ring.scale(C, h)), -ONE), ring.unit()])
    hC = ring.scale(C, h)
    if family == "runge-kutta":
        A, b = [[surd(a) for a in row] for row in scheme["A"]], [surd(w) for w in scheme["b"]]
        require(len(A) == len(b) <= MAX_STAGES and all(len(r) == len(b) for r in A), "not a tableau")
        above, below = stability_function(A, b, ledger)
        return ring.determinant([ring.scale(ring.of(above, hC), -ONE), ring.of(below, hC)])
    if family == "multistep":
        pairs = zip(map(number, scheme["alpha"]), map(number, scheme["beta"]), strict=True)
        return ring.determinant([ring.add(ring.unit(alpha), ring.scale(hC, -beta)) for alpha, beta in pairs])
    if family == "imex":
        L = [[trim([number(c) * h for c in p]) for p in row] for row in component["linear"]]
        require(len(L) == n and all(len(row) == n for row in L), "the linear part has another size")
        rest = ring.add(hC, ring.scale(L, -ONE))
        return ring.determinant(
            [ring.scale(ring.add(ring.unit(), rest), -ONE), ring.add(ring.unit(), ring.scale(L, -ONE))]
        )
    return ring.determinant([ring.scale(_substeps(scheme, component, hC, ring), -ONE), ring.unit()])


def euler_step(h: Fraction, a: Fraction) -> Fraction:
    """A number at least ``(exp(h a) - 1) / a``, the Euler step that an exponential Euler step is for the linear part a x.

    As ``|1 + s k|`` is convex in s and 1 for s = 0, what it allows at a larger step it allows at a smaller one.
    """
    require(a != 0 and abs(h * a) <= 1000, "not a linear part")
    low, high = exponential(h * a, 128)
    return (high - 1) / a if a > 0 else (low - 1) / a


def _substeps(scheme: dict[str, Any], component: dict[str, Any], hC: Matrix, ring: Algebra) -> Matrix:
    """The product of the kicks and drifts: each moves the states of its role by a multiple of their rates."""
    result = ring.unit()
    for kind, size in scheme["substeps"]:
        role = "momentum" if kind == "kick" else "position"
        moved = [
            [scale(p, surd(size)) for p in row] if own == role else [[] for _ in row]
            for own, row in zip(component["roles"], hC, strict=True)
        ]
        result = ring.multiply(ring.add(ring.unit(), moved), result)
    return result
