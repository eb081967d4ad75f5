"""Whether concrete float64 arrays obey every structure, constraint and domain of a model: exactly, or not at all.

A float64 is a rational number, so each question has an exact answer. What cannot be decided counts as a violation.
Orthogonal means exactly orthogonal: signed permutations, Hadamard matrices, products of reflections by integer vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod

import numpy as np

from odespec.exact import Real, Undecided, enclose
from odespec.ir.expr import Expr, depends_on, leaves, postorder, split
from odespec.ir.model import Input, Model, Param, Relation, State
from odespec.weights.arithmetic import EXACT, Array, Inexact
from odespec.weights.evaluate import Unsupported, evaluate, plan
from odespec.weights.semidefinite import is_psd, norm_at_most, singular_values_at_least
from odespec.weights.steps import entry

BITS = 256


def violations(
    model: Model,
    weights: Mapping[str, Array],
    states: Sequence[Array] | None = None,
    inputs: Sequence[Array] | None = None,
) -> list[str]:
    """Every way in which arrays break the model; empty for members.

    ``weights`` by name, ``per step`` ones with the steps as leading axis; ``states`` are those without a given initial
    value and ``inputs`` all inputs, both in order of declaration; None leaves out what speaks of them.
    """
    found = [*_misshapen(model, model.params, weights)]
    given: dict[str, Array] = dict(weights)
    groups: list[tuple[Sequence[Input | State], Sequence[Array] | None]]
    groups = [(model.inputs, inputs), (model.free_states, states)]
    for group, arrays in groups:
        if arrays is not None:
            if len(arrays) != len(group):
                found.append(f"{len(arrays)} arrays for {len(group)} of {', '.join(g.name for g in group)}")
            named = {g.name: a for g, a in zip(group, arrays, strict=False)}
            found += _misshapen(model, group, named)
            given |= named
    if found:
        return found
    held: list[Param | Input] = [*model.params, *(model.inputs if inputs is not None else ())]
    for p in held:
        found += _structure(p, given[p.name])
    asked = [op for op, arrays in (("input", inputs), ("state", states)) if arrays is not None]
    skipped = {"input", "state"} - set(asked)
    relations = [r for r in (*model.constraints, *model.domains) if not depends_on(r.operand, *skipped)]
    return found + [v for r in relations for v in _relation(model, r, given)]


def _steps(model: Model) -> int:
    return model.solver.steps if isinstance(model.solver.steps, int) else 1


def _misshapen(model: Model, declared: Sequence[Param | Input | State], arrays: Mapping[str, Array]) -> Iterator[str]:
    names = {d.name for d in declared}
    for name in arrays:
        if name not in names:
            yield f"there is no `{name}`"
    for d in declared:
        per_step = not isinstance(d, State) and d.per_step
        shape = (_steps(model), *d.shape) if per_step else d.shape
        if d.name not in arrays:
            yield f"`{d.name}` is missing"
        elif arrays[d.name].dtype != np.float64 or arrays[d.name].shape != shape:
            yield f"`{d.name}` is {arrays[d.name].dtype}{list(arrays[d.name].shape)}, not float64{list(shape)}"
        elif not np.isfinite(arrays[d.name]).all():
            yield f"`{d.name}` is not finite"


# --- structures ----------------------------------------------------------------


def _structure(declared: Param | Input, value: Array) -> list[str]:
    if declared.structure is None:
        return []
    copies = _distinct(value) if declared.per_step else [value]
    good = all(_has(declared.structure, w) for w in copies)
    return [] if good else [f"`{declared.name}` is not {declared.structure}"]


def _distinct(stacked: Array) -> list[Array]:
    """The copies of a ``per step`` tensor, equal ones once."""
    return list({w.tobytes(): w for w in stacked}.values())


def _has(structure: str, w: Array) -> bool:
    if structure == "skew":
        return bool((w == -w.T).all())
    if structure == "symmetric":
        return bool((w == w.T).all())
    if structure == "diagonal":
        return bool((w == np.diag(np.diag(w))).all())
    if structure == "psd":
        return bool((w == w.T).all()) and is_psd(EXACT.cast(w)) is True
    if structure == "orthogonal":
        return _orthogonal(w)
    if structure in ("stochastic", "doubly_stochastic"):
        rows = bool((w >= 0).all()) and _sums_to_one(w)
        return rows and (structure == "stochastic" or _sums_to_one(w.T))
    return False


def _sums_to_one(w: Array) -> bool:
    return all(sum(map(Fraction, row.tolist())) == 1 for row in w)


def _orthogonal(w: Array) -> bool:
    columns = EXACT.cast(w if w.shape[0] >= w.shape[1] else w.T)
    n = columns.shape[1]
    near = np.abs(w.T @ w - np.eye(n)) if w.shape[0] >= w.shape[1] else np.abs(w @ w.T - np.eye(n))
    if near.max(initial=0.0) > 1e-9:
        return False
    sparse = [{i: x for i, x in enumerate(columns[:, j]) if x} for j in range(n)]
    return all(
        sum((x * sparse[j].get(k, 0) for k, x in sparse[i].items()), Fraction(0)) == int(i == j)
        for i in range(n)
        for j in range(i, n)
    )


# --- relations -----------------------------------------------------------------


def _relation(model: Model, relation: Relation, given: Mapping[str, Array]) -> list[str]:
    """The relation as text if it is broken or undecided for some step's copy."""
    text = " ".join(relation.span.text.split())
    try:
        good = all(_obeyed(relation, own) for own in _copies(model, relation.operand, given))
    except (Unsupported, Inexact, Undecided, ArithmeticError, ValueError) as error:
        return [f"{text}: cannot decide ({type(error).__name__}: {error})"]
    return [] if good else [text]


