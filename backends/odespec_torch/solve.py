"""The body of the solver's loop, and what stands before and after it."""

from __future__ import annotations

from dataclasses import dataclass, field

from odespec.ir.expr import TIME, Expr, leaf, postorder
from odespec.ir.model import Input, Model, State
from odespec.program.names import Names
from odespec.program.schedule import changing, invariant, slope_names
from odespec.program.step import StepProgram
from odespec.program.terms import ATOM, FULL, NONE, SOME, Term
from odespec.program.text import WIDTH, indent, quoted, shape_of
from odespec_torch.block import Block, number, simplify, worth
from odespec_torch.layout import broken, listed
from odespec_torch.support import names as helper_names

RESERVED = frozenset(
    (
        *("self", "torch", "math", "F", "Tensor", "Any", "Mapping", "Sequence"),
        *("weights", "batch", "saved", "shapes", "given", "near", "values", "dtype", "device"),
    )
)


@dataclass(slots=True)
class Scope:
    """The names of a method: its arguments by the names of the spec, and the terms of leaves."""

    names: Names
    arguments: dict[str, str] = field(default_factory=dict)
    terms: dict[Expr, Term] = field(default_factory=dict)


def scope(model: Model) -> Scope:
    """Arguments first, so that they keep their names."""
    found = Scope(Names(RESERVED | helper_names()))
    for s in model.states:
        found.arguments[s.name] = found.names.declare(s.name)
        found.terms[leaf("state", s.name, s.shape)] = Term(found.arguments[s.name], ATOM, FULL)
    for u in model.inputs:
        found.arguments[u.name] = found.names.declare(u.name)
        found.terms[leaf("input", u.name, u.shape)] = Term(found.arguments[u.name], ATOM, SOME)
    for p in model.params:
        found.arguments[p.name] = found.names.declare(p.name)
        found.terms[leaf("param", p.name, p.shape)] = Term(found.arguments[p.name], ATOM, NONE)
    return found


def arguments(model: Model) -> tuple[State | Input, ...]:
    """What `forward` takes, in order."""
    return (*model.free_states, *model.inputs)


def like(model: Model, where: Scope) -> str:
    """Keyword arguments that give a new tensor the type and device of the states."""
    source = where.arguments[arguments(model)[0].name] if arguments(model) else "self.like"
    return f"dtype={source}.dtype, device={source}.device"


def read_weights(model: Model, where: Scope, used: frozenset[str]) -> list[str]:
    """The used weights under their local names."""
    wanted = [p.name for p in model.params if p.name in used]
    return [f"{where.arguments[name]} = weights[{quoted(name)}]" for name in wanted]


def solve(program: StepProgram, arrays: dict[object, str]) -> list[str]:
    """The body of ``solve``: from the arguments to the final (or saved) states."""
    model, where = program.model, scope(program.model)
    text = like(model, where)
    used = frozenset(str(n.data) for n in postorder(*_roots(program)) if n.op == "param")
    lines = ["weights = self._effective() if weights is None else weights", *read_weights(model, where, used)]
    lines += _shapes(model, where)
    narrow = [not any(n.op == "state" for n in postorder(e)) for e in program.update]
    lines += _batch(model, where, any(narrow))
    lines += _initial(model, where, arrays, text)
    hints = slope_names(program)
    simple = simplify((*program.update, *hints))
    update, slopes = simple[: len(program.update)], simple[len(program.update) :]
    named = dict(zip(slopes, hints.values(), strict=True))
    before = Block(where.names, where.terms, arrays, text, {})
    before.keep(invariant(update, changing(model), worth))
    lines += [line for whole in before.lines for line in broken(whole)]
    return [*lines, *_loop(program, where, arrays, text, update, named), *_result(model, where)]


def _roots(program: StepProgram) -> tuple[Expr, ...]:
    """Everything that `solve` computes."""
    return (*program.update, *(s.initial for s in program.model.states if s.initial is not None))


