"""``order >= p``: the order conditions in exact arithmetic, else a field of the spec on which the method is slower."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.exact import Undecided
from odespec.ir.model import Claim, Model
from odespec.program.lower import NotLowered
from odespec.prove.orders.method import NoOrder, OrderData, header_time, order_data
from odespec.prove.verdict import Task, Verdict
from odespec.solvers import RungeKutta, get

if TYPE_CHECKING:
    from odespec.certificate.build import Draft

MAX_ORDER = 8
"""Conditions of a higher order are not looked at."""


def decide(task: Task) -> Verdict:
    """Prove or refute a claim about the order of convergence."""
    order = claimed(task.claim)
    if task.model.discrete:
        return _unknown(task, "a map discretises nothing, so it has no order of convergence")
    if task.model.noises:
        return _unknown(task, "whether the strong or the weak order is meant of a stochastic method is not said")
    certificate, reason = _proved(task, order)
    if certificate is not None:
        return Verdict(
            task.claim, "proved", f"all order conditions hold up to order {order}", "order", certificate=certificate
        )
    if _published(task.model, order):
        return _unknown(
            task, "the coefficients are published as decimals, which fulfil the order conditions nearly only"
        )
    return _refuted(task, order) or _unknown(task, reason)


def _published(model: Model, order: int) -> bool:
    """Whether the order is that of a method whose coefficients are roundings: of these, it is no fault."""
    if model.solver.tableau is not None:
        return False
    method = get(model.solver.name)
    return isinstance(method.scheme, RungeKutta) and method.order is not None and order <= method.order


def _proved(task: Task, order: int) -> tuple[Draft | None, str]:
    """The certificate, or why there is none."""
    reason = f"conditions of an order above {MAX_ORDER} are not looked at"
    for coarse in (True, False) if order <= MAX_ORDER else ():
        try:
            data = order_data(task.model, order, coarse=coarse)
        except (NoOrder, NotLowered, Undecided) as error:
            return None, error.what if isinstance(error, NotLowered) else str(error)
        certificate = _certificate(task, data, order)
        if certificate.accepted():
            return certificate, ""
        reason = f"an order condition does not hold, and no field of the spec was found that shows order below {order}"
    return None, reason


def _certificate(task: Task, data: OrderData, order: int) -> Draft:
    from odespec.certificate.auditor.order import NEEDED
    from odespec.certificate.build import draft

    proof = {"order": order, "field": data.field.data(), "family": data.family, "method": data.method}
    steps = task.model.solver.steps
    return draft(
        task.spec,
        task.model,
        task.claim,
        "order",
        proof,
        resolved=f"order >= {order}",
        steps=steps if isinstance(steps, int) else 0,
        time=header_time(task.model),
        assumptions=NEEDED,
    )


def _refuted(task: Task, order: int) -> Verdict | None:
    from odespec.prove.orders.witness import slower

    if not task.options.refute:
        return None
    try:
        found = slower(task.model, task.claim, order, task.options.seed, task.deadline)
    except NotLowered:
        return None
    if found is None:
        return None
    found = found.with_spec(task.spec)
    return Verdict(task.claim, "refuted", found.sentence, "counterexample", upper=found.measured, counterexample=found)


def claimed(claim: Claim) -> int:
    """The order of the claim, a whole number from 1 on."""
    assert isinstance(claim.lower, Fraction) and claim.lower.denominator == 1
    return claim.lower.numerator


def _unknown(task: Task, reason: str) -> Verdict:
    return Verdict(task.claim, "unknown", reason, "order")
