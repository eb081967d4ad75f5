"""What follows from a tableau, computed in exact arithmetic.

Sources: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (order conditions) and II (stability
functions, algebraic stability); Dahlquist & Jeltsch 1979 (circle contractivity); Kraaijevanger 1991 (strong stability).
Numbers that are limits are rational and rounded to the safe side by less than `WIDTH`; None stands for infinity.
All functions raise `odespec.exact.Undecided` for entries that do not lie in one quadratic field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement
from math import prod

from odespec.exact import Real
from odespec.solvers import polynomial
from odespec.solvers.method import RungeKutta
from odespec.solvers.polynomial import Polynomial, simplest
from odespec.solvers.quadratic import ONE, ZERO, Quadratic, quadratic

WIDTH = Fraction(1, 10**12)
LARGE = Fraction(2**20)

Tree = tuple["Tree", ...]
"""A rooted tree: the tuple of the subtrees at its root."""

Vector = list[Quadratic]
Square = list[Vector]


@cache
def _numbers(scheme: RungeKutta) -> tuple[tuple[tuple[Quadratic, ...], ...], tuple[Quadratic, ...]]:
    return tuple(tuple(map(quadratic, row)) for row in scheme.A), tuple(map(quadratic, scheme.b))


# --- order ---------------------------------------------------------------------


@cache
def trees(size: int) -> tuple[Tree, ...]:
    """All rooted trees with a number of nodes."""
    return tuple(_forests(size - 1, size - 1)) if size > 1 else ((),)


def _forests(nodes: int, largest: int) -> Iterator[Tree]:
    """Multisets of trees with ``nodes`` nodes together, none of more than ``largest``."""
    if nodes == 0:
        yield ()
    for size in range(min(nodes, largest), 0, -1):
        for copies in range(nodes // size, 0, -1):
            for chosen in combinations_with_replacement(trees(size), copies):
                yield from (chosen + rest for rest in _forests(nodes - size * copies, size - 1))


def _nodes(tree: Tree) -> int:
    return 1 + sum(_nodes(t) for t in tree)


def _density(tree: Tree) -> int:
    return _nodes(tree) * prod(_density(t) for t in tree)


def defect(scheme: RungeKutta, size: int, weights: tuple[Real, ...] | None = None) -> Fraction:
    """The largest residual of the order conditions for the trees of one size; 0 if and only if all hold.

    An irrational residual is given rounded.
    """
    A, b = _numbers(scheme)
    if weights is not None:
        b = tuple(map(quadratic, weights))
    known: dict[Tree, Vector] = {}

    def elementary(tree: Tree) -> Vector:
        if tree not in known:
            factors = [[_dot(row, elementary(t)) for row in A] for t in tree]
            known[tree] = [prod((f[i] for f in factors), start=ONE) for i in range(len(b))]
        return known[tree]

    return max(_magnitude(_dot(b, elementary(t)) - Fraction(1, _density(t))) for t in trees(size))


def _magnitude(x: Quadratic) -> Fraction:
    if x.b == 0:
        return abs(x.a)
    return max(abs(Fraction(float(x))), Fraction(1, 10**300))


@cache
def order(scheme: RungeKutta, limit: int = 6, tolerance: Fraction = Fraction(0)) -> int:
    """The order of convergence, at most ``limit``: the order conditions hold exactly, or up to ``tolerance``."""
    return next((p - 1 for p in range(1, limit + 1) if defect(scheme, p) > tolerance), limit)


def _dot(u: tuple[Quadratic, ...] | Vector, v: tuple[Quadratic, ...] | Vector) -> Quadratic:
    return sum((a * b for a, b in zip(u, v, strict=True) if a.sign and b.sign), ZERO)


# --- algebraic properties ------------------------------------------------------


@cache
def algebraic_matrix(scheme: RungeKutta) -> tuple[tuple[Quadratic, ...], ...]:
    """``M[i][j] = b[i] a[i][j] + b[j] a[j][i] - b[i] b[j]`` (Burrage & Butcher 1979)."""
    A, b = _numbers(scheme)
    n = range(len(b))
    return tuple(tuple(b[i] * A[i][j] + b[j] * A[j][i] - b[i] * b[j] for j in n) for i in n)


def semidefinite(matrix: tuple[tuple[Quadratic, ...], ...]) -> bool:
    """Whether a symmetric matrix is positive semidefinite, by exact elimination."""
    rows = [list(row) for row in matrix]
    for k in range(len(rows)):
        pivot = rows[k][k]
        below = range(k + 1, len(rows))
        if pivot.sign < 0 or (pivot.sign == 0 and any(rows[i][k].sign for i in below)):
            return False
        for i in below if pivot.sign else ():
            ratio = rows[i][k] / pivot
            rows[i] = [x - ratio * y for x, y in zip(rows[i], rows[k], strict=True)]
    return True


def b_stable(scheme: RungeKutta) -> bool:
    """Algebraic stability: b >= 0 and M positive semidefinite. It implies B-stability."""
    return all(w.sign >= 0 for w in _numbers(scheme)[1]) and semidefinite(algebraic_matrix(scheme))


def symplectic(scheme: RungeKutta) -> bool:
    """M = 0 (Sanz-Serna 1988, Suris 1988, Lasagni 1988): quadratic invariants and the two-form are kept."""
    return all(x.sign == 0 for row in algebraic_matrix(scheme) for x in row)


def symmetric(scheme: RungeKutta) -> bool:
    """Whether a step back undoes a step: ``a[s-1-i][s-1-j] + a[i][j] = b[j]`` and ``b[s-1-j] = b[j]``."""
    A, b = _numbers(scheme)
    n = range(len(b))
    mirrored = all((A[-1 - i][-1 - j] + A[i][j] - b[j]).sign == 0 for i in n for j in n)
    return mirrored and all((b[j] - b[-1 - j]).sign == 0 for j in n)


def circle_radius(scheme: RungeKutta) -> Fraction | None:
    """The largest r with ``M + diag(b) / r`` positive semidefinite (and b >= 0), else 0; None: infinite.

    A step does not expand a field with ``<df, dx> <= -nu |df|^2`` for h <= 2 r nu (Dahlquist & Jeltsch 1979).
    """
    M, b = algebraic_matrix(scheme), _numbers(scheme)[1]
    if any(w.sign < 0 for w in b):
        return Fraction(0)

    def holds(inverse: Fraction) -> bool:
        n = range(len(b))
        return semidefinite(tuple(tuple(M[i][j] + (b[i] * inverse if i == j else 0) for j in n) for i in n))

    if holds(Fraction(0)):
        return None
    return 1 / _threshold(lambda x: not holds(x))[1] if holds(LARGE) else Fraction(0)


def _threshold(below: Callable[[Fraction], bool]) -> tuple[Fraction, Fraction]:
    """``(low, high)`` about `WIDTH` apart, and their inverses, with below(low), not below(high); simple if possible."""
    low, high = Fraction(0), Fraction(1)
    while below(high):
        low, high = high, 2 * high
    while high - low > WIDTH * min(Fraction(1), high * high):
        third = (high - low) / 3
        middle = simplest(low + third, high - third)
        low, high = (middle, high) if below(middle) else (low, middle)
    guess = simplest(low, high)
    return (guess, high) if below(guess) else (low, guess)


# --- linear stability ----------------------------------------------------------


@cache
def stability_function(scheme: RungeKutta) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator of R(z), without common factors; R(0) = 1."""
    A, b = _numbers(scheme)
    numerator = polynomial.reversed_characteristic([[a - w for a, w in zip(row, b, strict=True)] for row in A])
    denominator = polynomial.reversed_characteristic(A)
    common = polynomial.gcd(numerator, denominator)
    numerator, denominator = (polynomial.divide(p, common)[0] for p in (numerator, denominator))
    unit = ONE / denominator[0]
    return polynomial.scale(numerator, unit), polynomial.scale(denominator, unit)


