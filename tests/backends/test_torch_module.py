"""An emitted PyTorch module as a citizen of PyTorch, and as a text."""

from __future__ import annotations

import ast
import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from odespec_torch import backend

from odespec.ir.expr import act, add, const, full, matmul, mean, mul, neg, transpose
from odespec.program.lower import lower

torch.set_num_threads(1)
D, M = 4, 6


def gradient_flow(kit, steps=3, name="Net", doc=None, per_step=False, solver="rk4"):
    k = kit()
    x, W, b = k.state("x", D), k.param("W", M, D, per_step=per_step), k.param("b", M, per_step=per_step)
    k.constrain("norm", W, None, 1, text="norm(W) <= 1")
    field = neg(matmul(transpose(W), act("tanh", add(matmul(W, x), b))))
    return k.model(field, steps=steps, name=name, doc=doc, solver=solver)


def driven(kit):
    """Two states, an input, an input per step, an output."""
    k = kit()
    x, W, u, v = k.state("x", D), k.param("W", D, D, structure="skew"), k.input("u", D), k.input("v", per_step=True)
    k.state("a", 2, initial=full(1, (2,)))
    Q = k.param("Q", D, D, structure="orthogonal")
    field = (add(matmul(W, act("relu", matmul(Q, x))), mul(v, u)), full(2, (2,)))
    return k.model(*field, solver="euler", output=("y", add(mean(x), const(1))))


@pytest.fixture
def net(kit, emitted):
    torch.manual_seed(0)
    return emitted(backend, gradient_flow(kit)).Net(dtype=torch.float64)


def arguments(*batch):
    torch.manual_seed(1)
    return torch.randn(*batch, D), torch.randn(*batch, D), torch.randn(*batch, 3)


# --- PyTorch -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mode", [True, False])
def test_compile(kit, emitted, mode):
    torch._dynamo.reset()
    net = emitted(backend, driven(kit)).Net().train(mode)
    given = arguments(5)
    fast = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(fast(*given), net(*given))
    fast(*given).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    with torch.no_grad():
        net.raw_W += 1
        torch.testing.assert_close(fast(*given), net(*given))


@pytest.mark.slow
def test_export_with_a_dynamic_batch(kit, emitted):
    net = emitted(backend, driven(kit)).Net().eval()
    batch = torch.export.Dim("batch", min=2, max=100)
    dynamic = ({0: batch}, {0: batch}, {0: batch})
    program = torch.export.export(net, arguments(5), dynamic_shapes=dynamic)
    given = arguments(9)
    torch.testing.assert_close(program.module()(*given), net(*given))


def test_export_of_one_state(net):
    program = torch.export.export(net, (torch.randn(5, D, dtype=torch.float64),))
    x = torch.randn(5, D, dtype=torch.float64)
    torch.testing.assert_close(program.module()(x), net(x))


@pytest.mark.parametrize("mode", [True, False])
def test_vmap_and_derivatives(net, mode):
    net.train(mode)
    x = torch.randn(5, D, dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(net)(x), net(x))
    jacobian = torch.func.vmap(torch.func.jacrev(net))(x)
    forward = torch.func.vmap(torch.func.jacfwd(net))(x)
    torch.testing.assert_close(jacobian, forward)
    assert torch.linalg.matrix_norm(jacobian, 2).max() <= 1 + 1e-12


def test_vmap_over_weights(net):
    """An ensemble: stacked parameters under `torch.func.functional_call`."""
    stacked = {k: torch.stack([v, 2 * v]) for k, v in net.named_parameters()}
    x = torch.randn(3, D, dtype=torch.float64)
    both = torch.func.vmap(lambda p: torch.func.functional_call(net.eval(), p, (x,)))(stacked)
    for i in range(2):
        one = {k: v[i] for k, v in stacked.items()}
        torch.testing.assert_close(both[i], torch.func.functional_call(net, one, (x,)))


def test_state_dict_round_trip(kit, emitted, tmp_path):
    module = emitted(backend, driven(kit))
    net, other = module.Net().eval(), module.Net().eval()
    given = arguments(2)
    with torch.no_grad():
        other(*given)  # fills the cache, which loading must empty
        torch.save(net.state_dict(), tmp_path / "state.pt")
        other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        torch.testing.assert_close(other(*given), net(*given))
        torch.testing.assert_close(copy.deepcopy(net)(*given), net(*given))
    assert set(net.state_dict()) == {"raw_W", "generator_Q", "factor_Q"}


def test_types_and_devices(kit, emitted):
    module = emitted(backend, driven(kit))
    assert {p.dtype for p in module.Net(dtype=torch.float64).parameters()} == {torch.float64}
    assert {p.dtype for p in module.Net().parameters()} == {torch.float32}
    net = module.Net()
    given = arguments(2)
    with torch.no_grad():
        single = net.eval()(*given)
        double = net.double()(*(x.double() for x in given))
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)
    assert module.Net(device="meta").raw_W.device.type == "meta"


