"""The readings of a step, or of a field, in which quadratic forms are sought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from odespec.ir.expr import depends_on
from odespec.program.step import StepProgram
from odespec.prove.lyapunov.probes import Lift, Pair, Probe, pairs
from odespec.prove.lyapunov.reading import Lifted, read, reader_of, suggest
from odespec.prove.relate.operators import Atom, NoRelation
from odespec.prove.relate.reader import Reader
from odespec.prove.sides import Horizon
from odespec.records import dataclass

MAX_LIFTS = 4
MAX_SPAN, MAX_KNOWN_SPAN, MAX_SPAN_BASIS = 4, 64, 16
"""How many steps are read in one problem: of a map that is all known more; of a step with more vectors none."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A step program (or its field) read for forms over some probes. ``change`` is the step, or the flow."""

    program: StepProgram
    flow: bool
    lift: Lift
    probes: tuple[Probe, ...]
    pairs: tuple[Pair, ...]
    change: Lifted
    below: Lifted
    above: Lifted

    def horizon(self, whole: Horizon) -> Horizon:
        """The horizon counted in changes: in spans of steps."""
        return whole if self.flow else replace(whole, steps=whole.steps // self.change.span)


def setting(
    program: StepProgram,
    flow: bool,
    lift: Lift,
    probes: Sequence[Probe],
    chosen: Sequence[Pair] | None = None,
    span: int = 1,
) -> Setting:
    """Raises `NoRelation`."""
    some = tuple(pairs(reader_of(program, flow).algebra, probes) if chosen is None else chosen)
    change = read(program, "flow" if flow else "step", lift, probes, some, span)
    below, above = (read(program, role, lift, probes, some) for role in ("below", "above"))
    return Setting(program, flow, lift, tuple(probes), some, change, below, above)


def settings(program: StepProgram, flow: bool, *, weights: bool = False) -> Iterator[Setting]:
    """The readings to search in, the plain one first; ``weights``: for forms that depend on weights only, not on inputs.

    Raises `NoRelation` where not even the plain one is known.
    """
    plain: Lift = (None,) * len(program.model.states)

    def suggested(lift: Lift) -> list[Probe]:
        return [p for p in suggest(program, lift, flow) if not (weights and reads_inputs([*p.atoms, *lift]))]

    first = setting(program, flow, plain, suggested(plain))
    yield first
    for span in spans(first):
        try:
            yield setting(program, flow, plain, first.probes, first.pairs, span)
        except NoRelation:
            break
    for lift in _lifts(program, flow):
        try:
            probes = suggested(lift)
            if probes:
                yield setting(program, flow, lift, probes)
        except NoRelation:
            continue


def reads_inputs(atoms: Iterable[Atom | None]) -> bool:
    return any(a is not None and a.expr is not None and depends_on(a.expr, "input") for a in atoms)


def spans(found: Setting) -> list[int]:
    """Numbers of steps that divide all steps, to be read in one problem; of a map that is all known, many."""
    steps = found.program.steps
    if found.flow or len(found.change.basis) > MAX_SPAN_BASIS:
        return []
    most = MAX_KNOWN_SPAN if not found.change.relations else MAX_SPAN
    return [
        k
        for k in sorted({MAX_SPAN, 2, max(d for d in range(1, most + 1) if steps % d == 0)})
        if k > 1 and steps % k == 0
    ]


def _lifts(program: StepProgram, flow: bool) -> list[Lift]:
    """States lifted by an operator that all weights leave invertible: each alone, and all of them."""
    reader = reader_of(program, flow)
    reader.moving = {}
    shapes = [s.shape for s in program.model.states]
    found: list[Lift] = []
    for atom in _invertible(reader, program, flow):
        fits = [atom.ins == shape[: len(atom.ins)] for shape in shapes]
        choices = [fits, *([k == s and f for k, f in enumerate(fits)] for s in range(len(shapes)))]
        found += [tuple(atom if c else None for c in choice) for choice in choices if any(choice)]
    return list(dict.fromkeys(found))[:MAX_LIFTS]


def _invertible(reader: Reader, program: StepProgram, flow: bool) -> list[Atom]:
    plain: Lift = (None,) * len(program.model.states)
    atoms = dict.fromkeys(x.atom for p in suggest(program, plain, flow) for x in (*p.first, *p.last))
    return [a for a in atoms if a.kind == "matrix" and a.outs == a.ins and invertible(reader, a)]


def invertible(reader: Reader, atom: Atom) -> bool:
    """Whether a square operator has an inverse for all weights that are allowed."""
    facts = reader.knowledge.facts(atom)
    definite = (facts.low is not None and facts.low > 0) or (facts.high is not None and facts.high < 0)
    return definite or facts.floor2 > 0 or facts.cofloor2 > 0
