"""Exact numbers: arithmetic, enclosures, and signs of expressions in radicals."""

from __future__ import annotations

from fractions import Fraction

import flint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odespec.exact import Irrational, Real, Undecided, enclose, integer_root, is_zero, power, root, separation, sign

fractions = st.fractions(min_value=-20, max_value=20, max_denominator=30)
positive = st.fractions(min_value=Fraction(1, 30), max_value=20, max_denominator=30)


def reals() -> st.SearchStrategy[Real]:
    roots = st.builds(root, positive, st.integers(2, 4))
    leaves = fractions | roots
    return st.recursive(
        leaves,
        lambda inner: st.builds(lambda a, b: a + b, inner, inner) | st.builds(lambda a, b: a * b, inner, inner),
        max_leaves=6,
    )


def arb(value: Real) -> flint.arb:
    if isinstance(value, Fraction):
        return flint.arb(flint.fmpq(value.numerator, value.denominator))
    args = [arb(a) for a in value.args]
    if value.op == "add":
        return args[0] + args[1]
    if value.op == "mul":
        return args[0] * args[1]
    return 1 / args[0] if value.op == "inv" else args[0].root(value.degree)


@given(reals(), st.sampled_from([32, 64, 200]))
def test_enclosures_contain_the_value(value: Real, bits: int) -> None:
    flint.ctx.prec = 400
    low, high = enclose(value, bits)
    exact = arb(value)
    assert not exact < arb(low) and not exact > arb(high)
    assert high - low <= (max(abs(low), abs(high)) + 1) / Fraction(2) ** (bits - 60)


@given(reals())
def test_sign_agrees_with_interval_arithmetic(value: Real) -> None:
    flint.ctx.prec = 1000
    exact = arb(value)
    try:
        found = sign(value)
    except Undecided:
        return
    if found == 0:
        assert exact.contains(0)
    else:
        assert not (exact < 0 if found > 0 else exact > 0)


@given(reals())
def test_a_value_that_is_not_zero_is_at_least_the_separation(value: Real) -> None:
    bits = separation(value)
    if bits > 3000 or sign(value) == 0:
        return
    flint.ctx.prec = bits + 64
    assert abs(arb(value)) > flint.arb(2) ** (-bits - 1)


S = root(Fraction(2), 2)
T = root(Fraction(3), 2)
CUBE = root(Fraction(2), 3)


@pytest.mark.parametrize(
    "zero",
    [
        (1 + S) * (1 - S) + 1,
        S * T - root(Fraction(6), 2),
        S + T - root(5 + 2 * root(Fraction(6), 2), 2),
        1 / (1 + S) - (S - 1),
        1 / (2 - CUBE) - (4 + 2 * CUBE + root(Fraction(4), 3)) / 6,
        root(S, 3) - root(Fraction(2), 6),
    ],
)
def test_zeros_in_disguise(zero: Real) -> None:
    assert sign(zero) == 0
    assert sign(zero + Fraction(1, 10**40)) == 1
    assert sign(zero - Fraction(1, 10**40)) == -1


def test_rational_roots_are_fractions() -> None:
    assert root(Fraction(9, 4), 2) == Fraction(3, 2)
    assert power(Fraction(8, 27), Fraction(-2, 3)) == Fraction(9, 4)
    assert root(Fraction(-8), 3) == -2
    assert S * S == 2
    with pytest.raises(ValueError, match="even root"):
        root(Fraction(-4), 2)


def test_zero_as_written() -> None:
    assert is_zero(Fraction(0)) and is_zero(0)
    assert not is_zero(Fraction(1, 9)) and isinstance(S, Irrational) and not is_zero(S)


@given(st.integers(0, 10**60), st.integers(2, 9))
def test_integer_roots(n: int, degree: int) -> None:
    r = integer_root(n, degree)
    assert r**degree <= n < (r + 1) ** degree


@given(st.integers(0, 10**12), st.integers(2, 9), st.integers(-1, 1))
def test_integer_roots_beside_powers(base: int, degree: int, offset: int) -> None:
    n = max(base**degree + offset, 0)
    r = integer_root(n, degree)
    assert r**degree <= n < (r + 1) ** degree
