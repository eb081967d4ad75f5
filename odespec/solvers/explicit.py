"""Explicit Runge–Kutta methods of fixed step."""

from odespec.solvers.method import Method, register, runge_kutta

STEPS = ("steps",)

for _name, _order, _tableau, _reference, _doc in (
    ("euler", 1, runge_kutta("0", "1"), "Euler 1768", "forward Euler"),
    ("heun", 2, runge_kutta("0; 1", "1/2 1/2"), "Heun 1900", "explicit trapezoid"),
    ("midpoint", 2, runge_kutta("0; 1/2", "0 1"), "Runge 1895", "explicit midpoint"),
    ("ralston", 2, runge_kutta("0; 2/3", "1/4 3/4"), "Ralston 1962", "two stages, c = 2/3"),
    (
        "ssprk3",
        3,
        runge_kutta("0; 1; 1/4 1/4", "1/6 1/6 2/3"),
        "Shu & Osher 1988",
        "three stages, strong stability preserving",
    ),
    ("rk3", 3, runge_kutta("0; 1/2; -1 2", "1/6 2/3 1/6"), "Kutta 1901", "Kutta's third-order method"),
    ("rk4", 4, runge_kutta("0; 1/2; 0 1/2; 0 0 1", "1/6 1/3 1/3 1/6"), "Kutta 1901", "the classical method"),
    ("rk38", 4, runge_kutta("0; 1/3; -1/3 1; 1 -1 1", "1/8 3/8 3/8 1/8"), "Kutta 1901", "the 3/8 rule"),
):
    register(Method(_name, "explicit", STEPS, _order, _reference, _doc, _tableau))
