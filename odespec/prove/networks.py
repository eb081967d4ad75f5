"""Networks as models: as one discrete map, or piece by piece.

As one map, its inputs are the states, its output an expression of them: layers are put one into the other, models step
by step. Each application of a model has weights of its own, which get its name in front (``Block.1.W``), and of weights
``per step`` each step's copy is one (``Block.1.W[3]``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from odespec.ir.expr import TIME, Expr, const, leaf, postorder, substitute
from odespec.ir.model import Input, LayerIR, Model, Network, Param, Relation, Solver, State
from odespec.program.lower import NotLowered, lower
from odespec.records import dataclass

MAX_NODES = 4000
"""Operations of a network that are put into one expression."""


@dataclass(slots=True)
class _Flat:
    """What is collected on the way through the layers."""

    params: list[Param]
    constraints: list[Relation]
    values: dict[Expr, Expr]
    applied: int = 0


def flattened(network: Network) -> Model:
    """The network as a model of one discrete step that leaves its states, the inputs, alone, with its ``output``.

    Raises `NotLowered` where a layer cannot be written as an expression (implicit steps, noise, graphs, memory).
    """
    inputs = {leaf("input", u.name, u.shape): leaf("state", u.name, u.shape) for u in network.inputs}
    flat = _Flat(list(network.params), list(network.constraints), dict(inputs))
    for layer in network.layers:
        _layer(flat, layer)
    if network.output is None:
        raise NotLowered("a network without an output", network.span)
    states = tuple(State(u.name, u.shape, None, None, u.span) for u in network.inputs)
    (output,) = substitute((network.output[1],), flat.values)
    _small(network, (output,))
    return Model(
        network.name,
        network.doc,
        network.source,
        network.span,
        network.dims,
        network.consts,
        states,
        tuple(flat.params),
        (),
        (),
        (),
        tuple(inputs.values()),
        True,
        tuple(flat.constraints),
        tuple(_moved(r, inputs) for r in network.domains),
        Solver("map", 1, (), network.span),
        None,
        (network.output[0], output),
        network.claims,
    )


def _small(network: Network, roots: Iterable[Expr]) -> None:
    if sum(1 for _ in postorder(*roots)) > MAX_NODES:
        raise NotLowered("a network of so many operations", network.span)


def _moved(relation: Relation, values: dict[Expr, Expr]) -> Relation:
    return replace(relation, operand=substitute((relation.operand,), values)[0])


def _layer(flat: _Flat, layer: LayerIR) -> None:
    arguments = substitute(layer.values, flat.values)
    results = arguments if layer.model is None else _applied(flat, layer.model, arguments)
    for (name, shape), value in zip(layer.targets, results, strict=True):
        flat.values[leaf("value", name, shape)] = value


# --- models ----------------------------------------------------------------------------


def _applied(flat: _Flat, model: Model, arguments: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """What a model makes of its arguments: all its steps, then its output."""
    flat.applied += 1
    if any(u.per_step for u in model.inputs):
        raise NotLowered(f"the inputs per step of `{model.name}`", model.span)
    program = lower(model)
    if program.solves:
        raise NotLowered(f"the implicit steps of `{model.name}`", model.span)
    if model.graphs or model.noises:
        raise NotLowered(f"the graph or the noise of `{model.name}`", model.span)
    prefix = f"{model.name}.{flat.applied}."
    shared = _own(flat, model, prefix)
    free = [*model.free_states, *model.inputs]
    given = dict(zip([_leaf(x) for x in free], arguments, strict=True))
    now = _start(model, given | shared)
    held = shared | {v: e for v, e in given.items() if v.op == "input"}
    for k in range(program.steps):
        at = {TIME: const(program.start + program.h * k)} | _copies(model, prefix, k)
        now = dict(zip(now, substitute(program.update, held | at | now), strict=True))
        _count(model, now.values())
    if model.output is None:
        return tuple(now.values())
    return substitute((model.output[1],), held | now)


def _leaf(declared: object) -> Expr:
    kind = "state" if isinstance(declared, State) else "input"
    return leaf(kind, declared.name, declared.shape)  # type: ignore[attr-defined]


def _count(model: Model, roots: Iterable[Expr]) -> None:
    if sum(1 for _ in postorder(*roots)) > MAX_NODES:
        raise NotLowered(f"the many steps of `{model.name}`", model.span)


def _start(model: Model, known: dict[Expr, Expr]) -> dict[Expr, Expr]:
    """The states at the start, each from those before it where its value is given."""
    found: dict[Expr, Expr] = {}
    for state in model.states:
        own = leaf("state", state.name, state.shape)
        found[own] = known[own] if state.initial is None else substitute((state.initial,), known | found)[0]
    return found


def _own(flat: _Flat, model: Model, prefix: str) -> dict[Expr, Expr]:
    """Declare the weights of one application; the leaves of those that all steps share, with their new names."""
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 1
    for p in model.params:
        names = [f"{prefix}{p.name}[{k}]" for k in range(steps)] if p.per_step else [prefix + p.name]
        flat.params.extend(replace(p, name=n, per_step=False) for n in names)
    for k in range(steps if any(p.per_step for p in model.params) else 1):
        new = _shared(model, prefix) | _copies(model, prefix, k)
        of_step = (r for r in model.constraints if k == 0 or _reads_copies(model, r))
        flat.constraints.extend(_moved(r, new) for r in of_step)
    return _shared(model, prefix)


def _reads_copies(model: Model, relation: Relation) -> bool:
    return any(_reads(relation.operand, p) for p in model.params if p.per_step)


def _reads(e: Expr, p: Param) -> bool:
    return any(n.op == "param" and n.data == p.name for n in postorder(e))


def _shared(model: Model, prefix: str) -> dict[Expr, Expr]:
    return {
        leaf("param", p.name, p.shape): leaf("param", prefix + p.name, p.shape) for p in model.params if not p.per_step
    }


def _copies(model: Model, prefix: str, k: int) -> dict[Expr, Expr]:
    return {
        leaf("param", p.name, p.shape): leaf("param", f"{prefix}{p.name}[{k}]", p.shape)
        for p in model.params
        if p.per_step
    }


# --- pieces ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands between two places at which all that is still needed is one value: a map of that value to the next.

    ``model`` is the applied model where the piece is one application, else the piece as one discrete map. ``name`` is
    what stands in the spec.
    """

    name: str
    model: Model


