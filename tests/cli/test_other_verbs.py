"""``audit``, ``replay``, ``explain``, ``solvers``, ``fmt``, ``new``, and the command without a verb."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odespec.cli import VERBS
from odespec.cli.new import KINDS

SHIPPED = Path(__file__).resolve().parents[2] / "specs"


# --- without a verb ----------------------------------------------------------------


def test_version_and_help(odespec: Callable[..., Any]) -> None:
    from odespec import __version__

    assert odespec("--version").out == f"odespec {__version__}\n"
    told = odespec("--help")
    assert told.status == 0
    assert all(verb in told.out for verb in VERBS)
    assert "exit status" in told.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(inside: Callable[..., Any], verb: str) -> None:
    told = inside(verb, "--help")
    assert told.status == 0
    assert f"odespec {verb}" in told.out.split("examples:")[1]
    assert inside("help", verb).out == told.out


def test_no_verb_and_wrong_verbs(inside: Callable[..., Any]) -> None:
    assert inside().status == 2
    assert "did you mean `check`?" in inside("chekc", "x.ode").err
    assert inside("zzzzzz").status == 2
    assert inside("--frob").status == 2


# --- audit, replay --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (None, 2, "cannot read"),
        (b"\xff\xfe", 2, "not UTF-8"),
        (b"", 1, "rejected"),
        (b"{}", 1, "rejected"),
        (b"[" * 10**5, 1, "rejected"),
        (b'{"format": 1e999}', 1, "rejected"),
        (b" " * (32 * 1024 * 1024 + 1), 2, "too long"),
    ],
)
def test_what_is_no_certificate(
    inside: Callable[..., Any], tmp_path: Path, content: bytes | None, status: int, told: str
) -> None:
    if content is not None:
        (tmp_path / "cert.json").write_bytes(content)
    done = inside("audit", "cert.json")
    assert done.status == status
    assert told in done.out + done.err


def test_audit_of_a_folder_and_json(inside: Callable[..., Any], specs: Path) -> None:
    assert inside("audit", ".").status == 2
    assert inside("check", "decay.ode", "--certificates", ".").status == 0
    path = specs / "Decay-1-nonexpansive.json"
    (specs / "changed.json").write_text(path.read_text().replace('"1/', '"2/'))
    done = inside("audit", path.name, "changed.json", "missing.json", "--json")
    assert done.status == 2
    good, bad = json.loads(done.out)
    assert (good["ok"], bad["ok"]) == (True, False)
    assert "nonexpansive" in good["statement"]
    assert bad["reasons"]


@pytest.mark.parametrize("content", [None, b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"\xff" * 100])
def test_what_is_no_counterexample(inside: Callable[..., Any], tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.safetensors").write_bytes(content)
    done = inside("replay", "x.safetensors")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("odespec: ")
    assert inside("replay", ".").status == 2


def test_replay_on_every_target(inside: Callable[..., Any], specs: Path) -> None:
    assert inside("check", "false.ode", "--certificates", ".").status == 1
    for target in ("numpy", "torch", "jax"):
        done = inside("replay", "False-1-nonexpansive.safetensors", "--to", target)
        assert done.status == 0, done
        assert f"{target}: measured" in done.out
        assert "the violation shows" in done.out
    assert "installed: jax, torch" in inside("replay", "False-1-nonexpansive.safetensors", "--to", "keras").err


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_framework_that_is_not_there(specs: Path, framework: str) -> None:
    """Emitting needs no framework; replaying says which one is missing."""
    import subprocess
    import sys

    code = f"import sys\nsys.modules[{framework!r}] = None\nfrom odespec.cli import main\n"
    code += "print([main(a.split()) for a in sys.argv[1:]])"
    commands = [
        f"compile decay.ode --to {framework} -o out.py",
        "check false.ode --certificates .",
        f"replay False-1-nonexpansive.safetensors --to {framework}",
    ]
    done = subprocess.run([sys.executable, "-c", code, *commands], cwd=specs, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[0, 1, 2]", done
    assert done.stderr.startswith(f"odespec: {framework} is not installed")
    assert "Traceback" not in done.stderr


# --- explain, solvers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ODE301", "shapes that do not meet"),
        ("ode301", "passes"),
        ("nonexpansive", "end no farther apart"),
        ("gelu", "-0.1289"),
        ("relu", "slopes: [0, 1]"),
        ("rk4", "2.785293563"),
        ("skew", "S.T = -S"),
        ("constraint", "Restricts weights"),
        ("Softmax", "summing to one"),
        ("sigma", "singular values"),
        ("per step", "each solver step"),
        ("x'", "vector field"),
    ],
)
def test_explain(inside: Callable[..., Any], name: str, told: str) -> None:
    done = inside("explain", name)
    assert done.status == 0
    assert told in done.out


def test_explain_mistakes(inside: Callable[..., Any]) -> None:
    done = inside("explain", "nonexpansve", "relu")
    assert done.status == 2
    assert "did you mean `nonexpansive`?" in done.err
    assert "relu (activation)" in done.out
    assert inside("explain").status == 2
    assert "\x1b" not in inside("explain", "\x1b[31m").err


def test_explain_knows_both_norms_and_lists_all(inside: Callable[..., Any]) -> None:
    assert [e["kind"] for e in json.loads(inside("explain", "norm", "--json").out)] == ["relation", "function"]
    listed = json.loads(inside("explain", "--list", "--json").out)
    kinds = {e["kind"] for e in listed}
    assert kinds == {
        "statement",
        "relation",
        "word",
        "structure",
        "function",
        "activation",
        "claim",
        "solver",
        "diagnostic",
    }
    assert len(inside("explain", "--list").out.splitlines()) == len(listed)


def test_solvers_in_json(odespec: Callable[..., Any]) -> None:
    from odespec.solvers import SOLVERS

    done = odespec("solvers", "--json")
    assert done.status == 0
    told = {s["name"]: s for s in json.loads(done.out)}
    assert set(told) == set(SOLVERS)
    keys = [
        "family",
        "order",
        "stages",
        "explicit",
        "real_axis",
        "imag_axis",
        "ssp",
        "circle_radius",
        "a_stable",
        "l_stable",
        "b_stable",
        "symplectic",
    ]
    assert all({*keys, "name", "symmetric"} <= set(s) for s in told.values())
    euler, midpoint, verlet = told["euler"], told["implicit_midpoint"], told["verlet"]
    assert [euler[k] for k in keys] == ["explicit", 1, 1, True, 2, 0, 1, 1, False, False, False, False]
    assert [midpoint[k] for k in keys] == ["implicit", 2, 1, False, "inf", "inf", 2, "inf", True, False, True, True]
    assert (verlet["symplectic"], verlet["symmetric"], verlet["real_axis"]) == (True, True, None)
    assert told["symplectic_euler"]["symmetric"] is False
    assert math.isclose(told["rk4"]["imag_axis"], 8**0.5)
    assert [told[n]["order"] for n in ("dopri8", "tsit5", "kvaerno5", "radau5")] == [8, 5, 5, 5]
    assert [told[n]["exact"] for n in ("dopri8", "dopri5")] == [False, True]


def test_solvers_in_text(inside: Callable[..., Any]) -> None:
    from odespec.solvers import SOLVERS

    table = inside("solvers")
    assert table.status == 0
    assert all(any(line.startswith(f"{name} ") for line in table.out.splitlines()) for name in SOLVERS)
    told = inside("solvers", "heun", "GAUSS2")
    assert told.status == 0
    assert "gauss2 (solver)" in told.out
    assert "did you mean `heun`?" in inside("solvers", "huen").err


# --- fmt ----------------------------------------------------------------------------


def test_fmt(odespec: Callable[..., Any], inside: Callable[..., Any], specs: Path) -> None:
    rough = b"model A\nstate   x[2] # two\nx'=-x\nsolver euler(steps=2)\ntime 0..1\n"
    (specs / "rough.ode").write_bytes(rough)
    assert inside("fmt", "--check", "rough.ode").status == 1
    assert "would be reformatted" in inside("fmt", "--check", "rough.ode").err
    shown = inside("fmt", "--diff", "rough.ode")
    assert shown.status == 1
    assert "+x' = -x" in shown.out.splitlines()
    assert (specs / "rough.ode").read_bytes() == rough
    piped = odespec("fmt", "-", stdin=rough)
    assert piped.status == 0
    assert inside("fmt", "rough.ode").out == "formatted rough.ode\n"
    assert (specs / "rough.ode").read_text() == piped.out
    assert "# two" in piped.out
    done = inside("fmt", "--check", "rough.ode")
    assert (done.status, done.out, done.err) == (0, "", "")
    before = (specs / "broken.ode").read_text()
    (specs / "unclosed.ode").write_text(before + "x' = (\n")
    assert inside("fmt", "rough.ode", "unclosed.ode").status == 2
    assert inside("fmt", "missing.ode").status == 2
    assert inside("fmt", "-", stdin=b"model (\n").status == 2


# --- new ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_new_specs_check(inside: Callable[..., Any], kind: str) -> None:
    assert inside("new", "first-one", "--kind", kind).status == 0
    done = inside("check", "first-one.ode")
    assert done.status == 0, done
    assert done.err == ""
    assert "FirstOne" in done.out
    assert inside("fmt", "--check", "first-one.ode").status == 0
    for target in ("torch", "jax"):
        assert inside("compile", "first-one.ode", "--to", target, "-o", "out.py").status == 0


def test_new_overwrites_nothing(odespec: Callable[..., Any], inside: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.ode").write_text("mine")
    done = odespec("new", "mine.ode")
    assert done.status == 2
    assert "nothing was written" in done.err
    assert (tmp_path / "mine.ode").read_text() == "mine"
    assert inside("new", "missing/mine.ode").status == 2
    assert inside("new", "").status == 2
    assert inside("new", ".").status == 2
    assert inside("new", "a\0b").status == 2
    assert inside("new", "x", "--kind", "magic").status == 2
    assert inside("new", "-").out.startswith("model First\n")


@pytest.mark.parametrize("name", ["I", "t", "9lives", "übung", "a b.c", "model", "x" * 200])
def test_new_finds_a_name_for_the_model(inside: Callable[..., Any], name: str) -> None:
    from odespec.diagnostics import Report
    from odespec.ir.load import load

    assert inside("new", name).status == 0
    report = Report()
    assert load(Path(f"{name}.ode" if not name.endswith(".ode") else name), {}, report) is not None
    assert list(report) == []


def test_shipped_specs_have_the_layout(inside: Callable[..., Any]) -> None:
    assert inside("fmt", "--check", *map(str, sorted(SHIPPED.glob("**/*.ode")))).status == 0
