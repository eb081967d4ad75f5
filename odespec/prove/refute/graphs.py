"""Graphs as matrices: a model whose graphs are inputs ``graph G``, their adjacency matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from odespec.exact import enclose
from odespec.ir.expr import Expr, add, leaf, neg, rewrite, total
from odespec.ir.model import Claim, Graph, Input, Model, Relation
from odespec.weights.arithmetic import Array
from odespec.weights.draw import Rng
from odespec.weights.evaluate import Unsupported


def name_of(graph: str) -> str:
    return f"graph {graph}"


def as_matrices(model: Model) -> Model:
    """The same model with matrices in place of graphs; their constraints are those of `graph_violations`.

    Raises `Unsupported` where the incidence or the normalised matrix of a graph is used.
    """
    if not model.graphs:
        return model
    inputs = tuple(Input(name_of(g.name), (g.nodes, g.nodes), None, False, g.span) for g in model.graphs)
    initial = {s.name: s.initial for s in model.states if s.initial is not None}
    changed = dict(zip(initial, rewrite(initial.values(), _matrix), strict=True))
    return replace(
        model,
        states=tuple(replace(s, initial=changed.get(s.name)) for s in model.states),
        inputs=(*model.inputs, *inputs),
        graphs=(),
        field=rewrite(model.field, _matrix),
        constraints=tuple(r for r in model.constraints if r.quantity != "degree"),
        claims=tuple(_claim(c) for c in model.claims),
    )


def _claim(claim: Claim) -> Claim:
    return claim if claim.relation is None else replace(claim, relation=relation_of(claim.relation))


def relation_of(relation: Relation) -> Relation:
    """A relation with matrices in place of graphs."""
    (operand,) = rewrite((relation.operand,), _matrix)
    lower, upper = (rewrite((b,), _matrix)[0] if isinstance(b, Expr) else b for b in (relation.lower, relation.upper))
    return replace(relation, operand=operand, lower=lower, upper=upper)


def _matrix(node: Expr) -> Expr:
    if node.op not in ("laplacian", "adjacency", "incidence"):
        return node
    if node.op == "incidence" or node.data:
        raise Unsupported(node.op)
    matrix = leaf("input", name_of(str(node.args[0].data)), node.shape)
    if node.op == "adjacency":
        return matrix
    return add(Expr("diag", (total(matrix, (1,)),), node.shape), neg(matrix))


def largest_degree(model: Model, graph: str) -> Fraction | None:
    """The smallest bound on the degrees of a graph; None where there is none."""
    bounds = [r.upper for r in model.constraints if r.quantity == "degree" and r.operand.data == graph]
    return min((enclose(b)[0] for b in bounds if b is not None and not isinstance(b, Expr)), default=None)


def graph_violations(model: Model, inputs: Mapping[str, Array]) -> list[str]:
    """What is wrong with the adjacency matrices: they are of edges without weights, of no node more than allowed."""
    found = []
    for g in model.graphs:
        matrix = inputs.get(name_of(g.name))
        if matrix is None or matrix.shape != (g.nodes, g.nodes):
            found.append(f"`{g.name}` is missing")
            continue
        plain = bool(np.isin(matrix, (0.0, 1.0)).all() and (matrix == matrix.T).all() and not matrix.diagonal().any())
        top = largest_degree(model, g.name)
        if not plain or (top is not None and Fraction(float(matrix.sum(axis=1).max(initial=0))) > top):
            found.append(f"`{g.name}` is no graph that the constraints allow")
    return found


def draw_graphs(graph: Graph, top: Fraction | None, rng: Rng, count: int) -> Array:
    """``[count, n, n]`` adjacency matrices: stars, cliques and random graphs of no larger degree."""
    n = graph.nodes
    most = n - 1 if top is None else min(n - 1, int(top))
    result = np.zeros((count, n, n))
    for matrix in result:
        order = rng.permutation(n)
        style = rng.integers(0, 3)
        for a in range(n):
            for b in range(a):
                i, j = int(order[a]), int(order[b])
                wanted = b == 0 if style == 0 else a <= most if style == 1 else rng.random() < 0.5
                if wanted and matrix[i].sum() < most and matrix[j].sum() < most:
                    matrix[i, j] = matrix[j, i] = 1.0
    return result
