"""What an activation is, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from odespec.activations.curves import REAL, Curve, End, Interval, Parameters, Pieces, Wave
from odespec.ir.expr import Expr
from odespec.records import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def _anything(parameters: Parameters) -> Interval:
    return REAL


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise function.

    ``slope``: of all difference quotients. ``numpy`` evaluates arrays of float64. ``torch`` and ``jax`` are templates
    in ``{x}`` (a name: it may occur more than once) and the names of the parameters; the modules are ``torch``,
    ``jax`` and ``jnp``. ``slope_within`` and ``range_within`` give the interval on ``[low, high]`` (None: no end on
    that side), where that is known more closely. ``nameable``: whether a spec may call it; the others occur in
    derivatives.
    """

    name: str
    doc: str
    slope: Callable[[Parameters], Interval]
    derivative: Callable[[Expr, Parameters], Expr]
    numpy: Callable[[Array, Parameters], Array]
    torch: str
    jax: str
    range: Callable[[Parameters], Interval] = _anything
    parameters: tuple[str, ...] = ()
    slope_within: Callable[[End, End, Parameters], Interval] | None = None
    range_within: Callable[[End, End, Parameters], Interval] | None = None
    odd: bool = False
    convex: bool = False
    nameable: bool = True

    def slope_on(self, low: End, high: End, parameters: Parameters = ()) -> Interval:
        """The slopes between arguments in ``[low, high]``."""
        if self.slope_within is None:
            return self.slope(parameters)
        return self.slope_within(low, high, parameters)

    def range_on(self, low: End, high: End, parameters: Parameters = ()) -> Interval:
        """The values at arguments in ``[low, high]``."""
        if self.range_within is None:
            return self.range(parameters)
        return self.range_within(low, high, parameters)


ACTIVATIONS: dict[str, Activation] = {}


def register(activation: Activation) -> Activation:
    """Make an activation known under its name. Raises ValueError where the name is taken."""
    if activation.name in ACTIVATIONS:
        raise ValueError(f"there is already an activation `{activation.name}`")
    ACTIVATIONS[activation.name] = activation
    return activation


def derivative(e: Expr) -> Expr:
    """The derivative of an ``act`` node at its argument."""
    name, parameters = named(e)
    return ACTIVATIONS[name].derivative(e.args[0], parameters)


def named(e: Expr) -> tuple[str, Parameters]:
    """The name and the parameters of an ``act`` node."""
    assert e.op == "act" and isinstance(e.data, tuple)
    return e.data[0], e.data[1]


def from_curves(
    name: str,
    doc: str,
    slopes: Curve | Pieces | Wave,
    values: Curve | Wave,
    derivative: Callable[[Expr, Parameters], Expr],
    numpy: Callable[[Array, Parameters], Array],
    torch: str,
    jax: str,
    **others: object,
) -> Activation:
    """An activation whose bounds, everywhere and on intervals, follow from its derivative's and its own curve."""
    return Activation(
        name,
        doc,
        slopes.everywhere,
        derivative,
        numpy,
        torch,
        jax,
        values.everywhere,
        slope_within=slopes.within,
        range_within=values.within,
        **others,  # type: ignore[arg-type]
    )
