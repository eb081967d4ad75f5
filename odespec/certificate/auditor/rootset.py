"""Whether all roots of a polynomial in z, with coefficients that are polynomials in a parameter k, stay in the closed unit
disc while k runs through a region of the complex plane.

The largest modulus of the roots is a subharmonic function of k where the leading coefficient has no zeros (it is the
spectral radius of a companion matrix: Vesentini 1968), so it is enough to look at the boundary of the region. There the
Schur-Cohn algorithm (Cohn 1922; Marden, Geometry of Polynomials, 42-45) asks for signs of polynomials in one real variable,
which Sturm sequences decide exactly.

A region is a list of edges that bound it, or cover it where it has no inside. It is symmetric about the real axis: edges
of its upper half are enough.
"""

from dataclasses import dataclass
from fractions import Fraction

from .core import Ledger, require
from .surds import (
    ONE,
    ZERO,
    Polynomial,
    add,
    minus,
    multiply,
    never_negative,
    positive,
    roots_left,
    scale,
    sign,
    trim,
)

Point = tuple[Fraction, Fraction]
Family = list[Polynomial]
"""The coefficients, of z^0 first, each a polynomial in the parameter k."""

Complex = tuple[Polynomial, Polynomial]
"""A polynomial in a real variable with complex coefficients: its real and its imaginary part."""


@dataclass(frozen=True)
class Region:
    """``edges``: pairs (start, direction), with t in [0, 1], or in [0, infinity) where ``ray`` says so; or a ``disc``.

    ``right``: no point has a real part larger than this (None: there is no bound). ``flat``: it has no inside.
    """

    edges: tuple[tuple[Point, Point, bool], ...]
    right: Fraction | None
    flat: bool
    disc: tuple[Fraction, Fraction] | None = None

    @property
    def bounded(self) -> bool:
        return not any(ray for _, _, ray in self.edges)


def inside(family: Family, region: Region, ledger: Ledger) -> bool:
    """Whether for every k of the region all roots lie in the closed unit disc (and none at infinity)."""
    family = [trim(p) for p in family]
    require(family and family[-1], "a family of polynomials without a leading coefficient")
    lead = family[-1]
    if not region.flat:
        if len(lead) > 1 and (region.right is None or not roots_left(_mirrored(lead, region.right))):
            return False
        if not region.bounded and any(len(p) > len(lead) for p in family):
            return False
    if region.disc is not None:
        return _schur_cohn(_on_circle(family, *region.disc, ledger), None, ledger)
    return all(
        _schur_cohn(_on_line(family, start, way, ledger), None if ray else ONE, ledger)
        for start, way, ray in region.edges
    )


def _mirrored(p: Polynomial, right: Fraction) -> Polynomial:
    """``p(right - w)``: its roots are on the left where those of p are right of ``right``."""
    result: Polynomial = []
    for a in reversed(p):
        shifted = add([right * c for c in result], [ZERO, *[-c for c in result]]) if result else []
        result = add(shifted, [a])
    return result


# --- the parameter along a curve ---------------------------------------------------------


def _times(p: Complex, q: Complex, ledger: Ledger) -> Complex:
    real = minus(multiply(p[0], q[0], ledger), multiply(p[1], q[1], ledger))
    return real, add(multiply(p[0], q[1], ledger), multiply(p[1], q[0], ledger))


def _plus(p: Complex, q: Complex) -> Complex:
    return add(p[0], q[0]), add(p[1], q[1])


def _less(p: Complex, q: Complex) -> Complex:
    return minus(p[0], q[0]), minus(p[1], q[1])


def _conjugate(p: Complex) -> Complex:
    return p[0], scale(p[1], Fraction(-1))


def _square(p: Complex, ledger: Ledger) -> Polynomial:
    """The squared modulus."""
    return add(multiply(p[0], p[0], ledger), multiply(p[1], p[1], ledger))


def _on_line(family: Family, start: Point, way: Point, ledger: Ledger) -> list[Complex]:
    """k = start + t * way."""
    return [
        _composed(p, (trim([start[0], way[0]]), trim([start[1], way[1]])), ([ONE], []), len(p), ledger) for p in family
    ]


def _on_circle(family: Family, centre: Fraction, radius: Fraction, ledger: Ledger) -> list[Complex]:
    """k = centre + radius (1 - t^2 + 2 i t) / (1 + t^2), times a power of 1 + t^2: a half of the circle for t in [0, 1].

    With t in [0, infinity) it is the upper half without the point centre - radius, where the roots are by continuity.
    """
    below: Complex = ([ONE, ZERO, ONE], [])
    above: Complex = (trim([centre + radius, ZERO, centre - radius]), trim([ZERO, 2 * radius]))
    degree = max(len(p) for p in family)
    return [_composed(p, above, below, degree, ledger) for p in family]


def _composed(p: Polynomial, above: Complex, below: Complex, degree: int, ledger: Ledger) -> Complex:
    """``p(above / below)`` times the power ``degree - 1`` of ``below``."""
    result: Complex = ([], [])
    power: Complex = ([ONE], [])
    for _ in range(degree - len(p)):
        power = _times(power, below, ledger)
    # Horner's rule from the top; each lower coefficient comes with one more factor of the denominator.
    factors = [power]
    for _ in range(len(p) - 1):
        factors.append(_times(factors[-1], below, ledger))
    for k, a in enumerate(reversed(p)):
        result = _times(result, above, ledger)
        result = _plus(result, (scale(factors[k][0], a), scale(factors[k][1], a)))
    return result


# --- Schur and Cohn ------------------------------------------------------------------------


def _schur_cohn(p: list[Complex], end: Fraction | None, ledger: Ledger) -> bool:
    """Whether for all t in [0, end] every root of ``sum p[i](t) z^i`` is in the closed unit disc.

    It is enough to know it but for finitely many t, as roots are continuous; the leading coefficient has no zero.
    """
    if not positive(_square(p[-1], ledger), end, ledger):
        return False
    while len(p) > 1:
        last, first = p[-1], p[0]
        margin = minus(_square(last, ledger), _square(first, ledger))
        if not _exceeds(last, first, margin, end, ledger):
            return False
        # conj(a_n) p - a_0 p*, without its vanishing constant term
        reversed_conjugate = [_conjugate(c) for c in reversed(p)]
        reduced = [
            _less(_times(_conjugate(last), c, ledger), _times(first, d, ledger))
            for c, d in zip(p, reversed_conjugate, strict=True)
        ][1:]
        if margin:
            p = reduced
        elif any(a or b for a, b in reduced):
            return False
        else:  # the roots are symmetric about the circle: all are on it where those of the derivative are within it
            p = [(scale(a, Fraction(i)), scale(b, Fraction(i))) for i, (a, b) in enumerate(p)][1:]
    return True


def _exceeds(last: Complex, first: Complex, margin: Polynomial, end: Fraction | None, ledger: Ledger) -> bool:
    """Whether ``margin = |last|^2 - |first|^2`` is never negative; of real polynomials it has two factors."""
    if last[1] or first[1] or not last[0]:
        return never_negative(margin, end, ledger)
    one = Fraction(next(sign(c) for c in last[0] if c != 0))
    return all(never_negative(scale(f(last[0], first[0]), one), end, ledger) for f in (minus, add))
