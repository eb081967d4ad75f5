"""What the independent checker accepts and rejects, and that nothing makes it raise or hang."""

from __future__ import annotations

import ast
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from math import exp
from pathlib import Path
from typing import Any

import pytest

from odespec.certificate import auditor
from odespec.certificate.auditor import Audit, audit_text, core, gram
from odespec.certificate.format import Certificate, GramProof

Q = Fraction
Sign = Callable[[Any], str]
FOLDER = Path(auditor.__file__).parent


def test_every_honest_certificate_is_accepted(made: Certificate) -> None:
    result = audit_text(made.text())
    assert result.reasons == []
    assert result.ok
    assert made.claim.resolved in result.statement
    assert all(part.role in result.statement for part in made.proof_as(GramProof).parts)


def test_the_statement_says_what_is_proved(plain: Certificate) -> None:
    statement = audit_text(plain.text()).statement
    assert "Flow: nonexpansive" in statement
    assert (
        "over one step the squared ratio of distances is at most tau = 1 for 32 steps; in all (1)^32 <= (1)^2"
        in statement
    )
    assert "(norm(W) <= 1)" in statement
    assert "arithmetic is exact" in statement and "if the facts stated below are those of the spec" in statement


# --- independence ------------------------------------------------------------------


@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_it_imports_nothing_but_itself_and_the_standard_library(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level != 1:
            names = [node.module or ""]
        assert all(name.split(".")[0] in sys.stdlib_module_names for name in names)
        assert not (isinstance(node, ast.Name) and node.id in ("__import__", "eval", "exec", "compile_"))


def test_it_runs_as_a_script_without_the_package(tmp_path: Path, plain: Certificate) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    (tmp_path / "checker").mkdir()
    for source in FOLDER.glob("*.py"):
        (tmp_path / "checker" / source.name).write_bytes(source.read_bytes())
    good.write_text(plain.text(), encoding="utf-8")
    bad.write_text(plain.text().replace('"tau": "1"', '"tau": "9/10"'), encoding="utf-8")

    def run(*paths: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-m", "checker", *map(str, paths)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert run(good).returncode == 0 and "accepted" in run(good).stdout
    both = run(good, bad)
    assert both.returncode == 1 and "rejected" in both.stdout
    assert run(tmp_path / "missing.json").returncode == 1
    assert run().returncode == 1


# --- lies --------------------------------------------------------------------------


def rejected(text: str) -> list[str]:
    result = audit_text(text)
    assert not result.ok and result.statement == ""
    return result.reasons


def change(certificate: Certificate, edit: Callable[[Any], object]) -> Any:
    data = json.loads(certificate.text())
    edit(data)
    return data


def test_a_changed_file_without_its_digest_is_rejected(plain: Certificate) -> None:
    assert "digest" in rejected(plain.text().replace("slopes of relu", "slopes of tanh"))[0]


LIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "a smaller tau": (lambda c: c["proof"]["parts"][0].update(tau="99/100"), "slack"),
    "a longer step": (lambda c: c["proof"]["parts"][0]["numerator"].__setitem__(1, ["e", "W.T p", "-5"]), "slack"),
    "a negative multiplier": (lambda c: c["proof"]["parts"][0]["relations"][0].update(multipliers=[["-1"]]), "sign"),
    "a matrix multiplier that is not PSD": (
        lambda c: c["proof"]["parts"][0]["relations"][1]["multipliers"].__setitem__(0, ["0", "1", "0"]),
        "sign",
    ),
    "the denominator left out": (lambda c: c["proof"]["parts"][0].update(denominator=[]), "slack"),
    "a numerator that is no square": (lambda c: c["proof"]["parts"][0].update(numerator=[["e", "e", "-1"]]), "square"),
    "a stronger claim": (lambda c: c["claim"].update(resolved="lipschitz <= 1/2"), "numbers"),
    "another claim": (lambda c: c["claim"].update(resolved="contractive(rate = 0)"), "another"),
    "a claim that is not in the spec": (lambda c: c["claim"].update(text="lipschitz <= 1"), "stand in the spec"),
    "the negation left out": (lambda c: c["claim"].update(negated=True), "stand in the spec"),
    "another model": (lambda c: c.update(model="Flo"), "stand in the spec"),
    "another text": (lambda c: c["spec"]["files"][0].update(text="model Flow\nclaim nonexpansive\n"), "hash"),
    "another override": (lambda c: c["spec"].update(overrides=[["d", "9"]]), "hash"),
    "another conclusion": (lambda c: c["proof"]["conclusion"][0].update(number="2"), "what the claim asks"),
    "no conclusion": (lambda c: c["proof"].update(conclusion=[]), "what the claim asks"),
    "a part covers too little": (lambda c: c["proof"]["conclusion"][0]["parts"][0].update(steps=31), "cover"),
    "a part that is not there": (lambda c: c["proof"]["conclusion"][0]["parts"][0].update(part=1), "malformed"),
    "an implicit step without proof": (lambda c: c["proof"].update(implicit=True), "solved"),
    "fewer assumptions": (lambda c: c["assumptions"].pop(), "assumptions"),
    "much slack": (lambda c: c.update(slack="1/2"), "slack"),
    "no time": (lambda c: c.update(time="0"), "time"),
    "an unused part": (lambda c: c["proof"]["parts"].append(deepcopy(c["proof"]["parts"][0])), "nothing"),
    "a product across spaces": (lambda c: c["proof"]["parts"][0]["basis"][0].update(space=7), "spaces"),
    "the wrong role": (lambda c: c["proof"]["parts"][0].update(role="flow"), "role"),
    "the wrong sense": (lambda c: c["proof"]["parts"][0].update(sense="lower"), "slack"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_rejected_even_with_a_fresh_digest(plain: Certificate, signed: Sign, lie: str) -> None:
    edit, word = LIES[lie]
    assert word in rejected(signed(change(plain, edit)))[0]


def test_a_claim_is_not_read_out_of_a_longer_line(plain: Certificate, signed: Sign) -> None:
    """``claim nonexpansive`` does not stand in ``claim nonexpansive of flow``."""

    def edit(c: Any) -> None:
        c["spec"]["files"] = [{"name": "a.ode", "text": "model Flow\nclaim nonexpansive of flow\n"}]
        c["spec"]["overrides"] = []
        c["spec"]["sha256"] = core.text_hash([c["spec"]["files"][0]["text"]], [])

    assert "stand in the spec" in rejected(signed(change(plain, edit)))[0]


# --- malformed input ------------------------------------------------------------------

MALFORMED = [
    "", "null", "[]", "{}", "1e999", "NaN", '"x"', "{", "[" * 100_000, '{"a":' * 50_000, '"' + '\\"' * 500_000,
    '{"format": 1, "format": 1}', "\ud800", "\x00", '{"format": ' + "9" * 5000 + "}", "[" * 5000 + "]" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_input_is_rejected(text: str) -> None:
    started = time.monotonic()
    assert rejected(text)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "number", ["2/2", "1.0", "+1", " 1", "1 ", "-0", "01", "1/1", "1/0", "1e3", "١", "9" * 2001, "", "1/-1"]
)
def test_numbers_have_one_spelling(plain: Certificate, signed: Sign, number: str) -> None:
    assert rejected(signed(change(plain, lambda c: c["proof"]["parts"][0].update(tau=number))))


def test_keys_may_not_stand_twice(plain: Certificate) -> None:
    assert "twice" in rejected(plain.text().replace('"model": "Flow"', '"model": "Flow", "model": "Flow"'))[0]


def test_damaged_texts_never_raise(plain: Certificate) -> None:
    rng, text = random.Random(3), plain.text()
    for _ in range(300):
        at = rng.randrange(len(text))
        damaged = text[:at] + rng.choice(['"', "{", "]", ",", "9", "-", "\\", "\x00", "é", ""]) + text[at + 1 :]
        result = audit_text(damaged)
        assert isinstance(result, Audit)
        assert not result.ok or json.loads(damaged) == json.loads(text)


def heavy_primes(c: Any) -> None:
    """Sums of many fractions with different large denominators."""
    part = c["proof"]["parts"][0]
    terms = [["e", f"1/{10**300 + 2 * k + 1}"] for k in range(1)]
    part["relations"] = [
        {
            "rule": "facets",
            "vectors": {"f": [[["e", f"1/{10**400 + 2 * k + 1}"]]], "g": [terms]},
            "numbers": {},
            "why": "x",
            "multipliers": [["1"]],
        }
        for k in range(2000)
    ]


def wide_adjoint(c: Any) -> None:
    c["proof"]["parts"][0]["relations"] = [
        {
            "rule": "adjoint",
            "vectors": {"u": [[]] * 200_000, "v": [[]] * 200_000, "p": [[]] * 200_000, "q": [[]] * 200_000},
            "numbers": {},
            "why": "x",
            "multipliers": [],
        }
    ]


def wide_basis(c: Any) -> None:
    c["proof"]["parts"][0]["basis"] += [{"name": f"x{k}", "space": 0} for k in range(50_000)]


def long_power(c: Any) -> None:
    c.update(steps=10**9)
    c["proof"]["conclusion"][0]["parts"][0]["steps"] = 10**9
    c["proof"]["parts"][0]["tau"] = f"{10**900 + 1}/{10**900}"


@pytest.mark.parametrize("edit", [heavy_primes, wide_adjoint, wide_basis, long_power])
def test_hostile_certificates_end_soon(plain: Certificate, signed: Sign, edit: Callable[[Any], None]) -> None:
    text = signed(change(plain, edit))
    started = time.monotonic()
    assert rejected(text)
    assert time.monotonic() - started < 20


# --- real numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("x", [Q(0), Q(1), Q(-1), Q(1, 3), Q(-7, 2), Q(50), Q(-300, 7), Q(1, 10**20)])
@pytest.mark.parametrize("bits", [128, 1024])
def test_the_exponential_is_enclosed(x: Fraction, bits: int) -> None:
    low, high = gram.exponential(x, bits)
    assert 0 < low <= high
    assert high - low <= high * Q(1, 2 ** (bits - 40))
    assert abs(float(low) - exp(x)) <= 1e-14 * exp(x)
    # exp(x) exp(-x) = 1 lies in the product of the enclosures
    other = gram.exponential(-x, bits)
    assert low * other[0] <= 1 <= high * other[1]


def test_powers_are_compared_exactly_at_the_edge() -> None:
    tau = Q(3, 5)
    assert gram.compare([(tau, 40)], Q(0), tau**40, True)
    assert gram.compare([(tau, 40)], Q(0), tau**40, False)
    assert not gram.compare([(tau, 40)], Q(0), tau**40 * (1 - Q(1, 10**50)), True)
    near = 1 + Q(1, 10**12)
    assert gram.compare([(near, 40_000)], Q(0), (1 + Q(1, 10**7)), True)
    assert not gram.compare([(near, 40_000)], Q(0), (1 + Q(1, 10**8)), True)
    assert gram.compare([(Q(1), 10**9)], Q(0), Q(1), True)
    assert gram.compare([(Q(0), 3)], Q(0), Q(0), True)


def test_an_exponential_limit_decides_both_ways() -> None:
    edge = gram.exponential(Q(-1), 256)[0]
    assert gram.compare([(edge - Q(1, 10**30), 1)], Q(1), Q(1), True)
    assert not gram.compare([(edge + Q(1, 10**30), 1)], Q(1), Q(1), True)
    assert gram.compare([(edge + Q(1, 10**30), 1)], Q(1), Q(1), False)


@pytest.mark.parametrize(
    ("claim", "goals"),
    [
        ("nonexpansive", [("lipschitz", "1")]),
        ("nonexpansive of  flow", [("flow-lipschitz", "1")]),
        ("lipschitz <= 3/2", [("lipschitz", "3/2")]),
        ("lipschitz( norm = 2 ) <= sqrt(2) of flow", [("flow-lipschitz", "sqrt(2)")]),
        ("contractive(rate = 1/10)", [("contractive", "1/10")]),
        ("gradient in [0, max(1, 2)]", None),
        ("gradient in [1/2, 2]", [("lower", "1/2"), ("lipschitz", "2")]),
    ],
)
def test_claims_are_read(claim: str, goals: list[tuple[str, str]] | None) -> None:
    if goals is not None:
        assert gram.goals(claim) == goals


@pytest.mark.parametrize(
    "claim",
    ["nonexpansive(norm = inf)", "nonexpansive in mean squares", "gradient in [0, 1] in mean square",
     "lipschitz(by = u) <= 1", "stable", "lipschitz >= 1", "nonexpansive of output",
     "nonexpansive(metric = some)", "contractive(rate = 1) of output x", ""],
)  # fmt: skip
def test_other_claims_are_not(claim: str) -> None:
    try:
        goals = gram.goals(claim)
    except core.AuditError:
        return
    assert all(not re.fullmatch(core.LITERAL, number) for _, number in goals)
