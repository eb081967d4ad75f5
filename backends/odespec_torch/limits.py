"""What this back end cannot emit."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from odespec.activations import ACTIVATIONS
from odespec.backends import Unsupported
from odespec.exact import Irrational, Real
from odespec.ir.expr import TIME, Expr, leaf, postorder
from odespec.ir.model import Model
from odespec.program.enforce import plan, unenforced
from odespec.program.floats import fits
from odespec.program.step import StepProgram
from odespec_torch.block import is_operator
from odespec_torch.operators import LEAVES, WRITERS

MISSING = {
    "noise": "noise",
    "graph": "a graph",
    "laplacian": "the Laplacian of a graph",
    "adjacency": "the adjacency matrix of a graph",
    "incidence": "the incidence matrix of a graph",
    "opnorm": "the operator norm of a varying matrix in a field",
    "stage": "an implicit solver",
}


def unsupported(program: StepProgram) -> tuple[Unsupported, ...]:
    """Everything of a program that this back end cannot emit or enforce."""
    return tuple(dict.fromkeys(_found(program)))


def _found(program: StepProgram) -> Iterator[Unsupported]:
    model = program.model
    yield from (Unsupported(u.span, u.what) for u in unenforced(model))
    if program.solves:
        yield Unsupported(model.solver.span, f"the implicit solver `{model.solver.name}`")
    if model.noises:
        yield Unsupported(model.noises[0].span, "noise")
    if model.graphs:
        yield Unsupported(model.graphs[0].span, "graphs")
    if not (fits(program.h) and fits(program.start)):
        yield Unsupported(model.solver.span, "times beyond the range of floating-point numbers")
    for state, update in zip(model.states, program.update, strict=True):
        yield from (Unsupported(state.span, what) for what in _expression(update))
        if state.initial is not None:
            yield from (Unsupported(state.span, what) for what in _expression(state.initial))
    if model.output is not None:
        yield from (Unsupported(model.span, what) for what in _output(model, model.output[1]))
    if any(n is not None and not fits(n) for p in plan(model) for s in p.steps for n in s.numbers):
        yield Unsupported(model.span, "constraints beyond the range of floating-point numbers")


def _expression(root: Expr) -> Iterator[str]:
    for node in postorder(root):
        if node.op == "stage":
            continue
        if node.op in MISSING:
            yield MISSING[node.op]
        elif node.op not in WRITERS and node.op not in LEAVES:
            yield f"the operation `{node.op}`"
        elif node.op == "bound" and (len(node.args[0].shape) > 2 or node.data not in (None, 2)):
            yield "a norm in a field other than the 2-norm of a matrix or vector"
        elif node.op == "apply" and not is_operator(node.args[0]):
            yield "a combination of operators"
        elif node.op == "act" and node.data[0] not in ACTIVATIONS:  # type: ignore[index]
            yield f"the activation `{node.data[0]}`"  # type: ignore[index]
        elif any(not fits(n) for n in _numbers(node)):
            yield "numbers beyond the range of floating-point numbers"


def _numbers(node: Expr) -> Iterator[Real]:
    """The numbers of a node."""
    pending = [node.data]
    while pending:
        x = pending.pop()
        if isinstance(x, tuple):
            pending.extend(x)
        elif isinstance(x, Fraction | Irrational):
            yield x


def _output(model: Model, root: Expr) -> Iterator[str]:
    yield from _expression(root)
    per_step = {leaf("param", p.name, p.shape) for p in model.params if p.per_step}
    per_step |= {leaf("input", u.name, u.shape) for u in model.inputs if u.per_step}
    if any(n == TIME or n in per_step for n in postorder(root)):
        yield "an output that reads the time or data `per step`"
