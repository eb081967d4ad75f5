"""Distance claims in the 2-norm by Gram problems: prove each side exactly, else look for weights that break it.

The numerical worst case fixes the order: where it lies within the claim a proof is tried first, where it lies beyond a
counterexample. Only an exact proof and a checked counterexample decide; the numbers only guide.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.ir.expr import depends_on
from odespec.ir.model import Model
from odespec.program.lower import NotLowered, lower, state_leaves
from odespec.program.step import StepProgram
from odespec.prove.boxes import boxed
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.problem import GramProblem
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.solve import finite
from odespec.prove.gram.threshold import Target, choose_tau
from odespec.prove.gram.worst import worst_case
from odespec.prove.memo import remembered
from odespec.prove.relate.relations import NoRelation, flow_problem, solvability_problem, step_problem
from odespec.prove.sides import Horizon, horizon_of, targets
from odespec.prove.verdict import Task, Verdict
from odespec.records import dataclass
from odespec.solvers import get

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

NEAR = 1e-6
"""A numerical worst case beyond the claim by no more than this, relatively, may in truth be within it."""

NEARLY = Fraction(99, 100)
"""The worst that was found is looked for among factors above this part of what the claim allows."""


NO_PROGRAM = "the prover has no step program for {} yet"
ADAPTIVE = (
    "an adaptive solver accepts or rejects steps, so its map is not continuous and no bound on distances is proved of it; "
    "`of flow` asks the claim of the exact solution, `steps = N` of the same method at a fixed step"
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of one side: ``tau`` is the numerical worst case of its problem, ``proof`` a proof of the target."""

    target: Target
    problem: GramProblem
    tau: float
    proof: Proof | None = None


def decide(task: Task) -> Verdict:
    """Prove or refute a distance claim about the map or the flow."""
    try:
        program = step_program(task.model, task.claim.subject)
    except NotLowered as error:
        return _unknown(task, ADAPTIVE if task.model.solver.steps is None else NO_PROGRAM.format(error.what))
    horizon = horizon_of(program, task.claim)
    if program.memory:
        from odespec.prove.engines import multistep

        return multistep.decide(task, program)
    try:
        start_known(task.model)
        within = program if horizon.flow else boxed(task.spec, program)
        bounds = tuple(_bound(within, t, horizon) for t in targets(task.claim, horizon, task.options.slack))
    except NoRelation as error:
        return _by_other_means(task, program, horizon) or refuted(task, program) or _unknown(task, str(error))
    if not any(_beyond(b, horizon) for b in bounds):
        bounds = tuple(_proved(b, horizon) for b in bounds)
        if all(b.proof is not None for b in bounds):
            verdict = _solvable(task, program, bounds, horizon)
            if verdict is not None:
                return _enclosed(task, program, verdict) if task.options.attain else verdict
    verdict = _by_other_means(task, program, horizon) or refuted(task, program)
    return verdict or _undecided(task, program, bounds, horizon)


