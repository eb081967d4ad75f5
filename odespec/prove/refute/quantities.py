"""The registry of what counterexamples measure besides the ratio of two distances.

A quantity is measured on one step of the map, which may be the reference interpreter's or that of emitted code, at the
weights and inputs of the counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """

    name: str
    doc: str
    measure: Callable[[Model, Counterexample, Step], float]
    emitted: bool = True


QUANTITIES: dict[str, Quantity] = {}


def register(quantity: Quantity) -> Quantity:
    """Make a quantity known under its name. Raises ValueError where the name is taken."""
    if quantity.name in QUANTITIES or quantity.name == "ratio":
        raise ValueError(f"there is already a quantity `{quantity.name}`")
    QUANTITIES[quantity.name] = quantity
    return quantity