def _on_imaginary_axis(scheme: RungeKutta) -> Polynomial:
    """``|D(iy)|^2 - |N(iy)|^2`` as a polynomial in y^2 = s."""
    N, D = (_squared_modulus(p) for p in stability_function(scheme))
    return polynomial.add(D, polynomial.scale(N, -ONE))


def _squared_modulus(p: Polynomial) -> Polynomial:
    """``|p(iy)|^2`` in s = y^2: p(iy) = e(s) + i y o(s) with the signs of i^k."""
    even = polynomial.trim(a * (-1) ** k for k, a in enumerate(p[::2]))
    odd = polynomial.trim(a * (-1) ** k for k, a in enumerate(p[1::2]))
    return polynomial.add(polynomial.mul(even, even), (ZERO, *polynomial.mul(odd, odd)) if odd else ())


def a_stable(scheme: RungeKutta) -> bool:
    """Whether ``|R(z)| <= 1`` for all z with non-positive real part."""
    D = stability_function(scheme)[1]
    mirrored = tuple(a * (-1) ** k for k, a in enumerate(D))
    return polynomial.roots_left(mirrored) and imag_axis(scheme) is None


def l_stable(scheme: RungeKutta) -> bool:
    """A-stable, and R vanishes at infinity."""
    N, D = stability_function(scheme)
    return len(N) < len(D) and a_stable(scheme)


