"""Effective weights of emitted JAX obey the constraints exactly, for all raw parameters, in float32."""

from __future__ import annotations

import os
from fractions import Fraction

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from odespec_jax import backend

from odespec.ir.expr import Convolution, Expr, act, add, apply, matmul, mean, neg, total, transpose

HARD = ("huge", "tiny", "zero", "rank_one", "orthogonal", "plain", "inside", "one_entry")


def raw(kind, shape, rng):
    """A raw array that is hard on a bound; all but the last two axes are copies."""
    v = rng.normal(size=shape)
    if kind in ("huge", "tiny"):
        return (v * {"huge": 1e30, "tiny": 1e-37}[kind]).astype(np.float32)
    if kind == "zero":
        return np.zeros(shape, np.float32)
    if kind == "rank_one" and len(shape) > 1:
        return (5 * v[..., :1] * v[..., :1, :]).astype(np.float32)
    if kind == "orthogonal" and len(shape) > 1:
        q = np.linalg.qr(v if shape[-2] >= shape[-1] else np.swapaxes(v, -1, -2))[0]
        return (q if shape[-2] >= shape[-1] else np.swapaxes(q, -1, -2)).astype(np.float32)
    if kind == "inside":
        return (1e-3 * v).astype(np.float32)
    if kind == "one_entry":
        v = np.zeros(shape)
        v[..., 0] = -7
    return v.astype(np.float32)


def exact(weights):
    return {name: np.asarray(w).astype(np.float64) for name, w in weights.items()}


def norms(w):
    return np.linalg.svd(w, compute_uv=False)


def flow(k, rows, cols, bound, p=2, **options):
    x, W = k.state("x", cols), k.param("W", rows, cols, **options)
    k.constrain("norm", W, None, bound, p)
    return k.model(neg(matmul(transpose(W), act("tanh", matmul(W, x)))), solver="euler", steps=5)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (3, 2), (5, 17), (64, 64), (96, 40)])
@pytest.mark.parametrize("bound", [1, Fraction(1, 3), 50])
def test_spectral_norm(kit, emitted, rows, cols, bound):
    rng, k = np.random.default_rng(0), kit()
    module = emitted(backend, flow(k, rows, cols, bound, per_step=True))
    enforce = jax.jit(module.weights)
    for kind in HARD:
        given = raw(kind, (5, rows, cols), rng)
        W = exact(enforce({"W": given}))["W"]
        size, top = norms(given.astype(np.float64))[:, 0], norms(W)[:, 0]
        assert np.all(top <= float(bound)), kind
        active = size > float(bound)
        assert np.all(top[active] >= float(bound) * (1 - 2e-5)), kind
        inside = size < float(bound) * (1 - 2e-5)
        subnormal = np.finfo(np.float32).tiny  # XLA flushes what is smaller to zero
        assert np.allclose(W[inside], given[inside], rtol=0, atol=subnormal), kind


@pytest.mark.parametrize("p", [1, "inf"])
def test_other_matrix_norms(kit, emitted, p):
    rng, k = np.random.default_rng(1), kit()
    module = emitted(backend, flow(k, 7, 5, Fraction(2, 3), p))
    for kind in HARD:
        W = exact(module.weights({"W": raw(kind, (7, 5), rng)}))["W"]
        assert np.abs(W).sum(-2 if p == 1 else -1).max() <= float(Fraction(2, 3)), kind


@pytest.mark.parametrize("p", [1, 2, "inf"])
def test_vector_norms(kit, emitted, p):
    rng, k = np.random.default_rng(2), kit()
    x, b = k.state("x", 6), k.param("b", 6)
    k.constrain("norm", b, None, Fraction(2, 3), p)
    module = emitted(backend, k.model(add(b, neg(x))))
    for kind in HARD:
        b = exact(module.weights({"b": raw(kind, (6,), rng)}))["b"]
        assert np.linalg.norm(b, np.inf if p == "inf" else p) <= float(Fraction(2, 3)), kind


