"""The functions ``apply`` and ``solve`` of one model: the steps as one scan."""

from __future__ import annotations

from collections.abc import Sequence

from odespec.ir.expr import Expr, Shape, leaf, leaves
from odespec.program.step import StepProgram
from odespec.program.terms import FULL, Term
from odespec.program.text import docstring, indent, pack, quoted, shape_of
from odespec_jax.block import simplify
from odespec_jax.scope import Scope, spread, unpack
from odespec_jax.steps import steps

DTYPE = "dtype = zero.dtype"


def functions(program: StepProgram, owner: str, reserved: frozenset[str], arrays: dict[object, str]) -> list[str]:
    """The lines of ``apply``, ``evaluate`` and ``solve``; constant arrays that they use are added to ``arrays``."""
    scope = Scope(program, reserved, arrays)
    body = [*_prepare(scope), *_start(scope), *steps(scope), *_result(scope)]
    if not any("dtype" in line for line in body if line != DTYPE):
        body.remove(DTYPE)
    weights = [f"{owner}.weights(params)", *scope.arguments]
    about = "The network at effective weights as `weights(params)` returns them; see `apply`."
    states = "The tuple of the final (or saved) states at effective weights; see `apply`."
    apply = [*docstring(["The network at raw parameters `params`.", "", *_documented(scope)])]
    apply += pack(f"return {owner}.evaluate(", weights, ")", 8)
    evaluate = [*docstring([about]), *_output(program, owner, reserved, arrays)]
    parts = [
        _function("apply", ["params", *scope.arguments], apply),
        _function("evaluate", ["weights", *scope.arguments], evaluate),
        _function("solve", ["weights", *scope.arguments], [*docstring([states]), *body]),
    ]
    return [*parts[0], "", *parts[1], "", *parts[2]]


def _function(name: str, arguments: Sequence[str], body: Sequence[str]) -> list[str]:
    return ["@staticmethod", *pack(f"def {name}(", arguments, "):", 4), *indent(body)]


def _documented(scope: Scope) -> list[str]:
    lines, model = [], scope.model
    for s, name in zip(model.free_states, scope.free, strict=True):
        lines.append(f"{name} [{_axes('...', s.shape)}]: the state at the start")
    for u, name in zip(model.inputs, scope.inputs, strict=True):
        lines.append(f"{name} [{_axes(f'..., {scope.program.steps}' if u.per_step else '...', u.shape)}]: an input")
    shared = ["Leading batch axes broadcast.", ""] if lines else []
    return [*lines, *shared, *_returned(scope)]


def _returned(scope: Scope) -> list[str]:
    model, lead = scope.model, f"..., {scope.save}" if scope.save else "..."
    kind = "saved" if scope.save else "final"
    if model.output is not None:
        return [f"Returns the output [{_axes(lead, model.output[1].shape)}]."]
    shapes = [f"[{_axes(lead, s.shape)}]" for s in model.states]
    if len(shapes) == 1:
        return [f"Returns the {kind} state {shapes[0]}."]
    return [
        f"Returns the {kind} states, a tuple:",
        *(f"    {n} {s}" for n, s in zip(scope.states, shapes, strict=True)),
    ]


def _axes(lead: str, shape: Shape) -> str:
    return ", ".join((lead, *map(str, shape)))


# --- before the steps ----------------------------------------------------------


def _prepare(scope: Scope) -> list[str]:
    """One dtype for everything, weights as locals, inputs per step with the steps in front."""
    steps = (scope.program.steps,)
    shapes = [s.shape for s in scope.model.free_states]
    shapes += [steps + u.shape if u.per_step else u.shape for u in scope.model.inputs]
    items = [f"({quoted(n)}, {n}, {shape_of(s)})" for n, s in zip(scope.arguments, shapes, strict=True)]
    lines = [*pack("zero, values = _arguments(", ["weights", *items], ")", 8), DTYPE]
    if scope.arguments:
        lines += unpack(scope.arguments, "values", 8)
    for p, name in zip(scope.model.params, scope.params, strict=True):
        lines.append(f"{name} = jnp.asarray(weights[{quoted(p.name)}], dtype)")
    for u, name in zip(scope.model.inputs, scope.inputs, strict=True):
        if u.per_step:
            lines.append(f"{name} = jnp.moveaxis({name}, -{len(u.shape) + 1}, 0)")
    return lines


def _start(scope: Scope) -> list[str]:
    """Every state with all batch axes, given ones from their expressions."""
    lines: list[str] = []
    known: dict[Expr, Term] = {}
    for s, name in zip(scope.model.states, scope.states, strict=True):
        value = Term(name)
        if s.initial is not None:
            block = scope.block(known=known)
            (value,) = block.add(simplify([s.initial]))
            lines += block.lines
        lines.append(f"{name} = {spread(value, s.shape)}")
        known[leaf("state", s.name, s.shape)] = Term(name, batch=FULL)
    return lines


# --- after the steps -----------------------------------------------------------


def _result(scope: Scope) -> list[str]:
    texts = []
    for name, s in zip(scope.states, scope.model.states, strict=True):
        texts.append(f"jnp.moveaxis({name}, 0, -{len(s.shape) + 1})" if scope.save else name)
    return pack("return (", [*texts[:-1], f"{texts[-1]}{',' * (len(texts) == 1)}"], ")", 8)


def _output(program: StepProgram, owner: str, reserved: frozenset[str], arrays: dict[object, str]) -> list[str]:
    """From the states to what the network returns."""
    scope = Scope(program, reserved, arrays)
    model = scope.model
    solved = pack(f"{owner}.solve(", ["weights", *scope.arguments], ")", 8)
    if model.output is None:
        return [f"return {solved[0]}", *solved[1:]] if len(scope.states) > 1 else _only(solved)
    first = [f"values = {solved[0]}", *solved[1:]]
    lines = [*first, *unpack(scope.states, "values", 8), f"dtype = {scope.states[0]}.dtype"]
    (root,) = simplify([model.output[1]])
    used = leaves(root)
    for p, name in zip(model.params, scope.params, strict=True):
        if ("param", p.name) in used:
            lines.append(f"{name} = jnp.asarray(weights[{quoted(p.name)}], dtype)")
    for u, name in zip(model.inputs, scope.inputs, strict=True):
        if ("input", u.name) in used:
            value = f"jnp.asarray({name}, dtype)"
            lines.append(f"{name} = {f'jnp.expand_dims({value}, -{len(u.shape) + 1})' if scope.save else value}")
    block = scope.block(states=scope.state_terms())
    (term,) = block.add([root])
    return [*lines, *block.lines, f"return {_whole(scope, term, root.shape)}"]


def _only(solved: list[str]) -> list[str]:
    return [f"return {solved[0]}", *solved[1:-1], f"{solved[-1]}[0]"] if len(solved) > 1 else [f"return {solved[0]}[0]"]


def _whole(scope: Scope, term: Term, shape: Shape) -> str:
    """An output that reads no state still has all batch axes."""
    if term.batch == FULL:
        return term.text
    state, own = scope.states[0], len(scope.model.states[0].shape)
    lead = f"*{state}.shape[: {state}.ndim - {own}]" if own else f"*{state}.shape"
    axes = ", ".join((lead, *map(str, shape)))
    return f"jnp.broadcast_to(jnp.asarray({term.text}, dtype), ({axes}{',' * (not shape)}))"
