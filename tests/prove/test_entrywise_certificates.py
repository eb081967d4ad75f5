"""Certificates of the entrywise engine: whatever change of one is accepted is a proof of what it then states."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import entrywise_models as models

from odespec.certificate.auditor import audit_text, digest
from odespec.prove.decide import decide
from odespec.prove.verdict import Options

HEAD = "model M\ndim d = 3\nstate x[d]\nparam W[d, d]\n"
SPECS = {
    "step": HEAD + "constraint norm(offdiag(W), inf) <= 1\nx' = tanh((offdiag(W) - I) @ x)\nsolver euler(steps = 2)\n"
    "time 0 .. 2\nclaim nonexpansive(norm = inf)\n",
    "columns": HEAD + "constraint norm(W, 1) <= 0.5\nx' = -x + W @ tanh(x)\nsolver heun(steps = 2)\n"
    "time 0 .. 2\nclaim contractive(norm = 1, rate = 0.4)\n",
    "implicit": HEAD + "constraint norm(W, inf) <= 1/2\nx' = -x + tanh(W @ x)\nsolver backward_euler(steps = 2)\n"
    "time 0 .. 2\nclaim gradient(norm = inf) in [0.15, 0.45]\n",
    "tableau": HEAD.replace("W[d, d]", "W[d, d] : stochastic") + "x' = W @ x - x\nsolver sdirk2(steps = 2)\n"
    "time 0 .. 2\nclaim nonexpansive(norm = inf)\n",
    "flow": HEAD + "constraint norm(W, inf) <= 1\nx' = -x^3 - x + W @ tanh(x)\nsolver euler(steps = 2)\n"
    "time 0 .. 2\nclaim nonexpansive(norm = inf) of flow\n",
    "start": HEAD.replace("state x[d]", "state x[d]\nstate y[d] = 2*x") + "constraint norm(W, inf) <= 1\n"
    "x+ = W @ x\ny+ = y\nsolver map(steps = 2)\nclaim lipschitz(norm = inf) <= 2\n",
}  # fmt: skip


@pytest.fixture(params=SPECS, scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    spec = models.loaded(SPECS[request.param], tmp_path_factory.mktemp("spec"))
    assert spec is not None
    verdict = decide(spec, spec.sections[0], spec.sections[0].claims[0], Options())
    assert verdict.certificate is not None, verdict.reason
    data: dict[str, Any] = json.loads(verdict.certificate.text())
    return data


def signed(data: dict[str, Any]) -> str:
    data = {k: v for k, v in data.items() if k != "digest"}
    return json.dumps({**data, "digest": digest(data)})


# --- changes -----------------------------------------------------------------------------------


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def changed(value: Any) -> Iterator[Any]:
    """Other values for one place."""
    if isinstance(value, str):
        try:
            x = Fraction(value)
        except ValueError:
            yield from ("other", "", "x", "upper", "inf", "1")
            return
        yield from (str(y) for y in (x + Fraction(1, 100), x - Fraction(1, 100), -x, x * 2, Fraction(0), Fraction(1)))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, 0, 1, -1)
    elif isinstance(value, list):
        yield []
        if value:
            yield from (value[1:], value[:-1], [*value, value[0]], value[::-1])
    elif isinstance(value, dict):
        yield {}


def mutants(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, value in leaves(data):
        if path and path[0] in ("proof", "claim", "steps", "time", "slack", "assumptions"):
            for other in changed(value):
                if other != value:
                    mutant = deepcopy(data)
                    place: Any = mutant
                    for key in path[:-1]:
                        place = place[key]
                    place[path[-1]] = other
                    yield f"{path}: {other!r}", mutant


# --- an independent judge ------------------------------------------------------------------------


def end(text: str) -> float:
    return {"inf": math.inf, "-inf": -math.inf}.get(text, float(Fraction(text)) if text[-3:] != "inf" else 0.0)


class Judge:
    """Draws factors and operators as a certificate states them, and measures the maps that it states."""

    n = 4

    def __init__(self, proof: dict[str, Any], rng: np.random.Generator) -> None:
        self.proof, self.rng = proof, rng
        self.order = np.inf if proof["norm"] == "inf" else 1
        self.letters: dict[str, Any] = {}
        for name, (low, high, _) in proof["factors"].items():
            low, high = max(end(low), -1e3), min(end(high), 1e3)
            pick = rng.choice([low, high, rng.uniform(low, high)], self.n)
            self.letters[name] = pick[0] * np.eye(self.n) if name in proof["scalars"] else np.diag(pick)
        for name, known in proof["operators"].items():
            rows = self.rows(known["rows" if proof["norm"] == "inf" else "columns"])
            self.letters[name] = rows if proof["norm"] == "inf" else rows.T

    def rows(self, known: dict[str, Any]) -> np.ndarray:
        """Each row at one of the corners, perhaps moved along a ray, the weight beside the diagonal in one place."""
        matrix = np.zeros((self.n, self.n))
        for i in range(self.n):
            w, r = (float(Fraction(x)) for x in known["corners"][self.rng.integers(len(known["corners"]))])
            for dw, dr in known["rays"]:
                far = self.rng.choice([0.0, 1.0, 1e3])
                w, r = w + far * float(Fraction(dw)), r + far * float(Fraction(dr))
            matrix[i, i] = w
            matrix[i, self.rng.choice([j for j in range(self.n) if j != i])] = r * self.rng.choice([-1.0, 1.0])
        return matrix

    def map(self, rows: list[Any], sources: list[str]) -> np.ndarray:
        blocks = [[np.zeros((self.n, self.n)) for _ in sources] for _ in rows]
        for i, (_, terms) in enumerate(rows):
            for c, lead, word, v in terms:
                m = float(Fraction(c)) * np.eye(self.n)
                for letter in (*lead, *word):
                    m = m @ self.letters[letter]
                blocks[i][sources.index(v)] = blocks[i][sources.index(v)] + m
        return np.block(blocks)

    def kept(self, part: dict[str, Any]) -> bool:
        """Whether the stated bound holds for what was drawn."""
        bound, names, upper = float(Fraction(part["bound"])), part["states"], part["sense"] == "upper"
        if part["role"] == "flow":
            J = self.map(part["rows"], names)
            J = J if upper else -J
            J = J if self.order == np.inf else J.T
            rates = np.diag(J) + np.abs(J).sum(axis=1) - np.abs(np.diag(J))
            return bool(rates.max() <= (bound if upper else -bound) + 1e-9 * (1 + np.abs(J).max()))
        T = self.step(part)
        if upper:
            return bool(np.linalg.norm(T, self.order) <= bound * (1 + 1e-9) + 1e-9)
        smallest = np.linalg.svd(T)[1].min()
        return bound <= 0 or (smallest > 0 and 1 / np.linalg.norm(np.linalg.inv(T), self.order) >= bound * (1 - 1e-9))

    def step(self, part: dict[str, Any]) -> np.ndarray:
        names = part["states"]
        if part["role"] == "map":
            return self.map(part["rows"], names)
        if part["role"] == "tableau":
            hJ, s = self.map(part["rows"], names), len(part["b"])
            A = np.array([[float(Fraction(a)) for a in row] for row in part["A"]])
            b = np.array([float(Fraction(x)) for x in part["b"]])
            n = len(hJ)
            stages = np.linalg.solve(np.eye(n * s) - np.kron(A, hJ), np.kron(np.ones((s, 1)), np.eye(n)))
            return np.eye(n) + np.kron(b[None], hJ) @ stages
        known = {v: np.eye(len(names) * self.n)[i * self.n : (i + 1) * self.n] for i, v in enumerate(names)}
        for group in part["solves"]:
            own = [v for v, _ in group]
            M = self.map([[v, [t for t in terms if t[3] in own]] for v, terms in group], own)
            K = self.map([[v, [t for t in terms if t[3] not in own]] for v, terms in group], list(known))
            found = np.linalg.solve(np.eye(len(M)) - M, K @ np.vstack(list(known.values())))
            known |= {v: found[i * self.n : (i + 1) * self.n] for i, v in enumerate(own)}
        return self.map(part["rows"], list(known)) @ np.vstack(list(known.values()))


def concluded(data: dict[str, Any]) -> bool:
    """Whether the numbers of the claim follow from the bounds of the parts, in floating point."""
    time, slack = float(Fraction(data["time"])), float(Fraction(data["slack"]))
    claim = "".join(data["claim"]["resolved"].split())
    for stated in data["proof"]["conclusion"]:
        number = stated["number"]
        assert number in claim or number == "1"
        value = math.sqrt(float(number[5:-1])) if number.startswith("sqrt") else float(Fraction(number))
        upper, growth, steps = not stated["kind"].endswith("lower"), 1.0, 0
        if not upper and value <= 0:
            continue
        for i, times in stated["parts"]:
            part = data["proof"]["parts"][i]
            bound = float(Fraction(part["bound"]))
            growth *= math.exp(bound * time) if part["role"] == "flow" else bound**times
            steps += part["steps"] * times
        if stated["kind"].startswith("flow") == (steps > 0) or (steps and steps != data["steps"]):
            return False
        allowed = math.exp(-value * time) if stated["kind"].endswith("contractive") else value
        allowed *= 1 + slack if upper else 1 - slack
        if growth > allowed * (1 + 1e-9) if upper else growth < allowed * (1 - 1e-9):
            return False
    return True


def true(data: dict[str, Any], draws: int = 24) -> bool:
    rng = np.random.default_rng(3)
    judges = [Judge(data["proof"], rng) for _ in range(draws)]
    return concluded(data) and all(j.kept(part) for j in judges for part in data["proof"]["parts"])


def test_honest_certificates_are_accepted_and_true(made: dict[str, Any]) -> None:
    assert audit_text(signed(made)).ok
    assert true(made, 300)


def test_with_a_fresh_digest_what_is_accepted_is_true(made: dict[str, Any]) -> None:
    accepted = 0
    for name, mutant in islice(mutants(made), 0, None, 2):
        if audit_text(signed(mutant)).ok:
            accepted += 1
            assert true(mutant), name
    assert accepted, "weaker statements are accepted"


def test_without_a_fresh_digest_nothing_is_accepted(made: dict[str, Any]) -> None:
    for _, mutant in islice(mutants(made), 0, None, 5):
        assert not audit_text(json.dumps(mutant)).ok


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a smaller bound": lambda p: p["parts"][-1].update(bound=str(Fraction(p["parts"][-1]["bound"]) - Fraction(1, 10))),
    "a wider factor": lambda p: [f.__setitem__(1, "3") for f in p["factors"].values()],
    "larger rows": lambda p: [o[s].update(corners=[["0", "9"]]) for o in p["operators"].values() for s in ("rows", "columns")],
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_rejected(made: dict[str, Any], lie: str) -> None:
    mutant = deepcopy(made)
    LIES[lie](mutant["proof"])
    if mutant["proof"] != made["proof"] and (lie == "a smaller bound" or mutant["proof"]["parts"][0]["role"] != "map"):
        assert not audit_text(signed(mutant)).ok


def test_the_judge_knows_a_lie(made: dict[str, Any]) -> None:
    mutant = deepcopy(made)
    for part in mutant["proof"]["parts"]:
        off = Fraction(1, 2) if part["sense"] == "upper" else Fraction(-1, 2)
        part["bound"] = str(Fraction(part["bound"]) - off)
    assert not true(mutant)


def test_terms_of_another_network_do_not_belong(tmp_path: Path) -> None:
    """A certificate that the auditor accepts, of another field than the spec's, is found out."""
    from odespec.prove.against import against

    spec = models.loaded(SPECS["step"], tmp_path)
    assert spec is not None
    verdict = decide(spec, spec.sections[0], spec.sections[0].claims[0], Options())
    assert verdict.certificate is not None
    honest = json.loads(verdict.certificate.text())
    assert against(signed(honest), tmp_path / "random.ode", {}) == []
    name = next(iter(honest["proof"]["factors"]))
    for edit in (
        lambda p: p["factors"][name].__setitem__(1, "1/2"),
        lambda p: p["parts"][0]["rows"][0][1][0].__setitem__(0, "1/2"),
        lambda p: [o["rows"].update(corners=[["0", "1/2"]]) for o in p["operators"].values()],
    ):
        mutant = deepcopy(honest)
        edit(mutant["proof"])
        if audit_text(signed(mutant)).ok:
            assert against(signed(mutant), tmp_path / "random.ode", {}) != []
