"""Tensors moved into the sets that a model allows, in float64 and with any leading batch axes.

The projections keep the extreme points: singular values are cut, not scaled, so that a large random matrix becomes one
with all of them at the bound. What comes out obeys the model up to rounding; `odespec.weights.membership` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from odespec.exact import Real
from odespec.ir.expr import Expr, leaves, split
from odespec.ir.model import Model, Param, Relation
from odespec.program.limits import Limit, Limits, read_limits
from odespec.weights.arithmetic import FLOAT, Array
from odespec.weights.evaluate import Unsupported, evaluate, plan
from odespec.weights.membership import is_operator

DISCRETE = ("orthogonal", "doubly_stochastic")
"""Structures whose float64 members are isolated points or nearly so: they are drawn, never moved."""
GRID = 2.0**-20


def project(model: Model, values: Mapping[str, Array], tighten: float = 0.0) -> dict[str, Array]:
    """Weights within the model's structures and constraints, up to rounding.

    ``values``: by name, the steps of a ``per step`` tensor before its own axes. ``tighten`` moves every inequality
    inward by this relative amount.
    """
    limits, unread = read_limits(model.constraints)
    result = {p.name: _one(p, limits.get(p.name, Limits()), values[p.name], tighten) for p in model.params}
    others = [x.relation for own in limits.values() for x in own.all if x.quantity not in _DIRECT]
    for relation in (*others, *(r for r, _ in unread)):
        _shrink(model, relation, result, tighten)
    return result


def _one(param: Param, limits: Limits, v: Array, tighten: float) -> Array:
    if param.structure in DISCRETE:
        return v
    v = _structured(param.structure, np.array(v, dtype=np.float64), tighten)
    for _ in range(2 if len(limits.all) > 1 else 1):
        for limit in limits.all:
            v = _limited(param, limit, v, tighten)
    return _exact_structure(param.structure, v)


def _structured(structure: str | None, v: Array, tighten: float) -> Array:
    if structure == "psd":
        return _by_eigenvalues(v, tighten, None, tighten)
    if structure == "stochastic":
        return _stochastic(v)
    return _exact_structure(structure, v)


def _exact_structure(structure: str | None, v: Array) -> Array:
    """Structures that are linear equations hold exactly in float64."""
    if structure == "skew":
        return np.asarray((v - np.swapaxes(v, -1, -2)) / 2)
    if structure in ("symmetric", "psd"):
        return np.asarray((v + np.swapaxes(v, -1, -2)) / 2)
    if structure == "diagonal":
        return np.asarray(v * np.eye(v.shape[-1]))
    return v


def _stochastic(v: Array) -> Array:
    """Rows of multiples of 2^-20 that sum to one exactly; the largest entry takes what is left."""
    v = np.abs(v)
    total = v.sum(axis=-1, keepdims=True)
    v = np.where(total > 0, v / np.where(total > 0, total, 1.0), 1.0 / v.shape[-1])
    v = np.floor(v / GRID) * GRID
    largest = np.argmax(v, axis=-1)[..., None] == np.arange(v.shape[-1])
    return np.asarray(v + largest * (1.0 - v.sum(axis=-1, keepdims=True)))


# --- limits of one parameter ---------------------------------------------------

_PARTS = {"symmetric_part": 1.0, "skew_part": -1.0}
_DIRECT = ("spectral", "sigma", "eig", "entries", "sum", "rows", "columns", "euclid", "absolute", "conv", *_PARTS)


def _limited(param: Param, limit: Limit, v: Array, tighten: float) -> Array:
    lower, upper = _tightened(limit.lower, limit.upper, tighten)
    if limit.quantity == "spectral" and param.structure in ("symmetric", "psd"):
        return _by_eigenvalues(v, -upper if upper is not None else None, upper, 0.0)
    if limit.quantity in ("spectral", "sigma"):
        return _by_singular_values(v, lower if limit.quantity == "sigma" else None, upper)
    if limit.quantity == "eig":
        return _by_eigenvalues(v, lower, upper, 0.0)
    if limit.quantity == "entries":
        return _exact_structure(param.structure, np.clip(v, lower, upper))
    if limit.quantity == "sum":
        return _summed(v, limit, len(param.shape))
    if limit.quantity in _PARTS:
        part = v + _PARTS[limit.quantity] * np.swapaxes(v, -1, -2)
        return np.asarray(v + (_by_singular_values(part, None, upper) - part) / 2)
    if upper is None or limit.quantity not in _DIRECT:
        return v
    return _scaled(v, _size(param, limit, v), upper)


def _tightened(lower: Real | None, upper: Real | None, by: float) -> tuple[float | None, float | None]:
    low, high = (None if side is None else float(side) for side in (lower, upper))
    if low is not None and high is not None and low >= high:
        return low, high
    if by == 0.0:
        return low, high
    width = high - low if low is not None and high is not None else None
    return (
        None if low is None else low + by * (abs(low) if width is None else width),
        None if high is None else high - by * (abs(high) if width is None else width),
    )


def _by_singular_values(v: Array, lower: float | None, upper: float | None) -> Array:
    result = np.nan_to_num(v)
    if lower is None and upper is not None:
        large = np.sqrt((result * result).sum(axis=(-1, -2))) > upper
        result[large] = _by_singular_values(result[large], 0.0, upper) if large.any() else result[large]
        return result
    u, s, w = np.linalg.svd(result, full_matrices=False)
    return np.asarray((u * np.clip(s, lower, upper)[..., None, :]) @ w)


def _by_eigenvalues(v: Array, lower: float | None, upper: float | None, relative: float) -> Array:
    symmetric = np.nan_to_num(v + np.swapaxes(v, -1, -2)) / 2
    values, vectors = np.linalg.eigh(symmetric)
    if relative:
        lower = np.maximum(lower or 0.0, relative * np.abs(values).max(axis=-1, keepdims=True))
    if lower is not None or upper is not None:
        values = np.clip(values, lower, upper)
    return _exact_structure("symmetric", (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def _summed(v: Array, limit: Limit, axes: int) -> Array:
    """The equation holds exactly where its value is a multiple of the grid: the last entries take what is left."""
    assert limit.lower is not None
    target, over = float(limit.lower), tuple(a - axes for a in limit.axes)
    count = prod(v.shape[a] for a in over)
    v = v + (target - v.sum(axis=over, keepdims=True)) / count
    v = np.round(v / GRID) * GRID
    last = np.zeros(v.shape[v.ndim - axes :])
    last[tuple(slice(-1, None) if a in over else slice(None) for a in range(-axes, 0))] = 1.0
    return np.asarray(v + last * (target - v.sum(axis=over, keepdims=True)))


def _size(param: Param, limit: Limit, v: Array) -> Array:
    if limit.quantity == "rows":
        return np.asarray(np.abs(v).sum(axis=-1, keepdims=True))
    if limit.quantity == "columns":
        return np.asarray(np.abs(v).sum(axis=-2, keepdims=True))
    axes = tuple(range(-len(param.shape), 0))
    if limit.quantity == "euclid":
        return np.asarray(np.sqrt((v * v).sum(axis=axes, keepdims=True)))
    if limit.quantity == "absolute":
        return np.asarray(np.abs(v).sum(axis=axes, keepdims=True))
    assert limit.convolution is not None
    spatial = limit.convolution.spatial
    spectrum = np.fft.fft2(v, spatial) if len(param.shape) == 4 else np.fft.fft(v, spatial[0])
    matrices = np.moveaxis(spectrum, (-4, -3), (-2, -1)) if len(param.shape) == 4 else np.moveaxis(spectrum, -1, -3)
    return np.asarray(np.linalg.norm(matrices, 2, axis=(-2, -1)).max(axis=tuple(range(-len(param.shape) + 2, 0))))[
        (...,) + (None,) * len(param.shape)
    ]


def _scaled(v: Array, size: Array, bound: float) -> Array:
    return np.asarray(v * np.where(size > bound, bound / np.where(size > 0, size, 1.0), 1.0))


# --- constraints on composite expressions --------------------------------------

ROUNDS = 4


def _shrink(model: Model, relation: Relation, values: dict[str, Array], tighten: float) -> None:
    """Scale the parameters of a composite constraint down until it holds, each sample by its own factor.

    The factor is exact where what is bounded is homogeneous in them, whatever the degree; else a few halvings follow.
    """
    declared = {p.name: p for p in model.params}
    names = sorted(str(n) for op, n in leaves(relation.operand) if op == "param")
    moved = [n for n in names if declared[n].structure not in DISCRETE]
    varying = any(declared[n].per_step for n in names)

    def spread(n: str, factor: Array | float) -> Array:
        axes = len(declared[n].shape)
        v = values[n] if declared[n].per_step or not varying else np.expand_dims(values[n], -1 - axes)
        return np.asarray(v * (np.asarray(factor)[(...,) + (None,) * (axes + varying)] if n in moved else 1.0))

    def excess(factor: Array | float) -> Array:
        """How many times too large, at the worst step."""
        found = overshoot(relation, {("param", n): spread(n, factor) for n in names}, tighten)
        return np.asarray(found.max(axis=-1) if varying else found)

    try:
        over = excess(1.0)
        total = np.ones(over.shape)
        for _ in range(ROUNDS):
            bad = over > 1.0
            if not bad.any():
                break
            half = excess(total / 2)
            with np.errstate(all="ignore"):
                degree = np.clip(np.log2(np.maximum(over, 1e-300) / np.maximum(half, 1e-300)), 0.25, 8.0)
            factor = np.where(np.isfinite(over), over ** (-1.0 / degree), 0.5)
            total = np.where(bad, total * factor, total)
            over = excess(total)
        total = np.where(over > 1.0 + 1e-9, 0.0, total)
    except Unsupported:
        return
    for n in moved:
        values[n] = values[n] * total[(...,) + (None,) * (len(declared[n].shape) + declared[n].per_step)]


def overshoot(relation: Relation, own: Mapping[tuple[str, object], Array], tighten: float = 0.0) -> Array:
    """The quantity of each sample in relation to its bound (at most one where it obeys); infinite below a lower bound.

    Raises `Unsupported`.
    """
    if isinstance(relation.lower, Expr) or isinstance(relation.upper, Expr):
        raise Unsupported("a bound that is no number")
    lower, upper = _tightened(relation.lower, relation.upper, tighten)
    value = np.nan_to_num(evaluate(plan((relation.operand,)), FLOAT, own)[0])
    smallest, largest = _extent(relation, value, len(relation.operand.shape))
    over = np.zeros(np.shape(largest))
    if upper is not None:
        over = np.where(largest <= upper, 1.0, np.where(upper > 0, largest / max(upper, 1e-300), np.inf))
    return np.asarray(np.where(smallest < lower, np.inf, over) if lower is not None else over)


def _extent(relation: Relation, value: Array, axes: int) -> tuple[Array, Array]:
    """The smallest and the largest value of what the relation bounds."""
    over = tuple(range(-axes, 0))
    if relation.quantity == "entries":
        return value.min(axis=over), value.max(axis=over)
    if relation.quantity == "norm" and not is_operator(relation.operand):
        flat = value.reshape(*value.shape[: value.ndim - axes], -1)
        size = np.linalg.norm(flat, {2: 2, 1: 1, "inf": np.inf}[relation.p], axis=-1)
        return size, size
    half = split(relation.operand)
    shape = relation.operand.shape
    matrix = value.reshape(*value.shape[: value.ndim - axes], prod(shape[:half]), prod(shape[half:]))
    if relation.quantity == "eig":
        spectrum = np.linalg.eigvalsh((matrix + np.swapaxes(matrix, -1, -2)) / 2)
        return spectrum[..., 0], spectrum[..., -1]
    if relation.quantity == "norm" and relation.p != 2:
        size = np.abs(matrix).sum(axis=-1 if relation.p == "inf" else -2).max(axis=-1)
        return size, size
    if relation.quantity not in ("norm", "sigma"):
        raise Unsupported(relation.quantity)
    s = np.linalg.svd(matrix, compute_uv=False)
    return (s[..., -1] if relation.quantity == "sigma" else s[..., 0]), s[..., 0]


# --- states and inputs ---------------------------------------------------------


def into_domain(
    model: Model, names: Sequence[tuple[str, str]], values: Mapping[str, Array], tighten: float = 0.0
) -> dict[str, Array]:
    """States and inputs (pairs of ``state`` or ``input`` and name) moved into their structures and the model's domain.

    Holds up to rounding.
    """
    result = {n: np.array(values[n], dtype=np.float64) for _, n in names}
    for u in model.inputs:
        if ("input", u.name) in names and u.structure not in (None, *DISCRETE):
            result[u.name] = _structured(u.structure, result[u.name], tighten)
    for relation in model.domains:
        operand = relation.operand
        if (operand.op, str(operand.data)) in names and relation.quantity in _DOMAINS:
            low, high = _tightened(relation.lower, relation.upper, tighten)  # type: ignore[arg-type]
            name = str(operand.data)
            result[name] = _DOMAINS[relation.quantity](relation, result[name], low, high)
    return result


def _into_ball(relation: Relation, v: Array, lower: float | None, upper: float | None) -> Array:
    axes = tuple(range(-len(relation.operand.shape), 0))
    sizes = {2: np.sqrt((v * v).sum(axis=axes, keepdims=True)), 1: np.abs(v).sum(axis=axes, keepdims=True)}
    size = sizes.get(
        relation.p if isinstance(relation.p, int) else 0, np.abs(v).max(axis=axes, keepdims=True, initial=0)
    )
    target = np.clip(size, lower, upper) if lower is not None or upper is not None else size
    return np.asarray(v * np.where(size > 0, target / np.where(size > 0, size, 1.0), 1.0))


def _into_box(relation: Relation, v: Array, lower: float | None, upper: float | None) -> Array:
    return np.asarray(np.clip(v, lower, upper)) if lower is not None or upper is not None else v


_DOMAINS: dict[str, Callable[[Relation, Array, float | None, float | None], Array]] = {
    "norm": _into_ball,
    "entries": _into_box,
}
