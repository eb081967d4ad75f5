"""Expected squares of a stochastic step: the new states as polynomials in the increments of the noise.

An increment is normal with mean zero and variance h. The new state is written as ``sum_n c_n(x) He_n(dW)`` with the
Hermite polynomials of variance h, which are orthogonal: ``E He_m He_n = n! h^n [m = n]``. Of two runs on one path the
expected squared distance is then the sum over n of ``n! h^n |c_n(x) - c_n(y)|^2``: exact, without any sampling.
Reference: Kloeden & Platen, "Numerical Solution of Stochastic Differential Equations", 1992, section 5.7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product as pairs
from math import factorial, prod

from odespec.exact import Real
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, Shape, depends_on, postorder
from odespec.ir.model import Model
from odespec.program.directional import LINEAR, spread
from odespec.program.step import StepProgram
from odespec.records import dataclass

Monomial = tuple[str, ...]
"""Names of noises, sorted, each as often as its power says."""

MAX_DEGREE = 8


class NoPolynomial(ValueError):
    """A new state is no polynomial in the increments whose coefficients are known; the message says why."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A tensor as a polynomial in the increments.

    ``own[m]`` is multiplied, entry by entry, by the increments of m: scalars, or tensors of the same shape. ``mixed[w]``,
    with the axes of a noise behind its own, is applied to that noise as an operator.
    """

    own: dict[Monomial, Expr]
    mixed: dict[str, Expr]

    @property
    def free(self) -> bool:
        """Whether no noise occurs."""
        return not self.mixed and self.own.keys() <= {()}


@dataclass(frozen=True, slots=True)
class Coefficient:
    """``value`` is multiplied by a random number (entry by entry by independent ones) whose square has the mean ``weight``.

    ``state``: of which new state. ``monomial``: which Hermite polynomial. ``mixed``: the last axes of the value are those of
    the noise. Those of different monomials are uncorrelated, and so are different entries of one noise.
    """

    state: int
    monomial: Monomial
    weight: Real
    value: Expr
    mixed: bool = False


def coefficients(program: StepProgram) -> tuple[Coefficient, ...]:
    """The coefficients of all new states, those of no noise first. Raises `NoPolynomial`."""
    expansions = _Reader(program.model).read(program.update)
    found: list[Coefficient] = []
    for i, expansion in enumerate(expansions):
        own, mixed = _hermite(program, expansion)
        for name in mixed:
            if (name,) in own:
                mixed[name] = ex.add(mixed[name], _as_mixed(own.pop((name,))))
        shape = program.model.states[i].shape
        found += [Coefficient(i, m, _weight(m, program.h), spread(e, shape)) for m, e in sorted(own.items())]
        found += [Coefficient(i, (n,), program.h, e, True) for n, e in sorted(mixed.items())]
    return tuple(found)


def _weight(monomial: Monomial, h: Real) -> Real:
    """``n! h^n`` for each noise."""
    result: Real = Fraction(1)
    for n in Counter(monomial).values():
        result = result * factorial(n)
    for _ in monomial:
        result = result * h
    return result


def _hermite(program: StepProgram, expansion: Expansion) -> tuple[dict[Monomial, Expr], dict[str, Expr]]:
    """The same polynomial in Hermite polynomials: ``w^n = sum_k n! / (2^k k! (n - 2k)!) h^k He_(n - 2k)``."""
    own: dict[Monomial, Expr] = {}
    for monomial, value in expansion.own.items():
        powers = Counter(monomial)
        for lowered in pairs(*(range(n // 2 + 1) for n in powers.values())):
            scale: Real = Fraction(1)
            left: list[str] = []
            for (name, n), k in zip(powers.items(), lowered, strict=True):
                scale = scale * Fraction(factorial(n), 2**k * factorial(k) * factorial(n - 2 * k))
                for _ in range(k):
                    scale = scale * program.h
                left += [name] * (n - 2 * k)
            term = ex.mul(ex.const(scale), value)
            key = tuple(sorted(left))
            own[key] = ex.add(own[key], term) if key in own else term
    return own, dict(expansion.mixed)


# --- expanding ---------------------------------------------------------------------


class _Reader:
    """Expands expressions node by node."""

    def __init__(self, model: Model) -> None:
        self.single = {w.name for w in model.noises if prod(w.shape) == 1}
        self.found: dict[Expr, Expansion] = {}

    def read(self, roots: tuple[Expr, ...]) -> tuple[Expansion, ...]:
        for node in postorder(*roots):
            self.found[node] = self._expand(node)
        return tuple(self.found[r] for r in roots)

    def _expand(self, node: Expr) -> Expansion:
        if node.op == "noise":
            return Expansion({(str(node.data),): ex.full(1, node.shape)}, {})
        args = tuple(self.found[a] for a in node.args)
        if all(a.free for a in args):
            return Expansion({(): node}, {})
        rule = _RULES.get(node.op)
        if rule is None:
            raise NoPolynomial(f"the noise stands inside `{_name(node)}`")
        expansion = rule(self, node, args)
        if any(len(m) > MAX_DEGREE for m in expansion.own):
            raise NoPolynomial("a polynomial of too high a degree in the noise")
        return expansion

    def numeric(self, monomial: Monomial) -> bool:
        """Whether a monomial is one random number, the same for all entries."""
        return all(name in self.single for name in monomial)

    # --- rules ---------------------------------------------------------------------

    def add(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        own: dict[Monomial, Expr] = {}
        mixed: dict[str, Expr] = {}
        for a, expansion in zip(node.args, args, strict=True):
            for m, e in expansion.own.items():
                e = spread(e, node.shape)
                own[m] = ex.add(own[m], e) if m in own else e
            for n, e in expansion.mixed.items():
                if a.shape != node.shape:
                    raise NoPolynomial("a sum of noises at every entry")
                mixed[n] = ex.add(mixed[n], e) if n in mixed else e
        return Expansion(own, mixed)

    def mul(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        a, b = args
        if a.mixed or b.mixed:
            (mixed, shape), factor = ((a, node.args[0].shape), b) if a.mixed else ((b, node.args[1].shape), a)
            return self._scaled(mixed, shape, factor, node.shape)
        own: dict[Monomial, Expr] = {}
        for (m, e), (n, f) in pairs(a.own.items(), b.own.items()):
            key = tuple(sorted((*m, *n)))
            term = spread(ex.mul(e, f), node.shape)
            own[key] = ex.add(own[key], term) if key in own else term
        return Expansion(own, {})

    def _scaled(self, mixed: Expansion, shape: Shape, factor: Expansion, target: Shape) -> Expansion:
        """Times a factor without noise."""
        if not factor.free or shape != target:
            raise NoPolynomial("a product of mixed noises")
        u = factor.own[()]
        own = {m: ex.mul(e, u) for m, e in mixed.own.items()}
        if not u.shape:
            return Expansion(own, {n: ex.mul(u, e) for n, e in mixed.mixed.items()})
        if len(shape) != 1:
            raise NoPolynomial("mixed noises of a tensor with several axes")
        left = Expr("diag", (u,), u.shape * 2)
        return Expansion(own, {n: ex.matmul(left, e) for n, e in mixed.mixed.items()})

    def div(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        if not args[1].free:
            raise NoPolynomial("the noise stands in a denominator")
        inverse = ex.power(node.args[1], Fraction(-1))
        return self.mul(node, (args[0], Expansion({(): inverse}, {})))

    def power(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        n = node.data
        if not isinstance(n, Fraction) or n.denominator != 1 or not 1 <= n <= MAX_DEGREE:
            raise NoPolynomial(f"the noise stands inside `{_name(node)}`")
        result = args[0]
        for _ in range(int(n) - 1):
            result = self.mul(node, (result, args[0]))
        return result

    def act(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        name = _name(node)
        if name == "square":
            return self.mul(node, (args[0], args[0]))
        if name == "identity":
            return args[0]
        raise NoPolynomial(f"the noise stands inside `{name}`")

    def linear(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        """One argument, linear in it."""
        own: dict[Monomial, Expr] = {}
        mixed: dict[str, Expr] = {}
        for m, e in args[0].own.items():
            e = spread(e, node.args[0].shape)
            if self.numeric(m):
                own[m] = Expr(node.op, (e,), node.shape, node.data)
            else:
                mixed[m[0]] = _summed(node, _as_mixed(e) if node.shape else e, _one(m))
        for n, e in args[0].mixed.items():
            if n in mixed or node.op not in ("sum", "mean") or len(node.args[0].shape) != 1:
                raise NoPolynomial(f"noise mixed by `{_name(node)}`")
            mixed[n] = _over(node, e, (0,))
        return Expansion(own, mixed)

    def dot(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        inner = ex.mul(*node.args)
        whole = self.mul(inner, args)
        return self.linear(Expr("sum", (inner,), (), None), (whole,))

    def matmul(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        a, b = args
        build: Callable[[Expr, Expr], Expr] = ex.matmul_last if node.data == "last" else ex.matmul
        if (not a.free and not b.free) or a.mixed:
            raise NoPolynomial("a product of matrices with noise")
        if not a.free or node.data == "last":
            own = (
                {**_each(a, lambda e: build(e, node.args[1]))} if b.free else _each(b, lambda e: build(node.args[0], e))
            )
            self._only_numbers(a if b.free else b)
            return Expansion(own, {})
        return self._applied(b, node.args[1].shape, lambda e: build(node.args[0], e))

    def apply(self, node: Expr, args: tuple[Expansion, ...]) -> Expansion:
        if not args[0].free:
            raise NoPolynomial("an operator with noise")
        self._only_numbers(args[1])
        return Expansion(_each(args[1], lambda e: ex.apply(node.args[0], e)), {})

    def _only_numbers(self, a: Expansion) -> None:
        if a.mixed or not all(map(self.numeric, a.own)):
            raise NoPolynomial("an operator on noise of several axes")

    def _applied(self, b: Expansion, shape: Shape, image: Callable[[Expr], Expr]) -> Expansion:
        """A matrix without noise."""
        own: dict[Monomial, Expr] = {}
        mixed = {n: image(e) for n, e in b.mixed.items()}
        for m, e in b.own.items():
            e = spread(e, shape)
            if self.numeric(m):
                own[m] = image(e)
                continue
            if len(shape) != 1:
                raise NoPolynomial("a matrix on noise of several axes")
            moved = image(_as_mixed(e))
            mixed[_one(m)] = ex.add(mixed[_one(m)], moved) if _one(m) in mixed else moved
        return Expansion(own, mixed)


def _each(a: Expansion, image: Callable[[Expr], Expr]) -> dict[Monomial, Expr]:
    return {m: image(e) for m, e in a.own.items()}


def _one(monomial: Monomial) -> str:
    if len(monomial) != 1:
        raise NoPolynomial("products of noises that are mixed")
    return monomial[0]


def _as_mixed(e: Expr) -> Expr:
    """Entry by entry as an operator: a diagonal matrix."""
    if len(e.shape) != 1:
        raise NoPolynomial("noise of several axes that is mixed")
    return Expr("diag", (e,), e.shape * 2)


def _summed(node: Expr, e: Expr, name: str) -> Expr:
    """A sum of a noise's entries: to a number of one vector, a row."""
    if node.op not in ("sum", "mean") or node.shape:
        raise NoPolynomial(f"noise mixed by `{_name(node)}`")
    count = prod(node.args[0].shape)
    return ex.mul(ex.const(Fraction(1, count)), e) if node.op == "mean" else e


