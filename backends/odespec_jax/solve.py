"""The functions ``apply`` and ``solve`` of one model: the steps as one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from odespec.ir.expr import TIME, Expr, Shape, leaf, leaves
from odespec.program.names import Names
from odespec.program.schedule import changing, invariant, slope_names
from odespec.program.step import StepProgram
from odespec.program.terms import FULL, SOME, SUM, Term, literal, product, total
from odespec.program.text import WIDTH, docstring, indent, pack, quoted, shape_of, tuple_of
from odespec_jax.block import Block, simplify, worth

LOCAL = frozenset(
    (
        *("jax", "jnp", "np", "math", "init", "weights", "load_weights", "apply", "evaluate", "solve", "MODELS"),
        *("dtype", "zero", "values", "step", "segment", "carry", "xs", "saved", "params", "mapping", "key"),
    )
)


DTYPE = "dtype = zero.dtype"


class _Scope:
    """The names of one function, and the terms of what a spec declares."""

    def __init__(self, program: StepProgram, reserved: frozenset[str], arrays: dict[object, str]) -> None:
        self.program = replace(program, update=simplify(program.update))
        self.model, self.arrays = program.model, arrays
        self.hints = slope_names(self.program)
        self.names = Names(LOCAL | reserved)
        self.states = [self.names.declare(s.name) for s in self.model.states]
        self.inputs = [self.names.declare(u.name) for u in self.model.inputs]
        self.params = [self.names.declare(p.name) for p in self.model.params]
        self.time = self.names.declare("t")
        self.known: dict[Expr, Term] = {}
        for p, name in zip(self.model.params, self.params, strict=True):
            self.known[leaf("param", p.name, p.shape)] = Term(name)
        for u, name in zip(self.model.inputs, self.inputs, strict=True):
            self.known[leaf("input", u.name, u.shape)] = Term(name, batch=SOME)
        self.free = [n for s, n in zip(self.model.states, self.states, strict=True) if s.initial is None]

    @property
    def arguments(self) -> list[str]:
        return self.free + self.inputs

    @property
    def save(self) -> int | None:
        return self.model.time.save if self.model.time is not None else None

    def state_terms(self) -> dict[Expr, Term]:
        return {
            leaf("state", s.name, s.shape): Term(name, batch=FULL)
            for s, name in zip(self.model.states, self.states, strict=True)
        }

    def block(self, **more: dict[Expr, Term]) -> Block:
        """An empty block that knows weights and inputs, and more."""
        terms = dict(self.known)
        for extra in more.values():
            terms |= extra
        return Block(self.names, terms, self.arrays, self.hints)


def functions(program: StepProgram, owner: str, reserved: frozenset[str], arrays: dict[object, str]) -> list[str]:
    """The lines of ``apply``, ``evaluate`` and ``solve``; constant arrays that they use are added to ``arrays``."""
    scope = _Scope(program, reserved, arrays)
    body = [*_prepare(scope), *_start(scope), *_steps(scope), *_result(scope)]
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


def _documented(scope: _Scope) -> list[str]:
    lines, model = [], scope.model
    for s, name in zip(model.free_states, scope.free, strict=True):
        lines.append(f"{name} [{_axes('...', s.shape)}]: the state at the start")
    for u, name in zip(model.inputs, scope.inputs, strict=True):
        lines.append(f"{name} [{_axes(f'..., {scope.program.steps}' if u.per_step else '...', u.shape)}]: an input")
    shared = ["Leading batch axes broadcast.", ""] if lines else []
    return [*lines, *shared, *_returned(scope)]


def _returned(scope: _Scope) -> list[str]:
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


def _prepare(scope: _Scope) -> list[str]:
    """One dtype for everything, weights as locals, inputs per step with the steps in front."""
    steps = (scope.program.steps,)
    shapes = [s.shape for s in scope.model.free_states]
    shapes += [steps + u.shape if u.per_step else u.shape for u in scope.model.inputs]
    items = [f"({quoted(n)}, {n}, {shape_of(s)})" for n, s in zip(scope.arguments, shapes, strict=True)]
    lines = [*pack("zero, values = _arguments(", ["weights", *items], ")", 8), DTYPE]
    if scope.arguments:
        lines += _unpack(scope.arguments, "values", 8)
    for p, name in zip(scope.model.params, scope.params, strict=True):
        lines.append(f"{name} = jnp.asarray(weights[{quoted(p.name)}], dtype)")
    for u, name in zip(scope.model.inputs, scope.inputs, strict=True):
        if u.per_step:
            lines.append(f"{name} = jnp.moveaxis({name}, -{len(u.shape) + 1}, 0)")
    return lines


def _start(scope: _Scope) -> list[str]:
    """Every state with all batch axes, given ones from their expressions."""
    lines: list[str] = []
    known: dict[Expr, Term] = {}
    for s, name in zip(scope.model.states, scope.states, strict=True):
        value = Term(name)
        if s.initial is not None:
            block = scope.block(known=known)
            (value,) = block.add(simplify([s.initial]))
            lines += block.lines
        lines.append(f"{name} = {_spread(value, s.shape)}")
        known[leaf("state", s.name, s.shape)] = Term(name, batch=FULL)
    return lines


def _spread(value: Term, shape: Shape) -> str:
    """A value with all batch axes: ``zero`` is zeros of the batch's shape."""
    spread = f"zero[..., {', '.join(['None'] * len(shape))}]" if shape else "zero"
    return f"{value.at(SUM)} + {spread}"


# --- the steps -----------------------------------------------------------------


