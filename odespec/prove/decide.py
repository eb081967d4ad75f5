"""A claim through the engines, to a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from odespec.exact import Undecided
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.prove.verdict import Options, Task, Verdict
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """``handles`` says whether a claim is one for this engine.

    The file of its name in `odespec.prove.engines` has ``decide(task) -> Verdict``; it is imported when first needed.
    """

    name: str
    handles: Callable[[Claim], bool]

    def run(self, task: Task) -> Verdict:
        verdict: Verdict = import_module(f"odespec.prove.engines.{self.name}").decide(task)
        return verdict


DISTANCES = ("nonexpansive", "lipschitz", "contractive", "gradient")


def _is_distance(claim: Claim) -> bool:
    plain = claim.metric is None and claim.by is None and not claim.mean_square
    return claim.name in DISTANCES and plain and claim.norm == 2 and claim.subject in ("map", "flow")


def _is_entrywise(claim: Claim) -> bool:
    return claim.name in DISTANCES and claim.norm != 2 and claim.metric is None


def _is_metric(claim: Claim) -> bool:
    return claim.name in DISTANCES and claim.metric is not None


def _is_mean_square(claim: Claim) -> bool:
    return claim.name in DISTANCES and claim.mean_square


def _is_endpoint(claim: Claim) -> bool:
    return claim.name in DISTANCES and (claim.by is not None or claim.subject == "output")


def _named(*names: str) -> Callable[[Claim], bool]:
    return lambda claim: claim.name in names


ENGINES = (
    Engine("distance", _is_distance),
    Engine("metric", _is_metric),
    Engine("meansquare", _is_mean_square),
    Engine("entrywise", _is_entrywise),
    Engine("endpoint", _is_endpoint),
    Engine("spectrum", _named("stable")),
    Engine("invariant", _named("invariant")),
    Engine("energy", _named("conserves", "dissipates")),
    Engine("structure", _named("symplectic", "invertible", "reversible")),
    Engine("order", _named("order")),
)
"""The first that handles a claim decides it."""


def decide(spec: Spec, section: Model | Network, claim: Claim, options: Options) -> Verdict:
    """The verdict on a claim of one of the spec's sections."""
    started = time.monotonic()
    deadline = None if options.seconds is None else started + options.seconds
    verdict = _decide(spec, section, claim, options, deadline)
    return replace(verdict, seconds=time.monotonic() - started)


def _decide(spec: Spec, section: Model | Network, claim: Claim, options: Options, deadline: float | None) -> Verdict:
    if isinstance(section, Network):
        from odespec.prove.engines.network import decide_network

        return decide_network(spec, section, claim, options, deadline)
    if section.solver.steps == "auto" and claim.subject != "flow":
        return Verdict(claim, "unknown", "no number of steps was found with which every claim comes out")
    if claim.name in DISTANCES and claim.by is None and not section.free_states:
        return Verdict(claim, "unknown", "no initial value is free, so there are no two runs to compare: say `by = u`")
    engine = next((e for e in ENGINES if e.handles(claim)), None)
    if engine is None:
        return Verdict(claim, "unknown", f"no engine decides {_kind(claim)} yet")
    try:
        return engine.run(Task(spec, section, claim, options, deadline))
    except Undecided:
        return Verdict(claim, "unknown", "a constant of the spec cannot be told from zero", engine.name)


def _kind(claim: Claim) -> str:
    """``nonexpansive`` in the norm inf of the output."""
    parts = [f"`{claim.name}`"]
    if claim.metric is not None:
        parts.append("in a metric")
    elif claim.norm != 2:
        parts.append(f"in the norm {claim.norm}")
    if claim.by is not None:
        parts.append(f"by the input `{claim.by}`")
    if claim.mean_square:
        parts.append("in mean square")
    if claim.subject != "map":
        parts.append(f"of {claim.subject}")
    return " ".join(parts)
