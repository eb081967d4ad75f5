"""What a method makes of an eigenvalue, in decimals of fifty digits."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from odespec.weights.arithmetic import decimal

Pair = tuple[Decimal, Decimal]
ZERO, ONE = Decimal(0), Decimal(1)


def number(text: str) -> Decimal:
    """A number of a scheme: ``3/4``, or ``[1, 1/2] with root 2 of 5``; in the current context."""
    if not text.startswith("["):
        return decimal(Fraction(text))
    parts, _, rest = text[1:].partition("] with root ")
    k, _, n = rest.partition(" of ")
    root = Decimal(n) ** (1 / Decimal(k))
    return sum((number(p) * root**i for i, p in enumerate(parts.split(", "))), ZERO)


def times(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def plus(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def divided(a: Pair, b: Pair) -> Pair:
    """Raises DivisionByZero."""
    size = b[0] ** 2 + b[1] ** 2
    x, y = times(a, (b[0], -b[1]))
    return x / size, y / size


def modulus(a: Pair) -> Decimal:
    return (a[0] ** 2 + a[1] ** 2).sqrt()


def factor(scheme: dict[str, Any], value: Pair) -> Decimal:
    """The largest modulus that the method has at an eigenvalue of the field, or of the step itself; of a flow its real part."""
    family = scheme["family"]
    if family == "flow":
        return value[0]
    h = number(scheme["h"])
    z = (h * value[0], h * value[1])
    if family == "runge-kutta":
        return modulus(_stability(scheme, z))
    if family == "exponential":
        a = number(scheme["alpha"][0])
        step = ((h * a).exp() - 1) / a
        return modulus((1 + step * value[0], step * value[1]))
    if family == "multistep":
        return _largest_root(scheme, z)
    return modulus(value)


def _stability(scheme: dict[str, Any], z: Pair) -> Pair:
    """``1 + z b' (I - z A)^-1 1`` by elimination."""
    A, b = [[number(a) for a in row] for row in scheme["A"]], [number(w) for w in scheme["b"]]
    n = range(len(b))
    rows = [[plus((ONE if i == j else ZERO, ZERO), times((-A[i][j], ZERO), z)) for j in n] + [(ONE, ZERO)] for i in n]
    for k in n:
        pivot = max(n[k:], key=lambda i: modulus(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [divided(x, rows[k][k]) for x in rows[k]]
        for i in n:
            if i != k:
                rows[i] = [
                    plus(x, times((-rows[i][k][0], -rows[i][k][1]), y)) for x, y in zip(rows[i], rows[k], strict=True)
                ]
    total: Pair = (ZERO, ZERO)
    for i in n:
        total = plus(total, (b[i] * rows[i][-1][0], b[i] * rows[i][-1][1]))
    return plus((ONE, ZERO), times(z, total))


def _largest_root(scheme: dict[str, Any], z: Pair) -> Decimal:
    """Of the polynomial of a multistep method: the largest root in float64, made sharp by Newton's method.

    Raises ArithmeticError where it does not converge (a double root).
    """
    p = [
        (number(a) - number(b) * z[0], -number(b) * z[1]) for a, b in zip(scheme["alpha"], scheme["beta"], strict=True)
    ]
    rough = np.roots([complex(float(a), float(b)) for a, b in reversed(p)])
    start = max(rough, key=abs)
    root: Pair = (Decimal(float(start.real)), Decimal(float(start.imag)))
    for _ in range(60):
        value, slope = (ZERO, ZERO), (ZERO, ZERO)
        for c in reversed(p):
            slope = plus(times(slope, root), value)
            value = plus(times(value, root), c)
        step = divided(value, slope)
        root = (root[0] - step[0], root[1] - step[1])
        if modulus(step) < Decimal("1e-30"):
            return modulus(root)
    raise ArithmeticError("no convergence")
