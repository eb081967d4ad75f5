"""What forms are before rows are summed: constant matrices multiplied out, weights divided by their own norm as one letter."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

from odespec.ir.expr import Expr
from odespec.prove.entrywise.corners import Shape, whole
from odespec.prove.entrywise.facts import RowFacts, of_array
from odespec.prove.entrywise.forms import Form, Key, Letters, Linear, Value, add_to
from odespec.prove.entrywise.known import Known
from odespec.prove.relate.operators import Atom
from odespec.prove.relate.words import text

ZERO, ONE = Fraction(0), Fraction(1)
Matrix = tuple[tuple[Fraction, ...], ...]
MAX_SIZE = 40
"""Larger constant matrices stay letters."""


def simplified(form: Form, letters: Letters, facts: RowFacts) -> Form:
    """The same map in fewer terms."""
    return _folded(_normalised(form, letters, facts), letters)


# --- weights divided by their own norm ---------------------------------------------------


def _normalised(form: Form, letters: Letters, facts: RowFacts) -> Form:
    """``1/s`` with ``norm(W) <= s``, and a W in the same term: one letter of norm one."""
    if not any(_divisor(letters, name) for lead, _, _ in form for name in lead):
        return form
    total: Form = {}
    for (lead, word, v), c in form.items():
        add_to(total, (*_paired(lead, word, letters, facts), v), c)
    return total


def _divisor(letters: Letters, name: str) -> Expr | None:
    """The ``norm(W)`` by which a scalar factor divides."""
    recipe = letters.factors[name].recipe
    e = recipe.expr if isinstance(recipe, Value) else None
    return e.args[0] if e is not None and e.op == "pow" and e.data == -1 and e.args[0].op == "bound" else None


def _paired(
    lead: tuple[str, ...], word: tuple[str, ...], letters: Letters, facts: RowFacts
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    left, new = [], list(word)
    for name in lead:
        norm = _divisor(letters, name)
        at = next((i for i, x in enumerate(new) if norm is not None and _weight(letters, x) == norm.args[0]), None)
        if at is None:
            left.append(name)
        else:
            assert norm is not None
            new[at] = _divided(new[at], letters.factors[name].recipe, norm, letters)
    return tuple(left), tuple(new)


def _weight(letters: Letters, name: str) -> Expr | None:
    operator = letters.operators.get(name)
    if operator is None or not isinstance(operator.recipe, Linear) or operator.recipe.atom.kind != "matrix":
        return None
    return operator.recipe.atom.expr


def _divided(name: str, divisor: object, norm: Expr, letters: Letters) -> str:
    recipe = letters.operators[name].recipe
    assert isinstance(recipe, Linear)
    assert isinstance(divisor, Value)
    atom, weight = recipe.atom, norm.args[0]
    unit = Expr("mul", (divisor.expr, weight), weight.shape)
    if norm.data == 2:
        known = Known(_root(prod(atom.ins)), _root(prod(atom.outs)))
    else:
        known = Known(whole(ONE), Shape()) if norm.data == "inf" else Known(Shape(), whole(ONE))
    known = replace(known, why=f"{text(weight, 24)} divided by its norm")
    known = known.transposed if recipe.adjoint else known
    return letters.operator(f"{name}/norm", known, Linear(replace(atom, expr=unit), recipe.adjoint, recipe.last))


def _root(n: int) -> Shape:
    """Of rows of n entries and of length one."""
    from odespec.exact import enclose, root

    return whole(enclose(root(Fraction(n), 2))[1])


# --- constant matrices -------------------------------------------------------------------


def _folded(form: Form, letters: Letters) -> Form:
    """Terms that differ only in a run of constant matrices become one term with their sum."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str, int], list[tuple[Fraction, Matrix]]] = {}
    total: Form = {}
    for (lead, word, v), c in form.items():
        run = _run(word, letters)
        if run is None:
            add_to(total, (lead, word, v), c)
        else:
            start, stop, matrix = run
            key = (lead, word[:start], word[stop:], v, len(matrix) * (len(matrix) == len(matrix[0])))
            groups.setdefault(key, []).append((c, matrix))
    for (lead, before, after, v, size), matrices in groups.items():
        plain: Key = (lead, before + after, v)
        if size > 0 and plain in total:
            matrices.append((total.pop(plain), _identity(size)))
        matrix = _sum(matrices)
        if any(any(row) for row in matrix):
            add_to(total, (lead, (*before, _letter(matrix, letters), *after), v), ONE)
    return total


def fixed(letters: Letters, name: str) -> bool:
    """Whether a letter is a constant matrix."""
    return _constant(letters, name) is not None


def _run(word: tuple[str, ...], letters: Letters) -> tuple[int, int, Matrix] | None:
    """The first run of constant matrices in a word, multiplied out."""
    start = next((i for i, x in enumerate(word) if _constant(letters, x) is not None), None)
    if start is None:
        return None
    matrix = _constant(letters, word[start])
    assert matrix is not None
    stop = start + 1
    while stop < len(word) and (other := _constant(letters, word[stop])) is not None:
        matrix, stop = _product(matrix, other), stop + 1
    return start, stop, matrix


def _constant(letters: Letters, name: str) -> Matrix | None:
    operator = letters.operators.get(name)
    if operator is None or not isinstance(operator.recipe, Linear):
        return None
    e, recipe = operator.recipe.atom.expr, operator.recipe
    if recipe.last or e is None or e.op != "array" or len(e.shape) != 2 or max(e.shape) > MAX_SIZE:
        return None
    rows: Matrix = e.data  # type: ignore[assignment]
    if not all(isinstance(x, Fraction) for row in rows for x in row):
        return None
    return tuple(zip(*rows, strict=True)) if recipe.adjoint else rows


def _product(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return tuple(tuple(sum((x * y for x, y in zip(r, c, strict=True)), ZERO) for c in columns) for r in a)


def _sum(matrices: list[tuple[Fraction, Matrix]]) -> Matrix:
    rows = range(len(matrices[0][1]))
    columns = range(len(matrices[0][1][0]))
    return tuple(tuple(sum((c * m[i][j] for c, m in matrices), ZERO) for j in columns) for i in rows)


def _identity(n: int) -> Matrix:
    return tuple(tuple(Fraction(i == j) for j in range(n)) for i in range(n))


def _letter(matrix: Matrix, letters: Letters) -> str:
    shape = (len(matrix), len(matrix[0]))
    e = Expr("array", (), shape, matrix)
    atom = Atom("matrix", e, shape[:1], shape[1:])
    return letters.operator("a constant matrix", of_array(e), Linear(atom, False, False))
