"""Elementary functions of rational numbers, enclosed between rational numbers.

The bounds are about ``BITS`` bits tight, absolutely where values are small, relatively where they are large.
Series are summed in fixed point with both directions of rounding; remainders are bounded by their geometric majorants.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from odespec.exact import enclose, root

Bounds = tuple[Fraction, Fraction]

BITS = 96
LARGEST = 4096
"""Beyond this size an argument of `exp` is not evaluated but bounded."""


def rounded(low: Fraction, high: Fraction) -> Bounds:
    """Outward to multiples of ``2 ** -BITS`` (relative to the size above one), which keeps fractions short."""
    size = max(abs(low), abs(high))
    scale = Fraction(2) ** (BITS - max(0, size.numerator.bit_length() - size.denominator.bit_length()))
    return Fraction((low * scale).__floor__()) / scale, Fraction((high * scale).__ceil__()) / scale


def add(x: Bounds, y: Bounds) -> Bounds:
    return x[0] + y[0], x[1] + y[1]


def mul(x: Bounds, y: Bounds) -> Bounds:
    products = [a * b for a in x for b in y]
    return rounded(min(products), max(products))


def inverse(x: Bounds) -> Bounds:
    """One over an enclosure that does not contain zero."""
    return rounded(1 / x[1], 1 / x[0])


def scaled(c: Fraction | int, x: Bounds) -> Bounds:
    return (c * x[0], c * x[1]) if c >= 0 else (c * x[1], c * x[0])


# --- exponential and logarithm -------------------------------------------------


def exp(x: Fraction) -> Bounds:
    """Bounds of exp(x). Raises OverflowError for x > `LARGEST`."""
    if x > LARGEST:
        raise OverflowError("exp of a very large number")
    if x == 0:
        return Fraction(1), Fraction(1)
    if x < 0:
        return (Fraction(0), Fraction(1, 2**LARGEST)) if x < -LARGEST else _reciprocal(exp(-x))
    halvings = x.__ceil__().bit_length() + 8
    bits = BITS + 2 * halvings + 16
    low, high = _exp_series(x / 2**halvings, bits)
    for _ in range(halvings):
        low, high = low * low >> bits, -(-high * high >> bits)
    return Fraction(low, 2**bits), Fraction(high, 2**bits)


def _reciprocal(x: Bounds) -> Bounds:
    """As `inverse`, but with relative accuracy: of an exponential that may be tiny."""
    scale = 2 ** (BITS + x[1].numerator.bit_length())
    return Fraction((scale / x[1]).__floor__(), scale), Fraction((scale / x[0]).__ceil__(), scale)


def _exp_series(x: Fraction, bits: int) -> tuple[int, int]:
    """Of 0 <= x <= 1/256, in units of ``2 ** -bits``: the terms left out are less than twice the first of them."""
    one = 1 << bits
    total, term, n = one, one, 1
    while term:
        term = term * x.numerator // (x.denominator * n)
        total += term
        n += 1
    return total, total + n + 4


def _atanh_inverse(x: Fraction, bits: int) -> Bounds:
    """``atanh(x)`` for 0 <= x <= 1/2."""
    return _odd_series(x, bits, alternating=False)


def _odd_series(x: Fraction, bits: int, alternating: bool) -> Bounds:
    """``sum x^(2k+1) / (2k+1)``, with alternating signs the inverse tangent; for 0 <= x <= 1/2."""
    power = (x.numerator << bits) // x.denominator
    square = x * x
    total, k, rounding = 0, 0, 2
    while power:
        term = power // (2 * k + 1)
        total += -term if alternating and k % 2 else term
        power = power * square.numerator // square.denominator
        k += 1
        rounding += 4
    return Fraction(total - rounding, 1 << bits), Fraction(total + rounding, 1 << bits)


@cache
def _log_two(bits: int) -> Bounds:
    return scaled(2, _atanh_inverse(Fraction(1, 3), bits))


def log(x: Fraction) -> Bounds:
    """Bounds of the natural logarithm of a positive number."""
    k = x.numerator.bit_length() - x.denominator.bit_length()
    m = x / Fraction(2) ** k
    if m > Fraction(4, 3):
        k, m = k + 1, m / 2
    bits = BITS + 16
    y = (m - 1) / (m + 1)
    part = _atanh_inverse(abs(y), bits + k.bit_length())
    return rounded(*add(scaled(2 if y >= 0 else -2, part), scaled(k, _log_two(bits + k.bit_length()))))


# --- inverse tangent, sine, cosine ---------------------------------------------


@cache
def half_pi() -> Bounds:
    """Machin-like: pi/4 = atan(1/2) + atan(1/3)."""
    bits = BITS + 16
    return scaled(2, add(_odd_series(Fraction(1, 2), bits, True), _odd_series(Fraction(1, 3), bits, True)))


def atan(x: Fraction) -> Bounds:
    if x < 0:
        return scaled(-1, atan(-x))
    if x > 1:
        return rounded(*add(half_pi(), scaled(-1, atan(1 / x))))
    bits = BITS + 16
    if x <= Fraction(1, 2):
        return rounded(*_odd_series(x, bits, True))
    rest = _odd_series((x - Fraction(1, 2)) / (1 + x / 2), bits, True)
    return rounded(*add(_odd_series(Fraction(1, 2), bits, True), rest))


def sin(x: Fraction) -> Bounds:
    """For numbers up to `LARGEST` in size; beyond it [-1, 1]."""
    return _trigonometric(x, 1)


def cos(x: Fraction) -> Bounds:
    return _trigonometric(x, 0)


def _trigonometric(x: Fraction, first: int) -> Bounds:
    """The Taylor series from x^first on; its terms grow at most to ``exp(|x|)``, which sets the working precision."""
    if abs(x) > LARGEST:
        return Fraction(-1), Fraction(1)
    bits = BITS + 2 * abs(x).__ceil__() + 16
    term = (1 << bits) if first == 0 else (abs(x).numerator << bits) // x.denominator
    square, total, n, sign = x * x, 0, first, 1
    while term:
        total += sign * term
        sign = -sign
        term = term * square.numerator // (square.denominator * (n + 1) * (n + 2))
        n += 2
    # a unit lost in a term is multiplied by the ratios after it, whose product is below exp(|x|); n bounds their number
    slack = (n + 2) << (2 * abs(x).__ceil__() + 1)
    low, high = Fraction(total - slack, 1 << bits), Fraction(total + slack, 1 << bits)
    bounds = rounded(max(low, Fraction(-1)), min(high, Fraction(1)))
    return scaled(-1, bounds) if first == 1 and x < 0 else bounds


# --- the normal distribution ---------------------------------------------------


@cache
def _root_two_pi() -> Bounds:
    return _root(scaled(4, half_pi()))


def _root(x: Bounds) -> Bounds:
    return enclose(root(x[0], 2), BITS + 16)[0], enclose(root(x[1], 2), BITS + 16)[1]


def gauss(x: Fraction) -> Bounds:
    """The normal density ``exp(-x^2 / 2) / sqrt(2 pi)``."""
    return mul(exp(-x * x / 2), inverse(_root_two_pi()))


def erf(x: Fraction) -> Bounds:
    """``2 x exp(-x^2) / sqrt(pi) * sum_n (2 x^2)^n / (1 3 5 … (2n + 1))``, whose terms are positive."""
    if x < 0:
        return scaled(-1, erf(-x))
    if x > 12:
        return 1 - Fraction(1, 2**200), Fraction(1)
    bits = BITS + 64 + 2 * (x * x).__ceil__()
    total = term = 1 << bits
    square, n = 2 * x * x, 0
    while term:
        n += 1
        term = term * square.numerator // (square.denominator * (2 * n + 1))
        total += term
    # each term is short of its true value by less than n units times what it was multiplied by; exp(x^2) bounds that
    lost = exp(x * x)[1].__ceil__() * (n + 4) ** 2
    series = Fraction(total, 1 << bits), Fraction(total + lost, 1 << bits)
    small, root_pi = exp(-x * x), _root(scaled(2, half_pi()))
    low, high = 2 * x * small[0] * series[0] / root_pi[1], 2 * x * small[1] * series[1] / root_pi[0]
    return rounded(low, min(high, Fraction(1)))


def bell(x: Fraction) -> Bounds:
    """``2 exp(-x^2) / sqrt(pi)``, the derivative of erf."""
    return scaled(2, mul(exp(-x * x), inverse(_root(scaled(2, half_pi())))))


def normal(x: Fraction) -> Bounds:
    """The distribution function ``(1 + erf(x / sqrt 2)) / 2``."""
    low, high = mul((x, x), enclose(root(Fraction(1, 2), 2), BITS + 16))
    return rounded((1 + erf(low)[0]) / 2, (1 + erf(high)[1]) / 2)


# --- sigmoids ------------------------------------------------------------------


def sigmoid(x: Fraction) -> Bounds:
    """``1 / (1 + exp(-x))``."""
    if x > 0:
        low, high = sigmoid(-x)
        return 1 - high, 1 - low
    low, high = exp(x)
    return low / (1 + low), high / (1 + high)


def tanh(x: Fraction) -> Bounds:
    low, high = sigmoid(2 * x)
    return 2 * low - 1, 2 * high - 1


def softplus(x: Fraction) -> Bounds:
    """``log(1 + exp(x))``."""
    if x > 0:
        return add((x, x), softplus(-x))
    low, high = exp(x)
    return max(Fraction(0), log(1 + low)[0]), log(1 + high)[1]


def logcosh(x: Fraction) -> Bounds:
    low, high = add(softplus(2 * abs(x)), add((-abs(x), -abs(x)), scaled(-1, log(Fraction(2)))))
    return max(Fraction(0), low), high
