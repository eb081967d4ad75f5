"""What a JAX file cannot hold, found before anything is printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from odespec.activations import ACTIVATIONS
from odespec.backends import Unsupported
from odespec.exact import Irrational, Real
from odespec.ir.expr import Expr, postorder
from odespec.program.enforce import plan, unenforced
from odespec.program.floats import fits
from odespec.program.step import StepProgram
from odespec.source import Span
from odespec_jax.block import is_operator, simplify
from odespec_jax.operators import WRITERS

LEAVES = frozenset(("stage", "noise", "const", "array", "eye", "full", "time", "state", "param", "input"))
STEPPED = "that reads something `per step`"


def unsupported(program: StepProgram) -> tuple[Unsupported, ...]:
    """What stands in the way of emitting a program; empty where printing it will succeed."""
    found = [*_parts(program), *_expressions(program)]
    found += [Unsupported(u.span, u.what) for u in unenforced(program.model)]
    return tuple(dict.fromkeys(found))


def _parts(program: StepProgram) -> Iterator[Unsupported]:
    """Whole statements that there is no code for."""
    model = program.model
    if not (fits(program.h) and fits(program.start)):
        yield Unsupported(model.solver.span, "times that are larger than every float64")
    if any(n is not None and not fits(n) for p in plan(model) for s in p.steps for n in s.numbers):
        yield Unsupported(model.span, "a constraint larger than every float64")
    if program.solves:
        yield Unsupported(model.solver.span, f"the implicit stages of `{model.solver.name}`")
    for noise in model.noises:
        yield Unsupported(noise.span, f"the noise `{noise.name}`")
    for graph in model.graphs:
        yield Unsupported(graph.span, f"the graph `{graph.name}`")
    save = model.time.save if model.time is not None else None
    if save is not None and (save < 2 or program.steps % (save - 1)):
        yield Unsupported(model.solver.span, f"{save} saved times with {program.steps} steps")


def _expressions(program: StepProgram) -> Iterator[Unsupported]:
    model = program.model
    yield from _operations(program.update, model.span)
    per_step = {("param", p.name) for p in model.params if p.per_step}
    per_step |= {("input", u.name) for u in model.inputs if u.per_step}
    outside = [(s.span, s.initial, f"an initial value of `{s.name}`") for s in model.states if s.initial is not None]
    if model.output is not None:
        outside.append((model.span, model.output[1], f"an output `{model.output[0]}`"))
    for span, e, what in outside:
        yield from _operations([e], span)
        if any((n.op, n.data) in per_step for n in postorder(e) if not n.args):
            yield Unsupported(span, f"{what} {STEPPED}")
        if _reads_time(e):
            yield Unsupported(span, f"{what} that reads the time")


def _reads_time(e: Expr) -> bool:
    return any(n.op == "time" for n in postorder(e))


def _operations(roots: Iterable[Expr], span: Span) -> Iterator[Unsupported]:
    roots = simplify(roots)
    for node in postorder(*roots):
        what = _missing(node)
        if what:
            yield Unsupported(span, what)
    if any(is_operator(root) for root in roots):
        yield Unsupported(span, "a convolution that is applied to nothing")


def _missing(node: Expr) -> str | None:
    """What of a node there is no code for; `_parts` speaks of stages and noise."""
    if not node.args and node.op not in LEAVES:
        return f"`{node.op}`"
    if node.args and node.op not in WRITERS:
        return f"the operation `{node.op}`"
    if node.op == "act" and node.data[0] not in ACTIVATIONS:  # type: ignore[index]
        return f"the function `{node.data[0]}`"  # type: ignore[index]
    if not all(fits(number) for number in _numbers(node)):
        return "a number that is larger than every float64"
    operators = [a for a in node.args if is_operator(a)]
    if node.op == "apply":
        return _apply_gap(node)
    if operators and not (node.op == "transpose" and node.args[0].op == "conv"):
        return f"a convolution inside `{node.op}`"
    if node.op == "matmul" and any(len(a.shape) > 9 for a in node.args):
        return "a product of tensors with more than nine axes"
    if node.op == "bound" and (len(node.args[0].shape) != 2 or node.data not in (None, 2)):
        return "the norm of this operator in a field"
    return None


def _apply_gap(node: Expr) -> str | None:
    operator = node.args[0]
    if not is_operator(operator):
        return "a sum or product of convolutions as one operator"
    kernel = operator.args[0].args[0] if operator.op == "transpose" else operator.args[0]
    if any(n.op in ("state", "input") for n in postorder(kernel)):
        return "a convolution whose kernel depends on states or inputs"
    if len(kernel.shape) > 5:
        return "a convolution over more than three axes"
    return None


def _numbers(node: Expr) -> Iterator[Real]:
    """The numbers in the data of a node."""
    pending = [node.data] if node.op in ("const", "full", "array", "act", "layernorm") else []
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            pending.extend(value)
        elif isinstance(value, Fraction | Irrational):
            yield value
