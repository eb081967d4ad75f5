"""The registry of solvers. A solver is data; `odespec.solvers.facts` computes its properties from it."""

from odespec.solvers import adaptive, explicit, implicit, schemes
from odespec.solvers.method import (
    SOLVERS,
    Composition,
    Method,
    Multistep,
    RungeKutta,
    Scheme,
    Substep,
    UnknownSolver,
    get,
    register,
    tableau,
)

__all__ = [
    "SOLVERS",
    "Composition",
    "Method",
    "Multistep",
    "RungeKutta",
    "Scheme",
    "Substep",
    "UnknownSolver",
    "get",
    "register",
    "tableau",
]

_ = adaptive, explicit, implicit, schemes
