"""Whether the implicit equations of a multistep method, of its first steps and of the later ones, have one solution."""

from __future__ import annotations

from dataclasses import replace

from odespec.program.step import StepProgram
from odespec.prove.gram.exact import Proof
from odespec.prove.gram.solve import finite
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import Reading, read_solvability


def systems(program: StepProgram) -> dict[str, StepProgram]:
    """The implicit ones of the first steps (``begin``) and of the later ones (``later``), where there are such steps."""
    found: dict[str, StepProgram] = {}
    begin = program.begin
    if begin is not None and begin.solves:
        found["begin"] = replace(program, solves=begin.solves, update=begin.update, memory=(), begin=None)
    if program.solves and program.steps > (0 if begin is None else begin.steps):
        found["later"] = program
    return found


def reading(program: StepProgram) -> Reading:
    """Stages against residuals of one of the systems. Raises `NoRelation`."""
    found = read_solvability(program)
    assert found is not None
    return found


def solvability(program: StepProgram) -> dict[str, Proof] | None:
    """A proof for each system; None where one is missing."""
    proofs: dict[str, Proof] = {}
    for name, system in systems(program).items():
        try:
            proof = finite(reading(system).problem)
        except NoRelation:
            return None
        if proof is None:
            return None
        proofs[name] = proof
    return proofs
