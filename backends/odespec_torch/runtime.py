# mypy: disable-error-code="no-any-return, no-untyped-call, union-attr, untyped-decorator"
"""The functions that emitted files are made of: an emitted file holds a copy of those it calls.

This module is read as text, never imported by the compiler. Each function must stand alone with
``math``, ``torch`` and the other functions of this file, in lines of at most 100 characters.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# --- the module ---------------------------------------------------------------


class _Model(torch.nn.Module):
    """What all models share: weights computed from stored tensors, kept where nothing is learnt."""

    def __init__(self, dtype: Any, device: Any) -> None:
        super().__init__()
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=device), persistent=False)
        self._kept: tuple[list[tuple[Any, int]], dict[str, Tensor]] | None = None

    def _constrained(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def _effective(self) -> dict[str, Tensor]:
        """The weights of the spec.

        In ``eval()`` without gradients they are computed once and kept until a stored tensor
        changes in place; after changes through ``.data`` call ``train()`` or ``eval()``.
        """
        if self.training or torch.compiler.is_compiling():
            return self._constrained()
        stored = [*self._parameters.values(), *self._buffers.values()]
        learning = torch.is_grad_enabled() and any(p.requires_grad for p in stored)
        own = all(isinstance(p, torch.nn.Parameter) for p in self._parameters.values())
        if learning or not own or any(p.is_inference() for p in stored):
            return self._constrained()
        now = [(p, p._version) for p in stored]
        if self._kept is None or not _unchanged(self._kept[0], now):
            with torch.inference_mode(False), torch.no_grad():
                self._kept = (now, self._constrained())
        return self._kept[1]

    def train(self, mode: bool = True) -> Any:
        self._kept = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._kept = None
        return super()._apply(*args, **kwargs)

    def weights(self) -> dict[str, Tensor]:
        """The weights by the names of the spec; ``per step`` ones are stacked on the first axis."""
        return {name: w.detach().clone() for name, w in self._effective().items()}

    def _store(self, values: Mapping[str, Tensor]) -> None:
        self._kept = None
        with torch.no_grad():
            for name, value in values.items():
                getattr(self, name).copy_(value)


def _unchanged(old: list[tuple[Any, int]], new: list[tuple[Any, int]]) -> bool:
    """Whether these are the same tensors in the same versions."""
    return all(p is q and i == j for (p, i), (q, j) in zip(old, new, strict=True))


# --- stored tensors -----------------------------------------------------------


def _normal(shape: Sequence[int], fan_in: int, dtype: Any, device: Any) -> torch.nn.Parameter:
    """A parameter with independent normal entries of variance 1 / fan_in."""
    entries = torch.randn(tuple(shape), dtype=dtype, device=device)
    return torch.nn.Parameter(entries / math.sqrt(fan_in))


def _zeros(shape: Sequence[int], dtype: Any, device: Any) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(tuple(shape), dtype=dtype, device=device))


def _random_orthogonal(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    """Matrices with orthonormal columns, or rows where these are fewer."""
    m, n = shape[-2:]
    a = torch.randn(*shape[:-2], max(m, n), min(m, n), dtype=dtype, device=device)
    q = torch.linalg.qr(a)[0]
    return q if m >= n else q.mT.contiguous()


# --- from stored tensors to weights -------------------------------------------


@torch.compiler.assume_constant_result
def _products_are_reduced() -> bool:
    """Whether products of float32 are computed with fewer digits (TF32, bfloat16)."""
    return torch.get_float32_matmul_precision() != "highest"


def _accurate(v: Tensor) -> Tensor:
    """The tensor in a type in which products are exact to its rounding (not bfloat16, not TF32)."""
    if v.dtype in (torch.float16, torch.bfloat16):
        v = v.float()
    return v.double() if v.device.type != "mps" and _products_are_reduced() else v


def _gram_iteration(u: Tensor) -> tuple[Tensor, Tensor]:
    """A certified upper bound of the largest singular value of each matrix, and its gradient.

    With G = u^H u and N = 2^k, norm(u)^2 = norm(G) <= norm_F(G^N)^(1/N), reached by k squarings
    that are normalised each time (Delattre et al., "Efficient bound of Lipschitz constant for
    convolutional layers by Gram iteration", ICML 2023). k is such that the bound is tight to
    rounding for every matrix. The entries of u are at most 1.
    """
    tall = u.shape[-2] >= u.shape[-1]
    gram = u.mH @ u if tall else u @ u.mH
    info, size = torch.finfo(u.dtype), gram.shape[-1]
    rounds = math.ceil(math.log2(math.log(size) / info.eps)) if size > 1 else 0
    first = torch.linalg.matrix_norm(gram, keepdim=True).clamp(min=info.tiny)
    power, log = gram / first, torch.zeros_like(first)
    for i in range(1, rounds + 1):
        power = power @ power
        norm = torch.linalg.matrix_norm(power, keepdim=True).clamp(min=info.tiny)
        power, log = power / norm, log + torch.log(norm) / 2.0**i
    bound = torch.sqrt(first * torch.exp(log)).clamp(min=info.tiny)
    weight = power @ power
    return bound[..., 0, 0], (u @ weight if tall else weight @ u) / bound


def _spectral_norm(v: Tensor) -> Tensor:
    """An upper bound of the largest singular value of each matrix, tight to rounding.

    The first derivative is that of the norm; the second treats the singular vectors as constant.
    """
    with torch.autocast(v.device.type, enabled=False):
        a = _accurate(v)
        size = a.detach().abs().amax((-2, -1), keepdim=True)
        scale = size.clamp(min=torch.finfo(a.dtype).tiny)
        bound, gradient = _gram_iteration(a.detach() / scale)
        return bound * scale[..., 0, 0] + (gradient * (a - a.detach())).sum((-2, -1))


def _circular_norm(v: Tensor, grid: Sequence[int], groups: int) -> Tensor:
    """An upper bound, tight to rounding, of the norm of the circular convolution with each kernel.

    The Fourier transform makes a matrix ``[out, in]`` for each frequency (Sedghi, Gupta & Long,
    "The singular values of convolutional layers", ICLR 2019).
    """
    with torch.autocast(v.device.type, enabled=False):
        a, space = _accurate(v), len(grid)
        axes = tuple(range(-space, 0))
        size = a.detach().abs().amax(tuple(range(-space - 2, 0)), keepdim=True)
        scale = size.clamp(min=torch.finfo(a.dtype).tiny)
        symbol = torch.fft.rfftn(a / scale, s=tuple(grid), dim=axes)
        symbol = symbol.flatten(-space).movedim(-1, -3)
        symbol = symbol.unflatten(-2, (groups, -1)).movedim(-3, -4)
        u = symbol.detach() / math.prod(v.shape[-space:])
        bound, gradient = _gram_iteration(u)
        change = (gradient.conj() * (symbol - symbol.detach())).real.sum((-2, -1))
        norms = bound * math.prod(v.shape[-space:]) + change
        return norms.amax((-2, -1)) * scale.reshape(v.shape[: -space - 2])


def _row_sum(v: Tensor) -> Tensor:
    """The operator norm for the max-norm: the largest sum of absolute values in a row."""
    return v.abs().sum(-1).amax(-1)


def _column_sum(v: Tensor) -> Tensor:
    """The operator norm for the 1-norm: the largest sum of absolute values in a column."""
    return v.abs().sum(-2).amax(-1)


def _euclidean(v: Tensor, axes: int) -> Tensor:
    """The Euclidean norm over the last axes."""
    last = tuple(range(-axes, 0))
    tiny = torch.finfo(v.dtype).tiny
    scale = v.detach().abs().amax(last, keepdim=True).clamp(min=tiny)
    squares = (v / scale).square().sum(last).clamp(min=tiny)
    return scale.reshape(squares.shape) * squares.sqrt()


def _absolute_sum(v: Tensor, axes: int) -> Tensor:
    """The sum of absolute values over the last axes."""
    return v.abs().sum(tuple(range(-axes, 0)))


def _scale(v: Tensor, norm: Tensor, limit: float, axes: int = 2) -> Tensor:
    """``v * min(1, limit / norm)``; the norm stays within the limit after rounding too."""
    info = torch.finfo(v.dtype)
    margin = 1.0 + 0.5 * info.eps * (sum(v.shape[v.ndim - axes :]) + 16)
    limit = min(max(limit, info.tiny), info.max)
    factor = limit / torch.clamp(norm * margin, min=limit)
    return v * factor.to(v.dtype).reshape(*factor.shape, *(1,) * axes)


def _skew(v: Tensor) -> Tensor:
    return 0.5 * (v - v.mT)


def _symmetric(v: Tensor) -> Tensor:
    return 0.5 * v + 0.5 * v.mT


def _outer(v: Tensor) -> Tensor:
    """``v @ v.T``: positive semidefinite. What would overflow is scaled down."""
    with torch.autocast(v.device.type, enabled=False):
        a = _accurate(v)
        limit = 0.5 * math.sqrt(torch.finfo(v.dtype).max)
        a = a * (limit / torch.clamp(_euclidean(a, 2), min=limit))[..., None, None]
        return (a @ a.mT).to(v.dtype)


def _shift(v: Tensor, sign: float, c: float) -> Tensor:
    """``sign * v + c * I``."""
    return sign * v + c * torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)


def _eigenvalues(v: Tensor, lower: float, upper: float) -> Tensor:
    """Eigenvalues in [lower, upper]: the middle plus a symmetric matrix of half the length."""
    middle = 0.5 * (lower + upper)
    rounding = torch.finfo(v.dtype).eps * (v.shape[-1] + 16) * abs(middle)
    radius = 0.5 * (upper - lower) - rounding
    inner = torch.zeros_like(v) if radius <= 0.0 else _scale(v, _spectral_norm(v), radius)
    return _shift(inner, 1.0, middle)


def _parts(v: Tensor, symmetric: float | None, skew: float | None) -> Tensor:
    """Scales the symmetric and the skew part so that the norms of v + v.T and v - v.T are bounded.

    Each limit is a little smaller by what the other part rounds away when they are added.
    """
    s, a = _symmetric(v), _skew(v)
    return _part(s, a, symmetric) + _part(a, s, skew)


def _part(v: Tensor, other: Tensor, limit: float | None) -> Tensor:
    if limit is None:
        return v
    info = torch.finfo(v.dtype)
    margin = 1.0 + 0.5 * info.eps * (sum(v.shape[-2:]) + 16)
    room = 0.5 * limit - info.eps * _euclidean(other.detach(), 2)
    room = room.clamp(min=info.tiny)
    factor = room / torch.maximum(_spectral_norm(v) * margin, room)
    return v * factor.to(v.dtype)[..., None, None]


def _rotation(generator: Tensor, factor: Tensor) -> Tensor:
    """The exponential of a skew matrix by a fixed orthogonal factor: any orthogonal matrix.

    Skew matrices of norm at most pi reach every rotation, so a longer generator is cut to where
    that is kept; one Newton-Schulz step takes away what the exponential lost to rounding.
    """
    with torch.autocast(factor.device.type, enabled=False):
        a, q = _accurate(generator), _accurate(factor)
        a = 0.5 * a - 0.5 * a.mT
        limit = math.pi * math.sqrt(a.shape[-1])
        a = a * (limit / torch.clamp(_euclidean(a, 2), min=limit))[..., None, None]
        r = torch.linalg.matrix_exp(a)
        tall = q.shape[-2] >= q.shape[-1]
        w = r @ q if tall else q @ r
        step = _shift(w.mT @ w if tall else w @ w.mT, -0.5, 1.5)
        return (w @ step if tall else step @ w).to(factor.dtype)


def _polar(
    v: Tensor,
    generator: Tensor,
    factor: Tensor,
    lower: float,
    upper: float | None,
) -> Tensor:
    """Singular values in [lower, upper]: an orthogonal matrix by a symmetric one."""
    if upper is None:
        p = _shift(_outer(v), 1.0, lower)
    else:
        p = _eigenvalues(_symmetric(v), lower, upper)
    with torch.autocast(v.device.type, enabled=False):
        q, p = _accurate(_rotation(generator, factor)), _accurate(p)
        return (q @ p if q.shape[-2] >= q.shape[-1] else p @ q).to(v.dtype)


def _simplex(v: Tensor) -> Tensor:
    """The nearest point of the probability simplex to each row (Held, Wolfe & Crowder, 1974)."""
    v = v - v.amax(-1, keepdim=True).detach()
    u = v.sort(-1, descending=True)[0]
    count = torch.arange(1, v.shape[-1] + 1, dtype=v.dtype, device=v.device)
    excess = (u.cumsum(-1) - 1.0) / count
    last = (u > excess).sum(-1, keepdim=True) - 1
    return torch.relu(v - excess.gather(-1, last))


def _inward(bound: float, dtype: torch.dtype, up: bool) -> float:
    """A bound rounded to a type so that it stays on the allowed side."""
    near = torch.tensor(bound, dtype=dtype).double().item()
    if near == bound or (near > bound) == up:
        return near
    end = torch.tensor(math.inf if up else -math.inf, dtype=dtype)
    return torch.nextafter(torch.tensor(bound, dtype=dtype), end).double().item()


def _fold(v: Tensor, lower: float | None, upper: float | None) -> Tensor:
    """Each entry reflected at the bounds until it is between them; the identity there."""
    low = None if lower is None else _inward(lower, v.dtype, True)
    high = None if upper is None else _inward(upper, v.dtype, False)
    if low is None or high is None:
        edge = high if low is None else low
        mirrored = (v if edge is None else 2.0 * edge - v).clamp(min=low, max=high)
    else:
        width = max(high - low, torch.finfo(v.dtype).tiny)
        turn = torch.remainder(v - low, 2.0 * width)
        mirrored = (low + torch.where(turn <= width, turn, 2.0 * width - turn)).clamp(low, high)
    inside = torch.ones_like(v, dtype=torch.bool)
    if low is not None:
        inside = inside & (v >= low)
    if high is not None:
        inside = inside & (v <= high)
    return torch.where(inside, v, mirrored)


def _fixed(v: Tensor, value: float) -> Tensor:
    """Every entry equal; the gradient is zero."""
    return torch.full_like(v, value) + 0.0 * (v - v.detach())


def _centre(v: Tensor, total: float, axes: Sequence[int]) -> Tensor:
    """Moves the sums over some axes (counted from the end) to a value."""
    count = math.prod(v.shape[i] for i in axes)
    return v - (v.sum(tuple(axes), keepdim=True) - total) / count


# --- loading weights ----------------------------------------------------------


def _read_weights(
    given: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Tensor]:
    """The arrays in float64.

    Raises ValueError for a missing or unknown name, a wrong shape, a value that is not finite.
    """
    if set(given) != set(shapes):
        raise ValueError(f"expected the weights {sorted(shapes)}, got {sorted(map(str, given))}")
    read = {}
    for name, shape in shapes.items():
        value = _as_tensor(given[name]).to("cpu")
        if tuple(value.shape) != shape:
            raise ValueError(f"`{name}` has shape {tuple(value.shape)}, expected {shape}")
        if value.is_complex() or not bool(torch.isfinite(value).all()):
            raise ValueError(f"`{name}` has entries that are not finite real numbers")
        read[name] = value.double()
    return read


def _as_tensor(given: Any) -> Tensor:
    """A tensor, or anything that NumPy takes for an array, as a tensor."""
    if isinstance(given, Tensor):
        return given.detach()
    return torch.tensor(given.__array__() if hasattr(given, "__array__") else given)


def _tolerance(given: Any, stored: Tensor, axes: int) -> float:
    """How far from a constraint a weight may be by rounding, relative to its size."""
    value = _as_tensor(given)
    types = [t for t in (value.dtype, stored.dtype) if t.is_floating_point]
    return max(torch.finfo(t).eps for t in types) * (sum(value.shape[value.ndim - axes :]) + 16)


def _require(
    text: str,
    value: Tensor,
    lower: float | None,
    upper: float | None,
    tolerance: float,
) -> None:
    """Raises ValueError where a quantity leaves its interval by more than rounding."""
    size = max(abs(x) for x in (lower, upper) if x is not None)
    slack = tolerance * (size if size > 0.0 else 1.0)
    low, high = value.min().item(), value.max().item()
    if upper is not None and high > upper + slack:
        raise ValueError(f"the weights break `{text}`: {high!r} > {upper!r}")
    if lower is not None and low < lower - slack:
        raise ValueError(f"the weights break `{text}`: {low!r} < {lower!r}")


def _require_equal(text: str, a: Tensor, b: Tensor, tolerance: float) -> None:
    """Raises ValueError where two tensors differ by more than rounding."""
    gap = (a - b).abs().max().item()
    if gap > tolerance * max(a.abs().max().item(), b.abs().max().item()):
        raise ValueError(f"the weights break `{text}`: off by {gap!r}")


def _diagonal_part(w: Tensor) -> Tensor:
    """A matrix without its entries off the diagonal."""
    return torch.diag_embed(torch.diagonal(w, dim1=-2, dim2=-1))


def _singular_values(w: Tensor) -> Tensor:
    return torch.linalg.svdvals(w)


def _circular_singular_values(w: Tensor, grid: Sequence[int], groups: int) -> Tensor:
    """The singular values of the circular convolution with each kernel on a grid."""
    space = len(grid)
    symbol = torch.fft.fftn(w, s=tuple(grid), dim=tuple(range(-space, 0)))
    symbol = symbol.flatten(-space).movedim(-1, -3)
    return torch.linalg.svdvals(symbol.unflatten(-2, (groups, -1)).movedim(-3, -4))


def _relative_eigenvalues(w: Tensor) -> Tensor:
    """The eigenvalues of a symmetric matrix, divided by its largest entry."""
    return torch.linalg.eigvalsh(w) / w.abs().max().clamp(min=1e-300)


def _matrix_root(w: Tensor) -> Tensor:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(0.5 * (w + w.mT))
    return (vectors * values.clamp(min=0.0).sqrt()[..., None, :]) @ vectors.mT


def _polar_factors(w: Tensor) -> tuple[Tensor, Tensor]:
    """The orthogonal and the positive semidefinite factor; the second is on the short side."""
    u, s, vh = torch.linalg.svd(w, full_matrices=False)
    base = vh.mT if w.shape[-2] >= w.shape[-1] else u
    return u @ vh, (base * s[..., None, :]) @ base.mT


# --- operations of step programs ----------------------------------------------


def _check_shape(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the last axes have the sizes of the spec."""
    if tuple(x.shape[max(x.ndim - len(shape), 0) :]) != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"`{name}` has shape {tuple(x.shape)}, expected [..., {wanted}]")


