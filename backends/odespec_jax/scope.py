"""The names of one emitted function, and the terms of what a spec declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from odespec.ir.expr import Expr, Shape, leaf
from odespec.program.names import Names
from odespec.program.passes import optimise
from odespec.program.schedule import slope_names
from odespec.program.step import StepProgram
from odespec.program.terms import FULL, SOME, SUM, Term
from odespec.program.text import WIDTH, pack
from odespec_jax.block import Block, simplify

LOCAL = frozenset(
    (
        *("jax", "jnp", "np", "math", "init", "weights", "load_weights", "apply", "evaluate", "solve", "MODELS"),
        *("dtype", "zero", "values", "ahead", "step", "segment", "carry", "xs", "saved", "params", "mapping", "key"),
    )
)


class Scope:
    """The optimised program and the names of its parts."""

    def __init__(self, program: StepProgram, reserved: frozenset[str], arrays: dict[object, str]) -> None:
        best = optimise(program)
        self.program = replace(best, update=simplify(best.update))
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


def spread(value: Term, shape: Shape) -> str:
    """A value with all batch axes: ``zero`` is zeros of the batch's shape."""
    shape_text = f"zero[..., {', '.join(['None'] * len(shape))}]" if shape else "zero"
    return f"{value.at(SUM)} + {shape_text}"


def unpack(names: Sequence[str], source: str, margin: int) -> list[str]:
    """An assignment to several names; to a single one if there is one."""
    if len(names) == 1:
        return [f"({names[0]},) = {source}"]
    line = f"{', '.join(names)} = {source}"
    return [line] if len(line) + margin <= WIDTH else pack("(", names, f") = {source}", margin)
