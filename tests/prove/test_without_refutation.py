"""Without refutation no engine looks for a counterexample; past the deadline a search only glances."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Model
from odespec.program.lower import lower
from odespec.prove.decide import decide
from odespec.prove.refute import search
from odespec.prove.refute.distance import Budget, refute
from odespec.prove.refute.goal import Goal
from odespec.prove.refute.mapping import Network
from odespec.prove.verdict import Options, Verdict
from odespec.weights.draw import Rng

TRUTH = Path(__file__).resolve().parents[1] / "truth"

SEARCHES = (
    ("odespec.prove.refute.distance", "refute"),
    ("odespec.prove.refute.metric", "refute_metric"),
    ("odespec.prove.refute.metricflow", "refute_metric_flow"),
    ("odespec.prove.refute.meansquare", "refute_square"),
    ("odespec.prove.refute.energy", "refute"),
    ("odespec.prove.invariant.refute", "refute"),
    ("odespec.prove.spectrum.refute", "refute"),
    ("odespec.prove.orders.witness", "slower"),
    ("odespec.prove.structure.twoform", "refute_symplectic"),
    ("odespec.prove.structure.twoform", "refute_hamiltonian"),
    ("odespec.prove.structure.folds", "refute_bijection"),
)
"""Every function by which an engine looks for a counterexample."""


class Searched(Exception):
    """A search was started."""


def false_specs() -> list[Any]:
    """One false spec of each form of claim in each folder of specs with known truth."""
    found = {}
    for listing in sorted(TRUTH.glob("*/expected.jsonl")):
        for entry in map(json.loads, listing.read_text(encoding="utf-8").splitlines()):
            if not entry["truth"] and not entry.get("unknown"):
                words = entry["claim"].split()
                form = words[0] + (" of flow" if words[-2:] == ["of", "flow"] else "")
                found.setdefault((listing.parent.name, form), listing.parent / entry["file"])
    return [pytest.param(path, id=f"{folder}/{form}".replace(" ", "-")) for (folder, form), path in found.items()]


def verdict(path: Path, options: Options) -> Verdict:
    spec = load(path, {}, Report())
    assert spec is not None
    section = next(s for s in spec.sections if s.claims)
    return decide(spec, section, section.claims[0], options)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **options: object) -> NoReturn:
        raise Searched

    for module, name in SEARCHES:
        monkeypatch.setattr(import_module(module), name, refuse)


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("path", false_specs())
def test_no_search_is_started(path: Path) -> None:
    assert verdict(path, Options(refute=False)).verdict == "unknown"
    with pytest.raises(Searched):  # the searches named above are those that would have been started
        verdict(path, Options())


def test_a_search_ends_soon_after_the_deadline() -> None:
    """Only a glance at the first size is allowed once the time is over, however many sizes and samples there are."""
    spec = load(TRUTH / "folklore" / "any_damping.ode", {}, Report())
    assert spec is not None
    (model,) = (s for s in spec.sections if isinstance(s, Model))
    drawn: list[int] = []

    def count(net: Network, goal: Goal, rng: Rng, number: int) -> Any:
        drawn.append(number)
        return first(net, goal, rng, number)

    first = search._first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_first", count)
        refute(lower(model), model.claims[0], budget=Budget(deadline=time.monotonic() - 1))
    assert drawn == [search.GLANCE]
