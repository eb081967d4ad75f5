"""Quadratic forms over the states and what is remembered of earlier steps.

The steps after the first ones are a one-step map of states and memory (`odespec.program.lifted`). A form of both that no
such step lets grow, that is bounded by the distance of the initial states once the first steps are done, and that bounds
the distance of the states, bounds the growth over all steps: the G-norms of multistep methods (Dahlquist 1978) are such.
"""

from __future__ import annotations

from collections.abc import Sequence

from odespec.program.fields import state_leaves
from odespec.program.lifted import lifted
from odespec.program.step import StepProgram
from odespec.prove.gram.problem import Vector
from odespec.prove.lyapunov.probes import Lift, Pair, Probe, base_names, pairs
from odespec.prove.lyapunov.reading import Lifted, read, reader_of, suggest
from odespec.prove.lyapunov.settings import Setting
from odespec.prove.relate.history import passed
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.relations import knowledge, settle


def setting(program: StepProgram) -> Setting:
    """The steps of a multistep method read for forms. Raises `NoRelation`."""
    whole = lifted(program)
    plain: Lift = (None,) * len(whole.model.states)
    probes = suggest(whole, plain, False)
    some = tuple(pairs(reader_of(whole, False).algebra, probes))
    parts = [read_part(program, role, probes, some) for role in ("step", "below", "above")]
    return Setting(whole, False, plain, probes, some, *parts)


def read_part(program: StepProgram, role: str, probes: Sequence[Probe], some: Sequence[Pair]) -> Lifted:
    """What is known of the probes over a step, at one moment, or once the first steps are done. Raises `NoRelation`."""
    whole = lifted(program)
    if role == "step":
        return read(whole, "step", (None,) * len(whole.model.states), probes, some)
    if role == "below":
        reader = reader_of(whole, False)
        bases = [reader.leaf(s, f"e[{s.data}]") for s in state_leaves(whole.model)]
        return _at_once(role, reader, bases, bases[: len(program.model.states)], probes, some)
    assert program.begin is not None
    reader = Reader(knowledge(program))
    found = passed(reader, program, program.begin.steps)
    return _at_once(role, reader, [*found.states, *found.past], found.start, probes, some, program.begin.steps)


def _at_once(
    role: str,
    reader: Reader,
    bases: Sequence[Vector],
    distance: Sequence[Vector],
    probes: Sequence[Probe],
    some: Sequence[Pair],
    steps: int = 1,
) -> Lifted:
    """The probes of some differences, and a distance that they are compared with."""
    before = [p.of(reader, bases[p.state]) for p in probes]
    own = [(v, v) for v in (*before, *distance)]
    found = settle(reader, [*own, *((before[i], before[j]) for i, j in some)], set(), steps)
    vectors = [x for x, _ in found.products[: len(own)]]
    count = len(before)
    return Lifted(
        role,
        found.basis,
        found.relations,
        tuple(vectors[:count]),
        (),
        tuple(vectors[count:]),
        found.recipes,
        found.kept,
    )


def names(found: Setting) -> tuple[str, ...]:
    """How each probe is called in a certificate."""
    bases = base_names([s.name for s in found.program.model.states], found.lift)
    return tuple(p.name(bases) for p in found.probes)
