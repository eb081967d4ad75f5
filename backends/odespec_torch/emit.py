"""From an emission request to the text of a PyTorch file."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from importlib.resources import files

import jinja2

from odespec.backends import EmitRequest
from odespec.program.enforce import plan
from odespec.program.names import Names
from odespec.program.passes import optimise
from odespec.program.step import StepProgram
from odespec.program.text import WIDTH, docstring, indent, prose, quoted, shape_of
from odespec_torch import constraints
from odespec_torch.layout import listed
from odespec_torch.solve import RESERVED, arguments, output, scope, solve
from odespec_torch.support import closure, names


def emit(request: EmitRequest) -> str:
    """The text of the file."""
    scope_names = Names(RESERVED | names())
    classes = [_class(program, scope_names.declare(program.model.name)) for program in request.programs]
    helpers = closure(classes)
    summary = " ".join(prose(f"Networks of {request.spec_name}, compiled by odespec."))
    text = (
        _environment()
        .get_template("module.py.jinja")
        .render(
            header=_header(request),
            summary=summary,
            imports=_imports("\n".join((*helpers, *classes))),
            helpers=helpers,
            classes=classes,
        )
    )
    return text.rstrip("\n") + "\n"


def _header(request: EmitRequest) -> list[str]:
    lines = [
        f"Emitted by odespec {_inert(request.version)} from {_inert(request.spec_name)}",
        f"(sha256 {_inert(request.spec_hash)}).",
    ]
    for program, verdicts in zip(request.programs, request.verdicts, strict=True):
        lines += [f"Claims of {program.model.name}:" if verdicts else f"{program.model.name} claims nothing."]
        lines += [f"    {verdict:<8} {_inert(text)}" for text, verdict in verdicts]
    return lines


def _inert(text: str) -> str:
    """A text on one line of a comment."""
    return quoted(" ".join(text.split()))[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def _imports(code: str) -> list[str]:
    containers = [name for name in ("Mapping", "Sequence") if re.search(rf"\b{name}\b", code)]
    lines = ["import math"] if "math." in code else []
    lines += [f"from collections.abc import {', '.join(containers)}", "from typing import Any", "", "import torch"]
    lines += ["import torch.nn.functional as F"] if re.search(r"\bF\.", code) else []
    return [*lines, "from torch import Tensor"]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: files("odespec_torch").joinpath("templates", name).read_text(encoding="utf-8")
        ),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters["lines"] = lambda lines, levels: "\n".join(indent(lines, levels))
    return environment


def _class(program: StepProgram, name: str) -> str:
    program, model = optimise(program), program.model
    arrays: dict[object, str] = {}
    plans = plan(model)
    where = scope(model)
    given = [f"{where.arguments[a.name]}: Tensor" for a in arguments(model)]
    body, result = solve(program, arrays), output(program, arrays)
    stored = [line for p in plans for line in constraints.stored(p, program.steps)]
    stored += [line for data, attribute in arrays.items() for line in _constant(data, attribute)]
    several = model.output is None and len(model.states) > 1
    return (
        _environment()
        .get_template("class.py.jinja")
        .render(
            name=name,
            doc=_doc(program),
            stored=stored,
            constrained=_constrained(program),
            load=_load(program),
            solve_head=listed(
                "def solve(",
                ["self", *given, "weights: dict[str, Tensor] | None = None"],
                ") -> tuple[Tensor, ...]:",
                4,
            ),
            forward_head=listed(
                "def forward(", ["self", *given], f") -> {'tuple[Tensor, ...]' if several else 'Tensor'}:", 4
            ),
            solve_doc=docstring(_solve_doc(program)),
            forward_doc=docstring(_forward_doc(program)),
            solve=body,
            forward=result,
        )
        .rstrip("\n")
    )


def _constant(data: object, attribute: str) -> list[str]:
    """A constant array as a buffer that is no part of the state."""
    rows = [_array(row) for row in data] if isinstance(data, tuple) else []
    made = listed(f"{attribute} = torch.tensor([", rows, "], dtype=dtype, device=device)")
    return [*made, f'self.register_buffer("{attribute}", {attribute}, persistent=False)']


def _array(data: object) -> str:
    if isinstance(data, tuple):
        return f"[{', '.join(map(_array, data))}]"
    return repr(float(data))  # type: ignore[arg-type]


def _doc(program: StepProgram) -> list[str]:
    model = program.model
    doc = prose(model.doc, 7) if model.doc else []
    doc = doc or ["A network of an odespec specification."]
    given = [_described(p.name, (program.steps, *p.shape) if p.per_step else p.shape) for p in model.params]
    return docstring([*doc, "", *_filled(f"Weights: {', '.join(given)}.", 4)] if given else doc)


def _filled(text: str, margin: int) -> list[str]:
    return textwrap.wrap(text, WIDTH - margin, break_long_words=False, break_on_hyphens=False)


def _described(name: str, shape: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, shape))}]" if shape else name


def _solve_doc(program: StepProgram) -> list[str]:
    """What `solve` does, with the shapes of its arguments."""
    model = program.model
    per_step = {u.name for u in model.inputs if u.per_step}
    given = [
        _described(a.name, ((program.steps, *a.shape) if a.name in per_step else a.shape)) for a in arguments(model)
    ]
    saved = model.time.save if model.time is not None else None
    results = [_described(s.name, s.shape if saved is None else (saved, *s.shape)) for s in model.states]
    method = "map" if model.discrete else model.solver.name
    first = f"The {'final' if saved is None else 'saved'} states after {program.steps} steps of {method}."
    takes = f"Takes {', '.join(given)}; " if given else ""
    return [first, "", *_filled(f"{takes}returns {', '.join(results)}. Any leading batch axes broadcast.", 8)]


def _forward_doc(program: StepProgram) -> list[str]:
    model = program.model
    if model.output is None:
        return [f"What `solve` returns{', the state alone' if len(model.states) == 1 else ''}."]
    saved = model.time.save if model.time is not None else None
    shape = model.output[1].shape if saved is None else (saved, *model.output[1].shape)
    return [f"The output {_described(model.output[0], shape)} for the states that `solve` returns."]


def _constrained(program: StepProgram) -> list[str]:
    where = scope(program.model)
    lines, items = [], []
    for p in plan(program.model):
        local = where.arguments[p.param.name]
        lines += constraints.constrained(p, local)
        items.append(f"{quoted(p.param.name)}: {local}")
    return [*lines, *listed("return {", items, "}", 8)]


def _load(program: StepProgram) -> list[str]:
    """All weights are checked before the first is stored."""
    where, plans = scope(program.model), plan(program.model)
    if not plans:
        return ["_read_weights(weights, {})"]
    shapes = [
        f"{quoted(p.param.name)}: {shape_of(constraints.full_shape(p, p.param.shape, program.steps))}" for p in plans
    ]
    lines = [*listed("shapes: dict[str, tuple[int, ...]] = {", shapes, "}"), "given = _read_weights(weights, shapes)"]
    stores = []
    for p in plans:
        local, key = where.arguments[p.param.name], quoted(p.param.name)
        lines += [f"{local} = given[{key}]", *constraints.checked(p, local, key)]
        stores += [f"{quoted(attribute)}: {text}" for attribute, text in constraints.loaded(p, local)]
    return [*lines, *listed("values = {", stores, "}"), "self._store(values)"]