def _shapes(model: Model, where: Scope) -> list[str]:
    return [
        f"_check_shape({quoted(a.name)}, {where.arguments[a.name]}, {shape_of(_own_shape(model, a))})"
        for a in arguments(model)
        if _own_shape(model, a)
    ]


def _own_shape(model: Model, a: State | Input) -> tuple[int, ...]:
    """The axes of an argument behind its batch axes."""
    per_step = isinstance(a, Input) and a.per_step
    steps = model.solver.steps
    assert isinstance(steps, int)
    return (steps, *a.shape) if per_step else a.shape


def _batch(model: Model, where: Scope, narrow: bool) -> list[str]:
    """States get the common batch axes of all arguments. ``narrow``: a step forgets the batch axes of a state."""
    given = arguments(model)
    if len(given) + len(model.states) - len(model.free_states) < 2 and not narrow:
        return []
    if not given:
        return ["batch: tuple[int, ...] = ()"]
    pairs = ", ".join(f"({where.arguments[a.name]}, {len(_own_shape(model, a))})" for a in given)
    return [f"batch = _batch_shape({pairs})"] + [
        f"{where.arguments[s.name]} = {_expanded(where.arguments[s.name], s)}" for s in model.free_states
    ]


def _expanded(text: str, state: State) -> str:
    # `expand()` without a size is an error: of a scalar state outside any batch there is none to unpack.
    sizes = ", ".join(["*batch", *map(str, state.shape)]) if state.shape else "batch"
    return f"{text}.expand({sizes})"


def _initial(model: Model, where: Scope, arrays: dict[object, str], text: str) -> list[str]:
    """States with a given initial value, in order: each may read those before it."""
    lines = []
    for s in model.states:
        if s.initial is None:
            continue
        block = Block(where.names, dict(where.terms), arrays, text, {})
        (value,) = block.add(simplify((s.initial,)))
        lines += [*block.lines, f"{where.arguments[s.name]} = {_expanded(_tensor(value, text), s)}"]
    return [line for whole in lines for line in broken(whole)]


def _loop(
    program: StepProgram,
    where: Scope,
    arrays: dict[object, str],
    text: str,
    update: tuple[Expr, ...],
    hints: dict[Expr, str],
) -> list[str]:
    model = program.model
    targets, sources = _stepped(model, where)
    lines = []
    if any(TIME in _leaves(e) for e in update):
        times, t = where.names.declare("times"), where.names.declare("t")
        start = "" if program.start == 0 else f"{number(program.start).text} + "
        lines.append(f"{times} = {start}{number(program.h).at(ATOM)} * torch.arange({program.steps}, {text})")
        where.terms[TIME] = Term(t)
        targets, sources = [t, *targets], [times, *sources]
    states = tuple(where.arguments[s.name] for s in model.states)
    block = Block(where.names, where.terms, arrays, text, hints)
    values = [
        v if v.batch == FULL else Term(_expanded(_tensor(v, text), s))
        for v, s in zip(block.add(update), model.states, strict=True)
    ]
    body = [line for whole in block.lines for line in broken(whole, 12)]
    body += _simultaneous(states, values, where.names)
    save = model.time.save if model.time is not None else None
    if save is None:
        return [*lines, *_head(targets, sources, program.steps), *indent(body)]
    stride = program.steps // (save - 1)
    count = where.names.declare("i")
    kept = f"({', '.join(states)},)" if len(states) == 1 else f"({', '.join(states)})"
    keep = [f"saved.append({kept})"]
    return [
        *lines,
        f"saved = [{kept}]",
        *_head(targets, sources, program.steps, count if stride > 1 else None),
        *indent(body),
        *indent([f"if {count} % {stride} == 0:", *indent(keep)] if stride > 1 else keep),
    ]


