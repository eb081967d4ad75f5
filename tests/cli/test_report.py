"""``odespec report`` and ``check --explain``: proofs as a person reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from odespec import api
from odespec.certificate.auditor import KINDS
from odespec.certificate.narrate import REFERENCES, narrate, vector

TRUTH = Path(__file__).resolve().parents[1] / "truth"
SPECS = sorted(Path(__file__).resolve().parents[2].joinpath("specs").glob("*.ode"))


@pytest.mark.usefixtures("specs")
def test_a_page_has_the_claims_the_proof_and_the_spec(inside: Callable[..., Any], tmp_path: Path) -> None:
    page = inside("report", "decay.ode")
    assert page.status == 0
    for word in ("## Decay", "| claim | verdict |", "### `", "```text", "assumed: arithmetic is exact", "```ode"):
        assert word in page.out
    done = inside("report", "decay.ode", "-o", str(tmp_path / "page.md"))
    assert done.status == 0 and (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# decay.ode")


@pytest.mark.usefixtures("specs")
def test_a_page_tells_what_would_help(inside: Callable[..., Any]) -> None:
    page = inside("report", "false.ode")
    assert page.status == 0 and "* with `constraint norm(W) <= 1` it is proved" in page.out


@pytest.mark.usefixtures("specs")
def test_a_page_of_a_broken_spec_is_not_written(inside: Callable[..., Any], tmp_path: Path) -> None:
    there = tmp_path / "page.md"
    there.write_text("kept", encoding="utf-8")
    assert inside("report", "broken.ode", "-o", str(there)).status == 2
    assert there.read_text(encoding="utf-8") == "kept"
    assert inside("report", "decay.ode", "-o", str(tmp_path / "none" / "page.md")).status == 2


@pytest.mark.usefixtures("specs")
def test_explain_prints_relations_weights_and_references(inside: Callable[..., Any]) -> None:
    told = inside("check", "decay.ode", "--explain").out
    assert "weight" in told and "together, with a sum of squares" in told and "reference: " in told
    assert "weight" not in inside("check", "decay.ode").out


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_every_proof_of_the_shipped_specs_can_be_told(path: Path) -> None:
    for checked in api.check(api.load(path)):
        for verdict in checked.verdicts:
            if verdict.certificate is not None:
                lines = narrate(verdict.certificate)
                assert any(line.startswith("assumed: ") for line in lines)
                assert all("\n" not in line for line in lines)


# One spec for each kind of proof.
PROVED = {
    "gram": "folklore/operator_kernel",
    "network": "networks/chain_one",
    "invariant": "invariant/heun_gru_h1",
    "lyapunov": "lyapunov/verlet_true",
    "energy": "energy/angular_verlet",
    "structure": "structure/residual_net",
    "order": "order/ab3_order3",
    "entrywise": "entrywise/row_dominant_true",
    "spectrum": "folklore/skew_midpoint_stable",
    "multistep": "solvers/ab2_psd",
    "endpoint": "endpoint/readout_true",
    "exponential": "solvers/etd1_leaky",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_proof_can_be_told(kind: str) -> None:
    (checked,) = (c for c in api.check(api.load(TRUTH / f"{PROVED[kind]}.ode")) if c.verdicts)
    (certificate,) = (v.certificate for v in checked.verdicts)
    assert certificate is not None and certificate.body["kind"] == kind
    lines = narrate(certificate)
    assert f"reference: {REFERENCES[kind]}" in lines
    assert any(line.startswith("assumed: ") for line in lines)
    assert len([line for line in lines if not line.startswith(("assumed", "reference"))]) > 1
    assert not any("None" in line or "\n" in line for line in lines)
    told = [line for line in lines if line.startswith("together")]
    assert all(" way: " not in line for line in lines), "a part that is written out is not said again"
    assert bool(told) == any(line.startswith("about ") for line in lines)


def test_vectors_read_as_sums() -> None:
    assert vector([["a", "1"], ["b", "-2"], ["c", "-1/3"]]) == "a - 2 b - 1/3 c"
    assert vector([["a", "-1"]]) == "-a" and vector([]) == "0"
