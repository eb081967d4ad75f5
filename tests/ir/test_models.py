"""Plain models from text to typed IR."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from odespec.diagnostics import Report
from odespec.exact import Irrational
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, act, leaf, matmul, transpose
from odespec.ir.load import load, load_source
from odespec.ir.model import Model
from odespec.source import Source

F = Fraction
TAIL = "solver euler(steps = 4)\ntime 0 .. 1\n"


def load_text(text: str, **overrides: str) -> tuple[object, Report]:
    report = Report()
    return load_source(Source("t.ode", text), overrides, report, Path("/nonexistent")), report


def model(text: str, **overrides: str) -> Model:
    report = Report()
    spec = load_source(Source("t.ode", text), overrides, report, Path("/nonexistent"))
    assert spec is not None, [(d.code, d.message) for d in report]
    found = spec.sections[0]
    assert isinstance(found, Model)
    return found


def errors(text: str, **overrides: str) -> list[str]:
    report = Report()
    load_source(Source("t.ode", text), overrides, report, Path("/nonexistent"))
    return [d.code for d in report.errors]


def field(body: str, head: str = "model A\ndim d = 3, m = 4\nstate x[d]\nparam W[m, d], b[m]\n") -> Expr:
    return model(head + body + "\n" + TAIL).field[0]


x = leaf("state", "x", (3,))
W, b = leaf("param", "W", (4, 3)), leaf("param", "b", (4,))
Z = ex.add(matmul(W, x), b)


# --- the plain path ------------------------------------------------------------------


def test_gradient_flow() -> None:
    text = """model GradientFlow
