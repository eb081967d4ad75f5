"""Every leaf of a certificate by a quadratic form is changed: a change is rejected, or what it now states is proved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from math import exp
from pathlib import Path
from typing import Any

import pytest

from odespec.certificate.auditor import audit_text, digest
from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.prove.against import against
from odespec.prove.decide import decide
from odespec.prove.gram.exact import verify
from odespec.prove.gram.pencil import build, layout
from odespec.prove.gram.problem import BasisVector, Relation
from odespec.prove.lyapunov.given import problem
from odespec.prove.lyapunov.reading import Lifted
from odespec.prove.verdict import Options

Q = Fraction

SPECS = {
    "growth": """model A
dim d = 2
state x[d], v[d]
x' = v
v' = -x
solver verlet(steps = 8)
time 0 .. 8
claim lipschitz <= 1.2
""",
    "flow": """model A
dim d = 2
state x[d], y[d]
x' = -x + 10*y
y' = -y
solver euler(steps = 8)
time 0 .. 2
claim lipschitz <= 5 of flow
""",
    "some": """model A
dim d = 2
state x[d]
param P[d, d] : psd
x' = -P@tanh(x)
constraint eig(P) in [0.5, 2]
solver backward_euler(steps = 2)
time 0 .. 1
claim contractive(rate = 0, metric = some)
""",
    "given": """model A
const M = [[-1, 10], [0, -1]]
state x[2]
x' = M@x
solver euler(steps = 10)
time 0 .. 1
claim nonexpansive(metric = [[1, 0], [0, 100]])
""",
    "span": """model A
const M = [[-1, 10], [0, -1]]
state x[2]
x' = M@x
solver euler(steps = 10)
time 0 .. 1
claim lipschitz <= 4
""",
}


@pytest.fixture(scope="module", params=SPECS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    path = tmp_path_factory.mktemp("specs") / "a.ode"
    path.write_text(SPECS[request.param], encoding="utf-8")
    spec = load(path, {}, Report())
    assert spec is not None
    found = decide(spec, spec.sections[0], spec.sections[0].claims[0], Options(refute=False))
    assert found.certificate is not None, found.reason
    return json.loads(found.certificate.text()), path


def signed(data: Any) -> str:
    return json.dumps({**data, "digest": digest(data)})


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value)
    else:
        yield from ("x", value + " ", None)
        try:
            x = Q(value)
        except (ValueError, ZeroDivisionError):
            return
        yield from (str(y) for y in (x + 1, -x, 2 * x, x / 2, x * Q(99, 100), x + Q(1, 10**9), x - Q(1, 10**9)))


def mutants(data: Any) -> Iterator[tuple[str, Any]]:
    for path, value in leaves(data):
        for new in others(value) if path != ("digest",) else ():
            yield f"{path} = {new!r}", edited(data, path, new)
    for key in ("parts", "form", "solvability", "lift"):
        for k in range(len(data["proof"][key])):
            copy = json.loads(json.dumps(data))
            del copy["proof"][key][k]
            yield f"{key} {k} deleted", copy
            copy = json.loads(json.dumps(data))
            copy["proof"][key].append(copy["proof"][key][k])
            yield f"{key} {k} doubled", copy


def edited(data: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = parent = json.loads(json.dumps(data))
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = new
    return copy


# --- the judge: the prover's own arithmetic ------------------------------------------


def proved(c: Any) -> bool:
    p = c["proof"]
    names = sorted({x for a, b, _ in p["form"] for x in (a, b)})
    if not all(_part(part, names, p["form"]) for part in p["parts"]):
        return False
    tau = {part["role"]: Q(part["tau"]) for part in p["parts"]}
    span = max(part["span"] for part in p["parts"])
    kind, number = p["conclusion"]["kind"], Q(p["conclusion"]["number"])
    time, metric = float(Q(c["time"])), "metric" in c["claim"]["resolved"]
    growth = 1.0 if metric else float(tau["below"] * tau["above"]) ** 0.5
    growth *= exp(float(tau["flow"]) * time) if "flow" in kind else float(tau["step"]) ** (c["steps"] / span / 2)
    limit = exp(-float(number) * time) if kind.endswith("contractive") else float(number)
    return tau["below"] > 0 and growth <= limit * (1 + float(Q(c["slack"]))) + 1e-12


def _part(part: Any, names: list[str], form: Any) -> bool:
    number = {v["name"]: k for k, v in enumerate(part["basis"])}

    def vector(terms: Any) -> Any:
        return tuple(sorted((number[n], Q(c)) for n, c in terms))

    relations = tuple(
        Relation(
            r["rule"],
            tuple((n, tuple(map(vector, vs))) for n, vs in r["vectors"].items()),
            tuple((n, Q(x)) for n, x in r["numbers"].items()),
            "",
        )
        for r in part["relations"]
    )
    lifted = Lifted(
        part["role"],
        tuple(BasisVector(v["name"], 0) for v in part["basis"]),
        relations,
        tuple(vector(part["before"][n]) for n in names),
        tuple(vector(part["after"][n]) for n in names) if part["after"] else (),
        tuple(map(vector, part["distance"])),
        (),
        (),
    )
    pairs = tuple((names.index(a), names.index(b)) for a, b, _ in form)
    own = problem(lifted, pairs, tuple(Q(c) for _, _, c in form))
    values = [Q(x) for r in part["relations"] for m in r["multipliers"] for x in m]
    plan = layout(own)
    assert plan.count == len(values)
    return verify(build(own, Q(part["tau"]), plan), values)


def test_what_is_accepted_is_proved(made: tuple[Any, Path]) -> None:
    data, _ = made
    assert audit_text(signed(data)).ok and proved(data)
    counts = {True: 0, False: 0}
    for name, mutant in islice(mutants(data), 0, None, 3 if data["proof"]["implicit"] else 1):
        if mutant != data:
            result = audit_text(signed(mutant))
            counts[result.ok] += 1
            assert not result.ok or proved(mutant), name
    assert counts[False] > counts[True] > 0


def test_the_judge_knows_a_lie(made: tuple[Any, Path]) -> None:
    data, _ = made
    k = next(k for k, p in enumerate(data["proof"]["parts"]) if p["role"] in ("step", "flow"))
    assert not proved(edited(data, ("proof", "parts", k, "tau"), "-5"))


def test_facts_about_the_form_are_those_of_the_network(made: tuple[Any, Path]) -> None:
    """What the auditor has to take on trust: a certificate that it accepts, with other facts, is not one of the spec."""
    data, path = made
    assert against(signed(data), path, {}) == []
    tried = 0
    for k, part in enumerate(data["proof"]["parts"]):
        for when, keep in (("before", "2"), ("after", "1/2"), ("distance", "1/2")):
            lie = json.loads(json.dumps(data))
            vectors = lie["proof"]["parts"][k][when]
            for v in vectors.values() if isinstance(vectors, dict) else vectors:
                for term in v:
                    term[1] = str(Q(term[1]) * Q(keep))
            if lie != data and audit_text(signed(lie)).ok:
                tried += 1
                assert against(signed(lie), path, {}), (part["role"], when)
    assert tried > 0


def test_another_form_is_not_the_given_metric(made: tuple[Any, Path]) -> None:
    data, path = made
    if data["claim"]["resolved"] != "nonexpansive(metric = [[1,0],[0,100]])":
        return
    lie = json.loads(json.dumps(data))
    for term in lie["proof"]["form"]:
        term[2] = str(Q(term[2]) * 2)
    assert not audit_text(signed(lie)).ok or against(signed(lie), path, {})