def _by_other_means(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """What one step in one problem did not prove: the closed form of exponential steps, a quadratic form.

    The search for a form takes long where there is none, so a counterexample is looked for first, for a moment.
    """
    if task.options.quick:
        return None
    verdict = _in_closed_form(task, program, horizon) or refuted(task, program, hasty=True)
    return verdict or _by_form(task, program, horizon) or _from_the_start(task, program, horizon)


def _in_closed_form(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """The closed form of exponential steps."""
    if get(task.model.solver.name).family != "splitting":
        return None
    from odespec.prove.engines import exponential

    return exponential.proved(task, program, horizon)


def _from_the_start(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """A proof that begins with the given initial values, where they depend on others."""
    from odespec.prove.engines.endpoint import proved
    from odespec.prove.relate.segments import start_depends

    if horizon.flow or not start_depends(task.model, None):
        return None
    try:
        return proved(task, program, horizon)
    except NoRelation:
        return None


def _by_form(task: Task, program: StepProgram, horizon: Horizon) -> Verdict | None:
    """A proof by a quadratic form that no step lets grow."""
    from odespec.prove.lyapunov.whole import by_form

    return by_form(task, program, horizon)


@remembered
def step_program(model: Model, subject: str) -> StepProgram:
    """The step program; a claim of the flow reads only its model, so a solver that is not lowered yet will do.

    A path of the noise is an input like any other: both runs have the same one. Raises `NotLowered`.
    """
    if model.noises:
        return on_every_path(model, subject)
    try:
        return lower(model, history=subject == "map")
    except NotLowered:
        if subject != "flow" or model.time is None:
            raise
        return StepProgram(model, model.time.end - model.time.start, model.time.start, 1, (), state_leaves(model))


def on_every_path(model: Model, subject: str) -> StepProgram:
    """The step program with the noise's increments as inputs; of a flow, in which they must cancel, without them."""
    from odespec.program.stochastic import additive, with_path, without_noise

    if subject != "flow":
        return lower(with_path(lower(model, noise=True)))
    if not additive(model):
        raise NotLowered("the paths of a flow whose noise depends on the state", model.noises[0].span)
    return step_program(without_noise(model), subject)


def start_known(model: Model) -> None:
    """A given initial value must be common to both runs: then it adds nothing to the distance at the start."""
    for state in model.states:
        if state.initial is not None and depends_on(state.initial, "state"):
            raise NoRelation(f"the initial value of `{state.name}` depends on another state")


# --- proofs --------------------------------------------------------------------


def _bound(program: StepProgram, target: Target, horizon: Horizon) -> Bound:
    return Bound(target, *_worst(program, horizon.flow, not target.upper))


@remembered
def _worst(program: StepProgram, flow: bool, lower_side: bool) -> tuple[GramProblem, float]:
    problem = flow_problem(program.model, lower=lower_side) if flow else step_problem(program, lower=lower_side)
    return problem, worst_case(problem).value


@remembered
def _attempt(problem: GramProblem, tau: Fraction) -> Proof | None:
    return prove(problem, tau)


def _beyond(bound: Bound, horizon: Horizon) -> bool:
    """Whether the worst case lies beyond what the claim allows by more than the solver's inaccuracy (nan: it may not)."""
    if horizon.flow and bound.target.rated:
        return bound.tau > -float(bound.target.number) + NEAR
    growth, allowed = horizon.growth(bound.tau), horizon.allows(bound.target)
    return growth > allowed + NEAR * (1 + allowed) if bound.target.upper else growth < allowed - NEAR * (1 + allowed)


def _proved(bound: Bound, horizon: Horizon) -> Bound:
    """The bound with an exact proof of its target, where one is found."""
    number = bound.tau if math.isfinite(bound.tau) else None
    for tau in choose_tau(bound.problem, number, horizon.steps, bound.target):
        proof = _attempt(bound.problem, tau)
        if proof is not None:
            return replace(bound, proof=proof)
    return bound


def _solvable(task: Task, program: StepProgram, bounds: tuple[Bound, ...], horizon: Horizon) -> Verdict | None:
    """The verdict ``proved``, if the equations of an implicit step are shown to be uniquely solvable too."""
    problem = None if horizon.flow else solvability_problem(program)
    solvability: tuple[Proof, ...] = ()
    if problem is not None:
        proof = finite(problem)
        if proof is None:
            return None
        solvability = (proof,)
    certificate = _certificate(task, bounds, horizon, problem is not None, solvability)
    if certificate is None:
        return None
    return Verdict(
        task.claim,
        "proved",
        _statement(bounds, horizon),
        "gram",
        upper=_growth(bounds, horizon, upper=True),
        lower=_growth(bounds, horizon, upper=False),
        slack=task.options.slack,
        certificate=certificate,
    )


def _certificate(
    task: Task, bounds: tuple[Bound, ...], horizon: Horizon, implicit: bool, solvability: tuple[Proof, ...]
) -> Draft | None:
    """The certificate, if the independent auditor accepts it: nothing is called proved that it would reject."""
    from odespec.certificate.gram import Evidence, build

    steps = 1 if horizon.flow else horizon.steps
    evidence = [Evidence(b.target, ((b.proof, steps),)) for b in bounds if b.proof is not None]
    try:
        certificate = build(
            task.spec,
            task.model,
            task.claim,
            evidence,
            steps=horizon.steps,
            time=horizon.length,
            implicit=implicit,
            solvability=solvability,
        )
    except ValueError:  # an irrational time between two sides that would round it to opposite ends
        return None
    return certificate if certificate.accepted() else None


# --- the other verdicts --------------------------------------------------------


def refuted(task: Task, program: StepProgram, *, hasty: bool = False) -> Verdict | None:
    """The verdict ``refuted`` with its counterexample; None where none was found. ``hasty``: by a short search."""
    from odespec.prove.refute.distance import Budget, refute
    from odespec.prove.refute.search import Effort

    if not task.options.refute:
        return None
    budget = Budget(deadline=task.deadline)
    if hasty:
        budget = replace(budget, effort=Effort(samples=200, starts=6, rounds=8), sizes=(1, 2))
    found = refute(program, task.claim, seed=task.options.seed, budget=budget)
    if found is None:
        return None
    found = found.with_spec(task.spec)
    upper = found.side == "upper"
    return Verdict(
        task.claim,
        "refuted",
        found.sentence,
        "counterexample",
        lower=found.measured if upper else None,
        upper=None if upper else found.measured,
        counterexample=found,
    )


def _undecided(task: Task, program: StepProgram, bounds: tuple[Bound, ...], horizon: Horizon) -> Verdict:
    """Unknown, with the weaker bound that can be certified and the worst that was found."""
    if not task.options.refute:
        return _unknown(task, "not proved")
    certified = {b.target.upper: _certified(b, horizon) for b in bounds}
    parts = []
    for bound in bounds:
        value, side = certified[bound.target.upper], "at most" if bound.target.upper else "at least"
        known = f"{side} {value:.9g} is certified" if value is not None else f"no bound ({side}) is certified"
        parts.append(f"{known}, {side} {horizon.allows(bound.target):.9g} is claimed")
    attained = _attained(task, program, horizon.allows(bounds[0].target)) if len(bounds) == 1 else certified.get(False)
    if attained is not None and len(bounds) == 1:
        parts.append(f"the worst found is {attained:.9g}")
    reason = "; ".join(parts) + "; no counterexample was found"
    return Verdict(task.claim, "unknown", reason, "gram", lower=attained, upper=certified.get(True))


def _enclosed(task: Task, program: StepProgram, verdict: Verdict) -> Verdict:
    """A proved verdict with a factor that is attained as its other side, where it has none."""
    if verdict.lower is not None or verdict.upper is None:
        return verdict
    parts = (NEARLY, Fraction(9, 10), Fraction(1, 2), Fraction(1, 10))
    found = (_attained(task, program, verdict.upper, part) for part in parts)
    return replace(verdict, lower=next((x for x in found if x is not None), None))


def _attained(task: Task, program: StepProgram, allowed: float, part: Fraction = NEARLY) -> float | None:
    """A factor on distances above this part of what is allowed that weights within the constraints attain, if found."""
    from odespec.prove.refute.distance import Budget, refute

    weaker = replace(task.claim, name="lipschitz", upper=Fraction(allowed) * part, lower=None)
    found = refute(program, weaker, seed=task.options.seed, budget=Budget(deadline=task.deadline))
    return None if found is None else found.measured


def _certified(bound: Bound, horizon: Horizon) -> float | None:
    """A factor over the whole horizon that an exact proof gives, a little weaker than the numerical worst case."""
    if not math.isfinite(bound.tau):
        return None
    sign = 1 if bound.target.upper else -1
    for loose in (1e-9, 1e-6, 1e-4):
        near, far = (Fraction(bound.tau + sign * k * loose * (1 + abs(bound.tau))) for k in (1, 2))
        proof = prove(bound.problem, simplest_between(min(near, far), max(near, far)))
        if proof is not None:
            return outward(horizon.growth(float(proof.tau)), sign)
    return None


def outward(value: float, sign: int) -> float:
    """A factor nudged past the rounding of its floating-point evaluation."""
    return value * (1 + sign * 1e-12)


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "gram")


# --- words ---------------------------------------------------------------------


def _growth(bounds: tuple[Bound, ...], horizon: Horizon, *, upper: bool) -> float | None:
    taus = [b.proof.tau for b in bounds if b.proof is not None and b.target.upper == upper]
    return horizon.growth(float(taus[0])) if taus else None


def _statement(bounds: tuple[Bound, ...], horizon: Horizon) -> str:
    """``one step multiplies distances by at most 1, 32 steps by at most 1``."""
    return "; ".join(_sentence(b, horizon) for b in bounds)


def _sentence(bound: Bound, horizon: Horizon) -> str:
    assert bound.proof is not None
    tau, side = float(bound.proof.tau), "at most" if bound.target.upper else "at least"
    whole = horizon.growth(tau)
    if horizon.flow:
        over = f"over the time {float(horizon.length):g} distances are multiplied by {side} {whole:.9g}"
        return f"the logarithmic norm is {side} {tau:.9g}: {over}"
    one = f"one step multiplies distances by {side} {max(tau, 0.0) ** 0.5:.9g}"
    return one if horizon.steps == 1 else f"{one}, {horizon.steps} steps by {side} {whole:.9g}"
