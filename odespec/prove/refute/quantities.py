"""The registry of what counterexamples measure besides the ratio of two distances.

A quantity is measured on one step of the map, which may be the reference interpreter's or that of emitted code, at the
weights and inputs of the counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Model
    from odespec.prove.refute.counterexample import Counterexample
    from odespec.weights.arithmetic import Array

Step = Callable[[Sequence["Array"]], list["Array"]]
"""One step of the map: all states before it to all states after it, in order of declaration."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """``measure`` gives the number that is compared with the counterexample's ``bound`` on its ``side``.

    ``doc`` completes "the number is …". ``emitted``: whether it is measured on the map, so that emitted code can show
    it; otherwise (of a field, or a method) only the interpreter does, and ``measure`` does not call the step.
    ``whole``: it is measured on the whole map, from the free initial states to all final states, not on one step.
    """

    name: str
    doc: str
    measure: Callable[[Model, Counterexample, Step], float]
    emitted: bool = True
    whole: bool = False


SOURCES = {
    "ratio in the metric": "odespec.prove.refute.metric",
    "spectral radius": "odespec.prove.refute.radius",
    "ratio in the metric, of the flow": "odespec.prove.refute.metricflow",
    "spectral abscissa": "odespec.prove.refute.metricflow",
    "violation of the relation": "odespec.prove.refute.leaving",
    "rate out of the relation": "odespec.prove.refute.leaving",
    "root of the expected square": "odespec.prove.refute.expectedsquare",
    "change of the scalar": "odespec.prove.refute.scalars",
    "rate of the scalar": "odespec.prove.refute.scalars",
    "eigenvalue with frozen slopes": "odespec.prove.spectrum.quantity",
    "eigenvalue of the step": "odespec.prove.spectrum.quantity",
    "real part of an eigenvalue": "odespec.prove.spectrum.quantity",
    "convergence slope": "odespec.prove.orders.witness",
    "change of the two-form": "odespec.prove.structure.twoform",
    "change of the two-form by all steps": "odespec.prove.structure.twoform",
    "rate of the two-form": "odespec.prove.structure.twoform",
    "distance after one step": "odespec.prove.structure.folds",
    "orientation": "odespec.prove.structure.folds",
}
"""Where each quantity is registered: a file with a counterexample names it before anything has imported its module."""


class Registry(dict[str, Quantity]):
    """Quantities by name; those in `SOURCES` are imported when they are first asked for."""

    def __missing__(self, name: str) -> Quantity:
        if name not in SOURCES:
            raise KeyError(name)
        import_module(SOURCES[name])
        return dict.__getitem__(self, name)

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in SOURCES


QUANTITIES = Registry()


def register(quantity: Quantity) -> Quantity:
    """Make a quantity known under its name. Raises ValueError where the name is taken."""
    if dict.__contains__(QUANTITIES, quantity.name) or quantity.name == "ratio":
        raise ValueError(f"there is already a quantity `{quantity.name}`")
    QUANTITIES[quantity.name] = quantity
    return quantity
