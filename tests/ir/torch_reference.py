"""An independent reading of expressions: each operation in torch, in float64, for tests of derivatives and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from odespec.activations import ACTIVATIONS
from odespec.ir.expr import Expr, postorder

Tensor = torch.Tensor

ACTS: dict[str, Callable[..., Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda x, a: torch.nn.functional.leaky_relu(x, float(a)),
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "elu": torch.nn.functional.elu,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softsign": torch.nn.functional.softsign,
    "hardtanh": torch.nn.functional.hardtanh,
    "arctan": torch.arctan,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "abs": torch.abs,
    "logcosh": lambda x: x.abs() + torch.log1p(torch.exp(-2 * x.abs())) - torch.log(torch.tensor(2.0, dtype=x.dtype)),
    "identity": lambda x: x,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "square": torch.square,
}


def tensor(data: object) -> Tensor:
    if isinstance(data, tuple):
        return torch.stack([tensor(x) for x in data])
    return torch.tensor(float(data), dtype=torch.float64)  # type: ignore[arg-type]


def evaluate(root: Expr, values: Mapping[Expr, Tensor]) -> Tensor:
    """The value of an expression, its leaves given."""
    found: dict[Expr, Tensor] = {}
    for node in postorder(root):
        if node in values:
            found[node] = values[node]
            continue
        found[node] = _node(node, [found[a] for a in node.args])
        assert tuple(found[node].shape) == node.shape or is_convolution(node), node.op
    return found[root]


def is_convolution(e: Expr) -> bool:
    """An operator, which stands for its kernel until it is applied."""
    return e.op == "conv" or (e.op == "transpose" and e.args[0].op == "conv")


def _node(e: Expr, a: list[Tensor]) -> Tensor:
    match e.op:
        case "const":
            return tensor(e.data)
        case "array":
            return tensor(e.data)
        case "full":
            return tensor(e.data).expand(e.shape)
        case "eye":
            return torch.eye(e.shape[0], dtype=torch.float64)
        case "add":
            return a[0] + a[1]
        case "mul":
            return a[0] * a[1]
        case "div":
            return a[0] / a[1]
        case "pow":
            return a[0] ** float(e.data)  # type: ignore[arg-type]
        case "matmul":
            return a[0] @ a[1] if e.data == "last" else torch.tensordot(a[0], a[1], dims=1)
        case "transpose":
            return a[0] if is_convolution(e) else a[0].T
        case "diag":
            return torch.diag(a[0])
        case "offdiag":
            return a[0] - torch.diag(torch.diag(a[0]))
        case "act":
            return _act(e, a[0])
        case "softmax":
            return torch.softmax(a[0], dim=e.data)  # type: ignore[arg-type]
        case "layernorm":
            return _layernorm(e, a[0])
        case "sum" | "mean":
            build = torch.sum if e.op == "sum" else torch.mean
            return build(a[0]) if e.data is None else build(a[0], dim=e.data)  # type: ignore[call-overload, no-any-return]
        case "min" | "max":
            return a[0].min() if e.op == "min" else a[0].max()
        case "dot":
            return (a[0] * a[1]).sum()
        case "norm":
            order = {2: 2, 1: 1, "inf": float("inf")}[e.data]  # type: ignore[index]
            return torch.linalg.vector_norm(a[0], order)
        case "channel":
            extra = len(e.shape) - a[0].dim()
            return a[0].reshape(*a[0].shape, *[1] * extra).expand(e.shape)
        case "conv":
            return a[0]
        case "pool":
            return torch.nn.functional.avg_pool2d(a[0].unsqueeze(0), e.data)[0]  # type: ignore[arg-type]
        case "apply":
            return _apply(e, a)
    raise NotImplementedError(e.op)


def _act(e: Expr, x: Tensor) -> Tensor:
    name, parameters = e.data  # type: ignore[misc]
    if name in ACTS:
        return ACTS[name](x, *parameters)
    value = ACTIVATIONS[name].numpy(x.detach().numpy(), parameters)
    return torch.as_tensor(value, dtype=torch.float64)


def _layernorm(e: Expr, x: Tensor) -> Tensor:
    axis, eps = e.data  # type: ignore[misc]
    centred = x - x.mean(dim=axis, keepdim=True)
    variance = (centred**2).mean(dim=axis, keepdim=True)
    return centred / torch.sqrt(variance + float(eps))


def _apply(e: Expr, a: list[Tensor]) -> Tensor:
    """A circular convolution of stride one, or its adjoint by autograd."""
    operator = e.args[0]
    kernel = operator.args[0] if operator.op == "transpose" else operator
    k = a[0]
    size = kernel.shape[len(kernel.shape) // 2 :]

    def forward(x: Tensor) -> Tensor:
        widths = [w for n in reversed(k.shape[2:]) for w in (n // 2, n - 1 - n // 2)]
        padded = torch.nn.functional.pad(x.unsqueeze(0), widths, mode="circular")
        run = torch.nn.functional.conv1d if k.dim() == 3 else torch.nn.functional.conv2d
        return run(padded, k)[0]

    if operator.op != "transpose":
        return forward(a[1])
    zero = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(forward(zero), zero, a[1], create_graph=True)[0]
