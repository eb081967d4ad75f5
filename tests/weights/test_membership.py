"""Membership is exact: one unit in the last place decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odespec import api
from odespec.ir.model import Model
from odespec.weights.membership import violations

UP, DOWN = np.nextafter(1.0, 2.0), np.nextafter(1.0, 0.0)


@pytest.fixture
def load(tmp_path: Path):
    def make(declarations: str, field: str = "x' = -x", solver: str = "solver euler(steps = 2)") -> Model:
        path = tmp_path / "m.ode"
        path.write_text(f"model M\nstate x[3]\n{declarations}\n{field}\n{solver}\ntime 0 .. 1\n")
        section = api.load(path).sections[0]
        assert isinstance(section, Model)
        return section

    return make


def matrix(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


PAIR = matrix([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
SPREAD = np.full((3, 3), 1 / 3)
"""Norm above one by rounding: a third is rounded down, but three of them, squared, are compared exactly."""


@pytest.mark.parametrize(
    ("declarations", "inside", "outside"),
    [
        ("param W[3, 3]\nconstraint norm(W) <= 1", PAIR, PAIR * UP),
        ("param W[3, 3]\nconstraint norm(W) <= 1", np.eye(3)[[1, 2, 0]], np.eye(3)[[1, 2, 0]] * UP),
        (
            "param W[3, 3]\nconstraint norm(W, inf) <= 1",
            matrix([[0.5, -0.5, 0]] * 3),
            matrix([[0.5, -0.5, 1e-300]] * 3),
        ),
        (
            "param W[3, 3]\nconstraint norm(W, 1) <= 1",
            matrix([[0.5, 1, 0], [0.5, 0, 0], [0, 0, 0]]),
            matrix([[0.5, 1, 0], [0.5, 0, 1e-300], [0, 1e-300, 0]]),
        ),
        ("param W[3, 3]\nconstraint sigma(W) in [1, 2]", np.diag([1.0, 2.0, 1.5]), np.diag([DOWN, 2.0, 1.5])),
        ("param W[3, 3]\nconstraint W in [-1, 1]", SPREAD * 3, SPREAD * 3 * UP),
        (
            "param W[3, 3]\nconstraint sum(W, 0) == 0",
            matrix([[1, 2, 3], [-1, 0, 0], [0, -2, -3]]),
            matrix([[1, 2, 3], [-1, 0, 0], [0, -2, -3.5]]),
        ),
        (
            "param W[3, 3]\nconstraint norm(W - W.T) <= 1",
            matrix([[9, 0.5, 0], [-0.5, 9, 0], [0, 0, 9]]),
            matrix([[9, 0.5, 0], [-np.nextafter(0.5, 1), 9, 0], [0, 0, 9]]),
        ),
        ("param W[3, 3]\nconstraint norm(W.T @ W) <= 1", PAIR, PAIR * UP),
        (
            "param W[3, 3] : skew",
            matrix([[0, 1, 2], [-1, 0, 3], [-2, -3, 0]]),
            matrix([[0, 1, 2], [-1, 0, 3], [-2, -DOWN * 3, 0]]),
        ),
        (
            "param W[3, 3] : skew\nconstraint norm(W) <= 5",
            matrix([[0, 3, 0], [-3, 0, 4], [0, -4, 0]]),
            matrix([[0, 3, 0], [-3, 0, 4 * UP], [0, -4 * UP, 0]]),
        ),
        ("param W[3, 3] : symmetric", SPREAD, SPREAD * np.array([[1, UP, 1]])),
        ("param W[3, 3] : symmetric\nconstraint eig(W) in [-1, 0]", -PAIR, -PAIR * UP),
        ("param W[3, 3] : psd", SPREAD, SPREAD - 1e-12 * np.eye(3)),
        ("param W[3, 3] : diagonal", np.diag([1.0, 0, -2]), matrix([[1, 0, 0], [0, 0, 5e-324], [0, 0, 0]])),
        ("param W[3, 3] : orthogonal", np.eye(3)[[2, 0, 1]] * np.array([[1, -1, 1.0]]), np.diag([1.0, 1.0, DOWN])),
        ("param W[3, 3] : stochastic", matrix([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0, 1]]), np.full((3, 3), 1 / 3)),
        (
            "param W[3, 3] : doubly_stochastic",
            matrix([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]),
            matrix([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]),
        ),
    ],
)
def test_one_step_beyond_the_boundary(load, declarations: str, inside: np.ndarray, outside: np.ndarray) -> None:
    model = load(declarations, "x' = W @ x")
    assert violations(model, {"W": inside}) == []
    found = violations(model, {"W": outside})
    assert len(found) == 1 and "cannot decide" not in found[0]


def test_rotations_by_pythagorean_floats_are_not_orthogonal(load) -> None:
    model = load("param W[3, 3] : orthogonal", "x' = W @ x")
    rotation = matrix([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    assert violations(model, {"W": rotation}) == ["`W` is not orthogonal"]


def test_irrational_bounds_are_met_from_below(load) -> None:
    model = load("const c = sqrt(2)\nparam W[3, 3]\nconstraint norm(W) <= c", "x' = W @ x")
    below = np.sqrt(2.0) if np.sqrt(2.0) ** 2 < 2 else np.nextafter(np.sqrt(2.0), 0)
    assert violations(model, {"W": np.diag([below, 0, 0])}) == []
    assert violations(model, {"W": np.diag([np.nextafter(below, 2), 0, 0])}) == [
        "constraint norm(W) <= c"
    ] or violations(model, {"W": np.diag([np.nextafter(below, 2), 0, 0])}) == ["norm(W) <= c"]


def test_every_copy_of_a_per_step_parameter_counts(load) -> None:
    model = load("param W[3, 3] per step\nconstraint norm(W) <= 1", "x' = W @ x")
    assert violations(model, {"W": np.stack([np.eye(3), -np.eye(3)])}) == []
    assert violations(model, {"W": np.stack([np.eye(3), UP * np.eye(3)])})
    assert violations(model, {"W": np.eye(3)})


def test_domains_speak_of_states_and_inputs(load) -> None:
    model = load("input u[3] per step\ndomain norm(x) <= 5\ndomain u in [0, 1]", "x' = u - x")
    u = np.array([[0.0, 0.5, 1.0], [1, 1, 1]])
    assert violations(model, {}, [np.array([3.0, 4, 0])], [u]) == []
    assert violations(model, {}, [np.array([3.0, np.nextafter(4, 5), 0])], [u])
    assert violations(model, {}, [np.zeros(3)], [u * UP])
    assert violations(model, {}) == []


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"W": np.eye(3), "V": np.eye(3)},
        {"W": np.eye(2)},
        {"W": np.eye(3, dtype=np.float32)},
        {"W": np.eye(3) * np.nan},
        {"W": np.full((3, 3), np.inf)},
    ],
)
def test_arrays_of_the_wrong_kind(load, weights: dict[str, np.ndarray]) -> None:
    model = load("param W[3, 3]", "x' = W @ x")
    assert violations(model, weights)


@pytest.mark.parametrize("padding", ["circular", "zero"])
def test_norm_of_a_convolution_is_that_of_its_matrix(tmp_path: Path, padding: str) -> None:
    path = tmp_path / "c.ode"
    path.write_text(
        "model M\nstate u[1, 4, 4]\nparam K[1, 1, 3, 3]\n"
        f"u' = -conv(K, padding = {padding}) @ u\nconstraint norm(conv(K, padding = {padding})) <= 1\n"
        "solver euler(steps = 1)\ntime 0 .. 1\n"
    )
    model = api.load(path).sections[0]
    tap = np.zeros((1, 1, 3, 3))
    tap[0, 0, 1, 1] = 1.0
    assert violations(model, {"K": tap}) == []
    assert len(violations(model, {"K": tap * UP})) == 1
    shifted = np.zeros((1, 1, 3, 3))
    shifted[0, 0, 0, 2] = 1.0
    assert violations(model, {"K": shifted}) == []
    assert len(violations(model, {"K": shifted * UP})) == 1
