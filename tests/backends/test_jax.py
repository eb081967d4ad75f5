"""Emitted JAX as a file and as a function: transformations, inert text, determinism, what is refused."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from odespec_jax import backend

from odespec import backends
from odespec.exact import power
from odespec.ir.expr import (
    TIME,
    Convolution,
    Expr,
    act,
    add,
    apply,
    const,
    eye,
    leaf,
    matmul,
    mul,
    neg,
    sub,
    transpose,
)
from odespec.ir.model import Noise
from odespec.program.lower import lower

D, M = 4, 6


def residual(k, **options):
    x, W, b = k.state("x", D), k.param("W", M, D, per_step=True), k.param("b", M, per_step=True)
    k.constrain("norm", W, None, 1, text="constraint norm(W) <= 1")
    return k.model(neg(matmul(transpose(W), act("tanh", add(matmul(W, x), b)))), **{"solver": "heun", **options})


def recurrent(k, **options):
    x, h = k.state("x", D), k.state("h", 2, initial=Expr("full", (), (2,), Fraction(0)))
    W, V = k.param("W", D, D), k.param("V", 2, D)
    u = k.input("u", 2, per_step=True)
    A = sub(sub(W, transpose(W)), mul(const(Fraction(1, 10)), eye(D)))
    back = matmul(transpose(V), act("tanh", h))
    return k.model(
        add(matmul(A, x), back), sub(mul(add(TIME, const(1)), u), matmul(V, x)), **{"solver": "rk4", **options}
    )


@pytest.fixture
def network(kit, emitted):
    module = emitted(backend, recurrent(kit()))
    params = module.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, D))
    u = jax.random.normal(jax.random.key(2), (5, 3, 2))
    return module, params, x, u


# --- the protocol ----------------------------------------------------------------


def test_it_is_the_back_end_that_the_entry_point_names():
    found = backends.get("jax")
    assert found is backend and found.name == "jax"


def test_emitting_imports_no_framework():
    code = """
import sys
from odespec.backends import EmitRequest
from odespec.ir.expr import leaf, neg
from odespec.ir.model import Model, Solver, State, Time
from odespec.program.lower import lower
from odespec.source import Source, Span
from fractions import Fraction
from odespec_jax import backend
span = Span(Source("a", ""), 0, 0)
x = leaf("state", "x", (2,))
model = Model("A", None, span.source, span, (), (), (State("x", (2,), None, None, span),), (), (), (), (), (neg(x),),
              False, (), (), Solver("euler", 2, (), span), Time(Fraction(0), Fraction(1), None, span), None, ())
