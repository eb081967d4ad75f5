"""What is known of ``phi_k(Z)``, the functions of exponential integrators, of a state-independent operator Z.

With ``Z = c I + K``: ``exp(Z) = e^c exp(K)``, and exp(K) of a skew K is orthogonal. Of a symmetric Z with eigenvalues in
[m, M], ``phi_k(Z)`` is symmetric with eigenvalues in [phi_k(m), phi_k(M)], for phi_k grows on the real line. Of any Z
with ``<u, Z u> <= mu <u, u>`` the norm is at most phi_k(mu), as ``phi_k(Z)`` is an average of ``exp(s Z)`` over [0, 1],
times 1/k! (Hochbruck & Ostermann, Exponential integrators, Acta Numerica 2010, lemma 2.4).
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import TYPE_CHECKING

from odespec import elementary
from odespec.activations import Interval
from odespec.exact import enclose, root
from odespec.ir.expr import Expr, Shape, add, const, mul
from odespec.ir.ranges import REAL, plus, times
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.intervals import Bound, least
from odespec.prove.relate.operators import UNIT, Atom, Letter, Monomial, NoRelation, Polynomial, sum_of
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.prove.relate.bounds import Facts, Knowledge
    from odespec.prove.relate.reader import Reader

ONE = Fraction(1)
DIGITS = Fraction(1, 2**30)
"""How far a number such as exp(-1/2) may lie from the rational one that stands for it, relatively to its size."""

SHORT = 48
"""Binary digits of the bounds of norms."""


# --- numbers -----------------------------------------------------------------------


def phi(k: int, x: Fraction) -> tuple[Fraction, Fraction]:
    """Bounds of ``phi_k(x)``. Raises OverflowError for large x."""
    if abs(x) <= 1:
        return _series(k, x)
    low, high = elementary.exp(x)
    for j in range(k):
        ends = ((low - Fraction(1, factorial(j))) / x, (high - Fraction(1, factorial(j))) / x)
        low, high = min(ends), max(ends)
    return elementary.rounded(low, high) if k else (low, high)


def _series(k: int, x: Fraction) -> tuple[Fraction, Fraction]:
    """``sum_n x^n / (n + k)!``; what follows the last term is less than that term."""
    total, terms = Fraction(0), 40
    for n in range(terms - 1, -1, -1):
        total = total * x + Fraction(1, factorial(n + k))
    rest = abs(x) ** terms / factorial(terms + k) * 2
    return elementary.rounded(total - rest, total + rest)


def within(k: int, inside: Interval) -> Interval:
    """Bounds of ``phi_k`` over an interval."""
    low = Fraction(0) if inside.lower is None else phi(k, inside.lower)[0]
    try:
        high = None if inside.upper is None else _outward(phi(k, inside.upper)[1], up=True)
    except OverflowError:
        high = None
    return Interval(_outward(max(low, Fraction(0)), up=False), high)


def _outward(x: Fraction, *, up: bool) -> Fraction:
    """A short fraction beyond a positive number, by less than `SHORT` of it."""
    if not x:
        return x
    bits = SHORT + x.denominator.bit_length() - x.numerator.bit_length()
    scaled = x * Fraction(2) ** bits
    return Fraction(scaled.__ceil__() if up else scaled.__floor__()) / Fraction(2) ** bits


# --- reading -----------------------------------------------------------------------


def applied(reader: Reader, k: int, Z: Expr, v: Vector, shape: Shape) -> Vector:
    """``phi_k(Z)`` of the difference of a tensor. Raises `NoRelation`."""
    polynomial = reader.algebra.polynomial(Z)
    if all(not word for _, word in polynomial):
        return _scalar(reader, k, polynomial, v)
    c = polynomial.get(UNIT, Fraction(0))
    if k == 0 and c:
        v = _number(reader, 0, c, v)
        Z = add(Z, mul(const(-c), Expr("eye", (), shape * 2)))
    return reader.symbols.push(Letter(reader.algebra.matrix(exponential(Z, k))), v)


def exponential(Z: Expr, k: int) -> Expr:
    """The operator ``phi_k(Z)``."""
    return Expr("exponential", (Z,), Z.shape, k)


def _scalar(reader: Reader, k: int, polynomial: Polynomial, v: Vector) -> Vector:
    """Of a multiple of the identity."""
    if polynomial.keys() <= {UNIT}:
        return _number(reader, k, polynomial.get(UNIT, Fraction(0)), v)
    total = const(0)
    for (scalars, _), c in polynomial.items():
        factors = [a.expr for a in scalars if a.expr is not None]
        total = add(total, _product(c, factors))
    return reader.symbols.scale(reader.algebra.scalar(exponential(total, k)), v)


def _product(c: Fraction, factors: list[Expr]) -> Expr:
    result = const(c)
    for factor in factors:
        result = mul(result, factor)
    return result


def _number(reader: Reader, k: int, x: Fraction, v: Vector) -> Vector:
    """``phi_k(x)`` times a vector: a rational multiple, and a tiny remainder of which the size is known."""
    try:
        low, high = phi(k, x)
    except OverflowError:
        raise NoRelation(f"exp({float(x):.3g}) is too large") from None
    if low == high:
        return combine((low, v))
    half = max(high, DIGITS**4) * DIGITS
    middle = _short((low + high) / 2, half / 4)
    exact = exponential(const(x), k)
    scaled = mul(const(1 / half), add(exact, const(-middle)))
    parts = [(middle, v)]
    for i, c in v:
        rest = reader.remainder(f"rest of phi{k}({x})", scaled, i)
        parts.append((half * c, rest))
    return combine(*parts)


def _short(x: Fraction, error: Fraction) -> Fraction:
    """A fraction with a power of two below it, as near as asked."""
    unit = Fraction(1)
    while unit > error:
        unit /= 2
    return round(x / unit) * unit


# --- what is known of the operators --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nature:
    """Of a state-independent operator: is it symmetric or skew, and bounds of ``<u, Z u> / <u, u>``."""

    symmetry: int
    inside: Interval


def nature(knowledge: Knowledge, Z: Expr) -> Nature:
    """What is known of an operator from the polynomial that it is. Raises `NoRelation` where that is too large."""
    algebra = knowledge.algebra
    polynomial = algebra.polynomial(Z)
    turned = algebra.transpose(polynomial)
    if turned == polynomial:
        symmetry = 1
    else:
        symmetry = -1 if not sum_of(polynomial, turned) else 0
    halves = {m: c / 2 for m, c in sum_of(polynomial, turned).items()}
    return Nature(symmetry, numerical_range(knowledge, halves))


def facts(knowledge: Knowledge, atom: Atom) -> Facts:
    """Of a ``phi_k(Z)``."""
    from odespec.prove.relate.bounds import Facts

    assert atom.expr is not None
    Z, k = atom.expr.args[0], int(atom.expr.data)  # type: ignore[call-overload]
    if not Z.shape:
        inside = within(k, knowledge.intervals.of(Z))
        return Facts(1, None if inside.upper is None else inside.upper**2, low=inside.lower, high=inside.upper)
    own = nature(knowledge, Z)
    values = within(k, own.inside)
    norm2 = None if values.upper is None else values.upper**2
    if own.symmetry == 1:
        return Facts(1, norm2, low=values.lower, high=values.upper)
    if own.symmetry == -1 and k == 0:
        return Facts(0, ONE, ONE, ONE, None, None, ONE, ONE)
    floor2 = values.lower**2 if k == 0 and values.lower is not None else Fraction(0)
    return Facts(0, norm2, floor2, floor2)


def numerical_range(knowledge: Knowledge, symmetric: Polynomial) -> Interval:
    """Bounds of ``<u, P u> / <u, u>`` for a polynomial that is its own transpose."""
    best = _sum(knowledge, symmetric)
    for compound in knowledge.compounds:
        if compound.quantity == "eig":
            best = _narrower(best, _by_compound(knowledge, symmetric, compound.polynomial, compound.low, compound.high))
    return best


def _narrower(a: Interval, b: Interval) -> Interval:
    lows = [x for x in (a.lower, b.lower) if x is not None]
    return Interval(max(lows, default=None), least(a.upper, b.upper))


def _by_compound(knowledge: Knowledge, symmetric: Polynomial, known: Polynomial, low: Bound, high: Bound) -> Interval:
    """A multiple of an expression whose eigenvalues are known, and the rest."""
    ratios = {symmetric.get(m, Fraction(0)) / c for m, c in known.items() if m != UNIT}
    if len(ratios) != 1 or not (ratio := ratios.pop()):
        return REAL
    rest = sum_of(symmetric, {m: -ratio * c for m, c in known.items()})
    return plus(times(Interval(ratio, ratio), Interval(low, high)), _sum(knowledge, rest))


def _sum(knowledge: Knowledge, symmetric: Polynomial) -> Interval:
    total = Interval(Fraction(0), Fraction(0))
    for monomial, c in symmetric.items():
        total = plus(total, times(Interval(c, c), _term(knowledge, monomial)))
    return total


def _term(knowledge: Knowledge, monomial: Monomial) -> Interval:
    """Bounds of ``<u, M u> / <u, u>`` of one word with its scalars."""
    scalars, word = monomial
    inside = Interval(ONE, ONE)
    for atom in scalars:
        known = knowledge.facts(atom)
        inside = times(inside, Interval(known.low, known.high))
    if not word:
        return inside
    turned = knowledge.algebra.transpose({((), word): ONE})
    if turned == {((), word): -ONE}:
        return Interval(Fraction(0), Fraction(0))
    return times(inside, _palindrome(knowledge, word) if turned == {((), word): ONE} else _size(knowledge, word))


def _palindrome(knowledge: Knowledge, word: tuple[Letter, ...]) -> Interval:
    """``A.T B A``: the range of B between the squared singular values of A."""
    outer, middle = word[(len(word) + 1) // 2 :], word[len(word) // 2 : (len(word) + 1) // 2]
    inside = Interval(ONE, ONE)
    if middle:
        known = knowledge.facts(middle[0].atom)
        inside = Interval(known.low, known.high)
    for letter in outer:
        known = knowledge.facts(letter.atom)
        floor2 = known.cofloor2 if letter.adjoint else known.floor2
        inside = times(inside, Interval(floor2, known.norm2))
    return inside


def _size(knowledge: Knowledge, word: tuple[Letter, ...]) -> Interval:
    norm2 = ONE
    for letter in word:
        known = knowledge.facts(letter.atom).norm2
        if known is None:
            return REAL
        norm2 *= known
    size = enclose(root(norm2, 2))[1]
    return Interval(-size, size)
