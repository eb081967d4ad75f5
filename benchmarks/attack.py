"""Try to break what the prover has proved: random designs, then samples and ascents against every proof.

    python benchmarks/attack.py [--proofs N] [--samples N] [--seed N]

Every proof is attacked with runs of the reference interpreter on extreme, heavy-tailed and random weights within the
constraints, and by gradients through the emitted PyTorch module where there is one. Prints the attacks and the
violations; exit status 1 where there is a violation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from designs import Design, designs

from odespec import api
from odespec.diagnostics import Report, SpecError
from odespec.exact import Real
from odespec.ir.expr import Expr, leaf
from odespec.ir.load import load_source
from odespec.ir.model import Claim, Model, Spec
from odespec.program.evaluate import evaluate
from odespec.program.interpret import ConvergenceError, run
from odespec.program.lower import lower
from odespec.prove.decide import decide
from odespec.prove.refute.goal import duration
from odespec.prove.verdict import Options
from odespec.records import dataclass
from odespec.source import Source
from odespec.weights.sampling import NoSample, sample, sample_inputs

Array = np.ndarray
Rng = np.random.Generator

TOLERANCE = 1e-9
"""A ratio above the bound by more than this, relatively, is a violation: rounding is far smaller where it is tried."""

FLOW_STEPS = 400
"""Steps of the classical method that stand for the exact flow, with a tolerance for their error."""
FLOW_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Proved:
    """A claim that was proved."""

    spec: Spec
    model: Model
    claim: Claim


def proved(design: Design) -> Proved | None:
    """The first claim of a design that is proved."""
    for claim in design.claims:
        report = Report()
        spec = load_source(Source("design.ode", f"{design.text}claim {claim}\n"), {}, report)
        if spec is None or report.failed:
            return None
        (model,) = spec.sections
        assert isinstance(model, Model)
        if decide(spec, model, model.claims[0], Options(refute=False)).verdict == "proved":
            return Proved(spec, model, model.claims[0])
    return None


# --- samples -------------------------------------------------------------------------


def attack(proof: Proved, samples: int, rng: Rng) -> tuple[int, float]:
    """How many pairs or states were tried, and the worst excess over what the proof allows (above zero: a violation)."""
    model, tried, worst = _discrete(proof), 0, -np.inf
    measure = _distances if _bound(proof) is not None else _states
    while tried < samples:
        try:
            count, excess = measure(proof, model, rng)
        except (NoSample, ConvergenceError):
            count, excess = 64, -np.inf
        tried, worst = tried + count, max(worst, excess)
    return tried, worst


def _discrete(proof: Proved) -> Model:
    """The model whose map is run: for claims of the flow a fine discretisation of its own."""
    from dataclasses import replace

    if proof.claim.subject != "flow":
        return proof.model
    steps, solver = proof.model.solver.steps, proof.model.solver
    if any(p.per_step for p in proof.model.params):
        return replace(proof.model, solver=replace(solver, name="dopri5", options=()))
    return (
        replace(proof.model, solver=replace(solver, name="rk4", steps=FLOW_STEPS, options=())) if steps else proof.model
    )


def _bound(proof: Proved) -> float | None:
    """The factor that a distance claim allows; None for claims about states, and for metrics that are not given."""
    claim = proof.claim
    if claim.metric is not None:
        return None
    if claim.name == "nonexpansive":
        return 1.0
    if claim.name == "contractive" and claim.lower is not None:
        return float(np.exp(-float(claim.lower) * float(duration(proof.model))))
    return float(claim.upper) if claim.name in ("lipschitz", "gradient") and claim.upper is not None else None


def _spread(model: Model, rng: Rng, count: int) -> list[Array]:
    """States of all sizes, within the domain where there is one."""
    size = 10.0 ** rng.uniform(-2, 2, size=(count, 1))
    values = [rng.standard_normal((count, *s.shape)) * size.reshape(-1, *[1] * len(s.shape)) for s in model.free_states]
    return [np.clip(v, -1, 1) for v in values] if model.domains else values


def _distances(proof: Proved, model: Model, rng: Rng) -> tuple[int, float]:
    """Pairs near and far, under one draw of weights."""
    count, order = 2048, {2: 2, 1: 1, "inf": np.inf}[proof.claim.norm]
    weights, inputs = sample(model, rng), sample_inputs(model, rng)
    x = _spread(model, rng, count)
    near = 10.0 ** rng.uniform(-5, 0, size=(count, 1))
    y = [v + near.reshape(-1, *[1] * (v.ndim - 1)) * rng.standard_normal(v.shape) for v in x]
    y = [np.clip(v, -1, 1) for v in y] if model.domains else y
    with np.errstate(all="ignore"):
        ends = [run(lower(model, history=True), weights, states, inputs) for states in (x, y)]
        flat = [[np.concatenate([v.reshape(count, -1) for v in vs], axis=1) for vs in pair] for pair in ((x, y), ends)]
        before, after = (np.linalg.norm(b - a, order, axis=1) for a, b in flat)
        ratio = after / before
        # Rounding of large states drowns the difference of near ones.
        size = 1e-14 * (1 + abs(flat[1][0]).max(axis=1) + abs(flat[0][0]).max(axis=1)) / before
    bound, slack = _bound(proof), FLOW_TOLERANCE if proof.claim.subject == "flow" else TOLERANCE
    assert bound is not None
    excess = (ratio - size - bound * (1 + slack))[np.isfinite(ratio)]
    return count, float(excess.max(initial=-np.inf))


def _states(proof: Proved, model: Model, rng: Rng) -> tuple[int, float]:
    """Trajectories of one draw of weights, for claims about invariants and scalars of the states."""
    claim, count = proof.claim, 512
    weights, inputs = sample(model, rng), sample_inputs(model, rng)
    start = _spread(model, rng, count)
    if claim.relation is not None:
        start = [_inside(claim.relation, s.name, v) for s, v in zip(model.free_states, start, strict=True)]
    with np.errstate(all="ignore"):
        path = run(lower(model, history=True), weights, start, inputs, trajectory=True)
    excess = _excess(claim, model, weights, inputs, path)
    return count, -np.inf if excess is None else excess


def _inside(relation: Any, name: str, values: Array) -> Array:
    """States within the relation of an invariant."""
    if relation.operand.op != "state" or relation.operand.data != name:
        return values
    if relation.quantity == "norm":
        size = np.linalg.norm(values.reshape(len(values), -1), axis=1).reshape(-1, *[1] * (values.ndim - 1))
        return values / np.maximum(size, 1e-300) * float(relation.upper) * (1 - 1e-12)
    low, high = (None if b is None else float(b) for b in (relation.lower, relation.upper))
    return np.clip(values, low, high)


def _excess(claim: Claim, model: Model, weights: Any, inputs: Any, path: Any) -> float | None:
    steps = path[0].shape[-1 - len(model.states[0].shape)]

    def at(k: int, e: Expr) -> Array:
        env: dict[Expr, Any] = {
            leaf("state", s.name, s.shape): np.take(v, k, axis=v.ndim - 1 - len(s.shape))
            for s, v in zip(model.states, path, strict=True)
        }
        return np.asarray(evaluate((e,), env)[0])

    if claim.scalar is not None:
        values = np.stack([at(k, claim.scalar) for k in range(steps)])
        scale = 1e-9 * (1 + abs(values).max(axis=0))
        change = np.diff(values, axis=0)
        change = abs(change) if claim.name == "conserves" else change
        return float(np.nanmax(np.where(np.isfinite(change), change - scale, -np.inf)))
    relation = claim.relation
    if relation is None or isinstance(relation.upper, Expr) or isinstance(relation.lower, Expr):
        return None
    last = np.stack([at(k, relation.operand) for k in range(steps)])
    if relation.quantity == "norm":
        last = np.linalg.norm(last.reshape(*last.shape[:2], -1), axis=-1)
    return _beyond(last, relation.lower, relation.upper)


def _beyond(values: Array, low: Real | None, high: Real | None) -> float:
    over = values - float(high) if high is not None else np.full_like(values, -np.inf)
    under = float(low) - values if low is not None else np.full_like(values, -np.inf)
    return float(np.nanmax(np.maximum(over, under))) - 1e-9


# --- gradients -----------------------------------------------------------------------


def ascend(proof: Proved, rounds: int, seed: int) -> tuple[int, float] | None:
    """Gradient ascent on the ratio of distances through the emitted module, over its parameters and both states."""
    bound = _bound(proof)
    if bound is None or proof.claim.subject != "map" or proof.model.domains or proof.model.inputs:
        return None
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    try:
        module = api.compile(proof.spec, "torch", checked=(), force=True).load()
    except SpecError:
        return None
    order, worst, tried = {2: 2, 1: 1, "inf": float("inf")}[proof.claim.norm], -np.inf, 0
    for start in range(4):
        network = getattr(module, proof.model.name)(dtype=torch.float64)
        shapes = [s.shape for s in proof.model.free_states]
        x = [torch.randn(64, *s, dtype=torch.float64, requires_grad=True) for s in shapes]
        gap = [(10.0 ** (1 - start) * torch.randn(64, *s, dtype=torch.float64)).requires_grad_() for s in shapes]
        for p in network.parameters():
            p.data += torch.randn_like(p)
        optimiser = torch.optim.Adam([*network.parameters(), *x, *gap], lr=0.05)
        for _ in range(rounds):
            ratio, size = _ratio(torch, network, x, gap, order)
            tried += 64
            worst = max(worst, float((ratio - size - bound * (1 + TOLERANCE)).detach().nan_to_num(-1e9).max()))
            optimiser.zero_grad()
            (-ratio.nan_to_num(0).sum()).backward()
            optimiser.step()
    return tried, worst


def _ratio(torch: Any, network: Any, x: list[Any], gap: list[Any], order: float) -> tuple[Any, Any]:
    flat = lambda vs: torch.cat([v.reshape(64, -1) for v in vs], dim=1)  # noqa: E731
    tuple_of = lambda r: r if isinstance(r, tuple) else (r,)  # noqa: E731
    ends = [tuple_of(network(*v)) for v in (x, [a + b for a, b in zip(x, gap, strict=True)])]
    before = torch.linalg.vector_norm(flat(gap), order, dim=1)
    after = torch.linalg.vector_norm(flat(ends[1]) - flat(ends[0]), order, dim=1)
    size = 1e-14 * (1 + flat(x).abs().amax(1) + flat(ends[0]).abs().amax(1)) / before
    return after / before, size.detach()


# --- the whole -----------------------------------------------------------------------


def proofs(seed: int) -> Iterator[tuple[Design, Proved]]:
    for design in designs(seed):
        found = proved(design)
        if found is not None:
            yield design, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proofs", type=int, default=40, help="proofs to attack (default: 40)")
    parser.add_argument("--samples", type=int, default=1_000_000, help="samples against each (default: a million)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of each gradient attack (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, kinds, total, climbs, violations = np.random.default_rng(options.seed), Counter[str](), 0, 0, 0
    started = time.perf_counter()
    for number, (design, proof) in enumerate(proofs(options.seed)):
        if number == options.proofs:
            break
        tried, worst = attack(proof, options.samples, rng)
        climbed = ascend(proof, options.rounds, number)
        total, climbs = total + tried, climbs + (climbed[0] if climbed else 0)
        kinds[f"{proof.claim.name} {proof.model.solver.name}"] += 1
        if worst > 0 or (climbed and climbed[1] > 0):
            violations += 1
            print(
                f"VIOLATION by {max(worst, climbed[1] if climbed else worst):.3g}:\n{design.text}claim {proof.claim.text}\n"
            )
    print(f"{sum(kinds.values())} proofs, {total} samples, {climbs} steps of ascent, {violations} violations, ")
    print(f"{time.perf_counter() - started:.0f} s; " + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items())))
    return int(violations > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = str(Path(folder))
        sys.exit(main())
