"""Worst cases of one step agree with PEPit's, which is given the two runs and knows nothing of odespec."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("PEPit")

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "pepit_worst_cases.py"


def module() -> ModuleType:
    specification = importlib.util.spec_from_file_location("pepit_worst_cases", PATH)
    assert specification is not None and specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    sys.modules["pepit_worst_cases"] = loaded
    specification.loader.exec_module(loaded)
    return loaded


PROBLEMS = module()


@pytest.mark.parametrize("case", PROBLEMS.CASES, ids=lambda c: c.name)
def test_the_worst_case_is_that_of_pepit(case: object) -> None:
    assert PROBLEMS.by_odespec(case) == pytest.approx(PROBLEMS.by_pepit(case), abs=1e-5)


def test_there_are_ten_and_some_are_not_tight() -> None:
    assert len(PROBLEMS.CASES) >= 10
