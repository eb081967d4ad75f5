"""Every leaf of a certificate is changed in many ways: a change is rejected, or what it now states is still proved."""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Iterator
from copy import deepcopy
from fractions import Fraction
from itertools import islice
from math import exp
from typing import Any

import pytest

from odespec.certificate.auditor import audit_text
from odespec.certificate.format import Certificate
from odespec.prove.gram.exact import verify
from odespec.prove.gram.expand import RULES
from odespec.prove.gram.pencil import build, layout
from odespec.prove.gram.problem import BasisVector, GramProblem, Relation

Q = Fraction
Path = tuple[Any, ...]


def nodes(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every node below the root."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key), value
        yield from nodes(value, (*path, key))


def replaced(value: Any) -> Iterator[Any]:
    """Other values for a leaf: nudges of numbers, other texts, other types."""
    yield from (None, [], {}, 1, True, "", "0", "1", "-1", "x")
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value * 2, str(value), float(value))
    elif isinstance(value, str):
        yield from (value + " ", value[:-1], value + "0", [value])
        try:
            x = Q(value)
        except (ValueError, ZeroDivisionError):
            return
        yield from (str(y) for y in (x + 1, x - 1, 2 * x, x / 2, -x, x + Q(1, 10**9), x - Q(1, 10**9), x * Q(9, 10)))


def mutations(data: Any) -> Iterator[tuple[str, Any]]:
    for path, value in nodes(data):
        if path == ("digest",):
            continue
        for new in replaced(value) if not isinstance(value, dict | list) else ({}, [], None, "x"):
            yield f"{path} = {new!r}", edited(data, path, lambda p, k, n=new: p.__setitem__(k, n))
        yield f"{path} deleted", edited(data, path, lambda p, k: p.__delitem__(k))
        if isinstance(path[-1], int):
            yield f"{path} doubled", edited(data, path, lambda p, k: p.insert(k, deepcopy(p[k])))
            yield f"{path} moved", edited(data, path, lambda p, k: p.append(p.pop(k)))
            yield f"{path} swapped", edited(data, path, lambda p, k: p.insert(0, p.pop(k)))
        else:
            yield f"{path} renamed", edited(data, path, lambda p, k: p.__setitem__(k + "x", p.pop(k)))
            yield f"{path} joined", edited(data, path, lambda p, k: p.__setitem__(k + "x", p[k]))


def edited(data: Any, path: Path, change: Callable[[Any, Any], object]) -> Any:
    copy = parent = marshal.loads(marshal.dumps(data))
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return copy


# --- what a certificate states, judged again by the prover's own arithmetic -----------------


def proved(c: Any) -> bool:
    """Whether all that a certificate states follows from it; by other code than the auditor's."""
    if not all(part_proved(p) for p in c["proof"]["parts"]):
        return False
    return all(concluded(c, stated) for stated in c["proof"]["conclusion"])


def part_proved(part: Any) -> bool:
    names = {v["name"]: k for k, v in enumerate(part["basis"])}
    lines: list[Relation] = []
    for r in part["relations"]:
        vectors = tuple(
            (n, tuple(tuple(sorted((names[name], Q(c)) for name, c in v)) for v in vs))
            for n, vs in r["vectors"].items()
        )
        lines.append(Relation(r["rule"], vectors, tuple((n, Q(x)) for n, x in r["numbers"].items()), r["why"]))
    forms = [
        tuple(sorted(((min(names[a], names[b]), max(names[a], names[b])), Q(c)) for a, b, c in part[key]))
        for key in ("numerator", "denominator")
    ]
    basis = tuple(BasisVector(v["name"], 0) for v in part["basis"])  # spaces lie in their direct sum
    problem = GramProblem(part["role"], basis, tuple(lines), forms[0], forms[1], part["sense"] == "lower")
    values = [Q(x) for r in part["relations"] for m in r["multipliers"] for x in m]
    plan = layout(problem)
    assert plan.count == len(values) and all(r.rule in RULES for r in lines)
    return verify(build(problem, Q(part["tau"]), plan), values)


def concluded(c: Any, stated: Any) -> bool:
    """The inequality of a conclusion in floating point, with the claim read anew."""
    number, time, slack = Q(stated["number"]), float(Q(c["time"])), float(Q(c["slack"]))
    parts = [(c["proof"]["parts"][u["part"]], u["steps"]) for u in stated["parts"]]
    upper, kind = not stated["kind"].endswith("lower"), stated["kind"]
    if not parts:
        return not upper and number <= 0
    growth = 1.0
    for part, n in parts:
        assert (part["sense"] == "upper") == upper
        growth *= exp(float(Q(part["tau"])) * time) if kind.startswith("flow") else float(Q(part["tau"])) ** (n / 2)
    limit = exp(-float(number) * time) if kind.endswith("contractive") else float(number)
    within = growth <= limit * (1 + slack) + 1e-12 if upper else growth >= limit * (1 - slack) - 1e-12
    text = c["claim"]["resolved"].replace(" of flow", "").split("=")[-1].split("[")[-1]
    written = [Q(x.strip(" )]")) for x in text.split(",")] if "nonexp" not in text else [Q(1)]
    return within and number in written


def test_without_a_fresh_digest_no_change_is_accepted(plain: Certificate) -> None:
    data = json.loads(plain.text())
    for name, mutant in islice(mutations(data), 0, None, 3):
        if mutant != data:
            assert not audit_text(json.dumps(mutant)).ok, name


DISTINCT = [
    "nonexpansive",
    "flow gradient",
    "implicit",
    *(pytest.param(case, marks=pytest.mark.slow) for case in ("gradient", "contractive", "flow rate", "flow")),
]


@pytest.mark.parametrize("made", DISTINCT, indirect=True)
def test_with_a_fresh_digest_what_is_accepted_is_proved(made: Certificate, signed: Callable[[Any], str]) -> None:
    data = json.loads(made.text())
    counts = {True: 0, False: 0}
    for name, mutant in mutations(data):
        if mutant == data:
            continue
        result = audit_text(signed(mutant))
        counts[result.ok] += 1
        assert not result.ok or proved(mutant), name
        assert result.ok == bool(result.statement) != bool(result.reasons), name
    assert counts[False] > 8 * counts[True] > 0


def test_the_judge_of_these_tests_knows_a_lie(made: Certificate) -> None:
    data = json.loads(made.text())
    assert proved(data)
    part = data["proof"]["parts"][0]
    shift = Q(-1) if part["sense"] == "upper" else Q(1)
    assert not proved(
        edited(data, ("proof", "parts", 0, "tau"), lambda p, k: p.__setitem__(k, str(Q(p[k]) + 2 * shift)))
    )
