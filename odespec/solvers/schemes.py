"""Solvers that are no Runge–Kutta methods: partitioned, multistep, splitting, stochastic; the user's own; none."""

from fractions import Fraction

from odespec.exact import Real, root
from odespec.solvers.method import Composition, Method, Multistep, Substep, numbers, register

STEPS = ("steps",)
ONE, HALF, ZERO = Fraction(1), Fraction(1, 2), Fraction(0)


def _verlet(size: Real, begin: Real) -> tuple[Substep, ...]:
    """Half a kick, a drift, half a kick, over ``size`` of the step from ``begin`` on."""
    half = size * HALF
    return (Substep("kick", half, begin), Substep("drift", size, begin + half), Substep("kick", half, begin + size))


def _yoshida4() -> tuple[Substep, ...]:
    cube = root(Fraction(2), 3)
    outer = 1 / (2 - cube)
    inner = 1 - 2 * outer
    return _verlet(outer, ZERO) + _verlet(inner, outer) + _verlet(outer, 1 - outer)


SYMPLECTIC_EULER = Composition((Substep("kick", ONE, ZERO), Substep("drift", ONE, ZERO)), separable=False)
VERLET = Composition(_verlet(ONE, ZERO), separable=True)
YOSHIDA4 = Composition(_yoshida4(), separable=True)

for _name, _order, _scheme, _reference, _doc in (
    ("symplectic_euler", 1, SYMPLECTIC_EULER, "de Vogelaere 1956", "momentum, then position with the new momentum"),
    ("verlet", 2, VERLET, "Verlet 1967", "kick, drift, kick"),
    ("yoshida4", 4, YOSHIDA4, "Yoshida 1990", "three verlet steps"),
):
    register(Method(_name, "partitioned", STEPS, _order, _reference, _doc, _scheme))

for _name, _order, _alpha, _beta, _start, _reference, _doc in (
    ("leapfrog", 2, "-1 0 1", "0 2 0", "heun", "Nystrom 1925", "two-step midpoint"),
    ("ab2", 2, "0 -1 1", "-1/2 3/2 0", "heun", "Adams & Bashforth 1883", "two steps, explicit"),
    ("ab3", 3, "0 0 -1 1", "5/12 -4/3 23/12 0", "rk3", "Adams & Bashforth 1883", "three steps, explicit"),
    ("bdf2", 2, "1/3 -4/3 1", "0 0 2/3", "backward_euler", "Curtiss & Hirschfelder 1952", "implicit, A-stable"),
):
    _multistep = Multistep(numbers(_alpha), numbers(_beta), _start)
    register(Method(_name, "multistep", ("steps", "start"), _order, _reference, _doc, _multistep))

for _name, _keywords, _order, _reference, _doc in (
    ("imex_euler", ("steps", "linear"), 1, "Ascher, Ruuth & Wetton 1995", "linear terms implicit, the others explicit"),
    ("etd1", ("steps", "linear"), 1, "Cox & Matthews 2002", "linear terms exponential, the others explicit"),
    ("etdrk4", ("steps", "linear"), 4, "Cox & Matthews 2002", "exponential, four stages"),
    ("fused_euler", STEPS, 1, "Hasani et al. 2021", "a field -g(x)*x + r(x) with the outer x at the new value"),
):
    register(Method(_name, "splitting", _keywords, _order, _reference, _doc))

for _name, _order, _reference, _doc in (
    ("euler_maruyama", 1, "Maruyama 1955", "strong order 1/2, with additive noise 1; weak order 1"),
    ("milstein", 1, "Milstein 1974", "strong order 1 for additive, diagonal or commutative noise"),
    ("stochastic_heun", 1, "Ruemelin 1982", "of the Ito equation, the drift correction emitted"),
):
    register(Method(_name, "stochastic", STEPS, _order, _reference, _doc))

register(Method("tableau", "custom", ("A", "b", "steps"), None, "the user", "your own Butcher tableau"))
register(Method("map", "map", STEPS, None, "the user", "no solver: the discrete map of x+"))
