"""The ways in which a claim about a scalar can be proved, as Gram problems with what else they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from odespec.exact import Undecided, sign
from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Model
from odespec.program.step import StepProgram
from odespec.prove.energy import problems
from odespec.prove.energy.scalar import TooManyTerms, degree
from odespec.prove.relate.relations import Reading
from odespec.records import dataclass
from odespec.solvers import Composition, Multistep, RungeKutta, get, tableau
from odespec.solvers.facts import algebraic_matrix, semidefinite
from odespec.solvers.quadratic import quadratic


@dataclass(frozen=True, slots=True)
class Argument:
    """Readings that are all to be shown at most (``lower``: at least) zero.

    ``method`` where rates carry over to its steps, of a V of that ``degree``; ``composed`` where they are about drifts and
    kicks; ``multistep`` where a multistep method keeps what every earlier step kept.
    ``constant`` where V is shown to be constant.
    """

    readings: tuple[Reading, ...]
    method: RungeKutta | None = None
    degree: int = 0
    composed: bool = False
    multistep: Multistep | None = None
    constant: bool = False


def senses(claim: Claim) -> tuple[bool, ...]:
    """Which sides are to be shown, as whether they are lower ones."""
    return (False, True) if claim.name == "conserves" else (False,)


def by_rate(
    model: Model, program: StepProgram | None, claim: Claim, core: Expr, sides: tuple[bool, ...]
) -> Argument | None:
    """Of the flow, the rate."""
    if claim.subject != "flow":
        return None
    return Argument(tuple(problems.rate(model, core, lower=low) for low in sides))


def by_step(
    model: Model, program: StepProgram | None, claim: Claim, core: Expr, sides: tuple[bool, ...]
) -> Argument | None:
    """The change over a step itself.

    An inequality may have room for rational coefficients instead of irrational ones, an equality has none.
    """
    if program is None:
        return None
    rounded = claim.name == "dissipates" and problems.irrational(program)
    return Argument(tuple(problems.change(program, core, lower=low, rounded=rounded) for low in sides))


def by_method(
    model: Model, program: StepProgram | None, claim: Claim, core: Expr, sides: tuple[bool, ...]
) -> Argument | None:
    """The rates at the stages, where the method adds nothing to them."""
    method = method_of(model) if claim.subject != "flow" else None
    if method is None or (program is None and not method.explicit):
        return None
    rank = max(_degree(core), 1)
    needs_shape = _needs_shape(method, rank, claim.name == "dissipates")
    if needs_shape is None:
        return None
    readings = [problems.rate(model, core, lower=low, method=method) for low in sides]
    if needs_shape:
        readings.append(problems.shape(model, core))
    return Argument(tuple(readings), method, rank)


def by_substeps(
    model: Model, program: StepProgram | None, claim: Claim, core: Expr, sides: tuple[bool, ...]
) -> Argument | None:
    """The change over drifts and kicks of any size."""
    if program is None or claim.name != "conserves" or not composed(model):
        return None
    pairs = [(kind, low) for kind in problems.SUBSTEPS for low in sides]
    return Argument(tuple(problems.substep(model, core, kind, lower=low) for kind, low in pairs), composed=True)


def by_multistep(
    model: Model, program: StepProgram | None, claim: Claim, core: Expr, sides: tuple[bool, ...]
) -> Argument | None:
    """The rates of an affine V that is constant."""
    method = multistep_of(model) if claim.subject != "flow" and claim.name == "conserves" else None
    if method is None or _degree(core) > 1:
        return None
    return Argument(tuple(problems.rate(model, core, lower=low) for low in sides), degree=1, multistep=method)


def multistep_of(model: Model) -> Multistep | None:
    """The multistep method of a model, if a Runge-Kutta method with stages inside its steps begins."""
    scheme = None if model.discrete or model.noises or model.solver.tableau else get(model.solver.name).scheme
    if not isinstance(scheme, Multistep):
        return None
    first = get(str(dict(model.solver.options).get("start") or scheme.start)).scheme
    inside = isinstance(first, RungeKutta) and all(sign(c) >= 0 and sign(1 - c) >= 0 for c in first.c)
    return scheme if inside else None


def composed(model: Model) -> bool:
    """Whether the steps are made of drifts and kicks."""
    if model.discrete or model.solver.tableau is not None or len(model.states) != 2:
        return False
    return isinstance(get(model.solver.name).scheme, Composition)


def method_of(model: Model) -> RungeKutta | None:
    """The Runge-Kutta method of a model, adaptive ones among them."""
    if model.discrete or model.noises:
        return None
    scheme = tableau(*model.solver.tableau) if model.solver.tableau is not None else get(model.solver.name).scheme
    return scheme if isinstance(scheme, RungeKutta) else None


def _degree(scalar: Expr) -> int:
    try:
        return degree(scalar)
    except TooManyTerms:
        return 99


def _needs_shape(method: RungeKutta, rank: int, dissipates: bool) -> bool | None:
    """Whether the shape of V matters; None where rates say nothing of steps."""
    try:
        positive = all(quadratic(x).sign >= 0 for x in method.b)
        matrix = algebraic_matrix(method)
    except Undecided:
        return None
    if rank > 2 or (dissipates and not positive):
        return None
    if rank == 1 or not any(x.sign for row in matrix for x in row):
        return False
    return True if dissipates and semidefinite(matrix) else None


Maker = Callable[[Model, "StepProgram | None", Claim, Expr, tuple[bool, ...]], "Argument | None"]
"""Makes an argument for a claim, where it is one of its kind. Raises `NoRelation`."""

PLAIN: tuple[Maker, ...] = (by_rate, by_method, by_substeps, by_multistep)
FULL: tuple[Maker, ...] = (by_step,)
"""The arguments to try: before, and after a first glance at random weights."""


def made(make: Maker, model: Model, program: StepProgram | None, claim: Claim, core: Expr) -> Argument | None:
    """The argument for a claim; where there is none that V never grows, the one that it is constant."""
    strict = replace(claim, name="conserves")
    for asked in (claim, strict) if claim != strict else (strict,):
        found = make(model, program, asked, core, senses(asked))
        if found is not None:
            return replace(found, constant=asked.name == "conserves")
    return None
