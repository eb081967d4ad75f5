"""Exact inclusion of regions in stability regions, against floating point: Sturm sequences, Schur-Cohn, the schemes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from odespec.certificate.auditor import regions
from odespec.certificate.auditor.characteristic import characteristic
from odespec.certificate.auditor.core import AuditError, Ledger
from odespec.certificate.auditor.rootset import Region, inside
from odespec.certificate.auditor.spectrum import edges_allowed
from odespec.certificate.auditor.surds import Surd, multiply, never_negative, positive, sign, surd, value
from odespec.prove.spectrum.amplify import number, step_eigenvalues, worst
from odespec.prove.spectrum.scheme import EMPTY, written
from odespec.solvers import SOLVERS, Composition, Multistep, RungeKutta, facts

Q = Fraction
LINEAR = [n for n, m in SOLVERS.items() if isinstance(m.scheme, RungeKutta)]
COMPONENT: dict[str, Any] = {"matrix": [[["0", "1"]]], "roles": ["state"], "linear": []}


def scheme(name: str) -> dict[str, Any]:
    s = SOLVERS[name].scheme
    if isinstance(s, RungeKutta):
        A, b = [[written(a) for a in row] for row in s.A], [written(w) for w in s.b]
        return {**EMPTY, "family": "runge-kutta", "A": A, "b": b}
    if isinstance(s, Multistep):
        return {**EMPTY, "family": "multistep", "alpha": list(map(str, s.alpha)), "beta": list(map(str, s.beta))}
    assert isinstance(s, Composition)
    return {**EMPTY, "family": "partitioned", "substeps": [[x.kind, written(x.size)] for x in s.substeps]}


def family(name: str, component: dict[str, Any] = COMPONENT) -> Any:
    return characteristic(scheme(name), component, Ledger())


def contained(name: str, region: Region, component: dict[str, Any] = COMPONENT) -> bool:
    try:
        return inside(family(name, component), region, Ledger())
    except AuditError:
        return False


def real(low: Fraction) -> Region:
    return regions.rectangle(low, Q(0), Q(0))


def imaginary(size: Fraction) -> Region:
    return regions.rectangle(Q(0), Q(0), size)


def largest(coefficients: Any, k: complex) -> float:
    """The largest root at a value of the parameter."""
    p = [sum(float_of(a) * k**i for i, a in enumerate(c)) for c in coefficients]
    return float(max(abs(np.roots(p[::-1])), default=0.0))


def float_of(x: Any) -> float:
    return float(sum(x.enclosed(60)) / 2) if isinstance(x, Surd) else float(x)


# --- polynomials -------------------------------------------------------------------


def product(*factors: list[Any]) -> list[Any]:
    result: list[Any] = [Q(1)]
    for f in factors:
        result = multiply(result, f, Ledger())
    return result


def test_signs_of_random_polynomials() -> None:
    """With roots inside, at the ends, outside, of any multiplicity: the sign between is what it is by construction."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        roots = [Q(int(rng.integers(-6, 12)), 6) for _ in range(int(rng.integers(0, 5)))]
        doubled = [Q(int(rng.integers(0, 7)), 6) for _ in range(int(rng.integers(0, 3)))]
        p = product(*([-r, Q(1)] for r in roots), *([r * r, -2 * r, Q(1)] for r in doubled), [Q(3), Q(-1), Q(1)])
        grid = [Q(i, 257) for i in range(258)]
        for end, top in ((Q(1), grid), (None, [*grid, *(Q(i, 12) for i in range(37))])):
            assert never_negative(p, end, Ledger()) == all(value(p, t) >= 0 for t in top)
            touched = any(r >= 0 and (end is None or r <= end) for r in (*roots, *doubled))
            assert positive(p, end, Ledger()) == (not touched and all(value(p, t) > 0 for t in top))


@pytest.mark.parametrize(("k", "n"), [(2, 2), (2, 5), (3, 2)])
def test_numbers_of_a_field(k: int, n: int) -> None:
    rng = np.random.default_rng(k * n)
    for _ in range(60):
        x, y = (surd([Q(int(a), 3) for a in rng.integers(-9, 10, k)], n) for _ in range(2))
        for made, wanted in ((x + y, float_of(x) + float_of(y)), (x * y, float_of(x) * float_of(y))):
            assert abs(float_of(made) - wanted) < 1e-9
        if y != 0:
            assert (x / y) * y == x
        assert sign(x) == np.sign(round(float_of(x), 12))