def test_weights_are_computed_once_in_eval(net, monkeypatch):
    calls = []
    original = type(net)._constrained
    monkeypatch.setattr(type(net), "_constrained", lambda self: calls.append(1) or original(self))
    x = torch.randn(3, D, dtype=torch.float64)

    def count(action):
        calls.clear()
        result = action()
        return len(calls), result

    assert count(lambda: net(x))[0] == 1
    net.eval()
    assert count(lambda: net(x))[0] == 1  # with gradients: nothing is kept
    with torch.no_grad():
        assert count(lambda: [net(x), net(x)])[0] == 1
        changes = [
            lambda: net.raw_W.mul_(0.5),
            lambda: net.load_weights({"W": np.zeros((M, D)), "b": np.ones(M)}),
            lambda: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}),
            lambda: setattr(net, "raw_W", torch.nn.Parameter(net.raw_W + 1)),
            lambda: net.train().eval(),
            lambda: net.float().double(),
        ]
        for change in changes:
            change()
            n, (first, second) = count(lambda: [net(x), net(x)])
            assert n == 1
            torch.testing.assert_close(first, second)
            torch.testing.assert_close(first, copy.deepcopy(net).train()(x))
    with torch.inference_mode():
        net(x)
    y = net(x.requires_grad_())
    y.sum().backward()  # what inference mode kept is not used for gradients
    assert net.raw_W.grad is not None


def test_optimiser_steps_in_eval_are_seen(net):
    net.eval()
    x = torch.randn(3, D, dtype=torch.float64)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    with torch.no_grad():
        before = net(x)
    net(x).square().sum().backward()
    optimiser.step()
    with torch.no_grad():
        after = net(x)
    assert not torch.allclose(before, after)


def test_whole_module_gradcheck(net):
    x = torch.randn(2, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x,))
    assert torch.autograd.gradgradcheck(net, (x,))


def test_repeated_forward_does_not_change_arguments(kit, emitted):
    net = emitted(backend, driven(kit)).Net()
    given = arguments(2)
    kept = [x.clone() for x in given]
    torch.testing.assert_close(net(*given), net(*given))
    for x, y in zip(given, kept, strict=True):
        assert torch.equal(x, y)


# --- the text ------------------------------------------------------------------

EVIL = [
    '"""\nimport os; os.system("touch HACKED")\n"""',
    "\\",
    'ends with a quote"',
    "ends with a backslash\\",
    "'''; raise SystemExit",
    "{{ 7 * 7 }} {% raise %} {{ request }}",
    "line\r\nbreaks\u2028and\u2029others\x0c\x00\x1b[31m",
    "\u202e reversed",
    "\\N{BULLET} \\x41 \\u0041",
    "",
]


@pytest.mark.parametrize("doc", EVIL)
def test_docstrings_are_inert(kit, emit_text, doc):
    text = emit_text(backend, gradient_flow(kit, doc=doc))
    plain = emit_text(backend, gradient_flow(kit, doc="plain"))
    assert shape_of_code(text) == shape_of_code(plain)
    assert all(c.isprintable() or c == "\n" for c in text)
    found = ast.get_docstring(classes(text)["Net"], clean=False)
    for word in doc.split():
        if word.isalnum():
            assert word in found


@pytest.mark.parametrize("name", ["a.ode\nimport os", 'x"""\nraise SystemExit', "\\", "{{ 7 * 7 }}", "\u202e.ode"])
def test_file_names_are_inert(kit, emit_text, name):
    text = emit_text(backend, gradient_flow(kit), spec_name=name)
    assert shape_of_code(text) == shape_of_code(emit_text(backend, gradient_flow(kit)))


def classes(text):
    return {n.name: n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)}


