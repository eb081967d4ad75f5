"""Operations of step programs."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from odespec_jax.runtime.weights import _spectral_norm


def _arguments(
    weights: Mapping[str, Any],
    *arguments: tuple[str, Any, tuple[int, ...]],
) -> tuple[Array, tuple[Array, ...]]:
    """Zeros of the common batch shape, and the arguments in the common dtype.

    Each argument comes with its name and its own axes. Raises ValueError where it ends in others.
    The zeros vary over a mesh as weights and arguments do together, as a scan under `shard_map`
    wants of what it carries: an empty sum is zero.
    """
    values = [jnp.asarray(value) for _, value, _ in arguments]
    for (name, _, shape), value in zip(arguments, values, strict=True):
        if value.shape[max(value.ndim - len(shape), 0) :] != shape:
            wanted = ", ".join(("...", *map(str, shape)))
            raise ValueError(f"`{name}` has shape {value.shape}, expected [{wanted}]")
    dtype = jnp.result_type(float, *weights.values(), *values)
    own = [len(shape) for _, _, shape in arguments]
    leads = [v.shape[: v.ndim - axes] for v, axes in zip(values, own, strict=True)]
    zero = jnp.zeros(jnp.broadcast_shapes(*leads), dtype)
    for value in (*weights.values(), *values):
        zero = zero + jnp.sum(jnp.ravel(value)[:0], dtype=dtype)
    return zero, tuple(v.astype(dtype) for v in values)


def _diagonal(v: Array) -> Array:
    """The matrix with a diagonal, ``[..., n]`` to ``[..., n, n]``."""
    return v[..., None] * jnp.eye(v.shape[-1], dtype=v.dtype)


def _offdiagonal(w: Array) -> Array:
    """A matrix without its diagonal."""
    return jnp.where(jnp.eye(w.shape[-1], dtype=bool), 0.0, w)


def _root_power(x: Array, numerator: int, denominator: int) -> Array:
    """``x ** (numerator / denominator)`` for an odd denominator: real for negative numbers too."""
    size = jnp.abs(x) ** (numerator / denominator)
    return jnp.sign(x) * size if numerator % 2 else size


def _norm(x: Array, axis: int | tuple[int, ...]) -> Array:
    """The Euclidean norm; its gradient at zero is zero."""
    squares = jnp.sum(x * x, axis)
    zero = squares == 0.0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squares)))


def _layernorm(x: Array, axis: int, eps: float) -> Array:
    """Mean zero and variance one along an axis."""
    centred = x - jnp.mean(x, axis, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(jnp.square(centred), axis, keepdims=True) + eps)


def _norm_bound(w: Array) -> Array:
    """An s >= norm(w), s >= 1e-12."""
    margin = 1.0 + 0.5 * float(jnp.finfo(w.dtype).eps) * (w.shape[-2] + w.shape[-1] + 16)
    return jnp.maximum(_spectral_norm(w) * margin, 1e-12).astype(w.dtype)


def _pool(x: Array, k: int) -> Array:
    """Means over k by k blocks of the last two axes."""
    *lead, h, w = x.shape
    return jnp.mean(x.reshape(*lead, h // k, k, w // k, k), (-3, -1))


def _conv(kernel: Array, x: Array, mode: str, stride: int, groups: int) -> Array:
    """The correlation of ``[..., in, n...]`` with a kernel ``[out, in, k...]``."""
    space = kernel.ndim - 2
    lead = x.shape[: x.ndim - space - 1]
    flat = x.reshape(math.prod(lead), *x.shape[x.ndim - space - 1 :])
    widths = [(0, 0), (0, 0), *(((k - 1) // 2, k // 2) for k in kernel.shape[2:])]
    padded = jnp.pad(flat, widths, mode={"circular": "wrap", "zero": "constant"}.get(mode, mode))
    out = jax.lax.conv_general_dilated(
        padded,
        kernel,
        (stride,) * space,
        "VALID",
        feature_group_count=groups,
    )
    return out.reshape(*lead, *out.shape[1:])


def _conv_adjoint(
    kernel: Array,
    y: Array,
    grid: Sequence[int],
    mode: str,
    stride: int,
    groups: int,
) -> Array:
    """The adjoint of `_conv` on a grid, on ``[..., out, n...]``."""
    lead = y.shape[: y.ndim - kernel.ndim + 1]
    channels = kernel.shape[1] * groups
    shape = jax.ShapeDtypeStruct((*lead, channels, *grid), y.dtype)
    (x,) = jax.linear_transpose(lambda x: _conv(kernel, x, mode, stride, groups), shape)(y)
    return x