program = lower(model)
assert backend.unsupported(program) == ()
assert "jax.lax.scan" in backend.emit(EmitRequest("a", "0", "0", (program,), ((),)))
print(sorted(m for m in ("jax", "torch", "scipy", "sympy") if m in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_file_imports_jax_and_the_standard_library_only(kit, emit_text):
    allowed = {"jax", "numpy"} | sys.stdlib_module_names
    for model in (residual(kit()), recurrent(kit(), save=2)):
        tree = ast.parse(emit_text(backend, model))
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {a.name.split(".")[0] for a in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                found.add(node.module.split(".")[0])
        assert "jax" in found and found <= allowed


def test_the_text_is_a_pure_function_of_the_request(kit, emit_text):
    texts = {emit_text(backend, recurrent(kit(), save=4)) for _ in range(3)}
    assert len(texts) == 1
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import conftest, test_jax; "
    code += "print(test_jax.backend.emit(conftest.request_of([test_jax.recurrent(conftest.Kit(), save=4)])), end='')"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
        assert done.stdout in texts


def test_the_header_names_spec_hash_version_and_verdicts(kit, emit_text):
    tree = ast.parse(emit_text(backend, residual(kit()), spec_name="flow.ode"))
    header = ast.get_docstring(tree)
    for part in ("flow.ode", "0" * 64, "odespec 0.0", "nonexpansive", "proved", "Net"):
        assert part in header


def test_lines_are_short_and_the_text_is_formatted(kit, emit_text):
    ruff = os.path.join(os.path.dirname(sys.executable), "ruff")
    for model in (residual(kit()), recurrent(kit(), save=4, solver="dopri5"), many_names(kit())):
        text = emit_text(backend, model)
        assert max(map(len, text.splitlines())) <= 100
        assert text.endswith("\n") and not any(line != line.rstrip() for line in text.splitlines())
        if os.path.exists(ruff):
            command = [ruff, "check", "--isolated", "--select", "E,W,F,B", "--line-length", "100", "-"]
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


def many_names(k):
    states = [k.state(f"a_rather_long_name_of_state_{i}", D) for i in range(9)]
    weights = [k.param(f"weight_{i}", D, D, per_step=i % 2 == 0) for i in range(9)]
    inputs = [k.input(f"an_input_of_some_length_{i}", D, per_step=True) for i in range(4)]
    terms = [add(matmul(w, s), inputs[i % 4]) for i, (w, s) in enumerate(zip(weights, states, strict=True))]
    deep = terms[0]
    for t in terms[1:]:
        deep = act("tanh", add(t, deep))
    return k.model(deep, *terms[1:], solver="rk4", steps=2)


def test_many_states(kit, emitted):
    model = many_names(kit())
    module = emitted(backend, model)
    params = module.init(jax.random.key(0))
    given = [jnp.ones((2, D))] * 9 + [jnp.ones((2, D))] * 4
    assert len(module.apply(params, *given)) == 9


def test_several_models_have_a_namespace_each(kit, emitted):
    first, second = residual(kit(), name="First"), recurrent(kit(), name="Second")
    module = emitted(backend, first, second)
    assert not hasattr(module, "init")
    for owner in (module.First, module.Second):
        params = owner.init(jax.random.key(0))
        again = owner.load_weights(owner.weights(params))
        assert jax.tree.structure(again) == jax.tree.structure(params)
    assert module.First.apply(module.First.init(jax.random.key(0)), jnp.ones(D)).shape == (D,)


# --- transformations -----------------------------------------------------------


def test_jit_and_batches(network):
    module, params, x, u = network
    whole = module.apply(params, x, u)
    jitted = jax.jit(module.apply)(params, x, u)
    single = [module.apply(params, x[i], u[i]) for i in range(5)]
    mapped = jax.vmap(module.apply, (None, 0, 0))(params, x, u)
    for n, one in enumerate(whole):
        np.testing.assert_allclose(jitted[n], one, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mapped[n], one, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose([s[n] for s in single], one, rtol=1e-5, atol=1e-6)


def test_vmap_over_an_ensemble_of_weights(kit, emitted):
    module = emitted(backend, residual(kit()))
    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.vmap(module.init)(keys)
    x = jax.random.normal(jax.random.key(1), (2, D))
    found = jax.vmap(module.apply, (0, None))(params, x)
    for i in range(3):
        one = module.apply(jax.tree.map(lambda a, i=i: a[i], params), x)
        np.testing.assert_allclose(found[i], one, rtol=1e-5, atol=1e-6)


@pytest.fixture
def float64():
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("make", [residual, recurrent])
def test_gradients_are_those_of_finite_differences(kit, emitted, make, float64):
    module = emitted(backend, make(kit(), solver="euler", steps=2))
    params = jax.tree.map(lambda a: 0.7 * a, module.init(jax.random.key(3)))
    given = [jax.random.normal(jax.random.key(1), (D,)), jax.random.normal(jax.random.key(2), (2, 2))]
    given = given[: 1 if make is residual else 2]
    check_grads(jax.jit(module.solve), (module.weights(params), *given), order=2, atol=1e-6, rtol=1e-6)
    check_grads(jax.jit(module.apply), (params, *given), order=1, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("platforms", [["cpu"], ["cpu", "cuda", "tpu"]])
def test_export(kit, emitted, platforms):
    """A symbolic batch size, all weights as arguments; back from bytes where flatbuffers is installed."""
    from jax import export

    module = emitted(backend, residual(kit()))
    params = module.init(jax.random.key(0))
    shape = export.symbolic_shape(f"n, {D}")
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    exported = export.export(jax.jit(module.apply), platforms=platforms)(
        abstract, jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    assert exported.platforms == tuple(platforms)
    if importlib.util.find_spec("flatbuffers") is not None:
        exported = export.deserialize(exported.serialize())
    for n in (1, 7):
        x = jax.random.normal(jax.random.key(n), (n, D))
        np.testing.assert_allclose(exported.call(params, x), module.apply(params, x), rtol=1e-5, atol=1e-6)


def test_the_loop_is_one_scan(kit, emitted):
    """The program does not grow with the number of steps."""
    sizes = []
    for steps in (2, 200):
        module = emitted(backend, residual(kit(), steps=steps))
        weights = module.weights(module.init(jax.random.key(0)))
        lowered = jax.jit(module.solve).lower(weights, jnp.ones((3, D))).as_text()
        assert lowered.count("stablehlo.while") == 1
        sizes.append(len(lowered.splitlines()))
    assert sizes[0] == sizes[1]


def test_work_that_no_step_changes_is_done_once(kit, emitted):
    """The square of a shared weight stands before the scan, not in its body."""
    k = kit()
    x, W = k.state("x", D), k.param("W", D, D)
    module = emitted(backend, k.model(act("tanh", matmul(matmul(W, W), x)), solver="euler"))
    jaxpr = jax.make_jaxpr(module.solve)({"W": jnp.ones((D, D))}, jnp.ones((9, D)))
    (scan,) = [e for e in jaxpr.eqns if e.primitive.name == "scan"]
    inside = [e for e in scan.params["jaxpr"].eqns if e.primitive.name == "dot_general"]
    assert len(inside) == 1


def test_products_of_inputs_per_step_are_done_at_once(kit, emitted):
    """One product over all steps before the scan; those that a state enters stay in its body."""
    k = kit()
    x, W, U = k.state("x", D), k.param("W", D, D), k.param("U", D, 2)
    u = k.input("u", 2, per_step=True)
    module = emitted(backend, k.model(act("tanh", add(matmul(W, x), matmul(U, mul(TIME, u)))), solver="euler"))
    jaxpr = jax.make_jaxpr(module.solve)(
        {"W": jnp.ones((D, D)), "U": jnp.ones((D, 2))}, jnp.ones(D), jnp.ones((9, 3, 2))
    )
    (scan,) = [e for e in jaxpr.eqns if e.primitive.name == "scan"]
    assert sum(e.primitive.name == "dot_general" for e in scan.params["jaxpr"].eqns) == 1
    assert sum(e.primitive.name == "dot_general" for e in jaxpr.eqns) == 1


def test_shard_map():
    """Over four devices of the host: the batch is parted, the weights are not; carries that start as constants too."""
    code = f"""
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
sys.path.insert(0, {os.path.dirname(__file__)!r})
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
import conftest, test_jax
shard_map = getattr(jax, "shard_map", None)
if shard_map is None:
    from jax.experimental.shard_map import shard_map
path = sys.argv[1]
for make in (test_jax.residual, test_jax.recurrent):
    model = make(conftest.Kit())
    open(path, "w").write(test_jax.backend.emit(conftest.request_of([model])))
    import pathlib
    module = conftest.import_file(pathlib.Path(path))
    params = module.init(jax.random.key(0))
    given = [jnp.ones((8, {D})), jnp.ones((8, 3, 2))][: 1 if make is test_jax.residual else 2]
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    specs = (P(),) + (P("batch"),) * len(given)
    parted = jax.jit(shard_map(module.apply, mesh=mesh, in_specs=specs, out_specs=P("batch")))
    for a, b in zip(jax.tree.leaves(parted(params, *given)), jax.tree.leaves(module.apply(params, *given))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    def loss(p, *a): return sum(jnp.sum(x) for x in jax.tree.leaves(parted(p, *a)))
    def plain(p, *a): return sum(jnp.sum(x) for x in jax.tree.leaves(module.apply(p, *a)))
    for a, b in zip(jax.tree.leaves(jax.grad(loss)(params, *given)), jax.tree.leaves(jax.grad(plain)(params, *given))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
print("ok", len(jax.devices()))
"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, os.path.join(folder, "emitted.py")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok 4", done.stderr[-3000:]


def test_types(kit, emitted):
    module = emitted(backend, residual(kit()))
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        params = module.init(jax.random.key(0), dtype=dtype)
        assert all(a.dtype == dtype for a in jax.tree.leaves(params))
        assert module.weights(params)["W"].dtype == dtype
        assert module.apply(params, jnp.ones(D, dtype)).dtype == dtype
        assert np.all(np.isfinite(np.asarray(module.apply(params, jnp.ones(D, dtype)), np.float32)))
    assert module.apply(module.init(jax.random.key(0)), np.arange(D)).dtype == jnp.float32
    with jax.enable_x64(True):
        params = module.init(jax.random.key(0))
        assert params["W"].dtype == jnp.float64
        assert module.apply(params, np.ones(D)).dtype == jnp.float64
        half = module.load_weights(module.weights(params), dtype=jnp.float32)
        assert half["W"].dtype == jnp.float32


def test_wrong_shapes_are_named(network):
    module, params, x, u = network
    for bad in ((x[:, :3], u), (jnp.ones(()), u)):
        with pytest.raises(ValueError, match="`x` has shape"):
            module.apply(params, *bad)
    with pytest.raises(ValueError, match=r"`u` has shape \(5, 2, 2\), expected \[\.\.\., 3, 2\]"):
        module.apply(params, x, u[:, :2])
    with pytest.raises(ValueError):
        module.apply(params, x[:4], u)


# --- text of the spec is inert ---------------------------------------------------

HOSTILE = [
    "jax", "jnp", "np", "math", "weights", "params", "apply", "init", "solve", "step", "carry", "xs", "dtype", "batch",
    "values", "lambda_", "None_", "print", "tuple", "len", "zip", "Array", "Any", "MODELS", "Net", "_scale", "__x", "_",
    "k1", "v1", "t", "saved", "segment", "match", "self", "mapping", "near", "w", "keys", "key",
]  # fmt: skip


@pytest.mark.parametrize("save", [None, 2])
def test_names_that_clash(kit, emitted, save):
    """Each as state, parameter and input; the same numbers as with plain names."""
    given = {}
    for stem in ("hostile", "plain"):
        results = []
        for kind in ("state", "param", "input"):
            k = kit()
            names = HOSTILE if stem == "hostile" else [f"{stem}{i}" for i in range(len(HOSTILE))]
            if kind == "state":
                states = [k.state(n, 2) for n in names]
                params, inputs = [k.param("P", 2, 2)], [k.input("U", 2, per_step=True)]
            elif kind == "param":
                states, inputs = [k.state("X", 2)], [k.input("U", 2, per_step=True)]
                params = [k.param(n, 2, 2, per_step=i % 2 == 0) for i, n in enumerate(names)]
            else:
                states, params = [k.state("X", 2)], [k.param("P", 2, 2)]
                inputs = [k.input(n, 2, per_step=i % 2 == 0) for i, n in enumerate(names)]
            fields = []
            for i, s in enumerate(states):
                f = matmul(params[0], act("tanh", s)) if kind != "param" else s
                for p in params[1:]:
                    f = act("tanh", add(matmul(p, f), s))
                for u in inputs:
                    f = add(mul(f, u), states[(i + 1) % len(states)])
                fields.append(act("tanh", f))
            read = ("apply", add(states[0], inputs[0] if kind == "input" and save is None else states[-1]))
            if kind == "input":
                read = ("apply", add(states[0], inputs[1]))
            model = k.model(*fields, solver="heun", steps=2, save=save, output=read)
            module = emitted(backend, model)
            params = module.init(jax.random.key(0))
            assert set(params) == set(module.weights(params)) == {p.name for p in model.params}
            loaded = module.load_weights(module.weights(params))
            rng = np.random.default_rng(0)
            shapes = [(2,)] * len(states) + [(2, 2) if u.per_step else (2,) for u in model.inputs]
            arguments = [rng.normal(size=s) for s in shapes]
            results.append(module.evaluate(module.weights(loaded), *arguments))
        given[stem] = results
    for a, b in zip(*given.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


DOCS = [
    '"""\nimport os; os.system("touch {mark}")\n"""',
    '\\"""\nopen(r"{mark}", "w")\n\\',
    "'''\n{mark}\n'''",
    '"',
    "\\",
    '""""""""',
    "\\N{BULLET} \\x41 \\u0041 \\",
    "a\x00b\x0cc\x1bd\u2028e\u202ef\ud800g\r\nh",
    "line\\\n" + "x" * 300,
    '  indented\n\tand tabbed "quotes" at the end"',
]


@pytest.mark.parametrize("doc", DOCS)
def test_docstrings_and_names_of_specs_cannot_break_out(kit, tmp_path, emit_text, doc):
    mark = tmp_path / "ran"
    doc = doc.replace("{mark}", str(mark))
    text = emit_text(backend, residual(kit(), doc=doc), spec_name=doc)
    text.encode("utf-8")
    tree = ast.parse(text)
    plain = ast.parse(emit_text(backend, residual(kit(), doc="plain"), spec_name="plain"))
    assert skeleton(tree) == skeleton(plain)
    assert all(c == "\n" or c.isprintable() for c in text)
    exec(compile(tree, "emitted", "exec"), {"__name__": "emitted"})
    assert not mark.exists()


def skeleton(tree):
    """A module without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def test_claims_and_verdicts_in_the_header_are_inert(kit):
    from odespec.backends import EmitRequest

    program = lower(residual(kit()))
    claim = 'nonexpansive """\nimport os\n"""'
    request = EmitRequest("a", 'x"""', '1\n"""', (program,), (((claim, 'proved\n"""'),),))
    tree = ast.parse(backend.emit(request))
    assert not any(isinstance(n, ast.Import) and n.names[0].name == "os" for n in ast.walk(tree))


def test_texts_of_constraints_are_inert(kit, emitted):
    k = kit()
    x, W = k.state("x", 2), k.param("W", 2, 2)
    k.constrain("norm", W, None, 1, text='constraint "\\" + __import__("os").getcwd() + """ {W} \n <= 1')
    module = emitted(backend, k.model(matmul(W, x)))
    with pytest.raises(ValueError, match="__import__"):
        module.load_weights({"W": 2 * np.eye(2)})


# --- what is refused -------------------------------------------------------------


def gaps(model):
    return [u.what for u in backend.unsupported(lower(model))]


def test_what_is_refused_is_named(kit):
    k = kit()
    x = k.state("x", 2)
    assert gaps(k.model(neg(x), solver="backward_euler")) == ["the implicit stages of `backward_euler`"]
    k = kit()
    W, x = k.param("W", 2, 2), k.state("x", 2)
    k.constrain("norm", matmul(W, W), None, 1, text="constraint norm(W @ W) <= 1")
    assert any("norm(W @ W) <= 1" in what for what in gaps(k.model(matmul(W, x))))
    k = kit()
    x = k.state("x", 2)
    assert any("float64" in what for what in gaps(k.model(mul(const(Fraction(10) ** 400), x))))
    k = kit()
    x, c = k.state("x", 2), k.param("c", per_step=True)
    assert any("per step" in what for what in gaps(k.model(neg(x), output=("y", mul(c, x)))))
    k = kit()
    x = k.state("x", 2)
    assert any("saved" in what for what in gaps(k.model(neg(x), steps=3, save=3)))
    k = kit()
    x, w = k.state("x", 2), Noise("w", (2,), k.span)
    noisy = replace(k.model(add(x, leaf("noise", "w", (2,)))), noises=(w,))
    program = replace(lower(replace(noisy, noises=())), model=noisy)
    assert any("noise" in u.what for u in backend.unsupported(program))
    k = kit()
    u, K = k.state("u", 2, 4), k.param("K", 2, 2, 3)
    conv = Expr("conv", (mul(K, k.input("s")),), (2, 4, 2, 4), Convolution((4,)))
    assert any("kernel depends" in what for what in gaps(k.model(apply(conv, u))))
    k = kit()
    x = k.state("x", 2)
    assert any("`unheard_of`" in what for what in gaps(k.model(Expr("unheard_of", (x,), (2,)))))


def test_emitting_what_is_refused_raises(kit, emit_text):
    k = kit()
    x = k.state("x", 2)
    with pytest.raises(ValueError, match="implicit stages"):
        emit_text(backend, k.model(neg(x), solver="backward_euler"))


def test_numbers_are_rounded_correctly(kit, emitted):
    """Irrational and long rational coefficients are the nearest float64."""
    with jax.enable_x64(True):
        k = kit()
        x = k.state("x", 1)
        exact = power(Fraction(2), Fraction(1, 3))
        long = Fraction(123456789012345678901, 10**20)
        model = k.model(add(mul(const(exact), x), mul(const(long), act("square", x))), solver="map", steps=1)
        module = emitted(backend, model)
        assert float(module.apply({}, np.array([1.0]))[0]) == float(exact) + float(long)


def test_a_new_activation_needs_no_change(kit, emitted):
    """Registered at run time, with a template in which the argument occurs three times and is no call."""
    from odespec.activations import ACTIVATIONS, REAL, Activation, register

    entry = Activation(
        "wobble",
        "",
        lambda p: REAL,
        lambda x, p: x,
        lambda x, p: x,
        "{x}",
        "{x} * {a} + {x}**2 - {x}",
        parameters=("a",),
    )
    register(entry)
    try:
        k = kit()
        x = k.state("x", 1)
        model = k.model(mul(const(2), act("wobble", add(x, x), (Fraction(-3),))), solver="map", steps=1)
        module = emitted(backend, model)
        assert float(module.apply({}, np.array([1.0]))[0]) == 2 * (2 * -3 + 4 - 2)
    finally:
        del ACTIVATIONS["wobble"]


def test_a_very_deep_field(kit, emitted):
    k = kit()
    x, W = k.state("x", 2), k.param("W", 2, 2)
    f = x
    for _ in range(3000):
        f = add(act("tanh", f), x)
    module = emitted(backend, k.model(add(f, matmul(W, x)), solver="map", steps=1))
    assert module.solve.__code__.co_firstlineno
