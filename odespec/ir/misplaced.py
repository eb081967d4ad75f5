"""Which kinds of names may stand where: a constraint speaks of weights, a domain of what comes in, and so on."""

from __future__ import annotations

from odespec.ir.declare import Draft
from odespec.ir.values import POISON, Typed, Value
from odespec.ir.walk import key, names
from odespec.source import Span
from odespec.syntax import tree

_WORDS = {"time": "the time `t`", "initial": "an initial value", "value": "a layer"}


def check_kinds(node: tree.Expr, value: Typed, allowed: frozenset[str], where: str, draft: Draft) -> Typed:
    """The value itself, or poison with a report where it reads something that cannot stand there."""
    if not isinstance(value, Value):
        return POISON
    wrong = sorted(value.kinds - allowed)
    if not wrong:
        return value
    kind = wrong[0]
    name, span = _culprit(node, kind, draft)
    notes = draft.context.declaration(name)
    what = _WORDS.get(kind, f"the {kind} `{name}`")
    return draft.context.error("ODE220", span, notes=notes, what=what, where=where)


def _culprit(node: tree.Expr, kind: str, draft: Draft) -> tuple[str, Span]:
    """The first name in the expression that brings in this kind, directly or through a let."""
    for name in names(node):
        known = key(name.name, name.primes)
        value = draft.context.values.get(known)
        if (known == "t" and kind == "time") or (isinstance(value, Value) and kind in value.kinds):
            return known, name.span
    return "", node.span


def per_step_names(draft: Draft) -> frozenset[str]:
    """The params and inputs with one entry for each step."""
    return frozenset(v.name for v in draft.given() if v.per_step)