def pieces(network: Network) -> tuple[Piece, ...]:
    """The network cut at every such place. Raises `NotLowered`."""
    if network.output is None:
        raise NotLowered("a network without an output", network.span)
    count = len(network.layers)
    needed = [_needed(network, k) for k in range(count + 1)]
    cuts = [0, *(k for k in range(1, count + 1) if len(needed[k]) == 1), count + 1]
    result = []
    for a, b in pairwise(dict.fromkeys(cuts)):
        end = network.output[1] if b > count else needed[b][0]
        layers = network.layers[a : min(b, count)]
        if layers or end != needed[a][0] or len(needed[a]) > 1:
            result.append(_piece(network, needed[a], layers, end))
    return tuple(result)


def _needed(network: Network, k: int) -> tuple[Expr, ...]:
    """The values that the layers from number k on, and the output, read of what is there before."""
    bound = {leaf("value", *target) for layer in network.layers[k:] for target in layer.targets}
    roots = [e for layer in network.layers[k:] for e in layer.values]
    roots.append(network.output[1] if network.output else const(Fraction(0)))
    if k == 0:
        return tuple(leaf("input", u.name, u.shape) for u in network.inputs)
    return tuple(n for n in postorder(*roots) if n.op in ("value", "input") and n not in bound)


def _piece(network: Network, given: tuple[Expr, ...], layers: tuple[LayerIR, ...], end: Expr) -> Piece:
    if len(layers) == 1 and layers[0].model is not None and layers[0].values == given:
        (alone,) = layers
        if (leaf("value", *alone.targets[0]),) == (end,):
            assert alone.model is not None
            return Piece(alone.span.text, alone.model)
    named = {v: leaf("input", str(v.data), v.shape) for v in given}
    inputs = tuple(Input(str(v.data), v.shape, None, False, network.span) for v in given)
    moved = tuple(replace(x, values=substitute(x.values, named)) for x in layers)
    (output,) = substitute((end,), named)
    part = replace(network, inputs=inputs, layers=moved, output=("y", output), domains=(), claims=())
    name = "; ".join(" ".join(x.span.text.split()) for x in layers) or "output"
    return Piece(name, flattened(part))
