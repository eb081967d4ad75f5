"""Certificates for the tests, from Gram problems made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from odespec.certificate.auditor import digest
from odespec.certificate.format import Certificate, read
from odespec.certificate.gram import Evidence, build
from odespec.ir.model import Claim, Model, Solver, Spec, Time
from odespec.prove.gram.exact import Target, choose_tau, prove
from odespec.prove.gram.expand import combine, form, inner
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation, Vector
from odespec.source import Source, Span

Q = Fraction
TEXT = """use "other.ode"
model Flow
claim nonexpansive   # the main point
const L = 3/2
claim lipschitz <= L
claim lipschitz(norm = 2) <=
    1.5
claim gradient in [0.001, 1]
claim not contractive(rate = -0.1)
claim contractive(rate = 1/5) of flow
claim lipschitz <= 20 of flow
claim gradient in [1e-3, 1] of flow
"""


def unit(i: int) -> Vector:
    return ((i, Q(1)),)


def euler_step(h: str, *, lower: bool = False) -> GramProblem:
    """``x' = -W.T relu(W x)`` with norm(W) <= 1."""
    names = ["e", "W.T p", "W e", "W W.T p", "p"]
    basis = tuple(BasisVector(n, int(k > 1)) for k, n in enumerate(names))
    e, q, we, wq, p = (unit(k) for k in range(5))
    norm = (("alpha", Q(1)), ("beta", Q(0)), ("gamma", Q(-1)))
    forward = (("u", (e, q)), ("v", (we, wq)))
    relations = (
        Relation("sector", (("z", (we,)), ("p", (p,))), (("a", Q(0)), ("b", Q(1))), "slopes of relu"),
        Relation("operator", forward, norm, "norm(W) <= 1"),
        Relation("operator", (("u", (p,)), ("v", (q,))), norm, "norm(W.T) <= 1"),
        Relation("adjoint", (*forward, ("p", (p,)), ("q", (q,))), (), "W.T is the adjoint of W"),
    )
    after = combine((1, e), (-Q(h), q))
    return GramProblem("step", basis, relations, form(inner(after, after)), form(inner(e, e)), lower)


def damped_rotation(*, lower: bool = False) -> GramProblem:
    """The flow of ``x' = S x - x / 5`` with S skew."""
    e, s = unit(0), unit(1)
    relations = (Relation("skew", (("u", (e,)), ("v", (s,))), (), "S is skew"),)
    field = combine((1, s), (Q(-1, 5), e))
    basis = (BasisVector("e", 0), BasisVector("S e", 0))
    return GramProblem("flow", basis, relations, form(inner(e, field)), form(inner(e, e)), lower)


def implicit_solvability() -> GramProblem:
    """Backward Euler on ``x' = S x``: the stage y against its residual y - h S y."""
    y, s = unit(0), unit(1)
    relations = (Relation("skew", (("u", (y,)), ("v", (s,))), (), "S is skew"),)
    residual = combine((1, y), (-Q(1, 2), s))
    basis = (BasisVector("y", 0), BasisVector("S y", 0))
    return GramProblem("solvability", basis, relations, form(inner(y, y)), form(inner(residual, residual)))


def rotation_step() -> GramProblem:
    """The step of backward Euler on ``x' = S x`` with h = 1/2, in terms of its end y."""
    y, s = unit(0), unit(1)
    relations = (Relation("skew", (("u", (y,)), ("v", (s,))), (), "S is skew"),)
    start = combine((1, y), (-Q(1, 2), s))
    basis = (BasisVector("y", 0), BasisVector("S y", 0))
    return GramProblem("step", basis, relations, form(inner(y, y)), form(inner(start, start)))


def model() -> tuple[Spec, Model, Span]:
    source, other = Source("folder/main.ode", TEXT), Source("other.ode", "model Other\n")
    span = Span(source, 0, 1)
    empty: tuple[Any, ...] = ()
    found = Model(
        "Flow", None, source, span, *(empty,) * 8, False, (), (), Solver("euler", 32, (), span),
        Time(Q(0), Q(16, 5), None, span), None, (),
    )  # fmt: skip
    return Spec(source, (found,), (source, other), (("d", "8"),)), found, span


