"""Random models of the supported class, for property tests."""

from __future__ import annotations

from fractions import Fraction

import hand_models as b
import numpy as np
from hypothesis import strategies as st

from odespec.activations import ACTIVATIONS
from odespec.ir.expr import (
    Expr,
    act,
    add,
    const,
    div,
    dot,
    eye,
    full,
    leaf,
    matmul,
    mean,
    mul,
    neg,
    power,
    sub,
    total,
    transpose,
)  # fmt: skip
from odespec.ir.model import Model

F = Fraction
D, M = 3, 4
SOLVERS = (
    "euler", "heun", "midpoint", "ralston", "ssprk3", "rk4", "backward_euler", "implicit_midpoint", "trapezoid",
    "sdirk2", "gauss2",
)  # fmt: skip
SLOPED = tuple(
    n for n, a in ACTIVATIONS.items()
    if a.nameable and not a.parameters and a.slope(()).lower is not None and a.slope(()).upper is not None
)  # fmt: skip
STRUCTURES = {"S": "skew", "P": "psd", "Q": "orthogonal", "H": "symmetric", "R": "orthogonal"}
W, V, S, P, Q, H = (b.param(n, M, D) if n == "W" else b.param(n, D, D) for n in "WVSPQH")
R, G, A = b.param("R", M, D), b.param("g", D), b.param("a")
U = leaf("input", "u", (D,))
CONSTRAINTS = {
    "W": (b.norm(W, 1),),
    "V": (b.norm(V, F(1, 2), "inf"), b.norm(V, 1, 1)),
    "S": (b.norm(S, 2),),
    "P": (b.within(P, F(1, 4), 2, "eig"),),
    "H": (b.within(H, -1, F(1, 2), "eig"),),
    "g": (b.within(G, F(-1, 2), 1),),
    "a": (b.within(A, F(1, 2), F(3, 2)),),
}
DOMAINS = {"u": b.within(U, -1, 1)}


@st.composite
def matrices(draw: st.DrawFn) -> Expr:
    """A square matrix expression of order D."""
    return draw(
        st.sampled_from(
            (
                V, S, P, Q, H, transpose(V), transpose(Q), matmul(transpose(W), W), sub(S, eye(D)),
                add(V, neg(transpose(V))), matmul(V, transpose(V)), matmul(transpose(R), W), mul(A, P),
                sub(mul(const(F(-1, 2)), matmul(transpose(V), V)), eye(D)), add(mul(A, S), mul(const(2), eye(D))),
            )
        )
    )  # fmt: skip


@st.composite
def vectors(draw: st.DrawFn, states: tuple[Expr, ...], depth: int) -> Expr:
    """A vector expression of size D in some states."""
    if depth == 0:
        return draw(st.sampled_from(states))
    kind = draw(st.sampled_from(tuple(KINDS)))
    return KINDS[kind](draw, lambda: draw(vectors(states, depth - 1)))


def _gated(draw, v):
    x = v()
    inner = add(matmul(V, x), U)
    return mul(act("sigmoid", inner), act("tanh", v()))


KINDS = {
    "matrix": lambda draw, v: matmul(draw(matrices()), v()),
    "tall": lambda draw, v: matmul(transpose(W), act(draw(st.sampled_from(SLOPED)), matmul(W, v()))),
    "orthogonal": lambda draw, v: matmul(transpose(R), act("tanh", matmul(R, v()))),
    "act": lambda draw, v: act(draw(st.sampled_from(SLOPED)), add(v(), U)),
    "plain": lambda draw, v: act(draw(st.sampled_from(SLOPED)), v()),
    "sum": lambda draw, v: add(v(), v()),
    "scaled": lambda draw, v: mul(const(draw(st.sampled_from((F(-1), F(1, 2), F(-3, 2))))), v()),
    "entries": lambda draw, v: mul(G, v()),
    "scalar": lambda draw, v: mul(A, v()),
    "input": lambda draw, v: mul(U, v()),
    "gate": _gated,
    "softmax": lambda draw, v: Expr("softmax", (v(),), (D,), 0),
    "mean": lambda draw, v: (lambda x: sub(x, mean(x)))(v()),
    "energy": lambda draw, v: mul(act("tanh", dot(U, v())), U),
    "norm": lambda draw, v: mul(G, Expr("norm", (v(),), (), 2)),
    "inverse": lambda draw, v: div(act("sigmoid", v()), add(act("sigmoid", v()), full(1, (D,)))),
    "square": lambda draw, v: power(act("tanh", v()), F(2)),
    "total": lambda draw, v: mul(total(act("relu", v())), full(1, (D,))),
}


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A model of one or two states, with any of the solvers, one or two steps, weights shared or per step."""
    count = draw(st.sampled_from((1, 1, 2)))
    states = tuple(b.state(n, D) for n in "xy"[:count])
    field = {str(s.data): draw(vectors(states, draw(st.integers(1, 3)))) for s in states}
    names = {str(e.data) for f in field.values() for e in _leaves(f)}
    solvers = SOLVERS if count == 1 else (*SOLVERS, "symplectic_euler")
    implicit_h = (F(1, 10), F(1, 3))
    return b.model(
        field,
        solver=draw(st.sampled_from(solvers)),
        h=draw(st.sampled_from(implicit_h)),
        steps=draw(st.sampled_from((1, 1, 2))),
        constraints=tuple(c for n in sorted(names) for c in CONSTRAINTS.get(n, ())),
        domains=tuple(d for n, d in DOMAINS.items() if n in names),
        structures={n: s for n, s in STRUCTURES.items() if n in names},
        per_step=draw(st.sampled_from(((), ("W", "S", "V")))),
    )


def _leaves(e: Expr) -> list[Expr]:
    from odespec.ir.expr import postorder

    return [n for n in postorder(e) if n.op in ("param", "input")]


def pair(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two starts at a distance of a random size, entries now and then exactly equal."""
    scale, gap = 10.0 ** rng.uniform(-1, 1.5), 10.0 ** rng.uniform(-2, 1)
    first = [scale * rng.standard_normal(s) for s in shapes]
    moves = [gap * rng.standard_normal(s) * (rng.random(s) < 0.7) for s in shapes]
    return first, [x + m for x, m in zip(first, moves, strict=True)]