def image_model(k, grid, kernel, groups=1):
    u, K = k.state("u", 4, *grid), k.param("K", 4, 4 // groups, *kernel)
    conv = Expr("conv", (K,), (4, *grid, 4, *grid), Convolution(grid, "circular", 1, groups))
    k.constrain("norm", conv, None, Fraction(1, 2))
    return k.model(act("tanh", apply(conv, u)), solver="euler")


@pytest.mark.parametrize(("grid", "kernel", "groups"), [((5,), (3,), 1), ((4, 5), (3, 3), 1), ((6, 4), (2, 3), 2)])
def test_circular_convolution(kit, emitted, grid, kernel, groups):
    """Against the largest singular value of the convolution written out as a matrix."""
    rng, k = np.random.default_rng(3), kit()
    module = emitted(backend, image_model(k, grid, kernel, groups))
    cells = 4 * int(np.prod(grid))
    for kind in HARD:
        given = raw(kind, (4, 4 // groups, *kernel), rng)
        K = exact(module.weights({"K": given}))["K"]
        columns = []
        for i in range(cells):
            unit = np.zeros(cells)
            unit[i] = 1
            columns.append(convolved(K, unit.reshape(4, *grid), groups).ravel())
        top = np.linalg.norm(np.array(columns), 2)
        assert top <= 0.5, kind
        assert top >= 0.5 * (1 - 1e-4) or np.allclose(K, given, atol=1e-7), kind


def convolved(K, u, groups):
    """The circular correlation, tap by tap."""
    out, each = np.zeros((K.shape[0], *u.shape[1:])), K.shape[0] // groups
    for tap in np.ndindex(*K.shape[2:]):
        shift = [(k - 1) // 2 - t for k, t in zip(K.shape[2:], tap, strict=True)]
        moved = np.roll(u, shift, tuple(range(1, u.ndim)))
        for g in range(groups):
            rows = slice(g * each, (g + 1) * each)
            part = moved[g * K.shape[1] : (g + 1) * K.shape[1]]
            out[rows] += np.tensordot(K[(rows, slice(None), *tap)], part, 1)
    return out


def structured(k, structure, shape=(5, 5), *constraints):
    x, S = k.state("x", shape[1]), k.param("S", *shape, structure=structure)
    for quantity, lower, upper in constraints:
        k.constrain(quantity, S, lower, upper)
    inner = act("tanh", matmul(S, x))
    return k.model(inner if shape[0] == shape[1] else matmul(transpose(S), inner))


def hard_params(module, rng, kind):
    """Every stored array replaced by a hard one, also those that are not meant to be trained."""
    return jax.tree.map(lambda a: raw(kind, a.shape, rng), module.init(jax.random.key(0)))


@pytest.mark.parametrize("kind", HARD)
def test_structures(kit, emitted, kind):
    rng = np.random.default_rng(4)
    k = kit()
    names = ("skew", "symmetric", "psd", "diagonal", "stochastic")
    terms, x = [], k.state("x", 5)
    for s in names:
        terms.append(act("tanh", matmul(k.param(s, 5, 5, structure=s), x)))
    field = terms[0]
    for t in terms[1:]:
        field = add(field, t)
    module = emitted(backend, k.model(field))
    w = exact(module.weights(hard_params(module, rng, kind)))
    assert np.array_equal(w["skew"], -w["skew"].T) and np.array_equal(w["symmetric"], w["symmetric"].T)
    assert np.count_nonzero(w["diagonal"] - np.diag(np.diag(w["diagonal"]))) == 0
    assert np.all(w["stochastic"] >= 0) and np.allclose(w["stochastic"].sum(-1), 1, atol=1e-6)
    if kind != "huge":  # v @ v.T overflows there
        assert np.array_equal(w["psd"], w["psd"].T)
        assert np.linalg.eigvalsh(w["psd"])[0] >= -1e-6 * max(1.0, np.abs(w["psd"]).max())


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (8, 3), (3, 8)])
def test_orthogonal(kit, emitted, kind, shape):
    rng, k = np.random.default_rng(5), kit()
    module = emitted(backend, structured(k, "orthogonal", shape))
    S = exact(module.weights(hard_params(module, rng, kind)))["S"]
    assert np.allclose(norms(S), 1, atol=3e-6)


@pytest.mark.parametrize("kind", HARD)
def test_intervals_of_spectra(kit, emitted, kind):
    rng = np.random.default_rng(6)
    k = kit()
    module = emitted(backend, structured(k, "symmetric", (6, 6), ("eig", Fraction(-1, 2), 3)))
    eig = np.linalg.eigvalsh(exact(module.weights(hard_params(module, rng, kind)))["S"])
    assert eig[0] >= -0.5 and eig[-1] <= 3
    k = kit()
    module = emitted(backend, structured(k, None, (6, 4), ("sigma", Fraction(1, 2), 2)))
    s = norms(exact(module.weights(hard_params(module, rng, kind)))["S"])
    assert s[0] <= 2 * (1 + 3e-6) and s[-1] >= 0.5 * (1 - 3e-6)


@pytest.mark.parametrize("kind", HARD)
def test_entries_and_sums(kit, emitted, kind):
    rng, k = np.random.default_rng(7), kit()
    x, B, C = k.state("x", 4), k.param("B", 4, 4), k.param("C", 4, 4)
    k.constrain("entries", B, Fraction(1, 10), Fraction(1, 3))
    k.constrain("entries", total(C, (0,)), 0, 0)
    module = emitted(backend, k.model(add(matmul(B, x), matmul(C, x))))
    w = exact(module.weights(hard_params(module, rng, kind)))
    assert np.all(w["B"] >= 0.1) and np.all(w["B"] <= 1 / 3)
    assert np.allclose(w["C"].sum(0), 0, atol=2e-6 * max(1e-6, np.abs(w["C"]).max()))


def test_after_descent(kit, emitted):
    """Gradient steps that push the norm up leave it within the bound; nothing stops moving."""
    k = kit()
    model = flow(k, 12, 8, 1, per_step=True)
    module = emitted(backend, model)
    params = module.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (16, 8))

    @jax.jit
    def descend(params):
        value, slope = jax.value_and_grad(lambda p: jnp.mean(jnp.square(module.apply(p, x))))(params)
        return value, jax.tree.map(lambda a, g: a - 5.0 * g, params, slope)

    first, params = descend(params)
    for _ in range(60):
        last, params = descend(params)
    assert last < first
    raw_norm = norms(np.asarray(params["W"], np.float64))[:, 0]
    assert raw_norm.max() > 1
    assert norms(exact(module.weights(params))["W"]).max() <= 1


def test_weight_decay_does_not_break_an_orthogonal_weight(kit, emitted):
    k = kit()
    module = emitted(backend, structured(k, "orthogonal", (6, 4)))
    params = module.init(jax.random.key(0))
    before = module.weights(params)["S"]
    after = module.weights(jax.tree.map(lambda a: 0.3 * a, params))["S"]
    np.testing.assert_allclose(after, before, atol=1e-6)


# --- loading -------------------------------------------------------------------


def round_trip(module, weights):
    given = {k: np.asarray(w, np.float32) for k, w in weights.items()}
    found = module.weights(module.load_weights(given))
    assert set(found) == set(given)
    for name, w in found.items():
        assert w.dtype == np.float32
        np.testing.assert_allclose(w, given[name], rtol=0, atol=2e-5 * max(1e-30, np.abs(given[name]).max()))
    return found


def extreme(rows, cols, rng):
    """Members of the unit ball of the spectral norm that an optimiser or a counterexample may sit at."""
    q = np.linalg.qr(rng.normal(size=(max(rows, cols),) * 2))[0]
    isometry = q[:rows, :cols]
    u, v = rng.normal(size=rows), rng.normal(size=cols)
    first = np.zeros((rows, cols))
    first[0, 0] = -1
    return [isometry, np.outer(u, v) / np.linalg.norm(u) / np.linalg.norm(v), np.eye(rows, cols), first, 0 * first]


def test_extreme_points_of_the_norm_ball(kit, emitted):
    rng, k = np.random.default_rng(8), kit()
    module = emitted(backend, flow(k, 64, 64, 1))
    for w in extreme(64, 64, rng):
        round_trip(module, {"W": w})
        assert norms(exact(module.weights(module.load_weights({"W": w})))["W"])[0] <= 1


def test_structures_round_trip(kit, emitted):
    rng = np.random.default_rng(9)
    a, q = rng.normal(size=(5, 5)), np.linalg.qr(rng.normal(size=(8, 8)))[0]
    turn = np.linalg.qr(a)[0]
    cases = [
        ("skew", (), a - a.T),
        ("symmetric", (), a + a.T),
        ("symmetric", (("eig", -1, 2),), turn @ np.diag([-1, 2, 2, 0, 1]) @ turn.T),
        ("symmetric", (("norm", None, 2),), 2 * np.eye(5)),
        ("psd", (), a @ a.T),
        ("psd", (), np.outer(a[0], a[0])),
        ("diagonal", (), np.diag(a[0])),
        ("orthogonal", (), q[:, :5]),
        ("orthogonal", (), -np.eye(5)),
        ("orthogonal", (), q[:3]),
        ("stochastic", (), np.eye(5)[[1, 1, 0, 4, 2]]),
        (None, (("sigma", Fraction(1, 2), 2),), 2 * np.eye(6, 4)),
        (None, (("sigma", Fraction(1, 2), 2),), q[:6, :6] @ np.diag([2, 2, 0.5, 1, 1.5, 0.5]) @ np.eye(6)),
        (None, (("entries", 0, 1),), np.array([[0.0, 1.0], [1.0, 0.25]])),
    ]
    for structure, constraints, w in cases:
        if constraints and constraints[0][0] == "sigma":
            u, s, vh = np.linalg.svd(w, full_matrices=False)
            w = u @ np.diag(np.clip(s, 0.5, 2)) @ vh
        k = kit()
        round_trip(emitted(backend, structured(k, structure, w.shape, *constraints)), {"S": w})


REJECTED = [
    ("norm", None, 1, np.diag([1.001, 0, 0])),
    ("sigma", Fraction(1, 2), 1, np.diag([1, 1, 0.49])),
    ("entries", -1, 1, np.array([[0, 1.01, 0]] * 3)),
]


@pytest.mark.parametrize(("quantity", "lower", "upper", "bad"), REJECTED)
def test_a_broken_constraint_is_named(kit, emitted, quantity, lower, upper, bad):
    k = kit()
    x, W = k.state("x", 3), k.param("W", 3, 3)
    k.constrain(quantity, W, lower, upper, text="constraint the one at fault")
    module = emitted(backend, k.model(matmul(W, x)))
    with pytest.raises(ValueError, match="the one at fault"):
        module.load_weights({"W": bad})


@pytest.mark.parametrize("structure", ["skew", "symmetric", "psd", "diagonal", "orthogonal", "stochastic"])
def test_a_broken_structure_is_named(kit, emitted, structure):
    k = kit()
    module = emitted(backend, structured(k, structure, (3, 3)))
    bad = -np.eye(3) if structure in ("psd",) else np.array([[1.0, 2, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match=f"S : {structure}"):
        module.load_weights({"S": bad})


def test_a_broken_convolution_is_named(kit, emitted):
    k = kit()
    module = emitted(backend, image_model(k, (4, 5), (3, 3)))
    K = np.zeros((4, 4, 3, 3))
    K[0, 0, 1, 1] = 0.49
    module.load_weights({"K": K})
    K[0, 0, 0, 0] = 0.02
    with pytest.raises(ValueError, match="norm of a weight"):
        module.load_weights({"K": K})


def test_names_shapes_and_finiteness(kit, emitted):
    k = kit()
    x, W, b = k.state("x", 2), k.param("W", 2, 2), k.param("b", 2)
    module = emitted(backend, k.model(add(matmul(W, x), b)))
    W, b = np.eye(2), np.zeros(2)
    for bad in ({"W": W}, {"W": W, "b": b, "c": b}, {"w": W, "b": b}):
        with pytest.raises(ValueError, match="expected the weights"):
            module.load_weights(bad)
    with pytest.raises(ValueError, match=r"`b` has shape \(2, 1\)"):
        module.load_weights({"W": W, "b": b[:, None]})
    for poison in (np.nan, np.inf, 1e400):
        with pytest.raises(ValueError, match="`W` has entries that are not finite"):
            module.load_weights({"W": np.full((2, 2), poison), "b": b})
    with pytest.raises(ValueError, match="`W`"):
        module.load_weights({"W": W * 1j, "b": b})


def test_means_are_held(kit, emitted):
    k = kit()
    x, C = k.state("x", 3), k.param("C", 3, 3)
    k.constrain("entries", mean(C, (1,)), Fraction(1, 3), Fraction(1, 3), text="constraint mean(C, 1) == 1/3")
    module = emitted(backend, k.model(matmul(C, x)))
    w = exact(module.weights(module.init(jax.random.key(0))))["C"]
    assert np.allclose(w.mean(1), 1 / 3, atol=1e-6)
    round_trip(module, {"C": w})
    with pytest.raises(ValueError, match="mean"):
        module.load_weights({"C": w + 1e-3})
