"""Every shipped spec says the truth: its claims come out as it asks, with proofs and counterexamples that hold up."""

from __future__ import annotations

from pathlib import Path

import pytest

import odespec
from odespec.certificate.auditor import audit_text
from odespec.diagnostics import Report
from odespec.program.interpret import run
from odespec.program.lower import lower
from odespec.prove.against import against
from odespec.replay import replay
from odespec.resources import data_dir
from odespec.syntax.formatter import format_source
from odespec.syntax.parser import read_source
from odespec.weights.sampling import sample, sample_inputs

SPECS = sorted(Path(str(data_dir("specs"))).glob("**/*.ode"))
IMPLICIT = "implicit_midpoint"


@pytest.fixture(scope="module", params=SPECS, ids=lambda p: p.stem)
def checked(request: pytest.FixtureRequest):
    spec = odespec.load(request.param)
    return request.param, spec, odespec.check(spec)


def test_there_are_enough() -> None:
    assert len(SPECS) >= 8


def test_claims_come_out_as_asked(checked) -> None:
    _, _, results = checked
    assert [(v.claim.text, v.verdict, v.reason) for r in results for v in r.verdicts if not v.ok] == []
    assert all(r.verdicts for r in results)


def test_has_a_docstring_and_no_warnings(checked) -> None:
    path, spec, _ = checked
    report = Report()
    odespec.ir.load.load(path, {}, report)  # type: ignore[attr-defined]
    assert list(report) == []
    assert all(section.doc for section in spec.sections)


def test_is_formatted(checked) -> None:
    source = read_source(checked[0], Report())
    assert source is not None
    assert format_source(source) == source.text


def test_certificates_are_accepted(checked) -> None:
    path, _, results = checked
    for verdict in (v for r in results for v in r.verdicts if v.verdict == "proved"):
        assert verdict.certificate is not None
        text = verdict.certificate.text()
        assert audit_text(text).ok, audit_text(text).reasons
        assert against(text, path, {}) == []


@pytest.mark.parametrize("target", ["numpy", "torch", "jax"])
def test_counterexamples_replay(checked, target: str, tmp_path: Path) -> None:
    _, _, results = checked
    for number, verdict in enumerate(v for r in results for v in r.verdicts if v.verdict == "refuted"):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(verdict.counterexample.data())
        folder = tmp_path / str(number)
        folder.mkdir()
        result = replay(path, target, folder)
        assert result.violated, (verdict.claim.text, result)
        assert result.measured == pytest.approx(verdict.counterexample.measured, rel=1e-9)


@pytest.mark.parametrize("target", ["torch", "jax"])
def test_emitted_code_agrees_with_the_interpreter(checked, target: str, tmp_path: Path) -> None:
    import numpy as np

    _, spec, results = checked
    if any(s.solver.name == IMPLICIT for s in spec.sections):
        pytest.skip("implicit steps are tested with the back ends")
    path = tmp_path / "emitted.py"
    odespec.compile(spec, target, checked=results).write(path)
    rng = np.random.default_rng(5)
    for model in spec.sections:
        program = lower(model)
        weights, inputs = sample(model, rng), sample_inputs(model, rng)
        states = [rng.standard_normal(s.shape) for s in model.free_states]
        expected = run(program, weights, states, inputs)
        found = odespec.backends.get(target).run(path, model.name, weights, states, inputs)  # type: ignore[attr-defined]
        for a, b in zip(expected, found, strict=True):
            scale = max(1.0, float(np.abs(a).max()))
            np.testing.assert_allclose(b, a, atol=1e-11 * scale, rtol=1e-10)
