"""Emitted PyTorch computes what the NumPy interpreter of the step program computes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from odespec_torch import backend

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
from odespec.program.interpret import run
from odespec.program.lower import lower

D, M = 4, 6
EXPLICIT = ["euler", "heun", "midpoint", "ralston", "ssprk3", "rk3", "rk4", "rk38", "dopri5"]
torch.set_num_threads(1)


def gradient_flow(k, **options):
    x, W, b = k.state("x", D), k.param("W", M, D, **options), k.param("b", M, **options)
    k.constrain("norm", W, None, 1)
    return (neg(matmul(transpose(W), act("relu", add(matmul(W, x), b)))),)


def antisymmetric(k):
    x, W = k.state("x", D), k.param("W", D, D)
    b, V, u = k.param("b", D), k.param("V", D, 2), k.input("u", 2, per_step=True)
    A = sub(sub(W, transpose(W)), mul(const(Fraction(1, 10)), eye(D)))
    return (act("tanh", add(add(matmul(A, x), matmul(V, u)), b)),)


def structured(structure):
    def field(k):
        x, S = k.state("x", D), k.param("S", D, D, structure=structure)
        return (sub(act("tanh", matmul(S, x)), mul(const(root(Fraction(2), 2)), x)),)

    return field


def scalars(k):
    x, g, T = k.state("x", D), k.state("g"), k.param("T")
    k.constrain("entries", T, Fraction(1, 10), 2)
    v, u = k.input("v"), k.input("u", D)
    pull = mul(mul(T, add(v, dot(x, u))), act("sin", x))
    return (add(pull, mul(act("cos", TIME), u)), sub(mean(x), mul(g, add(TIME, const(1)))))


def reductions(k):
    x, w = k.state("x", D), k.param("w", D)
    norm = Expr("norm", (x,), (), 2)
    big = add(Expr("max", (x,), ()), Expr("min", (x,), ()))
    soft = Expr("softmax", (x,), (D,), 0)
    layer = Expr("layernorm", (add(x, w),), (D,), (0, Fraction(1, 1000)))
    mixed = add(add(div(x, add(norm, const(1))), mul(big, soft)), mul(total(x), layer))
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
    x, A, W, v = k.state("x", 3, D), k.param("A", 3, 3), k.param("W", D, D), k.param("v", 3)
    mix = matmul(A, matmul_last(act("softplus", x), W))
    return (sub(mix, matmul(Expr("diag", (v,), (3, 3)), x)),)


def state_matrix(k):
    X, y, u = k.state("X", 3, 3), k.state("y", 3), k.input("u", 3)
    return (
        matmul(Expr("offdiag", (X,), (3, 3)), transpose(X)),
        add(matmul(X, y), matmul(Expr("diag", (y,), (3, 3)), u)),
    )


def norms(k):
    x, W = k.state("x", D), k.param("W", D, D)
    s = Expr("bound", (W,), ())
    return (mul(div(const(2), power(s, Fraction(2))), matmul(transpose(W), act("tanh", matmul(W, x)))),)


def constants(k):
    x = k.state("x", 2)
    k.state("a", 2, initial=mul(const(2), x))
    rows = ((Fraction(-1), Fraction(10)), (Fraction(0), Fraction(-1)))
    J = Expr("array", (), (2, 2), rows)
    return (matmul(J, x), add(full(Fraction(1, 3), (2,)), matmul(J, x)))


def roots(k):
    x = k.state("x", D)
    return (sub(power(x, Fraction(1, 3)), mul(power(act("abs", x), Fraction(3, 2)), power(x, Fraction(2, 3)))),)


FIELDS = {
    "gradient_flow": gradient_flow,
    "per_step": lambda k: gradient_flow(k, per_step=True),
    "antisymmetric": antisymmetric,
    **{s: structured(s) for s in ("skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic")},
    "scalars": scalars,
    "reductions": reductions,
    "line": line,
    **{f"conv_{p}": image(p) for p in ("circular", "zero", "reflect")},
    "conv_strided": image("zero", stride=2),
    "conv_strided_reflect": image("reflect", stride=2),
    "conv_grouped": image("circular", groups=2),
    "tokens": tokens,
    "state_matrix": state_matrix,
    "norms": norms,
    "constants": constants,
    "roots": roots,
}


def arguments(model, rng, batches=((3,),)):
    """Random states and inputs; the batch axes in turn."""
    steps = model.solver.steps
    given, made = [*model.free_states, *model.inputs], []
    for i, a in enumerate(given):
        per_step = getattr(a, "per_step", False)
        own = (steps, *a.shape) if per_step else a.shape
        made.append(rng.normal(size=(*batches[i % len(batches)], *own)))
    n = len(model.free_states)
    return made[:n], made[n:]


def assert_parity(model, emitted, batches=((3,),)):
    module = emitted(backend, model)
    net = module.Net(dtype=torch.float64).eval()
    weights = {k: v.numpy() for k, v in net.weights().items()}
    states, inputs = arguments(model, np.random.default_rng(0), batches)
    expected = run(lower(model), weights, states, inputs)
    found = net.solve(*(torch.tensor(a) for a in (*states, *inputs)))
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape
        np.testing.assert_allclose(f.detach().numpy(), e, rtol=2e-12, atol=1e-13)
    other = backend.run(module.__file__, "Net", weights, states, inputs)
    for o, e in zip(other, expected, strict=True):
        np.testing.assert_allclose(o, e, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_every_operation(kit, emitted, name, solver):
    torch.manual_seed(0)
    k = kit()
    assert_parity(k.model(*FIELDS[name](k), solver=solver, time=(0, Fraction(1, 2))), emitted)


@pytest.mark.parametrize("solver", EXPLICIT)
def test_every_explicit_solver(kit, emitted, solver):
    torch.manual_seed(1)
    k = kit()
    assert_parity(k.model(*antisymmetric(k), solver=solver, steps=4), emitted)


@pytest.mark.parametrize("solver", ["symplectic_euler", "verlet", "yoshida4"])
def test_partitioned_solvers(kit, emitted, solver):
    torch.manual_seed(2)
    k = kit()
    y, z, K, b = k.state("y", D), k.state("z", D), k.param("K", D, D, per_step=True), k.param("b", D)
    force = neg(matmul(transpose(K), act("tanh", add(matmul(K, y), b))))
    assert_parity(k.model(matmul(K, z), force, solver=solver), emitted)


def test_map(kit, emitted):
    torch.manual_seed(3)
    k = kit()
    x, old, W = k.state("x", D), k.state("old", D, initial=full(0, (D,))), k.param("W", D, D, per_step=True)
    new = sub(mul(const(2), x), add(old, act("tanh", matmul(W, x))))
    assert_parity(k.model(new, x, solver="map", steps=5), emitted)


def test_every_activation(kit, emitted):
    from odespec.activations import ACTIVATIONS

    k = kit()
    x = k.state("x", 5)
    z = add(act("square", x), const(Fraction(1, 2)))
    value = full(0, (5,))
    for name, entry in ACTIVATIONS.items():
        argument = z if name in ("log", "sqrt", "exp") else mul(const(3), x)
        value = add(
            value, act(name, neg(argument) if name == "exp" else argument, (Fraction(1, 5),) * len(entry.parameters))
        )
    assert_parity(k.model(value, solver="euler", steps=1), emitted)


@pytest.mark.parametrize("batches", [((), ()), ((3,), ()), ((2, 1), (4,))])
def test_scalar_states_with_and_without_a_batch(kit, emitted, batches):
    k = kit()
    q, p, r = k.state("q"), k.state("p"), k.state("r", initial=const(Fraction(1, 2)))
    assert_parity(k.model(p, neg(act("sin", q)), mul(r, p), solver="rk4"), emitted, batches)


def test_a_field_that_forgets_a_scalar_state(kit, emitted):
    k = kit()
    k.state("q")
    assert_parity(k.model(const(Fraction(1, 3)), solver="euler"), emitted)


@pytest.mark.parametrize("batches", [((), (2,)), ((3, 1), (2,), ()), ((5,), (1,)), ((0,), ())])
def test_batch_axes_broadcast(kit, emitted, batches):
    torch.manual_seed(4)
    k = kit()
    assert_parity(k.model(*scalars(k), solver="heun"), emitted, batches)
    k = kit()
    assert_parity(k.model(*antisymmetric(k), solver="heun"), emitted, batches)


def test_saved_states_and_output(kit, emitted):
    torch.manual_seed(5)
    k = kit()
    x, C, u = k.state("x", D), k.param("C", 2, D), k.input("u", D)
    k.state("a", initial=const(Fraction(1, 2)))
    field = (sub(u, x), mean(x))
    read = add(matmul(C, add(x, u)), full(1, (2,)))
    whole = k.model(*field, solver="euler", steps=6, time=(0, 3), save=4, output=("y", read))
    net = emitted(backend, whole).Net(dtype=torch.float64)
    x0, u0 = torch.randn(7, D, dtype=torch.float64), torch.randn(7, D, dtype=torch.float64)
    y = net(x0, u0)
    xs, s = net.solve(x0, u0)
    assert y.shape == (7, 4, 2) and xs.shape == (7, 4, D) and s.shape == (7, 4)
    torch.testing.assert_close(y, (xs + u0[:, None]) @ net.weights()["C"].T + 1)
    torch.testing.assert_close(xs[:, 0], x0)
    part = k.model(*field, solver="euler", steps=2, time=(0, 1))
    half = emitted(backend, part).Net(dtype=torch.float64)
    torch.testing.assert_close(half.solve(x0, u0)[0], xs[:, 1])


def test_wrong_shapes_are_named(kit, emitted):
    k = kit()
    net = emitted(backend, k.model(*antisymmetric(k))).Net()
    with pytest.raises(ValueError, match=r"`x` has shape \(5,\), expected \[\.\.\., 4\]"):
        net(torch.zeros(5), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="`u`"):
        net(torch.zeros(4), torch.zeros(2, 2))
