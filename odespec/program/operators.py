"""Linear operators as NumPy applies them: convolutions, graph matrices, and what is composed of them.

A convolution is a cross-correlation, as in every machine-learning framework: output p of channel o is the sum over
input channels i and taps q of ``K[o, i, q] * u[i, p * stride + q - (k - 1) // 2]``; what lies outside is wrapped
(``circular``), zero (``zero``) or mirrored without repeating the edge (``reflect``). A grid of n gives
ceil(n / stride).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from odespec.ir.expr import Convolution, Expr, Shape
from odespec.records import dataclass

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """A linear map by its action and its adjoint's, on tensors with any leading axes."""

    forward: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]
    output: Shape
    input: Shape

    @property
    def transposed(self) -> Operator:
        return Operator(self.adjoint, self.forward, self.input, self.output)

    def after(self, inner: Operator) -> Operator:
        """The composition: first ``inner``, then this one."""
        return Operator(
            lambda x: self.forward(inner.forward(x)),
            lambda y: inner.adjoint(self.adjoint(y)),
            self.output,
            inner.input,
        )

    def plus(self, other: Operator) -> Operator:
        return Operator(
            lambda x: self.forward(x) + other.forward(x),
            lambda y: self.adjoint(y) + other.adjoint(y),
            self.output,
            self.input,
        )

    def times(self, factor: Array) -> Operator:
        return Operator(
            lambda x: spread(factor, len(self.output)) * self.forward(x),
            lambda y: spread(factor, len(self.input)) * self.adjoint(y),
            self.output,
            self.input,
        )

    def matrix(self) -> Array:
        """As a matrix ``[..., outputs, inputs]``."""
        n = prod(self.input)
        columns = self.forward(np.eye(n).reshape(n, *self.input))
        return np.moveaxis(flat(columns, len(self.output)), 0, -1)


def spread(scalar: Array, axes: int) -> Array:
    """A number with batch axes, ready to meet a tensor with ``axes`` axes of its own."""
    return scalar[(...,) + (None,) * axes]


def flat(x: Array, axes: int) -> Array:
    """The last ``axes`` axes as one."""
    return x.reshape(*x.shape[: x.ndim - axes], -1)


def identity(shape: Shape) -> Operator:
    return Operator(lambda x: x, lambda y: y, shape, shape)


def dense(matrix: Array, output: Shape, input: Shape) -> Operator:
    """The operator of a matrix ``[..., outputs, inputs]``."""

    def act(m: Array, x: Array, before: Shape, after: Shape) -> Array:
        y = np.matmul(m, flat(x, len(before))[..., None])[..., 0]
        return np.asarray(y.reshape(*y.shape[:-1], *after))

    return Operator(
        lambda x: act(matrix, x, input, output),
        lambda y: act(np.swapaxes(matrix, -1, -2), y, output, input),
        output,
        input,
    )


def lifted(matrix: Array, output: Shape, input: Shape, *, last: bool) -> Operator:
    """A matrix ``[..., m, d]`` on the first axis of tensors; with ``last``, ``x @ matrix`` on their last axis."""
    turned = np.swapaxes(matrix, -1, -2)
    if last:
        return Operator(
            lambda x: x @ _reach(matrix, len(input)), lambda y: y @ _reach(turned, len(input)), output, input
        )

    def act(m: Array, x: Array, after: Shape) -> Array:
        y = m @ flat(x, len(input) - 1)
        return np.asarray(y.reshape(*y.shape[:-1], *after[1:]))

    return Operator(lambda x: act(matrix, x, output), lambda y: act(turned, y, input), output, input)


def _reach(matrix: Array, axes: int) -> Array:
    """A matrix with batch axes, ready to act on the last of a tensor's axes."""
    return matrix.reshape(*matrix.shape[:-2], *(1,) * (axes - 2), *matrix.shape[-2:])


def norm(operator: Operator, p: object) -> Array:
    """The operator norm: 2, 1 or "inf"."""
    return matrix_norm(operator.matrix(), p)


def matrix_norm(matrix: Array, p: object) -> Array:
    if p == 2:
        return np.asarray(np.linalg.norm(matrix, 2, axis=(-2, -1)))
    return np.asarray(np.abs(matrix).sum(axis=-2 if p == 1 else -1).max(axis=-1))


# --- convolutions --------------------------------------------------------------