def _batch_shape(*pairs: tuple[Tensor, int]) -> torch.Size:
    """The common shape of the leading axes of tensors, each with the number of its own axes."""
    return torch.broadcast_shapes(*(x.shape[: x.ndim - axes] for x, axes in pairs))


def _layernorm(x: Tensor, axis: int, eps: float) -> Tensor:
    """Mean zero and variance one along an axis."""
    centred = x - x.mean(axis, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(axis, keepdim=True) + eps)


def _offdiagonal(w: Tensor) -> Tensor:
    """A matrix without its diagonal."""
    return w - _diagonal_part(w)


def _norm_bound(w: Tensor, axes: int) -> Tensor:
    """An s >= norm(w), s >= 1e-12, of a matrix (2 axes) or a vector (1 axis)."""
    margin = 1.0 + 0.5 * torch.finfo(w.dtype).eps * (sum(w.shape[w.ndim - axes :]) + 16)
    norm = _spectral_norm(w) if axes == 2 else _euclidean(w, axes)
    return (norm * margin).clamp(min=1e-12).to(w.dtype)


def _odd_root_power(x: Tensor, numerator: int, denominator: int) -> Tensor:
    """A power with an odd denominator: real for negative numbers too."""
    size = x.abs() ** (numerator / denominator)
    return torch.sign(x) * size if numerator % 2 else size


