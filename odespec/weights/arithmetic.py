"""The kinds of numbers over which expressions are evaluated: float64, exact fractions, decimals of fifty digits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from odespec.activations import ACTIVATIONS
from odespec.exact import Real, enclose
from odespec.program.evaluate import power
from odespec.records import dataclass
from odespec.weights import digits

Array = np.ndarray[Any, Any]
DIGITS = 50
CONTEXT = Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[DivisionByZero, InvalidOperation, Overflow])
"""The context in which decimals are to be used (``with localcontext(CONTEXT)``)."""


class Inexact(ArithmeticError):
    """This operation has no exact result in this kind of numbers."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A kind of numbers. ``cast`` takes float64 arrays without rounding; ``const`` takes the numbers of a spec."""

    name: str
    const: Callable[[Real], Any]
    cast: Callable[[Array], Array]
    act: Callable[[str, tuple[Fraction, ...], Array], Array]
    power: Callable[[Array, Fraction], Array]
    sqrt: Callable[[Array], Array]
    exp: Callable[[Array], Array]


def _each(function: Callable[[Any], Any], x: Array) -> Array:
    return np.asarray(np.frompyfunc(function, 1, 1)(x), dtype=object)


def _cast(function: Callable[[float], Any], x: Array) -> Array:
    """Of each float64, computed once for equal ones (to the bit: -0 is not 0): weights are mostly zeros and ones."""
    x = np.asarray(x, dtype=np.float64)
    distinct, places = np.unique(x.reshape(-1).view(np.int64), return_inverse=True)
    return _each(function, distinct.view(np.float64))[places].reshape(x.shape)


# --- float64 -------------------------------------------------------------------


def _float_act(name: str, parameters: tuple[Fraction, ...], x: Array) -> Array:
    return ACTIVATIONS[name].numpy(x, parameters)


FLOAT = Arithmetic("float64", float, lambda x: np.asarray(x, dtype=np.float64), _float_act, power, np.sqrt, np.exp)


# --- fractions -----------------------------------------------------------------

_EXACT: dict[str, Callable[..., Fraction]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, Fraction(0)),
    "leaky_relu": lambda x, a: x if x > 0 else a * x,
    "abs": abs,
    "hardtanh": lambda x: max(min(x, Fraction(1)), Fraction(-1)),
    "square": lambda x: x * x,
    "step": lambda x: Fraction(int(x > 0)),
    "sign": lambda x: Fraction((x > 0) - (x < 0)),
    "softsign": lambda x: x / (1 + abs(x)),
}


def _exact_const(value: Real) -> Fraction:
    if not isinstance(value, Fraction):
        raise Inexact("an irrational number")
    return value


def _exact_act(name: str, parameters: tuple[Fraction, ...], x: Array) -> Array:
    if name not in _EXACT:
        raise Inexact(name)
    function = _EXACT[name]
    return _each(lambda v: function(v, *parameters), x)


def _exact_power(x: Array, exponent: Fraction) -> Array:
    if exponent.denominator != 1:
        raise Inexact("a root")
    return _each(lambda v: v**exponent.numerator, x)


def _never(x: Array) -> Array:
    raise Inexact("an irrational function")


def _fractions(x: Array) -> Array:
    return x if x.dtype == object else _cast(Fraction, x)


EXACT = Arithmetic("fractions", _exact_const, _fractions, _exact_act, _exact_power, _never, _never)


# --- decimals ------------------------------------------------------------------


@lru_cache(maxsize=4096)
def decimal(value: Real) -> Decimal:
    """A number of a spec to fifty digits."""
    if not isinstance(value, Fraction):
        value = enclose(value, 4 * DIGITS)[0]
    return CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _decimal_act(name: str, parameters: tuple[Fraction, ...], x: Array) -> Array:
    function = digits.FUNCTIONS.get(name)
    if function is None:
        return _perturbed(name, parameters, x)
    numbers = [decimal(p) for p in parameters]
    return _each(lambda v: function(v, *numbers), x)


def _perturbed(name: str, parameters: tuple[Fraction, ...], x: Array) -> Array:
    """An activation known in float64 only: its last digits are moved, so that a comparison shows what they decide."""
    y = ACTIVATIONS[name].numpy(np.asarray(x, dtype=np.float64), parameters)
    noise = np.cos(1e12 * np.asarray(x, dtype=np.float64) + np.arange(y.size).reshape(y.shape))
    moved = y * (1.0 + 1e-13 * noise)
    return _each(Decimal, np.asarray(moved, dtype=np.float64))


def _decimal_power(x: Array, exponent: Fraction) -> Array:
    if exponent.denominator == 1:
        return _each(lambda v: v**exponent.numerator, x)
    odd = exponent.denominator % 2 == 1

    def root(v: Decimal) -> Decimal:
        if v < 0 and not odd:
            raise InvalidOperation("even root of a negative number")
        size = abs(v) ** (Decimal(1) / exponent.denominator) if v else Decimal(0)
        return (size if v >= 0 else -size) ** exponent.numerator

    return _each(root, x)


def _decimals(x: Array) -> Array:
    return x if x.dtype == object else _cast(Decimal, x)


DECIMAL = Arithmetic(
    "decimals",
    decimal,
    _decimals,
    _decimal_act,
    _decimal_power,
    lambda x: _each(lambda v: v.sqrt(), x),
    lambda x: _each(lambda v: v.exp(), x),
)
