"""What is computed from the tableaux against what the literature says of the methods."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.exact import Undecided, root
from odespec.solvers import SOLVERS, RungeKutta, facts, tableau
from odespec.solvers.polynomial import Polynomial, first_negative, roots_left
from odespec.solvers.quadratic import Quadratic, quadratic

PUBLISHED = {"tsit5": Fraction(1, 10**27), "dopri8": Fraction(1, 10**14), "kvaerno5": Fraction(1, 10**14)}
"""Methods whose published coefficients are decimals: their order conditions hold up to this much."""

TABLEAUX: dict[str, RungeKutta] = {n: m.scheme for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta)}
EXACT = sorted(set(TABLEAUX) - set(PUBLISHED))


def floats(p: Polynomial) -> np.ndarray:
    return np.array([float(a) for a in p])


def test_rooted_trees() -> None:
    assert [len(facts.trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize("name", EXACT)
def test_order_is_what_the_registry_says(name: str) -> None:
    assert facts.order(TABLEAUX[name]) == SOLVERS[name].order


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_order_of_published_decimals(name: str) -> None:
    order = SOLVERS[name].order
    assert order is not None
    assert all(facts.defect(TABLEAUX[name], p) <= PUBLISHED[name] for p in range(1, order + 1))
    if order < 8:
        assert facts.defect(TABLEAUX[name], order + 1) > Fraction(1, 10**6)
    assert facts.defect(TABLEAUX[name], 1) == 0


@pytest.mark.parametrize(("name", "order"), [("bosh3", 2), ("dopri5", 4), ("tsit5", 4), ("dopri8", 7), ("kvaerno5", 4)])
def test_order_of_the_embedded_formula(name: str, order: int) -> None:
    scheme = TABLEAUX[name]
    tolerance = PUBLISHED.get(name, Fraction(0))
    defects = [facts.defect(scheme, p, scheme.b_embedded) for p in range(1, order + 2)]
    assert all(d <= tolerance for d in defects[:-1]) and defects[-1] > Fraction(1, 10**6)


CIRCLES: dict[str, float | None] = {
    "euler": 1,
    "heun": 1,
    "ssprk3": 1,
    "rk4": 1,
    "ralston": 0.791288,
    "bosh3": 0.898979,
    "rk3": 0.5,
    "rk38": 2 * sqrt(3) - 3,
    "midpoint": 0,
    "dopri5": 0,
    "tsit5": 0,
    "trapezoid": 2,
    "sdirk2": 4 + 3 * sqrt(2),
    "backward_euler": None,
    "implicit_midpoint": None,
    "gauss2": None,
    "radau5": None,
}


@pytest.mark.parametrize("name", sorted(CIRCLES))
def test_circle_radius(name: str) -> None:
    found, known = facts.circle_radius(TABLEAUX[name]), CIRCLES[name]
    assert (found is None) == (known is None)
    if found is not None and known is not None:
        assert float(found) == pytest.approx(known, abs=1e-6)


def test_rational_radii_are_exact() -> None:
    known = {"euler": 1, "heun": 1, "ssprk3": 1, "rk4": 1, "rk3": Fraction(1, 2), "trapezoid": 2}
    assert {n: facts.circle_radius(TABLEAUX[n]) for n in known} == known


@pytest.mark.parametrize("name", EXACT)
def test_the_circle_radius_is_on_the_safe_side(name: str) -> None:
    scheme = TABLEAUX[name]
    r = facts.circle_radius(scheme)
    if not r:
        return
    M = np.array([[float(x) for x in row] for row in facts.algebraic_matrix(scheme)])
    b = np.diag([float(w) for w in scheme.b])
    assert np.linalg.eigvalsh(M + b / float(r)).min() > -1e-12
    assert np.linalg.eigvalsh(M + b / (1.001 * float(r))).min() < 0


def test_algebraic_stability() -> None:
    stable = {n for n, s in TABLEAUX.items() if facts.b_stable(s)}
    assert stable == {"backward_euler", "implicit_midpoint", "gauss2", "radau5"}


def test_symplectic_and_symmetric_methods() -> None:
    assert {n for n, s in TABLEAUX.items() if facts.symplectic(s)} == {"implicit_midpoint", "gauss2"}
    assert {n for n, s in TABLEAUX.items() if facts.symmetric(s)} == {"implicit_midpoint", "gauss2", "trapezoid"}


def test_linear_stability_of_implicit_methods() -> None:
    implicit = {n: s for n, s in TABLEAUX.items() if SOLVERS[n].family == "implicit"}
    assert all(facts.a_stable(s) for s in implicit.values())
    assert {n for n, s in implicit.items() if facts.l_stable(s)} == {"backward_euler", "radau5", "sdirk2"}
    assert not any(facts.a_stable(s) for n, s in TABLEAUX.items() if n not in implicit)


REAL = {"euler": 2, "heun": 2, "ssprk3": 2.512745, "rk4": 2.785293563405, "dopri5": 3.30656789}
IMAGINARY = {"euler": 0, "heun": 0, "midpoint": 0, "rk3": sqrt(3), "rk4": 2 * sqrt(2), "rk38": 2 * sqrt(2)}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_axis(name: str) -> None:
    assert float(facts.real_axis(TABLEAUX[name]) or 0) == pytest.approx(REAL[name], abs=1e-6)


@pytest.mark.parametrize("name", sorted(IMAGINARY))
def test_imaginary_axis(name: str) -> None:
    found = facts.imag_axis(TABLEAUX[name])
    assert found is not None and float(found) == pytest.approx(IMAGINARY[name], abs=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_stability_intervals_against_values(name: str) -> None:
    N, D = (floats(p)[::-1] for p in facts.stability_function(TABLEAUX[name]))
    for limit, direction in ((facts.real_axis(TABLEAUX[name]), -1), (facts.imag_axis(TABLEAUX[name]), 1j)):
        reach = 50.0 if limit is None else float(limit)
        at = direction * np.linspace(0, reach, 2001)
        assert np.abs(np.polyval(N, at) / np.polyval(D, at)).max() <= 1 + 1e-12
        if limit is not None:
            beyond = direction * (reach + np.array([1e-3, 1e-2]))
            assert np.abs(np.polyval(N, beyond) / np.polyval(D, beyond)).max() > 1


@pytest.mark.parametrize("name", sorted(TABLEAUX))
def test_stability_function_is_the_step_of_a_linear_field(name: str) -> None:
    scheme = TABLEAUX[name]
    A = np.array([[float(a) for a in row] for row in scheme.A])
    b = np.array([float(w) for w in scheme.b])
    N, D = (floats(p)[::-1] for p in facts.stability_function(scheme))
    for z in (-0.7, 0.3, -1.1 + 0.4j, 2.5j):
        direct = 1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * A, np.ones(len(b)))
        assert np.polyval(N, z) / np.polyval(D, z) == pytest.approx(direct, rel=1e-10)


SSP: dict[str, float | None] = {
    "euler": 1,
    "heun": 1,
    "ssprk3": 1,
    "rk4": 0,
    "midpoint": 0,
    "ralston": 0.5,
    "trapezoid": 2,
    "implicit_midpoint": 2,
    "sdirk2": 1 + sqrt(2),
    "backward_euler": None,
}


@pytest.mark.parametrize("name", sorted(SSP))
def test_strong_stability(name: str) -> None:
    found, known = facts.ssp(TABLEAUX[name]), SSP[name]
    assert (found is None) == (known is None)
    if found is not None and known is not None:
        assert float(found) == pytest.approx(known, abs=1e-9)


def test_stages() -> None:
    known = {"euler": 1, "rk4": 4, "bosh3": 3, "dopri5": 6, "tsit5": 6, "dopri8": 13, "radau5": 3, "kvaerno5": 7}
    assert {n: facts.stages(TABLEAUX[n]) for n in known} == known


def test_users_tableau() -> None:
    half = Fraction(1, 2)
    mine = tableau(((Fraction(0), Fraction(0)), (Fraction(1), Fraction(0))), (half, half))
    assert mine == TABLEAUX["heun"] and facts.order(mine) == 2
    lobatto = tableau(((half, -half), (half, half)), (half, half))
    assert facts.order(lobatto) == 2 and facts.l_stable(lobatto) and facts.b_stable(lobatto)


def test_entries_outside_a_quadratic_field_are_said_to_be() -> None:
    strange = tableau(((root(Fraction(2), 3),),), (Fraction(1),))
    with pytest.raises(Undecided):
        facts.order(strange)
    with pytest.raises(Undecided):
        quadratic(root(Fraction(2), 2) + root(Fraction(3), 2))


# --- arithmetic ----------------------------------------------------------------

rationals = st.fractions(min_value=-9, max_value=9, max_denominator=12)


@given(rationals, rationals, rationals, rationals, st.sampled_from([2, 3, 6, 7]))
def test_quadratic_numbers(a: Fraction, b: Fraction, c: Fraction, e: Fraction, d: int) -> None:
    s = root(Fraction(d), 2)
    x, y = quadratic(a + b * s), quadratic(c + e * s)
    value = float(x)
    assert value == pytest.approx(float(a) + float(b) * sqrt(d), abs=1e-12)
    assert float(x * y + x - y) == pytest.approx(value * float(y) + value - float(y), abs=1e-9)
    if y.sign:
        assert (x / y * y - x).sign == 0
    if abs(value) > 1e-9:
        assert x.sign == (1 if value > 0 else -1)


@given(st.lists(st.tuples(rationals.map(abs), st.booleans()), min_size=1, max_size=5), st.booleans())
@settings(deadline=None)
def test_first_sign_change(factors: list[tuple[Fraction, bool]], squares: bool) -> None:
    """Of a product of linear and quadratic factors whose roots are known."""
    from odespec.solvers import polynomial

    p: Polynomial = (Quadratic(Fraction(1)),)
    changes: list[Fraction] = []
    for at, single in factors:
        if at == 0:
            continue
        factor = (Quadratic(at), Quadratic(Fraction(-1)))
        p = polynomial.mul(p, factor if single else polynomial.mul(factor, factor))
        changes += [at] if single else []
    counts = {x: changes.count(x) for x in changes}
    odd = sorted(x for x, n in counts.items() if n % 2)
    width = Fraction(1, 10**6)
    found = first_negative(p, width)
    if not odd:
        assert found is None
    else:
        assert found is not None and odd[0] - width <= found <= odd[0]


@given(st.lists(st.tuples(rationals, rationals), min_size=1, max_size=3))
def test_routh(parts: list[tuple[Fraction, Fraction]]) -> None:
    """Products of ``x^2 + p x + q``: both roots are on the left if and only if p and q are positive."""
    from odespec.solvers import polynomial

    p: Polynomial = (Quadratic(Fraction(1)),)
    for a, b in parts:
        p = polynomial.mul(p, (Quadratic(b), Quadratic(a), Quadratic(Fraction(1))))
    assert roots_left(polynomial.trim(p)) == all(a > 0 and b > 0 for a, b in parts)
