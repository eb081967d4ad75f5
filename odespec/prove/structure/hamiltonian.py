"""Whether a field is Hamiltonian: its derivative blocks as operator words, and what of them must vanish.

With positions q and momenta p a field is Hamiltonian if and only if ``dq'/dq + (dp'/dp)^T = 0`` and ``dq'/dp``,
``dp'/dq`` are symmetric, at all states (Hairer, Lubich & Wanner, Geometric Numerical Integration, lemma VI.2.7).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from odespec.ir.expr import Expr, leaf
from odespec.ir.model import Model, State
from odespec.prove.structure.jacobian import Jacobian
from odespec.prove.structure.letters import Sum, plus, scaled, transposed
from odespec.records import dataclass

MINUS = Fraction(-1)

Blocks = dict[tuple[str, str], Sum]
"""The derivative of each state's right-hand side by each state; what is missing is zero."""


class NoPairs(Exception):
    """The states are not positions with their momenta; the message says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A position and its momentum, of one shape."""

    position: State
    momentum: State


def pairs(model: Model) -> tuple[Pair, ...]:
    """The positions and momenta: velocities with their positions, or two states in their order. Raises `NoPairs`."""
    by_name = {s.name: s for s in model.states}
    found = [Pair(by_name[s.position], s) for s in model.states if s.position is not None]
    taken = {s.name for p in found for s in (p.position, p.momentum)}
    rest = [s for s in model.states if s.name not in taken]
    if len(rest) not in (0, 2) or (rest and found):
        raise NoPairs("the states are not a position and a momentum")
    if rest:
        found.append(Pair(*rest))
    if any(p.position.shape != p.momentum.shape for p in found):
        raise NoPairs("a position and its momentum have different shapes")
    return tuple(found)


def structures(model: Model) -> dict[Expr, str]:
    """The structures of parameters and inputs, by their leaves."""
    found = {leaf("param", p.name, p.shape): p.structure for p in model.params}
    found |= {leaf("input", u.name, u.shape): u.structure for u in model.inputs}
    return {e: structure for e, structure in found.items() if structure is not None}


def blocks(rights: Mapping[str, Expr], model: Model) -> Blocks:
    """The derivatives of expressions, one for each state, by the states. Raises `NoWords`."""
    leaves = {leaf("state", s.name, s.shape): s.name for s in model.states}
    jacobian = Jacobian(tuple(leaves), structures(model))
    return {(name, leaves[by]): words for name, e in rights.items() for by, words in jacobian.of(e).items() if words}


def is_hamiltonian(found: Blocks, chosen: tuple[Pair, ...]) -> bool:
    """Whether the conditions hold, word by word; False where that is not seen."""
    names = [(p.position.name, p.momentum.name) for p in chosen]
    empty: Sum = {}
    for qi, pi in names:
        for qj, pj in names:
            mixed = plus(found.get((qi, qj), empty), transposed(found.get((pj, pi), empty)))
            upper = plus(found.get((qi, pj), empty), scaled(MINUS, transposed(found.get((qj, pi), empty))))
            lower = plus(found.get((pi, qj), empty), scaled(MINUS, transposed(found.get((pj, qi), empty))))
            if mixed or upper or lower:
                return False
    return True
