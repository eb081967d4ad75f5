"""Models built by hand, without the language."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest

from odespec.exact import Real
from odespec.ir.expr import Expr, leaf
from odespec.ir.model import Input, Model, Noise, Param, Solver, State, Time
from odespec.source import Source, Span

SPAN = Span(Source("hand", ""), 0, 0)
MakeModel = Callable[..., Model]


def make_model(
    field: dict[Expr, Expr],
    params: tuple[Expr, ...] = (),
    inputs: tuple[Expr, ...] = (),
    *,
    solver: str = "euler",
    steps: int | str | None = 4,
    time: tuple[int | Fraction, int | Fraction] = (0, 1),
    per_step: tuple[Expr, ...] = (),
    initial: dict[Expr, Expr] | None = None,
    output: Expr | None = None,
    noises: tuple[Noise, ...] = (),
    tableau: tuple[tuple[tuple[Real, ...], ...], tuple[Real, ...]] | None = None,
) -> Model:
    """A model from its states (leaves) and their fields; ``solver="map"`` makes a discrete one."""
    given = initial or {}
    discrete = solver == "map"
    return Model(
        name="Hand",
        doc=None,
        source=SPAN.source,
        span=SPAN,
        dims=(),
        consts=(),
        states=tuple(State(str(x.data), x.shape, given.get(x), None, SPAN) for x in field),
        params=tuple(Param(str(w.data), w.shape, None, w in per_step, SPAN) for w in params),
        inputs=tuple(Input(str(u.data), u.shape, None, u in per_step, SPAN) for u in inputs),
        noises=noises,
        graphs=(),
        field=tuple(field.values()),
        discrete=discrete,
        constraints=(),
        domains=(),
        solver=Solver(solver, steps, (), SPAN, tableau),
        time=None if discrete else Time(Fraction(time[0]), Fraction(time[1]), None, SPAN),
        output=None if output is None else ("y", output),
        claims=(),
    )


@pytest.fixture
def make() -> MakeModel:
    return make_model


@pytest.fixture
def state() -> Callable[[str, tuple[int, ...]], Expr]:
    return lambda name, shape: leaf("state", name, shape)
