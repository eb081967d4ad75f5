"""Methods that treat the linear part of a field, or a factor of the state, in a way of its own.

Sources: Ascher, Ruuth & Wetton 1995 (implicit-explicit Euler); Cox & Matthews 2002 (exponential time differencing, ETD1
and ETDRK4, eq. 4 and 26-29); Hasani et al. 2021 (the fused step of liquid time-constant networks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from odespec.exact import Real
from odespec.ir.expr import TIME, Expr, add, const, div, full, is_zero, mul, neg, postorder, substitute
from odespec.ir.model import Model
from odespec.program.fields import Tensors, combine, state_leaves
from odespec.program.linearity import NotLinear, operators, split, terms, without
from odespec.program.step import Solve
from odespec.program.unlowered import NotLowered

Step = tuple[tuple[Solve, ...], Tensors]
HALF = Fraction(1, 2)


def parts(model: Model) -> tuple[Tensors, Tensors]:
    """The field as ``(L, N)``: the terms linear in the states, or those that ``linear`` names, and all others.

    Raises `NotLowered` where ``linear`` is not linear in the states, or of no one state's equation.
    """
    named = dict(model.solver.options).get("linear")
    if not isinstance(named, Expr):
        pairs = [split(f) for f in model.field]
        return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    if not is_zero(split(named)[1]):
        raise NotLowered("a `linear` part with terms that are not linear in the states", model.solver.span)
    try:
        which = _equation(model, named)
        linear = [full(0, f.shape) for f in model.field]
        rest = list(model.field)
        linear[which], rest[which] = named, without(model.field[which], named)
    except NotLinear as error:
        raise NotLowered(str(error), model.solver.span) from None
    return tuple(linear), tuple(rest)


def _equation(model: Model, named: Expr) -> int:
    """The state in whose equation the named terms stand, with these numbers or else with others."""
    wanted = terms(named)
    fitting = [i for i, f in enumerate(model.field) if f.shape == named.shape]
    held = {i: terms(model.field[i]) for i in fitting}
    same = [i for i in fitting if wanted.items() <= held[i].items()]
    found = same or [i for i in fitting if wanted.keys() <= held[i].keys()]
    found = fitting if len(fitting) == 1 else found
    if len(found) != 1:
        raise NotLinear("a `linear` part that stands in the equations of several states, or of none")
    return found[0]


def _at(exprs: Tensors, model: Model, values: Tensors, elapsed: Real) -> Tensors:
    """Expressions at given values of the states, ``elapsed`` after the start of the step."""
    replace = dict(zip(state_leaves(model), values, strict=True))
    replace[TIME] = add(TIME, const(elapsed))
    return substitute(exprs, replace)


# --- implicit-explicit -----------------------------------------------------------


def _imex_euler(model: Model) -> Step:
    """``x+ = x + h L(t + h, x+) + h N(t, x)``."""
    linear, rest = parts(model)
    h = model.step_size
    moved = tuple(combine(x, [h], [n]) for x, n in zip(state_leaves(model), rest, strict=True))
    if all(is_zero(e) for e in linear):
        return (), moved
    unknowns = tuple(Expr("stage", (), s.shape, i) for i, s in enumerate(model.states))
    values = tuple(combine(x, [h], [e]) for x, e in zip(moved, _at(linear, model, unknowns, h), strict=True))
    return (Solve(unknowns, values),), unknowns


# --- exponential -----------------------------------------------------------------


class _Exponential:
    """``phi_k(c h L)`` for a model's linear part L, with the time at the start of the step."""

    def __init__(self, model: Model) -> None:
        self.model = model
        linear, self.rest = parts(model)
        states = state_leaves(model)
        try:
            self.rows = [operators(e, states) for e in linear]
        except NotLinear as error:
            raise NotLowered(str(error), model.solver.span) from None
        self.groups = _coupled(self.rows)

    def field(self, values: Tensors, elapsed: Real) -> Tensors:
        """N at given values."""
        return _at(self.rest, self.model, values, elapsed)

    def phi(self, k: int, scale: Real, vectors: Sequence[Expr]) -> Tensors:
        """``phi_k(scale L)`` on one tensor for each state."""
        result = list(vectors)
        for group in self.groups:
            blocks = tuple(self._block(scale, i, j) for i in group for j in group)
            if all(is_zero(b) for b in blocks):
                for i in group:
                    result[i] = mul(const(Fraction(1, _factorial(k))), vectors[i])
                continue
            chosen = tuple(vectors[i] for i in group)
            for place, i in enumerate(group):
                zero = all(is_zero(v) for v in chosen)
                data = (k, place, len(group))
                result[i] = (
                    full(0, vectors[i].shape) if zero else Expr("phi", blocks + chosen, chosen[place].shape, data)
                )
        return tuple(result)

    def _block(self, scale: Real, i: int, j: int) -> Expr:
        operator = self.rows[i][j]
        shape = self.model.states[i].shape + self.model.states[j].shape
        return full(0, shape) if operator is None else mul(const(scale), operator)


