"""A step program entry by entry: every state, weight and input becomes numbers.

Of a matrix whose numbers are known far more is true than its norm says. Here every tensor is an array of scalar
expressions; the vectors of a Gram problem are then numbers, and products with known matrices are sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from odespec.exact import enclose, root
from odespec.ir.expr import (
    Expr,
    act,
    add,
    const,
    div,
    leaf,
    mul,
    neg,
    postorder,
    power,
)
from odespec.ir.model import Input, Model, Param, Relation, State
from odespec.ir.ranges import REAL
from odespec.program.step import Solve, StepProgram
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation
from odespec.records import dataclass

MAX_STATES = 12
MAX_ENTRIES = 400

Entries = Any
"""An array of scalar expressions, of the shape of what it stands for."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """``program`` has scalar states only; ``origin`` has for each of its leaves the old one and the place in it."""

    program: StepProgram
    origin: tuple[tuple[Expr, Expr, tuple[int, ...]], ...]
    metric: Entries = None


class Unreadable(Exception):
    """An operation that is not taken entry by entry."""


def coordinates(program: StepProgram, metric: Expr | None = None) -> Coordinates | None:
    """The program by entries, where it has known matrices (or the metric is one) and few entries; else None.

    ``metric``: a matrix in parameters, of which the entries are given too.
    """
    model = program.model
    roots = [*program.update, *model.field, *(v for s in program.solves for v in s.values)]
    given = [s.initial for s in model.states if s.initial is not None]
    known = [*roots, *([] if metric is None else [metric])]
    if sum(prod(s.shape) for s in model.states) > MAX_STATES or program.memory or not _matrices(known):
        return None
    declared: list[State | Param | Input] = [*model.states, *model.params, *model.inputs]
    if model.graphs or sum(prod(x.shape) for x in declared) > MAX_ENTRIES:
        return None
    try:
        return _built(program, [*roots, *given], metric)
    except Unreadable:
        return None


def _matrices(roots: Iterable[Expr]) -> bool:
    return any(n.op == "array" and len(n.shape) == 2 for n in postorder(*roots))


def _built(program: StepProgram, roots: list[Expr], metric: Expr | None) -> Coordinates:
    model = program.model
    table = _Table(program)
    values = table.read([*roots, *([] if metric is None else [metric])])
    count = [prod(s.shape) for s in model.states]

    def flat(exprs: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(x for e in exprs for x in values[e].ravel())

    start = {s: values[s.initial].ravel() for s in model.states if s.initial is not None}
    states = tuple(
        State(str(x.data), (), None if s.initial is None else start[s][k], None, s.span)
        for s in model.states
        for k, x in enumerate(table.leaf(leaf("state", s.name, s.shape)).ravel())
    )
    assert len(states) == sum(count)
    small = Model(
        name=model.name,
        doc=None,
        source=model.source,
        span=model.span,
        dims=(),
        consts=(),
        states=states,
        params=tuple(
            Param(n, (), None, p.per_step, p.span) for p in model.params for n in table.names("param", p.name)
        ),
        inputs=tuple(
            Input(n, (), None, u.per_step, u.span) for u in model.inputs for n in table.names("input", u.name)
        ),
        noises=(),
        graphs=(),
        field=flat(model.field),
        discrete=model.discrete,
        constraints=table.constraints("param"),
        domains=table.constraints("input"),
        solver=model.solver,
        time=model.time,
        output=None,
        claims=(),
    )
    solves = tuple(
        Solve(tuple(x for u in s.unknowns for x in table.leaf(u).ravel()), flat(s.values)) for s in program.solves
    )
    own = StepProgram(small, program.h, program.start, program.steps, solves, flat(program.update))
    return Coordinates(own, table.origin(), None if metric is None else values[metric])


# --- leaves ----------------------------------------------------------------------


class _Table:
    """The entries of leaves, made as they are met."""

    def __init__(self, program: StepProgram) -> None:
        self.model = program.model
        self.offsets = np.concatenate([[0], np.cumsum([prod(s.shape) for s in self.model.states])])
        self.structures = {(op, x.name): x.structure for op, xs in _declared(self.model) for x in xs}
        self.knowledge = Knowledge(self.model, REAL)
        self._leaves: dict[Expr, Entries] = {}

    def read(self, roots: Iterable[Expr]) -> dict[Expr, Entries]:
        values: dict[Expr, Entries] = {}
        for node in postorder(*roots):
            values[node] = self.leaf(node) if not node.args else _entries(node, [values[a] for a in node.args])
        return values

    def leaf(self, e: Expr) -> Entries:
        if e not in self._leaves:
            self._leaves[e] = self._made(e)
        return self._leaves[e]

    def _made(self, e: Expr) -> Entries:
        if e.op in ("const", "time"):
            return _array((), lambda i: e)
        if e.op == "full":
            return _array(e.shape, lambda i: const(e.data))  # type: ignore[arg-type]
        if e.op == "eye" and len(e.shape) == 2:
            return _array(e.shape, lambda i: const(int(i[0] == i[1])))
        if e.op == "array":
            return _array(e.shape, lambda i: const(_nested(e.data, i)))
        if e.op == "stage":
            return self._stage(e)
        if e.op in ("state", "param", "input"):
            return self._tensor(e)
        raise Unreadable

    def _stage(self, e: Expr) -> Entries:
        assert isinstance(e.data, int)
        number, state = divmod(e.data, len(self.model.states))
        first = number * int(self.offsets[-1]) + int(self.offsets[state])
        flat = [Expr("stage", (), (), first + k) for k in range(prod(e.shape))]
        return _array(e.shape, lambda i: flat[_place(e.shape, i)])

    def _tensor(self, e: Expr) -> Entries:
        """By its structure: a skew matrix has the entries above its diagonal only."""
        structure = self.structures.get((e.op, e.data))
        free = _array(e.shape, lambda i: leaf(e.op, _name(e, i), ()))
        if structure == "diagonal":
            return _array(e.shape, lambda i: free[i] if i[0] == i[1] else const(0))
        if structure in ("symmetric", "psd"):
            return _array(e.shape, lambda i: free[min(i), max(i)])
        if structure == "skew":
            return _array(
                e.shape, lambda i: const(0) if i[0] == i[1] else free[i] if i[0] < i[1] else neg(free[i[::-1]])
            )
        return free

    def names(self, op: str, name: str) -> list[str]:
        return [str(new.data) for new, old, _ in self.origin() if (old.op, old.data) == (op, name)]

    def origin(self) -> tuple[tuple[Expr, Expr, tuple[int, ...]], ...]:
        found: dict[Expr, tuple[Expr, tuple[int, ...]]] = {}
        for old, entries in self._leaves.items():
            if old.op in ("state", "param", "input", "stage"):
                for i in np.ndindex(entries.shape):
                    if entries[i].op == old.op:
                        found.setdefault(entries[i], (old, i))
        return tuple((new, old, i) for new, (old, i) in found.items())

    def constraints(self, op: str) -> tuple[Relation, ...]:
        """The ranges of all entries."""
        found = []
        for new, old, i in self.origin():
            if old.op == op:
                low, high = self._range(old, i)
                if low is not None or high is not None:
                    found.append(Relation("entries", new, low, high, self.model.span))
        return tuple(found)

    def _range(self, e: Expr, i: tuple[int, ...]) -> tuple[Fraction | None, Fraction | None]:
        inside = self.knowledge.intervals.of(e)
        low, high = inside.lower, inside.upper
        if len(e.shape) != 2:
            return low, high
        structure = self.structures.get((e.op, e.data))
        bounds = [(low, high)]
        if structure in ("stochastic", "doubly_stochastic"):
            bounds.append((Fraction(0), Fraction(1)))
        if structure == "psd" and i[0] == i[1]:
            bounds.append((Fraction(0), None))
        try:
            norm2 = self.knowledge.facts(self.knowledge.algebra.matrix(e)).norm2
        except NoRelation:
            norm2 = None
        if norm2 is not None:
            size = enclose(root(norm2, 2))[1]
            bounds.append((-size, size))
        lows, highs = ([b[k] for b in bounds if b[k] is not None] for k in (0, 1))
        return max(lows, default=None), min(highs, default=None)  # type: ignore[type-var]


def _declared(model: Model) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    return ("param", model.params), ("input", model.inputs)


def _name(e: Expr, i: tuple[int, ...]) -> str:
    return f"{e.data}[{', '.join(map(str, i))}]" if i else str(e.data)


def _array(shape: tuple[int, ...], entry: Callable[[tuple[int, ...]], Expr]) -> Entries:
    made = np.empty(shape, dtype=object)
    for i in np.ndindex(shape):
        made[i] = entry(i)
    return made


def _nested(data: Any, i: tuple[int, ...]) -> Any:
    for k in i:
        data = data[k]
    return data


def _place(shape: tuple[int, ...], i: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(i, shape)) if shape else 0


# --- operations ------------------------------------------------------------------


def _entries(node: Expr, args: list[Entries]) -> Entries:
    rule = _RULES.get(node.op)
    if rule is None or prod(node.shape) > MAX_ENTRIES:
        raise Unreadable
    made = rule(node, args)
    if made.shape != node.shape:
        raise Unreadable
    return made


def _each(function: Callable[..., Expr]) -> Callable[[Expr, list[Entries]], Entries]:
    def rule(node: Expr, args: list[Entries]) -> Entries:
        wide = np.broadcast_arrays(*args)
        return _array(node.shape, lambda i: function(node, *(a[i] for a in wide)))

    return rule


def _sum(terms: Iterable[Expr]) -> Expr:
    total = const(0)
    for x in terms:
        total = add(total, x)
    return total


def _matmul(node: Expr, args: list[Entries]) -> Entries:
    a, b = args
    if node.data == "last":
        return _array(node.shape, lambda i: _sum(mul(a[(*i[:-1], k)], b[k, i[-1]]) for k in range(b.shape[0])))
    return _array(node.shape, lambda i: _sum(mul(a[i[0], k], b[(k, *i[1:])]) for k in range(b.shape[0])))


def _total(node: Expr, args: list[Entries]) -> Entries:
    (a,) = args
    axes = tuple(range(a.ndim)) if node.data is None else tuple(k % a.ndim for k in node.data)  # type: ignore[attr-defined]
    kept = [k for k in range(a.ndim) if k not in axes]
    moved = a.transpose([*kept, *axes]).reshape(*node.shape, -1)
    count = moved.shape[-1] if node.op == "mean" else 1
    return _array(node.shape, lambda i: mul(const(Fraction(1, count)), _sum(moved[i])))


def _dot(node: Expr, args: list[Entries]) -> Entries:
    a, b = args
    return _array((), lambda i: _sum(mul(x, y) for x, y in zip(a.ravel(), b.ravel(), strict=True)))


def _diag(node: Expr, args: list[Entries]) -> Entries:
    (a,) = args
    return _array(node.shape, lambda i: a[i[0]] if i[0] == i[1] else const(0))


def _offdiag(node: Expr, args: list[Entries]) -> Entries:
    (a,) = args
    return _array(node.shape, lambda i: const(0) if i[0] == i[1] else a[i])


def _transpose(node: Expr, args: list[Entries]) -> Entries:
    if len(node.shape) != 2:
        raise Unreadable
    return args[0].T


def _act(node: Expr, x: Expr) -> Expr:
    assert isinstance(node.data, tuple)
    name, parameters = node.data
    return act(name, x, parameters)


_RULES: dict[str, Callable[[Expr, list[Entries]], Entries]] = {
    "add": _each(lambda node, a, b: add(a, b)),
    "mul": _each(lambda node, a, b: mul(a, b)),
    "div": _each(lambda node, a, b: div(a, b)),
    "pow": _each(lambda node, a: power(a, node.data)),
    "act": _each(_act),
    "matmul": _matmul,
    "transpose": _transpose,
    "sum": _total,
    "mean": _total,
    "dot": _dot,
    "diag": _diag,
    "offdiag": _offdiag,
}
