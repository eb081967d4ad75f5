"""``odespec check``: exit statuses, JSON, several files, ``-D``, the files that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLAIM_KEYS = {
    "text": str, "line": int, "negated": bool, "verdict": str, "slack": float, "ok": bool, "lower": (float, type(None)),
    "upper": (float, type(None)), "method": (str, type(None)), "reason": str, "certificate": (str, type(None)),
    "counterexample": (str, type(None)), "remedies": list, "seconds": float,
}  # fmt: skip


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(("name", "status"), [("decay", 0), ("false", 1), ("broken", 2), ("missing", 2)])
def test_exit_status(odespec: Callable[..., Any], name: str, status: int) -> None:
    done = odespec("check", f"{name}.ode")
    assert done.status == status, done
    assert "Traceback" not in done.err
    assert (": proved" in done.out) == (status == 0)
    assert ("refuted" in done.out) == (status == 1)
    assert ("ODE" in done.err) == (status == 2)


@pytest.mark.usefixtures("specs")
def test_json(inside: Callable[..., Any]) -> None:
    done = inside("check", "decay.ode", "false.ode", "broken.ode", "--json")
    assert (done.status, done.err) == (2, "")
    told = json.loads(done.out)
    assert set(told) == {"odespec", "models"}
    assert [(m["file"], m["name"]) for m in told["models"]] == [
        ("decay.ode", "Decay"), ("false.ode", "False"), ("broken.ode", None)
    ]  # fmt: skip
    for model in told["models"]:
        assert set(model) == {"file", "name", "diagnostics", "claims"}
        for claim in model["claims"]:
            assert {k: isinstance(claim[k], CLAIM_KEYS[k]) for k in claim} == dict.fromkeys(CLAIM_KEYS, True)
    (proved,), (refuted,), none = (m["claims"] for m in told["models"])
    assert (proved["verdict"], proved["ok"], proved["line"]) == ("proved", True, 9)
    assert (refuted["verdict"], refuted["ok"]) == ("refuted", False)
    assert refuted["lower"] > 1
    assert 0 < proved["lower"] <= proved["upper"]
    assert refuted["remedies"] == ["constraint norm(W) <= 1"] and proved["remedies"] == []
    assert none == []
    (diagnostic,) = told["models"][2]["diagnostics"]
    assert (diagnostic["code"], diagnostic["line"], diagnostic["suggestion"]) == ("ODE305", 5, "did you mean `tanh`?")


def test_warnings_stand_at_their_section(inside: Callable[..., Any], specs: Path) -> None:
    text = (specs / "decay.ode").read_text()
    (specs / "two.ode").write_text(text + text.replace("Decay", "Other").replace("dim d = 3", "dim d = 3, unused = 4"))
    done = inside("check", "two.ode", "--json")
    assert done.status == 0
    first, second = json.loads(done.out)["models"]
    assert [d["code"] for d in first["diagnostics"]] == []
    assert [(d["code"], d["severity"]) for d in second["diagnostics"]] == [("ODE204", "warning")]


@pytest.mark.usefixtures("specs")
def test_several_files_and_the_sum(inside: Callable[..., Any]) -> None:
    done = inside("check", "decay.ode", "false.ode")
    assert done.status == 1
    assert done.out.splitlines()[-1] == "1 of 2 claims in 2 sections came out as asked"
    assert "odespec replay" in done.out


@pytest.mark.usefixtures("specs")
def test_standard_input(inside: Callable[..., Any], specs: Path) -> None:
    done = inside("check", "-", stdin=(specs / "decay.ode").read_bytes())
    assert done.status == 0
    assert "(-)" in done.out
    done = inside("check", "-", stdin=b"\xff\xfe")
    assert done.status == 2
    assert "<stdin>" in done.err


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    ("definition", "status", "told"),
    [("d=5", 0, ""), ("d=2+3", 0, ""), ("e=5", 2, "ODE207"), ("d=0", 2, "ODE"), ("d=9^9^9", 2, "ODE"), ("d", 2, "NAME=VALUE"),
     ("=5", 2, "NAME=VALUE"), ("d=", 2, "NAME=VALUE"), ("d=(", 2, "ODE"), ("d=__import__('os')", 2, "ODE")],
)  # fmt: skip
def test_definitions(inside: Callable[..., Any], definition: str, status: int, told: str) -> None:
    done = inside("check", "decay.ode", "-D", definition)
    assert done.status == status, done
    assert told in done.err


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    "option",
    [("--slack", "x"), ("--slack", "2"), ("--seconds", "0"), ("--seconds", "nan"), ("--what",), ("--format", "x")],
)
def test_wrong_options(inside: Callable[..., Any], option: tuple[str, ...]) -> None:
    done = inside("check", "decay.ode", *option)
    assert done.status == 2
    assert "error:" in done.err


# --- certificates ----------------------------------------------------------------


def test_certificates_are_accepted(odespec: Callable[..., Any], inside: Callable[..., Any], specs: Path) -> None:
    done = odespec("check", "decay.ode", "false.ode", "--certificates", "deep/proofs", "--json")
    assert done.status == 1
    written = [c["certificate"] or c["counterexample"] for m in json.loads(done.out)["models"] for c in m["claims"]]
    assert written == ["deep/proofs/Decay-1-nonexpansive.json", "deep/proofs/False-1-nonexpansive.safetensors"]
    assert sorted(str(p.relative_to(specs)) for p in (specs / "deep/proofs").iterdir()) == written
    assert odespec("audit", written[0]).status == 0
    assert odespec("audit", written[0], "--against", "decay.ode").status == 0
    assert inside("audit", written[0], "--against", "false.ode").status == 1
    assert inside("audit", written[0], "--against", "decay.ode", "-D", "d=4").status == 1
    assert inside("audit", written[0], "--against", "broken.ode").status == 2
    assert inside("replay", written[1]).status == 0


def test_equal_names_do_not_share_a_file(inside: Callable[..., Any], specs: Path) -> None:
    text = (specs / "decay.ode").read_text()
    (specs / "wide.ode").write_text(text.replace("d = 3", "d = 4"))
    assert inside("check", "decay.ode", "wide.ode", "wide.ode", "--certificates", "p").status == 0
    names = sorted(p.name for p in (specs / "p").iterdir())
    assert names == [
        "Decay-1-nonexpansive.json", "wide-Decay-1-nonexpansive-2.json", "wide-Decay-1-nonexpansive.json"
    ]  # fmt: skip
    assert inside("audit", "p/wide-Decay-1-nonexpansive.json", "--against", "wide.ode").status == 0


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("folder", ["decay.ode", "decay.ode/sub", "/proc/odespec"])
def test_folder_that_cannot_be_written(inside: Callable[..., Any], specs: Path, folder: str) -> None:
    before = (specs / "decay.ode").read_text()
    done = inside("check", "decay.ode", "--certificates", folder)
    assert done.status == 2
    assert "cannot write into" in done.err
    assert (specs / "decay.ode").read_text() == before
