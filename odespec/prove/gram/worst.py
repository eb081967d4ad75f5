"""The worst case of a Gram problem: its dual as a semidefinite program, in floating point.

Over multipliers y of the relations, the least tau is sought for which ``tau * denominator - numerator - y * relations``
is a positive semidefinite form on each space (with ``lower``: the largest, signs turned). The solution of the primal, a
Gram matrix for each space, is the worst pair of runs that the relations allow.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

from odespec.prove.gram.expand import Constraint, expand
from odespec.prove.gram.problem import Form, GramProblem, Vector
from odespec.records import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIN_SIZE, MAX_SIZE = 1e-6, 1e3


@dataclass(frozen=True, slots=True)
class WorstCase:
    """``value``: tau, infinite where no tau will do (with ``lower``: minus infinity), nan where the solver failed.

    ``status``: ``solved``, ``almost`` (less accurate than asked), ``unbounded`` or ``failed``. ``gram[s]`` is the Gram
    matrix of the basis vectors of space s, in their order; empty unless solved.
    """

    value: float
    status: str
    gram: tuple[Array, ...] = ()


def worst_case(problem: GramProblem) -> WorstCase:
    """Solve the dual. The value is a guess to be proved, never a proof."""
    from odespec.prove.gram import conic

    program = _Program(problem)
    if not program.spaces:
        return WorstCase(0.0, "solved")
    matrix, right = program.rows()
    objective = program.objective()
    solution = conic.solve(objective, matrix, right, program.nonneg, program.triangles())
    if solution.status in ("Solved", "AlmostSolved"):
        status = "solved" if solution.status == "Solved" else "almost"
        return WorstCase(float(solution.x[0]), status, program.grams(solution.dual))
    if solution.status in ("PrimalInfeasible", "AlmostPrimalInfeasible"):
        return WorstCase(-inf if problem.lower else inf, "unbounded")
    if solution.status in ("DualInfeasible", "AlmostDualInfeasible"):
        return WorstCase(inf if problem.lower else -inf, "unbounded")
    return WorstCase(float("nan"), "failed")


class _Program:
    """The variables are tau, then the multipliers of each constraint; the rows are signs, multipliers and slacks."""

    def __init__(self, problem: GramProblem) -> None:
        self.problem = problem
        self.sign = -1.0 if problem.lower else 1.0
        self.constraints = [c for r in problem.relations for c in expand(r)]
        self.size = sizes(problem)
        self.spaces = [
            [i for i, v in enumerate(problem.basis) if v.space == s] for s in sorted({v.space for v in problem.basis})
        ]
        self.place = {i: (s, k) for s, members in enumerate(self.spaces) for k, i in enumerate(members)}
        self.nonneg = sum(c.kind == "nonneg" for c in self.constraints)
        self.orders = tuple(len(c.forms) for c in self.constraints if c.kind == "psd")
        self.columns = 1 + sum(_count(c) for c in self.constraints)

    def objective(self) -> Array:
        import numpy as np

        result = np.zeros(self.columns)
        result[0] = self.sign
        return result

    def triangles(self) -> tuple[int, ...]:
        return self.orders + tuple(len(s) for s in self.spaces)

    def rows(self) -> tuple[Array, Array]:
        """``right - matrix @ x`` are the signed multipliers, the matrix multipliers and the slacks."""
        import numpy as np

        blocks = self.nonneg + sum(_triangle(n) for n in self.orders)
        self.offsets = np.cumsum([blocks, *(_triangle(len(s)) for s in self.spaces)])
        matrix, right = np.zeros((self.offsets[-1], self.columns)), np.zeros(self.offsets[-1])
        self._slack(right, self.problem.numerator, -self.sign)
        self._slack(matrix[:, 0], self.problem.denominator, -self.sign)
        column, sign_row, block_row = 1, 0, self.nonneg
        for c in self.constraints:
            scale = 1.0 / max(self._largest(c), 1e-12)
            entries = [(i, j) for j in range(len(c.forms)) for i in range(j + 1)]
            for k, (i, j) in enumerate(entries):
                weight = 1.0 if i == j else sqrt(2.0)
                self._slack(matrix[:, column + k], c.forms[i][j], scale * weight)
                if c.kind == "psd":
                    matrix[block_row + k, column + k] = -1.0
            if c.kind == "nonneg":
                matrix[sign_row, column] = -1.0
                sign_row += 1
            elif c.kind == "psd":
                block_row += len(entries)
            column += len(entries)
        return matrix, right

    def _slack(self, column: Array, form: Form, factor: float) -> None:
        """Add a form to the rows of the slacks: upper triangles by columns, off-diagonal entries times sqrt(2)."""
        for (i, j), c in form:
            space, a = self.place[i]
            _, b = self.place[j]
            a, b = min(a, b), max(a, b)
            value = float(c) * self.size[i] * self.size[j] * factor
            column[self.offsets[space] + b * (b + 1) // 2 + a] += value if i == j else value / sqrt(2.0)

    def _largest(self, c: Constraint) -> float:
        values = [abs(float(x)) * self.size[i] * self.size[j] for row in c.forms for f in row for (i, j), x in f]
        return max(values, default=0.0)

    def grams(self, dual: Array) -> tuple[Array, ...]:
        """The Gram matrices: the dual variables of the slacks, in the original sizes of the vectors."""
        import numpy as np

        result = []
        for s, members in enumerate(self.spaces):
            gram = np.zeros((len(members), len(members)))
            for b in range(len(members)):
                for a in range(b + 1):
                    value = dual[self.offsets[s] + b * (b + 1) // 2 + a]
                    value *= self.size[members[a]] * self.size[members[b]] / (1.0 if a == b else sqrt(2.0))
                    gram[a, b] = gram[b, a] = value
            result.append(gram)
        return tuple(result)


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def _count(c: Constraint) -> int:
    return _triangle(len(c.forms))


def sizes(problem: GramProblem) -> list[float]:
    """How large each vector may be, roughly, when the first ones have size one: the units of the solver."""
    found: dict[int, float] = {}

    def of(v: Vector) -> float:
        return sqrt(sum((float(c) * found.get(i, 1.0)) ** 2 for i, c in v))

    for r in problem.relations:
        vectors, numbers = dict(r.vectors), {name: float(x) for name, x in r.numbers}
        if r.rule == "sector":
            pairs, bound = zip(vectors["z"], vectors["p"], strict=True), max(abs(numbers["a"]), abs(numbers["b"]))
        elif r.rule == "operator" and numbers["gamma"] < 0:
            size = (abs(numbers["beta"]) + sqrt(numbers["beta"] ** 2 + 4 * max(numbers["alpha"], 0.0))) / 2
            pairs, bound = zip(vectors["u"], vectors["v"], strict=True), size
        else:
            continue
        for u, v in pairs:
            if len(v) == 1 and v[0][0] not in found and of(u):
                found[v[0][0]] = bound * of(u) / abs(float(v[0][1]))
    return [min(max(found.get(i, 1.0), MIN_SIZE), MAX_SIZE) for i in range(len(problem.basis))]
