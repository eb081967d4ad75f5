"""Gram problems about one run: the change of a scalar V over a step, and its rate along the flow.

They ask whether the numerator is at most zero (with ``lower``: at least zero) for all vectors that obey the relations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Irrational, enclose, sign
from odespec.ir.differentiate import NotDifferentiable, gradient
from odespec.ir.expr import Expr, add, const, dot, full, leaf, mul, postorder, sub, substitute
from odespec.ir.model import Model
from odespec.ir.ranges import REAL
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.energy.entries import entrywise
from odespec.prove.energy.scalar import Term, TooManyTerms, tensor_degree, term_degree, terms
from odespec.prove.energy.sums import sums_of
from odespec.prove.energy.values import ValueReader
from odespec.prove.gram.expand import combine, form, inner
from odespec.prove.gram.problem import Form, GramProblem, Relation, Vector
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import Reading, Settled, settle
from odespec.solvers import RungeKutta

ONE = Fraction(1)
Products = list[tuple[Vector, Vector]]


def check_scalar(model: Model, scalar: Expr) -> None:
    """Raises `NoRelation` where the scalar is not one of the states alone, the same at every step."""
    copied = {("param", p.name) for p in model.params if p.per_step} | {
        ("input", u.name) for u in model.inputs if u.per_step
    }
    for node in postorder(scalar):
        if node.op in ("time", "noise", "initial"):
            raise NoRelation("the scalar depends on more than the states")
        if (node.op, node.data) in copied:
            raise NoRelation(f"the scalar depends on `{node.data}`, which is another one in each step")


# --- the problems ----------------------------------------------------------------


def irrational(program: StepProgram) -> bool:
    """Whether a step has irrational coefficients."""
    roots = (*program.update, *(v for s in program.solves for v in s.values))
    return any(n.op == "const" and isinstance(n.data, Irrational) for n in postorder(*roots))


def change(program: StepProgram, scalar: Expr, *, lower: bool = False, rounded: bool = False) -> Reading:
    """V after a step minus V before it. Raises `NoRelation`.

    ``rounded``: irrational coefficients are rational ones with a remainder, so that inequalities with room can be shown.
    """
    check_scalar(program.model, scalar)
    if program.memory:
        raise NoRelation("a multistep method changes the scalar by what earlier steps did")
    moves = dict(zip(state_leaves(program.model), program.update, strict=True))
    (after,) = substitute((scalar,), moves)
    plain = entrywise("change", after, scalar, state_leaves(program.model), lower)
    if plain is not None:
        return plain
    last = program.start + program.h * (program.steps - 1)
    reader = _reader(program.model, Interval(enclose(program.start)[0], enclose(last)[1]), rounded=rounded)
    states = [reader.place(s, str(s.data)) for s in state_leaves(program.model)]
    _solve(program, reader)
    products = [p for t in _terms(scalar) for p in _difference(reader, t, moves)]
    return _reading("change", reader, products, states, lower)


SIZE = leaf("param", "step's size", ())
"""How far a substep of a partitioned method goes: any number. No parameter of a spec has a name like this."""

SUBSTEPS = ("drift", "kick")
"""The parts of a partitioned step, by the number of the state that they move: the position, the momentum."""


def substep(model: Model, scalar: Expr, kind: str, *, lower: bool = False) -> Reading:
    """V after a drift or a kick of any size minus V before it. Raises `NoRelation`."""
    check_scalar(model, scalar)
    reader = _reader(model, REAL)  # substeps may go back in time, and beyond the end
    states = [reader.place(s, str(s.data)) for s in state_leaves(model)]
    products = [p for t in _terms(scalar) for p in _difference(reader, t, substep_moves(model, kind))]
    return _reading(kind, reader, products, states, lower)


def substep_moves(model: Model, kind: str) -> dict[Expr, Expr]:
    """What a drift or a kick of the size `SIZE` makes of the state that it moves."""
    k = SUBSTEPS.index(kind)
    state = state_leaves(model)[k]
    return {state: add(state, mul(SIZE, model.field[k]))}


def rate(model: Model, scalar: Expr, *, lower: bool = False, method: RungeKutta | None = None) -> Reading:
    """``<grad V, f>`` at any state and time, or at any stage of a method. Raises `NoRelation`."""
    check_scalar(model, scalar)
    slopes = gradients(model, scalar)
    whole = const(0)
    for slope, f in zip(slopes, model.field, strict=True):
        whole = add(whole, dot(slope, f) if f.shape else mul(slope, f))
    plain = entrywise("rate", whole, None, state_leaves(model), lower)
    if plain is not None:
        return plain
    inside = method is None or all(sign(c) >= 0 and sign(1 - c) >= 0 for c in method.c)
    reader = _reader(model, _times(model) if inside else REAL)
    states = [reader.place(s, str(s.data)) for s in state_leaves(model)]
    products = [_rate_product(reader, slope, f) for slope, f in zip(slopes, model.field, strict=True)]
    return _reading("rate", reader, products, states, lower)


def shape(model: Model, scalar: Expr) -> Reading:
    """The quadratic part of V, to be shown non-negative (a lower problem). Raises `NoRelation`."""
    reader = _reader(model, REAL)
    states = [reader.place(s, str(s.data)) for s in state_leaves(model)]
    quadratic = [t for t in _terms(scalar) if term_degree(t) > 1]
    if any(t.kind != "product" or tensor_degree(t.scale) for t in quadratic):
        raise NoRelation("the quadratic part of the scalar is not written as products of affine expressions")
    products = [p for t in quadratic for p in _term(reader, _linear_part(t), 1)]
    return _reading("shape", reader, products, states, True)


def gradients(model: Model, scalar: Expr) -> tuple[Expr, ...]:
    """The gradients of a scalar by all states. Raises `NoRelation`."""
    structures = {leaf("param", p.name, p.shape): p.structure for p in model.params if p.structure}
    structures |= {leaf("input", u.name, u.shape): u.structure for u in model.inputs if u.structure}
    try:
        return tuple(gradient(scalar, s, structures) for s in state_leaves(model))
    except NotDifferentiable as error:
        raise NoRelation(f"there is no derivative of {error.what}") from None


def _rate_product(reader: ValueReader, slope: Expr, f: Expr) -> tuple[Vector, Vector]:
    """``<slope, f>``; of a constant vector as a row that is applied to f."""
    if slope.op == "array" and len(slope.shape) == 1:
        return reader.one, reader.values((dot(slope, f),))[0]
    left, right = reader.values((slope, f))
    return left, right


# --- their parts -----------------------------------------------------------------


def _times(model: Model) -> Interval:
    return REAL if model.time is None else Interval(enclose(model.time.start)[0], enclose(model.time.end)[1])


def _reader(model: Model, time: Interval, *, rounded: bool = False) -> ValueReader:
    return ValueReader(Knowledge(model, time), sums_of(model), rounded=rounded)


def _solve(program: StepProgram, reader: ValueReader) -> None:
    """The unknowns of an implicit step, tied by their equations."""
    count = len(program.model.states)
    for group in program.solves:
        for unknown in group.unknowns:
            assert isinstance(unknown.data, int)
            number, state = divmod(unknown.data, count)
            reader.place(unknown, f"Y{number + 1}[{program.model.states[state].name}]")
    for group in program.solves:
        for unknown, value in zip(group.unknowns, reader.values(group.values), strict=True):
            reader.equations.append(combine((1, reader.of(unknown)), (-1, value)))


def _difference(reader: ValueReader, t: Term, moves: dict[Expr, Expr]) -> Products:
    """A term after the step minus the term before it."""
    scale, a, *b = substitute([e for e in (t.scale, t.a, t.b) if e is not None], moves)
    return [*_term(reader, Term(t.kind, scale, a, b[0] if b else None), 1), *_term(reader, t, -1)]


def _terms(scalar: Expr) -> tuple[Term, ...]:
    try:
        return terms(scalar)
    except TooManyTerms:
        raise NoRelation("the scalar has too many terms") from None


def _term(reader: ValueReader, t: Term, sign: int) -> Products:
    """A term as a product of two vectors."""
    if t.kind == "product":
        assert t.b is not None
        left, right = reader.values((t.a, t.b))
    elif t.kind == "potential":
        assert t.b is not None
        left, right = reader.one, reader.potential(t.a, t.b)
    else:
        left, (right,) = reader.one, reader.values((t.a,))
    scaled = reader.symbols.apply(reader.algebra.polynomial(t.scale), left)
    return [(combine((sign, scaled)), right)]


def _linear_part(t: Term) -> Term:
    """A product of two affine expressions without their constants."""
    assert t.b is not None
    return Term(t.kind, t.scale, _without_constants(t.a), _without_constants(t.b))


def _without_constants(e: Expr) -> Expr:
    """An affine expression minus its value where all states are zero."""
    zeros = {n: full(0, n.shape) for n in postorder(e) if n.op in ("state", "stage")}
    (at_zero,) = substitute((e,), zeros)
    return sub(e, at_zero) if tensor_degree(e) else full(0, e.shape)


def _reading(role: str, reader: ValueReader, products: Products, states: Sequence[Vector], lower: bool) -> Reading:
    for x, y in products:
        reader.balance(x, y)
    below = [(v, v) for v in (*states, reader.one)]
    settled = settle(reader, [*products, *below], {i for v in states for i, _ in v})
    top, bottom = _form(settled.products[: len(products)]), _form(settled.products[len(products) :])
    relations = _relevant(settled, {settled.basis[i].space for pair, _ in top for i in pair})
    problem = GramProblem(role, settled.basis, relations, top, bottom, lower)
    return Reading(problem, settled.recipes, settled.kept)


def _relevant(settled: Settled, spaces: set[int]) -> tuple[Relation, ...]:
    """The relations that speak of some spaces, or of others that relations tie to them."""
    touched = [
        (r, {settled.basis[i].space for _, vs in r.vectors for v in vs for i, _ in v}) for r in settled.relations
    ]
    for _ in range(len(touched)):
        wider = spaces.union(*(own for _, own in touched if own & spaces))
        if wider == spaces:
            break
        spaces = wider
    return tuple(r for r, own in touched if own & spaces)


def _form(products: Iterable[tuple[Vector, Vector]]) -> Form:
    found: dict[tuple[int, int], Fraction] = {}
    for x, y in products:
        inner(x, y, 1, found)
    return form(found)
