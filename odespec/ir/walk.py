"""Walking syntax trees without recursion: a chain of thousands of terms is as deep as it is long."""

from __future__ import annotations

from collections.abc import Iterator

from odespec.syntax import tree


def children(node: tree.Expr) -> tuple[tree.Expr, ...]:
    """The operands of a node; values of keywords are not among them."""
    if isinstance(node, tree.Binary):
        return (node.left, node.right)
    if isinstance(node, (tree.Negate, tree.Transpose)):
        return (node.operand,)
    if isinstance(node, tree.Call):
        return node.args
    if isinstance(node, tree.Array):
        return node.items
    if isinstance(node, tree.Sized):
        return node.sizes
    return ()


def tree_postorder(root: tree.Expr) -> Iterator[tree.Expr]:
    """Every node, operands before what uses them."""
    pending: list[tuple[tree.Expr, bool]] = [(root, False)]
    while pending:
        node, ready = pending.pop()
        below = children(node)
        if ready or not below:
            yield node
            continue
        pending.append((node, True))
        pending.extend((c, False) for c in reversed(below))


def names(root: tree.Expr) -> Iterator[tree.Name]:
    """Every name that stands in an expression, keywords' values included, and the states of ``x(0)``."""
    pending: list[tree.Expr] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, tree.Name):
            yield node
        if isinstance(node, tree.Call):
            yield tree.Name(node.name_span, node.name, node.primes)
            pending.extend(k.value for k in node.keywords)
        pending.extend(reversed(children(node)))


def key(name: str, primes: int = 0) -> str:
    """The name under which a state or a velocity is known: ``x``, ``x'``."""
    return name + "'" * primes