def evidence(problem: GramProblem, target: Target, steps: int, bound: float) -> Evidence:
    for tau in choose_tau(problem, bound, steps, target):
        proof = prove(problem, tau)
        if proof is not None:
            return Evidence(target, ((proof, 1 if target.flow else steps),))
    raise AssertionError("no proof")


CASES: dict[str, tuple[dict[str, Any], list[tuple[Callable[[], GramProblem], str, Fraction, float]]]] = {
    "nonexpansive": (
        {"name": "nonexpansive", "text": "nonexpansive"},
        [(lambda: euler_step("1/10"), "lipschitz", Q(1), 1.0)],
    ),
    "named": (
        {"name": "lipschitz", "text": "lipschitz <= L", "upper": Q(3, 2)},
        [(lambda: euler_step("1/10"), "lipschitz", Q(3, 2), 1.0)],
    ),
    "folded": (
        {"name": "lipschitz", "text": "lipschitz(norm = 2) <=\n    1.5", "upper": Q(3, 2)},
        [(lambda: euler_step("1/10"), "lipschitz", Q(3, 2), 1.0)],
    ),
    "gradient": (
        {"name": "gradient", "text": "gradient in [0.001, 1]", "lower": Q(1, 1000), "upper": Q(1)},
        [
            (lambda: euler_step("1/10"), "lipschitz", Q(1), 1.0),
            (lambda: euler_step("1/10", lower=True), "lower", Q(1, 1000), 0.81),
        ],
    ),
    "contractive": (
        {"name": "contractive", "text": "contractive(rate = -0.1)", "lower": Q(-1, 10), "negated": True},
        [(lambda: euler_step("1/10"), "contractive", Q(-1, 10), 1.0)],
    ),
    "flow rate": (
        {"name": "contractive", "text": "contractive(rate = 1/5) of flow", "lower": Q(1, 5), "subject": "flow"},
        [(damped_rotation, "flow-contractive", Q(1, 5), -0.2)],
    ),
    "flow": (
        {"name": "lipschitz", "text": "lipschitz <= 20 of flow", "upper": Q(20), "subject": "flow"},
        [(damped_rotation, "flow-lipschitz", Q(20), -0.2)],
    ),
    "flow gradient": (
        {
            "name": "gradient",
            "text": "gradient in [1e-3, 1] of flow",
            "lower": Q(1, 1000),
            "upper": Q(1),
            "subject": "flow",
        },
        [
            (damped_rotation, "flow-lipschitz", Q(1), -0.2),
            (lambda: damped_rotation(lower=True), "flow-lower", Q(1, 1000), -0.2),
        ],
    ),
    "implicit": ({"name": "nonexpansive", "text": "nonexpansive"}, [(rotation_step, "lipschitz", Q(1), 1.0)]),
}  # fmt: skip


def certificate(case: str) -> Certificate:
    spec, found, span = model()
    stated, sides = CASES[case]
    claim = Claim(**{"negated": False, "span": span, **stated})
    implicit = case == "implicit"
    solvability = prove(implicit_solvability(), Q(2)) if implicit else None
    draft = build(
        spec,
        found,
        claim,
        [evidence(problem(), Target(kind, number, Q(16, 5)), 32, bound) for problem, kind, number, bound in sides],
        steps=32,
        time=Q(16, 5),
        implicit=implicit,
        solvability=[solvability] if solvability else [],
    )
    assert read(draft.text()).text() == draft.text()
    return read(draft.text())


@pytest.fixture(scope="session", params=list(CASES))
def made(request: pytest.FixtureRequest) -> Certificate:
    return certificate(request.param)


@pytest.fixture(scope="session")
def plain() -> Certificate:
    return certificate("nonexpansive")


@pytest.fixture(scope="session")
def signed() -> Callable[[Any], str]:
    """The text of a changed certificate, with the digest that belongs to it where it can have one."""

    def text(data: Any) -> str:
        if isinstance(data, dict) and "digest" in data:
            data = {**data, "digest": digest(data)}
        return json.dumps(data)

    return text
