"""How the plan of `odespec.program.enforce` is written in PyTorch: to store, constrain, check and load a weight."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from odespec.exact import Real
from odespec.ir.expr import Shape
from odespec.program.enforce import Check, Enforcement, Raw, Step
from odespec.program.floats import above, below
from odespec.program.text import quoted, shape_of

PREFIX = {"value": "raw", "generator": "generator", "factor": "factor"}


def attribute(role: str, name: str) -> str:
    """The attribute that a stored tensor of a parameter has; no attribute of a torch module begins like it."""
    return f"{PREFIX[role]}_{name}"


def full_shape(plan: Enforcement, shape: Shape, steps: int) -> Shape:
    """The shape of a stored tensor or a weight, with the axis of the steps where there is one."""
    return (steps, *shape) if plan.param.per_step else shape


# --- storing -------------------------------------------------------------------


def stored(plan: Enforcement, steps: int) -> list[str]:
    """The lines of the constructor."""
    return [_stored(plan, raw, full_shape(plan, raw.shape, steps)) for raw in plan.raw]


def _stored(plan: Enforcement, raw: Raw, shape: Shape) -> str:
    name, size = attribute(raw.role, plan.param.name), shape_of(shape)
    if raw.role == "factor":
        return f'self.register_buffer("{name}", _random_orthogonal({size}, dtype, device))'
    if raw.role == "generator":
        return f"self.{name} = _zeros({size}, dtype, device)"
    fan_in = prod(raw.shape[1:]) if len(raw.shape) > 1 else prod(raw.shape)
    return f"self.{name} = _normal({size}, {fan_in}, dtype, device)"


# --- from stored tensors to the weight -----------------------------------------


def constrained(plan: Enforcement, local: str) -> list[str]:
    """The lines that compute the weight under a local name."""
    roles = {raw.role: f"self.{attribute(raw.role, plan.param.name)}" for raw in plan.raw}
    first, *rest = plan.steps or (None,)
    if first is None:
        return [f"{local} = {roles['value']}"]
    source = roles.get("value", "")
    if first.op == "rotation":
        lines = [f"{local} = _rotation({roles['generator']}, {roles['factor']})"]
    elif first.op == "polar":
        lower, upper = (_text(x, side) for x, side in zip(first.numbers, (above, below), strict=True))
        lines = [
            f"{local} = _polar(",
            f"    {source}, {roles['generator']}, {roles['factor']}, {lower}, {upper}",
            ")",
        ]
    elif first.op in NORMS:
        lines = [f"{local} = {source}", f"{local} = {_applied(first, local, plan)}"]
    else:
        lines = [f"{local} = {_applied(first, source, plan)}"]
    return lines + [f"{local} = {_applied(step, local, plan)}" for step in rest]


NORMS: dict[str, Callable[[str, int, Step], str]] = {
    "spectral": lambda v, axes, step: f"_spectral_norm({v})",
    "rows": lambda v, axes, step: f"_row_sum({v})",
    "columns": lambda v, axes, step: f"_column_sum({v})",
    "euclid": lambda v, axes, step: f"_euclidean({v}, {axes})",
    "absolute": lambda v, axes, step: f"_absolute_sum({v}, {axes})",
    "conv": lambda v, axes, step: f"_circular_norm({v}, {_grid(step)})",
}
PLAIN = {
    "skew": "_skew({v})",
    "symmetric": "_symmetric({v})",
    "outer": "_outer({v})",
    "diagonal": "torch.diag_embed({v})",
    "simplex": "_simplex({v})",
}


def _grid(step: Step | Check) -> str:
    assert step.convolution is not None
    return f"{shape_of(step.convolution.spatial)}, {step.convolution.groups}"


def _applied(step: Step, v: str, plan: Enforcement) -> str:
    if step.op in PLAIN:
        return PLAIN[step.op].format(v=v)
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
    return f"_{step.op}({', '.join([v, *map(_text, step.numbers)])})"


def _text(value: Real | None, rounded: Callable[[Real], float] = float) -> str:
    return "None" if value is None else repr(rounded(value))


# --- checking and loading ------------------------------------------------------


def checked(plan: Enforcement, local: str, key: str) -> list[str]:
    """The lines that raise ValueError where a given weight breaks a constraint."""
    if not plan.checks:
        return []
    axes = min(len(plan.param.shape), 2)
    role = "raw" if plan.raw[0].role == "value" else "factor"
    lines = [f"near = _tolerance(weights[{key}], self.{role}_{plan.param.name}, {axes})"]
    for check in plan.checks:
        lines += _checked(check, local, plan)
    return lines


def _checked(check: Check, w: str, plan: Enforcement) -> list[str]:
    text, axes = quoted(check.text), len(plan.param.shape)
    equal = {
        "skew": f"-{w}.mT",
        "symmetric": f"{w}.mT",
        "psd": f"{w}.mT",
        "diagonal": f"_diagonal_part({w})",
    }
    lines = [f"_require_equal({text}, {w}, {equal[check.quantity]}, near)"] if check.quantity in equal else []
    if check.quantity == "psd":
        return [*lines, f"_require({text}, _relative_eigenvalues({w}), 0.0, None, near)"]
    if check.quantity == "orthogonal":
        return [f"_require({text}, _singular_values({w}), 1.0, 1.0, near)"]
    if check.quantity == "stochastic":
        return [f"_require({text}, {w}, 0.0, 1.0, near)", f"_require({text}, {w}.sum(-1), 1.0, 1.0, near)"]
    if lines:
        return lines
    quantity = {
        "spectral": f"_singular_values({w})",
        "sigma": f"_singular_values({w})",
        "rows": f"_row_sum({w})",
        "columns": f"_column_sum({w})",
        "euclid": f"_euclidean({w}, {axes})",
        "absolute": f"_absolute_sum({w}, {axes})",
        "entries": w,
        "skew_part": f"_singular_values({w} - {w}.mT)",
        "symmetric_part": f"_singular_values({w} + {w}.mT)",
        "eig": f"torch.linalg.eigvalsh({w})",
    }
    if check.quantity == "conv":
        value = f"_circular_singular_values({w}, {_grid(check)})"
    elif check.quantity == "sum":
        value = f"{w}.sum({shape_of(tuple(i - axes for i in check.axes))})"
    else:
        value = quantity[check.quantity]
    return [f"_require({text}, {value}, {_text(check.lower)}, {_text(check.upper)}, near)"]


def loaded(plan: Enforcement, local: str) -> list[tuple[str, str]]:
    """The stored tensors of a given weight: pairs of an attribute and a text."""
    name = plan.param.name
    if plan.steps and plan.steps[0].op == "polar":
        q, p = f"_polar_factors({local})[0]", f"_polar_factors({local})[1]"
        lower, upper = plan.steps[0].numbers
        back = Step("shift", (1, lower)) if upper is None else Step("eigenvalues", (lower, upper))  # type: ignore[arg-type]
        value = _inverse(back, p)
        if upper is None:
            value = _inverse(Step("outer"), value)
        zeros = f"torch.zeros_like(self.{attribute('generator', name)})"
        return [
            (attribute("value", name), value),
            (attribute("generator", name), zeros),
            (attribute("factor", name), q),
        ]
    if plan.steps and plan.steps[0].op == "rotation":
        zeros = f"torch.zeros_like(self.{attribute('generator', name)})"
        return [(attribute("generator", name), zeros), (attribute("factor", name), local)]
    text = local
    for step in reversed(plan.steps):
        text = _inverse(step, text)
    return [(attribute("value", name), text)]


def _inverse(step: Step, w: str) -> str:
    """What a step makes a given weight of."""
    if step.op == "outer":
        return f"_matrix_root({w})"
    if step.op == "diagonal":
        return f"torch.diagonal({w}, dim1=-2, dim2=-1)"
    if step.op == "eigenvalues":
        lower, upper = step.numbers
        assert lower is not None and upper is not None
        return f"_shift({w}, 1.0, {-float(lower + upper) / 2!r})"
    if step.op == "shift":
        sign, c = step.numbers
        assert sign is not None and c is not None
        return f"_shift({w}, {float(sign)!r}, {-float(sign * c)!r})"
    return w
