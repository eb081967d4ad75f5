"""Norms of a state: by the triangle inequality, or by inner products of a run with the one that stays at zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.exact import Real, enclose
from odespec.ir.expr import Expr, depends_on, leaf, mul, postorder, power, rewrite
from odespec.ir.intervals import root_above
from odespec.ir.model import Claim, Model, Param, Relation
from odespec.program.lower import state_leaves
from odespec.program.step import Solve, StepProgram
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.solve import finite
from odespec.prove.gram.worst import worst_case
from odespec.prove.invariant import polynomial as poly
from odespec.prove.invariant.normal import PRODUCTS
from odespec.prove.invariant.polynomial import Polynomial
from odespec.prove.invariant.prove import per_step
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import flow_problem, solvability_problem, step_problem
from odespec.records import dataclass

LARGEST_BASIS = 36
"""Problems with more vectors take too long."""
ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Growth:
    """The squared norm is multiplied by ``proof.tau`` a step at most, from a ball of radius ``start`` on."""

    start: Fraction
    proof: Proof
    solvability: tuple[Proof, ...]


@dataclass(frozen=True, slots=True)
class Products:
    """Proofs that the norm never grows (a proof with sense upper), never shrinks (lower), with the bounds it keeps to."""

    proofs: tuple[Proof, ...]
    solvability: tuple[Proof, ...]
    bounds: dict[str, Polynomial]


def solvability(program: StepProgram) -> tuple[Proof, ...] | None:
    """Proofs that the equations of a step have exactly one solution; none are needed for an explicit one."""
    try:
        problem = solvability_problem(program)
    except NoRelation:
        return None
    if problem is None:
        return ()
    proof = finite(problem)
    return None if proof is None else (proof,)


# --- what is asked ---------------------------------------------------------------


def squares(relation: Relation) -> frozenset[str] | None:
    """The states of whose squared entries a relation bounds the sum; None where it is of another kind."""
    operand = relation.operand
    if relation.quantity == "norm":
        return frozenset({str(operand.data)}) if relation.p == 2 and operand.op == "state" else None
    if relation.quantity != "entries" or operand.shape:
        return None
    found: set[str] = set()
    pending = [operand]
    while pending:
        e = pending.pop()
        if e.op == "add":
            pending.extend(e.args)
            continue
        name = _square(e)
        if name is None or name in found:
            return None
        found.add(name)
    return frozenset(found)


def _square(e: Expr) -> str | None:
    """The state whose squared norm, or norm, this is."""
    if e.op == "norm" and e.data == 2:
        return _state(e.args[0])
    if e.op == "dot":
        return _state(e.args[0]) if e.args[0] == e.args[1] else None
    inner = e.args[0] if e.op == "sum" and e.data is None else e
    if e.op != "sum" and e.shape:
        return None
    if inner.op == "pow" and inner.data == 2:
        base = inner.args[0]
        return _state(base.args[0]) if base.op == "norm" and base.data == 2 else _state(base)
    if inner.op == "mul" and inner.args[0] == inner.args[1]:
        return _state(inner.args[0])
    return _state(inner.args[0]) if inner.op == "act" and inner.data == ("square", ()) else None


def _state(e: Expr) -> str | None:
    return str(e.data) if e.op == "state" else None


# --- products --------------------------------------------------------------------


def prove_products(program: StepProgram, claim: Claim, flow: bool) -> Products | None:
    """A proof that the squared norm of all states never grows (and, as asked, never shrinks)."""
    relation, model = claim.relation, program.model
    assert relation is not None
    if per_step(model, relation) or squares(relation) != frozenset(s.name for s in model.states):
        return None
    frozen = freeze(program, flow, radius_of(relation))
    if frozen is None:
        return None
    proofs = []
    for side in ("upper", "lower"):
        if getattr(relation, side) is None:
            continue
        try:
            problem = _problem(frozen, flow, lower=side == "lower")
        except NoRelation:
            return None
        if len(problem.basis) > LARGEST_BASIS:
            return None
        proof = None if _beyond(problem, flow, side) else prove(problem, ZERO if flow else ONE)
        if proof is None:
            return None
        proofs.append(proof)
    solved: tuple[Proof, ...] | None = () if flow else solvability(program)
    if solved is None:
        return None
    bounds = {s: _bound(getattr(relation, s)) for s in ("lower", "upper") if getattr(relation, s) is not None}
    return Products(tuple(proofs), solved, bounds)


def _problem(program: StepProgram, flow: bool, *, lower: bool) -> GramProblem:
    return flow_problem(program.model, lower=lower) if flow else step_problem(program, lower=lower)


NEAR = 1e-6
"""A numerical worst case beyond its bound by no more than this may in truth be within it."""


def _beyond(problem: GramProblem, flow: bool, side: str) -> bool:
    """Whether the numerical worst case says that there is no proof."""
    away = worst_case(problem).value - (0.0 if flow else 1.0)
    return away > NEAR if side == "upper" else away < -NEAR


def _bound(side: Real | Expr) -> Polynomial:
    """A bound as it is stated: what is no rational number as a variable."""
    return poly.constant(side) if isinstance(side, Fraction) else poly.variable("bound")


def radius_of(relation: Relation) -> Fraction | None:
    """A number that no entry of the state is larger than, where the bound gives one."""
    if relation.upper is None or isinstance(relation.upper, Expr):
        return None
    top = enclose(relation.upper)[1]
    return top if relation.quantity == "norm" or relation.operand.op == "norm" else root_above(max(top, ZERO))


def freeze(program: StepProgram, flow: bool, radius: Fraction | None) -> StepProgram | None:
    """A program that a run of this one obeys as well, and in which zero stays at zero; None where there is none.

    A factor of known range that depends on the state becomes a weight in that range: along one run it is one.
    """
    model = program.model
    known = {s: Interval(-radius, radius) for s in state_leaves(model)} if radius is not None else {}
    roots = model.field if flow else (*program.update, *(v for s in program.solves for v in s.values))
    gates = _Gates(model, known, roots)
    changed = rewrite(roots, gates.change)
    if not all(vanishing(changed)):
        return None
    wider = gates.model()
    if flow:
        return replace(program, model=replace(wider, field=changed))
    update, rest = changed[: len(program.update)], list(changed[len(program.update) :])
    solves = tuple(Solve(s.unknowns, tuple(rest.pop(0) for _ in s.values)) for s in program.solves)
    return replace(program, model=wider, update=update, solves=solves)


class _Gates:
    """Replaces factors by weights."""

    def __init__(self, model: Model, known: dict[Expr, Interval], roots: Iterable[Expr]) -> None:
        from odespec.prove.relate.intervals import Intervals

        self._model = model
        fixed = [r for r in (*model.constraints, *model.domains) if not depends_on(r.operand, "state")]
        self.inside = Intervals(fixed)
        self.inside._known.update(known)
        self.inside.cover(roots)
        self._found: dict[Expr, tuple[Param, Relation]] = {}

    def change(self, node: Expr) -> Expr:
        """A product of two moving factors, or an odd power, with a weight for one of them."""
        if node.op == "pow" and isinstance(node.data, Fraction) and node.data.denominator == 1 and node.data > 1:
            node = mul(power(node.args[0], node.data - 1), node.args[0])
        if node.op == "act" and node.data == ("square", ()):
            node = Expr("mul", (node.args[0], node.args[0]), node.shape)
        if node.op != "mul" or not all(_moves(a) for a in node.args):
            return node
        vanish = vanishing(node.args)
        for k in (1, 0):
            inside = self.inside.of(node.args[1 - k])
            if vanish[k] and (inside.lower is not None or inside.upper is not None):
                return mul(self._weight(node.args[1 - k], inside), node.args[k])
        return node

    def _weight(self, factor: Expr, inside: Interval) -> Expr:
        if factor not in self._found:
            name = f"gate {len(self._found) + 1}"
            span = self._model.span
            param = Param(name, factor.shape, None, False, span)
            e = leaf("param", name, factor.shape)
            self._found[factor] = param, Relation("entries", e, inside.lower, inside.upper, span)
        return leaf("param", self._found[factor][0].name, factor.shape)

    def model(self) -> Model:
        """The model with the weights that were made."""
        params, relations = zip(*self._found.values(), strict=True) if self._found else ((), ())
        model = self._model
        return replace(model, params=(*model.params, *params), constraints=(*model.constraints, *relations))


def _moves(e: Expr) -> bool:
    return depends_on(e, "state", "stage")


def vanishing(roots: Iterable[Expr]) -> tuple[bool, ...]:
    """Whether expressions are shown to be zero where all states and stages are."""
    roots = tuple(roots)
    zero: dict[Expr, bool] = {}
    for node in postorder(*roots):
        zero[node] = _vanishes(node, [zero[a] for a in node.args])
    return tuple(zero[r] for r in roots)


def _vanishes(node: Expr, args: list[bool]) -> bool:
    if node.op in ("state", "stage"):
        return True
    if node.op in ("const", "full"):
        return node.data == 0
    if node.op == "add":
        return all(args)
    if node.op in ("mul", "dot", *PRODUCTS):
        return any(args)
    if node.op == "act":
        name, parameters = named(node)
        return args[0] and ACTIVATIONS[name].range_on(ZERO, ZERO, parameters) == Interval(ZERO, ZERO)
    if node.op == "phi":
        return all(args[node.data[2] ** 2 :])  # type: ignore[index]
    if node.op == "pow":
        return args[0] and node.data > 0  # type: ignore[operator]
    kept = ("div", "sum", "mean", "transpose", "channel", "pool", "layernorm", "norm", "min", "max")
    return node.op in kept and args[0]
