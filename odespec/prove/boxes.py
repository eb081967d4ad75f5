"""Boxes in which the states are at the start of every step: the domain, where it is kept or there is one step only."""

from __future__ import annotations

from dataclasses import replace

from odespec.activations import Interval
from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Model, Relation, Spec
from odespec.ir.ranges import REAL, meet
from odespec.program.step import StepProgram
from odespec.prove.relate.intervals import lower, upper
from odespec.prove.verdict import Options, Task
from odespec.source import Span

Boxes = dict[Expr, Interval]


def boxes(spec: Spec, program: StepProgram, flow: bool) -> Boxes:
    """An enclosure of each state that the domain bounds, if it holds at the start of every step; none for a flow."""
    model = program.model
    found: Boxes = {}
    if flow or program.solves or program.memory:
        return found
    for relation in model.domains:
        inside = _box(relation)
        if inside is not None and (program.steps == 1 or _kept(spec, model, relation)):
            found[relation.operand] = meet(found.get(relation.operand, REAL), inside)
    return found


def boxed(spec: Spec, program: StepProgram) -> StepProgram:
    """The program with the boxes of its states, if the domain gives any."""
    found = boxes(spec, program, False) if program.model.domains else {}
    return replace(program, inside=tuple(found.items())) if found else program


def _box(relation: Relation) -> Interval | None:
    """Bounds of every entry of a free state."""
    ends = Interval(lower(relation.lower), upper(relation.upper))
    if relation.operand.op != "state" or isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
        return None
    if relation.quantity == "norm" and ends.upper is not None:
        return Interval(-ends.upper, ends.upper)
    return ends if relation.quantity == "entries" else None


def _written(span: Span) -> str:
    """The relation as it stands in the spec."""
    return " ".join(span.source.text[span.start : span.end].split()).removeprefix("domain ")


def _kept(spec: Spec, model: Model, relation: Relation) -> bool:
    """Whether the relation is a proved invariant of the step: the spec is asked one claim more."""
    from odespec.prove.engines.invariant import decide

    span = relation.span
    claim = Claim("invariant", False, f"invariant {_written(span)}", span, relation=relation)
    first, *others = spec.files
    asked = replace(spec, files=(replace(first, text=f"{first.text}\nclaim {claim.text}\n"), *others))
    verdict = decide(Task(asked, replace(model, claims=(claim,)), claim, Options(refute=False), None))
    return verdict.verdict == "proved"