def _over(node: Expr, e: Expr, axes: tuple[int, ...]) -> Expr:
    return ex.mean(e, axes) if node.op == "mean" else ex.total(e, axes)


def _name(node: Expr) -> str:
    return str(node.data[0]) if node.op == "act" and isinstance(node.data, tuple) else node.op


_RULES: dict[str, Callable[[_Reader, Expr, tuple[Expansion, ...]], Expansion]] = {
    "add": _Reader.add,
    "mul": _Reader.mul,
    "div": _Reader.div,
    "pow": _Reader.power,
    "act": _Reader.act,
    "dot": _Reader.dot,
    "matmul": _Reader.matmul,
    "apply": _Reader.apply,
    **dict.fromkeys(LINEAR, _Reader.linear),
}


def moving(found: tuple[Coefficient, ...]) -> tuple[Coefficient, ...]:
    """Those that depend on a state: the others are the same in both runs."""
    return tuple(c for c in found if depends_on(c.value, "state"))


def flow_coefficients(model: Model) -> tuple[Coefficient, ...]:
    """The coefficients of the diffusion, with weight one: ``d|e|^2 = 2 <e, f> dt + sum |c|^2 dt + …`` (Ito's formula)."""
    from odespec.program.stochastic import parts

    unit = StepProgram(model, Fraction(1), Fraction(0), 1, (), parts(model).diffusion)
    return tuple(replace(c, weight=Fraction(1)) for c in coefficients(unit) if c.monomial)