@cache
def taps(n: int, k: int, stride: int, padding: str) -> Array:
    """The matrix ``[outputs * k, n]`` of zeros and ones that lays out what each tap of each output sees."""
    outputs = -(-n // stride)
    place = (np.arange(outputs)[:, None] * stride + np.arange(k) - (k - 1) // 2).ravel()
    inside = (place >= 0) & (place < n)
    if padding == "circular":
        place, inside = place % n, np.full(place.shape, True)
    elif padding == "reflect":
        place = np.abs(place)
        place, inside = np.where(place >= n, 2 * (n - 1) - place, place), np.full(place.shape, True)
    matrix = np.zeros((len(place), n))
    rows = np.flatnonzero(inside)
    matrix[rows, place[rows]] = 1.0
    matrix.setflags(write=False)
    return matrix


def convolution(kernel: Array, node: Expr) -> Operator:
    """The operator of a ``conv`` node and the value of its kernel, which may have batch axes."""
    data = node.data
    assert isinstance(data, Convolution)
    window = node.args[0].shape[2:]
    axes = len(window)
    output, input = node.shape[: axes + 1], node.shape[axes + 1 :]
    layouts = [taps(n, k, data.stride, data.padding) for n, k in zip(data.spatial, window, strict=True)]
    grouped = kernel.reshape(*kernel.shape[: kernel.ndim - axes - 2], data.groups, -1, *node.args[0].shape[1:])
    points, windows = "xyz"[:axes], "uvw"[:axes]
    patches = "...gi" + "".join(p + w for p, w in zip(points, windows, strict=True))
    images = f"...go{points}"
    split_in = (data.groups, input[0] // data.groups)
    split_out = (data.groups, output[0] // data.groups, *output[1:])
    patch = tuple(n for pair in zip(output[1:], window, strict=True) for n in pair)

    def forward(x: Array) -> Array:
        x = _each_axis(x, layouts, transpose=False)
        x = x.reshape(*x.shape[: x.ndim - axes - 1], *split_in, *patch)
        y: Array = np.einsum(f"...goi{windows},{patches}->{images}", grouped, x)
        return y.reshape(*y.shape[: y.ndim - axes - 2], *output)

    def adjoint(y: Array) -> Array:
        y = y.reshape(*y.shape[: y.ndim - axes - 1], *split_out)
        x: Array = np.einsum(f"...goi{windows},{images}->{patches}", grouped, y)
        sizes = tuple(len(m) for m in layouts)
        x = x.reshape(*x.shape[: x.ndim - 2 - 2 * axes], input[0], *sizes)
        return _each_axis(x, layouts, transpose=True)

    return Operator(forward, adjoint, output, input)


def _each_axis(x: Array, matrices: list[Array], transpose: bool) -> Array:
    """Each of the last axes through its matrix."""
    for matrix in matrices:
        moved = np.moveaxis(x, -len(matrices), -1)
        x = moved @ (matrix if transpose else matrix.T)
    return x


# --- graphs --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The value of a graph: ``ends[2, E]`` and non-negative weights ``[E]``."""

    ends: NDArray[np.int64]
    weights: Array


def adjacency(edges: Edges, n: int) -> Array:
    """``[n, n]``; parallel edges add up."""
    matrix = np.zeros((n, n))
    np.add.at(matrix, (edges.ends[0], edges.ends[1]), edges.weights)
    return matrix + matrix.T


def laplacian(edges: Edges, n: int, normalized: bool) -> Array:
    """``D - A``; normalized: ``D^-1/2 (D - A) D^-1/2``, with zero rows for nodes without edges."""
    A = adjacency(edges, n)
    np.fill_diagonal(A, 0.0)
    degree = A.sum(axis=1)
    L = np.diag(degree) - A
    if not normalized:
        return L
    scale = np.where(degree > 0, 1.0 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)
    return scale[:, None] * L * scale


def incidence(edges: Edges, rows: int, n: int) -> Array:
    """A row for each edge, its ends at plus and minus the root of its weight; zero rows fill up."""
    matrix = np.zeros((rows, n))
    count = np.arange(edges.ends.shape[1])
    root = np.sqrt(edges.weights)
    np.add.at(matrix, (count, edges.ends[0]), root)
    np.add.at(matrix, (count, edges.ends[1]), -root)
    return matrix
