"""Typed tensor expressions: the one vocabulary of fields, step programs, relations and emitted code.

An expression is a node of a directed acyclic graph: an operation, its arguments, its shape and data of the operation.
Equal expressions compare equal (the hash is cached), so sharing needs no extra pass. Graphs can be deep: walk them with
`postorder` and `rewrite`, never by recursion.

The operations, with the shape they need and what ``data`` holds:

====================  ==============================================================================================
leaf                  meaning
====================  ==============================================================================================
``const``             a real number, shape ``()``; data: ``Fraction`` or ``Irrational``
``array``             a constant array; data: nested tuples of numbers
``eye``               the identity, shape ``(n, n)``; of tensors, output axes followed by input axes
``full``              every entry equal; data: the number
``time``              the time at the start of the step (in a field: the time), shape ``()``
``state`` ``param``   a declared name; data: the name. In a step program ``state`` is the value at the start of it
``input`` ``noise``   as above; one entry of a ``per step`` declaration is the value at the step at hand
``initial``           the initial value of a state, in an ``invariant``; data: the name
``graph``             an undirected graph as its edges; data: the name
``stage``             an unknown of an implicit step; data: its number
``past``              what a multistep method remembers of earlier steps; data: its name, ``x[-1]`` or ``f(x)[-1]``
``bound``             an s >= norm(argument), s >= 1e-12: the norm of a weight that stands in a field; data: 2, 1, "inf"
====================  ==============================================================================================

====================  ==============================================================================================
operation             meaning
====================  ==============================================================================================
``add`` ``mul``       elementwise, two arguments; equal shapes, or one of them is a scalar
``div``               elementwise, same rule
``pow``               elementwise power; data: the rational exponent
``matmul``            matrix by vector ``(m, d) (d) -> (m)``; matrix by tensor ``(m, d) (d, c…) -> (m, c…)``;
                      tensor by matrix on the last axis: data ``"last"``, arguments tensor, matrix
``transpose``         of a matrix or an operator
``conv``              the operator of a kernel; data: `Convolution`; shape: output axes followed by input axes
``laplacian`` etc.    the n x n matrix of a graph (``laplacian``, ``adjacency``); data: ``()`` or ``("normalized",)``
``incidence``         of a graph, a row for each of the n (n - 1) / 2 possible edges, zero where there is none
``apply``             an operator by a tensor of its input shape
``compose``           two operators one after the other (not in fields), the second one first
``lifted``            a matrix as an operator on tensors: on the first axis, or from the right on the last one; data:
                      ``"first"`` or ``"last"`` (not in fields)
``phi``               one of s tensors v after ``phi_k(Z)`` of exponential integrators, Z made of s x s operators;
                      arguments: the operators, row by row, then the tensors; data: ``(k, which, s)`` (not in fields)
``exponential``       the operator ``phi_k(Z)`` itself; data: k (in relations only)
``diag`` ``offdiag``  vector to diagonal matrix (tensor to operator); a matrix without its diagonal
``act``               an activation of `odespec.activations`, elementwise; data: `(name, parameters)`
``softmax``           data: the axis
``layernorm``         data: `(axis, eps)`
``sum`` ``mean``      data: the axes summed over (a tuple), or None for all
``min`` ``max``       over all entries
``dot``               the inner product of two tensors of equal shape
``norm``              the vector norm of all entries; data: 2, 1 or "inf"
``opnorm``            the operator norm of a matrix or operator; data: 2, 1 or "inf"
``channel``           a tensor spread over further axes behind its own (the shape says how many)
``pool``              means over k by k blocks of the last two axes; data: k
====================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from fractions import Fraction

from odespec.exact import Real
from odespec.records import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Convolution:
    """How a kernel acts: ``spatial`` is the size of the input grid."""

    spatial: tuple[int, ...]
    padding: str = "circular"
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """A node. Build it with the functions of this module, which compute the shape and simplify zeros and ones."""

    op: str
    args: tuple[Expr, ...]
    shape: Shape
    data: object = None
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.op, self.args, self.shape, self.data)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and _same(self, other))


def _same(a: Expr, b: Expr) -> bool:
    """Structural equality without recursion; pairs already compared are not compared again."""
    pending, seen = [(a, b)], set()
    while pending:
        left, right = pending.pop()
        if left is right or (id(left), id(right)) in seen:
            continue
        if left._hash != right._hash or (left.op, left.shape, left.data) != (right.op, right.shape, right.data):
            return False
        if len(left.args) != len(right.args):
            return False
        seen.add((id(left), id(right)))
        pending.extend(zip(left.args, right.args, strict=True))
    return True


# --- walking -------------------------------------------------------------------


def postorder(*roots: Expr) -> Iterator[Expr]:
    """Every distinct node once, arguments before what uses them, in a stable order."""
    done: set[Expr] = set()
    pending: list[tuple[Expr, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        node, ready = pending.pop()
        if node in done:
            continue
        if ready:
            done.add(node)
            yield node
            continue
        pending.append((node, True))
        pending.extend((a, False) for a in reversed(node.args) if a not in done)


def rewrite(roots: Iterable[Expr], change: Callable[[Expr], Expr]) -> tuple[Expr, ...]:
    """Rebuild the graph bottom-up; ``change`` gets each node with its arguments already rebuilt."""
    roots = tuple(roots)
    new: dict[Expr, Expr] = {}
    for node in postorder(*roots):
        args = tuple(new[a] for a in node.args)
        rebuilt = node if all(x is y for x, y in zip(args, node.args, strict=True)) else rebuild(node, args)
        new[node] = change(rebuilt)
    return tuple(new[root] for root in roots)


def substitute(roots: Iterable[Expr], values: dict[Expr, Expr]) -> tuple[Expr, ...]:
    """Replace leaves (or any nodes) by expressions of the same shape, all at once: what is put in is not read again."""
    roots = tuple(roots)
    new: dict[Expr, Expr] = {}
    for node in postorder(*roots):
        args = tuple(new[a] for a in node.args)
        same = all(x is y for x, y in zip(args, node.args, strict=True))
        new[node] = values[node] if node in values else node if same else rebuild(node, args)
    return tuple(new[root] for root in roots)


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same operation on other arguments, simplified where `add`, `mul` and `matmul` would."""
    if node.op == "add":
        return add(*args)
    if node.op == "mul":
        return mul(*args)
    if node.op == "matmul" and node.data is None:
        return matmul(*args)
    return Expr(node.op, args, node.shape, node.data)


