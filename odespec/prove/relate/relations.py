"""Gram problems from step programs and fields, read with the differences of two runs (see `odespec.prove.relate.rules`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import Real, enclose
from odespec.ir.expr import TIME, Expr, const, leaf, substitute
from odespec.ir.model import Model
from odespec.ir.ranges import REAL
from odespec.program.step import StepProgram
from odespec.prove.gram.expand import Terms, combine, expand, form, inner
from odespec.prove.gram.problem import BasisVector, Form, GramProblem, Relation, Vector
from odespec.prove.relate import stages
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation, TooLarge
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.recipes import Recipe
from odespec.records import dataclass

__all__ = [
    "NoRelation",
    "Reading",
    "Settled",
    "assemble",
    "flow_problem",
    "knowledge",
    "read_flow",
    "read_solvability",
    "read_step",
    "settle",
    "smallest",
    "solvability_problem",
    "stage_name",
    "step_problem",
]

ONE = Fraction(1)
MAX_BASIS = 60


@dataclass(frozen=True, slots=True)
class Reading:
    """A problem together with what its vectors stand for.

    ``recipes`` has one entry for each vector met on the way (they refer to earlier ones by number); ``basis[i]`` is the
    number of the problem's i-th basis vector among them.
    """

    problem: GramProblem
    recipes: tuple[Recipe, ...]
    basis: tuple[int, ...]


def step_problem(program: StepProgram, *, lower: bool, steps: int = 1, at: int | None = None) -> GramProblem:
    """The squared ratio of distances after and before a step (with ``steps``: that many steps in one problem).

    ``at``: the number of the first step, from zero; without it, the problem holds for any step. Raises `NoRelation`.
    """
    return read_step(program, lower=lower, steps=steps, at=at).problem


def flow_problem(model: Model, *, lower: bool) -> GramProblem:
    """The logarithmic norm: ``<e, f(e)>`` against ``<e, e>``. Raises `NoRelation`."""
    return read_flow(model, lower=lower).problem


def solvability_problem(program: StepProgram) -> GramProblem | None:
    """Stage vectors against the residuals of their equations; None where the step is explicit. Raises `NoRelation`.

    A finite tau says that the map from stages to residuals has a Lipschitz inverse on its image. Being continuous and
    injective between spaces of one dimension it is open, with a closed image: a bijection. The stages exist, uniquely.
    """
    reading = read_solvability(program)
    return None if reading is None else reading.problem


# --- reading ---------------------------------------------------------------------


def read_solvability(program: StepProgram) -> Reading | None:
    """As `solvability_problem`, with the recipes of its vectors."""
    return smallest(lambda p: _read_solvability(program, p), False) if program.solves else None


def _read_solvability(program: StepProgram, plain: bool) -> Reading:
    reader = Reader(knowledge(program), plain=plain)
    unknowns = [u for s in program.solves for u in s.unknowns]
    found = {u: reader.leaf(u, stage_name(program.model, u)) for u in unknowns}
    reader.moving = dict(found)
    values = reader.read(v for s in program.solves for v in s.values)
    residuals = [combine((1, found[u]), (-1, v)) for u, v in zip(unknowns, values, strict=True)]
    return assemble("solvability", reader, [(y, y) for y in found.values()], [(r, r) for r in residuals])


def read_step(
    program: StepProgram, *, lower: bool, steps: int = 1, at: int | None = None, plain: bool = False
) -> Reading:
    """As `step_problem`, with the recipes of its vectors.

    Operators are applied to basis vectors; where that makes too many, or with ``plain``, to whole vectors.
    """
    if program.memory:
        raise NoRelation("a multistep method remembers earlier steps: one step says nothing alone")
    return smallest(lambda p: _read_step(program, lower, steps, at, p), plain)


def smallest(read: Callable[[bool], Reading], plain: bool = False) -> Reading:
    """What is read with operators applied to basis vectors; where that makes too many, or with ``plain``, to whole ones."""
    if plain:
        return read(True)
    try:
        return read(False)
    except TooLarge:
        return read(True)


def _read_step(program: StepProgram, lower: bool, steps: int, at: int | None, plain: bool) -> Reading:
    states = _states(program.model)
    reader = Reader(knowledge(program), plain=plain)
    start = [reader.leaf(s, f"e[{s.data}]") for s in states]
    now = list(start)
    for k in range(steps):
        roots, values, unknowns = _at_step(program, None if at is None else at + k)
        reader.begin(k)
        named = {u: reader.leaf(u, stage_name(program.model, u) + (f"[{k}]" if k else "")) for u in unknowns}
        reader.moving = dict(zip(states, now, strict=True)) | named
        now = list(reader.read(roots))
        for unknown, value in zip(unknowns, reader.read(values), strict=True):
            reader.equations.append(combine((1, named[unknown]), (-1, value)))
    return assemble("step", reader, [(x, x) for x in now], [(e, e) for e in start], lower=lower, steps=steps)


def read_flow(model: Model, *, lower: bool) -> Reading:
    """As `flow_problem`, with the recipes of its vectors."""
    return smallest(lambda p: _read_flow(model, lower, p), False)


def _read_flow(model: Model, lower: bool, plain: bool) -> Reading:
    states = _states(model)
    time = REAL if model.time is None else Interval(_low(model.time.start), _high(model.time.end))
    reader = Reader(Knowledge(model, time), plain=plain)
    moving = {s: reader.leaf(s, f"e[{s.data}]") for s in states}
    reader.moving = dict(moving)
    pairs = list(zip(moving.values(), reader.read(model.field), strict=True))
    return assemble("flow", reader, pairs, [(e, e) for e in moving.values()], lower=lower)


def _at_step(program: StepProgram, at: int | None) -> tuple[tuple[Expr, ...], tuple[Expr, ...], tuple[Expr, ...]]:
    """The new states, the right-hand sides of the stages, the stages; with numbers for a time that is known."""
    values = tuple(v for s in program.solves for v in s.values)
    roots = (*program.update, *values)
    if at is not None:
        roots = substitute(roots, {TIME: const(program.start + program.h * at)})
    count = len(program.update)
    return roots[:count], roots[count:], tuple(u for s in program.solves for u in s.unknowns)


def _states(model: Model) -> tuple[Expr, ...]:
    return tuple(leaf("state", s.name, s.shape) for s in model.states)


def stage_name(model: Model, stage: Expr) -> str:
    """What an unknown of an implicit step is called: ``Y2[x]``."""
    assert isinstance(stage.data, int)
    number, state = divmod(stage.data, len(model.states))
    return f"Y{number + 1}[{model.states[state].name}]"


def knowledge(program: StepProgram) -> Knowledge:
    """What is known of the operators of a step, whichever it is, and of the states at its start."""
    last = program.start + program.h * (program.steps - 1)
    known = Knowledge(program.model, Interval(_low(program.start), _high(last)))
    for state, box in program.inside:
        known.intervals.assume(state, box)
    return known


def _low(value: Real) -> Fraction:
    return enclose(value)[0]


def _high(value: Real) -> Fraction:
    return enclose(value)[1]


# --- assembling ------------------------------------------------------------------

Products = Iterable[tuple[Vector, Vector]]


def assemble(
    role: str, reader: Reader, numerator: Products, denominator: Products, *, lower: bool = False, steps: int = 1
) -> Reading:
    """Use up the equations, drop what repeats, and number the vectors that are left."""
    top, bottom = list(numerator), list(denominator)
    states = {i for x, _ in bottom for i, _ in x} if role == "step" else set()
    settled = settle(reader, [*top, *bottom], states, steps)
    forms = [_form(settled.products[: len(top)]), _form(settled.products[len(top) :])]
    problem = GramProblem(role, settled.basis, settled.relations, forms[0], forms[1], lower)
    return Reading(problem, settled.recipes, settled.kept)


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of the vectors that are left when the equations are used up, and the products asked for in them.

    ``recipes`` and ``kept`` are as ``recipes`` and ``basis`` of `Reading`.
    """

    basis: tuple[BasisVector, ...]
    relations: tuple[Relation, ...]
    products: tuple[tuple[Vector, Vector], ...]
    recipes: tuple[Recipe, ...]
    kept: tuple[int, ...]


