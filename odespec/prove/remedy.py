"""Remedies: the smallest changes of a spec with which a claim that did not come out is proved.

Each is found by running the prover on the changed model, and the number that is given was itself proved. Numbers are
searched by doubling and halving: that the next smaller (larger) one fails is said only of what was tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil, floor

from odespec.exact import Real
from odespec.ir.model import Claim, Model, Network, Relation, Spec
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.verdict import SECONDS, Options, Verdict
from odespec.records import dataclass
from odespec.solvers import SOLVERS, Composition

DOUBLINGS = 12
"""How far a number is taken from where it stands: by a factor of 4096."""

PRECISION = Fraction(1, 2000)
"""Numbers are given to about three digits."""

MOST = 3
"""Remedies that are looked for, for one claim."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """``line`` is what to write in the spec; with it the claim was proved. ``beyond`` was tried and is not proved."""

    line: str
    beyond: str | None = None

    def sentence(self) -> str:
        """``with `solver euler(steps = 40)` it is proved (not with 39)``."""
        return f"with `{self.line}` it is proved" + (f" (not with {self.beyond})" if self.beyond else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """One claim that is to be proved of changed models."""

    spec: Spec
    model: Model
    claim: Claim
    options: Options
    deadline: float

    def proves(self, model: Model, spec: Spec | None = None, *, quick: bool = True) -> bool:
        """Whether the claim is proved of another model; False once the time is up.

        Many are tried, so (``quick``) not every way to a proof is.
        """
        from odespec.prove.decide import decide

        if time.monotonic() > self.deadline:
            return False
        claim = replace(self.claim, negated=False)
        return (
            decide(spec or self.spec, model, claim, replace(self.options, refute=False, quick=quick)).verdict
            == "proved"
        )


def remedies(spec: Spec, section: Model | Network, verdict: Verdict, options: Options) -> tuple[Remedy, ...]:
    """What would make a claim come out that did not; empty for one that did, and where nothing was found."""
    claim = verdict.claim
    if verdict.ok or isinstance(section, Network):
        return ()
    if verdict.verdict == "proved":
        return (Remedy(f"claim {claim.text}"),)
    if claim.negated:
        return ()
    trial = Trial(
        spec, section, claim, options, time.monotonic() + (SECONDS if options.seconds is None else options.seconds)
    )
    found: list[Remedy] = []
    for kind in (more_steps, shorter_time, other_constants, smaller_norms, other_solvers):
        found.extend(kind(trial))
        if len(found) >= MOST:
            break
    return tuple(found[:MOST])


# --- what can be changed -------------------------------------------------------------


def more_steps(trial: Trial) -> Iterator[Remedy]:
    """The fewest steps, more than there are, with which the claim is proved."""
    steps = trial.model.solver.steps
    if not isinstance(steps, int) or trial.model.discrete or trial.claim.subject == "flow":
        return
    unit = divisor(trial.model)
    count = fewest(lambda n: trial.proves(with_steps(trial.model, n * unit)), max(1, steps // unit))
    if count is not None:
        fewer = (count - 1) * unit
        beyond = None if trial.proves(with_steps(trial.model, fewer), quick=False) else str(fewer)
        yield Remedy(_solver_line(trial.model.solver.name, count * unit), beyond)


def shorter_time(trial: Trial) -> Iterator[Remedy]:
    """The largest time, shorter than it is, with the same number of steps."""
    span = trial.model.time
    whole = span.end - span.start if span else None
    if span is None or not isinstance(whole, Fraction):
        return

    def shortened(length: Fraction) -> Model:
        return replace(trial.model, time=replace(span, end=span.start + length))

    length = nearest(lambda v: trial.proves(shortened(v)), whole, larger=False)
    if length is not None:
        yield Remedy(f"time {_number(span.start)} .. {_number(span.start + length)}")


def other_constants(trial: Trial) -> Iterator[Remedy]:
    """For each scalar constant the nearest value, larger or smaller, with which the claim is proved."""
    for name, value in trial.model.consts:
        if isinstance(value, Fraction) and value > 0:
            for larger in (True, False):
                changed = nearest(partial(_constant, trial, name), value, larger=larger)
                if changed is not None:
                    yield Remedy(f"const {name} = {_number(changed)}")
                    break


def smaller_norms(trial: Trial) -> Iterator[Remedy]:
    """For each bound of a norm the largest smaller one with which the claim is proved."""
    for k, relation in enumerate(trial.model.constraints):
        bound = relation.upper
        if relation.quantity == "norm" and isinstance(bound, Fraction) and bound > 0 and not relation.equal:
            tighter = nearest(partial(_tighter, trial, k), bound, larger=False)
            if tighter is not None:
                yield Remedy(f"constraint {_left(relation)} <= {_number(tighter)}")


def other_solvers(trial: Trial) -> Iterator[Remedy]:
    """The other solvers of the table with which the claim is proved, with the same steps."""
    steps, own = trial.model.solver.steps, trial.model.solver
    if not isinstance(steps, int) or trial.model.discrete or trial.claim.subject == "flow":
        return
    for name, method in SOLVERS.items():
        if name == own.name or not _fits(name, trial.model):
            continue
        if trial.proves(replace(trial.model, solver=replace(own, name=name, tableau=None, options=()))):
            yield Remedy(_solver_line(name, steps))
            if method.family != "implicit":
                return


# --- searches ------------------------------------------------------------------------


def fewest(holds: Callable[[int], bool], known: int) -> int | None:
    """The smallest count above ``known`` (which does not hold) that doubling and halving finds."""
    low, high = known, known
    for _ in range(DOUBLINGS):
        low, high = high, 2 * high
        if holds(high):
            break
    else:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def nearest(holds: Callable[[Fraction], bool], value: Fraction, *, larger: bool) -> Fraction | None:
    """The number nearest to ``value`` (which does not hold), to `PRECISION`, that doubling and halving finds."""
    good = bad = value
    for _ in range(DOUBLINGS):
        bad, good = good, good * 2 if larger else good / 2
        if holds(good):
            break
    else:
        return None
    while abs(good - bad) > PRECISION * good:
        third = (good - bad) / 3
        middle = simplest_between(min(bad + third, good - third), max(bad + third, good - third))
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    short = _short(good, up=larger)
    return short if short == good or holds(short) else good


def _short(value: Fraction, *, up: bool) -> Fraction:
    """The nearest decimal of three digits that is not below (not above) a positive number."""
    exponent = 0
    while value * Fraction(10) ** exponent < 100:
        exponent += 1
    while value * Fraction(10) ** exponent >= 1000:
        exponent -= 1
    scaled = value * Fraction(10) ** exponent
    return Fraction(ceil(scaled) if up else floor(scaled)) / Fraction(10) ** exponent


# --- changed models ------------------------------------------------------------------


def with_steps(model: Model, steps: int) -> Model:
    """The model with another number of steps of the same solver."""
    return replace(model, solver=replace(model.solver, steps=steps))


def divisor(model: Model) -> int:
    """What the number of steps must be a multiple of, for the times at which states are saved."""
    saved = model.time.save if model.time else None
    return max(1, (saved or 2) - 1)


def _tighter(trial: Trial, number: int, bound: Fraction) -> bool:
    """Whether the claim is proved with another bound in one of the constraints."""
    constraints = list(trial.model.constraints)
    constraints[number] = replace(constraints[number], upper=bound)
    return trial.proves(replace(trial.model, constraints=tuple(constraints)))


def _constant(trial: Trial, name: str, value: Fraction) -> bool:
    """Whether the claim is proved with another value of a constant."""
    other = _reloaded(trial, name, value)
    return other is not None and trial.proves(other[1], other[0])


def _reloaded(trial: Trial, name: str, value: Fraction) -> tuple[Spec, Model] | None:
    """The spec with another value of a constant; None where it has errors then."""
    from pathlib import Path

    from odespec.diagnostics import Report
    from odespec.ir.load import load_source

    report, source = Report(), trial.spec.source
    path = Path(source.name)
    spec = load_source(source, {**dict(trial.spec.overrides), name: str(value)}, report, path.parent, path)
    if spec is None or report.failed:
        return None
    return next(((spec, s) for s in spec.sections if isinstance(s, Model) and s.name == trial.model.name), None)


def _fits(name: str, model: Model) -> bool:
    """Whether a solver can take the model as it stands."""
    from odespec.program.lower import separable

    method = SOLVERS[name]
    if method.family in ("map", "custom", "stochastic") or "steps" not in method.keywords or model.noises:
        return False
    if isinstance(method.scheme, Composition):
        return len(model.states) == 2 and (not method.scheme.separable or separable(model))
    return True


# --- words ---------------------------------------------------------------------------


def _solver_line(name: str, steps: int) -> str:
    return f"solver {name}(steps = {steps})"


def _left(relation: Relation) -> str:
    """The left side as it stands in the spec."""
    return relation.span.text.split("<=")[0].removeprefix("constraint").strip()


def _number(value: Real) -> str:
    """A decimal where it is a short one, else a fraction."""
    if isinstance(value, Fraction):
        text = f"{float(value):.10g}"
        return text if Fraction(text) == value else str(value)
    return f"{float(value):.10g}"
