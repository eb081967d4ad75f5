"""Did you mean."""

from __future__ import annotations

from time import perf_counter

from odespec.diagnostics.suggest import nearest

WORDS = ["state", "param", "claim", "nonexpansive", "euler", "heun"]


def test_nearest() -> None:
    for typed, meant in {"stat": "state", "Claim": "claim", "parm": "param", "non_expansive": "nonexpansive"}.items():
        assert nearest(typed, WORDS) == meant
    for typed in ("", "x", "qqqqq", "zzzzzzzzzzzz", "s"):
        assert nearest(typed, WORDS) is None


def test_long_names_cost_nothing() -> None:
    begin = perf_counter()
    assert nearest("a" * 1_000_000, ["a" * 999_999, "b"]) is None
    assert perf_counter() - begin < 1
