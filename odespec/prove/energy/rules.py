"""One rule for each operation: what its vector is made of, and how."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from odespec.ir.expr import Expr, act, const, power, total, transpose
from odespec.prove.energy.scalar import moving
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.relate.exponentials import applied
from odespec.prove.relate.operators import Letter, NoRelation
from odespec.prove.relate.rules import spread

if TYPE_CHECKING:
    from odespec.prove.energy.values import ValueReader

ONE = Fraction(1)

Reads = Callable[[Expr], tuple[Expr, ...]]


def nothing(node: Expr) -> tuple[Expr, ...]:
    return ()


def _all(node: Expr) -> tuple[Expr, ...]:
    return node.args


def _matmul_reads(node: Expr) -> tuple[Expr, ...]:
    a, b = node.args
    if node.data == "last":
        return (a,) if not moving(b) or moving(a) else ()
    return (a,) if moving(a) and not moving(b) else (b,)


def _dot_reads(node: Expr) -> tuple[Expr, ...]:
    a, b = node.args
    return (b,) if not moving(a) else (a,) if not moving(b) else ()


def _exponential(node: Expr) -> Expr:
    return act("exp", node.args[0])


def _softmax(reader: ValueReader, node: Expr) -> Vector:
    """``exp(z) / sum(exp(z))``, as the gradient of ``log(sum(exp(z)))`` has it."""
    if len(node.shape) != 1:
        return reader.fresh(node)
    e = _exponential(node)
    return reader.symbols.scale(reader.algebra.scalar(power(total(e), Fraction(-1))), reader.of(e))


def _phi_reads(node: Expr) -> tuple[Expr, ...]:
    """Of ``phi_k(Z) @ x`` with one x, and Z the same at all states, the x."""
    assert isinstance(node.data, tuple)
    return node.args[1:2] if node.data[2] == 1 and not moving(node.args[0]) else ()


READS: dict[str, Reads] = {
    "add": _all,
    "matmul": _matmul_reads,
    "apply": lambda node: node.args[1:],
    "sum": _all,
    "mean": _all,
    "channel": _all,
    "dot": _dot_reads,
    "act": _all,
    "layernorm": _all,
    "phi": _phi_reads,
    "softmax": lambda node: (_exponential(node),),
}


def fresh(reader: ValueReader, node: Expr) -> Vector:
    if node.op == "noise":
        raise NoRelation("noise stands in the step")
    return reader.fresh(node) if node.shape else reader.number(node)


def _leaf(reader: ValueReader, node: Expr) -> Vector:
    if not node.shape and node.op not in ("state", "stage"):
        return reader.number(node)
    return reader.fresh(node)


def _full(reader: ValueReader, node: Expr) -> Vector:
    if isinstance(node.data, Fraction):
        return combine((node.data, reader.ones(node)))
    return reader.symbols.scale(reader.algebra.scalar(const(node.data)), reader.ones(node))  # type: ignore[arg-type]


def _add(reader: ValueReader, node: Expr) -> Vector:
    return combine(*((ONE, spread(reader, reader.of(a), a.shape, node.shape)) for a in node.args))


def _matmul(reader: ValueReader, node: Expr) -> Vector:
    a, b = node.args
    reads = _matmul_reads(node)
    if not reads:
        return reader.fresh(node)
    if reads == (a,):
        if len(b.shape) == 1:
            return reader.symbols.push(Letter(reader.algebra.column(b), True), reader.of(a), last=True)
        if len(b.shape) != 2:
            return reader.fresh(node)
        return reader.symbols.apply(reader.algebra.polynomial(transpose(b)), reader.of(a), last=True)
    return reader.symbols.apply(reader.algebra.polynomial(a), reader.of(b))


def _apply(reader: ValueReader, node: Expr) -> Vector:
    return reader.symbols.apply(reader.algebra.polynomial(node.args[0]), reader.of(node.args[1]))


def _sum(reader: ValueReader, node: Expr) -> Vector:
    axes = node.data if isinstance(node.data, tuple) else None
    shape = node.args[0].shape
    if not shape:
        return reader.of(node.args[0])
    image = reader.symbols.push(Letter(reader.algebra.total(shape, axes)), reader.of(node.args[0]))
    count = prod(shape) // max(prod(node.shape), 1) if node.op == "mean" else 1
    return combine((Fraction(1, count), image))


def _channel(reader: ValueReader, node: Expr) -> Vector:
    atom = reader.algebra.total(node.shape, tuple(range(len(node.args[0].shape), len(node.shape))))
    return reader.symbols.push(Letter(atom, True), reader.of(node.args[0]))


def _dot(reader: ValueReader, node: Expr) -> Vector:
    a, b = node.args
    reads = _dot_reads(node)
    if not reads or not a.shape:
        return reader.number(node)
    fixed = a if reads == (b,) else b
    return reader.symbols.push(Letter(reader.algebra.column(fixed), True), reader.of(reads[0]))


def _phi(reader: ValueReader, node: Expr) -> Vector:
    reads = _phi_reads(node)
    assert isinstance(node.data, tuple)
    return applied(reader, node.data[0], node.args[0], reader.of(reads[0]), node.shape) if reads else reader.fresh(node)


RULES: dict[str, Callable[[ValueReader, Expr], Vector]] = {
    **dict.fromkeys(("state", "stage", "param", "input", "array", "time"), _leaf),
    "const": lambda reader, node: reader.number(node),
    "full": _full,
    "add": _add,
    "matmul": _matmul,
    "apply": _apply,
    "sum": _sum,
    "mean": _sum,
    "channel": _channel,
    "dot": _dot,
    "act": lambda reader, node: reader.activation(node),
    "layernorm": lambda reader, node: reader.layernorm(node),
    "phi": _phi,
    "softmax": _softmax,
}
