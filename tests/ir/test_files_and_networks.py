"""Used files and networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from odespec.diagnostics import Report
from odespec.ir import expr as ex
from odespec.ir.expr import leaf
from odespec.ir.load import load, load_source
from odespec.ir.model import Model, Network, Spec
from odespec.source import Source

BLOCK = """model Block
dim d = 2
state x[d]
param W[d, d]
x' = -W.T @ tanh(W @ x)
constraint norm(W) <= 1
solver euler(steps = 2)
time 0 .. 1
"""


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.ode").write_text(text)
    return folder / "main.ode"


def codes(path: Path) -> list[str]:
    report = Report()
    load(path, {}, report)
    return [d.code for d in report.errors]


def spec_of(text: str, **overrides: str) -> Spec:
    report = Report()
    spec = load_source(Source("t.ode", text), overrides, report, Path("/nonexistent"))
    assert spec is not None, [(d.code, d.message) for d in report]
    return spec


def network(text: str, **overrides: str) -> Network:
    found = spec_of(text, **overrides).sections[-1]
    assert isinstance(found, Network)
    return found


def errors(text: str) -> list[str]:
    report = Report()
    load_source(Source("t.ode", text), {}, report, Path("/nonexistent"))
    return [d.code for d in report.errors]


# --- use -----------------------------------------------------------------------------


def test_used_models_are_known_but_not_checked(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "block.ode").write_text(BLOCK)
    path = write(tmp_path, main='use "parts/block.ode"\nnetwork N\ninput u[4]\nh = Block(u)\noutput y = h\n')
    report = Report()
    spec = load(path, {}, report)
    assert spec is not None and [s.name for s in spec.sections] == ["N"]
    assert [Path(f.name).name for f in spec.files] == ["main.ode", "block.ode"]
    (section,) = spec.sections
    assert isinstance(section, Network) and section.layers[0].model is not None
    assert section.layers[0].model.states[0].shape == (4,)


def test_used_twice_on_two_ways(tmp_path: Path) -> None:
    path = write(tmp_path, main='use "a.ode"\nuse "b.ode"\n' + BLOCK, a='use "c.ode"\n' + BLOCK.replace("Block", "A"),
                 b='use "c.ode"\n' + BLOCK.replace("Block", "B"), c=BLOCK.replace("Block", "C"))  # fmt: skip
    assert codes(path) == []


def test_missing_file(tmp_path: Path) -> None:
    assert codes(write(tmp_path, main='use "nothing.ode"\n' + BLOCK)) == ["ODE223"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.txt", ".", "", "a\\b.ode"])
def test_only_specs_are_read(tmp_path: Path, name: str) -> None:
    assert codes(write(tmp_path, main=f'use "{name}"\n' + BLOCK)) == ["ODE223"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ode")
    assert codes(write(tmp_path, main='use "pipe.ode"\n' + BLOCK)) == ["ODE223"]


def test_cycles(tmp_path: Path) -> None:
    assert codes(write(tmp_path, main='use "main.ode"\n' + BLOCK)) == ["ODE224"]
    path = write(tmp_path, main='use "a.ode"\n' + BLOCK, a='use "b.ode"\n' + BLOCK.replace("Block", "A"),
                 b='use "main.ode"\n' + BLOCK.replace("Block", "B"))  # fmt: skip
    report = Report()
    load(path, {}, report)
    (found,) = report.errors
    assert found.code == "ODE224" and "main.ode -> a.ode -> b.ode -> main.ode" in found.message


def test_names_are_unique_over_files(tmp_path: Path) -> None:
    assert codes(write(tmp_path, main='use "a.ode"\n' + BLOCK, a=BLOCK)) == ["ODE202"]


def test_mistakes_in_a_used_file_point_into_it(tmp_path: Path) -> None:
    path = write(tmp_path, main='use "a.ode"\n' + BLOCK, a="model A\nstate x[2\n")
    report = Report()
    assert load(path, {}, report) is None
    assert all(d.span is not None and d.span.source.name.endswith("a.ode") for d in report.errors)


def test_a_long_chain_of_files(tmp_path: Path) -> None:
    for i in range(120):
        text = f'use "f{i + 1}.ode"\n' if i < 119 else ""
        (tmp_path / f"f{i}.ode").write_text(text + BLOCK.replace("Block", f"B{i}"))
    assert codes(tmp_path / "f0.ode") == []


def test_no_base_no_used_files() -> None:
    report = Report()
    assert load_source(Source("t.ode", 'use "a.ode"\n' + BLOCK), {}, report) is None
    assert [d.code for d in report.errors] == ["ODE223"]


# --- networks --------------------------------------------------------------------------

CLASSIFIER = """model Parabolic
dim c = 8, n = 16
state u[c, n, n]
param K[c, c, 3, 3], b[c]
u' = -conv(K).T @ relu(conv(K) @ u + channel(b))
constraint norm(conv(K)) <= 1
solver euler(steps = 4)
time 0 .. 4

