"""Rational enclosures of elementary functions against ball arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import flint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec import elementary

PRECISION = 400


def arb(x: Fraction) -> flint.arb:
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def two_pi_root() -> flint.arb:
    return (2 * flint.arb.pi()).sqrt()


REFERENCE: dict[str, Callable[[flint.arb], flint.arb]] = {
    "exp": lambda x: x.exp(),
    "atan": lambda x: x.atan(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "erf": lambda x: x.erf(),
    "gauss": lambda x: (-x * x / 2).exp() / two_pi_root(),
    "bell": lambda x: 2 * (-x * x).exp() / flint.arb.pi().sqrt(),
    "normal": lambda x: (1 + (x / flint.arb(2).sqrt()).erf()) / 2,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "tanh": lambda x: x.tanh(),
    "softplus": lambda x: (1 + x.exp()).log(),
    "logcosh": lambda x: x.cosh().log(),
}

arguments = st.one_of(
    st.fractions(min_value=-3, max_value=3, max_denominator=10**6),
    st.fractions(min_value=-60, max_value=60, max_denominator=1000),
    st.integers(-300, 300).map(Fraction),
    st.fractions(min_value=Fraction(-1, 10**9), max_value=Fraction(1, 10**9)),
)


def check(bounds: tuple[Fraction, Fraction], exact: flint.arb) -> None:
    low, high = bounds
    assert not exact < arb(low) and not exact > arb(high)
    assert high - low <= Fraction(1, 10**25) * max(Fraction(1), abs(low))


@pytest.mark.parametrize("name", sorted(REFERENCE))
@given(arguments)
@settings(max_examples=60, deadline=None)
def test_enclosures_are_sound_and_tight(name: str, x: Fraction) -> None:
    flint.ctx.prec = PRECISION + 1000
    check(getattr(elementary, name)(x), REFERENCE[name](arb(x)))


@given(st.fractions(min_value=Fraction(1, 10**12), max_value=10**12, max_denominator=10**12))
@settings(max_examples=100, deadline=None)
def test_logarithm(x: Fraction) -> None:
    flint.ctx.prec = PRECISION
    check(elementary.log(x), arb(x).log())


def test_half_pi() -> None:
    flint.ctx.prec = PRECISION
    check(elementary.half_pi(), flint.arb.pi() / 2)


def test_far_arguments_are_bounded() -> None:
    far = Fraction(10**9)
    assert elementary.exp(-far) == (0, Fraction(1, 2**4096))
    assert elementary.sin(far) == (-1, 1)
    low, high = elementary.sigmoid(far)
    assert 1 - Fraction(1, 2**4000) < low <= high == 1
    with pytest.raises(OverflowError):
        elementary.exp(far)
