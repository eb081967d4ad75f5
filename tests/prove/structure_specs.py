"""Small specs as texts, and verdicts on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from odespec.certificate.auditor import digest
from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model, Spec
from odespec.prove.decide import decide
from odespec.prove.verdict import Options, Verdict


def spec_of(text: str) -> Spec:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.ode"
        path.write_text(text, encoding="utf-8")
        report = Report()
        spec = load(path, {}, report)
    assert spec is not None and not report.failed, [d.message for d in report.errors]
    return spec


def model_of(text: str) -> Model:
    section = spec_of(text).sections[0]
    assert isinstance(section, Model)
    return section


def verdicts(text: str) -> list[Verdict]:
    spec = spec_of(text)
    section = spec.sections[0]
    return [decide(spec, section, c, Options()) for c in section.claims]


def verdict(text: str) -> Verdict:
    (found,) = verdicts(text)
    return found


def resealed(body: dict[str, Any]) -> str:
    """A changed certificate with a digest of its own."""
    return json.dumps({**body, "digest": digest(body)})


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a certificate's data with its place."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        yield path, data
        return
    for key, value in items:
        yield from leaves(value, (*path, key))


def others(value: Any) -> Iterator[Any]:
    """Values to put in place of a leaf."""
    yield from (None, 0, 1, 2, True, "", "0", "1", "-1", "1/2", "x", [], {})
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        yield from (value + "0", value[:-1], "-" + value, value + "/7", value + "x")


def replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(data))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return copy
