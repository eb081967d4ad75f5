"""The NumPy interpreter, emitted JAX and emitted PyTorch: the same weights give the same numbers and gradients."""

from __future__ import annotations

import os
from fractions import Fraction

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import odespec_jax
import odespec_torch
import pytest
import torch

from odespec.activations import ACTIVATIONS
from odespec.exact import root
from odespec.ir.expr import (
    TIME,
    Convolution,
    Expr,
    act,
    add,
    apply,
    const,
    div,
    dot,
    eye,
    full,
    matmul,
    matmul_last,
    mean,
    mul,
    neg,
    power,
    sub,
    total,
    transpose,
)
from odespec.program.interpret import output, run
from odespec.program.lower import lower

D, M = 4, 6
SOLVERS = ["euler", "midpoint", "ssprk3", "rk4", "rk38", "dopri5", "tsit5"]
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def float64():
    """64-bit types for the test, whatever the process has set, and short compile times."""
    switch = getattr(jax, "enable_x64", None)
    if switch is None:
        from jax.experimental import enable_x64 as switch
    jax.config.update("jax_disable_most_optimizations", True)
    with switch(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


# --- fields --------------------------------------------------------------------


def gradient_flow(k, **options):
    x, W, b = k.state("x", D), k.param("W", M, D, **options), k.param("b", M, **options)
    k.constrain("norm", W, None, 1)
    return (neg(matmul(transpose(W), act("tanh", add(matmul(W, x), b)))),)


def recurrent(k):
    """A cell with an input for each step, a skew part written out, and the time."""
    x, W, b, V = k.state("x", D), k.param("W", D, D), k.param("b", D), k.param("V", D, 2)
    u = k.input("u", 2, per_step=True)
    A = sub(sub(W, transpose(W)), mul(const(Fraction(1, 10)), eye(D)))
    return (act("tanh", add(add(matmul(A, x), matmul(V, u)), mul(act("cos", TIME), b))),)


def structured(structure, rows=D):
    def field(k):
        x, S = k.state("x", D), k.param("S", rows, D, structure=structure)
        inner = act("tanh", matmul(S, x))
        back = inner if rows == D else matmul(transpose(S), inner)
        return (sub(back, mul(const(root(Fraction(2), 2)), x)),)

    return field


def scalars(k):
    """Scalar states, parameters and inputs that meet vectors."""
    x, g, T = k.state("x", D), k.state("g"), k.param("T")
    k.constrain("entries", T, Fraction(1, 10), 2)
    v, u = k.input("v"), k.input("u", D)
    pull = mul(mul(T, add(v, dot(x, u))), act("sin", x))
    return (add(mul(g, pull), mul(act("cos", TIME), u)), sub(mean(x), mul(g, add(TIME, const(1)))))


def reductions(k):
    x, w = k.state("x", D), k.param("w", D)
    sizes = add(Expr("norm", (x,), (), 2), add(Expr("norm", (x,), (), 1), Expr("norm", (x,), (), "inf")))
    big = add(Expr("max", (x,), ()), Expr("min", (x,), ()))
    soft = Expr("softmax", (x,), (D,), 0)
    layer = Expr("layernorm", (add(x, w),), (D,), (0, Fraction(1, 1000)))
    mixed = add(add(div(x, add(sizes, const(1))), mul(big, soft)), mul(total(x), layer))
    return (sub(mixed, power(x, Fraction(3))),)


def image(padding, stride=1, groups=1):
    def field(k):
        u, K, c = k.state("u", 2, 5, 4), k.param("K", 4, 2 // groups, 3, 2), k.param("c", 4)
        out = (4, -(-5 // stride), -(-4 // stride))
        conv = Expr("conv", (K,), (*out, 2, 5, 4), Convolution((5, 4), padding, stride, groups))
        z = add(apply(conv, u), Expr("channel", (c,), out))
        return (neg(apply(transpose(conv), act("gelu", z))),)

    return field


def line(k):
    u, K = k.state("u", 2, 7), k.param("K", 2, 2, 3)
    conv = Expr("conv", (K,), (2, 7, 2, 7), Convolution((7,)))
    k.constrain("norm", conv, None, Fraction(1, 2))
    return (act("silu", apply(conv, u)),)


def tokens(k):
    """A matrix on the first axis, one on the last, a softmax along an axis, partial sums."""
    x, A, W, v = k.state("x", 3, D), k.param("A", 3, 3), k.param("W", D, D), k.param("v", 3)
    mix = matmul(A, matmul_last(Expr("softmax", (x,), (3, D), 1), W))
    level = matmul(Expr("diag", (v,), (3, 3)), x)
    return (sub(mix, mul(add(level, x), Expr("channel", (mean(x, (1,)),), (3, D)))),)


def volume(k):
    """A matrix by a tensor of three axes, and one by the last axis of it."""
    x, A, W = k.state("x", 3, 2, D), k.param("A", 3, 3), k.param("W", D, D)
    return (act("tanh", add(matmul(A, x), matmul_last(x, W))),)


def state_matrix(k):
    X, y, u = k.state("X", 3, 3), k.state("y", 3), k.input("u", 3)
    turned = matmul(Expr("offdiag", (X,), (3, 3)), transpose(X))
    return (turned, add(matmul(transpose(X), y), matmul(Expr("diag", (y,), (3, 3)), u)))


def norm_in_field(k):
    x, W = k.state("x", D), k.param("W", D, D)
    s = Expr("bound", (W,), ())
    return (mul(div(const(2), power(s, Fraction(2))), matmul(transpose(W), act("tanh", matmul(W, x)))),)


def constants(k):
    x = k.state("x", 2)
    k.state("a", 2, initial=mul(const(2), x))
    rows = ((Fraction(-1), Fraction(10)), (Fraction(0), Fraction(-1)))
    J = Expr("array", (), (2, 2), rows)
    return (matmul(J, x), add(full(Fraction(1, 3), (2,)), matmul(J, x)))


def powers(k):
    x = k.state("x", D)
    odd = sub(power(x, Fraction(1, 3)), mul(power(act("abs", x), Fraction(3, 2)), power(x, Fraction(2, 3))))
    return (add(odd, power(add(const(2), act("square", x)), Fraction(-2))),)


STRUCTURES = ("skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic")
FIELDS = {
    "gradient_flow": gradient_flow,
    "per_step": lambda k: gradient_flow(k, per_step=True),
    "recurrent": recurrent,
    **{s: structured(s) for s in STRUCTURES},
    "orthogonal_tall": structured("orthogonal", 7),
    "orthogonal_wide": structured("orthogonal", 3),
    "scalars": scalars,
    "reductions": reductions,
    "line": line,
    **{f"conv_{p}": image(p) for p in ("circular", "zero", "reflect")},
    "conv_strided": image("zero", stride=2),
    "conv_strided_reflect": image("reflect", stride=2),
    "conv_strided_circular": image("circular", stride=2),
    "conv_grouped": image("circular", groups=2),
    "tokens": tokens,
    "volume": volume,
    "state_matrix": state_matrix,
    "norm_in_field": norm_in_field,
    "constants": constants,
    "powers": powers,
}


# --- helpers -------------------------------------------------------------------


def arguments(model, batches=((3,),), seed=0):
    """Random states and inputs; the batch axes in turn."""
    rng, made = np.random.default_rng(seed), []
    for i, a in enumerate([*model.free_states, *model.inputs]):
        own = (model.solver.steps, *a.shape) if getattr(a, "per_step", False) else a.shape
        made.append(rng.normal(size=(*batches[i % len(batches)], *own)))
    n = len(model.free_states)
    return made[:n], made[n:]


def drawn(module, seed=0):
    """Effective weights of random raw parameters, away from zero."""

    def make(key):
        params = module.init(key)
        return module.weights(jax.tree.map(lambda a: a + 0.3 * jax.random.normal(key, a.shape, a.dtype), params))

    return {name: np.array(w) for name, w in make(jax.random.key(seed)).items()}


def assert_close(found, expected, tolerance=1e-12):
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape
        np.testing.assert_allclose(np.asarray(f), e, rtol=tolerance, atol=tolerance)


def assert_parity(model, emitted, batches=((3,),)):
    """JAX against the interpreter, then PyTorch at the same weights."""
    module = emitted(odespec_jax.backend, model)
    weights = drawn(module)
    states, inputs = arguments(model, batches)
    expected = run(lower(model), weights, states, inputs)
    assert_close(module.solve(weights, *states, *inputs), expected)
    assert_close(odespec_jax.backend.run(module.__file__, model.name, weights, states, inputs), expected, 1e-11)
    other = emitted(odespec_torch.backend, model)
    assert_close(odespec_torch.backend.run(other.__file__, model.name, weights, states, inputs), expected, 1e-11)


# --- values --------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELDS)
def test_every_operation(kit, emitted, name):
    k = kit()
    assert_parity(k.model(*FIELDS[name](k), solver="heun", time=(0, Fraction(1, 2))), emitted)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_explicit_solver(kit, emitted, solver):
    k = kit()
    assert_parity(k.model(*recurrent(k), solver=solver, steps=4, time=(1, 3)), emitted)


@pytest.mark.parametrize(("solver", "per_step"), [("symplectic_euler", True), ("verlet", False), ("yoshida4", True)])
def test_partitioned_solvers(kit, emitted, solver, per_step):
    k = kit()
    y, z, K, b = k.state("y", D), k.state("z", D), k.param("K", D, D, per_step=per_step), k.param("b", D)
    force = neg(matmul(transpose(K), act("tanh", add(matmul(K, y), b))))
    assert_parity(k.model(matmul(K, z), force, solver=solver), emitted)


def test_discrete_map(kit, emitted):
    k = kit()
    x, old = k.state("x", D), k.state("old", D, initial=full(0, (D,)))
    W = k.param("W", D, D, per_step=True)
    new = sub(mul(const(2), x), add(old, act("tanh", add(matmul(W, x), mul(TIME, x)))))
    assert_parity(k.model(new, x, solver="map", steps=5), emitted)


def test_every_activation(kit, emitted):
    """One state for each, in the order of the registry."""
    k, field = kit(), []
    for name, entry in ACTIVATIONS.items():
        x = k.state(f"of_{name}", 7)
        z = add(act("square", x), const(Fraction(1, 2))) if name in ("log", "sqrt") else mul(const(3), x)
        value = act(name, z, (Fraction(1, 5),) * len(entry.parameters))
        field.append(add(value, mul(value, x)))
    assert_parity(k.model(*field, solver="euler", steps=1), emitted)


BATCHES = [((), (2,)), ((3, 1), (2,), ()), ((5,), (1,)), ((), (2,), (3, 1)), ((0,), ())]


@pytest.mark.parametrize(
    ("field", "batches"), [*((scalars, b) for b in BATCHES), (recurrent, BATCHES[0]), (state_matrix, BATCHES[3])]
)
def test_batch_axes_broadcast(kit, emitted, batches, field):
    k = kit()
    assert_parity(k.model(*field(k), solver="heun"), emitted, batches)


def test_a_state_that_only_inputs_drive_has_all_batch_axes(kit, emitted):
    k = kit()
    x, u, b = k.state("x", D), k.input("u", D, per_step=True), k.param("b", D)
    assert_parity(k.model(add(u, b), solver="map", steps=2), emitted, ((3,), ()))
    assert x.shape == (D,)


@pytest.mark.parametrize("steps", [3, 6])
def test_saved_states_and_output(kit, emitted, steps):
    k = kit()
    x, C, u = k.state("x", D), k.param("C", 2, D), k.input("u", D)
    s = k.state("s", initial=const(Fraction(1, 2)))
    read = add(mul(s, matmul(C, add(x, u))), full(1, (2,)))
    model = k.model(sub(u, x), mean(x), solver="euler", steps=steps, time=(0, 3), save=4, output=("y", read))
    module = emitted(odespec_jax.backend, model)
    params = module.init(jax.random.key(0))
    weights = module.weights(params)
    (x0,), (u0,) = arguments(model, ((7, 1), (2,)))
    paths = run(lower(model), weights, [x0], [u0], trajectory=True)
    stride = steps // 3
    expected = (paths[0][..., ::stride, :], paths[1][..., ::stride])
    assert_close(module.solve(weights, x0, u0), expected)
    y = np.stack([output(lower(model), weights, [a[..., i, :], b[..., i]], [u0])[0]
                  for i in range(4) for a, b in [expected]], -2)  # fmt: skip
    assert_close([module.apply(params, x0, u0)], [y])
    net = emitted(odespec_torch.backend, model).Net(dtype=torch.float64)
    net.load_weights({k: np.array(v) for k, v in weights.items()})
    assert_close([net(torch.tensor(x0), torch.tensor(u0)).detach()], [y])


def test_an_output_of_weights_alone_has_the_batch_axes(kit, emitted):
    k = kit()
    x, c = k.state("x", D), k.param("c", 2)
    model = k.model(neg(x), solver="euler", output=("y", mul(const(2), c)))
    module = emitted(odespec_jax.backend, model)
    params = module.init(jax.random.key(0))
    found = module.apply(params, np.ones((5, D)))
    assert_close([found], [np.broadcast_to(2 * params["c"], (5, 2))])


# --- gradients -----------------------------------------------------------------


SMOOTH = ("per_step", "recurrent", "orthogonal_tall", "scalars", "reductions", "conv_reflect", "conv_strided")


@pytest.mark.parametrize("name", (*SMOOTH, "conv_grouped", "tokens", "state_matrix", "norm_in_field"))
def test_gradients_agree_with_pytorch(kit, emitted, name):
    """With respect to states, inputs, and the effective weights as they come from raw parameters."""
    k = kit()
    model = k.model(*FIELDS[name](k), solver="heun", time=(0, Fraction(1, 2)))
    module, other = emitted(odespec_jax.backend, model), emitted(odespec_torch.backend, model)
    weights = drawn(module)
    states, inputs = arguments(model)
    given = [*states, *inputs]

    def loss(w, *a):
        return sum(jnp.sum(jnp.sin(x)) for x in module.solve(w, *a))

    found = jax.grad(loss, tuple(range(1, 1 + len(given))))(weights, *given)
    net = other.Net(dtype=torch.float64)
    net.load_weights(weights)
    tensors = [torch.tensor(a, requires_grad=True) for a in given]
    sum(torch.sin(x).sum() for x in net.solve(*tensors)).backward()
    assert_close(found, [t.grad.numpy() for t in tensors], 1e-10)


@pytest.mark.parametrize("size", [0.1, 3.0])
def test_gradients_of_raw_parameters_agree_with_pytorch(kit, emitted, size):
    """Through the scaling of a norm that is active and through one that is not."""
    k = kit()
    model = k.model(*gradient_flow(k, per_step=True), solver="heun")
    module, other = emitted(odespec_jax.backend, model), emitted(odespec_torch.backend, model)
    rng = np.random.default_rng(1)
    raw = {"W": size * rng.normal(size=(3, M, D)), "b": rng.normal(size=(3, M))}
    (x,), _ = arguments(model)
    found = jax.grad(lambda p: jnp.sum(jnp.sin(module.apply(p, x))))(raw)
    net = other.Net(dtype=torch.float64)
    with torch.no_grad():
        net.raw_W.copy_(torch.tensor(raw["W"]))
        net.raw_b.copy_(torch.tensor(raw["b"]))
    torch.sin(net(torch.tensor(x))).sum().backward()
    assert_close([found["W"], found["b"]], [net.raw_W.grad.numpy(), net.raw_b.grad.numpy()], 1e-9)
