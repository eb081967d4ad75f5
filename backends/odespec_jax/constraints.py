"""How the plan of `odespec.program.enforce` is written in JAX: drawing, constraining, checking and loading a weight."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from odespec.exact import Real
from odespec.ir.expr import Shape
from odespec.program.enforce import Check, Enforcement, Raw, Step
from odespec.program.floats import above, below
from odespec.program.text import quoted, shape_of


def full_shape(plan: Enforcement, shape: Shape, steps: int) -> Shape:
    """The shape of a stored array or a weight, with the axis of the steps where there is one."""
    return (steps, *shape) if plan.param.per_step else shape


# --- drawing -------------------------------------------------------------------


def drawn(plan: Enforcement, steps: int, key: Callable[[], str]) -> list[tuple[str, str]]:
    """The raw entry of a parameter at random: pairs of a role and a text. ``key`` gives an unused key."""
    return [(raw.role, _drawn(raw, full_shape(plan, raw.shape, steps), key)) for raw in plan.raw]


def _drawn(raw: Raw, shape: Shape, key: Callable[[], str]) -> str:
    if raw.role == "factor":
        return f"_random_orthogonal({key()}, {shape_of(shape)}, dtype)"
    if raw.role == "generator":
        return f"jnp.zeros({shape_of(shape)}, dtype)"
    fan_in = prod(raw.shape[1:]) if len(raw.shape) > 1 else prod(raw.shape)
    return f"_normal({key()}, {shape_of(shape)}, {fan_in}, dtype)"


# --- from stored arrays to the weight ------------------------------------------


def constrained(plan: Enforcement, local: str) -> list[str]:
    """The lines that compute the weight under a local name."""
    entry = f"params[{quoted(plan.param.name)}]"
    stored = {raw.role: f"jnp.asarray({entry}{_place(plan, raw.role)})" for raw in plan.raw}
    first = plan.steps[0].op if plan.steps else None
    if first not in ("rotation", "polar"):
        return [f"{local} = {stored['value']}", *(f"{local} = {_applied(s, local, plan)}" for s in plan.steps)]
    arguments = [stored[role] for role in ("value", "generator", "factor") if role in stored]
    if first == "polar":
        arguments += [_text(x, side) for x, side in zip(plan.steps[0].numbers, (above, below), strict=True)]
    lines = [f"{local} = _{first}(", *(f"    {a}," for a in arguments), ")"]
    return lines + [f"{local} = {_applied(s, local, plan)}" for s in plan.steps[1:]]


def _place(plan: Enforcement, role: str) -> str:
    return f"[{quoted(role)}]" if len(plan.raw) > 1 else ""


NORMS: dict[str, Callable[[str, int, Step], str]] = {
    "spectral": lambda v, axes, step: f"_spectral_norm({v})",
    "rows": lambda v, axes, step: f"_row_sum({v})",
    "columns": lambda v, axes, step: f"_column_sum({v})",
    "euclid": lambda v, axes, step: f"_euclidean({v}, {axes})",
    "absolute": lambda v, axes, step: f"_absolute_sum({v}, {axes})",
    "conv": lambda v, axes, step: f"_circular_norm({v}, {_grid(step)})",
}
PLAIN = ("skew", "symmetric", "outer", "diagonal", "simplex")


def _grid(step: Step | Check) -> str:
    assert step.convolution is not None
    return f"{shape_of(step.convolution.spatial)}, {step.convolution.groups}"


def _applied(step: Step, v: str, plan: Enforcement) -> str:
    if step.op in PLAIN:
        return f"_{step.op}({v})"
    if step.op in NORMS:
        axes = len(plan.raw[0].shape)
        more = "" if axes == 2 else f", {axes}"
        return f"_scale({v}, {NORMS[step.op](v, axes, step)}, {_text(step.numbers[0], below)}{more})"
    if step.op == "parts":
        return f"_parts({v}, {', '.join(_text(n, below) for n in step.numbers)})"
    if step.op in ("fold", "eigenvalues"):
        lower, upper = step.numbers
        return f"_{step.op}({v}, {_text(lower, above)}, {_text(upper, below)})"
    if step.op == "centre":
        last = [i - len(plan.param.shape) for i in step.axes]
        return f"_centre({v}, {_text(step.numbers[0])}, {shape_of(last)})"
    if step.op == "fixed":
        return f"jnp.full_like({v}, {_text(step.numbers[0])})"
    if step.op == "shift":
        return f"_shift({', '.join([v, *map(_text, step.numbers)])})"
    raise KeyError(step.op)


def _text(value: Real | None, rounded: Callable[[Real], float] = float) -> str:
    return "None" if value is None else repr(rounded(value))


# --- checking and loading ------------------------------------------------------


def checked(plan: Enforcement, local: str) -> list[str]:
    """The lines that raise ValueError where a given weight, an array of float64, breaks a constraint."""
    if not plan.checks:
        return []
    axes = min(len(plan.param.shape), 2)
    lines = [f"near = _tolerance(mapping[{quoted(plan.param.name)}], dtype, {axes})"]
    for check in plan.checks:
        lines += _checked(check, local, plan)
    return lines


EQUAL = {
    "skew": "-_swapped({w})",
    "symmetric": "_swapped({w})",
    "psd": "_swapped({w})",
    "diagonal": "{w} * np.eye({w}.shape[-1])",
}


def _checked(check: Check, w: str, plan: Enforcement) -> list[str]:
    text = quoted(check.text)
    same = EQUAL.get(check.quantity)
    lines = [f"_require_equal({text}, {w}, {same.format(w=w)}, near)"] if same else []
    if check.quantity == "psd":
        return [*lines, f"_require({text}, _relative_eigenvalues({w}), 0.0, None, near)"]
    if check.quantity == "orthogonal":
        return [f"_require({text}, _singular_values({w}), 1.0, 1.0, near)"]
    if check.quantity == "stochastic":
        return [f"_require({text}, {w}, 0.0, 1.0, near)", f"_require({text}, {w}.sum(-1), 1.0, 1.0, near)"]
    if lines:
        return lines
    value = _measured(check, w, len(plan.param.shape))
    return [f"_require({text}, {value}, {_text(check.lower)}, {_text(check.upper)}, near)"]


def _measured(check: Check, w: str, axes: int) -> str:
    last = shape_of(range(-axes, 0))
    if check.quantity == "conv":
        return f"_circular_singular_values({w}, {_grid(check)})"
    if check.quantity == "sum":
        return f"{w}.sum({shape_of(tuple(i - axes for i in check.axes))})"
    return {
        "spectral": f"_singular_values({w})",
        "sigma": f"_singular_values({w})",
        "rows": f"np.abs({w}).sum(-1)",
        "columns": f"np.abs({w}).sum(-2)",
        "euclid": f"np.sqrt(np.square({w}).sum({last}))",
        "absolute": f"np.abs({w}).sum({last})",
        "entries": w,
        "skew_part": f"_singular_values({w} - _swapped({w}))",
        "symmetric_part": f"_singular_values({w} + _swapped({w}))",
        "eig": f"np.linalg.eigvalsh({w})",
    }[check.quantity]


def loaded(plan: Enforcement, local: str) -> list[tuple[str, str]]:
    """The stored arrays of a given weight: pairs of a role and a text."""
    first = plan.steps[0] if plan.steps else None
    if first is not None and first.op == "polar":
        lower, upper = first.numbers
        value = _inverse(_symmetric_part(lower, upper), f"_polar_factors({local})[1]")
        value = f"_matrix_root({value})" if upper is None else value
        return [("value", value), ("generator", _nothing(plan, local)), ("factor", f"_polar_factors({local})[0]")]
    if first is not None and first.op == "rotation":
        return [("generator", _nothing(plan, local)), ("factor", local)]
    text = local
    for step in reversed(plan.steps):
        text = _inverse(step, text)
    return [("value", text)]


def _symmetric_part(lower: Real | None, upper: Real | None) -> Step:
    assert lower is not None
    return Step("shift", (lower * 0 + 1, lower)) if upper is None else Step("eigenvalues", (lower, upper))


def _nothing(plan: Enforcement, local: str) -> str:
    (size,) = {n for raw in plan.raw if raw.role == "generator" for n in raw.shape}
    return f"np.zeros((*{local}.shape[:-2], {size}, {size}))"


def _inverse(step: Step, w: str) -> str:
    """What a step makes a given weight of."""
    if step.op == "outer":
        return f"_matrix_root({w})"
    if step.op == "diagonal":
        return f"np.diagonal({w}, axis1=-2, axis2=-1)"
    if step.op == "eigenvalues":
        lower, upper = step.numbers
        assert lower is not None and upper is not None
        return f"_unshifted({w}, 1.0, {float(lower + upper) / 2!r})"
    if step.op == "shift":
        sign, c = step.numbers
        assert sign is not None and c is not None
        return f"_unshifted({w}, {float(sign)!r}, {float(c)!r})"
    return w
