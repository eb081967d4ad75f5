"""Gradients: exact form where a person would know it, and values against autograd and finite differences."""

from __future__ import annotations

import importlib.util
import time
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.ir import expr as ex
from odespec.ir.differentiate import NotDifferentiable, gradient
from odespec.ir.expr import Expr, act, leaf, matmul, transpose

spec = importlib.util.spec_from_file_location("torch_reference", Path(__file__).with_name("torch_reference.py"))
assert spec is not None and spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

D, M = 3, 4
x = leaf("state", "x", (D,))
X = leaf("state", "X", (D, 2))
W, b = leaf("param", "W", (M, D)), leaf("param", "b", (M,))
S = leaf("param", "S", (D, D))
C = leaf("param", "C", (2, 2))


def values(seed: int) -> dict[Expr, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {e: torch.randn(e.shape, generator=generator, dtype=torch.float64) for e in (x, X, W, b, S, C)}


def check(scalar: Expr, by: Expr, seed: int = 0) -> None:
    at = values(seed)
    at[by] = at[by].clone().requires_grad_(True)
    result = reference.evaluate(scalar, at)
    expected = torch.zeros(by.shape, dtype=torch.float64)
    if result.requires_grad:
        found = torch.autograd.grad(result, at[by], allow_unused=True)[0]
        expected = expected if found is None else found
    at[by] = at[by].detach()
    actual = reference.evaluate(gradient(scalar, by), at)
    if torch.isfinite(expected).all() and expected.abs().max() < 1e12:
        torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-8)


# --- exact forms -------------------------------------------------------------------


def test_potential_gives_the_gradient_flow() -> None:
    z = ex.add(matmul(W, x), b)
    assert gradient(ex.total(act("logcosh", z)), x) == matmul(transpose(W), act("tanh", z))


def test_terms_that_are_equal_meet() -> None:
    half = ex.const(Fraction(1, 2))
    assert gradient(ex.mul(half, ex.dot(x, x)), x) == x
    form = ex.mul(half, ex.dot(x, matmul(S, x)))
    assert gradient(form, x, {S: "symmetric"}) == matmul(S, x)
    assert gradient(form, x, {S: "skew"}) == ex.full(0, (D,))
    expected = ex.add(ex.mul(half, matmul(S, x)), ex.mul(half, matmul(transpose(S), x)))
    assert gradient(form, x) == expected


def test_what_does_not_depend_has_no_gradient() -> None:
    assert gradient(ex.total(b), x) == ex.full(0, (D,))


def test_polynomials() -> None:
    assert gradient(ex.total(ex.power(x, Fraction(3))), x) == ex.mul(ex.const(3), ex.power(x, Fraction(2)))


def test_what_has_no_derivative_says_so() -> None:
    with pytest.raises(NotDifferentiable):
        gradient(Expr("max", (x,), ()), x)
    with pytest.raises(NotDifferentiable):
        gradient(Expr("norm", (x,), (), 1), x)
    with pytest.raises(ValueError):
        gradient(x, x)


# --- against autograd ----------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in reference.ACTS if n not in ("leaky_relu", "log", "sqrt")])
def test_every_activation(name: str) -> None:
    check(ex.total(act(name, ex.add(matmul(W, x), b))), x)
    check(ex.dot(b, act(name, act("tanh", matmul(W, x)))), x, 1)


@pytest.mark.parametrize(
    "scalar",
    [
        ex.total(act("leaky_relu", x, (Fraction(1, 10),))),
        ex.total(act("log", ex.add(act("square", x), ex.const(1)))),
        ex.total(act("sqrt", ex.add(act("square", x), ex.const(1)))),
        ex.mean(ex.mul(x, act("sin", x))),
        ex.div(ex.const(1), ex.add(ex.const(1), ex.dot(x, x))),
        ex.total(ex.div(x, ex.add(ex.const(2), act("square", x)))),
        Expr("norm", (matmul(W, x),), (), 2),
        ex.dot(b, Expr("softmax", (matmul(W, x),), (M,), 0)),
        ex.dot(b, Expr("layernorm", (matmul(W, x),), (M,), (0, Fraction(1, 1000)))),
        ex.dot(x, matmul(Expr("diag", (x,), (D, D)), x)),
        ex.dot(b, matmul(matmul(W, Expr("diag", (act("tanh", x),), (D, D))), x)),
        ex.mul(ex.dot(x, x), ex.total(act("tanh", ex.mul(ex.total(x), x)))),
        ex.total(ex.mul(Expr("offdiag", (Expr("diag", (x,), (D, D)),), (D, D)), S)),
        ex.total(act("tanh", Expr("channel", (x,), (D, 2)))),
    ],
)
def test_of_a_vector(scalar: Expr) -> None:
    for seed in range(3):
        check(scalar, x, seed)


