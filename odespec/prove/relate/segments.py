"""Gram problems for pieces of the way from what a claim moves, the free states or an input, to what it looks at."""

from __future__ import annotations

from functools import partial

from odespec.ir.expr import TIME, Expr, const, depends_on, leaf, leaves, substitute
from odespec.ir.model import Input, Model
from odespec.program.fields import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.relations import Reading, assemble, knowledge, smallest, stage_name
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Some ``steps`` in one problem, with the way to the initial values before (``start``), to the output behind (``end``).

    ``by``: the input that differs in the two runs, while what is free of the states does not; None: the states differ,
    all of them, or where the segment has the start the free ones. Of an input ``per step`` every entry that the segment
    reads differs, and the squared distance is the sum over them. Without a start and an end the segment may be anywhere.
    """

    start: bool
    steps: int
    end: bool
    by: str | None = None

    @property
    def name(self) -> str:
        """``start+1``, ``1``, ``1+output``, ``u:1``."""
        parts = ["start"] * self.start + ([str(self.steps)] if self.steps else []) + ["output"] * self.end
        return (f"{self.by}:" if self.by else "") + "+".join(parts)


def read_segment(program: StepProgram, segment: Segment, *, lower: bool = False) -> Reading:
    """The squared ratio of distances behind and before a segment. Raises `NoRelation`."""
    if program.memory and not segment.start:
        raise NoRelation("a multistep method carries more than its states")
    return smallest(partial(_read, program, segment, lower))


def _read(program: StepProgram, segment: Segment, lower: bool, plain: bool) -> Reading:
    walk = _Walk(program, segment, plain)
    now = walk.begin()
    for k in range(segment.steps):
        now = walk.step(k, now)
    final = walk.output(now) if segment.end else now
    reader = walk.reader
    moved = [(v, v) for v in walk.moved]
    return assemble("step", reader, [(x, x) for x in final], moved, lower=lower, steps=max(segment.steps, 1))


class _Walk:
    """One reader that goes along a segment. ``moved`` collects the differences that the claim is measured against."""

    def __init__(self, program: StepProgram, segment: Segment, plain: bool) -> None:
        self.program, self.segment = program, segment
        self.model = program.model
        self.reader = Reader(knowledge(program), plain=plain)
        self.states = state_leaves(self.model)
        self.input = next((u for u in self.model.inputs if u.name == segment.by), None)
        self.moved: list[Vector] = []
        self.past: dict[Expr, Vector] = {m.past: () for m in program.memory}

    def _inputs(self, step: int) -> dict[Expr, Vector]:
        """The difference of the input in a step."""
        if self.input is None:
            return {}
        if not self.moved or (self.input.per_step and len(self.moved) <= step):
            name = f"d[{self.input.name}]" + (f"[{step}]" if step else "")
            self.moved.append(self.reader.leaf(_leaf(self.input), name))
        return {_leaf(self.input): self.moved[step if self.input.per_step else 0]}

    def begin(self) -> list[Vector]:
        """The differences of all states at the start of the segment."""
        if not self.segment.start:
            if self.input is not None:
                return [() for _ in self.states]
            self.moved = [self.reader.leaf(s, f"e[{s.data}]") for s in self.states]
            return list(self.moved)
        found: dict[Expr, Vector] = {}
        for declared, s in zip(self.model.states, self.states, strict=True):
            if declared.initial is not None:
                found[s] = self._initial(declared.initial, found)
            elif self.input is None:
                found[s] = self.reader.leaf(s, f"e[{s.data}]")
                self.moved.append(found[s])
            else:
                found[s] = ()
        return list(found.values())

    def _initial(self, value: Expr, found: dict[Expr, Vector]) -> Vector:
        given = self._inputs(0) if self.input is not None and _reads(value, self.input) else {}
        self.reader.begin(0)
        self.reader.moving = dict(found) | given
        return self.reader.read(_at(self.program, (value,), 0))[0]

    def step(self, k: int, now: list[Vector]) -> list[Vector]:
        reader, program = self.reader, self.program
        solves, update = program.at(k) if self.segment.start else (program.solves, program.update)
        unknowns = tuple(u for s in solves for u in s.unknowns)
        roots = (*update, *(v for s in solves for v in s.values), *(m.after for m in program.memory))
        number = self._number(k)
        if number is not None:
            roots = _at(program, roots, number)
        reader.begin(k)
        mark = f"[{k}]" if k else ""
        named = {u: reader.leaf(u, stage_name(self.model, u) + mark) for u in unknowns}
        reader.moving = dict(zip(self.states, now, strict=True)) | named | self.past | self._inputs(k)
        found = reader.read(roots)
        count, last = len(update), len(update) + len(unknowns)
        for unknown, value in zip(unknowns, found[count:last], strict=True):
            reader.equations.append(combine((1, named[unknown]), (-1, value)))
        self.past = {m.past: v for m, v in zip(program.memory, found[last:], strict=True)}
        return list(found[:count])

    def _number(self, k: int) -> int | None:
        """Which step it is, where that is known: its time is a number then."""
        if self.segment.start:
            return k
        return self.program.steps - self.segment.steps + k if self.segment.end else None

    def output(self, now: list[Vector]) -> list[Vector]:
        """The output reads the final states and the time in the end, and nothing that is given for each step."""
        chosen = self.model.output
        if chosen is None:
            return now
        self.reader.begin(self.segment.steps)
        given = self._inputs(0) if self.input is not None and _reads(chosen[1], self.input) else {}
        self.reader.moving = dict(zip(self.states, now, strict=True)) | given
        return list(self.reader.read(_at(self.program, (chosen[1],), self.program.steps)))


def _at(program: StepProgram, roots: tuple[Expr, ...], k: int) -> tuple[Expr, ...]:
    """Expressions at the start of step k."""
    return substitute(roots, {TIME: const(program.start + program.h * k)})


def _leaf(declared: Input) -> Expr:
    return leaf("input", declared.name, declared.shape)


def _reads(e: Expr, declared: Input) -> bool:
    return ("input", declared.name) in leaves(e)


def start_depends(model: Model, by: str | None) -> bool:
    """Whether a given initial value reads what the claim moves: a free state, or the input."""
    if by is None:
        return any(s.initial is not None and depends_on(s.initial, "state") for s in model.states)
    return _reached(model, by)


def _reached(model: Model, by: str) -> bool:
    """Whether a given initial value reads the input, itself or through an earlier state."""
    moving: set[tuple[str, object]] = {("input", by)}
    for s in model.states:
        if s.initial is not None and leaves(s.initial) & moving:
            moving.add(("state", s.name))
    return len(moving) > 1