# --- stability regions ---------------------------------------------------------------


@pytest.mark.parametrize("name", LINEAR)
def test_the_real_axis_is_that_of_the_tableau(name: str) -> None:
    limit = facts.real_axis(SOLVERS[name].scheme)  # type: ignore[arg-type]
    if limit is None:
        assert contained(name, real(Q(-1000))) and contained(name, regions.rectangle(None, Q(0), Q(0)))
    else:
        near = limit if limit.denominator < 10**6 else Q(int(limit * 10**6), 10**6)
        assert contained(name, real(-near))
        assert not contained(name, real(-near * Q(101, 100)))


@pytest.mark.parametrize("name", LINEAR)
def test_the_imaginary_axis_is_that_of_the_tableau(name: str) -> None:
    limit = facts.imag_axis(SOLVERS[name].scheme)  # type: ignore[arg-type]
    if limit is None:
        assert contained(name, imaginary(Q(1000)))
    elif limit == 0:
        assert not contained(name, imaginary(Q(1, 100)))
    else:
        assert contained(name, imaginary(limit * Q(999, 1000)))
        assert not contained(name, imaginary(limit * Q(101, 100)))


@pytest.mark.parametrize("name", [n for n in LINEAR if n != "dopri8"])
def test_the_left_half_plane_is_contained_where_the_method_is_a_stable(name: str) -> None:
    assert contained(name, regions.rectangle(None, Q(0), None)) == facts.a_stable(SOLVERS[name].scheme)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "low", "side"),
    [("ab2", Q(1), Q(0)), ("ab3", Q(6, 11), Q(72, 100)), ("leapfrog", Q(0), Q(1)), ("bdf2", Q(1000), Q(0))],
)
def test_multistep_methods(name: str, low: Fraction, side: Fraction) -> None:
    """Real limits 1, 6/11, 0, none; imaginary ones 0, 0.7236, 1, none."""
    if low:
        assert contained(name, real(-low))
    if name != "bdf2":
        assert not contained(name, real(-low * Q(101, 100) - Q(1, 1000)))
        assert not contained(name, imaginary(side * Q(102, 100) + Q(1, 1000)))
    else:
        assert contained(name, regions.rectangle(None, Q(0), None))
    if side:
        assert contained(name, imaginary(side))


@pytest.mark.parametrize(("name", "limit"), [("symplectic_euler", 4.0), ("verlet", 4.0), ("yoshida4", 1.5734**2)])
def test_partitioned_methods(name: str, limit: float) -> None:
    """``x' = v, v' = -k x``: stable for k h^2 up to the limit."""
    oscillator = {"matrix": [[[], ["1"]], [["0", "-1"], []]], "roles": ["position", "momentum"], "linear": []}
    below, above = (Q(round(limit * f * 1e6), 10**6) for f in (0.999, 1.01))
    assert contained(name, regions.rectangle(Q(0), below, Q(0)), oscillator)
    assert not contained(name, regions.rectangle(Q(0), above, Q(0)), oscillator)
    assert not contained(name, regions.rectangle(Q(-1, 1000), below, Q(0)), oscillator)
    if name != "yoshida4":
        assert contained(name, regions.rectangle(Q(0), Q(4), Q(0)), oscillator)


def shapes(rng: np.random.Generator) -> Any:
    a, b, c = (Q(int(n), 16) for n in rng.integers(1, 7, 3))
    yield regions.rectangle(-a, Q(0), b), lambda: complex(-rng.uniform(0, float(a)), rng.uniform(-1, 1) * float(b))
    yield (
        regions.rectangle(-a - b, -a, c),
        lambda: complex(-float(a) - rng.random() * float(b), rng.uniform(-1, 1) * float(c)),
    )
    disc = Region((), Q(0), False, (-a, a))
    yield disc, lambda: -float(a) + float(a) * rng.random() ** 0.5 * np.exp(2j * np.pi * rng.random())
    corner = regions.polygon([(Q(0), Q(0)), (-a, b), (-a, -b)])
    yield corner, lambda: rng.random() * complex(-float(a), rng.uniform(-1, 1) * float(b))


