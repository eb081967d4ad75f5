"""The typed IR of a model: what `odespec.ir.resolve` makes of a section, and what every later stage reads.

All names are resolved, all sizes are numbers, `let`, `grad` and second-order equations are gone.
"""

from __future__ import annotations

from fractions import Fraction

from odespec.exact import Real
from odespec.ir.expr import Expr, Shape
from odespec.records import dataclass
from odespec.source import Source, Span


@dataclass(frozen=True, slots=True)
class State:
    """A state. ``initial`` is None for an input of the network, else an expression in params, inputs, earlier states.

    ``position`` names the state whose velocity this one is, where it came from a second-order equation; the name of a
    velocity is that of its position with a prime, ``x'``.
    """

    name: str
    shape: Shape
    initial: Expr | None
    position: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Param:
    """A trainable tensor. Its shape is that of one copy; with ``per_step`` there is one copy for each step."""

    name: str
    shape: Shape
    structure: str | None
    per_step: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Input:
    """An input held constant, or with ``per_step`` one entry for each step."""

    name: str
    shape: Shape
    structure: str | None
    per_step: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Noise:
    name: str
    shape: Shape
    span: Span


@dataclass(frozen=True, slots=True)
class Graph:
    name: str
    nodes: int
    span: Span


@dataclass(frozen=True, slots=True)
class Relation:
    """A constraint, a domain or an invariant: ``lower <= quantity(operand) <= upper``.

    ``quantity``: ``norm`` (of a matrix or operator, or the Euclidean norm of a vector; ``p`` is 2, 1 or "inf"),
    ``sigma`` (all singular values), ``eig`` (all eigenvalues of a symmetric matrix), ``entries``, ``degree`` (of a
    graph).
    A missing side is None. ``equal``: both sides are the same value. In an invariant the bounds may be expressions.
    """

    quantity: str
    operand: Expr
    lower: Real | Expr | None
    upper: Real | Expr | None
    span: Span
    p: int | str = 2
    equal: bool = False


@dataclass(frozen=True, slots=True)
class Solver:
    """A solver with its options. ``steps`` is None for an adaptive solver, "auto" where the compiler chooses.

    ``options``: every other keyword: ``rtol``, ``atol``, ``max_steps`` (numbers), ``start`` (a name), ``linear`` (an
    `Expr`). ``tableau`` is the user's own ``(A, b)`` for ``solver tableau(…)``.
    """

    name: str
    steps: int | str | None
    options: tuple[tuple[str, object], ...]
    span: Span
    tableau: tuple[tuple[tuple[Real, ...], ...], tuple[Real, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Time:
    start: Real
    end: Real
    save: int | None
    span: Span


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim. ``text`` is what stands in the spec without ``claim`` and ``not``.

    ``subject``: "map", "flow" or "output". ``norm``: 2, 1, "inf". ``lower`` and ``upper``: the numbers of ``gradient``,
    ``lipschitz``, ``contractive`` (the rate, as ``lower``) and ``order`` (as ``lower``). ``metric``: None, "some" or a
    matrix. ``by``: the input of ``lipschitz(by = u)``. ``scalar``: the V of ``conserves`` and ``dissipates``.
    ``relation``: of ``invariant``.
    """

    name: str
    negated: bool
    text: str
    span: Span
    subject: str = "map"
    mean_square: bool = False
    norm: int | str = 2
    metric: str | Expr | None = None
    by: str | None = None
    lower: Real | None = None
    upper: Real | None = None
    scalar: Expr | None = None
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model, checked. ``field`` has one right-hand side for each state, in the order of ``states``."""

    name: str
    doc: str | None
    source: Source
    span: Span
    dims: tuple[tuple[str, int], ...]
    consts: tuple[tuple[str, object], ...]
    states: tuple[State, ...]
    params: tuple[Param, ...]
    inputs: tuple[Input, ...]
    noises: tuple[Noise, ...]
    graphs: tuple[Graph, ...]
    field: tuple[Expr, ...]
    discrete: bool
    constraints: tuple[Relation, ...]
    domains: tuple[Relation, ...]
    solver: Solver
    time: Time | None
    output: tuple[str, Expr] | None
    claims: tuple[Claim, ...]

    @property
    def free_states(self) -> tuple[State, ...]:
        """The states whose initial values are inputs of the network."""
        return tuple(s for s in self.states if s.initial is None)

    @property
    def step_size(self) -> Real:
        """h = T / N of a fixed-step solver (1 for a map). Raises TypeError where there is none."""
        if self.discrete:
            return Fraction(1)
        if self.time is None or not isinstance(self.solver.steps, int):
            raise TypeError(f"{self.solver.name} has no fixed step")
        return (self.time.end - self.time.start) / self.solver.steps


@dataclass(frozen=True, slots=True)
class LayerIR:
    """One layer of a network: an expression, or a model applied to earlier values.

    ``targets`` are the names it binds, each with its shape; ``model`` is None for an expression layer.
    """

    targets: tuple[tuple[str, Shape], ...]
    values: tuple[Expr, ...]
    model: Model | None
    span: Span


@dataclass(frozen=True, slots=True)
class Network:
    """A network of layers. Its expressions read earlier values as ``Expr("value", …)`` leaves with the bound name."""

    name: str
    doc: str | None
    source: Source
    span: Span
    dims: tuple[tuple[str, int], ...]
    consts: tuple[tuple[str, object], ...]
    params: tuple[Param, ...]
    inputs: tuple[Input, ...]
    constraints: tuple[Relation, ...]
    domains: tuple[Relation, ...]
    layers: tuple[LayerIR, ...]
    output: tuple[str, Expr] | None
    claims: tuple[Claim, ...]


Section = Model | Network


@dataclass(frozen=True, slots=True)
class Spec:
    """A checked file: its sections in order, and the texts of every file read for it (itself first)."""

    source: Source
    sections: tuple[Section, ...]
    files: tuple[Source, ...]
    overrides: tuple[tuple[str, str], ...] = ()
