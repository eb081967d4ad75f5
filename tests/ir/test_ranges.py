"""Interval analysis: every sampled value lies in its interval, and intervals that should be tight are."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.activations import ACTIVATIONS, Interval
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, act, leaf, matmul, postorder
from odespec.ir.ranges import REAL, ranges, rounded

spec = importlib.util.spec_from_file_location("torch_reference", Path(__file__).with_name("torch_reference.py"))
assert spec is not None and spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

F = Fraction
D = 3
x, y = leaf("state", "x", (D,)), leaf("state", "y", (D,))
W = leaf("param", "W", (D, D))
u, K = leaf("state", "u", (2, 4, 4)), leaf("param", "K", (2, 2, 3, 3))
KNOWN = {x: Interval(F(-2), F(1)), y: Interval(F(1, 2), F(3)), W: Interval(F(-1), F(1, 2)), u: Interval(F(-1), F(2)),
         K: Interval(F(-1, 2), F(1, 3))}  # fmt: skip


def of(e: Expr, known: dict[Expr, Interval] | None = None) -> Interval:
    return ranges([e], KNOWN if known is None else known)[e]


# --- tight where they should be ------------------------------------------------------


@pytest.mark.parametrize(
    ("e", "lower", "upper"),
    [
        (ex.add(x, y), F(-3, 2), F(4)),
        (ex.mul(x, y), F(-6), F(3)),
        (ex.mul(x, x), F(0), F(4)),
        (ex.div(ex.const(1), y), F(1, 3), F(2)),
        (ex.div(ex.const(1), x), None, None),
        (ex.power(x, F(2)), F(0), F(4)),
        (ex.power(x, F(3)), F(-8), F(1)),
        (ex.power(y, F(-1)), F(1, 3), F(2)),
        (matmul(W, y), F(-9), F(9, 2)),
        (ex.total(x), F(-6), F(3)),
        (ex.mean(x), F(-2), F(1)),
        (ex.dot(x, x), F(0), F(12)),
        (act("relu", x), F(0), F(1)),
        (act("sigmoid", leaf("state", "z", (D,))), F(0), F(1)),
        (act("square", x), F(0), F(4)),
        (Expr("softmax", (x,), (D,), 0), F(0), F(1)),
        (leaf("state", "z", (D,)), None, None),
        (ex.mul(ex.full(0, (D,)), leaf("state", "z", (D,))), F(0), F(0)),
        (Expr("norm", (x,), (), "inf"), F(0), F(2)),
        (Expr("norm", (x,), (), 1), F(0), F(6)),
    ],
)
def test_ends(e: Expr, lower: Fraction | None, upper: Fraction | None) -> None:
    assert of(e) == Interval(lower, upper)


def test_what_is_known_of_a_compound_is_used() -> None:
    z = matmul(W, x)
    assert of(act("relu", z), {z: Interval(F(-1), F(2))}) == Interval(F(0), F(2))


def test_rounding_goes_outward_and_keeps_numbers_short() -> None:
    e: Expr = ex.mul(ex.const(F(1, 3)), x)
    for _ in range(200):
        e = ex.mul(e, ex.add(e, ex.const(F(1, 7))))
    interval = of(e)
    for end in (interval.lower, interval.upper):
        assert end is None or end.denominator.bit_length() < 20000
    odd = F(3**500, 7**300)
    near = rounded(Interval(-odd, odd))
    assert near.lower is not None and near.upper is not None
    assert near.lower <= -odd and odd <= near.upper and near.upper < odd * F(1001, 1000)
    assert near.upper.numerator.bit_length() < 1000


# --- samples ---------------------------------------------------------------------


def sample(known: dict[Expr, Interval], seed: int) -> dict[Expr, torch.Tensor]:
    """Values inside of the intervals, their ends among them."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for e, interval in known.items():
        low, high = float(interval.lower or 0), float(interval.upper or 0)
        t = torch.rand(e.shape, generator=generator, dtype=torch.float64)
        t = torch.where(torch.rand(e.shape, generator=generator) < 0.3, t.round(), t)
        found[e] = low + (high - low) * t
    return found


def check(root: Expr, seed: int) -> None:
    found = ranges([root], KNOWN)
    for node in postorder(root):
        if reference.is_convolution(node):
            continue
        value = reference.evaluate(node, sample(KNOWN, seed))
        interval = found[node]
        slack = 1e-9 * (1 + value.abs().max())
        assert interval.lower is None or bool((value >= float(interval.lower) - slack).all()), node.op
        assert interval.upper is None or bool((value <= float(interval.upper) + slack).all()), node.op


NAMES = tuple(
    n for n, a in ACTIVATIONS.items() if n in reference.ACTS and not a.parameters and n not in ("log", "sqrt")
)


@st.composite
def vectors(draw: st.DrawFn, depth: int = 4) -> Expr:
    if depth == 0:
        return draw(st.sampled_from([x, y, ex.full(2, (D,))]))
    kind = draw(st.sampled_from(["act", "add", "mul", "matmul", "scale", "pow", "div", "vector", "reduce"]))
    a = draw(vectors(depth - 1))
    if kind == "act":
        return act(draw(st.sampled_from(NAMES)), a)
    if kind == "matmul":
        return matmul(draw(st.sampled_from([W, ex.transpose(W), Expr("diag", (a,), (D, D))])), a)
    if kind == "scale":
        return ex.mul(ex.const(draw(st.fractions(-2, 2, max_denominator=4))), a)
    if kind == "pow":
        return ex.power(act("tanh", a), F(draw(st.integers(1, 5))))
    if kind == "vector":
        options: list[Expr] = [Expr("softmax", (a,), (D,), 0), Expr("layernorm", (a,), (D,), (0, F(1, 100)))]
        return draw(st.sampled_from(options))
    other = draw(vectors(depth - 1))
    if kind == "add":
        return ex.add(a, other)
    if kind == "div":
        return ex.div(a, ex.add(ex.const(1), act("square", other)))
    if kind == "reduce":
        scalars: list[Expr] = [ex.total(other), ex.mean(other), ex.dot(other, other), ex.dot(a, other)]
        scalars += [Expr(op, (other,), ()) for op in ("min", "max")]
        scalars += [Expr("norm", (other,), (), p) for p in (1, 2, "inf")]
        return ex.mul(act("tanh", draw(st.sampled_from(scalars))), a)
    return ex.mul(a, other)


@settings(max_examples=80, deadline=None)
@given(vectors(), st.integers(0, 1000))
def test_samples_lie_within(root: Expr, seed: int) -> None:
    check(root, seed)


@pytest.mark.parametrize("seed", range(5))
def test_convolutions(seed: int) -> None:
    operator = Expr("conv", (K,), (2, 4, 4, 2, 4, 4), ex.Convolution((4, 4)))
    check(ex.apply(operator, u), seed)
    check(ex.apply(ex.transpose(operator), act("tanh", ex.apply(operator, u))), seed)
    check(Expr("pool", (u,), (2, 2, 2), 2), seed)


def test_unknown_operations_have_no_bounds() -> None:
    assert of(Expr("no such operation", (x,), (D,))) == REAL
