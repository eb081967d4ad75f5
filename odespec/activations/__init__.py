"""The registry of elementwise functions: slopes, values, derivative, and how each framework writes them.

An entry is data; whatever needs to know something of an activation reads it here. Slope intervals are those of all
difference quotients ``(f(x) - f(y)) / (x - y)``, enclosed outward in rational numbers.
"""

from odespec.activations import bounded, piecewise, smooth
from odespec.activations.curves import REAL, Interval, Parameters, interval
from odespec.activations.entry import ACTIVATIONS, Activation, derivative, from_curves, named, register

__all__ = [
    "ACTIVATIONS",
    "REAL",
    "Activation",
    "Interval",
    "Parameters",
    "derivative",
    "from_curves",
    "interval",
    "named",
    "register",
]

_ = bounded, piecewise, smooth
