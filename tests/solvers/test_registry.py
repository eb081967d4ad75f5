"""The registry of solvers: complete, consistent, and open."""

from __future__ import annotations

from fractions import Fraction

import pytest

from odespec.exact import sign
from odespec.solvers import SOLVERS, Composition, Method, Multistep, RungeKutta, UnknownSolver, get, register

FAMILIES = {
    "explicit": "euler heun midpoint ralston ssprk3 rk3 rk4 rk38",
    "adaptive": "bosh3 dopri5 tsit5 dopri8",
    "implicit": "backward_euler trapezoid implicit_midpoint gauss2 radau5 sdirk2 kvaerno5",
    "partitioned": "symplectic_euler verlet yoshida4",
    "multistep": "leapfrog ab2 ab3 bdf2",
    "splitting": "imex_euler etd1 etdrk4 fused_euler",
    "stochastic": "euler_maruyama milstein stochastic_heun",
    "custom": "tableau",
    "map": "map",
}


def test_every_solver_of_the_language_is_there() -> None:
    for family, names in FAMILIES.items():
        assert {n for n, m in SOLVERS.items() if m.family == family} == set(names.split())


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_entries_are_complete(name: str) -> None:
    method = SOLVERS[name]
    assert method.name == name and method.doc and method.reference and "steps" in method.keywords
    assert (method.states == 2) == (method.family == "partitioned")
    if method.family == "adaptive":
        assert {"rtol", "atol", "max_steps"} < set(method.keywords)


@pytest.mark.parametrize("name", sorted(n for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta)))
def test_tableaux(name: str) -> None:
    scheme = SOLVERS[name].scheme
    assert isinstance(scheme, RungeKutta)
    assert len(scheme.A) == len(scheme.b) == len(scheme.c) and all(len(row) == len(scheme.b) for row in scheme.A)
    assert sign(sum(scheme.b, Fraction(0)) - 1) == 0
    for row, c in zip(scheme.A, scheme.c, strict=True):
        assert sign(sum(row, Fraction(0)) - c) == 0
    assert scheme.explicit == (SOLVERS[name].family != "implicit")


@pytest.mark.parametrize("name", FAMILIES["partitioned"].split())
def test_compositions_cover_the_step(name: str) -> None:
    scheme = SOLVERS[name].scheme
    assert isinstance(scheme, Composition)
    for kind in ("kick", "drift"):
        assert sign(sum((s.size for s in scheme.substeps if s.kind == kind), Fraction(0)) - 1) == 0
    sizes = [(s.kind, s.size) for s in scheme.substeps]
    if name != "symplectic_euler":
        assert all(a[0] == b[0] and sign(a[1] - b[1]) == 0 for a, b in zip(sizes, sizes[::-1], strict=True))


def test_yoshida_satisfies_the_order_conditions() -> None:
    """The sizes of the three verlet steps: their sum is 1, the sum of their cubes 0 (Yoshida 1990)."""
    scheme = SOLVERS["yoshida4"].scheme
    assert isinstance(scheme, Composition)
    drifts = [s.size for s in scheme.substeps if s.kind == "drift"]
    assert sign(sum((d * d * d for d in drifts), Fraction(0))) == 0


@pytest.mark.parametrize("name", FAMILIES["multistep"].split())
def test_multistep_methods_have_their_order(name: str) -> None:
    method = SOLVERS[name]
    scheme, order = method.scheme, method.order
    assert isinstance(scheme, Multistep) and order is not None and scheme.alpha[-1] == 1 and get(scheme.start)
    for q in range(order + 2):
        left = sum((a * Fraction(j) ** q for j, a in enumerate(scheme.alpha)), Fraction(0))
        right = sum((b * q * Fraction(j) ** (q - 1) for j, b in enumerate(scheme.beta)), Fraction(0)) if q else 0
        assert (left == right) == (q <= order)


def test_a_new_solver_is_one_entry() -> None:
    with pytest.raises(ValueError, match="already"):
        register(SOLVERS["euler"])
    with pytest.raises(UnknownSolver):
        get("eulr")
    mine = Method("mine", "explicit", ("steps",), 1, "here", "mine", SOLVERS["euler"].scheme)
    try:
        assert get(register(mine).name) is mine
    finally:
        del SOLVERS["mine"]
