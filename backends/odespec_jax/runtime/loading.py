"""From given weights, checked in float64, to stored arrays."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from odespec_jax.runtime.weights import _symbols

Numbers = np.ndarray[Any, Any]


def _read_weights(
    given: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Numbers]:
    """The arrays in float64.

    Raises ValueError for a missing or unknown name, a wrong shape, a value that is not finite.
    """
    if set(given) != set(shapes):
        raise ValueError(f"expected the weights {sorted(shapes)}, got {sorted(map(str, given))}")
    read = {}
    for name, shape in shapes.items():
        value = np.asarray(given[name])
        if value.shape != shape:
            raise ValueError(f"`{name}` has shape {value.shape}, expected {shape}")
        if value.dtype.kind not in "fiubV" or not np.all(np.isfinite(value.astype(np.float64))):
            raise ValueError(f"`{name}` has entries that are not finite real numbers")
        read[name] = value.astype(np.float64)
    return read


def _tolerance(given: Any, dtype: Any, axes: int) -> float:
    """How far from a constraint a weight may be by rounding, relative to its size."""
    value = np.asarray(given)
    types = [t for t in (value.dtype, np.dtype(dtype)) if jnp.issubdtype(t, jnp.floating)]
    size = sum(value.shape[value.ndim - axes :]) + 16
    return size * max(float(jnp.finfo(t).eps) for t in types)


def _require(
    text: str,
    value: Numbers,
    lower: float | None,
    upper: float | None,
    tolerance: float,
) -> None:
    """Raises ValueError where a quantity leaves its interval by more than rounding."""
    size = max(abs(x) for x in (lower, upper) if x is not None)
    slack = tolerance * (size if size > 0.0 else 1.0)
    low, high = float(np.min(value)), float(np.max(value))
    if upper is not None and high > upper + slack:
        raise ValueError(f"the weights break `{text}`: {high!r} > {upper!r}")
    if lower is not None and low < lower - slack:
        raise ValueError(f"the weights break `{text}`: {low!r} < {lower!r}")


def _require_equal(text: str, a: Numbers, b: Numbers, tolerance: float) -> None:
    """Raises ValueError where two arrays differ by more than rounding."""
    gap = float(np.max(np.abs(a - b)))
    if gap > tolerance * max(float(np.max(np.abs(a))), float(np.max(np.abs(b)))):
        raise ValueError(f"the weights break `{text}`: off by {gap!r}")


def _circular_singular_values(w: Numbers, grid: Sequence[int], groups: int) -> Numbers:
    """The singular values of the circular convolution with each kernel on a grid."""
    return np.linalg.svd(_symbols(w, grid, groups, np.fft.fftn), compute_uv=False)


def _swapped(w: Numbers) -> Numbers:
    """The transpose of each matrix."""
    return np.swapaxes(w, -1, -2)


def _singular_values(w: Numbers) -> Numbers:
    return np.linalg.svd(w, compute_uv=False)


def _relative_eigenvalues(w: Numbers) -> Numbers:
    """The eigenvalues of a symmetric matrix, divided by its largest entry."""
    return np.linalg.eigvalsh(w) / max(float(np.max(np.abs(w))), 1e-300)


def _unshifted(w: Numbers, sign: float, c: float) -> Numbers:
    """``sign * (w - c * I)``."""
    return sign * (w - c * np.eye(w.shape[-1]))


def _matrix_root(w: Numbers) -> Numbers:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(0.5 * (w + _swapped(w)))
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ _swapped(vectors)


def _polar_factors(w: Numbers) -> tuple[Numbers, Numbers]:
    """The orthogonal and the positive semidefinite factor of a matrix, the latter the smaller."""
    u, s, vh = np.linalg.svd(w, full_matrices=False)
    base = _swapped(vh) if w.shape[-2] >= w.shape[-1] else u
    return u @ vh, (base * s[..., None, :]) @ _swapped(base)
