"""The linearised field in components, each a small matrix of polynomials in one operator.

States that do not depend on each other, not even through others, are blocks of a triangular form: the eigenvalues are those
of the blocks on the diagonal. A block of two states ``[[a, A], [B, d]]`` with numbers a and d has, for each eigenvalue k of
``A B``, those of ``[[a, 1], [k, d]]``; so has any method that treats each state as one. Blocks that are all polynomials in
one operator are a matrix of numbers for each of its eigenvalues. Otherwise the whole block is the operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from odespec.ir.expr import Shape
from odespec.prove.spectrum.words import UNIT, Block, Entry, Operators, number, plus
from odespec.records import dataclass

Coefficients = tuple[Fraction, ...]
Small = tuple[tuple[Coefficients, ...], ...]
"""A matrix of polynomials in k, the constant first, without zeros at the end."""

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Component:
    """``operator`` acts on tensors of ``shapes``; None where the matrix has no k in it. ``zero``: k = 0 occurs as well.

    ``damping``: a second operator, which stands at the last place of the matrix as well, times one.

    ``matrix`` has a row for each of ``states`` (numbers of the model's states), or one where they are taken as one.
    """

    states: tuple[int, ...]
    matrix: Small
    operator: Block | None
    shapes: tuple[Shape, ...]
    zero: bool = False
    damping: Entry | None = None

    @property
    def joint(self) -> bool:
        return len(self.matrix) < len(self.states)


def strong(block: Block, part: Block) -> list[tuple[int, ...]]:
    """The strongly connected components of the states: those that depend on each other, in the field or a part of it."""
    n = range(len(block))
    reach = [[i == j or bool(block[i][j]) or bool(part[i][j]) for j in n] for i in n]
    for k in n:
        for i in n:
            for j in n:
                reach[i][j] = reach[i][j] or (reach[i][k] and reach[k][j])
    found: list[tuple[int, ...]] = []
    for i in n:
        group = tuple(j for j in n if reach[i][j] and reach[j][i])
        if group[0] == i:
            found.append(group)
    return found


def restricted(block: Block, group: tuple[int, ...]) -> Block:
    return tuple(tuple(block[i][j] for j in group) for i in group)


def components(
    block: Block, group: tuple[int, ...], shapes: tuple[Shape, ...], operators: Operators
) -> Iterator[Component]:
    """The ways in which a block of states that depend on each other can be a small matrix, the smaller operator first."""
    own = restricted(block, group)
    sizes = tuple(shapes[i] for i in group)
    scalars = _numbers(own)
    if scalars is not None:
        yield Component(group, scalars, None, ())
        return
    if len(group) > 1:
        yield from _commuting(own, group, sizes)
    if len(group) == 2:
        yield from _pair(own, group, sizes, operators)
    yield Component(group, (((ZERO, ONE),),), own, sizes)


def _numbers(block: Block) -> Small | None:
    values = [[number(e) for e in row] for row in block]
    if any(v is None for row in values for v in row):
        return None
    return tuple(tuple(_constant(v) for v in row) for row in values)  # type: ignore[arg-type]


def _constant(c: Fraction) -> Coefficients:
    return (c,) if c else ()


def _commuting(block: Block, group: tuple[int, ...], shapes: tuple[Shape, ...]) -> Iterator[Component]:
    """All entries are ``c + e K`` for one K, which takes the states' one shape to itself."""
    if len(set(shapes)) > 1:
        return
    K = next(_without_unit(e) for row in block for e in row if number(e) is None)
    matrix = [[_linear_in(e, K) for e in row] for row in block]
    if all(p is not None for row in matrix for p in row):
        yield Component(group, tuple(tuple(row) for row in matrix), ((K,),), shapes[:1])  # type: ignore[arg-type]


def damped(block: Block, group: tuple[int, ...], shapes: tuple[Shape, ...]) -> Iterator[Component]:
    """``[[a, c], [K, D]]`` with numbers a and c: the quotients of K and D at an eigenvector's first part stand for them."""
    for pair in (group, group[::-1]) if len(group) == 2 else ():
        (a, c), (K, D) = restricted(block, pair)
        first, second, own = number(a), number(c), shapes[pair[0]]
        if first is None or not second or number(K) is not None or number(D) is not None or own != shapes[pair[1]]:
            continue
        matrix = ((_constant(first), (second,)), ((ZERO, ONE), ()))
        yield Component(pair, matrix, ((K,),), (own,), damping=D)


def _without_unit(e: Entry) -> Entry:
    return {w: c for w, c in e.items() if w != UNIT}


def _linear_in(e: Entry, K: Entry) -> Coefficients | None:
    """``(c, f)`` with ``e = c + f K``."""
    rest = _without_unit(e)
    if not rest:
        return _constant(e.get(UNIT, ZERO))
    if rest.keys() != K.keys():
        return None
    factor = next(rest[w] / K[w] for w in K)
    same = not plus(rest, K, -factor)
    return (e.get(UNIT, ZERO), factor) if same else None


def implicit_components(
    block: Block, implicit: Block, group: tuple[int, ...], shapes: tuple[Shape, ...]
) -> Iterator[tuple[Component, Small]]:
    """With the part of the field that a step treats implicitly, as a matrix of polynomials in the same operator."""
    own, part = restricted(block, group), restricted(implicit, group)
    rest = tuple(tuple(plus(x, y, -1) for x, y in zip(r, s, strict=True)) for r, s in zip(own, part, strict=True))
    if len({shapes[i] for i in group}) > 1:
        return
    numbers = _numbers(own), _numbers(part)
    if numbers[0] is not None and numbers[1] is not None:
        yield Component(group, numbers[0], None, ()), numbers[1]
        return
    candidates = [_without_unit(e) for b in (rest, part) for row in b for e in row if number(e) is None]
    for K in candidates[:2]:
        matrices = [[[_linear_in(e, K) for e in row] for row in b] for b in (own, part)]
        if all(p is not None for m in matrices for row in m for p in row):
            whole, linear = (tuple(tuple(row) for row in m) for m in matrices)
            yield Component(group, whole, ((K,),), (shapes[group[0]],)), linear  # type: ignore[arg-type, misc]


def _pair(block: Block, group: tuple[int, ...], shapes: tuple[Shape, ...], operators: Operators) -> Iterator[Component]:
    """``[[a, A], [B, d]]``: in the eigenvalues of A B."""
    (a, A), (B, d) = block
    first, second = number(A), number(B)
    places: tuple[Coefficients, Coefficients]
    if first:
        K, places, shape = B, ((first,), (ZERO, ONE)), shapes[1]
    elif second:
        K, places, shape = A, ((ZERO, ONE), (second,)), shapes[0]
    else:
        K, places, shape = operators.product(A, B), ((ONE,), (ZERO, ONE)), shapes[0]
    turned = K if first or second else operators.product(B, A)
    corners = _linear_in(a, K), _linear_in(d, turned)
    if corners[0] is None or corners[1] is None or not K:
        return
    matrix: Small = ((corners[0], places[0]), (places[1], corners[1]))
    yield Component(group, matrix, ((K,),), (shape,), zero=shapes[0] != shapes[1])


__all__ = ["Component", "Small", "components", "damped", "implicit_components", "restricted", "strong"]