def _factorial(k: int) -> int:
    return 1 if k < 2 else k * _factorial(k - 1)


def _coupled(rows: list[list[Expr | None]]) -> list[list[int]]:
    """The states in groups that no linear term couples."""
    groups = [[i] for i in range(len(rows))]
    for i, row in enumerate(rows):
        for j, operator in enumerate(row):
            if operator is not None:
                first, second = (next(g for g in groups if n in g) for n in (i, j))
                if first is not second:
                    groups.remove(second)
                    first += second
    return [sorted(g) for g in groups]


def _sum(*weighted: tuple[Real, Tensors]) -> Tensors:
    coefficients = [c for c, _ in weighted]
    zeros = (full(0, e.shape) for e in weighted[0][1])
    return tuple(combine(z, coefficients, [v[i] for _, v in weighted]) for i, z in enumerate(zeros))


ONE = Fraction(1)


def _etd1(model: Model) -> Step:
    """``x+ = exp(h L) x + h phi_1(h L) N(t, x)``."""
    e, h, x = _Exponential(model), model.step_size, state_leaves(model)
    return (), _sum((ONE, e.phi(0, h, x)), (h, e.phi(1, h, e.field(x, h * 0))))


def _etdrk4(model: Model) -> Step:
    """Cox & Matthews 2002, eq. 26-29, with the phi functions in place of the inverse of L."""
    e, h, x = _Exponential(model), model.step_size, state_leaves(model)
    half = h * HALF
    first = e.field(x, h * 0)
    moved = e.phi(0, half, x)
    a = _sum((ONE, moved), (half, e.phi(1, half, first)))
    second = e.field(a, half)
    b = _sum((ONE, moved), (half, e.phi(1, half, second)))
    third = e.field(b, half)
    c = _sum((ONE, e.phi(0, half, a)), (half, e.phi(1, half, _sum((Fraction(2), third), (-ONE, first)))))
    fourth = e.field(c, h)
    middle = _sum((ONE, second), (ONE, third))
    weights = ((first, (1, -3, 4)), (middle, (0, 2, -4)), (fourth, (0, -1, 4)))
    added = [(h * factor, e.phi(k + 1, h, slope)) for slope, row in weights for k, factor in enumerate(row) if factor]
    return (), _sum((ONE, e.phi(0, h, x)), *added)


# --- fused -----------------------------------------------------------------------


def _fused_euler(model: Model) -> Step:
    """``x+ = (x + h r(x)) / (1 + h g(x))`` for every state's field ``-g(x) * x + r(x)``."""
    h = model.step_size
    try:
        pairs = [_factored(f, x) for f, x in zip(model.field, state_leaves(model), strict=True)]
    except NotLinear as error:
        raise NotLowered(str(error), model.solver.span) from None
    update = []
    for x, (g, r) in zip(state_leaves(model), pairs, strict=True):
        above = combine(x, [h], [r])
        update.append(above if is_zero(g) else div(above, add(const(1), mul(const(h), g))))
    return (), tuple(update)


def _factored(f: Expr, x: Expr) -> tuple[Expr, Expr]:
    """``(g, r)`` with ``f = -g * x + r``: every term with a factor x is in g."""
    g, r = const(0), full(0, f.shape)
    for node, scale in terms(f).items():
        factor = _factor(node, x)
        if factor is None:
            r = add(r, mul(scale, node))
        else:
            g = add(g, mul(neg(scale), factor))
    return g, r


def _factor(term: Expr, x: Expr) -> Expr | None:
    """What multiplies x in a product of scalars and tensors of the shape of x; None where x is no factor."""
    holding = _holding(term, x)
    factor = const(1)
    while term != x:
        if term not in holding:
            return None
        if term.op == "div":
            factor, term = div(factor, term.args[1]), term.args[0]
        else:
            place = 1 if term.args[1] in holding else 0
            factor, term = mul(factor, term.args[1 - place]), term.args[place]
    return factor


def _holding(term: Expr, x: Expr) -> set[Expr]:
    """The parts of a product of which x is a factor."""
    found = set()
    for node in postorder(term):
        places = node.args if node.op == "mul" else node.args[:1] if node.op == "div" else ()
        if node == x or any(a in found for a in places):
            found.add(node)
    return found


SPLITTINGS: dict[str, Callable[[Model], Step]] = {
    "imex_euler": _imex_euler,
    "etd1": _etd1,
    "etdrk4": _etdrk4,
    "fused_euler": _fused_euler,
}
