"""The NumPy rules of the operations against PyTorch, and their derivatives against central differences."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from odespec.exact import root
from odespec.ir.expr import (
    Convolution,
    Expr,
    Shape,
    act,
    add,
    apply,
    const,
    div,
    dot,
    eye,
    full,
    leaf,
    matmul,
    matmul_last,
    mean,
    mul,
    power,
    total,
    transpose,
)
from odespec.program.evaluate import MissingValue, NoRule, evaluate
from odespec.program.operators import Edges, Operator
from odespec.program.tangents import differentiate

rng = np.random.default_rng(1)


def x_(*shape: int) -> Expr:
    return leaf("state", "x", shape)


def y_(*shape: int) -> Expr:
    return leaf("state", "y", shape)


def w_(*shape: int) -> Expr:
    return leaf("param", "w", shape)


Torch = Callable[..., torch.Tensor]


def without_diagonal(x: torch.Tensor) -> torch.Tensor:
    return x - torch.diag_embed(torch.diagonal(x, dim1=-2, dim2=-1))


def pooled(x: torch.Tensor, k: int) -> torch.Tensor:
    flat = x.reshape(-1, *x.shape[-3:])
    return functional.avg_pool2d(flat, k).reshape(*x.shape[:-2], x.shape[-2] // k, x.shape[-1] // k)


CASES: dict[str, tuple[Expr, Torch]] = {
    "add": (add(x_(3), y_(3)), lambda x, y: x + y),
    "add a scalar": (add(x_(), y_(3)), lambda x, y: x[..., None] + y),
    "mul": (mul(x_(2, 3), y_(2, 3)), lambda x, y: x * y),
    "mul by a scalar": (mul(y_(2, 3), x_()), lambda x, y: x[..., None, None] * y),
    "mul by an irrational": (mul(const(root(Fraction(2), 2)), x_(3)), lambda x: x * 2**0.5),
    "div": (div(x_(3), y_(3)), lambda x, y: x / y),
    "div by a scalar": (div(x_(3), y_()), lambda x, y: x / y[..., None]),
    "div of a scalar": (div(x_(), y_(3)), lambda x, y: x[..., None] / y),
    "square": (power(x_(3), Fraction(2)), lambda x: x**2),
    "inverse cube": (power(x_(3), Fraction(-3)), lambda x: x**-3),
    "cube root": (power(x_(4), Fraction(1, 3)), lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3)),
    "act": (act("tanh", x_(3)), torch.tanh),
    "act with a parameter": (act("leaky_relu", x_(3), (Fraction(1, 5),)), lambda x: functional.leaky_relu(x, 0.2)),
    "matrix by vector": (matmul(x_(4, 3), y_(3)), lambda x, y: torch.einsum("...ij,...j->...i", x, y)),
    "matrix by matrix": (matmul(x_(4, 3), y_(3, 2)), lambda x, y: x @ y),
    "matrix by tensor": (matmul(x_(4, 3), y_(3, 2, 5)), lambda x, y: torch.einsum("...ij,...jkl->...ikl", x, y)),
    "tensor by matrix": (matmul_last(x_(2, 5, 3), y_(3, 4)), lambda x, y: torch.einsum("...abi,...ij->...abj", x, y)),
    "transpose": (matmul(transpose(x_(3, 4)), y_(3)), lambda x, y: torch.einsum("...ij,...i->...j", x, y)),
    "apply a matrix": (apply(x_(4, 3), y_(3)), lambda x, y: torch.einsum("...ij,...j->...i", x, y)),
    "apply an array": (
        apply(x_(2, 3, 4, 5), y_(4, 5)),
        lambda x, y: torch.einsum("...abcd,...cd->...ab", x, y),
    ),
    "diag": (Expr("diag", (x_(3),), (3, 3)), torch.diag_embed),
    "offdiag": (Expr("offdiag", (x_(3, 3),), (3, 3)), without_diagonal),
    "channel": (Expr("channel", (x_(2),), (2, 3, 4)), lambda x: x[..., None, None].expand(*x.shape, 3, 4)),
    "pool": (Expr("pool", (x_(2, 4, 6),), (2, 2, 3), 2), lambda x: pooled(x, 2)),
    "sum": (total(x_(2, 3)), lambda x: x.sum((-1, -2))),
    "sum along an axis": (total(x_(2, 3), (0,)), lambda x: x.sum(-2)),
    "mean": (mean(x_(2, 3, 4), (0, 2)), lambda x: x.mean((-3, -1))),
    "min": (Expr("min", (x_(2, 3),), ()), lambda x: x.flatten(-2).min(-1).values),
    "max": (Expr("max", (x_(2, 3),), ()), lambda x: x.flatten(-2).max(-1).values),
    "dot": (dot(x_(2, 3), y_(2, 3)), lambda x, y: (x * y).sum((-1, -2))),
    "norm": (Expr("norm", (x_(2, 3),), (), 2), lambda x: x.flatten(-2).norm(dim=-1)),
    "norm 1": (Expr("norm", (x_(3),), (), 1), lambda x: x.abs().sum(-1)),
    "norm inf": (Expr("norm", (x_(3),), (), "inf"), lambda x: x.abs().max(-1).values),
    "softmax": (Expr("softmax", (x_(2, 3),), (2, 3), 1), lambda x: torch.softmax(x, -1)),
    "softmax of columns": (Expr("softmax", (x_(2, 3),), (2, 3), 0), lambda x: torch.softmax(x, -2)),
    "layernorm": (
        Expr("layernorm", (x_(2, 5),), (2, 5), (1, Fraction(1, 100))),
        lambda x: functional.layer_norm(x, (5,), eps=0.01),
    ),
    "eye": (matmul(add(eye(3), x_(3, 3)), y_(3)), lambda x, y: torch.einsum("...ij,...j->...i", x, y) + y),
    "full": (add(full(Fraction(1, 4), (3,)), x_(3)), lambda x: x + 0.25),
    "array": (mul(Expr("array", (), (2, 2), ((Fraction(1), Fraction(2)), (Fraction(3), Fraction(4)))), x_(2, 2)),
              lambda x: torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double() * x),
}  # fmt: skip


def arguments(root_node: Expr) -> list[Expr]:
    from odespec.ir.expr import postorder

    return sorted((n for n in postorder(root_node) if n.op == "state"), key=lambda n: str(n.data))


def away_from_zero(shape: Shape) -> np.ndarray:
    return rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.3, 2.0, size=shape)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
def test_values(name: str, batch: Shape) -> None:
    node, reference = CASES[name]
    leaves_of = arguments(node)
    values = [away_from_zero((*batch, *e.shape)) for e in leaves_of]
    found = evaluate([node], dict(zip(leaves_of, values, strict=True)))[0]
    expected = reference(*(torch.tensor(v) for v in values)).numpy()
    np.testing.assert_allclose(np.broadcast_to(found, (*batch, *node.shape)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(n for n, (e, _) in CASES.items() if len(arguments(e)) == 2))
def test_batch_axes_broadcast(name: str) -> None:
    """One argument with batch axes, the other with none: each member of the batch as if alone."""
    node, _ = CASES[name]
    left, right = arguments(node)
    many, one = away_from_zero((3, *left.shape)), away_from_zero(right.shape)
    found = evaluate([node], {left: many, right: one})[0]
    other = evaluate([node], {left: many[0], right: np.stack([one] * 3)})[0]
    for i in range(3):
        alone = evaluate([node], {left: many[i], right: one})[0]
        np.testing.assert_allclose(found[i], alone, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(other[i], evaluate([node], {left: many[0], right: one})[0], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("batch", [(), (2,)])
def test_tangents(name: str, batch: Shape) -> None:
    node, _ = CASES[name]
    leaves_of = arguments(node)
    env = {e: away_from_zero((*batch, *e.shape)) for e in leaves_of}
    for moving in [*({e} for e in leaves_of), set(leaves_of)]:
        moves = {e: rng.normal(size=(2, *batch, *e.shape)) for e in moving}
        found = differentiate([node], env, moves)[1][0]
        for k in range(2):
            h = 1e-6
            ends = [
                evaluate([node], {e: v + s * h * moves[e][k] if e in moving else v for e, v in env.items()})[0]
                for s in (1, -1)
            ]
            assert found is not None
            approximate = (ends[0] - ends[1]) / (2 * h)
            moved = np.broadcast_to(found, (2, *approximate.shape))[k]
            np.testing.assert_allclose(moved, approximate, rtol=2e-6, atol=1e-8)


def test_tangent_of_what_does_not_move() -> None:
    x, w = x_(3), w_(3)
    env = {x: np.ones(3), w: np.ones(3)}
    values, moves = differentiate([act("tanh", w), mul(w, x)], env, {x: np.eye(3)})
    assert moves[0] is None and moves[1] is not None and len(values) == 2


# --- operators -----------------------------------------------------------------


def torch_conv(u: torch.Tensor, kernel: torch.Tensor, padding: str, stride: int, groups: int) -> torch.Tensor:
    window = kernel.shape[2:]
    pads = [side for k in reversed(window) for side in ((k - 1) // 2, k // 2)]
    mode = {"circular": "circular", "zero": "constant", "reflect": "reflect"}[padding]
    padded = functional.pad(u[None], pads, mode=mode)
    function: Any = functional.conv1d if len(window) == 1 else functional.conv2d
    return function(padded, kernel, stride=stride, groups=groups)[0]


def conv_node(spatial: Shape, window: Shape, padding: str, stride: int, groups: int) -> Expr:
    out, into = 4, 6
    kernel = w_(out, into // groups, *window)
    outer = tuple(-(-n // stride) for n in spatial)
    return Expr("conv", (kernel,), (out, *outer, into, *spatial), Convolution(spatial, padding, stride, groups))


CONVOLUTIONS = [
    (spatial, window, padding, stride, groups)
    for spatial, window in [((8,), (3,)), ((8,), (4,)), ((6, 8), (3, 3)), ((6, 4), (1, 3)), ((6, 4), (2, 3))]
    for padding in ("circular", "zero", "reflect")
    for stride in (1, 2)
    for groups in (1, 2)
]


@pytest.mark.parametrize(("spatial", "window", "padding", "stride", "groups"), CONVOLUTIONS)
def test_convolutions(spatial: Shape, window: Shape, padding: str, stride: int, groups: int) -> None:
    node = conv_node(spatial, window, padding, stride, groups)
    kernel = rng.normal(size=node.args[0].shape)
    u = rng.normal(size=(3, 6, *spatial))
    x = x_(6, *spatial)
    found = evaluate([apply(node, x)], {node.args[0]: kernel, x: u})[0]
    for i in range(3):
        expected = torch_conv(torch.tensor(u[i]), torch.tensor(kernel), padding, stride, groups).numpy()
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("spatial", "window", "padding", "stride", "groups"), CONVOLUTIONS)
def test_adjoint_convolutions(spatial: Shape, window: Shape, padding: str, stride: int, groups: int) -> None:
    node = conv_node(spatial, window, padding, stride, groups)
    half = len(node.shape) // 2
    kernel = rng.normal(size=node.args[0].shape)
    u, v = rng.normal(size=node.shape[half:]), rng.normal(size=node.shape[:half])
    x, y = x_(*u.shape), y_(*v.shape)
    forward, backward = evaluate([apply(node, x), apply(transpose(node), y)], {node.args[0]: kernel, x: u, y: v})
    assert np.sum(forward * v) == pytest.approx(np.sum(u * backward), rel=1e-11)


def test_kernels_with_batch_axes() -> None:
    node = conv_node((6, 4), (3, 3), "circular", 1, 2)
    kernels, u = rng.normal(size=(3, *node.args[0].shape)), rng.normal(size=(3, 6, 6, 4))
    x = x_(6, 6, 4)
    found = evaluate([apply(node, x)], {node.args[0]: kernels, x: u})[0]
    for i in range(3):
        np.testing.assert_allclose(found[i], evaluate([apply(node, x)], {node.args[0]: kernels[i], x: u[i]})[0])


def test_operators_combine() -> None:
    """Sums, multiples, products and adjoints of operators act as their matrices do."""
    conv = Expr("conv", (w_(2, 2, 3),), (2, 5, 2, 5), Convolution((5,)))
    identity = Expr("eye", (), (2, 5, 2, 5))
    both = Expr("compose", (transpose(conv), conv), (2, 5, 2, 5))
    operator = add(mul(const(Fraction(-1, 2)), both), mul(const(3), identity))
    kernel = rng.normal(size=(2, 2, 3))
    value = evaluate([operator], {conv.args[0]: kernel})[0]
    assert isinstance(value, Operator)
    m = evaluate([conv], {conv.args[0]: kernel})[0].matrix()
    np.testing.assert_allclose(value.matrix(), 3 * np.eye(10) - m.T @ m / 2, atol=1e-12)
    norms = [Expr("opnorm", (operator,), (), p) for p in (2, 1, "inf")]
    found = evaluate(norms, {conv.args[0]: kernel})
    expected = [np.linalg.norm(value.matrix(), p) for p in (2, 1, np.inf)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_convolution_tangents() -> None:
    node = conv_node((6, 4), (3, 3), "reflect", 2, 2)
    x = x_(6, 6, 4)
    env = {node.args[0]: rng.normal(size=node.args[0].shape), x: rng.normal(size=(2, 6, 6, 4))}
    move = rng.normal(size=(3, 2, 6, 6, 4))
    found = differentiate([apply(node, x)], env, {x: move})[1][0]
    assert found is not None
    for k in range(3):
        np.testing.assert_allclose(found[k], evaluate([apply(node, x)], {**env, x: move[k]})[0], atol=1e-12)


def test_norm_of_a_weight_is_positive() -> None:
    w = w_(3, 4)
    node = Expr("bound", (w,), (), 2)
    value = rng.normal(size=(3, 4))
    assert evaluate([node], {w: value})[0] == pytest.approx(np.linalg.norm(value, 2))
    assert evaluate([node], {w: np.zeros((3, 4))})[0] == 1e-12


def test_graphs() -> None:
    g = leaf("graph", "g", (4,))
    edges = Edges(np.array([[0, 1, 2], [1, 2, 0]]), np.array([1.0, 2.0, 0.5]))
    plain = Expr("laplacian", (g,), (4, 4), ())
    normalized = Expr("laplacian", (g,), (4, 4), ("normalized",))
    adjacency = Expr("adjacency", (g,), (4, 4))
    incidence = Expr("incidence", (g,), (6, 4))
    L, N, A, B = evaluate([plain, normalized, adjacency, incidence], {g: edges})
    np.testing.assert_allclose(A, A.T)
    np.testing.assert_allclose(L, np.diag(A.sum(0)) - A)
    np.testing.assert_allclose(B.T @ B, L, atol=1e-14)
    assert A[1, 2] == 2.0 and np.all(L[3] == 0) and np.all(N[3] == 0)
    np.testing.assert_allclose(np.diag(N), [1, 1, 1, 0])
    spectrum = np.linalg.eigvalsh(N)
    assert spectrum.min() >= -1e-12 and spectrum.max() <= 2


def test_what_is_missing_is_said() -> None:
    with pytest.raises(MissingValue, match="state x"):
        evaluate([act("tanh", x_(3))], {})
    with pytest.raises(NoRule, match="mystery"):
        evaluate([Expr("mystery", (x_(3),), (3,))], {x_(3): np.zeros(3)})
    with pytest.raises(NoRule, match="derivative of opnorm"):
        differentiate([Expr("opnorm", (x_(2, 2),), (), 2)], {x_(2, 2): np.eye(2)}, {x_(2, 2): np.ones((1, 2, 2))})
