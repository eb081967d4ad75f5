"""The search for a proof that a relation stays true: by which strategy, and together with which other relations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod

from odespec.activations import Interval
from odespec.exact import Undecided, enclose
from odespec.ir.expr import Expr, depends_on, leaves, postorder
from odespec.ir.intervals import magnitude
from odespec.ir.model import Claim, Model, Relation
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.invariant.cases import Case, NotShown, Setting, cases, rates, unique
from odespec.prove.invariant.polynomial import TooLarge, allow
from odespec.prove.invariant.reader import LARGEST, Strategy
from odespec.prove.invariant.rows import Operators
from odespec.prove.relate.bounds import Knowledge
from odespec.records import dataclass

OPERATIONS = 400_000
"""On terms of polynomials, that a proof may take."""


@dataclass(frozen=True, slots=True)
class EntryProof:
    """Cases that show that some relations stay true together; the first is the one that was asked for."""

    setting: Setting
    strategy: Strategy
    solve: bool
    cases: tuple[Case, ...]


def setting_of(program: StepProgram, relations: tuple[Relation, ...], flow: bool) -> Setting:
    model = program.model
    end = program.start + program.h * (program.steps - 1)
    if flow and model.time is not None:
        end = model.time.end
    span = Interval(enclose(program.start)[0], enclose(end)[1])
    knowledge = Knowledge(model, span)
    return Setting(program, Operators(model, knowledge), relations, flow)


def prove_entries(program: StepProgram, claim: Claim, flow: bool, operations: int = OPERATIONS) -> EntryProof | None:
    """A proof by entries; None where none is found with so many operations."""
    assert claim.relation is not None
    if per_step(program.model, claim.relation):
        return None
    for k, others in enumerate(((), companions(program.model, claim))):
        if others or k == 0:
            allow(operations)
            found = _together(program, (claim.relation, *others), flow)
            if found is not None:
                return found
    return None


FAMILIES = ("explicit", "adaptive", "multistep")
"""Methods whose steps add multiples of values of the whole field to a weighted mean of earlier states."""


def prove_rates(model: Model, claim: Claim) -> list[Case] | None:
    """A proof that a linear expression stays what it was, by any such method; None where none is found."""
    from odespec.solvers import get

    assert claim.relation is not None
    method = model.solver.name
    if model.discrete or model.time is None or get(method).family not in FAMILIES or model.noises:
        return None
    begin = dict(model.solver.options).get("start")
    if isinstance(begin, str) and get(begin).family not in FAMILIES:
        return None
    if per_step(model, claim.relation) or claim.relation.quantity != "entries":
        return None
    allow(OPERATIONS)
    length = model.time.end - model.time.start
    program = StepProgram(model, length, model.time.start, 1, (), state_leaves(model))
    setting = setting_of(program, (claim.relation,), True)
    for strategy, _ in strategies(setting):
        try:
            return rates(setting, strategy)
        except (NotShown, TooLarge, Undecided):
            continue
    return None


def prove_unique(program: StepProgram) -> tuple[Case, ...] | None:
    """A proof by entries that the equations of a step have exactly one solution; None where none is found."""
    setting = setting_of(program, (), False)
    allow(OPERATIONS)
    for spread in (True, False):
        try:
            return tuple(unique(setting, Strategy(spread, False)))
        except (NotShown, TooLarge, Undecided):
            continue
    return None


def _together(program: StepProgram, relations: tuple[Relation, ...], flow: bool) -> EntryProof | None:
    """Drop the companions that do not stay true, until the rest does or the first falls (Houdini)."""
    while True:
        setting = setting_of(program, relations, flow)
        failed: set[int] = set()
        for strategy, solve in strategies(setting):
            try:
                return EntryProof(setting, strategy, solve, tuple(cases(setting, strategy, solve)))
            except NotShown as reason:
                failed |= _culprit(str(reason))
            except (TooLarge, Undecided):
                continue
        losers = {k for k in failed if k > 0}
        if len(relations) == 1 or not losers:
            return None
        relations = tuple(r for k, r in enumerate(relations) if k not in losers)


def _culprit(reason: str) -> set[int]:
    """The number of the relation that was not shown."""
    _, _, rest = reason.partition(" of relation ")
    return {int(rest.split(",")[0])} if rest else set()


def strategies(setting: Setting) -> Iterator[tuple[Strategy, bool]]:
    """From the plainest on."""
    sizes = [prod(s.shape) for s in setting.model.states]
    fields = (*setting.program.update, *setting.model.field, *(r.operand for r in setting.relations))
    arrays = any(n.op == "array" for n in postorder(*fields))
    small = max(sizes, default=1) <= LARGEST // 4
    for explicit in (False, True) if arrays and small else (False,):
        for spread in (True, False):
            for slopes in (False, True):
                for solve in (True, False) if setting.program.solves and not setting.flow else (False,):
                    yield Strategy(spread, slopes, explicit), solve


def per_step(model: Model, relation: Relation) -> bool:
    """Whether a relation names data that differ from step to step, or the time."""
    copied = {x.name for xs in (model.params, model.inputs) for x in xs if x.per_step}
    ends = [e for e in (relation.operand, relation.lower, relation.upper) if isinstance(e, Expr)]
    return any(
        data in copied or op == "time" for e in ends for op, data in leaves(e) if op in ("param", "input", "time")
    )


# --- companions ----------------------------------------------------------------


def companions(model: Model, claim: Claim) -> tuple[Relation, ...]:
    """Relations on states that are true at every start: the domain, and claims that follow from it."""
    domains = [r for r in model.domains if depends_on(r.operand, "state") and not per_step(model, r)]
    claimed = [
        c.relation
        for c in model.claims
        if c.name == "invariant" and not c.negated and c.relation is not None and c.relation != claim.relation
    ]
    begun = [r for r in claimed if true_at_start(model, r) and not per_step(model, r)]
    return tuple(r for r in (*domains, *begun) if r.quantity == "entries")


def begun(model: Model, relation: Relation) -> bool:
    """Whether a relation is shown to be true at the start, where it speaks of given initial values alone.

    Otherwise its truth at the start is what the claim presupposes.
    """
    used = {data for op, data in leaves(relation.operand) if op == "state"}
    if any(s.initial is None for s in model.states if s.name in used):
        return True
    if any(op == "initial" for b in (relation.lower, relation.upper) if isinstance(b, Expr) for op, _ in leaves(b)):
        return True
    if relation.quantity == "entries":
        return true_at_start(model, relation)
    inside = _at_start(model, relation.operand)
    size = magnitude(inside)
    if size is None or not isinstance(relation.upper, Fraction) or relation.lower not in (None, Fraction(0)):
        return False
    return prod(relation.operand.shape) * size <= relation.upper


def true_at_start(model: Model, relation: Relation) -> bool:
    """Whether the domain, or a given initial value, makes a relation on a state true at the start."""
    if relation.quantity != "entries" or isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
        return False
    inside = _at_start(model, relation.operand)
    try:
        low = relation.lower is None or (inside.lower is not None and inside.lower >= enclose(relation.lower)[1])
        high = relation.upper is None or (inside.upper is not None and inside.upper <= enclose(relation.upper)[0])
    except Undecided:
        return False
    return low and high


def _at_start(model: Model, operand: Expr) -> Interval:
    """An enclosure of the entries of an expression at the start."""
    from odespec.ir.intervals import REAL, meet
    from odespec.ir.ranges import ranges
    from odespec.prove.relate.intervals import Intervals, lower, upper

    known = Intervals([r for r in (*model.constraints, *model.domains) if not depends_on(r.operand, "state")])
    found: dict[Expr, Interval] = {}
    for r in model.domains:
        if r.quantity == "entries" and r.operand.op == "state":
            found[r.operand] = meet(found.get(r.operand, REAL), Interval(lower(r.lower), upper(r.upper)))
    for s in model.states:
        if s.initial is not None:
            found[Expr("state", (), s.shape, s.name)] = known.of(s.initial)
    return ranges((operand,), found)[operand]
