"""What a solver is: a name, its keywords, and its scheme as data."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.exact import Real
from odespec.records import dataclass
from odespec.solvers.quadratic import simplified

Row = tuple[Real, ...]


@dataclass(frozen=True, slots=True)
class RungeKutta:
    """A Butcher tableau.

    ``Y_i = x + h sum_j A[i][j] f(t + c[j] h, Y_j)`` and ``x+ = x + h sum_i b[i] f(t + c[i] h, Y_i)``.

    ``b_embedded`` are the weights of the second formula of an adaptive pair.
    """

    A: tuple[Row, ...]
    b: Row
    c: Row
    b_embedded: Row | None = None

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def explicit(self) -> bool:
        """Whether A is strictly lower triangular."""
        return all(a == 0 for i, row in enumerate(self.A) for a in row[i:])


@dataclass(frozen=True, slots=True)
class Substep:
    """A step of one half of a partitioned system.

    ``kick`` moves the momentum, ``drift`` the position, by ``size * h`` times its field at time ``t + at * h`` and at
    the current values of both.
    """

    kind: str
    size: Real
    at: Real


@dataclass(frozen=True, slots=True)
class Composition:
    """Kicks and drifts in their order. ``separable``: only for fields in which neither half depends on itself."""

    substeps: tuple[Substep, ...]
    separable: bool


@dataclass(frozen=True, slots=True)
class Multistep:
    """``sum_j alpha[j] x_{n+j} = h sum_j beta[j] f(x_{n+j})`` with j from 0 (oldest) to k; ``start`` begins."""

    alpha: Row
    beta: Row
    start: str


Scheme = RungeKutta | Composition | Multistep


@dataclass(frozen=True, slots=True)
class Method:
    """One entry of the registry.

    ``family``: "explicit", "adaptive", "implicit", "partitioned", "multistep", "splitting", "stochastic", "custom" or
    "map". ``keywords``: what may stand in its parentheses. ``order``: of convergence, None where the user's own tableau
    decides. ``data`` is the scheme, or a cached function that makes it (long tableaux are read when first needed).
    """

    name: str
    family: str
    keywords: tuple[str, ...]
    order: int | None
    reference: str
    doc: str
    data: Scheme | Callable[[], Scheme] | None = None

    @property
    def scheme(self) -> Scheme | None:
        """The scheme; None where it is no data of one of the kinds above."""
        return self.data() if callable(self.data) else self.data

    @property
    def states(self) -> int | None:
        """How many states the model must have, None for any number."""
        return 2 if self.family == "partitioned" else None


class UnknownSolver(LookupError):
    """There is no solver of this name."""


SOLVERS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Make a solver known under its name. Raises ValueError where the name is taken."""
    if method.name in SOLVERS:
        raise ValueError(f"there is already a solver `{method.name}`")
    SOLVERS[method.name] = method
    return method


def get(name: str) -> Method:
    """The solver of a name. Raises `UnknownSolver`."""
    if name not in SOLVERS:
        raise UnknownSolver(name)
    return SOLVERS[name]


def numbers(text: str) -> Row:
    """Fractions from a line of text such as ``"0 1/2 -3/8"``."""
    return tuple(Fraction(word) for word in text.split())


def runge_kutta(A: str, b: str, b_embedded: str | None = None) -> RungeKutta:
    """A tableau from text; the rows of A are parted by ``;`` and may leave out trailing zeros. c are the row sums."""
    weights = numbers(b)
    rows = tuple(numbers(row) for row in A.split(";"))
    return tableau(rows, weights, numbers(b_embedded) if b_embedded else None)


def tableau(A: tuple[Row, ...], b: Row, b_embedded: Row | None = None) -> RungeKutta:
    """A tableau from numbers, written in their simplest form; rows padded with zeros, c the row sums."""
    zero: Real = Fraction(0)
    rows = tuple(_simple(row) + (zero,) * (len(b) - len(row)) for row in A)
    return RungeKutta(rows, _simple(b), _simple(tuple(sum(row, zero) for row in rows)), b_embedded)


def _simple(row: Row) -> Row:
    return tuple(simplified(x) for x in row)


def consistent(scheme: RungeKutta) -> RungeKutta:
    """The scheme with its first weights set so that they sum to one exactly; published decimals often only nearly do.

    A last row of A that repeats the weights (a stage at the new value) keeps doing so.
    """
    b = _summing_to_one(scheme.b)
    rows = scheme.A[:-1] + (b,) if scheme.A[-1] == scheme.b else scheme.A
    return tableau(rows, b, scheme.b_embedded and _summing_to_one(scheme.b_embedded))


def _summing_to_one(weights: Row) -> Row:
    return (1 - sum(weights[1:], Fraction(0)), *weights[1:])
