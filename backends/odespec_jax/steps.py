"""The steps as one scan, with what does not depend on the states computed before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from odespec.ir.expr import TIME, Expr, leaf, postorder
from odespec.program.passes import split_invariant
from odespec.program.schedule import changing, invariant, needed
from odespec.program.terms import FULL, Term, literal, product, total
from odespec.program.text import indent, pack, tuple_of
from odespec_jax.block import is_operator, worth
from odespec_jax.scope import Scope, spread, unpack

PRODUCTS = ("matmul", "apply")


@dataclass(frozen=True, slots=True)
class Before:
    """What is computed before the scan: its lines, and the terms of its results inside the scan.

    ``ahead`` are the names of those that have a value for each step.
    """

    lines: list[str]
    terms: dict[Expr, Term]
    ahead: list[str]


def steps(scope: Scope) -> list[str]:
    """The lines from the states at the start to those at the end, or at the saved times."""
    update = scope.program.update
    before = _before(scope)
    block = scope.block(states=scope.state_terms(), known=before.terms, time={TIME: Term(scope.time)})
    values = [*_stepped(scope, update, before.terms), *before.ahead]
    new = block.add(update)
    return [*before.lines, "", *_step(scope, values, block.lines, new), "", *_scan(scope, values)]


# --- before the scan -----------------------------------------------------------


def _before(scope: Scope) -> Before:
    """Constants of all steps, the times, and products for each step that no state enters."""
    update = scope.program.update
    hoisted = invariant(update, changing(scope.model), worth)
    block = scope.block()
    block.keep(hoisted)
    known = {e: block.terms[e] for e in hoisted}
    lines = block.lines
    if any(n == TIME for n in postorder(*update)):
        lines.append(f"{scope.time} = {_times(scope)}")
    ahead = [e for e in split_invariant(scope.program).stepwise if _costly(e, known) and not is_operator(e)]
    if not ahead:
        return Before(lines, known, [])
    values = _stepped(scope, ahead, known)
    inner = scope.block(known=known, time={TIME: Term(scope.time)})
    terms = inner.add(ahead)
    names = [scope.names.fresh() for _ in ahead]
    result = terms[0].text if len(terms) == 1 else None
    lines += ["", f"def ahead({', '.join(values)}):", *indent(inner.lines)]
    lines += indent([f"return {result}"] if result else pack("return (", [t.text for t in terms], ")", 12))
    call = f"jax.vmap(ahead)({', '.join(values)})"
    lines += ["", *([f"{names[0]} = {call}"] if result else unpack(names, call, 8))]
    known |= {e: Term(n, batch=t.batch) for e, n, t in zip(ahead, names, terms, strict=True)}
    return Before(lines, known, names)


def _costly(e: Expr, known: dict[Expr, Term]) -> bool:
    """Whether a product of matrices is saved in every step: all steps at once are one larger product."""
    return any(n.op in PRODUCTS for n in needed([e], known))


def _stepped(scope: Scope, roots: Sequence[Expr], known: dict[Expr, Term]) -> list[str]:
    """The names of what expressions read a new entry of at each step."""
    model, read = scope.model, set(needed(roots, known))
    pairs = [(leaf("param", p.name, p.shape), n) for p, n in zip(model.params, scope.params, strict=True) if p.per_step]
    pairs += [
        (leaf("input", u.name, u.shape), n) for u, n in zip(model.inputs, scope.inputs, strict=True) if u.per_step
    ]
    return [name for e, name in [*pairs, (TIME, scope.time)] if e in read]


def _times(scope: Scope) -> str:
    index = Term(f"jnp.arange({scope.program.steps}, dtype=dtype)")
    scaled = product(literal(scope.program.h), index)
    return total(literal(scope.program.start), scaled).text if scope.program.start != 0 else scaled.text


def _step(scope: Scope, values: Sequence[str], lines: Sequence[str], new: Sequence[Term]) -> list[str]:
    """The body of the scan."""
    states = scope.states
    carry = states[0] if len(states) == 1 else "carry"
    xs = values[0] if len(values) == 1 else "xs" if values else "_"
    head = []
    if len(states) > 1:
        head += unpack(states, "carry", 12)
    if len(values) > 1:
        head += unpack(values, "xs", 12)
    results = [t.text if t.batch == FULL else spread(t, s.shape) for t, s in zip(new, scope.model.states, strict=True)]
    if len(states) == 1:
        end = [f"return {results[0]}, None"]
    else:
        end = pack("return (", results, "), None")
    return [f"def step({carry}, {xs}):", *indent([*head, *lines, *end])]


def _scan(scope: Scope, values: Sequence[str]) -> list[str]:
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
    after = unpack(states, "carry", 8) if carry == "carry" else []
    return [*before, f"{carry}, _ = jax.lax.scan(step, {carry}, {xs}, length={steps})", *after]


def _named(name: str, parts: Sequence[str]) -> list[str]:
    return pack(f"{name} = (", parts, ")", 8) if len(parts) > 1 else []


def _segments(scope: Scope, carry: str, xs: str) -> list[str]:
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