def settle(reader: Reader, products: Sequence[tuple[Vector, Vector]], first: set[int], steps: int = 1) -> Settled:
    """Everything that was read, over as few vectors as possible; those in ``first`` are best written by others.

    Raises `TooLarge`.
    """
    values = stages.eliminate(reader.symbols, reader.equations, first)
    products = [(stages.substitute(x, values), stages.substitute(y, values)) for x, y in products]
    relations = _distinct(_substituted(r, values) for r in reader.relations(steps))
    # a vector that cancels out of every form is in no problem
    forms = [_form([pair]) for pair in products]
    kept = sorted(_used(relations, *forms) | {i for x, y in products if x and y for v in (x, y) for i, _ in v})
    if len(kept) > MAX_BASIS:
        raise TooLarge(f"the step has {len(kept)} vectors, more than the engine takes on")
    number = {old: new for new, old in enumerate(kept)}
    relations = [_renumbered(r, number) for r in relations]
    moved = tuple((_renamed(x, number), _renamed(y, number)) for x, y in products)
    spaces = _spaces(len(kept), relations, [_moved(f, number) for f in forms])
    names = _names([reader.symbols.items[i].name for i in kept])
    basis = tuple(BasisVector(n, s) for n, s in zip(names, spaces, strict=True))
    return Settled(basis, tuple(relations), moved, tuple(s.recipe for s in reader.symbols.items), tuple(kept))


