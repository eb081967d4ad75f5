"""Why a field is Lipschitz in the states, with some constant for each choice of weights: a chain of plain rules.

Every node is constant (reads no state), Lipschitz, or bounded and Lipschitz; the auditor derives which from the rules.
"""

from __future__ import annotations

from typing import Any

from odespec.activations import ACTIVATIONS, named
from odespec.ir.expr import Expr, depends_on, postorder
from odespec.ir.model import Model
from odespec.prove.relate.words import text

LINEAR = frozenset({"add", "sum", "mean", "transpose", "diag", "offdiag", "channel", "pool", "norm", "min", "max"})
PRODUCTS = frozenset({"mul", "matmul", "apply", "dot"})
TAME = frozenset(
    {"add", "mul", "matmul", "apply", "dot", "act", "sum", "mean", "transpose", "diag", "offdiag", "channel"}
)
"""Operations that are continuous in the time, so that a constant of it is bounded on the interval."""

LONGEST = 200


def lipschitz_rules(model: Model) -> dict[str, Any] | None:
    """The data of the route ``lipschitz rules``; None where an operation has no rule."""
    nodes = list(postorder(*model.field))
    place: dict[Expr, int] = {}
    rules: list[dict[str, Any]] = []
    for node in nodes:
        found = _rule(node)
        if found is None:
            return None
        args = [] if found == "constant" else [place[a] for a in node.args]
        place[node] = len(rules)
        rules.append({"rule": found, "args": args, "what": text(node, LONGEST)[:LONGEST]})
    return {"nodes": rules, "field": [place[f] for f in model.field]}


def _rule(node: Expr) -> str | None:
    if node.op == "state":
        return "state"
    if not depends_on(node, "state"):
        return "constant" if _tame(node) else None
    if node.op in LINEAR:
        return "linear"
    if node.op in PRODUCTS:
        return "product"
    if node.op == "div":
        return "quotient" if not depends_on(node.args[1], "state") and _tame(node.args[1], divisor=True) else None
    if node.op in ("softmax", "layernorm"):
        return "bounded"
    if node.op == "act":
        return _activation(node)
    if node.op == "pow" and node.data > 0 and node.data.denominator == 1:  # type: ignore[operator, attr-defined]
        return "smooth"
    return None


def _activation(node: Expr) -> str | None:
    name, parameters = named(node)
    slope, values = ACTIVATIONS[name].slope(parameters), ACTIVATIONS[name].range(parameters)
    if slope.lower is not None and slope.upper is not None:
        return "bounded" if values.lower is not None and values.upper is not None else "linear"
    return "smooth" if name in ("exp", "square") else None


def _tame(node: Expr, divisor: bool = False) -> bool:
    """Whether a constant is finite, and bounded over the time."""
    if not depends_on(node, "time"):
        return True
    return not divisor and all(n.op in TAME or not depends_on(n, "time") or not n.args for n in postorder(node))
