"""A model's method and the form of its field, as the data that `odespec.certificate.auditor.order` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from odespec.exact import Real, enclose
from odespec.ir.expr import depends_on
from odespec.ir.model import Model
from odespec.program.splitting import parts
from odespec.prove.orders.degrees import Term, Terms, dependence
from odespec.prove.orders.numbers import RATIONAL, RadicalField, common_field
from odespec.prove.relate.words import text
from odespec.records import dataclass
from odespec.solvers import Composition, Multistep, RungeKutta, get, tableau
from odespec.solvers.series import SERIES

TIME = "t"


class NoOrder(Exception):
    """There are no order conditions for this model's method; the message says why."""


@dataclass(frozen=True, slots=True)
class OrderData:
    """``family`` and ``method`` as the auditor reads them, over the numbers of ``field``."""

    family: str
    method: dict[str, Any]
    field: RadicalField


def scheme_of(model: Model) -> object:
    """The scheme of the model's solver, or of its own tableau."""
    if model.solver.tableau is not None:
        return tableau(*model.solver.tableau)
    return get(model.solver.name).scheme


def header_time(model: Model) -> str:
    """The T of a certificate's header, just below it where it is irrational; these proofs do not read it."""
    if model.time is None:
        return str(model.solver.steps)
    return str(enclose(model.time.end - model.time.start, 128)[0])


def order_data(model: Model, order: int, *, coarse: bool) -> OrderData:
    """The conditions of a model's method up to an order.

    ``coarse``: the field may be any function of all states and the time; otherwise as its own expression has it.
    Raises `NoOrder`, and `odespec.exact.Undecided` for coefficients in no field Q(a^(1/n)).
    """
    if model.discrete:
        raise NoOrder("a map discretises nothing")
    name, scheme = model.solver.name, scheme_of(model)
    if isinstance(scheme, RungeKutta):
        field = common_field([*scheme.b, *scheme.c, *(a for row in scheme.A for a in row)])
        return OrderData("stages", runge_kutta(model, scheme, field, coarse), field)
    if isinstance(scheme, Composition):
        field = common_field(x for s in scheme.substeps for x in (s.size, s.at))
        return OrderData("stages", composition(model, scheme, field), field)
    if isinstance(scheme, Multistep):
        return OrderData("multistep", _multistep(model, scheme, coarse), RATIONAL)
    if name == "fused_euler":
        return OrderData("consistent", {"step": "(x + h r(t, x)) / (1 + h g(t, x)), f = r - g x"}, RATIONAL)
    if name in SERIES:
        return _splitting(model, order)
    raise NoOrder(f"the order of `{name}` is not a matter of order conditions that are known here")


# --- tableaux --------------------------------------------------------------------


def runge_kutta(model: Model, scheme: RungeKutta, field: RadicalField, coarse: bool) -> dict[str, Any]:
    one = {
        "A": [[field.write(a) for a in row] for row in scheme.A],
        "b": [field.write(b) for b in scheme.b],
    }
    groups = [_any_group(model)] if coarse else own_groups(model, [0] * len(model.states))
    return {"tableaux": [one], "times": [field.write(c) for c in scheme.c], "groups": groups}


def composition(model: Model, scheme: Composition, field: RadicalField) -> dict[str, Any]:
    """Stage i is the state before substep i: what the substeps before it have moved."""
    drift, kick = (_moves(scheme, kind, field) for kind in ("drift", "kick"))
    times = [field.write(s.at) for s in scheme.substeps]
    return {"tableaux": [drift, kick], "times": times, "groups": own_groups(model, [0, 1])}


def _moves(scheme: Composition, kind: str, field: RadicalField) -> dict[str, Any]:
    sizes: list[Real] = [s.size if s.kind == kind else Fraction(0) for s in scheme.substeps]
    none: list[Real] = [Fraction(0)] * len(sizes)
    rows = [sizes[:i] + none[i:] for i in range(len(sizes))]
    return {"A": [[field.write(a) for a in row] for row in rows], "b": [field.write(b) for b in sizes]}


def _any_group(model: Model) -> dict[str, Any]:
    term = {"free": ["x", TIME], "degrees": {}}
    return {"name": "x", "states": [s.name for s in model.states], "tableau": 0, "terms": [term]}


def own_groups(model: Model, tableaux: Sequence[int]) -> list[dict[str, Any]]:
    """Each state a group of its own, with the terms of its right-hand side."""
    names = group_names(model)
    return [
        {"name": names[s.name], "states": [s.name], "tableau": t, "terms": write_terms(own)}
        for s, t, own in zip(model.states, tableaux, field_terms(model), strict=True)
    ]


def group_names(model: Model) -> dict[str, str]:
    """The groups are called as their states."""
    return {s.name: s.name for s in model.states}


def field_terms(model: Model) -> list[Terms]:
    """How each right-hand side depends on the states and the time."""
    variables: dict[tuple[str, object], str] = {("state", s.name): s.name for s in model.states}
    variables["time", None] = TIME
    return [dependence(f, variables) for f in model.field]


def write_terms(terms: Iterable[Term]) -> list[dict[str, Any]]:
    ordered = sorted(terms, key=lambda t: (sorted(t.free), t.degrees))
    return [{"free": sorted(t.free), "degrees": dict(t.degrees)} for t in ordered]


# --- other families --------------------------------------------------------------


def _multistep(model: Model, scheme: Multistep, coarse: bool) -> dict[str, Any]:
    if any(p.per_step for p in model.params) or any(u.per_step for u in model.inputs):
        raise NoOrder("a multistep method mixes the data of several steps, and these jump from step to step")
    name = str(dict(model.solver.options).get("start") or scheme.start)
    starter = get(name).scheme
    if isinstance(starter, RungeKutta):
        start = runge_kutta(model, starter, RATIONAL, coarse)
    elif isinstance(starter, Composition) and len(model.states) == 2:
        start = composition(model, starter, RATIONAL)
    else:
        raise NoOrder(f"the order of `start = {name}` is not known here")
    return {
        "alpha": [RATIONAL.write(a) for a in scheme.alpha],
        "beta": [RATIONAL.write(b) for b in scheme.beta],
        "start": start,
    }


def _splitting(model: Model, order: int) -> OrderData:
    linear = parts(model)[0]
    if any(depends_on(e, "time") for e in linear):
        if order > 1:
            raise NoOrder("the linear part depends on the time")
        return OrderData(
            "consistent", {"step": f"a step of {model.solver.name} with the linear part of time t"}, RATIONAL
        )
    method = SERIES[model.solver.name](order + 1)
    write = RATIONAL.write
    data = {
        "start": [[write(x) for x in r] for r in method.start],
        "weights": [[[write(x) for x in a] for a in row] for row in method.weights],
        "last": [write(x) for x in method.last],
        "sum": [[write(x) for x in b] for b in method.sum],
        "times": [write(x) for x in method.times],
        "linear": "; ".join(text(e, 200) for e in linear),
    }
    return OrderData("series", data, RATIONAL)