def _renamed(v: Vector, number: dict[int, int]) -> Vector:
    return tuple((number[i], c) for i, c in v)


def _form(products: Products) -> Form:
    terms: Terms = {}
    for x, y in products:
        inner(x, y, 1, terms)
    return form(terms)


def _substituted(r: Relation, values: dict[int, Vector]) -> Relation:
    vectors = tuple((name, tuple(stages.substitute(v, values) for v in vs)) for name, vs in r.vectors)
    if r.rule == "potential":  # its lists are no pairs
        return Relation(r.rule, vectors, r.numbers, r.why)
    return Relation(r.rule, tuple((n, vs) for n, vs in _without_repeats(vectors)), r.numbers, r.why)


def _without_repeats(vectors: tuple[tuple[str, tuple[Vector, ...]], ...]) -> Iterable[tuple[str, tuple[Vector, ...]]]:
    """Pairs ``(u, v)``, ``(p, q)`` that occur twice, or of zeros, are dropped."""
    for first, second in zip(vectors[::2], vectors[1::2], strict=True):
        pairs = [pair for pair in dict.fromkeys(zip(first[1], second[1], strict=True)) if any(pair)]
        yield first[0], tuple(u for u, _ in pairs)
        yield second[0], tuple(v for _, v in pairs)


def _distinct(relations: Iterable[Relation]) -> list[Relation]:
    """Each relation once, and none that says nothing."""
    found: dict[object, Relation] = {}
    for r in relations:
        if all(vs for _, vs in r.vectors) and expand(r):
            found.setdefault((r.rule, r.vectors, r.numbers), r)
    return list(found.values())


def _used(relations: list[Relation], *forms: Form) -> set[int]:
    used = {i for f in forms for pair, _ in f for i in pair}
    return used | {i for r in relations for _, vs in r.vectors for v in vs for i, _ in v}


def _renumbered(r: Relation, number: dict[int, int]) -> Relation:
    moved = tuple((n, tuple(tuple((number[i], c) for i, c in v) for v in vs)) for n, vs in r.vectors)
    return Relation(r.rule, moved, r.numbers, r.why)


def _moved(f: Form, number: dict[int, int]) -> Form:
    return tuple(((number[i], number[j]), c) for (i, j), c in f)


def _spaces(count: int, relations: list[Relation], forms: list[Form]) -> list[int]:
    """Vectors between which no inner product occurs, not even through others, belong to different spaces."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    everything = [*forms, *(f for r in relations for c in expand(r) for row in c.forms for f in row)]
    for i, j in {pair for f in everything for pair, _ in f}:
        parent[root(i)] = root(j)
    order = {r: k for k, r in enumerate(dict.fromkeys(root(i) for i in range(count)))}
    return [order[root(i)] for i in range(count)]


def _names(names: list[str]) -> list[str]:
    """Names made distinct by numbers."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return result
