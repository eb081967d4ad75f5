"""Implicit Runge–Kutta methods."""

from fractions import Fraction
from functools import cache

from odespec.exact import Real, root
from odespec.solvers.method import Method, RungeKutta, consistent, register, runge_kutta, tableau

STEPS = ("steps",)


@cache
def _gauss2() -> RungeKutta:
    quarter, half, s = Fraction(1, 4), Fraction(1, 2), root(Fraction(3), 2) / 6
    return tableau(((quarter, quarter - s), (quarter + s, quarter)), (half, half))


@cache
def _radau5() -> RungeKutta:
    """Hairer & Wanner, Solving Ordinary Differential Equations II, table IV.5.6."""
    s: Real = root(Fraction(6), 2)
    last: tuple[Real, ...] = ((16 - s) / 36, (16 + s) / 36, Fraction(1, 9))
    return tableau(
        (
            ((88 - 7 * s) / 360, (296 - 169 * s) / 1800, (-2 + 3 * s) / 225),
            ((296 + 169 * s) / 1800, (88 + 7 * s) / 360, (-2 - 3 * s) / 225),
            last,
        ),
        last,
    )


@cache
def _sdirk2() -> RungeKutta:
    g = 1 - root(Fraction(1, 2), 2)
    return tableau(((g,), (1 - g, g)), (1 - g, g))


@cache
def _kvaerno5() -> RungeKutta:
    """Published to 17 decimals; the order conditions hold to about 1e-16."""
    weights = (
        "0.13659751177640291 0 -0.05496908796538376 -0.04118626728321046 0.62993304899016403 0.06962479448202728 0.26"
    )
    embedded = "0.13855640231268224 0 -0.04245337201752043 0.02446657898003141 0.61943039072480676 0.26"
    return consistent(
        runge_kutta(
            "0; 0.26 0.26; 0.13 0.84033320996790809 0.26; 0.22371961478320505 0.47675532319799699 -0.06470895363112615"
            " 0.26; 0.16648564323248321 0.10450018841591720 0.03631482272098715 -0.13090704451073998 0.26;"
            f"{embedded}; {weights}",
            weights,
            f"{embedded} 0",
        )
    )


for _name, _order, _data, _reference, _doc in (
    ("backward_euler", 1, runge_kutta("1", "1"), "Euler 1768", "L-stable, algebraically stable"),
    ("trapezoid", 2, runge_kutta("0; 1/2 1/2", "1/2 1/2"), "Crank & Nicolson 1947", "A-stable"),
    ("implicit_midpoint", 2, runge_kutta("1/2", "1"), "Gauss method of one stage", "symplectic, algebraically stable"),
    ("gauss2", 4, _gauss2, "Hammer & Hollingsworth 1955", "two stages, symplectic, algebraically stable"),
    ("radau5", 5, _radau5, "Axelsson 1969", "Radau IIA of three stages, L-stable, algebraically stable"),
    ("sdirk2", 2, _sdirk2, "Alexander 1977", "two stages, L-stable, gamma = 1 - 1/sqrt(2)"),
    ("kvaerno5", 5, _kvaerno5, "Kvaerno 2004", "seven stages, stiffly accurate, A-stable; 17 decimals"),
):
    register(Method(_name, "implicit", STEPS, _order, _reference, _doc, _data))
