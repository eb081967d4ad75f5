"""The form of a given metric: ``<e, P e>`` over probes, and the bound on its growth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from odespec.ir.expr import Expr
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.expand import Terms, form, inner
from odespec.prove.gram.problem import Form, GramProblem, Vector
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.threshold import Target, choose_tau
from odespec.prove.gram.worst import worst_case
from odespec.prove.lyapunov.coordinates import Coordinates
from odespec.prove.lyapunov.joint import FormProof, PartProof
from odespec.prove.lyapunov.probes import Lift, Pair, Probe, shared
from odespec.prove.lyapunov.reading import Lifted, reader_of
from odespec.prove.lyapunov.settings import Setting, setting
from odespec.prove.relate.operators import Atom, Monomial, NoRelation, Word
from odespec.prove.relate.reader import Reader
from odespec.prove.sides import Horizon
from odespec.records import dataclass

LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Given:
    """A reading for the form of a metric, with its coefficients."""

    setting: Setting
    theta: tuple[Fraction, ...]


def read_given(program: StepProgram, flow: bool, metric: Expr, entries: Coordinates | None, span: int = 1) -> Given:
    """The reading for a metric over so many steps; ``entries``: the program was taken entry by entry.

    Raises `NoRelation`.
    """
    reader = reader_of(program, flow)
    terms: dict[tuple[Probe, Probe], Fraction] = {}
    shapes = [s.shape for s in program.model.states]
    for (i, j), monomial, c in _monomials(reader, metric, shapes, entries):
        scalars, word = monomial
        pair, sign = _halves(reader, (i, j), scalars, word, shapes)
        terms[pair] = terms.get(pair, Fraction(0)) + sign * c
    probes = list(dict.fromkeys(p for pair in terms for p in pair))
    if not all(shared(reader.knowledge, p.atoms) for p in probes):
        raise NoRelation("the metric differs from step to step")
    place = {p: k for k, p in enumerate(probes)}
    theta: dict[Pair, Fraction] = {}
    for (a, b), c in terms.items():
        key = min(place[a], place[b]), max(place[a], place[b])
        theta[key] = theta.get(key, Fraction(0)) + c
    chosen = [pair for pair in sorted(theta) if theta[pair]]
    lift: Lift = (None,) * len(shapes)
    return Given(setting(program, flow, lift, probes, chosen, span), tuple(theta[p] for p in chosen))


def _monomials(
    reader: Reader, metric: Expr, shapes: list[tuple[int, ...]], entries: Coordinates | None
) -> Iterable[tuple[tuple[int, int], Monomial, Fraction]]:
    """The terms of ``<e, P e>``: two states, scalars and a word, and a coefficient."""
    if entries is not None:
        for i in range(len(shapes)):
            for j in range(len(shapes)):
                for monomial, c in reader.algebra.polynomial(entries.metric[i, j]).items():
                    yield (i, j), monomial, c
        return
    polynomial = reader.algebra.polynomial(metric)
    plain = all(not word for _, word in polynomial)
    if not plain and (len(shapes) > 1 or len(shapes[0]) != 1):
        raise NoRelation("the metric mixes states, or axes of a state")
    for s in range(len(shapes)):
        yield from (((s, s), monomial, c) for monomial, c in polynomial.items())


def _halves(
    reader: Reader, states: tuple[int, int], scalars: tuple[Atom, ...], word: Word, shapes: list[tuple[int, ...]]
) -> tuple[tuple[Probe, Probe], Fraction]:
    """``<e, V W e>`` as ``<V.T e, W e>``, with the sign that V.T brings."""
    half = len(word) // 2
    (((_, turned), sign),) = reader.algebra.transpose({((), word[:half]): Fraction(1)}).items()
    left, right = (_shape(w, shapes[s]) for w, s in zip((turned, word[half:]), states, strict=True))
    return (Probe(states[0], (), turned, (), left), Probe(states[1], scalars, word[half:], (), right)), sign


def _shape(word: Word, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*word[0].outs, *shape[len(word[-1].ins) :]) if word else shape


# --- proofs ----------------------------------------------------------------------


def prove_given(given: Given, target: Target, horizon: Horizon) -> tuple[Setting, FormProof] | None:
    """A proof that a target holds in the metric, which must be positive definite for all weights."""
    found = given.setting
    definite = _definite(given)
    if definite is None:
        return None
    change = problem(found.change, found.pairs, given.theta)
    value = worst_case(change).value
    for tau in choose_tau(change, value if math.isfinite(value) else None, found.horizon(horizon).steps, target):
        proof = prove(change, tau)
        if proof is not None:
            return found, FormProof(given.theta, (_part(found.change, proof), _part(found.below, definite)))
    return None


def _definite(given: Given) -> Proof | None:
    """A proof of ``|e|^2 <= tau V`` for some tau."""
    below = problem(given.setting.below, given.setting.pairs, given.theta)
    value = worst_case(below).value
    if not 0 < value < LARGEST:
        return None
    low = Fraction(value).limit_denominator(10**9)
    return next((p for k in (2, 8) if (p := prove(below, simplest_between(k * low, 2 * k * low)))), None)


def _part(lifted: Lifted, proof: Proof) -> PartProof:
    return PartProof(lifted, proof.tau, proof.multipliers)


def problem(x: Lifted, pairs: tuple[Pair, ...], theta: tuple[Fraction, ...]) -> GramProblem:
    """A part with a fixed form as a Gram problem."""

    def v(left: tuple[Vector, ...], right: tuple[Vector, ...], scale: Fraction = Fraction(1)) -> Form:
        return total(((inner(left[a], right[b]), scale * c) for (a, b), c in zip(pairs, theta, strict=True)))

    squares = total((inner(d, d), Fraction(1)) for d in x.distance)
    if x.role == "step":
        top, bottom = v(x.after, x.after), v(x.before, x.before)
    elif x.role == "flow":
        half = Fraction(1, 2)
        crossed = [*v(x.before, x.after, half), *v(x.after, x.before, half)]
        top, bottom = total(({key: c}, Fraction(1)) for key, c in crossed), v(x.before, x.before)
    elif x.role == "below":
        top, bottom = squares, v(x.before, x.before)
    else:
        top, bottom = v(x.before, x.before), squares
    return GramProblem(x.role, x.basis, x.relations, top, bottom)


def total(parts: Iterable[tuple[Terms, Fraction]]) -> Form:
    terms: Terms = {}
    for part, scale in parts:
        for key, c in part.items():
            terms[key] = terms.get(key, Fraction(0)) + scale * c
    return form(terms)