network Classifier
dim   c = 4, classes = 10
input image[3, 32, 32]
param stem[c, 3, 3, 3], head[classes, c], bias[classes]
constraint norm(conv(stem)) <= 1
constraint norm(head) <= 1

u = conv(stem) @ image
u = Parabolic(u)
u = pool(u, 2)
u = Parabolic(u)
output y = head @ mean(u, [1, 2]) + bias

claim lipschitz <= 1
"""


def test_classifier() -> None:
    n = network(CLASSIFIER)
    assert [layer.targets for layer in n.layers] == [
        (("u", (4, 32, 32)),),
        (("u.2", (4, 32, 32)),),
        (("u.3", (4, 16, 16)),),
        (("u.4", (4, 16, 16)),),
    ]
    first, second = n.layers[1].model, n.layers[3].model
    assert isinstance(first, Model) and isinstance(second, Model)
    assert dict(first.dims) == {"c": 4, "n": 32} and dict(second.dims) == {"c": 4, "n": 16}
    assert first.constraints[0].operand.shape == (4, 32, 32, 4, 32, 32)
    assert n.constraints[0].operand.shape == (4, 32, 32, 3, 32, 32)
    assert n.layers[1].values == (leaf("value", "u", (4, 32, 32)),)
    assert n.output is not None and n.output[1].shape == (10,)
    assert n.claims[0].subject == "map" and n.claims[0].upper == 1


def test_rebinding_an_input_reads_the_old_value_first() -> None:
    n = network(BLOCK + "network N\ninput x[3]\nx = tanh(x)\nx = Block(x)\nlet s = 2*x\noutput y = s + x\n")
    x2, x3 = leaf("value", "x.2", (3,)), leaf("value", "x.3", (3,))
    assert n.layers[0].values == (ex.act("tanh", leaf("input", "x", (3,))),)
    assert n.layers[1].values == (x2,)
    assert n.output is not None and n.output[1] == ex.add(ex.mul(ex.const(2), x3), x3)


def test_several_states_and_inputs() -> None:
    text = """model Two
dim d = 2
state a[d], b[d]
input u[3]
a' = b
b' = -a*mean(u)
solver verlet(steps = 2)
time 0 .. 1
network N
input p[5], q[5], u[3]
p, r = Two(p, q, u)
output y = p + r
"""
    n = network(text)
    assert n.layers[0].targets == (("p.2", (5,)), ("r", (5,)))


def test_without_output_the_last_layer_is_returned() -> None:
    n = network(BLOCK + "network N\ninput u[2]\nh = Block(u)\n")
    assert n.output == ("h", leaf("value", "h", (2,)))


def test_an_override_reaches_all_sections() -> None:
    n = network(CLASSIFIER, classes="7", c="2")
    assert n.output is not None and n.output[1].shape == (7,)
    assert n.layers[0].targets == (("u", (2, 32, 32)),)


NET = "network N\ndim k = 4\ninput u[k]\nparam V[k, k]\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("h = Block(u, u)", "ODE431"),
        ("h = Block()", "ODE431"),
        ("h = Block(d = u)", "ODE431"),
        ("h, g = Block(u)", "ODE431"),
        ("h = V @ Block(u)", "ODE431"),
        ("h = Blokc(u)", "ODE305"),
        ("h = Block(V)", "ODE431"),
        ("h = g + u", "ODE201"),
        ("h = t * u", "ODE220"),
        ("V = u", "ODE202"),
        ("h, g = tanh(u)", "ODE431"),
        ("h = u\nclaim stable", "ODE419"),
        ("h = u\nclaim nonexpansive of flow", "ODE419"),
        ("h = u\nclaim symplectic", "ODE419"),
        ("h = u\nparam P[2] per step\ng = h + mean(P)", "ODE221"),
    ],
)
def test_mistakes_of_networks_come_alone(body: str, code: str) -> None:
    assert errors(BLOCK + NET + body + "\n") == [code]


def test_a_model_with_mistakes_spoils_no_network() -> None:
    assert errors(BLOCK.replace("W.T", "W.T @ q") + NET + "h = Block(u)\noutput y = h\n") == ["ODE201"]