@pytest.mark.parametrize(
    "scalar",
    [
        ex.total(act("tanh", ex.matmul_last(X, C))),
        ex.total(act("tanh", matmul(S, X))),
        ex.total(act("tanh", matmul(transpose(X), X))),
        ex.dot(X, ex.matmul_last(matmul(S, X), C)),
        ex.total(act("square", ex.total(X, (1,)))),
        ex.total(act("square", ex.mean(X, (0,)))),
        ex.dot(X, Expr("softmax", (ex.mul(ex.const(2), X),), (D, 2), 1)),
        ex.dot(X, Expr("softmax", (X,), (D, 2), 0)),
        ex.dot(ex.matmul_last(X, C), Expr("layernorm", (X,), (D, 2), (1, Fraction(1, 10)))),
        Expr("norm", (X,), (), 2),
    ],
)
def test_of_a_matrix(scalar: Expr) -> None:
    for seed in range(3):
        check(scalar, X, seed)


def test_of_a_convolution() -> None:
    u, K = leaf("state", "u", (2, 5, 5)), leaf("param", "K", (3, 2, 3, 3))
    operator = Expr("conv", (K,), (3, 5, 5, 2, 5, 5), ex.Convolution((5, 5)))
    energy = ex.total(act("logcosh", ex.apply(operator, u)))
    slope = gradient(energy, u)
    assert slope == ex.apply(transpose(operator), act("tanh", ex.apply(operator, u)))
    at = {e: torch.randn(e.shape, dtype=torch.float64) for e in (u, K)}
    at[u] = at[u].requires_grad_(True)
    expected = torch.autograd.grad(reference.evaluate(energy, at), at[u])[0]
    torch.testing.assert_close(reference.evaluate(slope, at).detach(), expected)


# --- random expressions ------------------------------------------------------------

SMOOTH = ("tanh", "sigmoid", "softplus", "sin", "logcosh", "arctan", "gelu", "silu", "square")


@st.composite
def vectors(draw: st.DrawFn, depth: int = 4) -> Expr:
    if depth == 0:
        return draw(st.sampled_from([x, x, matmul(S, x)]))
    kind = draw(st.sampled_from(["act", "add", "mul", "matmul", "scale", "gate", "softmax", "div"]))
    a = draw(vectors(depth - 1))
    if kind == "act":
        return act(draw(st.sampled_from(SMOOTH)), a)
    if kind == "matmul":
        return draw(st.sampled_from([matmul(S, a), matmul(transpose(W), act("tanh", ex.add(matmul(W, a), b)))]))
    if kind == "scale":
        return ex.mul(ex.const(draw(st.fractions(-2, 2, max_denominator=4))), a)
    if kind == "softmax":
        return Expr("softmax", (a,), (D,), 0)
    other = draw(vectors(depth - 1))
    if kind == "add":
        return ex.add(a, other)
    if kind == "gate":
        return ex.mul(ex.total(act("tanh", other)), a)
    if kind == "div":
        return ex.div(a, ex.add(ex.const(2), act("square", other)))
    return ex.mul(a, other)


@settings(max_examples=150, deadline=None)
@given(vectors(), st.integers(0, 1000))
def test_random_expressions(vector: Expr, seed: int) -> None:
    check(ex.total(act("tanh", vector)), x, seed)


@settings(max_examples=40, deadline=None)
@given(vectors(3), st.integers(0, 1000))
def test_random_expressions_by_finite_differences(vector: Expr, seed: int) -> None:
    scalar = ex.total(act("tanh", vector))
    at, step = values(seed), 1e-5
    slope = reference.evaluate(gradient(scalar, x), at)
    for i in range(D):
        ends = []
        for sign in (1, -1):
            moved = at[x].clone()
            moved[i] += sign * step
            ends.append(reference.evaluate(scalar, {**at, x: moved}))
        difference = (ends[0] - ends[1]) / (2 * step)
        scale = 1 + slope.abs().max()
        assert abs(difference - slope[i]) <= 1e-4 * scale**2


def test_the_gradient_of_a_gradient() -> None:
    inner = gradient(ex.total(act("logcosh", matmul(W, x))), x)
    check(ex.dot(inner, inner), x)


def test_deep_chains_are_linear() -> None:
    def seconds(n: int) -> float:
        e: Expr = x
        for _ in range(n):
            e = act("tanh", ex.add(matmul(S, e), e))
        start = time.perf_counter()
        gradient(ex.total(e), x)
        return time.perf_counter() - start

    small = min(seconds(250) for _ in range(3))
    assert min(seconds(2000) for _ in range(2)) < 8 * 4 * max(small, 1e-3)
