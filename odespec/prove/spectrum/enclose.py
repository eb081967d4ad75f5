"""Regions of the eigenvalues of an operator, for all weights: bounds by Gram problems, proved exactly."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf, isfinite, sqrt

from odespec.ir.expr import leaf
from odespec.prove.gram.exact import Proof, prove
from odespec.prove.gram.expand import combine
from odespec.prove.gram.problem import Vector
from odespec.prove.gram.simplest import simplest_between
from odespec.prove.gram.worst import worst_case
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation, TooLarge
from odespec.prove.relate.reader import Reader
from odespec.prove.relate.relations import Reading, assemble
from odespec.prove.spectrum.factor import Form
from odespec.prove.spectrum.words import Block, Operators, apply, scaled, sum_of
from odespec.records import dataclass

NEAR = 1e-7
ROOM = (0.0, 1e-6, 1e-4, 1e-2)
LARGEST = 1e5


@dataclass(frozen=True, slots=True)
class Bound:
    """``what``: low, high, size or disc (about ``centre``); ``number`` is proved by ``proof``."""

    what: str
    number: Fraction
    proof: Proof
    centre: Fraction = Fraction(0)


class Encloser:
    """Bounds of one form. Numerical worst cases are kept; proofs are made for the numbers that are asked for."""

    def __init__(self, form: Form, knowledge: Callable[[], Knowledge]) -> None:
        self.form = form
        self.knowledge = knowledge
        self._readings: dict[tuple[str, Fraction], Reading] = {}
        self._values: dict[tuple[str, Fraction], float] = {}
        self._proofs: dict[tuple[str, Fraction, Fraction], Proof | None] = {}

    def reading(self, what: str, centre: Fraction = Fraction(0)) -> Reading:
        """The problem of a bound. Raises `NoRelation`."""
        key = (what, centre)
        if key not in self._readings:
            self._readings[key] = read_bound(self.form, self.knowledge, what, centre)
        return self._readings[key]

    def value(self, what: str, centre: Fraction = Fraction(0)) -> float:
        """The numerical bound; infinite where there is none."""
        key = (what, centre)
        if key not in self._values:
            self._values[key] = self._worst(what, centre)
        return self._values[key]

    def _worst(self, what: str, centre: Fraction) -> float:
        none = -inf if what == "low" else inf
        try:
            tau = worst_case(self.reading(what, centre).problem).value
        except NoRelation:
            return none
        if not isfinite(tau) or abs(tau) > LARGEST:
            return none
        return tau if what in ("low", "high") else sqrt(max(tau, 0.0))

    def proved(self, what: str, number: Fraction, centre: Fraction = Fraction(0)) -> Bound | None:
        """A proof of the bound with this number."""
        key = (what, number, centre)
        if key not in self._proofs:
            tau = number if what in ("low", "high") else number**2
            self._proofs[key] = prove(self.reading(what, centre).problem, tau)
        proof = self._proofs[key]
        return None if proof is None else Bound(what, number, proof, centre)


def rounded(value: float, outward: int, room: float) -> Fraction:
    """A simple fraction at a bound, with some room outward (1: it is an upper bound, -1: a lower one)."""
    size = max(1.0, abs(value))
    if room == 0.0:
        return simplest_between(Fraction(value - NEAR * size), Fraction(value + NEAR * size))
    near, far = value + outward * room * size / 2, value + outward * room * size
    return simplest_between(Fraction(min(near, far)), Fraction(max(near, far)))


# --- problems ----------------------------------------------------------------------


def read_bound(form: Form, knowledge: Callable[[], Knowledge], what: str, centre: Fraction) -> Reading:
    """The Gram problem of a bound, with the recipes of its vectors. Raises `NoRelation`."""
    try:
        return _read(form, knowledge(), what, centre, False)
    except TooLarge:
        return _read(form, knowledge(), what, centre, True)


def _read(form: Form, knowledge: Knowledge, what: str, centre: Fraction, plain: bool) -> Reading:
    reader = Reader(knowledge, plain=plain)
    leaves = [leaf("state", name(i), shape) for i, shape in enumerate(form.shapes)]
    vectors = [reader.leaf(e, name(i)) for i, e in enumerate(leaves)]
    block = _asked(form, what, Operators(reader.algebra))
    images = [_image(reader, row, vectors) for row in block]
    if what == "disc":
        images = [combine((1, v), (-centre, z)) for v, z in zip(images, vectors, strict=True)]
    below = [(z, z) for z in vectors]
    if what in ("low", "high"):
        return assemble("flow", reader, list(zip(vectors, images, strict=True)), below, lower=what == "low")
    return assemble("step", reader, [(v, v) for v in images], below)


def name(i: int) -> str:
    """Of the vector that stands in place of an eigenvector's part."""
    return f"z{i + 1}"


def _asked(form: Form, what: str, operators: Operators) -> Block:
    """The symmetric part has the real parts of the numerical range, and lets a constraint on it be seen."""
    if what == "disc" or form.kind == "symmetric":
        return form.inner
    turned = operators.transposed(form.inner)
    return scaled(sum_of(form.inner, turned, -1 if what == "size" else 1), Fraction(1, 2))


def _image(reader: Reader, row: tuple, vectors: list[Vector]) -> Vector:  # type: ignore[type-arg]
    parts = [(1, apply(reader, e, v)) for e, v in zip(row, vectors, strict=True) if e]
    if not parts:
        return ()
    return combine(*parts)


__all__ = ["ROOM", "Bound", "Encloser", "name", "read_bound", "rounded"]