def _pool(x: Tensor, k: int) -> Tensor:
    """Means over k by k blocks of the last two axes."""
    h, w = x.shape[-2] // k, x.shape[-1] // k
    return x.unflatten(-1, (w, k)).unflatten(-3, (h, k)).mean((-3, -1))


def _pad(x: Tensor, kernel: Sequence[int], mode: str) -> Tensor:
    """Grows the last axes so that a convolution keeps their sizes."""
    widths = [side for k in reversed(kernel) for side in ((k - 1) // 2, k // 2)]
    if mode == "zero":
        return F.pad(x, widths)
    return F.pad(x, widths, mode=mode)


def _unpad(x: Tensor, kernel: Sequence[int], mode: str) -> Tensor:
    """The adjoint of `_pad`: what was grown is cut off and added to where it came from."""
    for axis, k in zip(range(-len(kernel), 0), kernel, strict=True):
        left, right = (k - 1) // 2, k // 2
        size = x.shape[axis] - left - right
        before, middle, after = x.split([left, size, right], axis)
        if mode == "circular":
            middle = middle + _placed(before, size, axis, size - left)
            middle = middle + _placed(after, size, axis, 0)
        elif mode == "reflect":
            middle = middle + _placed(before.flip(axis), size, axis, 1)
            middle = middle + _placed(after.flip(axis), size, axis, size - 1 - right)
        x = middle
    return x


def _placed(part: Tensor, size: int, axis: int, start: int) -> Tensor:
    """A part among zeros along an axis."""
    shape = list(part.shape)
    shape[axis] = start
    head = part.new_zeros(shape)
    shape[axis] = size - start - part.shape[axis]
    return torch.cat([head, part, part.new_zeros(shape)], axis)


def _conv(kernel: Tensor, x: Tensor, mode: str, stride: int, groups: int) -> Tensor:
    """The convolution ``[out, in, k...]`` on ``[..., in, n...]``, as in deep learning."""
    space = kernel.ndim - 2
    function = F.conv1d if space == 1 else F.conv2d
    flat = x.reshape(-1, *x.shape[x.ndim - space - 1 :])
    out = function(_pad(flat, kernel.shape[2:], mode), kernel, stride=stride, groups=groups)
    return out.reshape(*x.shape[: x.ndim - space - 1], *out.shape[1:])


def _conv_adjoint(
    kernel: Tensor,
    y: Tensor,
    grid: Sequence[int],
    mode: str,
    stride: int,
    groups: int,
) -> Tensor:
    """The adjoint of `_conv` on a grid, on ``[..., out, n...]``."""
    space = kernel.ndim - 2
    function = F.conv_transpose1d if space == 1 else F.conv_transpose2d
    flat = y.reshape(-1, *y.shape[y.ndim - space - 1 :])
    sizes = zip(grid, kernel.shape[2:], flat.shape[2:], strict=True)
    rest = [n + k - 1 - ((m - 1) * stride + k) for n, k, m in sizes]
    full = function(flat, kernel, stride=stride, groups=groups, output_padding=rest)
    out = _unpad(full, kernel.shape[2:], mode)
    return out.reshape(*y.shape[: y.ndim - space - 1], *out.shape[1:])