@pytest.mark.parametrize("name", [*(n for n in LINEAR if n != "dopri8"), "ab2", "ab3", "leapfrog", "bdf2"])
def test_what_is_contained_is_contained(name: str) -> None:
    """No random point of a region that is said to be contained has a root outside."""
    rng = np.random.default_rng(len(name))
    coefficients = family(name)
    said = []
    for _ in range(3):
        for region, point in shapes(rng):
            points = [point() for _ in range(40)]
            worst = max(largest(coefficients, k) for k in points)
            said.append(contained(name, region))
            assert not said[-1] or worst <= 1 + 1e-9
        assert name == "leapfrog" or any(said)


def test_disc_touching_zero() -> None:
    """Euler's region is the disc about -1; a little more of it is not."""
    for scale in (Q(1), Q(99, 100)):
        assert contained("euler", Region((), Q(0), False, (-scale, scale)))
    assert not contained("euler", Region((), Q(1, 100), False, (Q(-1), Q(101, 100))))
    assert not contained("euler", Region((), Q(0), False, (Q(-101, 100), Q(101, 100))))


def test_damped_skew_is_sharp() -> None:
    """Eigenvalues -g + i [-w, w]: Euler up to h = 2 g / (g^2 + w^2)."""
    g, w = Q(1, 2), Q(2)
    h = 2 * g / (g * g + w * w)
    edge = regions.rectangle(-g * h, -g * h, w * h)
    assert contained("euler", edge)
    assert not contained("euler", regions.rectangle(-g * h * Q(101, 100), -g * h * Q(101, 100), w * h * Q(101, 100)))


def test_second_order_systems_in_runge_kutta() -> None:
    """``[[0, 1], [-k, -g]]`` for k in [0, 1]: the matrix of the step, against eigenvalues by numpy."""
    damped = {"matrix": [[[], ["1"]], [["0", "-1"], ["-1/2"]]], "roles": ["state"] * 2, "linear": []}
    for name in ("euler", "rk4", "heun", "gauss2", "leapfrog", "ab2"):
        coefficients = family(name, damped)
        rng = np.random.default_rng(3)
        for _ in range(20):
            k = float(rng.uniform(0, 3))
            lam = np.linalg.eigvals(np.array([[0, 1], [-k, -0.5]]))
            direct = max(largest(family(name), z) for z in lam)
            assert abs(largest(coefficients, k) - direct) < 1e-6


@pytest.mark.parametrize("name", ["euler", "rk4", "leapfrog", "ab2", "symplectic_euler", "gauss2"])
def test_two_parameters_by_the_edges(name: str) -> None:
    """``[[a, 1], [-k, -d]]`` for a box of k and d: what is allowed is never broken inside; implicit methods are refused."""
    rng = np.random.default_rng(7)
    allowed = 0
    for _ in range(12):
        (k, d), (wide, more) = rng.integers(0, 4, 2), rng.integers(1, 5, 2)
        h = Q(1, int(rng.integers(2, 9)))
        box = [(Q(int(k), 4), Q(int(k + wide), 4)), (Q(int(d), 4), Q(int(d + more), 4))]
        roles = ["position", "momentum"] if name == "symplectic_euler" else ["state"] * 2
        component = {
            "states": ["x", "v"],
            "roles": roles,
            "linear": [],
            "matrix": [[[], ["1"]], [["0", "-1"], []]],
            "operator": symmetric(0, *box[0]),
            "damping": {"factor": "-1", "operator": symmetric(2, *box[1])},
        }
        parts = [
            {"role": "flow", "sense": s, "tau": str(x)} for b in box for s, x in zip(("lower", "upper"), b, strict=True)
        ]
        made = {**scheme(name), "h": str(h)}
        if not edges_allowed(made, component, parts):
            continue
        allowed += 1
        for _ in range(40):
            at, damping = (rng.uniform(float(a), float(b)) for a, b in box)
            J = np.array([[0.0, 1.0], [-at, -damping]])
            roots = step_eigenvalues(made, J, None, np.array([False, True]))
            assert worst(made, roots) <= 1 + 1e-9
    assert (allowed > 0) == (name not in ("gauss2", "leapfrog"))


def symmetric(part: int, low: Fraction, high: Fraction) -> dict[str, Any]:
    bounds = {"low": {"part": part, "number": str(low)}, "high": {"part": part + 1, "number": str(high)}}
    return {"kind": "symmetric", "factor": [], "sums": None, "disc": None, "shift": "0", **bounds}


def test_numbers_of_a_scheme() -> None:
    assert number("[1, -1/2] with root 2 of 2") == pytest.approx(1 - 0.5 * 2**0.5)
    assert number("-3/4") == -0.75