def _tensor(value: Term, like: str) -> str:
    """A value that may be a plain number as a tensor."""
    number = value.batch == NONE and value.text.lstrip("-")[:1].isdigit()
    return f"torch.tensor({value.text}, {like})" if number else value.at(ATOM)


def _simultaneous(states: tuple[str, ...], values: list[Term], names: Names) -> list[str]:
    """All states move at once."""
    line = f"{', '.join(states)} = {', '.join(v.text for v in values)}"
    if len(states) == 1 or len(line) + 12 <= WIDTH:
        return broken(line, 12)
    lines, moves = [], []
    for state, value in zip(states, values, strict=True):
        name = names.declare(f"next_{state}")
        lines += broken(f"{name} = {value.text}", 12)
        moves.append(f"{state} = {name}")
    return [*lines, *moves]


def _leaves(e: Expr) -> frozenset[Expr]:
    return frozenset(n for n in postorder(e) if not n.args)


def _stepped(model: Model, where: Scope) -> tuple[list[str], list[str]]:
    """The loop variables of data ``per step``, and the sequences they run over."""
    targets, sources = [], []
    for kind, given in (("param", model.params), ("input", model.inputs)):
        for x in given:
            if not x.per_step:
                continue
            whole = where.arguments[x.name]
            one = where.names.declare(f"{x.name}_k")
            axis = "" if kind == "param" else str(-len(x.shape) - 1)
            targets.append(one)
            sources.append(f"{whole}.unbind({axis})")
            where.terms[leaf(kind, x.name, x.shape)] = Term(one, ATOM, NONE if kind == "param" else SOME)
    return targets, sources


def _head(targets: list[str], sources: list[str], steps: int, count: str | None = None) -> list[str]:
    if not targets:
        return [f"for {count or '_'} in range({'1, ' + str(steps + 1) if count else steps}):"]
    several = len(targets) > 1
    variables = ", ".join(targets)
    if count is not None:
        variables = f"{count}, {f'({variables})' if several else variables}"
        source = f"zip({', '.join(sources)})" if several else sources[0]
        return listed(f"for {variables} in enumerate(", [source, "1"], "):")
    return listed(f"for {variables} in zip(", sources, "):") if several else [f"for {variables} in {sources[0]}:"]


def _result(model: Model, where: Scope) -> list[str]:
    states = [where.arguments[s.name] for s in model.states]
    if model.time is None or model.time.save is None:
        return [f"return ({states[0]},)"] if len(states) == 1 else listed("return (", states, ")")
    stacks = [f"torch.stack([s[{i}] for s in saved], {-len(s.shape) - 1})" for i, s in enumerate(model.states)]
    if len(stacks) == 1:
        return [f"return ({stacks[0]},)"]
    return listed("return (", stacks, ")")


def output(program: StepProgram, arrays: dict[object, str]) -> list[str]:
    """The body of ``forward``."""
    model, where = program.model, scope(program.model)
    given = ", ".join(where.arguments[a.name] for a in arguments(model))
    states = [where.arguments[s.name] for s in model.states]
    if model.output is None:
        return [f"return self.solve({given})" + ("[0]" if len(states) == 1 else "")]
    (root,) = simplify((model.output[1],))
    used = _leaves(root)
    read = frozenset(str(n.data) for n in used if n.op == "param")
    passed = f"{given}, weights=weights" if given else "weights=weights"
    lines = ["weights = self._effective()", *read_weights(model, where, read)]
    lines.append(f"{', '.join(states)}{',' if len(states) == 1 else ''} = self.solve({passed})")
    if model.time is not None and model.time.save is not None:
        lines += [
            f"{where.arguments[u.name]} = {where.arguments[u.name]}.unsqueeze({-len(u.shape) - 1})"
            for u in model.inputs
            if leaf("input", u.name, u.shape) in used
        ]
    block = Block(where.names, where.terms, arrays, like(model, where), {})
    (value,) = block.add((root,))
    return [line for whole in (*lines, *block.lines, f"return {value.text}") for line in broken(whole)]