dim d = 3, m = 4
state x[d]
param W[m, d] per step
param b[m] per step
x' = -W.T @ relu(W @ x + b)
constraint norm(W) <= 3/2
solver heun(steps = 8)
time 0 .. 2 save 5
claim not lipschitz(norm = inf) <= 2 of flow   # a comment
"""
    m = model(text)
    assert m.field == (ex.neg(matmul(transpose(W), act("relu", Z))),)
    assert m.step_size == F(1, 4)
    assert [(p.name, p.shape, p.per_step) for p in m.params] == [("W", (4, 3), True), ("b", (4,), True)]
    (constraint,) = m.constraints
    assert (constraint.quantity, constraint.operand, constraint.lower, constraint.upper) == ("norm", W, None, F(3, 2))
    (claim,) = m.claims
    assert (claim.text, claim.negated, claim.norm, claim.subject) == (
        "lipschitz(norm = inf) <= 2 of flow",
        True,
        "inf",
        "flow",
    )
    assert claim.upper == 2
    assert m.time is not None and m.time.save == 5
    assert m.dims == (("d", 3), ("m", 4))


def test_grad_and_lets_in_any_order() -> None:
    written = field("x' = -W.T @ tanh(W @ x + b)")
    named = field("x' = -force\nlet force = grad(V, x)\nlet V = sum(logcosh(z))\nlet z = W @ x + b")
    assert written == named == ex.neg(matmul(transpose(W), act("tanh", Z)))


def test_known_models_have_no_errors() -> None:
    """A hundred models that use every kind of statement, solver and claim."""
    path = Path(__file__).with_name("known_models.ode")
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and len(spec.sections) == path.read_text().count("model ") > 100
    assert {d.code for d in report} == {"ODE204"}


def test_shipped_specs_have_no_findings() -> None:
    paths = sorted((Path(__file__).parents[2] / "specs").glob("*.ode"))
    for path in paths:
        report = Report()
        assert load(path, {}, report) is not None
        assert len(report) == 0, path


# --- numbers ---------------------------------------------------------------------


def test_numbers_are_exact() -> None:
    m = model("model A\nconst a = 0.1, r = sqrt(2), q = 4^(1/2), M = 2*[[1, 2], [3, 4]]\nstate x[2]\n"
              "x' = -a*x*r*q + M @ x\n" + TAIL)  # fmt: skip
    consts = dict(m.consts)
    assert consts["a"] == F(1, 10) and consts["q"] == 2
    assert isinstance(consts["r"], Irrational)
    assert consts["M"] == ((F(2), F(4)), (F(6), F(8)))


def test_overrides() -> None:
    text = "model A\ndim d = 2, m = 2*d\nconst g = 0.1\nstate x[m]\nx' = -g*x\n" + TAIL
    m = model(text, d="5", g="1/5")
    assert m.states[0].shape == (10,) and dict(m.consts)["g"] == F(1, 5)
    assert model(text, g="2*sqrt(4)").field[0] == ex.mul(ex.const(-4), leaf("state", "x", (4,)))


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"q": "3"}, "ODE207"),
        ({"d": "three four"}, "ODE208"),
        ({"d": ""}, "ODE208"),
        ({"d": "0"}, "ODE209"),
        ({"d": "1/2"}, "ODE209"),
        ({"d": "9^9^9"}, "ODE210"),
        ({"d": "10000001"}, "ODE210"),
        ({"d": "x"}, "ODE211"),
        ({"g": "1/0"}, "ODE213"),
        ({"g": "2\nclaim nonexpansive"}, "ODE208"),
    ],
)
def test_bad_overrides(overrides: dict[str, str], code: str) -> None:
    text = "model A\ndim d = 2\nconst g = 0.1\nstate x[d]\nx' = -g*x\n" + TAIL
    assert errors(text, **overrides) == [code]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("9^9^9", "ODE210"),
        ("10^7 + 1", "ODE210"),
        ("2^(2^(2^(2^(2^2))))", "ODE210"),
        ("-1", "ODE209"),
        ("2.5", "ODE209"),
        ("sqrt(2)", "ODE209"),
        ("1/(1 - 1)", "ODE213"),
        ("d", "ODE205"),
        ("k", "ODE201"),
        ("x", "ODE211"),
    ],
)
def test_sizes(value: str, code: str) -> None:
    assert errors(f"model A\ndim d = {value}\nstate x[d]\nx' = -x\n" + TAIL) == [code]


def test_a_tensor_of_absurd_size() -> None:
    assert errors("model A\ndim d = 10^6\nstate x[d]\nparam W[d, d]\nx' = W @ x\n" + TAIL) == ["ODE210"]


# --- states ------------------------------------------------------------------------


def test_second_order() -> None:
    m = model("model A\nstate x[2]\nx'' = -x - x'/2\n" + TAIL)
    v = leaf("state", "x'", (2,))
    assert [(s.name, s.position, s.initial) for s in m.states] == [("x", None, None), ("x'", "x", ex.full(0, (2,)))]
    assert m.field[0] == v
    assert v in set(ex.postorder(m.field[1]))


def test_declared_velocity_keeps_its_place() -> None:
    m = model("model A\nstate x'[2], y[2], x[2]\nx'' = -x + y\ny' = -y\n" + TAIL)
    assert [s.name for s in m.states] == ["x'", "y", "x"]
    assert m.field[2] == leaf("state", "x'", (2,))
    assert len(m.free_states) == 3


def test_given_initial_values() -> None:
    m = model(
        "model A\nparam W[3, 2]\nstate x[2]\nstate a[3] = W @ x\nstate c[3] = 1\nx' = -x\na' = -a\nc' = -c\n" + TAIL
    )
    assert m.states[1].initial == matmul(leaf("param", "W", (3, 2)), leaf("state", "x", (2,)))
    assert m.states[2].initial == ex.full(1, (3,))
    assert [s.name for s in m.free_states] == ["x"]


def test_discrete_map() -> None:
    m = model("model A\nstate x[2], y[2]\nx+ = y\ny+ = 2*y - x\nsolver map(steps = 3)\n")
    assert m.discrete and m.time is None and m.step_size == 1


# --- operators and shapes ----------------------------------------------------------------


def test_identity_takes_its_size() -> None:
    S = leaf("param", "S", (3, 3))
    head = "model A\nconst g = 1/10\nstate x[3]\nparam S[3, 3]\n"
    expected = matmul(ex.add(S, ex.mul(ex.const(F(-1, 10)), ex.eye(3))), x)
    assert field("x' = (S - g*I) @ x", head) == expected
    assert field("let A = S - g*I\nx' = A @ x", head) == expected
    assert field("let J = 2*I\nx' = S @ x + J @ x", head) == ex.add(matmul(S, x), ex.mul(ex.const(2), x))
    assert field("x' = S @ I @ x", head) == matmul(matmul(S, ex.eye(3)), x)


def test_rows_act_on_the_last_axis() -> None:
    X = leaf("state", "X", (3, 2))
    K, A = leaf("param", "K", (2, 2)), leaf("param", "A", (3, 3))
    head = "model A\nstate X[3, 2]\nparam K[2, 2], A[3, 3]\n"
    assert field("X' = X @ K", head) == ex.matmul_last(X, K)
    assert field("X' = A @ X @ K", head) == ex.matmul_last(matmul(A, X), K)
    assert field("x' = x @ W.T @ W - x") == ex.sub(matmul(transpose(W), matmul(W, x)), x)


def test_convolutions_take_the_size_of_what_they_act_on() -> None:
    head = "model A\nstate u[2, 6, 5]\nparam K[3, 2, 3, 3], c[3]\n"
    m = model(head + "u' = -conv(K).T @ relu(conv(K) @ u + channel(c))\nconstraint norm(conv(K)) <= 1\n" + TAIL)
    kernel = leaf("param", "K", (3, 2, 3, 3))
    operator = Expr("conv", (kernel,), (3, 6, 5, 2, 6, 5), ex.Convolution((6, 5)))
    assert m.constraints[0].operand == operator
    nodes = set(ex.postorder(m.field[0]))
    assert operator in nodes
    assert Expr("channel", (leaf("param", "c", (3,)),), (3, 6, 5)) in nodes


def test_composite_operators_are_applied_term_by_term() -> None:
    head = "model A\nstate u[2, 4]\nparam K[2, 2, 3]\n"
    e = field("let A = conv(K) - conv(K).T - 1/2*I\nu' = A @ u", head)
    assert e == field("u' = conv(K) @ u - conv(K).T @ u - u/2", head)
    assert field("u' = (conv(K) @ conv(K)).T @ u", head) == field("u' = conv(K).T @ (conv(K).T @ u)", head)


def test_strided_convolution_and_its_adjoint() -> None:
    m = model(
        "model A\nstate u[2, 8]\nparam K[3, 2, 3]\nu' = -conv(K, stride = 2).T @ tanh(conv(K, stride = 2) @ u)\n" + TAIL
    )
    operators = {n.shape for n in ex.postorder(m.field[0]) if n.op == "conv"}
    assert operators == {(3, 4, 2, 8)}


def test_the_norm_of_a_weight_in_a_field_is_a_bound() -> None:
    e = field("x' = -(2/norm(W)^2) * (W.T @ tanh(W @ x + b))")
    assert Expr("bound", (W,), (), 2) in set(ex.postorder(e))
    e = field("x' = -norm(x) * x")
    assert Expr("norm", (x,), (), 2) in set(ex.postorder(e))
    head = "model A\nstate u[2, 8]\nparam K[3, 2, 3]\n"
    e = field("u' = -1/norm(conv(K))*(conv(K).T @ tanh(conv(K) @ u))", head)
    bound = next(n for n in ex.postorder(e) if n.op == "bound")
    assert bound.args[0].op == "conv" and bound.args[0].shape == (3, 8, 2, 8)


def test_symmetric_parameters_are_their_own_transposes() -> None:
    head = "model A\nstate x[3]\nparam P[3, 3] : psd\n"
    assert field("x' = -P.T @ x", head) == field("x' = -P @ x", head)
    assert field("x' = -grad(dot(x, P @ x)/2, x)", head) == ex.neg(matmul(leaf("param", "P", (3, 3)), x))


def test_graphs() -> None:
    m = model("model A\ngraph G[4]\nstate x[4]\nlet B = incidence(G)\n"
              "x' = -laplacian(G, normalized = true) @ x - B.T @ tanh(B @ x)\n"
              "constraint degree(G) <= 3\n" + TAIL)  # fmt: skip
    graph = leaf("graph", "G", (4,))
    nodes = set(ex.postorder(m.field[0]))
    assert Expr("laplacian", (graph,), (4, 4), ("normalized",)) in nodes
    assert Expr("incidence", (graph,), (6, 4)) in nodes
    assert m.constraints[0].quantity == "degree" and m.graphs[0].nodes == 4


SHAPES = "model A\ndim d = 3, m = 4, k = 2\nstate x[d]\nparam W[m, d]\ninput u[k], s\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("x' = W @ x", "ODE306"),
        ("x' = W.T @ u", "ODE302"),
        ("x' = x + u", "ODE301"),
        ("x' = x * W", "ODE301"),
        ("x' = x @ x", "ODE302"),
        ("x' = s @ x", "ODE302"),
        ("x' = dot(x, u) * x", "ODE301"),
        ("x' = x.T", "ODE314"),
        ("x' = (W - I) @ x", "ODE311"),
        ("x' = tanh(I) @ x", "ODE321"),
        ("x' = I", "ODE310"),
        ("x' = x^u", "ODE313"),
        ("x' = x^(9^9)", "ODE212"),
        ("x' = sum(x, 3) * x", "ODE315"),
        ("x' = softmax(x, axis = 1)", "ODE315"),
        ("x' = leaky_relu(x)", "ODE303"),
        ("x' = tanh(x, b = 2)", "ODE304"),
        ("x' = softmax(x, axes = 0)", "ODE304"),
        ("x' = sofmax(x)", "ODE305"),
        ("x' = x(0)", "ODE228"),
        ("x' = x(1)", "ODE228"),
        ("x' = s(0) * x", "ODE305"),
        ("x' = W[1] @ x", "ODE305"),
        ("x' = tanh @ x", "ODE321"),
        ("x' = diag(W) @ x", "ODE315"),
        ("x' = x / 0", "ODE213"),
        ("x' = sqrt(-1) * x", "ODE213"),
        ("x' = grad(W, x)", "ODE317"),
        ("x' = grad(sum(x), u)", "ODE312"),
        ("x' = grad(min(x), x)", "ODE318"),
        ("x' = conv(W) @ x", "ODE315"),
        ("x' = laplacian(W) @ x", "ODE321"),
        ("x' = laplacian(H) @ x", "ODE201"),
        ("x' = norm(x, max) * x", "ODE416"),
        ("x' = [[1, 2], [3]] @ x", "ODE316"),
    ],
)
def test_mistakes_of_types_come_alone(body: str, code: str) -> None:
    assert errors(SHAPES + body + "\n" + TAIL) == [code]


def test_a_shape_mistake_shows_both_shapes_and_where_they_come_from() -> None:
    report = Report()
    load_source(Source("t.ode", SHAPES + "x' = W.T @ tanh(W @ u)\n" + TAIL), {}, report)
    (found,) = report.errors
    assert found.message == "`W` @ `u`: `W` is [m, d] = [4, 3], `u` is [k] = [2]"
    assert {(n.span.line, n.span.text) for n in found.notes if n.span} == {(4, "W"), (5, "u")}


def test_several_mistakes_and_no_cascades() -> None:
    text = SHAPES + "let a = W @ u\nlet c = a + q\nx' = c + W.T @ a + q - x\n"
    text += "constraint norm(W) <= q2\nsolver eulr(steps = 3)\ntime 1 .. 0\n"
    text += "claim nonexpansiv\nclaim gradient in [2, 1]\n"
    assert errors(text) == ["ODE302", "ODE201", "ODE201", "ODE401", "ODE412", "ODE414", "ODE418"]


def test_names_that_are_not_reserved() -> None:
    text = "model A\nconst sigma = 1/2, eig = 2, order = 3, skew = 4, stable = 5\nstate x[2]\n"
    assert errors(text + "x' = -sigma*eig*order*skew*stable*x\n" + TAIL) == []
