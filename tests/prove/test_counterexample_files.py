"""Counterexample files: round trip, atomic writing, and hostile contents."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as pack

from odespec import api
from odespec.program.lower import lower
from odespec.prove.refute.counterexample import BadCounterexample, Counterexample, load, parse, replay_numpy, save
from odespec.prove.refute.distance import refute

SPEC = """model M
state x[4], y[2]
param W[5, 4], b[5] per step
input u[2]
x' = -W.T @ relu(W @ x + b)
y' = u - y
constraint norm(W) <= 1
solver euler(steps = 2)
time 0 .. 4.2
claim nonexpansive
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Counterexample:
    path = tmp_path_factory.mktemp("spec") / "m.ode"
    path.write_text(SPEC)
    spec = api.load(path)
    made = refute(lower(spec.sections[0]), spec.sections[0].claims[0])
    assert made is not None
    return made.with_spec(spec)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("spec") / "m.ode"
    path.write_text(SPEC)
    return lower(api.load(path).sections[0])


def equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_round_trip(found: Counterexample, program, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save(found, path)
    again = load(path)
    assert all(equal(getattr(found, f.name), getattr(again, f.name)) for f in fields(found))
    assert again.spec == SPEC and again.weights["W"].shape == (2, 5, 4)
    assert replay_numpy(program, again) == found.measured


def test_the_file_is_plain_safetensors_without_pickle(found: Counterexample) -> None:
    raw = found.data()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert set(header) == {"__metadata__", "weights/W", "weights/b", "inputs/u", "x/x", "x/y", "y/x", "y/y"}
    assert json.loads(header["__metadata__"]["odespec"])["kind"] == "odespec counterexample"


def test_saving_keeps_what_was_there_when_it_fails(found: Counterexample, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c.safetensors"
    path.write_text("before")
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save(found, path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncated_and_damaged_files(found: Counterexample, data: st.DataObject) -> None:
    raw = bytearray(found.data())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(raw))
    except BadCounterexample:
        return


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    with pytest.raises(BadCounterexample):
        parse(raw)


def changed(found: Counterexample, **changes: object) -> bytes:
    """The file with some entries of its header replaced."""
    raw = found.data()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["odespec"]) | changes
    from safetensors.numpy import load as unpack

    return pack(unpack(raw), {"odespec": json.dumps(header)})


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "something else"},
        {"format": 2},
        {"format": None},
        {"p": 3},
        {"p": [2]},
        {"side": "middle"},
        {"subject": "dream"},
        {"bound": "1"},
        {"bound": float("nan")},
        {"measured": None},
        {"spec": SPEC + " "},
        {"spec": 5},
        {"model": None},
        {"states": "xy"},
        {"states": ["x", "z"]},
        {"states": [1, 2]},
        {"files": [["a"]]},
        {"files": {"a": "b"}},
        {"definitions": 7},
    ],
)
def test_hostile_headers(found: Counterexample, changes: dict[str, object]) -> None:
    with pytest.raises(BadCounterexample):
        parse(changed(found, **changes))


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "{}", '"' + "a" * 1000])
def test_hostile_json(text: str) -> None:
    with pytest.raises(BadCounterexample):
        parse(pack({"x/x": np.zeros(1)}, {"odespec": text}))


@pytest.mark.parametrize(
    "tensors",
    [
        {"x/x": np.zeros(4, dtype=np.float32)},
        {"x/x": np.full(4, np.nan)},
        {"elsewhere/x": np.zeros(4)},
        {},
    ],
)
def test_hostile_arrays(found: Counterexample, tensors: dict[str, np.ndarray]) -> None:
    raw = found.data()
    size = int.from_bytes(raw[:8], "little")
    text = json.loads(raw[8 : 8 + size])["__metadata__"]["odespec"]
    with pytest.raises(BadCounterexample):
        parse(pack(tensors, {"odespec": text}))


def test_replay_refuses_arrays_that_break_the_spec(found: Counterexample, program) -> None:
    from dataclasses import replace

    louder = replace(found, weights={**found.weights, "W": np.full((2, 5, 4), 0.5)})
    with pytest.raises(BadCounterexample, match="do not obey"):
        replay_numpy(program, louder)
    with pytest.raises(BadCounterexample, match="missing"):
        replay_numpy(program, replace(found, inputs={}))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        load(tmp_path / "nothing.safetensors")
