"""Expressions whose size waits for a context: ``I``, ``conv(K)``, ``channel(b)``, and what is built of them.

They are kept as small expressions over three placeholders, ``?eye``, ``?conv`` (a kernel; data: `Options`) and
``?channel`` (a vector), with ``add``, ``mul`` (a scalar in front), ``transpose`` and ``compose`` above them, all of
shape ``()``. When the context is known they are written out: an operator that meets a tensor is applied term by term,
so that ``(conv(K) - gamma*I) @ u`` becomes ``conv(K) @ u - gamma*u``. The nesting is limited by `MAX_DEPTH`, so
recursion is safe.
"""

from __future__ import annotations

from odespec.ir import expr as ex
from odespec.ir.expr import Convolution, Expr, Shape, postorder
from odespec.ir.values import Value
from odespec.records import dataclass

MAX_DEPTH = 64
EYE = Expr("?eye", (), ())


class DoesNotFit(Exception):
    """Why an operator cannot act at this size; ``why`` completes a sentence."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a convolution, and how the axes of its kernel were written."""

    padding: str = "circular"
    stride: int = 1
    groups: int = 1
    axes: tuple[str, ...] = ()


def identity() -> Value:
    return Value(EYE, pending="operator", depth=1)


def convolution(kernel: Value, options: Options) -> Value:
    return Value(Expr("?conv", (kernel.expr,), (), options), (), kernel.kinds, "operator", 1)


def channel(vector: Value) -> Value:
    return Value(Expr("?channel", (vector.expr,), ()), (), vector.kinds, "channel", 1)


def combined(op: str, *parts: Value) -> Value:
    """``add`` or ``compose`` of two pending expressions, ``mul`` of a scalar and one, ``transpose`` of one."""
    kinds = frozenset().union(*(p.kinds for p in parts))
    depth = 1 + max(p.depth for p in parts)
    return Value(Expr(op, tuple(p.expr for p in parts), ()), (), kinds, parts[-1].pending, depth)


def convolutions(e: Expr) -> list[Expr]:
    """The convolutions among the placeholders of an expression."""
    return [n for n in postorder(e) if n.op == "?conv"]


# --- acting on a tensor ----------------------------------------------------------


def act_on(e: Expr, x: Expr, adjoint: bool = False, memo: dict[tuple[int, Expr, bool], Expr] | None = None) -> Expr:
    """The operator, or its adjoint, applied to a tensor. Raises `DoesNotFit`."""
    memo = {} if memo is None else memo
    known = (id(e), x, adjoint)
    if known not in memo:
        memo[known] = _act(e, x, adjoint, memo)
    return memo[known]


def _act(e: Expr, x: Expr, adjoint: bool, memo: dict[tuple[int, Expr, bool], Expr]) -> Expr:
    if e.op == "?eye":
        return x
    if e.op == "?conv":
        operator = operator_for(e, x.shape, adjoint)
        return ex.apply(ex.transpose(operator) if adjoint else operator, x)
    if e.op == "transpose":
        return act_on(e.args[0], x, not adjoint, memo)
    if e.op == "compose":
        first, second = (e.args[0], e.args[1]) if adjoint else (e.args[1], e.args[0])
        return act_on(second, act_on(first, x, adjoint, memo), adjoint, memo)
    if e.op == "mul":
        return ex.mul(e.args[0], act_on(e.args[1], x, adjoint, memo))
    left, right = (act_on(a, x, adjoint, memo) for a in e.args)
    if left.shape != right.shape:
        raise DoesNotFit(f"its terms give shapes {list(left.shape)} and {list(right.shape)}")
    return ex.add(left, right)


