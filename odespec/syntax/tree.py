"""The syntax tree of an ``.ode`` file: what was written, and where.

It knows nothing of names, types or shapes. Every node carries its span.
Primes are counted: ``x`` has 0, ``x'`` 1, ``x''`` 2. Nodes compare by identity (`odespec.syntax.compare` compares trees,
without recursion).
"""

from __future__ import annotations

from fractions import Fraction

from odespec.records import dataclass
from odespec.source import Source, Span

# --- expressions ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    span: Span
    value: Fraction
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A name, or a state's derivative ``x'``."""

    span: Span
    name: str
    primes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A constant array in brackets, ``[[0, 1], [1, 0]]``."""

    span: Span
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Keyword:
    """``name = value`` among the arguments of a call, a solver or a claim."""

    span: Span
    name: str
    name_span: Span
    value: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """``f(a, b, k = c)``; also the initial value ``x(0)`` and ``x'(0)``."""

    span: Span
    name: str
    name_span: Span
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    primes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """``ones[d]``, ``zeros[m, d]``."""

    span: Span
    name: str
    name_span: Span
    sizes: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Negate:
    span: Span
    operand: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Transpose:
    span: Span
    operand: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """``operator`` is one of ``+ - * / @ ^``."""

    span: Span
    operator: str
    operator_span: Span
    left: Expr
    right: Expr


Expr = Number | Name | Array | Call | Sized | Negate | Transpose | Binary


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """``subject in [lower, upper]`` or one of ``<= >= ==``.

    ``<=`` has only ``upper``, ``>=`` only ``lower``, ``==`` has its value in both.
    """

    span: Span
    operator: str
    subject: Expr
    lower: Expr | None
    upper: Expr | None


# --- statements ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """``name = value`` of a ``dim`` or ``const`` line."""

    span: Span
    name: str
    name_span: Span
    value: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Declarator:
    """``name[size, …]``, with primes and an initial value for states."""

    span: Span
    name: str
    name_span: Span
    sizes: tuple[Expr, ...]
    primes: int = 0
    initial: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DimDecl:
    span: Span
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ConstDecl:
    span: Span
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class VariableDecl:
    """A line of ``state``, ``param``, ``input``, ``graph`` or ``noise`` (``kind``)."""

    span: Span
    kind: str
    declarators: tuple[Declarator, ...]
    structure: str | None = None
    structure_span: Span | None = None
    per_step: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LetDecl:
    span: Span
    binding: Binding


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """``x' = …`` (order 1), ``x'' = …`` (order 2) or the map ``x+ = …`` (order 0)."""

    span: Span
    name: str
    name_span: Span
    order: int
    value: Expr


@dataclass(frozen=True, slots=True, eq=False)
class ConstraintDecl:
    span: Span
    relation: Relation


@dataclass(frozen=True, slots=True, eq=False)
class DomainDecl:
    span: Span
    relation: Relation


@dataclass(frozen=True, slots=True, eq=False)
class SolverDecl:
    """``solver rk4(steps = 32)``; ``steps = auto`` has the value ``Name("auto")``."""

    span: Span
    name: str
    name_span: Span
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TimeDecl:
    span: Span
    start: Expr
    end: Expr
    save: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OutputDecl:
    span: Span
    binding: Binding


@dataclass(frozen=True, slots=True, eq=False)
class ClaimDecl:
    """A claim as written.

    ``claim not lipschitz(norm = inf) <= 2 of flow``: negated, name ``lipschitz``, keyword ``norm``,
    operator ``<=`` with ``upper``, subject ``flow``. Of ``invariant R`` the relation is in ``relation``.
    ``subject`` is ``flow``, ``output`` or None (as written, checked later); ``in mean square`` sets ``mean_square``.
    """

    span: Span
    negated: bool
    name: str
    name_span: Span
    args: tuple[Expr, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    operator: str | None = None
    lower: Expr | None = None
    upper: Expr | None = None
    relation: Relation | None = None
    subject: str | None = None
    subject_span: Span | None = None
    mean_square: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer line of a network: ``u = conv(K) @ image``, ``a, b = M(a, b)``."""

    span: Span
    targets: tuple[Name, ...]
    value: Expr


Statement = (
    DimDecl
    | ConstDecl
    | VariableDecl
    | LetDecl
    | Equation
    | ConstraintDecl
    | DomainDecl
    | SolverDecl
    | TimeDecl
    | OutputDecl
    | ClaimDecl
    | Layer
)


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    span: Span
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """``kind`` is ``model`` or ``network``; statements in the order of the text."""

    span: Span
    kind: str
    name: str
    name_span: Span
    doc: str | None
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class File:
    source: Source
    uses: tuple[Use, ...]
    sections: tuple[Section, ...]
