"""Passes over step programs, in their order in `PASSES`. Each keeps the meaning exactly, in real arithmetic.

They are rules for single nodes, applied bottom-up: a rule gets a node whose arguments are done, and returns it or a
simpler one. Equal expressions are one node by construction; what a pass makes equal is shared from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import prod

from odespec.exact import Real
from odespec.ir.expr import Expr, Shape, const, eye, full, is_one, is_zero, leaf, matmul, mul, postorder, rewrite
from odespec.program.step import Solve, StepProgram
from odespec.records import dataclass

Rule = Callable[[StepProgram], Callable[[Expr], Expr]]

LARGEST_POWER = 16
BATCH = 64
"""The number of runs at once for which the cost of products is estimated."""


@dataclass(frozen=True, slots=True)
class Pass:
    name: str
    doc: str
    rule: Rule


def optimise(program: StepProgram) -> StepProgram:
    """The program after all passes."""
    for step in PASSES:
        program = run_pass(step, program)
    return program


def run_pass(step: Pass, program: StepProgram) -> StepProgram:
    """The program after one pass; what its parts share stays shared."""
    roots = (*program.update, *(v for group in program.solves for v in group.values))
    new = iter(rewrite(roots, step.rule(program)))
    update = tuple(next(new) for _ in program.update)
    solves = tuple(Solve(group.unknowns, tuple(next(new) for _ in group.values)) for group in program.solves)
    return replace(program, update=update, solves=solves)


# --- constants -----------------------------------------------------------------


def _uniform(e: Expr) -> Real | None:
    """The number that is every entry of an expression, if it is written so."""
    return e.data if e.op in ("const", "full") else None  # type: ignore[return-value]


def fold(e: Expr) -> Expr:
    """Constants by constants, transposes undone, sums of uniform tensors."""
    numbers = [_uniform(a) for a in e.args]
    known = [n for n in numbers if n is not None]
    if e.args and len(known) == len(numbers) and e.op in _FOLDS:
        result = _FOLDS[e.op](e, *known)
        return e if result is None else full(result, e.shape)
    if e.op == "div" and known and numbers[1] is not None and isinstance(numbers[1], Fraction) and numbers[1] != 0:
        return mul(const(1 / numbers[1]), e.args[0]) if e.args[0].shape == e.shape else e
    if e.op == "transpose":
        return _fold_transpose(e)
    return e


def _fold_transpose(e: Expr) -> Expr:
    inner = e.args[0]
    if inner.op == "transpose":
        return inner.args[0]
    if inner.op == "full":
        return full(inner.data, e.shape)  # type: ignore[arg-type]
    return inner if inner.op == "diag" or (inner.op == "eye" and len(inner.shape) == 2) else e


def _quotient(e: Expr, a: Real, b: Real) -> Real | None:
    return a / b if isinstance(b, Fraction) and b != 0 else None


def _power(e: Expr, a: Real) -> Real | None:
    n = e.data
    if not isinstance(a, Fraction) or not isinstance(n, Fraction) or n.denominator != 1:
        return None
    if abs(n) > LARGEST_POWER or (a == 0 and n < 0):
        return None
    return a ** int(n)


def _total(e: Expr, a: Real) -> Real:
    return a * Fraction(prod(e.args[0].shape), prod(e.shape))


_FOLDS: dict[str, Callable[..., Real | None]] = {
    "add": lambda e, a, b: a + b,
    "mul": lambda e, a, b: a * b,
    "div": _quotient,
    "pow": _power,
    "sum": _total,
    "mean": lambda e, a: a,
    "dot": lambda e, a, b: a * b * prod(e.args[0].shape),
    "min": lambda e, a: a,
    "max": lambda e, a: a,
}


# --- zeros and ones ------------------------------------------------------------


def drop_zeros(e: Expr) -> Expr:
    """Terms that are zero, factors that are one or the identity."""
    if e.op == "add":
        keep = [a for a in e.args if not is_zero(a)]
        return keep[0] if len(keep) == 1 and keep[0].shape == e.shape else full(0, e.shape) if not keep else e
    if e.op == "mul":
        if any(is_zero(a) for a in e.args):
            return full(0, e.shape)
        keep = [a for a in e.args if not is_one(a)]
        return keep[0] if len(keep) == 1 and keep[0].shape == e.shape else e
    if e.op == "matmul":
        if any(is_zero(a) for a in e.args):
            return full(0, e.shape)
        left, right = e.args
        if left == eye(left.shape[0]) and e.data is None:
            return right
        return left if len(right.shape) == 2 and right == eye(right.shape[0]) else e
    if e.op in ("transpose", "diag", "offdiag", "apply", "pool", "channel") and any(is_zero(a) for a in e.args):
        return full(0, e.shape)
    return e


# --- sharing -------------------------------------------------------------------


def share_commuted(program: StepProgram) -> Callable[[Expr], Expr]:
    """``b * a`` is ``a * b`` where that occurs before it. The order of what occurs once is left as it was written."""
    seen: set[Expr] = set()

    def change(e: Expr) -> Expr:
        if e.op not in ("add", "mul", "dot"):
            return e
        swapped = Expr(e.op, e.args[::-1], e.shape, e.data)
        if swapped in seen:
            return swapped
        seen.add(e)
        return e

    return change


def pull_numbers(e: Expr) -> Expr:
    """Numbers out of the factors of a product, to its front: ``(2 a) * (3 b)`` and ``A @ (2 x)``."""
    if e.op in ("mul", "matmul") and e.args[0].op != "const":
        left, right = _scaled(e.args[0]), _scaled(e.args[1])
        number = left[0] * right[0]
        if number != 1 and not (e.op == "matmul" and right[0] == 1):
            inner = mul(left[1], right[1]) if e.op == "mul" else _product(e, left[1], right[1])
            return mul(const(number), inner) if inner.shape == e.shape else e
    return e


def _scaled(e: Expr) -> tuple[Real, Expr]:
    if e.op == "mul" and e.args[0].op == "const" and e.args[1].shape == e.shape:
        return e.args[0].data, e.args[1]  # type: ignore[return-value]
    return Fraction(1), e


def _product(e: Expr, a: Expr, b: Expr) -> Expr:
    return matmul(a, b) if e.data is None else Expr("matmul", (a, b), e.shape, e.data)


# --- products of matrices ------------------------------------------------------


def chains(program: StepProgram) -> Callable[[Expr], Expr]:
    """``(A @ B) @ x`` as ``A @ (B @ x)`` where that is cheaper over all steps and `BATCH` runs.

    A product of matrices that is the same in all steps is computed once; one of weights per step in each step.
    """
    moving = moving_leaves(program)
    fixed: dict[Expr, bool] = {}

    def change(e: Expr) -> Expr:
        if e.op != "matmul" or e.data is not None or e.args[0].op != "matmul" or not _varies(e.args[1]):
            return e
        (a, b), x = e.args[0].args, e.args[1]
        times = 1 if _invariant(e.args[0], moving, fixed) else program.steps
        together = times * a.shape[0] * prod(b.shape) + program.steps * BATCH * a.shape[0] * prod(x.shape)
        apart = program.steps * BATCH * (prod(b.shape) + prod(a.shape)) * prod(x.shape[1:])
        return change(matmul(a, matmul(b, x))) if apart < together else e

    return change


def _varies(e: Expr) -> bool:
    return any(n.op in ("state", "stage") for n in postorder(e))


def _invariant(e: Expr, moving: frozenset[Expr], known: dict[Expr, bool]) -> bool:
    for node in postorder(e):
        if node not in known:
            known[node] = node not in moving and all(known[a] for a in node.args)
    return known[e]


PASSES: tuple[Pass, ...] = (
    Pass("fold", "constants by constants", lambda program: fold),
    Pass("numbers", "numbers in front of products", lambda program: pull_numbers),
    Pass("zeros", "zero terms, factors of one", lambda program: drop_zeros),
    Pass("chains", "the cheaper order of products of matrices", chains),
    Pass("share", "equal sums and products of two orders are one", share_commuted),
)


# --- what to compute when ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Split:
    """The largest expressions that do not depend on the states.

    ``once``: the same in all steps. ``stepwise``: functions of data per step or of the time, for all steps at once.
    """

    once: tuple[Expr, ...]
    stepwise: tuple[Expr, ...]


def moving_leaves(program: StepProgram) -> frozenset[Expr]:
    """The leaves whose values differ from step to step."""
    model = program.model
    named: list[tuple[str, str, Shape]] = [("state", s.name, s.shape) for s in model.states]
    named += [("param", p.name, p.shape) for p in model.params if p.per_step]
    named += [("input", u.name, u.shape) for u in model.inputs if u.per_step]
    named += [("noise", w.name, w.shape) for w in model.noises]
    unknowns = [u for group in program.solves for u in group.unknowns]
    return frozenset([leaf(*n) for n in named] + unknowns + [Expr("time", (), ())])


def split_invariant(program: StepProgram) -> Split:
    """What can be computed before the loop over the steps. Leaves, and numbers alone, are not listed."""
    moving = moving_leaves(program)
    level: dict[Expr, int] = {}
    used: dict[Expr, int] = {}
    roots = (*program.update, *(v for group in program.solves for v in group.values))
    for node in postorder(*roots):
        own = (2 if node.op in ("state", "stage", "noise") else 1) if node in moving else 0
        level[node] = max([own, *(level[a] for a in node.args)])
        for a in node.args:
            used[a] = max(used.get(a, 0), level[node])
    for root in roots:
        used[root] = 2
    best = [n for n in level if n.args and used[n] > level[n] and not _only_numbers(n)]
    return Split(tuple(n for n in best if level[n] == 0), tuple(n for n in best if level[n] == 1))


def _only_numbers(e: Expr) -> bool:
    return all(n.args or n.op in ("const", "full", "eye", "array") for n in postorder(e))
