"""All that is known of one solver, in one record: computed from its scheme where there is one of a kind that is data."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

from odespec.exact import Undecided
from odespec.records import dataclass
from odespec.solvers import facts
from odespec.solvers.method import Composition, Method, Multistep, RungeKutta

Limit = Fraction | float | None
"""A number, ``math.inf``, or None where it has no meaning."""

ROUNDED = Fraction(1, 10**12)
"""Residuals of order conditions below this are those of coefficients that were published as decimals."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts of one solver; None where a fact has no meaning for its kind of scheme, or is not computed for it.

    ``real_axis`` and ``imag_axis``: the largest r with ``|R| <= 1`` on [-r, 0], on [-ir, ir]. ``ssp``: the strong stability
    preserving coefficient. ``circle_radius``: the radius of circle contractivity. ``b_stable``: algebraic stability, which
    implies B-stability. ``exact``: whether the order conditions hold exactly (False: up to published decimals).
    """

    name: str
    family: str
    order: int | None = None
    stages: int | None = None
    explicit: bool | None = None
    real_axis: Limit = None
    imag_axis: Limit = None
    ssp: Limit = None
    circle_radius: Limit = None
    a_stable: bool | None = None
    l_stable: bool | None = None
    b_stable: bool | None = None
    symplectic: bool | None = None
    symmetric: bool | None = None
    exact: bool | None = None


@cache
def summarise(method: Method) -> Summary:
    """The facts of a solver. It takes some seconds for a tableau of many stages with long coefficients (dopri8)."""
    scheme = method.scheme
    if isinstance(scheme, RungeKutta):
        try:
            return _runge_kutta(method, scheme)
        except Undecided:
            return Summary(method.name, method.family, method.order, scheme.stages, scheme.explicit)
    if isinstance(scheme, Composition):
        return _composition(method, scheme)
    explicit = scheme.beta[-1] == 0 if isinstance(scheme, Multistep) else None
    return Summary(method.name, method.family, method.order, explicit=explicit)


def _runge_kutta(method: Method, scheme: RungeKutta) -> Summary:
    limit = method.order or 6
    exactly = facts.order(scheme, limit)
    return Summary(
        method.name,
        method.family,
        order=exactly if exactly == limit else facts.order(scheme, limit, ROUNDED),
        stages=facts.stages(scheme),
        explicit=scheme.explicit,
        real_axis=_limit(facts.real_axis(scheme)),
        imag_axis=_limit(facts.imag_axis(scheme)),
        ssp=_limit(facts.ssp(scheme)),
        circle_radius=_limit(facts.circle_radius(scheme)),
        a_stable=facts.a_stable(scheme),
        l_stable=facts.l_stable(scheme),
        b_stable=facts.b_stable(scheme),
        symplectic=facts.symplectic(scheme),
        symmetric=facts.symmetric(scheme),
        exact=exactly == limit,
    )


def _composition(method: Method, scheme: Composition) -> Summary:
    """Kicks and drifts of a Hamiltonian field are shears, which keep the two-form; a palindrome undoes itself backwards."""
    moves = [(s.kind, s.size) for s in scheme.substeps]
    return Summary(
        method.name,
        method.family,
        method.order,
        stages=sum(s.kind == "kick" for s in scheme.substeps),
        explicit=scheme.separable or None,
        symplectic=True,
        symmetric=moves == moves[::-1],
    )


def _limit(value: Fraction | None) -> Limit:
    return math.inf if value is None else value
