"""Elementwise products multiplied out: sums of monomials, in each of which one factor is read as a vector.

``(1 - tanh(u)^2) * (W @ s - u)`` is four monomials; of each, ``W @ s`` or u is the vector and the others are factors.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from odespec.ir.expr import Expr, power
from odespec.prove.energy.scalar import moving
from odespec.prove.relate.words import text
from odespec.records import dataclass

MAX_MONOMIALS, MAX_FACTORS = 32, 8


@dataclass(frozen=True, slots=True)
class Monomial:
    """``number`` times scalars times tensors, elementwise. ``vector`` is None for the tensor of ones."""

    number: Fraction
    scalars: tuple[Expr, ...]
    factors: tuple[Expr, ...]
    vector: Expr | None


def monomials(node: Expr) -> tuple[Monomial, ...] | None:
    """The monomials of a product, quotient or power; None where there are too many of them."""
    done: list[Monomial] = []
    pending: list[tuple[Fraction, list[Expr], list[Expr]]] = [(Fraction(1), [], [node])]
    while pending:
        number, atoms, rest = pending.pop()
        if not rest:
            done.append(_chosen(number, atoms))
            continue
        pending += _opened(number, atoms, rest)
        if len(done) + len(pending) > MAX_MONOMIALS or len(atoms) > MAX_FACTORS:
            return None
    return tuple(done)


def _opened(number: Fraction, atoms: list[Expr], rest: list[Expr]) -> Iterable[tuple[Fraction, list[Expr], list[Expr]]]:
    """The last factor of a monomial opened."""
    *rest, e = rest
    if e.op in ("const", "full") and isinstance(e.data, Fraction):
        return [(number * e.data, atoms, rest)] if e.data else []
    if e.op == "mul":
        return [(number, atoms, [*rest, *e.args])]
    if e.op == "add" and (rest or atoms):
        return [(number, atoms, [*rest, a]) for a in reversed(e.args)]
    if e.op == "div":
        return [(number, [*atoms, power(e.args[1], Fraction(-1))], [*rest, e.args[0]])]
    if e.op == "pow" and isinstance(e.data, Fraction) and e.data.denominator == 1 and 1 < e.data <= MAX_FACTORS:
        return [(number, atoms, [*rest, *e.args * int(e.data)])]
    return [(number, [*atoms, e], rest)]


def _chosen(number: Fraction, atoms: list[Expr]) -> Monomial:
    """The monomial with the factor that says most as a vector: what is linear in the states, if there is such."""
    atoms = _without_steps(atoms)
    scalars = [a for a in atoms if not a.shape]
    tensors = sorted((a for a in atoms if a.shape), key=_rank)
    if tensors:
        return Monomial(number, _sorted(scalars), tuple(tensors[1:]), tensors[0])
    ranked = sorted(scalars, key=_rank)
    if ranked and _rank(ranked[0])[0] < FUNCTION:
        return Monomial(number, _sorted(ranked[1:]), (), ranked[0])
    return Monomial(number, _sorted(scalars), (), None)


def _without_steps(atoms: list[Expr]) -> list[Expr]:
    """``relu(z) * step(z)``, as derivatives have it, is ``relu(z)``."""
    positive = {a.args[0] for a in atoms if a.op == "act" and a.data == ("relu", ())}
    return [a for a in atoms if not (a.op == "act" and a.data == ("step", ()) and a.args[0] in positive)]


FUNCTION = 3
_LINEAR = ("matmul", "apply", "sum", "mean", "channel", "add")


def _rank(e: Expr) -> tuple[int, str]:
    linear = e.op in _LINEAR or (e.op == "dot" and not all(moving(a) for a in e.args))
    if not moving(e):
        return (2 if e.shape or linear else FUNCTION + 2), text(e)
    if linear:
        return 0, text(e)
    return (1 if e.op in ("state", "stage") else FUNCTION), text(e)


def _sorted(scalars: Iterable[Expr]) -> tuple[Expr, ...]:
    return tuple(sorted(scalars, key=text))