def real_axis(scheme: RungeKutta) -> Fraction | None:
    """The largest r with ``|R(x)| <= 1`` on [-r, 0]."""
    N, D = (tuple(a * (-1) ** k for k, a in enumerate(p)) for p in stability_function(scheme))
    gap = polynomial.add(polynomial.mul(D, D), polynomial.scale(polynomial.mul(N, N), -ONE))
    return polynomial.first_negative(gap, WIDTH)


def imag_axis(scheme: RungeKutta) -> Fraction | None:
    """The largest r with ``|R(iy)| <= 1`` for y in [-r, r]."""
    square = polynomial.first_negative(_on_imaginary_axis(scheme), WIDTH**2)
    return square if not square else _root_down(square)


def _root_down(x: Fraction) -> Fraction:
    from odespec.exact import enclose, root

    return enclose(root(x, 2), 64)[0]


# --- strong stability ----------------------------------------------------------


def ssp(scheme: RungeKutta) -> Fraction | None:
    """The strong stability preserving coefficient (Kraaijevanger 1991, radius of absolute monotonicity)."""
    A, b = _numbers(scheme)
    if not _monotone(A, b, WIDTH):
        return Fraction(0)
    if _monotone(A, b, LARGE):
        return None
    return _threshold(lambda r: r == 0 or _monotone(A, b, r))[0]


def _monotone(A: tuple[tuple[Quadratic, ...], ...], b: tuple[Quadratic, ...], r: Fraction) -> bool:
    """``K (I + r A)^-1 >= 0`` and ``r K (I + r A)^-1 1 <= 1`` for K = A and K = b."""
    n = range(len(b))
    inverse = _inverse([[A[i][j] * r + (1 if i == j else 0) for j in n] for i in n])
    if inverse is None:
        return False
    for row in (*A, b):
        product = [_dot(row, column) for column in zip(*inverse, strict=True)]
        if any(x.sign < 0 for x in product) or (sum(product, ZERO) * r - 1).sign > 0:
            return False
    return True


def _inverse(matrix: Square) -> Square | None:
    n = len(matrix)
    rows = [[*row, *(ONE if i == j else ZERO for j in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k].sign), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k].sign:
                factor = rows[i][k]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


def stages(scheme: RungeKutta) -> int:
    """How many stages a step evaluates; a last one at the new value, which feeds only the error, is not counted."""
    unused = scheme.b[-1] == 0 and all(row[-1] == 0 for row in scheme.A)
    return scheme.stages - 1 if unused else scheme.stages
