"""The certificate as a file: deterministic, complete, strict, written atomically."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from odespec.certificate.auditor import audit_text
from odespec.certificate.build import write_number
from odespec.certificate.format import Certificate, GramProof, read, write
from odespec.certificate.gram import write_time
from odespec.exact import power, root
from odespec.prove.gram.threshold import Target

Q = Fraction


def test_the_text_can_be_read_again_and_is_the_same(made: Certificate) -> None:
    assert read(made.text()) == made
    assert read(made.text()).text() == made.text()


def test_unused_relations_are_left_out(made: Certificate) -> None:
    for part in made.proof_as(GramProof).parts:
        assert all(any(x != "0" for m in r.multipliers for x in m) for r in part.relations)


def test_files_are_named_without_their_folders(plain: Certificate) -> None:
    assert [f.name for f in plain.spec.files] == ["main.ode", "other.ode"]


def test_unknown_fields_and_wrong_types_are_refused(plain: Certificate) -> None:
    data = json.loads(plain.text())
    for change in ({"more": 1}, {"steps": "32"}, {"proof": None}, {"slack": "0.5"}):
        with pytest.raises(ValueError):
            read(json.dumps({**data, **change}))
    with pytest.raises(ValueError):
        read("[]")
    odd = {**data, "proof": {**data["proof"], "parts": None}}
    with pytest.raises(ValueError):
        read(json.dumps(odd)).proof_as(GramProof)


def test_writing_is_atomic(tmp_path: Path, plain: Certificate) -> None:
    path = tmp_path / "c.json"
    write(plain, path)
    write(plain, path)
    assert audit_text(path.read_text(encoding="utf-8")).ok
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]
    with pytest.raises(OSError):
        write(plain, tmp_path / "missing" / "c.json")


def test_numbers_are_written_exactly_or_on_the_harder_side() -> None:
    assert write_number(Q(-3, 4), above=True) == "-3/4"
    assert write_number(root(Q(2), 2), above=True) == "sqrt(2)"
    cube = power(Q(2), Q(1, 3))
    low, high = Q(write_number(cube, above=False)), Q(write_number(cube, above=True))
    assert low**3 < 2 < high**3 and high - low < Q(1, 10**30)
    assert Q(write_number(root(Q(2), 2) * -1, above=True)) ** 2 < 2


def test_an_irrational_time_is_written_on_the_harder_side() -> None:
    time = root(Q(2), 2)
    assert Q(write_time(time, [Target("contractive", Q(1), time)])) ** 2 > 2
    assert Q(write_time(time, [Target("contractive", Q(-1), time)])) ** 2 < 2
    assert Q(write_time(time, [Target("flow-lipschitz", Q(3), time), Target("flow-lower", Q(1, 2), time)])) ** 2 > 2
    assert Q(write_time(time, [Target("flow-lipschitz", Q(1, 2), time)])) ** 2 < 2
    with pytest.raises(ValueError, match="irrational"):
        write_time(time, [Target("flow-lipschitz", Q(3), time), Target("flow-lower", Q(2), time)])
