"""Steps, flows and starts read with the probes of a quadratic form: what is known of them before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from odespec.activations import Interval
from odespec.exact import enclose
from odespec.ir.expr import Expr
from odespec.ir.model import Model
from odespec.ir.ranges import REAL
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import BasisVector, Relation, Vector
from odespec.prove.lyapunov.probes import Lift, Pair, Probe, candidates
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import Atom, Letter, NoRelation
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.recipes import Recipe, Solved
from odespec.prove.relate.relations import Settled, settle
from odespec.prove.relate.words import atom_text
from odespec.records import dataclass

ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Lifted:
    """What is known of the probes.

    ``role``: ``step`` (``after``: the probes after a step), ``flow`` (``after``: their derivatives by time), ``below``
    (``distance``: the differences of all states) or ``above`` (the same at the start, where only the free states
    differ). ``recipes`` and ``kept`` are as in `odespec.prove.relate.relations.Settled`. ``span``: how many steps lie
    between before and after.
    """

    role: str
    basis: tuple[BasisVector, ...]
    relations: tuple[Relation, ...]
    before: tuple[Vector, ...]
    after: tuple[Vector, ...]
    distance: tuple[Vector, ...]
    recipes: tuple[Recipe, ...]
    kept: tuple[int, ...]
    span: int = 1


def reader_of(program: StepProgram, flow: bool) -> Reader:
    model = program.model
    if flow:
        time = REAL if model.time is None else Interval(enclose(model.time.start)[0], enclose(model.time.end)[1])
    else:
        last = program.start + program.h * (program.steps - 1)
        time = Interval(enclose(program.start)[0], enclose(last)[1])
    return Reader(Knowledge(model, time))


def suggest(program: StepProgram, lift: Lift, flow: bool) -> tuple[Probe, ...]:
    """The probes that the step (or the field) suggests. Raises `NoRelation`."""
    reader, bases, _ = _started(program, lift, flow)
    _advanced(reader, program, lift, flow)
    return tuple(candidates(reader, [b[0][0] for b in bases], [s.shape for s in program.model.states]))


def read(
    program: StepProgram, role: str, lift: Lift, probes: Sequence[Probe], pairs: Sequence[Pair], span: int = 1
) -> Lifted:
    """What is known of the probes in a role; of ``step``, over so many steps. Raises `NoRelation`."""
    if role in ("step", "flow"):
        return _read_change(program, role, lift, probes, pairs, span)
    return _read_start(program, role, lift, probes, pairs)


def _read_change(
    program: StepProgram, role: str, lift: Lift, probes: Sequence[Probe], pairs: Sequence[Pair], span: int
) -> Lifted:
    flow = role == "flow"
    reader, bases, _ = _started(program, lift, flow)
    ends = _advanced(reader, program, lift, flow)
    for k in range(1, span):
        reader.begin(k)
        states = [e if a is None else reader.symbols.push(Letter(a), e) for e, a in zip(ends, lift, strict=True)]
        reader.moving = dict(zip(state_leaves(program.model), states, strict=True))
        ends = _advanced(reader, program, lift, flow)
    before = [p.of(reader, bases[p.state]) for p in probes]
    after = [p.of(reader, ends[p.state]) for p in probes]
    crossed = [(before, after), (after, before)] if flow else [(before, before), (after, after)]
    products = [(x[i], y[j]) for i, j in pairs for x, y in crossed]
    if flow:
        products += [(before[i], before[j]) for i, j in pairs]
    first = {i for b in bases for i, _ in b} if not flow else set()
    return _settled(role, reader, products, first, before, after, [], span)


def _read_start(program: StepProgram, role: str, lift: Lift, probes: Sequence[Probe], pairs: Sequence[Pair]) -> Lifted:
    """The probes of the differences at one moment; ``above``: at the start, as given by the differences of free states."""
    reader, bases, states = _started(program, lift, False)
    given = [s.initial is not None for s in program.model.states]
    if role == "above" and any(given):
        if any(a is not None for a in lift):
            raise NoRelation("a state with a given initial value is lifted")
        states = bases = _initial(reader, program.model, states)
    before = [p.of(reader, bases[p.state]) for p in probes]
    distance = [d for d, g in zip(states, given, strict=True) if role == "below" or not g]
    products = [(before[i], before[j]) for i, j in pairs]
    return _settled(role, reader, products, set(), before, [], distance)


def _settled(
    role: str,
    reader: Reader,
    products: list[tuple[Vector, Vector]],
    first: set[int],
    before: list[Vector],
    after: list[Vector],
    distance: list[Vector],
    span: int = 1,
) -> Lifted:
    singles = [*before, *after, *distance]
    own = [(v, v) for v in singles]
    found: Settled = settle(reader, [*own, *products], first, span)
    vectors = [x for x, _ in found.products[: len(own)]]
    m, n = len(before), len(before) + len(after)
    return Lifted(
        role,
        found.basis,
        found.relations,
        tuple(vectors[:m]),
        tuple(vectors[m:n]),
        tuple(vectors[n:]),
        found.recipes,
        found.kept,
        span,
    )


# --- bases -----------------------------------------------------------------------


def _started(program: StepProgram, lift: Lift, flow: bool) -> tuple[Reader, list[Vector], list[Vector]]:
    """A reader, the bases of the states and the differences of the states written by them."""
    model = program.model
    if program.memory and not flow:
        raise NoRelation("the step reads values of earlier steps")
    reader = reader_of(program, flow)
    leaves = state_leaves(model)
    made = [_base(reader, e, f"e[{e.data}]", atom) for e, atom in zip(leaves, lift, strict=True)]
    bases, states = [b for b, _ in made], [v for _, v in made]
    reader.moving = dict(zip(leaves, states, strict=True))
    return reader, bases, states


def _advanced(reader: Reader, program: StepProgram, lift: Lift, flow: bool) -> list[Vector]:
    """The bases after a step, or their derivatives by time."""
    if flow:
        return _based(reader, lift, reader.read(program.model.field))
    unknowns = [u for s in program.solves for u in s.unknowns]
    lifts = tuple(lift[k % len(lift)] for k in range(len(unknowns)))
    stages = [_base(reader, u, _stage(program.model, u), a) for u, a in zip(unknowns, lifts, strict=True)]
    reader.moving = reader.moving | {u: value for u, (_, value) in zip(unknowns, stages, strict=True)}
    ends = _based(reader, lift, reader.read(program.update))
    values = _based(reader, lifts, reader.read(v for s in program.solves for v in s.values))
    for (base, _), value in zip(stages, values, strict=True):
        reader.equations.append(combine((1, base), (-1, value)))
    return ends


def _base(reader: Reader, e: Expr, name: str, atom: Atom | None) -> tuple[Vector, Vector]:
    """A base for the difference of a leaf, and the difference written by it."""
    if atom is None:
        value = reader.leaf(e, name)
        return value, value
    base = reader.symbols.new(f"{atom_text(atom)}^-1 {name}", e.shape, Solved(atom, e, reader.step))
    return base, reader.symbols.push(Letter(atom), base)


def _based(reader: Reader, lift: Lift, values: Iterable[Vector]) -> list[Vector]:
    """The bases of differences."""
    return [v if a is None else _without(reader, Letter(a), v) for v, a in zip(values, lift, strict=True)]


def _stage(model: Model, stage: Expr) -> str:
    assert isinstance(stage.data, int)
    number, state = divmod(stage.data, len(model.states))
    return f"Y{number + 1}[{model.states[state].name}]"


def _without(reader: Reader, letter: Letter, v: Vector) -> Vector:
    """The vector of which v is the image under an operator, where every term has it in front. Raises `NoRelation`."""
    parts = []
    for i, c in v:
        above = reader.symbols.above(i, letter, False)
        if not above:
            raise NoRelation(f"`{reader.symbols.items[i].name}` is no image of the operator that a state is lifted by")
        parts.append((c, ((above[0], ONE),)))
    return combine(*parts)


def _initial(reader: Reader, model: Model, states: list[Vector]) -> list[Vector]:
    """The differences at the start: those of the free states, and what given initial values make of them."""
    known: dict[Expr, Vector] = {}
    result = []
    for state, leaf, difference in zip(model.states, state_leaves(model), states, strict=True):
        if state.initial is None:
            known[leaf] = difference
        else:
            reader.moving = dict(known)
            known[leaf] = reader.read([state.initial])[0]
        result.append(known[leaf])
    return result