def leaves(*roots: Expr) -> frozenset[tuple[str, object]]:
    """The ``(op, data)`` of every node without arguments."""
    return frozenset((n.op, n.data) for n in postorder(*roots) if not n.args)


def depends_on(root: Expr, *ops: str) -> bool:
    """Whether a node of one of these operations occurs in the expression."""
    return any(n.op in ops for n in postorder(root))


# --- building ------------------------------------------------------------------


def const(value: Real | int) -> Expr:
    return Expr("const", (), (), Fraction(value) if isinstance(value, int) else value)


def leaf(op: str, name: str, shape: Shape) -> Expr:
    """``state``, ``param``, ``input``, ``noise``, ``initial``, ``graph``."""
    return Expr(op, (), shape, name)


TIME = Expr("time", (), ())


def eye(n: int) -> Expr:
    return Expr("eye", (), (n, n))


def full(value: Real | int, shape: Shape) -> Expr:
    if not shape:
        return const(value)
    return Expr("full", (), shape, Fraction(value) if isinstance(value, int) else value)


def is_zero(e: Expr) -> bool:
    return e.op in ("const", "full") and e.data == 0


def is_one(e: Expr) -> bool:
    return e.op in ("const", "full") and e.data == 1


def _meet(a: Expr, b: Expr) -> Shape:
    """The shape of an elementwise operation. Raises ValueError where the shapes do not meet."""
    if a.shape == b.shape or not b.shape:
        return a.shape
    if not a.shape:
        return b.shape
    raise ValueError(f"shapes {a.shape} and {b.shape} do not meet")


def add(a: Expr, b: Expr) -> Expr:
    shape = _meet(a, b)
    if a.op == b.op == "const":
        return const(a.data + b.data)  # type: ignore[operator]
    if is_zero(a) and b.shape == shape:
        return b
    if is_zero(b) and a.shape == shape:
        return a
    return Expr("add", (a, b), shape)


