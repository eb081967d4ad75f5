"""``symplectic``, ``reversible`` and ``invertible``: exact algebra on the step and the field, else a counterexample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from odespec.exact import Undecided
from odespec.ir.expr import Expr, depends_on, postorder, substitute
from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered, lower, state_leaves
from odespec.program.step import StepProgram
from odespec.prove.orders.method import header_time, scheme_of
from odespec.prove.relate.intervals import Intervals
from odespec.prove.relate.relations import NoRelation
from odespec.prove.structure.hamiltonian import NoPairs, Pair, blocks, is_hamiltonian, pairs
from odespec.prove.structure.inner import distances, equations, lipschitz_field, solvable
from odespec.prove.structure.letters import NoWords
from odespec.prove.structure.lipschitz import lipschitz_rules
from odespec.prove.structure.moves import Moves, find_moves, known_inputs
from odespec.prove.structure.shears import shears_of
from odespec.prove.structure.state import state_hamiltonian, state_moves, state_shears
from odespec.prove.verdict import Task, Verdict
from odespec.solvers import Multistep, RungeKutta
from odespec.solvers.facts import symplectic
from odespec.weights.evaluate import Unsupported

if TYPE_CHECKING:
    from odespec.certificate.build import Draft
    from odespec.prove.refute.counterexample import Counterexample

Route = tuple[str, dict[str, Any]]
"""The name of a route of `odespec.certificate.auditor.structure`, and its data."""


def decide(task: Task) -> Verdict:
    """Prove or refute a claim about the structure of a step, or of the flow."""
    if task.model.noises:
        return _unknown(task, "the structure of a step with noise is not looked at")
    try:
        for route, data in routes(task.model, task.claim):
            certificate = _certificate(task, route, data)
            if certificate.accepted():
                return Verdict(task.claim, "proved", SAID[route], "structure", certificate=certificate)
        if task.claim.name == "reversible" and _one_to_one(task):
            return _unknown(task, "the step is a bijection, but no inverse in closed form was found")
        reason = UNDECIDED[task.claim.name]
    except (NoPairs, NoWords, NotLowered, Undecided) as error:
        reason = error.what if isinstance(error, NotLowered) else str(error)
        if isinstance(error, NoPairs):
            return _unknown(task, reason)
    return _refuted(task) or _unknown(task, reason)


SHORTENED = (63, 15, 255, 3, 0)
"""Of an adaptive solver steps over these parts of the time (less one) are looked at."""

SAID = {
    "runge-kutta": "the field is Hamiltonian and the method has b_i a_ij + b_j a_ji = b_i b_j",
    "hamiltonian flow": "the field is Hamiltonian",
    "shears": "a step is a sequence of shears by gradients",
    "moves": "a step is a sequence of moves with inverses in closed form",
    "distances": "a step keeps a positive part of every distance",
    "equations": "the equations of a step forward and of a step back have one solution each",
    "lipschitz field": "the field is Lipschitz",
    "lipschitz rules": "for any weights the field is Lipschitz",
}
UNDECIDED = {
    "symplectic": "the step is not seen to keep the two-form, and no counterexample was found",
    "reversible": "no inverse in closed form was found, and no two states with one image",
    "invertible": "distances are not shown to keep a positive part, and no two states with one image were found",
}


def routes(model: Model, claim: Claim) -> Iterator[Route]:
    """Ways to prove a claim, for the auditor to check.

    Raises `NoPairs`, `NoWords`, `NotLowered`, `odespec.exact.Undecided`.
    """
    attempt = _symplectic if claim.name == "symplectic" else _bijective
    yield from attempt(all_states(model), claim)


def resolved(claim: Claim) -> str:
    return claim.name + (" of flow" if claim.subject == "flow" else "")


def all_states(model: Model) -> Model:
    """The model with every state free: these claims speak of a step on all states."""
    states = tuple(replace(s, initial=None) for s in model.states)
    return replace(model, states=states, domains=known_inputs(model))


# --- symplectic ------------------------------------------------------------------


def _symplectic(model: Model, claim: Claim) -> Iterator[Route]:
    chosen = pairs(model)
    if claim.subject == "flow":
        found = _hamiltonian(model, chosen)
        if found is not None:
            yield "hamiltonian flow", state_hamiltonian(found, chosen)
        return
    if not isinstance(model.solver.steps, int):
        return
    scheme = None if model.discrete else scheme_of(model)
    if isinstance(scheme, RungeKutta):
        yield from _runge_kutta(model, chosen, scheme)
        return
    moves = moves_of(model)
    shears = None if moves is None else shears_of(moves, chosen, model)
    if shears is not None:
        yield "shears", state_shears(shears, chosen)


def _hamiltonian(model: Model, chosen: tuple[Pair, ...]) -> Any:
    found = blocks({s.name: f for s, f in zip(model.states, model.field, strict=True)}, model)
    return found if is_hamiltonian(found, chosen) else None


def _runge_kutta(model: Model, chosen: tuple[Pair, ...], scheme: RungeKutta) -> Iterator[Route]:
    found = _hamiltonian(model, chosen) if symplectic(scheme) else None
    if found is None:
        return
    try:
        forward = solvable(lower(model))
    except NoRelation:
        return
    if forward is not None:
        yield "runge-kutta", {**state_hamiltonian(found, chosen, scheme), "forward": forward}


# --- bijections ------------------------------------------------------------------


def _bijective(model: Model, claim: Claim) -> Iterator[Route]:
    if claim.subject == "flow":
        rules = lipschitz_rules(model) if not model.discrete else None
        if rules is not None:
            yield "lipschitz rules", rules
        data = lipschitz_field(model)
        if data is not None:
            yield "lipschitz field", data
        return
    moves = moves_of(model)
    if moves is not None:
        yield "moves", state_moves(moves, Intervals((*model.constraints, *known_inputs(model))))
    if claim.name == "invertible":
        yield from _by_distances(model)


def _by_distances(model: Model) -> Iterator[Route]:
    program = lower(model)
    if any(depends_on(e, "past") for e in program.update):
        return
    data = distances(program)
    if data is not None:
        yield "distances", data
    scheme = None if model.discrete else scheme_of(model)
    if isinstance(scheme, RungeKutta):
        data = equations(model, scheme, program)
        if data is not None:
            yield "equations", data


def _one_to_one(task: Task) -> bool:
    """Whether there are no two states with one image to be looked for."""
    return any(True for _ in _by_distances(all_states(task.model)))


def moves_of(model: Model) -> Moves | None:
    """A step as moves of the states, and of what a multistep method remembers. Raises `NotLowered`."""
    program: StepProgram = lower(model, history=True)
    slots = [*state_leaves(model), *(m.past for m in program.memory)]
    images = _without_stages(program, [*program.update, *(m.after for m in program.memory)])
    return None if images is None else find_moves(slots, images, model)


def _without_stages(program: StepProgram, images: Sequence[Expr]) -> tuple[Expr, ...] | None:
    """Expressions with the unknowns of implicit equations put in; None where these depend on each other in a circle."""
    equations = dict(pair for s in program.solves for pair in zip(s.unknowns, s.values, strict=True))
    known: dict[Expr, Expr] = {}
    while len(known) < len(equations):
        free = {u: v for u, v in equations.items() if u not in known and not (_stages(v) - known.keys())}
        if not free:
            return None
        known |= dict(zip(free, substitute(free.values(), known), strict=True))
    return substitute(images, known)


def _stages(e: Expr) -> set[Expr]:
    return {n for n in postorder(e) if n.op == "stage"}


# --- verdicts --------------------------------------------------------------------


def _certificate(task: Task, route: str, data: dict[str, Any]) -> Draft:
    from odespec.certificate.auditor.structure import NEEDED
    from odespec.certificate.build import draft

    steps = task.model.solver.steps
    return draft(
        task.spec,
        task.model,
        task.claim,
        "structure",
        {"route": route, "data": data},
        resolved=resolved(task.claim),
        steps=steps if isinstance(steps, int) else 0,
        time=header_time(task.model),
        assumptions=NEEDED,
    )


def _refuted(task: Task) -> Verdict | None:
    if task.model.solver.steps == "auto" or not task.options.refute:
        return None
    try:
        found = _against_two_form(task) if task.claim.name == "symplectic" else _against_bijection(task)
    except (NotLowered, Unsupported):
        return None
    if found is None:
        return None
    found = found.with_spec(task.spec)
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", counterexample=found)


def _against_two_form(task: Task) -> Counterexample | None:
    from odespec.prove.structure.twoform import refute_hamiltonian, refute_symplectic

    model = task.model
    if task.claim.subject == "flow":
        return refute_hamiltonian(task)
    if model.solver.steps is None:
        return next((c for n in SHORTENED if (c := refute_symplectic(task, whole=False, number=n))), None)
    several = not model.discrete and isinstance(scheme_of(model), Multistep)
    return refute_symplectic(task, whole=several)


def _against_bijection(task: Task) -> Counterexample | None:
    from odespec.prove.structure.folds import refute_bijection

    if task.claim.subject == "flow" or not isinstance(task.model.solver.steps, int):
        return None
    if not task.model.discrete and isinstance(scheme_of(task.model), Multistep):
        return None
    return refute_bijection(task)


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "structure")
