"""What to compute when, and what to call it: for every back end that prints a step program as straight-line code."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from odespec.ir.expr import Expr, postorder
from odespec.ir.model import Model
from odespec.program.step import StepProgram


def needed(roots: Sequence[Expr], known: Container[Expr]) -> list[Expr]:
    """What has to be computed for some expressions, arguments first; what is known is not looked into."""
    order: list[Expr] = []
    done: set[Expr] = set()
    pending = [(root, False) for root in reversed(roots)]
    while pending:
        node, ready = pending.pop()
        if node in done or node in known:
            continue
        if ready:
            done.add(node)
            order.append(node)
            continue
        pending.append((node, True))
        pending.extend((a, False) for a in reversed(node.args))
    return order


def changing(model: Model) -> frozenset[Expr]:
    """The leaves that differ from step to step."""
    from odespec.ir.expr import TIME, leaf

    found = {TIME, *(leaf("state", s.name, s.shape) for s in model.states)}
    found |= {leaf("param", p.name, p.shape) for p in model.params if p.per_step}
    found |= {leaf("input", u.name, u.shape) for u in model.inputs if u.per_step}
    found |= {leaf("noise", w.name, w.shape) for w in model.noises}
    return frozenset(found)


def invariant(roots: Iterable[Expr], changes: Container[Expr], worth: Callable[[Expr], bool]) -> tuple[Expr, ...]:
    """The largest subexpressions that are the same in every step and ``worth`` computing once."""
    varies: dict[Expr, bool] = {}
    found: dict[Expr, None] = {}
    roots = tuple(roots)
    for node in postorder(*roots):
        varies[node] = node in changes or node.op == "stage" or any(varies[a] for a in node.args)
        if varies[node]:
            found.update((a, None) for a in node.args if not varies[a] and worth(a))
    found.update((r, None) for r in roots if not varies[r] and worth(r))
    return tuple(found)


def slope_names(program: StepProgram) -> dict[Expr, str]:
    """Names for the slopes of a step in the order in which they are computed.

    A slope is what is added to a state, times a number: in ``x + a*k1 + b*k2`` they are k1 and k2. With several states
    the name has the state in it: ``k1_x``.
    """
    order = tuple(postorder(*program.update))
    owner = _owners(order)
    single = len(program.model.states) == 1
    names: dict[Expr, str] = {}
    counts: dict[str, int] = {}
    slopes = _slopes(order, owner)
    for node in order:
        if node in slopes and node.args:
            state = slopes[node]
            counts[state] = counts.get(state, 0) + 1
            names[node] = f"k{counts[state]}" if single else f"k{counts[state]}_{state}"
    return names


def _owners(order: Iterable[Expr]) -> dict[Expr, str]:
    """The state that every sum begins with, where it does."""
    owner: dict[Expr, str] = {}
    for node in order:
        if node.op == "state":
            owner[node] = str(node.data)
        elif node.op == "add" and node.args[0] in owner and node.shape == node.args[0].shape:
            owner[node] = owner[node.args[0]]
    return owner


def _slopes(order: Iterable[Expr], owner: dict[Expr, str]) -> dict[Expr, str]:
    found: dict[Expr, str] = {}
    for node in order:
        if node not in owner or not node.args:
            continue
        term = node.args[1]
        if term.op == "mul" and term.args[0].op == "const":
            found.setdefault(term.args[1], owner[node])
    return found
