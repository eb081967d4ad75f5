"""Emitted PyTorch keeps every constraint, whatever is stored, and can hold every weight that the spec allows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from odespec_torch import backend

from odespec.ir.expr import Convolution, Expr, act, add, apply, const, matmul, mul, sub, total, transpose
from odespec.ir.model import Model
from odespec.program.enforce import plan, unenforced

torch.set_num_threads(1)
M, D = 6, 4
THIRD = Fraction(1, 3)
EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}


def matrix_model(kit, constraints, structure=None, shape=(M, D), per_step=False):
    """A model with one parameter W; ``constraints`` are given it and the kit."""
    k = kit()
    x, W = k.state("x", shape[1]), k.param("W", *shape, structure=structure, per_step=per_step)
    constraints(k, W)
    return k.model(matmul(transpose(W), act("tanh", matmul(W, x))), solver="euler", steps=3)


def vector_model(kit, constraints, shape=(5,)):
    k = kit()
    x, W = k.state("x", 5), k.param("W", *shape)
    constraints(k, W)
    return k.model(act("tanh", mul(W, x)), solver="euler")


def conv_model(kit, padding="circular", groups=1, p=2, stride=1, upper=THIRD):
    k = kit()
    u, W = k.state("u", 2, 5, 6), k.param("W", 2, 2 // groups, 3, 3)
    conv = Expr("conv", (W,), (2, 5, 6, 2, 5, 6), Convolution((5, 6), padding, stride, groups))
    k.constrain("norm", conv, None, upper, p)
    return k.model(act("tanh", apply(conv, u)), solver="euler")


def spectral(w):
    return np.linalg.norm(w, 2, axis=(-2, -1)).max()


def conv_norm(w, groups=1):
    """The exact norm, from the dense matrix of the convolution."""
    from odespec.program.evaluate import operators

    out, grid = w.shape[0], (5, 6)
    node = Expr(
        "conv",
        (Expr("param", (), w.shape, "W"),),
        (out, *grid, w.shape[1] * groups, *grid),
        Convolution(grid, groups=groups),
    )
    return np.linalg.norm(operators.convolution(w, node).matrix(), 2)


def norm(upper, p=2):
    return lambda k, W: k.constrain("norm", W, None, upper, p)


def within(lower, upper):
    return lambda k, W: k.constrain("entries", W, lower, upper)


def eig(lower, upper):
    return lambda k, W: k.constrain("eig", W, lower, upper)


def both(*parts):
    def constraints(k, W):
        for part in parts:
            part(k, W)

    return constraints


def largest(*quantities):
    """How far the worst of some (value, bound) pairs lies above its bound."""
    return max(value - bound for value, bound in quantities)


T = 1 / 3
CASES = {
    "spectral": (lambda kit: matrix_model(kit, norm(THIRD)), lambda w: spectral(w) - T),
    "spectral_wide": (lambda kit: matrix_model(kit, norm(3), shape=(3, 7)), lambda w: spectral(w) - 3),
    "spectral_per_step": (lambda kit: matrix_model(kit, norm(1), per_step=True), lambda w: spectral(w) - 1),
    "spectral_row": (lambda kit: matrix_model(kit, norm(1), shape=(1, D)), lambda w: spectral(w) - 1),
    "spectral_one": (lambda kit: matrix_model(kit, norm(THIRD), shape=(1, 1)), lambda w: spectral(w) - T),
    "rows": (lambda kit: matrix_model(kit, norm(THIRD, "inf")), lambda w: np.abs(w).sum(-1).max() - T),
    "columns": (lambda kit: matrix_model(kit, norm(2, 1)), lambda w: np.abs(w).sum(-2).max() - 2),
    "all_norms": (
        lambda kit: matrix_model(kit, both(norm(1), norm(1, 1), norm(THIRD, "inf"), within(-1, THIRD))),
        lambda w: largest((spectral(w), 1), (np.abs(w).sum(-2).max(), 1), (np.abs(w).sum(-1).max(), T), (w.max(), T)),
    ),
    "entries": (
        lambda kit: matrix_model(kit, within(Fraction(1, 10), THIRD)),
        lambda w: largest((w.max(), T), (0.1, w.min())),
    ),
    "at_least": (lambda kit: matrix_model(kit, within(Fraction(1, 10), None)), lambda w: 0.1 - w.min()),
    "at_most": (lambda kit: matrix_model(kit, within(None, Fraction(-1, 10))), lambda w: w.max() + 0.1),
    "skew": (lambda kit: matrix_model(kit, norm(THIRD), "skew", (D, D)), lambda w: spectral(w) - T),
    "skew_entries": (
        lambda kit: matrix_model(kit, both(norm(1, "inf"), within(-1, THIRD)), "skew", (D, D)),
        lambda w: largest((np.abs(w).sum(-1).max(), 1), (np.abs(w).max(), T)),
    ),
    "symmetric": (lambda kit: matrix_model(kit, norm(THIRD), "symmetric", (D, D)), lambda w: spectral(w) - T),
    "eig": (
        lambda kit: matrix_model(kit, eig(Fraction(1, 10), 3), "symmetric", (D, D)),
        lambda w: largest((np.linalg.eigvalsh(w).max(), 3), (0.1, np.linalg.eigvalsh(w).min())),
    ),
    "eig_negative": (
        lambda kit: matrix_model(kit, both(eig(-2, -THIRD), norm(1)), "symmetric", (D, D)),
        lambda w: largest((np.linalg.eigvalsh(w).max(), -T), (-1, np.linalg.eigvalsh(w).min())),
    ),
    "psd_norm": (lambda kit: matrix_model(kit, norm(THIRD), "psd", (D, D)), lambda w: spectral(w) - T),
    "diagonal": (lambda kit: matrix_model(kit, norm(THIRD), "diagonal", (D, D)), lambda w: spectral(w) - T),
    "sigma": (
        lambda kit: matrix_model(kit, lambda k, W: k.constrain("sigma", W, THIRD, 2)),
        lambda w: largest((spectral(w), 2), (T, np.linalg.svd(w, compute_uv=False).min())),
    ),
    "sigma_wide": (
        lambda kit: matrix_model(kit, lambda k, W: k.constrain("sigma", W, 1, 2), shape=(3, 5)),
        lambda w: largest((spectral(w), 2), (1, np.linalg.svd(w, compute_uv=False).min())),
    ),
    "skew_part": (
        lambda kit: matrix_model(
            kit, lambda k, W: k.constrain("norm", sub(W, transpose(W)), None, THIRD), shape=(D, D)
        ),
        lambda w: spectral(w - w.T) - T,
    ),
    "both_parts": (
        lambda kit: matrix_model(
            kit,
            both(
                lambda k, W: k.constrain("norm", sub(mul(const(2), transpose(W)), mul(const(2), W)), None, 1),
                lambda k, W: k.constrain("norm", add(W, transpose(W)), None, THIRD),
            ),
            shape=(D, D),
        ),
        lambda w: largest((2 * spectral(w - w.T), 1), (spectral(w + w.T), T)),
    ),
    "euclid": (lambda kit: vector_model(kit, norm(THIRD)), lambda w: np.linalg.norm(w) - T),
    "absolute": (lambda kit: vector_model(kit, norm(1, 1)), lambda w: np.abs(w).sum() - 1),
    "largest": (lambda kit: vector_model(kit, norm(THIRD, "inf")), lambda w: np.abs(w).max() - T),
    "scalar": (lambda kit: vector_model(kit, within(THIRD, 1), ()), lambda w: largest((w, 1), (T, w))),
    "zero": (lambda kit: matrix_model(kit, norm(0)), lambda w: np.abs(w).max()),
    "scaled": (
        lambda kit: matrix_model(kit, lambda k, W: k.constrain("norm", mul(const(-2), transpose(W)), None, 1, "inf")),
        lambda w: 2 * np.abs(w).sum(-2).max() - 1,
    ),
    "conv": (lambda kit: conv_model(kit), lambda w: conv_norm(w) - T),
    "conv_grouped": (lambda kit: conv_model(kit, groups=2), lambda w: conv_norm(w, 2) - T),
}
LOOSE = {"eig": 3, "eig_negative": 1, "sigma": 2, "sigma_wide": 2}
"""The size of a weight at which an inner bound is rounded, where there is one."""


def stored(kind, shape, rng):
    """Stored tensors of every sort."""
    normal = rng.normal(size=shape)
    if kind == "orthogonal" and len(shape) >= 2 and min(shape[-2:]) > 0:
        q = np.linalg.qr(rng.normal(size=(*shape[:-2], max(shape[-2:]), min(shape[-2:]))))[0]
        return q if shape[-2] >= shape[-1] else np.swapaxes(q, -1, -2)
    if kind == "rank_one" and len(shape) >= 2:
        return rng.normal(size=(*shape[:-1], 1)) * rng.normal(size=shape[-1])
    factors = {"huge": 1e30, "tiny": 1e-30, "zero": 0.0, "large": 1e4, "constant": 0.0}
    return normal * factors.get(kind, 1.0) + (0.7 if kind == "constant" else 0.0)


KINDS = ["normal", "huge", "tiny", "zero", "large", "constant", "rank_one", "orthogonal"]


def store(net, kind, rng):
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.as_tensor(stored(kind, tuple(p.shape), rng)).to(p.dtype))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constraint_holds_exactly_for_whatever_is_stored(kit, emitted, name, dtype):
    make, excess = CASES[name]
    net = emitted(backend, make(kit)).Net(dtype=dtype)
    rng = np.random.default_rng(0)
    slack = 40 * EPS[dtype] * LOOSE[name] if name.startswith("sigma") else 1e-15
    for kind in KINDS:
        store(net, kind, rng)
        W = net.weights()["W"].double().numpy()
        assert np.isfinite(W).all(), kind
        assert excess(W) <= slack, kind


@pytest.mark.parametrize("name", CASES)
def test_constraint_holds_while_training(kit, emitted, name):
    """Gradients flow, change the weights, and never carry them out."""
    make, excess = CASES[name]
    torch.manual_seed(0)
    net = emitted(backend, make(kit)).Net()
    shape = (8, *net_state_shape(make(kit)))
    x, target = torch.randn(shape), 3 * torch.randn(shape)
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    before = net.weights()["W"]
    for _ in range(5):
        optimiser.zero_grad()
        loss = (net(x) - target).square().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())
        optimiser.step()
        slack = 40 * EPS[torch.float32] * LOOSE[name] if name.startswith("sigma") else 1e-15
        assert excess(net.weights()["W"].double().numpy()) <= slack
    stuck = name in ("zero", "spectral_one")  # one point; one number that is drawn to its bound
    assert stuck or not torch.equal(before, net.weights()["W"])


def net_state_shape(model: Model):
    return model.states[0].shape


@pytest.mark.parametrize("structure", ["skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic"])
@pytest.mark.parametrize("kind", KINDS)
def test_structures_hold(kit, emitted, structure, kind):
    net = emitted(backend, matrix_model(kit, lambda k, W: None, structure, (D, D))).Net(dtype=torch.float64)
    store(net, kind, np.random.default_rng(1))
    W = net.weights()["W"].numpy()
    size = max(np.abs(W).max(), 1e-300)
    close = {"rtol": 0, "atol": 1e-13 * size}
    if structure == "skew":
        np.testing.assert_array_equal(W, -W.T)
    elif structure in ("symmetric", "psd"):
        np.testing.assert_allclose(W, W.T, **close)
    if structure == "psd":
        assert np.linalg.eigvalsh(W).min() >= -1e-13 * size
    if structure == "diagonal":
        np.testing.assert_array_equal(W, np.diag(np.diag(W)))
    if structure == "orthogonal":
        np.testing.assert_allclose(W.T @ W, np.eye(D), atol=1e-12)
    if structure == "stochastic":
        assert W.min() >= 0
        np.testing.assert_allclose(W.sum(-1), 1, atol=1e-12)


def extreme(name, rng):
    """Members of the closed set, its extreme points among them."""
    q = np.linalg.qr(rng.normal(size=(D, D)))[0]
    reflection = np.diag([-1.0, 1, 1, 1]) @ q
    tall = np.linalg.qr(rng.normal(size=(M, D)))[0]
    wide = np.linalg.qr(rng.normal(size=(5, 3)))[0].T
    rank_one = np.outer(*(v / np.linalg.norm(v) for v in (rng.normal(size=M), rng.normal(size=D))))
    skew = q @ np.kron(np.diag([1.0, 0.25]), [[0, 1.0], [-1, 0]]) @ q.T
    skew = (skew - skew.T) / 2
    eigen = (q * np.array([0.1, 3, 3, 0.7])) @ q.T
    semi = (q * np.array([0, T, T, 0.1])) @ q.T
    delta = np.zeros((2, 2, 3, 3))
    delta[0, 0, 1, 1] = delta[1, 1, 0, 2] = T
    signs = np.sign(rng.normal(size=(M, D)))
    return {
        "spectral": [tall / 3, rank_one / 3, np.zeros((M, D)), tall / 30],
        "spectral_per_step": [np.stack([tall, rank_one, 0 * tall])],
        "rows": [signs * rng.dirichlet(np.ones(D), M) / 3, np.eye(M, D) / 3],
        "entries": [np.where(signs > 0, T, 0.1), rng.uniform(0.1, T, (M, D))],
        "at_least": [np.full((M, D), 0.1), rng.uniform(0.1, 50, (M, D))],
        "skew": [skew / 3, skew * 0],
        "symmetric": [(q * np.array([1, -1, 1, 0.5])) @ q.T / 3],
        "eig": [(eigen + eigen.T) / 2, 3.0 * np.eye(D), 0.1 * np.eye(D)],
        "psd_norm": [(semi + semi.T) / 2, np.zeros((D, D)), np.ones((D, D)) / 12],
        "skew_part": [skew / 6 + 100 * eigen, skew / 6, eigen * 0],
        "both_parts": [skew / 4 + (q * np.array([1, -1, 1, 0.5])) @ q.T / 6, skew / 4],
        "diagonal": [np.diag([T, -T, 0, 0.1])],
        "sigma": [2 * tall, tall / 3, tall @ np.diag([T, 2, 1, 1])],
        "sigma_wide": [2 * wide, wide, np.diag([1, 2, 1.5]) @ wide],
        "euclid": [np.eye(5)[0] / 3, np.zeros(5)],
        "absolute": [np.eye(5)[1], -np.ones(5) / 5],
        "scalar": [np.array(T), np.array(1.0)],
        "zero": [np.zeros((M, D))],
        "conv": [delta, delta * 0],
        "orthogonal": [q, reflection, np.eye(D)],
        "stochastic": [np.eye(D), rng.dirichlet(np.ones(D), D), np.ones((D, D)) / D],
    }[name]


PURE = ["orthogonal", "stochastic"]
LOADED = [
    *("spectral", "spectral_per_step", "rows", "entries", "at_least", "skew", "symmetric", "eig", "psd_norm"),
    *(
        "diagonal",
        "sigma",
        "sigma_wide",
        "skew_part",
        "both_parts",
        "euclid",
        "absolute",
        "scalar",
        "zero",
        "conv",
        *PURE,
    ),
]


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_allowed_weight_can_be_loaded(kit, emitted, name, dtype):
    """`weights()` after `load_weights(w)` is w up to ``(rows + columns + 16) * eps`` of its size, and stays so."""
    model = matrix_model(kit, lambda k, W: None, name, (D, D)) if name in PURE else CASES[name][0](kit)
    net = emitted(backend, model).Net(dtype=dtype)
    store(net, "normal", np.random.default_rng(3))
    for w in extreme(name, np.random.default_rng(2)):
        net.load_weights({"W": w})
        once = net.weights()["W"]
        tolerance = (sum(w.shape[-2:]) + 16) * EPS[dtype] * max(np.abs(w).max(), LOOSE.get(name, 0), 1e-300)
        assert np.abs(once.double().numpy() - w).max() <= tolerance
        net.load_weights({"W": once})
        assert np.abs((net.weights()["W"] - once).double().numpy()).max() <= tolerance


@pytest.mark.parametrize("name", [n for n in LOADED if n not in PURE])
def test_a_violating_weight_is_rejected(kit, emitted, name):
    make, excess = CASES[name]
    model = make(kit)
    net = emitted(backend, model).Net(dtype=torch.float64)
    kept = net.weights()["W"]
    texts = tuple(check.text for check in plan(model)[0].checks)
    outside = [w * 1.5 for w in extreme(name, np.random.default_rng(2))]
    outside += [outside[0] * 0 + 4, outside[0] - 60]
    broken = [w for w in outside if excess(w) > 0]
    assert broken
    for w in broken:
        with pytest.raises(ValueError, match="break") as error:
            net.load_weights({"W": w})
        assert any(text in str(error.value) for text in texts)
    assert torch.equal(kept, net.weights()["W"])


@pytest.mark.parametrize("structure", ["skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic"])
def test_a_broken_structure_is_named(kit, emitted, structure):
    net = emitted(backend, matrix_model(kit, lambda k, W: None, structure, (D, D))).Net(dtype=torch.float64)
    w = np.random.default_rng(0).normal(size=(D, D))
    for wrong in [w, w + w.T] if structure in ("psd",) else [w]:
        with pytest.raises(ValueError, match=f"`W : {structure}`"):
            net.load_weights({"W": wrong})


def test_names_shapes_and_values_are_checked(kit, emitted):
    net = emitted(backend, CASES["spectral"][0](kit)).Net()
    good = np.zeros((M, D))
    for given, words in [
        ({}, "expected the weights"),
        ({"W": good, "V": good}, "expected the weights"),
        ({"W": good.T}, "has shape"),
        ({"W": good + np.nan}, "finite"),
        ({"W": good + np.inf}, "finite"),
        ({"W": good + 1j}, "real"),
    ]:
        with pytest.raises(ValueError, match=words):
            net.load_weights(given)


def test_linear_equations(kit, emitted):
    def constraints(k, W):
        k.constrain("entries", total(W, (0,)), 0, 0)
        k.constrain("norm", W, None, THIRD)

    net = emitted(backend, matrix_model(kit, constraints)).Net(dtype=torch.float64)
    for kind in ("normal", "zero", "constant", "rank_one", "large"):
        store(net, kind, np.random.default_rng(0))
        W = net.weights()["W"].numpy()
        assert np.abs(W.sum(0)).max() <= 1e-14 and spectral(W) <= T
    w = np.random.default_rng(1).normal(size=(M, D)) / 50
    with pytest.raises(ValueError, match="break"):
        net.load_weights({"W": w})
    w -= w.mean(0)
    net.load_weights({"W": w})
    np.testing.assert_allclose(net.weights()["W"].numpy(), w, atol=1e-16)


def test_the_bound_is_tight_at_every_size(kit, emitted):
    """At a multiple zero gap (orthogonal matrices) and at large sizes the scaled norm touches the bound from below."""
    for m, n in ((1, 9), (2, 2), (33, 64), (200, 150)):
        module = emitted(backend, matrix_model(kit, norm(THIRD), shape=(m, n)))
        for dtype in (torch.float32, torch.float64):
            net = module.Net(dtype=dtype)
            for kind in ("orthogonal", "normal", "constant", "rank_one"):
                store(net, kind, np.random.default_rng(m))
                exact = spectral(net.weights()["W"].double().numpy())
                assert T * (1 - (m + n + 16) * EPS[dtype]) <= exact <= T, (m, n, kind, dtype)


def test_reduced_matmul_precision_does_not_loosen_the_bound(kit, emitted):
    """Neither bfloat16 products of the CPU nor autocast may make the bound a guess."""
    net = emitted(backend, matrix_model(kit, norm(THIRD), shape=(33, 64))).Net()
    store(net, "normal", np.random.default_rng(0))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert spectral(net.weights()["W"].double().numpy()) <= T
    finally:
        torch.set_float32_matmul_precision(before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert spectral(net.weights()["W"].double().numpy()) <= T
    half = net.to(torch.bfloat16)
    W = half.weights()["W"]
    assert W.dtype == torch.bfloat16 and spectral(W.double().numpy()) <= T


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("zero",)] + ["orthogonal", "stochastic", "psd"])
def test_gradients_are_right(kit, emitted, name):
    pure = name in ("orthogonal", "stochastic", "psd")
    model = matrix_model(kit, lambda k, W: None, name, (D, D)) if pure else CASES[name][0](kit)
    torch.manual_seed(0)
    net = emitted(backend, model).Net(dtype=torch.float64)
    names = [n for n, _ in net.named_parameters()]
    values = [p.detach().clone() * 1.7 + 0.01 for p in net.parameters()]
    x = torch.randn(2, *net_state_shape(model), dtype=torch.float64)

    def run(*raw):
        return torch.func.functional_call(net, dict(zip(names, raw, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, [v.requires_grad_() for v in values], atol=1e-6, rtol=1e-5)


def test_what_cannot_be_enforced_is_named(kit):
    def of(constraints, structure=None, shape=(D, D)):
        return [u.what for u in unenforced(matrix_model(kit, constraints, structure, shape))]

    assert of(lambda k, W: k.constrain("norm", matmul(W, W), None, 1, text="norm(W@W) <= 1")) == [
        "`norm(W@W) <= 1`: no parametrisation holds a constraint on a composite expression"
    ]
    assert "lower bound" in of(lambda k, W: k.constrain("norm", W, 1, None))[0]
    assert of(lambda k, W: None, "doubly_stochastic") == ["the structure doubly_stochastic of `W`"]
    assert of(both(within(1, 2), norm(9)))  # scaling would leave the entry bounds
    assert of(norm(Fraction(1, 2)), "orthogonal")
    assert of(norm(1), "stochastic")
    assert of(within(0, 1), "psd")
    assert of(eig(0, 1))  # of a matrix that is not symmetric
    assert of(lambda k, W: k.constrain("norm", sub(W, transpose(W)), None, 1), "skew")
    assert of(both(lambda k, W: k.constrain("norm", sub(W, transpose(W)), None, 1), norm(1)))
    assert of(lambda k, W: k.constrain("sigma", W, 1, 2), "symmetric")
    assert of(lambda k, W: k.constrain("entries", total(W, (0,)), 0, 1))
    assert of(norm(-1))  # no weight obeys it
    for harmless in (norm(1), within(-1, 1), norm(2, "inf")):
        assert of(harmless, "orthogonal") == []
    assert of(norm(1, "inf"), "stochastic") == [] == of(norm(2), "stochastic")


@pytest.mark.parametrize("options", [{"padding": "zero"}, {"stride": 2}, {"p": 1}])
def test_convolutions_that_are_not_held(kit, options):
    assert len(unenforced(conv_model(kit, **options))) == 1