def _copies(model: Model, operand: Expr, given: Mapping[str, Array]) -> Iterator[dict[tuple[str, object], Array]]:
    """The values of the operand's leaves at each step, equal ones once."""
    held: list[Param | Input] = [*model.params, *model.inputs]
    declared = {d.name: d for d in held}
    used = sorted((op, str(n)) for op, n in leaves(operand) if op in ("param", "input", "state", "graph"))
    per_step = any(n in declared and declared[n].per_step for _, n in used)
    seen = set()
    for k in range(_steps(model) if per_step else 1):
        own: dict[tuple[str, object], Array] = {}
        for op, n in used:
            d = declared.get(n)
            if n not in given:
                raise Unsupported(op)
            own[op, n] = entry(given[n], d.shape, k) if d is not None and d.per_step else given[n]
        key = tuple(v.tobytes() for v in own.values())
        if key not in seen:
            seen.add(key)
            yield own


def _obeyed(relation: Relation, own: Mapping[tuple[str, object], Array]) -> bool:
    operand = relation.operand
    if relation.quantity == "degree":
        return _degree(relation, own)
    value = evaluate(plan((operand,)), EXACT, {key: EXACT.cast(v) for key, v in own.items()})[0]
    lower, upper = _at_least(relation.lower), _at_most(relation.upper)
    if relation.quantity == "entries":
        return all((lower is None or x >= lower) and (upper is None or x <= upper) for x in value.flat)
    if relation.quantity == "norm":
        return _norm(relation, value, lower, upper)
    matrix = _matrix(operand, value)
    if relation.quantity == "sigma":
        return _true(upper is None or norm_at_most(matrix, upper)) and _true(
            lower is None or singular_values_at_least(matrix, lower)
        )
    if relation.quantity == "eig":
        eye = EXACT.cast(np.eye(len(matrix)))
        symmetric = bool((matrix == matrix.T).all())
        return (
            symmetric
            and _true(lower is None or is_psd(matrix - eye * lower))
            and _true(upper is None or is_psd(eye * upper - matrix))
        )
    raise Unsupported(relation.quantity)


def _true(answer: bool | None) -> bool:
    if answer is None:
        raise Unsupported("a matrix of this size")
    return answer


def _at_most(bound: Real | Expr | None) -> Fraction | None:
    """A rational below an upper bound, equal to it where that is rational."""
    if isinstance(bound, Expr):
        raise Unsupported("a bound that is no number")
    return None if bound is None else enclose(bound, BITS)[0]


def _at_least(bound: Real | Expr | None) -> Fraction | None:
    if isinstance(bound, Expr):
        raise Unsupported("a bound that is no number")
    return None if bound is None else enclose(bound, BITS)[1]


def is_operator(operand: Expr) -> bool:
    """Whether ``norm`` of it is an operator norm: of a matrix or a convolution, not of a state's entries."""
    if depends_on(operand, "state") or len(operand.shape) < 2:
        return False
    return len(operand.shape) == 2 or any(n.op == "conv" for n in postorder(operand))


def _matrix(operand: Expr, value: Array) -> Array:
    half = split(operand)
    return value.reshape(prod(operand.shape[:half]), prod(operand.shape[half:]))


def _norm(relation: Relation, value: Array, lower: Fraction | None, upper: Fraction | None) -> bool:
    """An input with two axes counts by its entries, which bounds its norm as an operator as well."""
    operand = relation.operand
    if is_operator(operand) and not depends_on(operand, "input"):
        if lower is not None and lower > 0:
            raise Unsupported("a lower bound of a norm")
        return upper is None or _operator_norm(_matrix(operand, value), relation.p, upper)
    return (lower is None or lower <= 0 or _vector_norm(value, relation.p, lower, -1)) and (
        upper is None or _vector_norm(value, relation.p, upper, 1)
    )


def _operator_norm(matrix: Array, p: int | str, upper: Fraction) -> bool:
    if p == 2:
        return _true(norm_at_most(matrix, upper))
    rows = matrix if p == "inf" else matrix.T
    return all(sum(map(abs, row)) <= upper for row in rows)


def _vector_norm(value: Array, p: int | str, bound: Fraction, side: int) -> bool:
    """Whether the norm is at most (side 1) or at least (side -1) a bound."""
    entries = [abs(x) for x in value.flat]
    if p == 2:
        if bound < 0:
            return False
        size, bound = sum(x * x for x in entries), bound * bound
    else:
        size = sum(entries) if p == 1 else max(entries, default=Fraction(0))
    return bool(size <= bound if side == 1 else size >= bound)


def _degree(relation: Relation, own: Mapping[tuple[str, object], Array]) -> bool:
    """Of an edge list ``[2, E]``, each undirected edge once; weights are not read."""
    (edges,) = own.values()
    upper = _at_most(relation.upper)
    if edges.ndim != 2 or edges.shape[0] != 2 or relation.lower is not None:
        raise Unsupported("this graph")
    counts = np.bincount(edges.astype(np.int64).ravel())
    return upper is None or Fraction(int(counts.max(initial=0))) <= upper
