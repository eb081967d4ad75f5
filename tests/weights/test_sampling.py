"""Samples are members, exactly, and they reach the extreme points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec import api
from odespec.ir.model import Model
from odespec.weights.draw import KINDS, orthogonal
from odespec.weights.membership import violations
from odespec.weights.sampling import sample, sample_inputs, sample_states

CONSTRAINED = (
    "param W[5, 4]\nconstraint norm(W) <= 1",
    "param W[5, 4]\nconstraint norm(W) <= 1000000",
    "param W[5, 4]\nconstraint norm(W, inf) <= 0.3",
    "param W[5, 4]\nconstraint norm(W, 1) <= 2/3\nconstraint norm(W) <= 1/2",
    "param W[5, 4]\nconstraint sigma(W) in [1/2, 2]",
    "param W[5, 4]\nconstraint W in [1/3, 1/2]",
    "param W[5, 4]\nconstraint sum(W, 0) == 0",
    "param W[5, 4] : orthogonal",
    "param W[5, 4] : stochastic",
    "param W[5, 4] per step\nconstraint norm(W) <= sqrt(2)",
    "param W[5, 4]\nconstraint norm(W.T @ W) <= 3",
    "param W[5, 4]",
)
SQUARE = (
    "param W[4, 4] : skew\nconstraint norm(W) <= 1/3",
    "param W[4, 4] : symmetric\nconstraint eig(W) in [-1, 1/7]",
    "param W[4, 4] : symmetric\nconstraint eig(W) in [1/3, 1/2]",
    "param W[4, 4] : psd\nconstraint norm(W) <= 1/3",
    "param W[4, 4] : diagonal\nconstraint eig(W) in [-1, 0]",
    "param W[4, 4] : doubly_stochastic",
    "param W[4, 4] : orthogonal",
    "param W[4, 4]\nconstraint norm(W - W.T) <= 0.1",
)


def model_of(folder: Path, declarations: str) -> Model:
    square = "W[4, 4]" in declarations
    path = folder / "m.ode"
    field = "x' = W @ x" if square else "x' = -W.T @ tanh(W @ x)"
    path.write_text(f"model M\nstate x[4]\n{declarations}\n{field}\nsolver euler(steps = 3)\ntime 0 .. 1\n")
    section = api.load(path).sections[0]
    assert isinstance(section, Model)
    return section


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("specs")
    return {d: model_of(folder, d) for d in (*CONSTRAINED, *SQUARE)}


@pytest.mark.parametrize("declarations", [*CONSTRAINED, *SQUARE])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from([None, "small", *KINDS]))
def test_samples_are_members(models: dict[str, Model], declarations: str, seed: int, kind: str | None) -> None:
    model = models[declarations]
    assert violations(model, sample(model, np.random.default_rng(seed), kind)) == []


def test_extreme_points_are_reached_exactly(models: dict[str, Model]) -> None:
    model = models[CONSTRAINED[0]]
    rng = np.random.default_rng(0)
    norms = [np.linalg.norm(sample(model, rng, "permutation")["W"], 2) for _ in range(40)]
    assert sum(n == 1.0 for n in norms) > 15
    spectra = [np.linalg.svd(sample(model, rng, "dense")["W"], compute_uv=False) for _ in range(20)]
    assert any(s.min() > 1 - 1e-9 for s in spectra)


def test_unbounded_weights_come_at_large_scales(models: dict[str, Model]) -> None:
    model, rng = models["param W[5, 4]"], np.random.default_rng(1)
    sizes = [np.abs(sample(model, rng)["W"]).max() for _ in range(60)]
    assert max(sizes) > 300 and min(sizes) < 1


def test_copies_by_step_are_equal_or_different(models: dict[str, Model]) -> None:
    model, rng = models[CONSTRAINED[9]], np.random.default_rng(2)
    equal = [all(np.array_equal(w, s[0]) for w in s) for s in (sample(model, rng)["W"] for _ in range(40))]
    assert any(equal) and not all(equal)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_orthogonal_matrices_are_exact(seed: int, m: int, d: int) -> None:
    w = orthogonal(m, d, np.random.default_rng(seed))
    gram = w.T @ w if m >= d else w @ w.T
    assert np.array_equal(gram, np.eye(min(m, d)))


def test_some_orthogonal_matrices_are_not_permutations() -> None:
    rng = np.random.default_rng(0)
    assert any(np.count_nonzero(orthogonal(6, 6, rng)) > 6 for _ in range(20))


DOMAIN = """model M
state x[4], y[2]
input u[3] per step
input S[4, 4] : skew
domain norm(x) <= 1/3
domain y in [1, 2]
domain u in [-1, 1]
x' = S @ x + sum(u) - x
y' = -y
solver euler(steps = 3)
time 0 .. 1
"""


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_states_and_inputs_obey_their_domain(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("domain") / "m.ode"
    path.write_text(DOMAIN)
    model = api.load(path).sections[0]
    rng = np.random.default_rng(seed)
    assert violations(model, {}, sample_states(model, rng), sample_inputs(model, rng)) == []
