"""A step that expands no distance, or a flow with ``<z, J z> <= 0``: it has no eigenvalue outside either.

The relations between differences of two runs hold for the linearised step with frozen slopes as well.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import Any

from odespec.ir.model import Model
from odespec.program.lower import NotLowered, lower
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.relations import flow_problem, step_problem

NEAR = 1e-6


def contraction(model: Model, scheme: dict[str, Any]) -> Proof | None:
    """A proof that one step multiplies no distance by more than one; None where none was found."""
    flow = scheme["family"] == "flow"
    if scheme["family"] == "multistep":
        return None
    try:
        problem = flow_problem(model, lower=False) if flow else step_problem(lower(model), lower=False)
    except (NotLowered, NoRelation):
        return None
    limit = 0 if flow else 1
    value = worst_case(problem).value
    return prove(problem, Fraction(limit)) if isfinite(value) and value <= limit + NEAR else None
