"""Moves of positions and momenta that are shears by gradients, and so keep the two-form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from odespec.ir.expr import Expr, add
from odespec.ir.model import Model
from odespec.prove.structure.hamiltonian import Blocks, Pair, blocks, is_hamiltonian
from odespec.prove.structure.moves import Move, Moves

Shear = tuple[str, dict[str, Expr], Blocks]
"""Which side is moved, ``position`` or ``momentum``, what is added to each state, and its derivative."""


def shears_of(found: Moves, chosen: Sequence[Pair], model: Model) -> list[Shear] | None:
    """Consecutive moves of one side as one shear each; None where they are no shears by gradients.

    Raises `odespec.prove.structure.letters.NoWords`.
    """
    if found.order != tuple(range(len(found.leaves))) or any(e.op != "state" for e in found.leaves):
        return None
    if any(m.kind != "shift" for m in found.moves):
        return None
    positions = {p.position.name for p in chosen}
    name_of = [str(e.data) for e in found.leaves]
    shears: list[Shear] = []
    for at_position, group in groupby(found.moves, key=lambda m: name_of[m.slot] in positions):
        added = _added(list(group), name_of)
        derivative = blocks(added, model)
        moved = {n for n in name_of if (n in positions) == at_position}
        if any(by in moved for _, by in derivative) or not is_hamiltonian(derivative, tuple(chosen)):
            return None
        if derivative:
            shears.append(("position" if at_position else "momentum", added, derivative))
    return shears


def _added(group: list[Move], name_of: list[str]) -> dict[str, Expr]:
    """All that is added to each state of one side."""
    added: dict[str, Expr] = {}
    for move in group:
        name = name_of[move.slot]
        added[name] = add(added[name], move.by) if name in added else move.by
    return added
