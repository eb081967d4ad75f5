"""The linearised field with frozen slopes: a linear model with one more parameter for each slope.

At a state every elementwise function multiplies by its slopes, whatever they are within their interval; softmax and
layernorm multiply by a symmetric matrix with eigenvalues in an interval; a product of two factors that depend on the state
multiplies each one's change by the value of the other. Each of these becomes a parameter with its interval as a
constraint, so that what is known of the linearised field is known as of any field that is linear in its states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.exact import enclose, power
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape, depends_on, leaf, postorder, substitute
from odespec.ir.model import Model, Param, Relation
from odespec.ir.ranges import REAL
from odespec.program.directional import NoTangent, directional
from odespec.prove.relate.intervals import Intervals
from odespec.records import dataclass

__all__ = ["Frozen", "NoTangent", "freeze", "tangents"]

SYMMETRIC = ("softmax", "layernorm")
LIPSCHITZ = ("min", "max", "norm")
ONE = Fraction(1)
Slope = Callable[[Expr, Expr], Expr]
"""The change of a function's value: of the node of the function and the change of its argument."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """``model`` is linear in its states, which are the changes of the states of the original.

    ``values`` has for each parameter that was put in the node of the original field whose slope it is, or the expression
    whose value it is.
    """

    model: Model
    values: Mapping[Expr, tuple[str, Expr]]

    @property
    def tame(self) -> bool:
        """Whether differences of two states obey it too, with bounded slopes: no value stands in two products at once."""
        bounded = {
            r.operand
            for r in self.model.constraints
            if r.upper is not None and (r.lower is not None or r.quantity == "norm")
        }
        return all(kind != "value" and e in bounded for e, (kind, _) in self.values.items())


class _Freezer:
    def __init__(self, model: Model) -> None:
        self.model = model
        inputs = tuple(r for r in model.domains if not depends_on(r.operand, "state"))
        bounded = [r for r in (*model.constraints, *inputs) if not depends_on(r.operand, "state")]
        self.intervals = Intervals(bounded)
        self.params: list[Param] = []
        self.relations: list[Relation] = []
        self.values: dict[Expr, tuple[str, Expr]] = {}

    def param(self, kind: str, node: Expr, shape: Shape, structure: str | None = None) -> Expr:
        made = leaf("param", f"[{kind} {len(self.params) + 1}]", shape)
        assert isinstance(made.data, str)
        self.params.append(Param(made.data, shape, structure, False, self.model.span))
        self.values[made] = (kind, node)
        return made

    def bounded(self, e: Expr, quantity: str, inside: Interval) -> None:
        if inside != REAL:
            self.relations.append(Relation(quantity, e, inside.lower, inside.upper, self.model.span))

    # --- slopes ------------------------------------------------------------------

    def slope(self, node: Expr, moved: Expr) -> Expr:
        """The change of a function's value when its argument changes."""
        if node.op == "act":
            return self._elementwise(node, moved)
        if node.op in SYMMETRIC:
            return self._symmetric(node, moved)
        gradient = self.param("gradient", node, node.args[0].shape)
        if node.op == "norm" and node.data == 1:
            self.bounded(gradient, "entries", Interval(-ONE, ONE))
        else:
            self.bounded(gradient, "norm", Interval(None, ONE))
        return ex.dot(gradient, moved) if moved.shape else ex.mul(gradient, moved)

    def _elementwise(self, node: Expr, moved: Expr) -> Expr:
        name, parameters = named(node)
        inside = self.intervals.of(node.args[0])
        slope = ACTIVATIONS[name].slope_on(inside.lower, inside.upper, parameters)
        if slope.lower is not None and slope.lower == slope.upper:
            return ex.mul(ex.const(slope.lower), moved)
        made = self.param("slope", node, node.shape)
        self.bounded(made, "entries", slope)
        return ex.mul(made, moved)

    def _symmetric(self, node: Expr, moved: Expr) -> Expr:
        high = Fraction(1, 2)
        if node.op == "layernorm":
            high = enclose(power(node.data[1], Fraction(-1, 2)))[1]  # type: ignore[index]
        made = self.param("matrix", node, node.shape + node.shape, "symmetric")
        self.bounded(made, "eig", Interval(Fraction(0), high))
        return ex.matmul(made, moved) if len(node.shape) == 1 else ex.apply(made, moved)

    # --- values ------------------------------------------------------------------

    def constant(self, field: tuple[Expr, ...], moving: frozenset[Expr]) -> tuple[Expr, ...]:
        """The largest parts that depend on the state, but not on its change, become parameters."""
        mixed: dict[Expr, bool] = {}
        still: dict[Expr, bool] = {}
        for node in postorder(*field):
            mixed[node] = node in moving or any(mixed[a] for a in node.args)
            still[node] = (node.op == "state" and node not in moving) or any(still[a] for a in node.args)
        frozen: dict[Expr, Expr] = {}
        for node in postorder(*field):
            for a in node.args if mixed[node] else ():
                if still[a] and not mixed[a] and a not in frozen:
                    frozen[a] = self.param("value", a, a.shape)
                    self.bounded(frozen[a], "entries", self.intervals.of(a))
        return substitute(field, frozen)


def freeze(model: Model) -> Frozen:
    """The model of the changes. Raises `NoTangent` where the field has an operation without a derivative here."""
    freezer = _Freezer(model)
    states = [leaf("state", s.name, s.shape) for s in model.states]
    moving = {s: leaf("state", f"d {s.data}", s.shape) for s in states}
    field = tangents(model.field, moving, freezer.slope)
    field = freezer.constant(field, frozenset(moving.values()))
    field = substitute(field, {d: s for s, d in moving.items()})
    linear = replace(
        model,
        params=(*model.params, *freezer.params),
        constraints=(*model.constraints, *freezer.relations),
        domains=tuple(r for r in model.domains if not depends_on(r.operand, "state")),
        states=tuple(replace(s, initial=None) for s in model.states),
        field=field,
        output=None,
        claims=(),
    )
    return Frozen(linear, freezer.values)


def tangents(field: tuple[Expr, ...], moving: Mapping[Expr, Expr], slope: Slope) -> tuple[Expr, ...]:
    """The change of a field when its leaves change, with the slopes of functions by ``slope(node, change)``."""
    moves = dict(moving)
    for node in postorder(*field):
        if node.op == "act" or node.op in SYMMETRIC + LIPSCHITZ:
            (moved,) = directional(node.args, moves)
            moves[node] = ex.full(0, node.shape) if ex.is_zero(moved) else slope(node, moved)
    return directional(field, moves)
