"""Models made by hand, without the parser."""

from __future__ import annotations

from fractions import Fraction

from odespec.ir.expr import Expr, act, add, const, eye, leaf, matmul, mul, neg, transpose
from odespec.ir.model import Input, Model, Param, Relation, Solver, State, Time
from odespec.program.lower import lower
from odespec.program.step import StepProgram
from odespec.source import Source, Span

SPAN = Span(Source("test", "test"), 0, 4)
F = Fraction


def state(name: str, *shape: int) -> Expr:
    return leaf("state", name, shape)


def param(name: str, *shape: int) -> Expr:
    return leaf("param", name, shape)


def norm(e: Expr, c: Fraction | int, p: int | str = 2) -> Relation:
    return Relation("norm", e, None, F(c), SPAN, p)


def within(e: Expr, low: Fraction | int | None, high: Fraction | int | None, quantity: str = "entries") -> Relation:
    return Relation(quantity, e, None if low is None else F(low), None if high is None else F(high), SPAN)


def model(
    field: dict[str, Expr],
    *,
    solver: str = "euler",
    h: Fraction | int = 1,
    steps: int = 1,
    constraints: tuple[Relation, ...] = (),
    domains: tuple[Relation, ...] = (),
    structures: dict[str, str] | None = None,
    per_step: tuple[str, ...] = (),
    tableau: object = None,
) -> Model:
    """A model whose parameters and inputs are those that occur in its field."""
    from odespec.ir.expr import postorder

    used = list(postorder(*field.values(), *(c.operand for c in constraints)))
    structures = structures or {}
    states = tuple(State(n, f.shape, None, None, SPAN) for n, f in field.items())
    params = tuple(
        Param(str(e.data), e.shape, structures.get(str(e.data)), e.data in per_step, SPAN)
        for e in used
        if e.op == "param"
    )
    inputs = tuple(Input(str(e.data), e.shape, None, e.data in per_step, SPAN) for e in used if e.op == "input")
    return Model(
        "Test", None, SPAN.source, SPAN, (), (), states, params, inputs, (), (), tuple(field.values()), False,
        constraints, domains, Solver(solver, steps, (), SPAN, tableau), Time(F(0), F(h) * steps, None, SPAN), None, (),
    )  # fmt: skip


def program(*args: object, **kwargs: object) -> StepProgram:
    return lower(model(*args, **kwargs))  # type: ignore[arg-type]


def gradient_flow(activation: str = "relu", d: int = 3, m: int = 4) -> tuple[dict[str, Expr], tuple[Relation, ...]]:
    x, W, b = state("x", d), param("W", m, d), param("b", m)
    return {"x": neg(matmul(transpose(W), act(activation, add(matmul(W, x), b))))}, (norm(W, 1),)


def skew_damped(gamma: Fraction, d: int = 3) -> tuple[dict[str, Expr], tuple[Relation, ...], dict[str, str]]:
    x, S = state("x", d), param("S", d, d)
    return {"x": matmul(add(S, mul(const(-gamma), eye(d))), x)}, (norm(S, 1),), {"S": "skew"}


def hamiltonian(d: int = 3) -> tuple[dict[str, Expr], tuple[Relation, ...]]:
    y, z = state("y", d), state("z", d)
    K, L = param("K", d, d), param("L", d, d)
    return {
        "y": matmul(transpose(K), act("tanh", matmul(K, z))),
        "z": neg(matmul(transpose(L), act("tanh", matmul(L, y)))),
    }, (norm(K, 1), norm(L, 1))
