"""The choice of tau: exact at tight claims, simple where there is room, never beyond what the claim allows."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from odespec.exact import Real, root
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest, simplest_between
from odespec.prove.gram.threshold import Target, allowed, choose_tau

Q = Fraction
UPPER = GramProblem("step", (), (), (), ())
LOWER = GramProblem("step", (), (), (), (), lower=True)


def test_the_simplest_fraction_of_an_interval() -> None:
    assert simplest_between(Q(31, 100), Q(34, 100)) == Q(1, 3)
    assert simplest_between(Q(-34, 100), Q(-31, 100)) == Q(-1, 3)
    assert simplest_between(Q(-1, 9), Q(1, 9)) == 0
    assert simplest_between(Q(5, 2), Q(7, 2)) == 3
    assert simplest_between(Q(355, 113), Q(355, 113)) == Q(355, 113)
    for n in range(1, 60):
        low, high = Q(n * n % 61, 61), Q(n * n % 61, 61) + Q(1, n + 3)
        best = simplest_between(low, high)
        assert low <= best <= high
        assert not any(math.ceil(low * d) <= high * d for d in range(1, best.denominator))


def test_a_float_is_met_within_the_tolerance() -> None:
    assert simplest(0.3333331, 1e-6) == Q(1, 3)
    assert simplest(-2.0000001, 1e-6) == -2


def test_the_exact_limit_comes_first() -> None:
    assert choose_tau(UPPER, None, 32, Target("lipschitz", Q(1), Q(32)))[0] == 1
    assert choose_tau(UPPER, 2.25, 2, Target("lipschitz", Q(9, 4), Q(1)))[0] == Q(9, 4)
    assert choose_tau(UPPER, 1.999999, 1, Target("lipschitz", root(Q(2), 2), Q(1)))[0] == 2
    assert choose_tau(LOWER, 0.25, 1, Target("lower", Q(1, 2), Q(1)))[0] == Q(1, 4)
    assert choose_tau(UPPER, -0.5, 1, Target("flow-contractive", Q(1, 2), Q(3)))[0] == Q(-1, 2)
    assert choose_tau(UPPER, 0.0, 1, Target("flow-lipschitz", Q(1), Q(3)))[0] == 0


def test_with_room_a_simple_fraction_within_it() -> None:
    (tau, *_) = choose_tau(UPPER, 0.9, 10, Target("contractive", Q("0.01"), Q(1)))
    assert 0.9 < tau <= math.exp(-0.002)
    assert tau.denominator < 200


TARGETS: list[tuple[Target, int]] = [
    (Target("lipschitz", Q(3, 2), Q(4)), 7),
    (Target("lipschitz", root(Q(3), 2), Q(4), Q(1, 10**9)), 3),
    (Target("lower", Q(1, 1000), Q(4)), 16),
    (Target("contractive", Q("0.3"), Q(4)), 16),
    (Target("contractive", Q("-0.3"), root(Q(2), 2)), 16),
    (Target("flow-lipschitz", Q(7), Q(4)), 1),
    (Target("flow-lower", Q(1, 7), Q(4)), 1),
    (Target("flow-contractive", Q(1, 7), Q(4), Q(1, 10**6)), 1),
]


def factor(tau: float, steps: int, target: Target) -> float:
    return math.exp(tau * float(target.time)) if target.flow else tau ** (steps / 2)


def limit(target: Target) -> float:
    number: Real = target.number
    bare = math.exp(-float(number) * float(target.time)) if target.rated else float(number)
    return bare * float(target.relaxed)


@pytest.mark.parametrize(("target", "steps"), TARGETS)
def test_what_is_chosen_gives_the_claim(target: Target, steps: int) -> None:
    sign = 1 if target.upper else -1
    edge = math.log(limit(target)) / float(target.time) if target.flow else limit(target) ** (2 / steps)
    taus = choose_tau(UPPER if target.upper else LOWER, edge - sign * 0.01, steps, target)
    assert taus
    for tau in taus:
        assert sign * factor(float(tau), steps, target) <= sign * limit(target) + 1e-12
    near, beyond = Q(edge) - sign * Q(1, 10**10), Q(edge) + sign * Q(1, 10**10)
    assert allowed(near, steps, target) and not allowed(beyond, steps, target)


def test_beyond_the_claim_only_the_exact_limit_is_left() -> None:
    assert choose_tau(UPPER, 1.01, 1, Target("contractive", Q("0.1"), Q(1))) == []
    assert choose_tau(UPPER, math.inf, 1, Target("contractive", Q("0.1"), Q(1))) == []


def test_senses_must_agree() -> None:
    with pytest.raises(ValueError, match="upper"):
        choose_tau(LOWER, 1.0, 1, Target("lipschitz", Q(1), Q(1)))
