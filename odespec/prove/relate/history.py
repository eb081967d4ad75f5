"""Multistep methods read with the differences of two runs: step after step in one problem, from the start on.

Each step has copies of its own of the weights that are given per step, also where what it computed is remembered.
"""

from __future__ import annotations

from odespec.ir.expr import TIME, Expr, const, substitute
from odespec.program.fields import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.relations import Reading, assemble, knowledge, smallest, stage_name
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Passed:
    """The differences of the free states at the start, those of all states after some steps, and what is remembered."""

    start: tuple[Vector, ...]
    states: tuple[Vector, ...]
    past: tuple[Vector, ...]


def passed(reader: Reader, program: StepProgram, steps: int) -> Passed:
    """Read the first ``steps`` steps; the equations of implicit ones are kept by the reader. Raises `NoRelation`."""
    leaves, places = state_leaves(program.model), tuple(m.past for m in program.memory)
    states = _start(reader, program)
    free = [s.initial is None for s in program.model.states]
    start = tuple(v for v, is_free in zip(states, free, strict=True) if is_free)
    past: tuple[Vector, ...] = tuple(() for _ in places)
    for k in range(steps):
        reader.begin(k)
        values, unknowns, rights, kept = _at(program, k)
        named = {u: reader.leaf(u, stage_name(program.model, u) + f"[{k}]") for u in unknowns}
        reader.moving = dict(zip(leaves + places, states + past, strict=True)) | named
        states, past, right = (reader.read(e) for e in (values, kept, rights))
        for unknown, value in zip(unknowns, right, strict=True):
            reader.equations.append(combine((1, named[unknown]), (-1, value)))
    return Passed(start, states, past)


def _start(reader: Reader, program: StepProgram) -> tuple[Vector, ...]:
    """The differences of all states at the start; given initial values may depend on those of free states."""
    reader.begin(0)
    found: dict[Expr, Vector] = {}
    for state, leaf in zip(program.model.states, state_leaves(program.model), strict=True):
        if state.initial is None:
            found[leaf] = reader.leaf(leaf, f"e[{leaf.data}]")
        else:
            reader.moving = dict(found)
            found[leaf] = reader.read(substitute([state.initial], {TIME: const(program.start)}))[0]
    return tuple(found.values())


def _at(program: StepProgram, k: int) -> tuple[tuple[Expr, ...], ...]:
    """At step k, with its time as a number: the new states, the unknowns, their right-hand sides, what is remembered."""
    solves, update = program.at(k)
    unknowns = tuple(u for s in solves for u in s.unknowns)
    rights = tuple(v for s in solves for v in s.values)
    kept = tuple(m.after for m in program.memory)
    time = {TIME: const(program.start + program.h * k)}
    return substitute(update, time), unknowns, substitute(rights, time), substitute(kept, time)


def read_whole(program: StepProgram, *, lower: bool) -> Reading:
    """The squared ratio of distances after all steps and at the start. Raises `NoRelation`."""
    return smallest(lambda plain: _read_whole(program, lower, plain))


def _read_whole(program: StepProgram, lower: bool, plain: bool) -> Reading:
    reader = Reader(knowledge(program), plain=plain)
    found = passed(reader, program, program.steps)
    after, before = ([(v, v) for v in vectors] for vectors in (found.states, found.start))
    return assemble("step", reader, after, before, lower=lower, steps=program.steps)
