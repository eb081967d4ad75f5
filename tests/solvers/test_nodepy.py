"""Facts of solvers agree with NodePy's, computed by other code from other copies of the tableaux."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import pytest

from odespec.solvers import SOLVERS, RungeKutta, facts

rk = pytest.importorskip("nodepy.runge_kutta_method")

PAIRS = {
    "euler": "FE",
    "heun": "Heun22",
    "midpoint": "Mid22",
    "ssprk3": "SSP33",
    "rk4": "RK44",
    "bosh3": "BS3",
    "dopri5": "DP5",
    "backward_euler": "BE",
    "radau5": "RadauIIA3",
    "gauss2": "GL2",
}
"""Ours and NodePy's names of the same method."""

EXACT = sorted(set(PAIRS) - {"radau5", "gauss2"})
"""Those whose radii NodePy computes in floating point from rational coefficients."""


@pytest.fixture(scope="module")
def methods() -> dict[str, Any]:
    loaded: dict[str, Any] = rk.loadRKM()
    return loaded


def scheme(name: str) -> RungeKutta:
    found = SOLVERS[name].scheme
    assert isinstance(found, RungeKutta)
    return found


def number(value: Fraction | None) -> float:
    return inf if value is None else float(value)


@pytest.mark.parametrize("name", PAIRS)
def test_the_tableau_is_the_same(name: str, methods: dict[str, Any]) -> None:
    own, other = scheme(name), methods[PAIRS[name]]
    assert [float(w) for w in own.b] == pytest.approx([float(w) for w in other.b])
    for row, their in zip(own.A, other.A, strict=True):
        assert [float(a) for a in row] == pytest.approx([float(a) for a in their])


@pytest.mark.parametrize("name", PAIRS)
def test_the_order_is_the_same(name: str, methods: dict[str, Any]) -> None:
    assert facts.order(scheme(name), 6) == methods[PAIRS[name]].order()


@pytest.mark.parametrize("name", [n for n in EXACT if n != "backward_euler"])
def test_the_radii_and_intervals_are_the_same(name: str, methods: dict[str, Any]) -> None:
    own, other = scheme(name), methods[PAIRS[name]]
    assert number(facts.circle_radius(own)) == pytest.approx(other.circle_contractivity_radius(), abs=1e-6)
    assert number(facts.ssp(own)) == pytest.approx(other.absolute_monotonicity_radius(), abs=1e-6)
    assert number(facts.real_axis(own)) == pytest.approx(other.real_stability_interval(), abs=1e-6)
    assert number(facts.imag_axis(own)) == pytest.approx(other.imaginary_stability_interval(), abs=1e-6)