def mul(a: Expr, b: Expr) -> Expr:
    """Elementwise product; a constant factor is kept in front and merged with an inner one."""
    shape = _meet(a, b)
    if b.op == "const" and a.op != "const":
        a, b = b, a
    if a.op == b.op == "const":
        return const(a.data * b.data)  # type: ignore[operator]
    if is_zero(a) or is_zero(b):
        return full(0, shape)
    if is_one(a) and b.shape == shape:
        return b
    if is_one(b) and a.shape == shape:
        return a
    if a.op == "const" and b.op == "mul" and b.args[0].op == "const":
        return mul(const(a.data * b.args[0].data), b.args[1])  # type: ignore[operator]
    return Expr("mul", (a, b), shape)


def neg(a: Expr) -> Expr:
    return mul(const(-1), a)


def sub(a: Expr, b: Expr) -> Expr:
    return add(a, neg(b))


def div(a: Expr, b: Expr) -> Expr:
    shape = _meet(a, b)
    if b.op == "const" and b.data != 0:
        return mul(const(1 / b.data), a)  # type: ignore[operator, arg-type]
    return Expr("div", (a, b), shape)


def power(a: Expr, exponent: Fraction) -> Expr:
    if exponent == 1:
        return a
    if exponent == 0:
        return full(1, a.shape)
    return Expr("pow", (a,), a.shape, exponent)


def matmul(a: Expr, b: Expr) -> Expr:
    """``a @ b`` with a matrix ``(m, d)`` on the left and ``(d, …)`` on the right."""
    if len(a.shape) != 2 or not b.shape or a.shape[1] != b.shape[0]:
        raise ValueError(f"cannot apply {a.shape} to {b.shape}")
    shape = (a.shape[0], *b.shape[1:])
    if a.op == "eye":
        return b
    if is_zero(a) or is_zero(b):
        return full(0, shape)
    return Expr("matmul", (a, b), shape)


def matmul_last(x: Expr, w: Expr) -> Expr:
    """``x @ w``: the matrix ``(c, k)`` acts on the last axis of ``x[…, c]``, which has at least two axes."""
    if len(w.shape) != 2 or len(x.shape) < 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"cannot apply {w.shape} to the last axis of {x.shape}")
    return x if w.op == "eye" else Expr("matmul", (x, w), (*x.shape[:-1], w.shape[1]), "last")


def transpose(a: Expr) -> Expr:
    """The transpose of a matrix, the adjoint of an operator (whose shape is output axes, then input axes)."""
    if a.op == "transpose":
        return a.args[0]
    if a.op in ("eye", "diag"):
        return a
    half = split(a)
    return Expr("transpose", (a,), a.shape[half:] + a.shape[:half])


def split(operator: Expr) -> int:
    """How many of the axes of an operator's shape are output axes."""
    if operator.op == "transpose":
        inner = operator.args[0]
        return len(inner.shape) - split(inner)
    return 1 if len(operator.shape) == 2 else len(operator.shape) // 2


def apply(operator: Expr, x: Expr) -> Expr:
    """An operator by a tensor of its input shape."""
    half = split(operator)
    if operator.shape[half:] != x.shape:
        raise ValueError(f"cannot apply {operator.shape} to {x.shape}")
    return Expr("apply", (operator, x), operator.shape[:half])


def act(name: str, x: Expr, parameters: tuple[Fraction, ...] = ()) -> Expr:
    return Expr("act", (x,), x.shape, (name, parameters))


def total(x: Expr, axes: tuple[int, ...] | None = None) -> Expr:
    """The sum over some axes, or over all."""
    return Expr("sum", (x,), _reduced(x.shape, axes), axes)


def mean(x: Expr, axes: tuple[int, ...] | None = None) -> Expr:
    return Expr("mean", (x,), _reduced(x.shape, axes), axes)


def _reduced(shape: Shape, axes: tuple[int, ...] | None) -> Shape:
    return () if axes is None else tuple(n for i, n in enumerate(shape) if i not in axes)


def dot(a: Expr, b: Expr) -> Expr:
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")
    return Expr("dot", (a, b), ())
