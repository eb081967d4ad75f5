"""The exact test of semidefiniteness, against its definition by principal minors."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import pytest

from odespec.prove.gram.ldl import is_psd


def gram(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    return [[sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0)) for y in rows] for x in rows]


def determinant(m: list[list[Fraction]]) -> Fraction:
    if not m:
        return Fraction(1)
    return sum(
        ((-1) ** j * m[0][j] * determinant([row[:j] + row[j + 1 :] for row in m[1:]]) for j in range(len(m))),
        Fraction(0),
    )


def by_minors(m: list[list[Fraction]]) -> bool:
    """A symmetric matrix is positive semidefinite where every principal minor is non-negative."""
    n = range(len(m))
    return all(determinant([[m[i][j] for j in s] for i in s]) >= 0 for k in n for s in combinations(n, k + 1))


def rational(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-4, 4), rng.randint(1, 3))


@pytest.mark.parametrize("rank", range(7))
def test_gram_matrices_of_every_rank_are_psd_and_a_small_dent_shows(rank: int) -> None:
    rng = random.Random(rank)
    for _ in range(20):
        n = rng.randint(max(1, rank), 7)
        rows = [[rational(rng) for _ in range(rank)] for _ in range(n)]
        m = gram(rows)
        assert is_psd(m)
        if rank < n:
            null = [row[:] for row in m]
            for i in range(n):
                null[i][i] -= Fraction(1, 10**30)
            assert not is_psd(null)


def test_random_matrices_agree_with_the_principal_minors() -> None:
    rng = random.Random(7)
    seen = {True: 0, False: 0}
    for _ in range(600):
        n = rng.randint(1, 4)
        m = [[Fraction(0)] * n for _ in range(n)]
        for i in range(n):
            for j in range(i + 1):
                m[i][j] = m[j][i] = Fraction(rng.randint(-1, 1) if i != j else rng.randint(0, 2))
        assert is_psd(m) == by_minors(m)
        seen[is_psd(m)] += 1
    assert min(seen.values()) > 100


def test_edges() -> None:
    zero, one = Fraction(0), Fraction(1)
    assert is_psd([])
    assert is_psd([[zero]])
    assert not is_psd([[-one]])
    assert not is_psd([[zero, one], [one, one]])
    assert is_psd([[zero, zero], [zero, one]])
