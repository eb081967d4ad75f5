"""Changes and rates that are quadratic forms in the entries of the states, with numbers for coefficients.

Where a spec has no weights, only constant matrices, a form can be written down entry by entry; nothing else is known.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import prod

import numpy as np

from odespec.ir.expr import Expr, const, dot, leaves
from odespec.prove.energy.scalar import tensor_degree
from odespec.prove.gram.expand import form
from odespec.prove.gram.problem import BasisVector, GramProblem
from odespec.prove.relate.recipes import Value
from odespec.prove.relate.relations import Reading
from odespec.weights.arithmetic import EXACT, Inexact
from odespec.weights.evaluate import Unsupported, evaluate, plan

LARGEST = 16
"""States with more entries than this are not written out."""

ZERO, ONE = Fraction(0), Fraction(1)


def entrywise(role: str, after: Expr, before: Expr | None, states: tuple[Expr, ...], lower: bool) -> Reading | None:
    """The problem ``after - before`` over the number one and the entries of the states; None where it is no such form."""
    roots = (after,) if before is None else (after, before)
    count = sum(prod(s.shape) for s in states)
    known = {(s.op, s.data) for s in states}
    plain = all(op in ("const", "array", "full", "eye") or (op, data) in known for op, data in leaves(*roots))
    if not plain or count > LARGEST or any(tensor_degree(r) > 2 for r in roots):
        return None
    try:
        terms = _terms(roots, states, count)
    except (Inexact, Unsupported):
        return None
    entries = [_entry(s, i) for s in states for i in range(prod(s.shape))]
    names = ["1", *(f"{s.data}[{i}]" for s in states for i in range(prod(s.shape)))]
    basis = tuple(BasisVector(n, 0) for n in names)
    below = form({(i, i): ONE for i in range(len(basis))})
    problem = GramProblem(role, basis, (), form(terms), below, lower)
    recipes = tuple(Value(e) for e in (const(1), *entries))
    return Reading(problem, recipes, tuple(range(len(recipes))))


def _entry(state: Expr, i: int) -> Expr:
    """The entry of that number as an expression."""
    unit = np.zeros(prod(state.shape), dtype=object)
    unit[:] = ZERO
    unit[i] = ONE
    return dot(Expr("array", (), state.shape, _nested(unit.reshape(state.shape))), state) if state.shape else state


def _nested(values: object) -> object:
    return tuple(map(_nested, values)) if isinstance(values, np.ndarray) else values


def _terms(roots: tuple[Expr, ...], states: tuple[Expr, ...], count: int) -> dict[tuple[int, int], Fraction]:
    """Coefficients of a polynomial of degree two, from its values at few points."""
    prepared = plan(roots)

    def at(point: np.ndarray) -> Fraction:
        found, start = {}, 0
        for s in states:
            size = prod(s.shape)
            found[s.op, s.data] = point[start : start + size].reshape(s.shape)
            start += size
        values = [Fraction(np.asarray(v).item()) for v in evaluate(prepared, EXACT, found)]
        return values[0] - (values[1] if len(values) > 1 else ZERO)

    units = [np.array([Fraction(int(i == j)) for j in range(count)], dtype=object) for i in range(count)]
    rest = at(units[0] * 0)
    plus, minus = [at(u) for u in units], [at(-u) for u in units]
    terms = {(0, 0): rest}
    for i in range(count):
        terms[0, i + 1] = (plus[i] - minus[i]) / 2
        terms[i + 1, i + 1] = (plus[i] + minus[i]) / 2 - rest
    for i, j in combinations(range(count), 2):
        linear = terms[0, i + 1] + terms[0, j + 1]
        terms[i + 1, j + 1] = at(units[i] + units[j]) - rest - linear - terms[i + 1, i + 1] - terms[j + 1, j + 1]
    return terms