def shape_of_code(text):
    """The syntax tree without its docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:]
    return ast.dump(tree)


HOSTILE = [
    *("self", "torch", "class", "lambda", "None", "print", "len", "range", "zip", "match", "F", "Tensor", "math"),
    *("weights", "batch", "saved", "values", "given", "shapes", "near", "dtype", "device", "times", "super", "Any"),
    *("_scale", "_Model", "forward", "solve", "training", "k1", "v1", "k1_x", "x_dot", "W_k", "next_x", "__class__"),
    *("x'", "raw_W", "like", "parameters", "n_scale", "type", "raw", "t", "i"),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("per_step", [False, True])
def test_any_name_can_be_a_state_a_param_or_an_input(kit, emitted, name, per_step):
    """Renaming changes nothing but the keys of `weights()`."""

    def make(param, state, given):
        k = kit()
        x, W, u = k.state(state, D), k.param(param, D, D, per_step=per_step), k.input(given, D, per_step=per_step)
        y = k.state("second", D)
        k.constrain("norm", W, None, 1)
        field = act("tanh", add(matmul(W, x), mul(u, u)))
        return k.model(field, add(field, mul(y, y)), solver="heun")

    expected = None
    for names in (("W", "x", "u"), (name, "x", "u"), ("W", name, "u"), ("W", "x", name)):
        if len(set(names)) < 3 or not all(n.isidentifier() for n in (names[0], names[2])):
            continue  # only states have primes
        model = make(*names)
        net = emitted(backend, model).Net()
        given = dict(zip((s for s in ("state", "second", "input")), (0.5, -0.25, 0.75), strict=True))
        assert set(net.weights()) == {names[0]}
        net.load_weights({names[0]: np.broadcast_to(np.eye(D) / 2, net.weights()[names[0]].shape)})
        u = torch.full((3, D) if per_step else (D,), given["input"])
        found = net(torch.full((D,), given["state"]), torch.full((D,), given["second"]), u)
        expected = found if expected is None else expected
        for f, e in zip(found, expected, strict=True):
            torch.testing.assert_close(f, e)


@pytest.mark.parametrize("name", ["torch", "_Model", "Tensor", "_scale", "print", "None", "F", "object"])
def test_any_name_can_be_a_model(kit, emitted, name):
    module = emitted(backend, gradient_flow(kit, name=name), gradient_flow(kit, name="Other"))
    mangled = f"n{name}" if name.startswith("_") else f"{name}_"
    net = getattr(module, mangled)()
    weights = {k: v.numpy() for k, v in net.weights().items()}
    x = np.ones(D)
    (found,) = backend.run(module.__file__, name, weights, [x], [])
    np.testing.assert_allclose(found, net.double()(torch.tensor(x)).detach().numpy(), rtol=1e-3)


def test_only_torch_and_the_standard_library_are_imported(kit, emit_text):
    imported = set()
    for model in (gradient_flow(kit), driven(kit)):
        for node in ast.walk(ast.parse(emit_text(backend, model))):
            if isinstance(node, ast.Import):
                imported |= {a.name.split(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module.split(".")[0])
    assert imported - {"torch"} <= set(sys.stdlib_module_names)


def test_importing_and_emitting_import_no_framework(tmp_path):
    code = (
        "import sys, odespec_torch, odespec_torch.emit, odespec_torch.limits\n"
        "bad = {'torch', 'jax', 'scipy', 'sympy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_text_is_deterministic_and_formatted(kit, emit_text, tmp_path):
    for model in (gradient_flow, driven):
        text = emit_text(backend, model(kit))
        assert text == emit_text(backend, model(kit))
        assert max(map(len, text.splitlines())) <= 100
        assert not any(line != line.rstrip() for line in text.splitlines())
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "-"]
        try:
            formatted = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        except (subprocess.CalledProcessError, FileNotFoundError):
            pytest.skip("ruff is not installed")
        assert formatted.stdout == text


def test_the_header_names_spec_hash_version_and_verdicts(kit, emit_text):
    text = emit_text(backend, gradient_flow(kit))
    head = text[: text.index('"""')]
    for part in ("hand.ode", "0" * 64, "odespec 0.0", "proved", "nonexpansive", "Net"):
        assert part in head


def test_stages_have_their_textbook_names(kit, emit_text):
    body = ast.unparse(classes(emit_text(backend, gradient_flow(kit)))["Net"])
    assert all(f"k{i} = " in body for i in (1, 2, 3, 4)) and "k5" not in body
    assert "x = x - 1 / 18 * k1 - 1 / 9 * k2 - 1 / 9 * k3 - 1 / 18 * k4" in body


def test_constant_factors_leave_the_loop(kit, emit_text):
    k = kit()
    x, W = k.state("x", D), k.param("W", D, D)
    A = add(W, neg(transpose(W)))
    tree = classes(emit_text(backend, k.model(matmul(A, act("tanh", x)), solver="rk4")))["Net"]
    loops = [n for n in ast.walk(tree) if isinstance(n, ast.For)]
    assert len(loops) == 1
    assert "W" not in {n.id for n in ast.walk(loops[0]) if isinstance(n, ast.Name)}


def test_what_is_missing_is_named(kit):
    def missing(model):
        return [u.what for u in backend.unsupported(lower(model))]

    assert missing(gradient_flow(kit)) == []
    assert missing(gradient_flow(kit, solver="backward_euler")) == ["the implicit solver `backward_euler`"]
    k = kit()
    x, W = k.state("x", D), k.param("W", D, D, structure="doubly_stochastic")
    assert missing(k.model(matmul(W, x))) == ["the structure doubly_stochastic of `W`"]
    k = kit()
    x = k.state("x", D)
    assert "range of floating-point numbers" in missing(k.model(mul(const(10**400), x)))[0]


def test_run_names_an_unknown_model(kit, emitted):
    module = emitted(backend, gradient_flow(kit))
    with pytest.raises(ValueError, match="no model Missing"):
        backend.run(module.__file__, "Missing", {}, [], [])
