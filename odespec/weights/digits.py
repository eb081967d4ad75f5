"""Activations to the digits of the current decimal context: the second opinion on a float64 result.

Every function is accurate to a few units in the last place in the absolute sense; small results may have fewer
relative digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation, getcontext, localcontext
from functools import lru_cache

ONE, TWO = Decimal(1), Decimal(2)


def _sigmoid(x: Decimal) -> Decimal:
    small = (-abs(x)).exp()
    return (ONE if x >= 0 else small) / (ONE + small)


def _tanh(x: Decimal) -> Decimal:
    small = (-TWO * abs(x)).exp()
    return ((ONE - small) / (ONE + small)).copy_sign(x)


def _softplus(x: Decimal) -> Decimal:
    return max(x, Decimal(0)) + (ONE + (-abs(x)).exp()).ln()


def _erf(x: Decimal) -> Decimal:
    """``2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!``: all terms of one sign (Abramowitz & Stegun 7.1.6)."""
    if x * x > 3 * getcontext().prec:
        return ONE.copy_sign(x)
    with localcontext() as context:
        context.prec += 5
        term = total = x
        n = 0
        while abs(term) > abs(total) * Decimal(10) ** -context.prec:
            n += 1
            term = term * 2 * x * x / (2 * n + 1)
            total += term
        total = total * 2 * (-x * x).exp() / pi(context.prec).sqrt()
    return +total


@lru_cache(maxsize=64)
def pi(digits: int) -> Decimal:
    """Machin's formula: ``pi = 16 arctan(1/5) - 4 arctan(1/239)``."""
    with localcontext() as context:
        context.prec = digits + 5
        return 16 * _arctan_series(ONE / 5) - 4 * _arctan_series(ONE / 239)


def _arctan_series(x: Decimal) -> Decimal:
    power = total = x
    square, n = x * x, 1
    while abs(power) > Decimal(10) ** -(getcontext().prec + 2):
        power = -power * square
        n += 2
        total += power / n
    return total


def _arctan(x: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec += 10
        halvings = 0
        while abs(x) > Decimal("0.05"):
            x = x / (ONE + (ONE + x * x).sqrt())
            halvings += 1
        total: Decimal = _arctan_series(x) * 2**halvings
    return +total


def _whole_digits(x: Decimal) -> int:
    """The digits before the point, which an angle loses; no float64 has as many as are refused here."""
    digits = max(0, x.adjusted()) if x else 0
    if digits > 400:
        raise InvalidOperation("an angle too large to reduce")
    return digits


def _sin(x: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec += 10 + _whole_digits(x)
        turn = 2 * pi(context.prec)
        x = x - turn * (x / turn).to_integral_value()
        term = total = x
        n = 1
        while abs(term) > Decimal(10) ** -context.prec:
            term = -term * x * x / ((n + 1) * (n + 2))
            n += 2
            total += term
    return +total


def _cos(x: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec += 10 + _whole_digits(x)
        value = _sin(x + pi(context.prec) / 2)
    return +value


def _gauss(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * pi(getcontext().prec)).sqrt()


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "identity": lambda x: x,
    "tanh": _tanh,
    "relu": lambda x: max(x, Decimal(0)),
    "leaky_relu": lambda x, a: x if x > 0 else a * x,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "elu": lambda x: x if x > 0 else x.exp() - 1,
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: x * (ONE + _erf(x / TWO.sqrt())) / 2,
    "softsign": lambda x: x / (ONE + abs(x)),
    "hardtanh": lambda x: max(min(x, ONE), -ONE),
    "arctan": _arctan,
    "erf": _erf,
    "sin": _sin,
    "cos": _cos,
    "abs": abs,
    "logcosh": lambda x: abs(x) + (ONE + (-TWO * abs(x)).exp()).ln() - TWO.ln(),
    "exp": lambda x: x.exp(),
    "log": lambda x: x.ln(),
    "sqrt": lambda x: x.sqrt(),
    "square": lambda x: x * x,
    "step": lambda x: Decimal(int(x > 0)),
    "sign": lambda x: Decimal((x > 0) - (x < 0)),
    "gauss": _gauss,
}
