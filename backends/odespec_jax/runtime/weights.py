"""From stored arrays to weights within their constraints."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def _normal(key: Array, shape: Sequence[int], fan_in: int, dtype: Any) -> Array:
    """Independent normal entries of variance 1 / fan_in."""
    return jax.random.normal(key, shape, dtype) / math.sqrt(fan_in)


def _random_orthogonal(key: Array, shape: Sequence[int], dtype: Any) -> Array:
    """Matrices with orthonormal columns, or rows where these are fewer."""
    draw = jax.random.normal(key, shape, jnp.promote_types(dtype, jnp.float32))
    return _orthonormal(draw).astype(dtype)


# --- from stored tensors to weights -------------------------------------------


def _accurate(v: Array) -> Array:
    """The array in a type in which products are exact to its rounding."""
    return v.astype(jnp.float32) if v.dtype in (jnp.float16, jnp.bfloat16) else v


def _times(a: Array, b: Array) -> Array:
    """``a @ b`` in the full precision of the type: neither TF32 nor bfloat16 passes."""
    return jnp.matmul(a, b, precision="highest")


def _gram_iteration(u: Array) -> tuple[Array, Array]:
    """A certified upper bound of the largest singular value of each matrix, and its gradient.

    With G = u^H u and N = 2^k, norm(u)^2 = norm(G) <= norm_F(G^N)^(1/N), reached by k squarings
    that are normalised each time (Delattre et al., "Efficient bound of Lipschitz constant for
    convolutional layers by Gram iteration", ICML 2023). k is such that the bound is tight to
    rounding for every matrix. The entries of u are at most 1.
    """
    tall = u.shape[-2] >= u.shape[-1]
    adjoint = jnp.conj(u.mT)
    gram = _times(adjoint, u) if tall else _times(u, adjoint)
    info, size = jnp.finfo(u.dtype), gram.shape[-1]
    rounds = math.ceil(math.log2(math.log(size) / float(info.eps))) if size > 1 else 0
    first = jnp.maximum(_frobenius(gram), info.tiny)

    def square(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        power, log, weight = carry
        power = _times(power, power)
        norm = jnp.maximum(_frobenius(power), info.tiny)
        return power / norm, log + jnp.log(norm) * weight, 0.5 * weight

    start = (gram / first, jnp.zeros_like(first), jnp.full_like(first, 0.5))
    power, log, _ = jax.lax.fori_loop(0, rounds, square, start)
    bound = jnp.maximum(jnp.sqrt(first * jnp.exp(log)), info.tiny)
    weight = _times(power, power)
    return bound[..., 0, 0], (_times(u, weight) if tall else _times(weight, u)) / bound


def _frobenius(v: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.real(v * jnp.conj(v)), (-2, -1), keepdims=True))


def _spectral_norm(v: Array) -> Array:
    """An upper bound, tight to rounding, of the largest singular value of each ``[..., m, n]``.

    The first derivative is that of the norm; the second takes singular vectors as constant.
    """
    a = _accurate(v)
    fixed = jax.lax.stop_gradient(a)
    scale = jnp.maximum(jnp.max(jnp.abs(fixed), (-2, -1), keepdims=True), jnp.finfo(a.dtype).tiny)
    bound, gradient = _gram_iteration(fixed / scale)
    return bound * scale[..., 0, 0] + jnp.sum(gradient * (a - fixed), (-2, -1))


def _circular_norm(v: Array, grid: Sequence[int], groups: int) -> Array:
    """An upper bound, tight to rounding, of the norm of the circular convolution on a grid.

    The Fourier transform makes a matrix ``[out, in]`` for each frequency (Sedghi, Gupta & Long,
    ICLR 2019).
    """
    a, space = _accurate(v), len(grid)
    last = tuple(range(-space - 2, 0))
    scale = jnp.max(jnp.abs(jax.lax.stop_gradient(a)), last, keepdims=True)
    scale = jnp.maximum(scale, jnp.finfo(a.dtype).tiny)
    symbol = _symbols(a / scale, grid, groups, jnp.fft.rfftn)
    fixed = jax.lax.stop_gradient(symbol)
    cells = math.prod(v.shape[-space:])
    bound, gradient = _gram_iteration(fixed / cells)
    change = jnp.sum(jnp.real(jnp.conj(gradient) * (symbol - fixed)), (-2, -1))
    return jnp.max(bound * cells + change, (-2, -1)) * scale.reshape(v.shape[: -space - 2])


def _symbols(v: Any, grid: Sequence[int], groups: int, transform: Callable[..., Any]) -> Any:
    """The Fourier transform of each kernel as ``[..., groups, frequency, out / groups, in]``."""
    space = len(grid)
    spectrum = transform(v, s=tuple(grid), axes=tuple(range(-space, 0)))
    lead, (out, inner) = spectrum.shape[: -space - 2], spectrum.shape[-space - 2 : -space]
    parted = spectrum.reshape(*lead, groups, out // groups, inner, -1)
    rank = len(lead)
    return parted.transpose(*range(rank), rank, rank + 3, rank + 1, rank + 2)


def _row_sum(v: Array) -> Array:
    """The operator norm for the max-norm: the largest sum of absolute values in a row."""
    return jnp.max(jnp.sum(jnp.abs(v), -1), -1)


def _column_sum(v: Array) -> Array:
    """The operator norm for the 1-norm: the largest sum of absolute values in a column."""
    return jnp.max(jnp.sum(jnp.abs(v), -2), -1)


def _euclidean(v: Array, axes: int) -> Array:
    """The Euclidean norm over the last axes."""
    last, tiny = tuple(range(-axes, 0)), jnp.finfo(v.dtype).tiny
    scale = jnp.maximum(jnp.max(jnp.abs(jax.lax.stop_gradient(v)), last, keepdims=True), tiny)
    squares = jnp.maximum(jnp.sum(jnp.square(v / scale), last), tiny)
    return scale.reshape(squares.shape) * jnp.sqrt(squares)


def _absolute_sum(v: Array, axes: int) -> Array:
    """The sum of absolute values over the last axes."""
    return jnp.sum(jnp.abs(v), tuple(range(-axes, 0)))


def _scale(v: Array, norm: Array, limit: float, axes: int = 2) -> Array:
    """``v * min(1, limit / norm)``, a little less so that the rounded norm obeys the limit."""
    info = jnp.finfo(v.dtype)
    margin = 1.0 + 0.5 * float(info.eps) * (sum(v.shape[v.ndim - axes :]) + 16)
    limit = min(max(limit, float(info.tiny)), float(info.max))
    factor = limit / jnp.maximum(norm * margin, limit)
    return v * factor.astype(v.dtype).reshape(*factor.shape, *(1,) * axes)


def _skew(v: Array) -> Array:
    return 0.5 * (v - v.mT)


def _symmetric(v: Array) -> Array:
    return 0.5 * v + 0.5 * v.mT


def _outer(v: Array) -> Array:
    """``v @ v.T``: positive semidefinite."""
    a = _accurate(v)
    return _times(a, a.mT).astype(v.dtype)


def _shift(v: Array, sign: float, c: float) -> Array:
    """``sign * v + c * I``."""
    return sign * v + c * jnp.eye(v.shape[-1], dtype=v.dtype)


def _parts(v: Array, symmetric: float | None, skew: float | None) -> Array:
    """Scales the symmetric and the skew part so that the norms of v + v.T and v - v.T are bounded.

    Each limit is a little smaller by what the other part rounds away when they are added.
    """
    s, a = _symmetric(v), _skew(v)
    return _part(s, a, symmetric) + _part(a, s, skew)


def _part(v: Array, other: Array, limit: float | None) -> Array:
    if limit is None:
        return v
    info = jnp.finfo(v.dtype)
    margin = 1.0 + 0.5 * float(info.eps) * (sum(v.shape[-2:]) + 16)
    room = 0.5 * limit - float(info.eps) * jax.lax.stop_gradient(_euclidean(other, 2))
    room = jnp.maximum(room, float(info.tiny))
    factor = room / jnp.maximum(_spectral_norm(v) * margin, room)
    return v * factor.astype(v.dtype)[..., None, None]


def _eigenvalues(v: Array, lower: float, upper: float) -> Array:
    """A symmetric matrix with eigenvalues in [lower, upper]: v scaled to half the length, moved."""
    middle = 0.5 * (lower + upper)
    rounding = float(jnp.finfo(v.dtype).eps) * (v.shape[-1] + 16) * abs(middle)
    radius = 0.5 * (upper - lower) - rounding
    inner = jnp.zeros_like(v) if radius <= 0.0 else _scale(v, _spectral_norm(v), radius)
    return _shift(inner, 1.0, middle)


def _orthonormal(factor: Array) -> Array:
    """Columns (or rows, where these are fewer) made orthonormal one after the other.

    A stored factor is orthonormal and not trained, but an optimiser that decays every leaf of a
    pytree changes it: this undoes that.
    """
    a = jax.lax.stop_gradient(_accurate(factor))
    a = a / jnp.maximum(jnp.max(jnp.abs(a), (-2, -1), keepdims=True), jnp.finfo(a.dtype).tiny)
    q, r = jnp.linalg.qr(a if a.shape[-2] >= a.shape[-1] else a.mT)
    q = q * jnp.where(jnp.diagonal(r, axis1=-2, axis2=-1) < 0.0, -1.0, 1.0)[..., None, :]
    return q if a.shape[-2] >= a.shape[-1] else q.mT


def _rotation(generator: Array, factor: Array) -> Array:
    """The exponential of a skew matrix by a fixed orthogonal factor: every orthogonal matrix.

    Skew matrices of norm at most pi reach every rotation, so a longer generator is cut to where
    that is kept; one Newton-Schulz step takes away what the exponential lost to rounding.
    """
    a, q = _accurate(generator), _orthonormal(factor)
    a = 0.5 * a - 0.5 * a.mT
    limit = math.pi * math.sqrt(a.shape[-1])
    a = a * (limit / jnp.maximum(_euclidean(a, 2), limit))[..., None, None]
    r = _exponential(a)
    tall = q.shape[-2] >= q.shape[-1]
    w = _times(r, q) if tall else _times(q, r)
    near = _times(w.mT, w) if tall else _times(w, w.mT)
    step = 1.5 * jnp.eye(near.shape[-1], dtype=w.dtype) - 0.5 * near
    return (_times(w, step) if tall else _times(step, w)).astype(factor.dtype)


def _exponential(a: Array) -> Array:
    """The matrix exponential."""
    with jax.default_matmul_precision("highest"):
        return jax.scipy.linalg.expm(a)


def _polar(v: Array, generator: Array, factor: Array, lower: float, upper: float | None) -> Array:
    """Singular values in [lower, upper]: an orthogonal matrix by a symmetric one."""
    if upper is None:
        p = _shift(_outer(v), 1.0, lower)
    else:
        p = _eigenvalues(_symmetric(v), lower, upper)
    q, p = _accurate(_rotation(generator, factor)), _accurate(p)
    return (_times(q, p) if q.shape[-2] >= q.shape[-1] else _times(p, q)).astype(v.dtype)


def _simplex(v: Array) -> Array:
    """The nearest point of the probability simplex to each row (Held, Wolfe & Crowder, 1974)."""
    v = v - jax.lax.stop_gradient(jnp.max(v, -1, keepdims=True))
    u = jnp.flip(jnp.sort(v, -1), -1)
    count = jnp.arange(1, v.shape[-1] + 1, dtype=v.dtype)
    excess = (jnp.cumsum(u, -1) - 1.0) / count
    last = jnp.sum(u > excess, -1, keepdims=True) - 1
    return jax.nn.relu(v - jnp.take_along_axis(excess, last, -1))


def _inward(bound: float, dtype: Any, up: bool) -> float:
    """A bound rounded to a type so that it stays on the allowed side."""
    near = np.asarray(bound).astype(dtype)
    if float(near) == bound or (float(near) > bound) == up:
        return float(near)
    return float(np.nextafter(near, np.asarray(math.inf if up else -math.inf).astype(dtype)))


def _fold(v: Array, lower: float | None, upper: float | None) -> Array:
    """Each entry reflected at the bounds until it is between them; the identity there."""
    low = None if lower is None else _inward(lower, v.dtype, True)
    high = None if upper is None else _inward(upper, v.dtype, False)
    if low is None or high is None:
        edge = high if low is None else low
        mirrored = jnp.clip(v if edge is None else 2.0 * edge - v, low, high)
    else:
        width = max(high - low, float(jnp.finfo(v.dtype).tiny))
        turn = jnp.mod(v - low, 2.0 * width)
        mirrored = jnp.clip(low + jnp.where(turn <= width, turn, 2.0 * width - turn), low, high)
    inside = jnp.ones(v.shape, bool)
    if low is not None:
        inside = inside & (v >= low)
    if high is not None:
        inside = inside & (v <= high)
    return jnp.where(inside, v, mirrored)


def _centre(v: Array, total: float, axes: Sequence[int]) -> Array:
    """Moves the sums over some axes (counted from the end) to a value."""
    count = math.prod(v.shape[i] for i in axes)
    return v - (jnp.sum(v, tuple(axes), keepdims=True) - total) / count
