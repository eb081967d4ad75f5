"""What each vector of a Gram problem stands for, in words that two actual runs can be measured by."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.exact import Real
from odespec.ir.expr import Expr
from odespec.prove.gram.problem import Vector
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.prove.relate.operators import Atom


@dataclass(frozen=True, slots=True)
class Difference:
    """The value of an expression in the first run minus that in the second; ``step`` counts from zero."""

    expr: Expr
    step: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """An atom (or its adjoint) applied to earlier symbols, on the first axes or on the last one."""

    atom: Atom
    adjoint: bool
    last: bool
    of: Vector


@dataclass(frozen=True, slots=True)
class Times:
    """An expression's value in one run (0 or 1) times a combination of earlier symbols, elementwise or by a scalar."""

    expr: Expr
    run: int
    of: Vector
    step: int = 0


@dataclass(frozen=True, slots=True)
class Remainder:
    """``(value - middle) / half`` times an earlier symbol: what the rational part of an irrational factor leaves."""

    value: Real
    middle: Fraction
    half: Fraction
    of: int


@dataclass(frozen=True, slots=True)
class Solved:
    """The q with ``atom @ q`` equal to the difference of an expression in the two runs, on the first axes."""

    atom: Atom
    expr: Expr
    step: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an expression in the first run: a problem about one run alone."""

    expr: Expr
    step: int = 0


Recipe = Value | Difference | Applied | Times | Remainder | Solved
