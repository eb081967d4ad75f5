"""An emitted file as a whole: header, one class for each model, and the functions that they call."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files

from odespec.backends import EmitRequest
from odespec.exact import Real
from odespec.program.enforce import Enforcement, plan
from odespec.program.names import Names
from odespec.program.step import StepProgram
from odespec.program.text import docstring, indent, pack, prose, quoted, shape_of
from odespec_jax.constraints import checked, constrained, drawn, full_shape, loaded
from odespec_jax.scope import LOCAL
from odespec_jax.solve import functions

FUNCTIONS = ("init", "weights", "load_weights", "apply", "evaluate", "solve")


def class_names(models: list[str]) -> list[str]:
    """The names of the classes of models, as in the spec wherever Python allows."""
    names = Names(LOCAL | {"Array", "Any", "Callable", "Mapping", "Sequence"})
    return [names.declare(name) for name in models]


def emit(request: EmitRequest) -> str:
    """The text of the file: a pure function of the request."""
    owners = class_names([p.model.name for p in request.programs])
    arrays: dict[object, str] = {}
    reserved = frozenset(owners)
    lines: list[str] = []
    for program, owner in zip(request.programs, owners, strict=True):
        lines += ["", "", *_class(program, owner, reserved, arrays)]
    models = [f"{quoted(p.model.name)}: {owner}" for p, owner in zip(request.programs, owners, strict=True)]
    lines += ["", "", *pack("MODELS = {", models, "}", 0)]
    if len(owners) == 1:
        lines += [f"{name} = {owners[0]}.{name}" for name in FUNCTIONS]
    helpers = _helpers("\n".join(lines))
    constants = [line for data, name in arrays.items() for line in _constant(name, data)]
    body = [*lines, *(("", "", *constants) if constants else ()), *helpers]
    return "\n".join([*_header(request, owners), *_imports("\n".join(body)), *body]) + "\n"


# --- header --------------------------------------------------------------------


def _header(request: EmitRequest, owners: list[str]) -> list[str]:
    named = _one_line(request.spec_name) or "a spec"
    lines = [
        f"{', '.join(owners)} in JAX, from {named}.",
        "",
        f"Emitted by odespec {_one_line(request.version)}. SHA-256 of the spec:",
        f"    {_one_line(request.spec_hash)}",
        "",
    ]
    for owner, verdicts in zip(owners, request.verdicts, strict=True):
        lines.append(f"Claims of {owner}, for all weights within the constraints and all inputs:")
        lines += [f"    {_one_line(verdict):8}  {_one_line(text)}" for text, verdict in verdicts] or ["    none"]
        lines.append("")
    lines += [
        "init(key) -> params             random raw parameters, a pytree",
        "apply(params, ...)              the network",
        "weights(params)                 the effective weights, within their constraints",
        "load_weights(mapping) -> params raw parameters that give these weights",
        "evaluate(weights, ...)          the network at effective weights",
        "solve(weights, ...)             its final (or saved) states, a tuple",
    ]
    if len(owners) > 1:
        lines += ["", f"All six are functions of each class: {owners[0]}.init, and so on."]
    return docstring(lines)


def _one_line(text: str) -> str:
    return " ".join(" ".join(prose(text, 16)).split())


def _imports(body: str) -> list[str]:
    """What the text below needs."""
    abstract = [name for name in ("Callable", "Mapping", "Sequence") if f"{name}[" in body]
    return [
        "",
        *(["import math"] if "math." in body else []),
        *([f"from collections.abc import {', '.join(abstract)}"] if abstract else []),
        *(["from typing import Any"] if "Any" in body else []),
        "",
        "import jax",
        "import jax.numpy as jnp",
        *(["import numpy as np"] if "np." in body.replace("jnp.", "") else []),
        *(["from jax import Array"] if "Array" in body else []),
    ]


def _constant(name: str, data: object) -> list[str]:
    """A constant array of the spec."""
    text = repr(_floats(data))
    if len(name) + len(text) < 80:
        return [f"{name} = np.array({text})"]
    flat = [piece + "," for piece in text.split(",")]
    flat[-1] = flat[-1][:-1]
    return pack(f"{name} = np.array(", [p.strip().removesuffix(",") for p in flat], ")", 0)


def _floats(data: object) -> object:
    if isinstance(data, tuple):
        return [_floats(row) for row in data]
    number: Real = data  # type: ignore[assignment]
    return float(number)


# --- one model -----------------------------------------------------------------


def _class(program: StepProgram, owner: str, reserved: frozenset[str], arrays: dict[object, str]) -> list[str]:
    model = program.model
    about = prose(model.doc, 8) if model.doc else []
    span = f" over {_number(model.time.start)} .. {_number(model.time.end)}" if model.time is not None else ""
    solver = f"{program.steps} {'step' if program.steps == 1 else 'steps'} of {model.solver.name}{span}."
    parts = [_init(program), _weights(program), _load(program), functions(program, owner, reserved, arrays)]
    body = docstring([*about, "", solver] if about else [solver])
    for part in parts:
        body += ["", *part]
    return [f"class {owner}:", *indent(body)]


def _number(value: Real) -> str:
    return f"{float(value):g}"


def _locals(program: StepProgram) -> tuple[tuple[Enforcement, str], ...]:
    names = Names(LOCAL | {"near", "keys", "w"})
    return tuple((p, names.declare(p.param.name)) for p in plan(program.model))


def _entry(name: str, pairs: list[tuple[str, str]]) -> list[str]:
    """An item of a dictionary of raw parameters."""
    if len(pairs) == 1:
        return pack(f"{quoted(name)}: ", [pairs[0][1]], ",", 12)
    return [f"{quoted(name)}: {{", *indent(f"{quoted(role)}: {text}," for role, text in pairs), "},"]


def _init(program: StepProgram) -> list[str]:
    count = 0

    def key() -> str:
        nonlocal count
        count += 1
        return f"keys[{count - 1}]"

    entries = [_entry(p.param.name, drawn(p, program.steps, key)) for p, _ in _locals(program)]
    about = ["Random raw parameters; `dtype` is JAX's default float unless given."]
    body = [*docstring(about), "dtype = jnp.result_type(float) if dtype is None else dtype"]
    body += [f"keys = jax.random.split(key, {count})"] if count else []
    return ["@staticmethod", "def init(key, dtype=None):", *indent([*body, *_dictionary(entries)])]


def _dictionary(entries: list[list[str]]) -> list[str]:
    if not entries:
        return ["return {}"]
    return ["return {", *indent(line for entry in entries for line in entry), "}"]


def _weights(program: StepProgram) -> list[str]:
    plans = _locals(program)
    lines = [line for p, local in plans for line in constrained(p, local)]
    items = [f"{quoted(p.param.name)}: {local}" for p, local in plans]
    about = ["The effective weights by their names in the spec: within constraints for all `params`."]
    return [
        "@staticmethod",
        "def weights(params):",
        *indent([*docstring(about), *lines, *pack("return {", items, "}", 8)]),
    ]


def _load(program: StepProgram) -> list[str]:
    plans = _locals(program)
    shapes = [f"{quoted(p.param.name)}: {shape_of(full_shape(p, p.param.shape, program.steps))}" for p, _ in plans]
    lines = pack("w = _read_weights(mapping, {", shapes, "})", 8)
    for p, local in plans:
        lines += [f"{local} = w[{quoted(p.param.name)}]", *checked(p, local)]
    entries = [
        _entry(p.param.name, [(role, f"jnp.asarray({text}, dtype)") for role, text in loaded(p, local)])
        for p, local in plans
    ]
    about = [
        "Raw parameters that give effective weights, which are arrays by their names in the spec.",
        "",
        "`weights(load_weights(w))` is w up to rounding; `dtype` is JAX's default float unless given.",
        "Raises ValueError for a wrong name or shape, and for weights that break a constraint.",
    ]
    body = [*docstring(about), "dtype = jnp.result_type(float) if dtype is None else dtype", *lines]
    return ["@staticmethod", "def load_weights(mapping, dtype=None):", *indent([*body, *_dictionary(entries)])]


# --- the functions that are called ----------------------------------------------


def _helpers(body: str) -> list[str]:
    """The functions of `odespec_jax.runtime` that a text calls, and those that they call, in its order."""
    library = _runtime()
    wanted: set[str] = set()
    pending = [body]
    while pending:
        names = {node.id for node in ast.walk(ast.parse(pending.pop())) if isinstance(node, ast.Name)}
        new = (names & library.keys()) - wanted
        wanted |= new
        pending += [library[name] for name in new]
    return [line for name, text in library.items() if name in wanted for line in ("", "", *text.splitlines())]


@cache
def _runtime() -> dict[str, str]:
    """The source of each function and type of the runtime."""
    found = {}
    for name in ("weights", "loading", "operations"):
        text = files("odespec_jax.runtime").joinpath(f"{name}.py").read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = ast.get_source_segment(text, node) or ""
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = ast.get_source_segment(text, node) or ""
    return found
