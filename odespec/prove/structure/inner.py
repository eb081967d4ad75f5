"""Proofs by inner products of what bijections need: equations with one solution, distances that do not vanish."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

from odespec.certificate.gram import state
from odespec.ir import expr as ex
from odespec.ir.expr import depends_on
from odespec.ir.model import Model
from odespec.program.lower import NotLowered, lower
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.solve import finite
from odespec.prove.gram.worst import worst_case
from odespec.prove.orders.method import scheme_of
from odespec.prove.relate.relations import NoRelation, solvability_problem, step_problem
from odespec.solvers import RungeKutta, tableau

LEAST = 1e-5
"""A numerical lower bound of the squared ratio below this may be zero."""

Part = dict[str, Any]


def bounded(problem: GramProblem) -> Part | None:
    """A proved finite upper bound, as a part of a certificate."""
    proof = finite(problem)
    return None if proof is None else state(proof)


def positive(problem: GramProblem) -> Part | None:
    """A proved positive lower bound, as a part of a certificate."""
    value = worst_case(problem).value
    if not math.isfinite(value) or value < LEAST:
        return None
    top = Fraction(value)
    for share in (Fraction(1, 2), Fraction(1, 10), Fraction(9, 10)):
        proof = prove(problem, simplest_between(top * share * Fraction(9, 10), top * share))
        if proof is not None and proof.tau > 0:
            return state(proof)
    return None


def solvable(program: StepProgram) -> Part | None:
    """That the equations of an implicit step have one solution each; None where that is not shown. Raises `NoRelation`."""
    problem = solvability_problem(program)
    return None if problem is None else bounded(problem)


def distances(program: StepProgram) -> dict[str, Any] | None:
    """The data of the route ``distances``."""
    try:
        least = positive(step_problem(program, lower=True))
        if least is None:
            return None
        if not program.solves:
            return {"implicit": False, "parts": [least]}
        forward = solvable(program)
    except NoRelation:
        return None
    return None if forward is None else {"implicit": True, "parts": [least, forward]}


def equations(model: Model, scheme: RungeKutta, program: StepProgram) -> dict[str, Any] | None:
    """The data of the route ``equations``: a step back is a step of the adjoint method with the field turned round."""
    try:
        forward = [] if not program.solves else [solvable(program)]
        if None in forward:
            return None
        back = lower(backwards(model, scheme))
        part = solvable(back) if back.solves else None
    except (NoRelation, NotLowered):
        return None
    return None if part is None else {"forward": forward, "back": part}


def backwards(model: Model, scheme: RungeKutta) -> Model:
    """A model whose step is the inverse of a step: tableau ``b_j - a_ij``, the field with the other sign.

    Source: Hairer, Lubich & Wanner, Geometric Numerical Integration, theorem V.2.1 (adjoint methods).
    """
    n = range(len(scheme.b))
    adjoint = tableau(tuple(tuple(scheme.b[j] - scheme.A[i][j] for j in n) for i in n), scheme.b)
    solver = replace(model.solver, name="tableau", tableau=(adjoint.A, adjoint.b))
    return replace(model, field=tuple(ex.neg(f) for f in model.field), solver=solver)


def lipschitz_field(model: Model) -> dict[str, Any] | None:
    """The data of the route ``lipschitz field``, of a field that does not depend on the time."""
    if model.time is None or any(depends_on(f, "time") for f in model.field):
        return None
    try:
        part = finite(step_problem(lower(unit_step(model)), lower=False))
    except (NoRelation, NotLowered):
        return None
    return None if part is None else {"part": part}


def unit_step(model: Model) -> Model:
    """A model whose step is ``x + f(x)``."""
    assert model.time is not None
    time = replace(model.time, start=Fraction(0), end=Fraction(1), save=None)
    return replace(model, solver=replace(model.solver, name="euler", steps=1, tableau=None, options=()), time=time)


def parts_of(route: str, data: dict[str, Any], model: Model) -> list[tuple[Part, StepProgram]]:
    """The parts of a route's data, each with the program that it speaks of. Raises `NotLowered`."""
    if route == "lipschitz field":
        return [(data["part"], lower(unit_step(model)))]
    if route not in ("distances", "runge-kutta", "equations"):
        return []
    program = lower(model)
    if route == "distances":
        return [(p, program) for p in data["parts"]]
    if route == "runge-kutta":
        return [(data["forward"], program)]
    scheme = scheme_of(model)
    assert isinstance(scheme, RungeKutta)
    return [*((p, program) for p in data["forward"]), (data["back"], lower(backwards(model, scheme)))]
