"""Which matrices are symmetric by the way in which they are written."""

from __future__ import annotations

from collections.abc import Mapping

from odespec.ir import expr as ex
from odespec.ir.expr import Expr, postorder

SYMMETRIC = frozenset({"symmetric", "psd", "diagonal"})
MAX_PARTS = 64
"""Longer sums and products are not searched for partners."""


def is_symmetric(matrix: Expr, structures: Mapping[Expr, str]) -> bool:
    """Whether a matrix equals its transpose for certain: by structure, or as ``A + A.T``, ``A.T @ D @ A`` and such."""
    known: dict[Expr, bool] = {}
    for node in postorder(matrix):
        known[node] = _node(node, known, structures)
    return known[matrix]


def _node(node: Expr, known: dict[Expr, bool], structures: Mapping[Expr, str]) -> bool:
    if len(node.shape) != 2 or node.shape[0] != node.shape[1]:
        return False
    if node.op in ("eye", "full", "diag", "laplacian", "adjacency") or structures.get(node) in SYMMETRIC:
        return True
    if node.op == "array":
        assert isinstance(node.data, tuple)
        return node.data == tuple(zip(*node.data, strict=True))
    if node.op == "matmul":
        return _palindrome(node, known)
    if node.op == "add":
        return _sum(node, known)
    if node.op in ("mul", "div", "transpose", "act", "offdiag", "pow"):
        return all(known[a] or not a.shape for a in node.args)
    return False


def _factors(node: Expr) -> list[Expr]:
    """The factors of a product of matrices, from left to right."""
    pending, factors = [node], list[Expr]()
    while pending and len(factors) <= MAX_PARTS:
        e = pending.pop()
        if e.op == "matmul" and e.data is None and len(e.shape) == 2:
            pending.extend((e.args[1], e.args[0]))
        elif e.op == "mul" and not e.args[0].shape:
            pending.append(e.args[1])
        else:
            factors.append(e)
    return factors


def _palindrome(node: Expr, known: dict[Expr, bool]) -> bool:
    """``A.T @ A``, ``A @ S @ A.T`` with a symmetric S."""
    factors = _factors(node)
    if len(factors) > MAX_PARTS:
        return False
    while len(factors) > 1:
        first, last = factors[0], factors[-1]
        if len(first.shape) != 2 or first != ex.transpose(last):
            return False
        factors = factors[1:-1]
    return not factors or known.get(factors[0], False)


def _sum(node: Expr, known: dict[Expr, bool]) -> bool:
    """Terms that are symmetric, or that come in pairs ``A`` and ``A.T`` with one coefficient."""
    pending, rest = list(node.args), []
    while pending:
        e = pending.pop()
        if e.op == "add" and not known.get(e, False):
            pending.extend(e.args)
        elif not known.get(e, False) and e.shape:
            rest.append(e)
        if len(rest) > MAX_PARTS:
            return False
    while rest:
        e = rest.pop()
        factor, matrix = (e.args[0], e.args[1]) if e.op == "mul" and not e.args[0].shape else (ex.const(1), e)
        if len(matrix.shape) != 2:
            return False
        partner = ex.mul(factor, ex.transpose(matrix))
        if partner not in rest:
            return False
        rest.remove(partner)
    return True
