"""Helpers with which entries evaluate arrays. NumPy is imported when a function is called, not before."""

from __future__ import annotations

from collections.abc import Callable
from math import erf as erf_of_number
from typing import TYPE_CHECKING

from odespec.activations.curves import Parameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def ufunc(name: str) -> Callable[[Array, Parameters], Array]:
    """A function of NumPy by its name."""

    def evaluate(x: Array, p: Parameters) -> Array:
        import numpy as np

        result: Array = getattr(np, name)(x)
        return result

    return evaluate


def numeric(code: Callable[..., Array]) -> Callable[[Array, Parameters], Array]:
    """A function of ``(numpy, x, *parameters)``."""

    def evaluate(x: Array, p: Parameters) -> Array:
        import numpy as np

        return code(np, x, *(float(a) for a in p))

    return evaluate


def sigmoid(x: Array, p: Parameters = ()) -> Array:
    """``1 / (1 + exp(-x))``, accurate on both sides."""
    import numpy as np

    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def erf(x: Array, p: Parameters = ()) -> Array:
    import numpy as np

    return np.asarray(np.frompyfunc(erf_of_number, 1, 1)(x), dtype=np.float64)


def gelu(x: Array, p: Parameters = ()) -> Array:
    """``x Phi(x)``, by erfc where x is negative, which keeps the digits of the tail."""
    from math import erfc

    import numpy as np

    tail = np.asarray(np.frompyfunc(erfc, 1, 1)(np.abs(x) * 0.5**0.5), dtype=np.float64)
    return np.asarray(0.5 * x * np.where(x < 0, tail, 2.0 - tail))
