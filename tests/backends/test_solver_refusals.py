"""Steps that the back ends do not print yet are refused with the usual diagnostic."""

from __future__ import annotations

import pytest

from odespec.diagnostics import Report, SpecError
from odespec.emit import emit
from odespec.ir.load import load_source
from odespec.source import Source

TEXT = """model M
dim d = 3
state x[d]
param W[d, d]
x' = -x + W @ tanh(x)
solver {solver}(steps = 4)
time 0 .. 1
claim nonexpansive
"""


@pytest.mark.parametrize("target", ["torch", "jax"])
@pytest.mark.parametrize("solver", ["leapfrog", "ab2", "ab3", "bdf2", "imex_euler", "etd1", "etdrk4"])
def test_refused(solver: str, target: str) -> None:
    report = Report()
    spec = load_source(Source("m.ode", TEXT.format(solver=solver)), {}, report)
    assert spec is not None
    with pytest.raises(SpecError) as caught:
        emit(spec, target, (), force=True)
    assert [d.code for d in caught.value.diagnostics] == ["ODE502"]


@pytest.mark.parametrize("target", ["torch", "jax"])
def test_a_fused_step_is_printed(target: str) -> None:
    spec = load_source(Source("m.ode", TEXT.format(solver="fused_euler")), {}, Report())
    assert spec is not None and "tanh" in emit(spec, target, (), force=True)
