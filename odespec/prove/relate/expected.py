"""Gram problems for expected squares: the coefficients of a stochastic step's polynomial, read with differences.

Conditionally on the states at its start, the expected squared distance after a step is a sum of squares of differences
(`odespec.program.moments`), so it is the numerator of a Gram problem like any other. A bound tau that holds for all states
holds after every step, by the tower rule: N steps multiply the expected square by tau^N at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Real, enclose
from odespec.ir.model import Model
from odespec.program.fields import state_leaves
from odespec.program.moments import NoPolynomial, coefficients, flow_coefficients, moving
from odespec.program.step import StepProgram
from odespec.prove.gram.expand import Terms, combine, form, inner
from odespec.prove.gram.problem import Form, GramProblem, Vector
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation, TooLarge
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.relations import Reading, settle

Weighted = list[tuple[Fraction, Vector, Vector]]
HALF = Fraction(1, 2)


def read_square(program: StepProgram) -> Reading:
    """The expected squared distance after a step against the squared distance before. Raises `NoRelation`."""
    try:
        return _read_square(program, False)
    except TooLarge:
        return _read_square(program, True)


def _read_square(program: StepProgram, plain: bool) -> Reading:
    try:
        found = moving(coefficients(program))
    except NoPolynomial as error:
        raise NoRelation(f"the expected square is not known: {error}") from None
    last = program.start + program.h * (program.steps - 1)
    reader = Reader(Knowledge(program.model, _times(program.start, last)), plain=plain)
    start = _start(reader, program.model)
    values = reader.read(c.value for c in found)
    products = [(_above(c.weight), v, v) for c, v in zip(found, values, strict=True)]
    return _assembled("square-step", reader, products, start)


def read_square_flow(model: Model) -> Reading:
    """``<e, f(e)> + 1/2 sum |g_j(e)|^2`` against ``<e, e>``: half the rate of the expected square. Raises `NoRelation`."""
    try:
        return _read_flow(model, False)
    except TooLarge:
        return _read_flow(model, True)


def _read_flow(model: Model, plain: bool) -> Reading:
    from odespec.program.stochastic import parts

    try:
        found = moving(flow_coefficients(model))
    except NoPolynomial as error:
        raise NoRelation(f"the expected square is not known: {error}") from None
    assert model.time is not None, "a map has no flow"
    reader = Reader(Knowledge(model, _times(model.time.start, model.time.end)), plain=plain)
    start = _start(reader, model)
    drift, values = reader.read(parts(model).drift), reader.read(c.value for c in found)
    products = [(Fraction(1), e, f) for e, f in zip(start, drift, strict=True)]
    products += [(HALF, v, v) for v in values]
    return _assembled("square-flow", reader, products, start)


def _start(reader: Reader, model: Model) -> list[Vector]:
    states = state_leaves(model)
    found = [reader.leaf(s, f"e[{s.data}]") for s in states]
    reader.moving = dict(zip(states, found, strict=True))
    return found


def _times(first: Real, last: Real) -> Interval:
    return Interval(enclose(first)[0], enclose(last)[1])


def _above(value: Real) -> Fraction:
    return enclose(value)[1]


def _assembled(role: str, reader: Reader, numerator: Weighted, start: list[Vector]) -> Reading:
    pairs = [(x, y) for _, x, y in numerator] + [(e, e) for e in start]
    settled = settle(reader, pairs, set())
    top = zip((c for c, _, _ in numerator), settled.products[: len(numerator)], strict=True)
    above = _form((c, x, y) for c, (x, y) in top)
    below = _form((Fraction(1), x, y) for x, y in settled.products[len(numerator) :])
    problem = GramProblem(role, settled.basis, settled.relations, above, below)
    return Reading(problem, settled.recipes, settled.kept)


def _form(products: Iterable[tuple[Fraction, Vector, Vector]]) -> Form:
    terms: Terms = {}
    for c, x, y in products:
        inner(combine((c, x)), y, 1, terms)
    return form(terms)
