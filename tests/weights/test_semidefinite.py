"""Positive semidefiniteness and norms, decided exactly or proved with room."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.weights.arithmetic import EXACT
from odespec.weights.semidefinite import definite, is_psd, norm_at_most, singular_values_at_least

SMALL = st.integers(-6, 6)


@settings(deadline=None)
@given(st.lists(st.lists(SMALL, min_size=3, max_size=3), min_size=1, max_size=5))
def test_gram_matrices_are_semidefinite_and_stop_being_so_below(rows: list[list[int]]) -> None:
    a = np.array(rows, dtype=float)
    gram = EXACT.cast(a.T @ a)
    assert is_psd(gram)
    lowest = min(np.linalg.eigvalsh(a.T @ a)[0], 0.0)
    below = gram - EXACT.cast(np.eye(3)) * (
        Fraction(float(abs(lowest))) + Fraction(np.linalg.eigvalsh(a.T @ a)[0] + 1e-6)
    )
    assert is_psd(below) is False


def test_singular_boundaries_are_exact() -> None:
    third = Fraction(1, 3)
    ones = np.full((3, 3), third, dtype=object)
    eye = EXACT.cast(np.eye(3))
    assert is_psd(eye - ones)
    assert is_psd(eye * (1 - Fraction(1, 10**40)) - ones) is False


@pytest.mark.parametrize("size", [1, 3, 20])
def test_orthogonal_matrices_have_norm_one_to_the_last_bit(size: int) -> None:
    eye = EXACT.cast(np.eye(size))
    assert norm_at_most(eye, Fraction(1))
    assert norm_at_most(eye, Fraction(np.nextafter(1.0, 0.0))) is False
    assert singular_values_at_least(eye, Fraction(1))
    assert singular_values_at_least(eye, Fraction(np.nextafter(1.0, 2.0))) is False


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_norms_agree_with_numpy(seed: int, m: int, d: int) -> None:
    w = np.random.default_rng(seed).standard_normal((m, d))
    s = np.linalg.svd(w, compute_uv=False)
    exact = EXACT.cast(w)
    assert norm_at_most(exact, Fraction(s[0] * (1 + 1e-12)))
    assert norm_at_most(exact, Fraction(s[0] * (1 - 1e-12))) is False
    assert singular_values_at_least(exact, Fraction(s[-1] * (1 - 1e-9)))
    assert singular_values_at_least(exact, Fraction(s[-1] * (1 + 1e-9) + 1e-12)) is False


def test_a_small_matrix_inside_a_large_one_is_decided_exactly() -> None:
    w = np.zeros((300, 200))
    w[7, 11] = 1.0
    assert norm_at_most(EXACT.cast(w), Fraction(1))
    w[7, 11] = np.nextafter(1.0, 2.0)
    assert norm_at_most(EXACT.cast(w), Fraction(1)) is False


def test_large_matrices_are_proved_with_room_and_undecided_without() -> None:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((100, 90)))
    assert norm_at_most(EXACT.cast(q), Fraction(1) + Fraction(1, 10**9))
    assert norm_at_most(EXACT.cast(q), Fraction(1)) is None


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_proof_in_floats_never_accepts_an_indefinite_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spectrum = 10.0 ** rng.uniform(-3, 3, n)
    spectrum[0] = -(10.0 ** rng.uniform(-17, -12)) * spectrum.max()
    a = (q * spectrum) @ q.T
    a = EXACT.cast((a + a.T) / 2)
    assert not (definite(a) and is_exactly_indefinite(a))


def is_exactly_indefinite(a: np.ndarray) -> bool:
    from odespec.weights.semidefinite import exactly_psd

    return not exactly_psd(a.tolist())
