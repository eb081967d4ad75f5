"""The solver of a model as the data that an auditor derives characteristic polynomials from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from odespec.exact import Real, Undecided, enclose
from odespec.ir.model import Model
from odespec.program.lower import NotLowered, lower, state_leaves
from odespec.program.splitting import parts
from odespec.solvers import Composition, Multistep, RungeKutta, get, tableau
from odespec.solvers.quadratic import quadratic

OTHER = {"family": "other"}
"""A method of which only a step that expands no distance can be shown."""

BITS = 128
"""To which an irrational time is rounded up."""

EMPTY: dict[str, Any] = {"h": "1", "A": [], "b": [], "alpha": [], "beta": [], "substeps": []}


class NoScheme(Exception):
    """The solver has no such data; the message completes a sentence."""


def scheme_of(model: Model, subject: str) -> dict[str, Any]:
    """The scheme. Raises `NoScheme`."""
    if subject == "flow":
        return {**EMPTY, "family": "flow"}
    if model.noises:
        raise NoScheme("the noise of a stochastic solver has no frozen step")
    if not isinstance(model.solver.steps, int):
        raise NoScheme(f"`{model.solver.name}` has no fixed step here: `stable of flow` can be asked")
    if model.discrete or model.solver.name == "fused_euler":
        if rounded(model):
            raise NoScheme("the step of a fused method is an irrational number")
        return {**EMPTY, "family": "map", "h": str(step(model))}
    h = str(step(model))
    if model.solver.name == "imex_euler":
        return {**EMPTY, "family": "imex", "h": h}
    if model.solver.name == "etd1" and (rate := _rate(model)):
        return {**EMPTY, "family": "exponential", "h": h, "alpha": [str(rate)]}
    scheme = tableau(*model.solver.tableau) if model.solver.tableau is not None else get(model.solver.name).scheme
    return {**EMPTY, **_data(scheme), "h": h}


def rounded(model: Model) -> bool:
    """Whether the step is irrational, and `step` a little larger."""
    return isinstance(model.solver.steps, int) and not isinstance(model.step_size, Fraction)


def step(model: Model) -> Fraction:
    """The step, or a fraction just above it."""
    assert isinstance(model.solver.steps, int)
    if model.time is None:
        return Fraction(1)
    return enclose(model.time.end - model.time.start, BITS)[1] / model.solver.steps


def _rate(model: Model) -> Fraction | None:
    """The a of a linear part ``a x``, the same for all states; None where it is another one."""
    try:
        linear = parts(model)[0]
    except NotLowered:
        return None
    found = set()
    for e, x in zip(linear, state_leaves(model), strict=True):
        known = e.op == "mul" and e.args[1] == x and isinstance(e.args[0].data, Fraction) and e.args[0].op == "const"
        found.add(e.args[0].data if known else Fraction(1) if e == x else None)
    rate = found.pop() if len(found) == 1 else None
    return rate if isinstance(rate, Fraction) else None


def _data(scheme: object) -> dict[str, Any]:
    if isinstance(scheme, RungeKutta):
        A = [[written(a) for a in row] for row in scheme.A]
        return {"family": "runge-kutta", "A": A, "b": [written(w) for w in scheme.b]}
    if isinstance(scheme, Multistep):
        alpha, beta = ([str(_rational(c)) for c in row] for row in (scheme.alpha, scheme.beta))
        return {"family": "multistep", "alpha": alpha, "beta": beta}
    if isinstance(scheme, Composition):
        return {"family": "partitioned", "substeps": [[s.kind, written(s.size)] for s in scheme.substeps]}
    return OTHER


def _rational(value: Real) -> Fraction:
    if not isinstance(value, Fraction):
        raise NoScheme("a coefficient of the method is irrational")
    return value


def written(value: Real) -> str:
    """A number as the auditor reads it. Raises `NoScheme`."""
    try:
        x = quadratic(value)
    except Undecided:
        return cubic(value)
    return str(x.a) if x.b == 0 else f"[{x.a}, {x.b}] with root 2 of {x.d}"


def cubic(value: Real) -> str:
    """A number of the field of the cube root of two, in which composition methods have their steps."""
    parts = _cubic(value)
    if not any(parts[1:]):
        return str(parts[0])
    return f"[{', '.join(map(str, parts))}] with root 3 of 2"


def _cubic(value: Real) -> tuple[Fraction, ...]:
    if isinstance(value, Fraction):
        return (value, Fraction(0), Fraction(0))
    if value.op == "root":
        if value.degree != 3 or value.args != (Fraction(2),):
            raise NoScheme("a coefficient of the method lies in no field that is known here")
        return (Fraction(0), Fraction(1), Fraction(0))
    parts = [_cubic(a) for a in value.args]
    if value.op == "add":
        return tuple(a + b for a, b in zip(*parts, strict=True))
    return _times(*parts) if value.op == "mul" else _inverse(parts[0])


def _times(p: tuple[Fraction, ...], q: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    total = [Fraction(0)] * 3
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            total[(i + j) % 3] += a * b * (2 if i + j > 2 else 1)
    return tuple(total)


def _inverse(p: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """By the other two conjugates, whose product is rational in the field."""
    a, b, c = p
    others = (a * a - 2 * b * c, 2 * c * c - a * b, b * b - a * c)
    norm = _times(p, others)[0]
    return tuple(x / norm for x in others)


def asked(model: Model, family: str) -> Model:
    """The model whose linearised field the scheme is about: for a fused step the step itself, as a map.

    Raises `NoScheme`.
    """
    if family != "map" or model.discrete:
        return model
    try:
        return replace(model, field=lower(model).update)
    except NotLowered as error:
        raise NoScheme(f"there is no step program for {error.what}") from None