def operator_for(e: Expr, shape: Shape, adjoint: bool) -> Expr:
    """The convolution at the size at which it, or its adjoint, takes a tensor of this shape. Raises `DoesNotFit`."""
    kernel, options = e.args[0].shape, e.data
    assert isinstance(options, Options)
    if len(shape) != len(kernel) - 1:
        wanted = "[channels, n]" if len(kernel) == 3 else "[channels, h, w]"
        raise DoesNotFit(f"this kernel acts on tensors {wanted}")
    channels = kernel[0] if adjoint else kernel[1] * options.groups
    if shape[0] != channels:
        raise DoesNotFit(f"the kernel has {channels} channels there, the tensor {shape[0]}")
    spatial = tuple(n * options.stride for n in shape[1:]) if adjoint else shape[1:]
    _check_grid(spatial, kernel[2:], options)
    outer = tuple(n // options.stride for n in spatial)
    data = Convolution(spatial, options.padding, options.stride, options.groups)
    return Expr("conv", e.args, (kernel[0], *outer, kernel[1] * options.groups, *spatial), data)


def _check_grid(spatial: Shape, window: Shape, options: Options) -> None:
    for n, k in zip(spatial, window, strict=True):
        if n % options.stride:
            raise DoesNotFit(f"a grid of {n} does not divide by the stride {options.stride}")
        if options.padding == "circular" and k > n:
            raise DoesNotFit(f"a kernel of width {k} is wider than the grid of {n}")
        if options.padding == "reflect" and k // 2 >= n:
            raise DoesNotFit(f"a kernel of width {k} cannot be reflected on a grid of {n}")


# --- written out as matrices and operators ------------------------------------------


def as_matrix(e: Expr, n: int) -> Expr:
    """An expression in ``I`` alone as an n by n matrix. Raises `DoesNotFit`."""
    if e.op == "?eye":
        return ex.eye(n)
    if e.op == "?conv":
        raise DoesNotFit("a convolution is no matrix")
    if e.op == "mul":
        return ex.mul(e.args[0], as_matrix(e.args[1], n))
    if e.op == "transpose":
        return as_matrix(e.args[0], n)
    left, right = (as_matrix(a, n) for a in e.args)
    return ex.matmul(left, right) if e.op == "compose" else ex.add(left, right)


def as_operator(e: Expr, shape: Shape, adjoint: bool = False) -> Expr:
    """The operator that takes tensors of this shape. Raises `DoesNotFit`."""
    if e.op == "?eye":
        return Expr("eye", (), shape + shape)
    if e.op == "?conv":
        operator = operator_for(e, shape, adjoint)
        return ex.transpose(operator) if adjoint else operator
    if e.op == "transpose":
        return as_operator(e.args[0], shape, not adjoint)
    if e.op == "mul":
        return ex.mul(e.args[0], as_operator(e.args[1], shape, adjoint))
    if e.op == "compose":
        first, second = (e.args[0], e.args[1]) if adjoint else (e.args[1], e.args[0])
        inner = as_operator(first, shape, adjoint)
        middle = inner.shape[: len(inner.shape) // 2]
        outer = as_operator(second, middle, adjoint)
        return Expr("compose", (outer, inner), outer.shape[: len(outer.shape) // 2] + shape)
    left, right = (as_operator(a, shape, adjoint) for a in e.args)
    if left.shape != right.shape:
        raise DoesNotFit(f"its terms have shapes {list(left.shape)} and {list(right.shape)}")
    return ex.add(left, right)


def spread(e: Expr, shape: Shape) -> Expr:
    """An expression in ``channel(b)`` and scalars at the shape of an image. Raises `DoesNotFit`."""
    if e.op == "?channel":
        if len(shape) < 2 or e.args[0].shape[0] != shape[0]:
            raise DoesNotFit(f"it has {e.args[0].shape[0]} channels, what it meets has shape {list(shape)}")
        return Expr("channel", e.args, shape)
    if e.op == "mul":
        return ex.mul(e.args[0], spread(e.args[1], shape))
    return ex.add(*(spread(a, shape) for a in e.args))


def sized_by_use(e: Expr, fields: list[Expr]) -> list[Expr]:
    """A pending operator at every size at which one of its kernels is used in some expressions, each once."""
    kernels = {c.args[0] for c in convolutions(e)}
    shapes: dict[Shape, None] = {}
    for node in postorder(*fields):
        if node.op == "conv" and node.args[0] in kernels:
            half = len(node.shape) // 2
            shapes[node.shape[half:]] = None
            shapes[node.shape[:half]] = None
    found: dict[Expr, None] = {}
    for shape in shapes:
        try:
            found[as_operator(e, shape)] = None
        except DoesNotFit:
            continue
    return list(found)
