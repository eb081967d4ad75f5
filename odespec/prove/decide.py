"""A claim through the engines, to a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from odespec.exact import Undecided
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.prove.verdict import Options, Task, Verdict
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """``handles`` says whether a claim is one for this engine; ``run`` decides it."""

    name: str
    handles: Callable[[Claim], bool]
    run: Callable[[Task], Verdict]


def _is_distance(claim: Claim) -> bool:
    known = claim.name in ("nonexpansive", "lipschitz", "contractive", "gradient")
    plain = claim.metric is None and claim.by is None and not claim.mean_square
    return known and plain and claim.norm == 2 and claim.subject in ("map", "flow")


def _distance(task: Task) -> Verdict:
    from odespec.prove.engines.distance import decide_distance

    return decide_distance(task)


ENGINES = (Engine("gram", _is_distance, _distance),)


def decide(spec: Spec, section: Model | Network, claim: Claim, options: Options) -> Verdict:
    """The verdict on a claim of one of the spec's sections."""
    started = time.monotonic()
    deadline = None if options.seconds is None else started + options.seconds
    verdict = _decide(spec, section, claim, options, deadline)
    return replace(verdict, seconds=time.monotonic() - started)


def _decide(spec: Spec, section: Model | Network, claim: Claim, options: Options, deadline: float | None) -> Verdict:
    if isinstance(section, Network):
        return Verdict(claim, "unknown", "claims of a `network` are not decided yet")
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