def _steps(scope: _Scope) -> list[str]:
    update = scope.program.update
    used = leaves(*update)
    before = scope.block()
    hoisted = invariant(update, changing(scope.model), worth)
    before.keep(hoisted)
    known = {e: before.terms[e] for e in hoisted}
    values = _stepped(scope, used)
    lines = [*before.lines]
    if ("time", None) in used:
        lines.append(f"{scope.time} = {_times(scope)}")
        values.append(scope.time)
    block = scope.block(states=scope.state_terms(), known=known, time={TIME: Term(scope.time)})
    new = block.add(update)
    lines += ["", *_step(scope, values, block.lines, new), "", *_scan(scope, values)]
    return lines


def _stepped(scope: _Scope, used: frozenset[tuple[str, object]]) -> list[str]:
    """What the steps read a new entry of at each step."""
    model = scope.model
    params = [n for p, n in zip(model.params, scope.params, strict=True) if p.per_step and ("param", p.name) in used]
    inputs = [n for u, n in zip(model.inputs, scope.inputs, strict=True) if u.per_step and ("input", u.name) in used]
    return params + inputs


def _times(scope: _Scope) -> str:
    index = Term(f"jnp.arange({scope.program.steps}, dtype=dtype)")
    scaled = product(literal(scope.program.h), index)
    return total(literal(scope.program.start), scaled).text if scope.program.start != 0 else scaled.text


def _step(scope: _Scope, values: Sequence[str], lines: Sequence[str], new: Sequence[Term]) -> list[str]:
    """The body of the scan."""
    states = scope.states
    carry = states[0] if len(states) == 1 else "carry"
    xs = values[0] if len(values) == 1 else "xs" if values else "_"
    head = []
    if len(states) > 1:
        head += _unpack(states, "carry", 12)
    if len(values) > 1:
        head += _unpack(values, "xs", 12)
    results = [t.text if t.batch == FULL else _spread(t, s.shape) for t, s in zip(new, scope.model.states, strict=True)]
    if len(states) == 1:
        end = [f"return {results[0]}, None"]
    else:
        end = pack("return (", results, "), None")
    return [f"def step({carry}, {xs}):", *indent([*head, *lines, *end])]


def _scan(scope: _Scope, values: Sequence[str]) -> list[str]:
    """The call of the scan, or with ``save`` of a scan over the saved times of a scan over the steps between them."""
    states, steps = scope.states, scope.program.steps
    carry = states[0] if len(states) == 1 else tuple_of(states)
    xs = values[0] if len(values) == 1 else tuple_of(values) if values else "None"
    before: list[str] = []
    if 2 * len(carry) + len(xs) > 56:
        before += _named("carry", states)
        before += _named("xs", values)
        carry = "carry" if len(states) > 1 else carry
        xs = "xs" if len(values) > 1 else xs
    if scope.save:
        return [*before, *_segments(scope, carry, xs)]
    after = _unpack(states, "carry", 8) if carry == "carry" else []
    return [*before, f"{carry}, _ = jax.lax.scan(step, {carry}, {xs}, length={steps})", *after]


def _named(name: str, parts: Sequence[str]) -> list[str]:
    return pack(f"{name} = (", parts, ")", 8) if len(parts) > 1 else []


def _segments(scope: _Scope, carry: str, xs: str) -> list[str]:
    assert scope.save is not None
    states, pieces = scope.states, scope.save - 1
    each = scope.program.steps // pieces
    names = [f"saved[{n}]" for n in range(len(states))] if len(states) > 1 else ["saved"]
    return [
        "def segment(carry, xs):",
        f"    carry, _ = jax.lax.scan(step, carry, xs, length={each})",
        "    return carry, carry",
        "",
        f"xs = jax.tree.map(lambda a: a.reshape({pieces}, {each}, *a.shape[1:]), {xs})",
        f"_, saved = jax.lax.scan(segment, {carry}, xs, length={pieces})",
        *(f"{s} = jnp.concatenate([{s}[None], {n}])" for s, n in zip(states, names, strict=True)),
    ]


def _unpack(names: Sequence[str], source: str, margin: int) -> list[str]:
    """An assignment to several names; to a single one if there is one."""
    if len(names) == 1:
        return [f"({names[0]},) = {source}"]
    line = f"{', '.join(names)} = {source}"
    return [line] if len(line) + margin <= WIDTH else pack("(", names, f") = {source}", margin)


# --- after the steps -----------------------------------------------------------


def _result(scope: _Scope) -> list[str]:
    texts = []
    for name, s in zip(scope.states, scope.model.states, strict=True):
        texts.append(f"jnp.moveaxis({name}, 0, -{len(s.shape) + 1})" if scope.save else name)
    return pack("return (", [*texts[:-1], f"{texts[-1]}{',' * (len(texts) == 1)}"], ")", 8)


def _output(program: StepProgram, owner: str, reserved: frozenset[str], arrays: dict[object, str]) -> list[str]:
    """From the states to what the network returns."""
    scope = _Scope(program, reserved, arrays)
    model = scope.model
    solved = pack(f"{owner}.solve(", ["weights", *scope.arguments], ")", 8)
    if model.output is None:
        return [f"return {solved[0]}", *solved[1:]] if len(scope.states) > 1 else _only(solved)
    first = [f"values = {solved[0]}", *solved[1:]]
    lines = [*first, *_unpack(scope.states, "values", 8), f"dtype = {scope.states[0]}.dtype"]
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


def _whole(scope: _Scope, term: Term, shape: Shape) -> str:
    """An output that reads no state still has all batch axes."""
    if term.batch == FULL:
        return term.text
    state, own = scope.states[0], len(scope.model.states[0].shape)
    lead = f"*{state}.shape[: {state}.ndim - {own}]" if own else f"*{state}.shape"
    axes = ", ".join((lead, *map(str, shape)))
    return f"jnp.broadcast_to(jnp.asarray({term.text}, dtype), ({axes}{',' * (not shape)}))"
