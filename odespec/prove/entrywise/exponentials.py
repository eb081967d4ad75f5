"""Functions ``phi_k(Z)`` of exponential integrators: of numbers exactly, of operators by their logarithmic norm.

``phi_k(Z)`` is an average of ``exp(s Z)`` over [0, 1] times 1/k!, and ``|exp(s Z)| <= exp(s mu)`` in any norm with the
logarithmic norm mu of Z (Hochbruck & Ostermann, Exponential integrators, Acta Numerica 2010, lemma 2.4).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.activations import Interval
from odespec.certificate.auditor.core import AuditError, Ledger
from odespec.certificate.auditor.entrywise import read_rows
from odespec.certificate.auditor.rowsums import Sums
from odespec.ir.expr import Expr, add, const, mul, power
from odespec.prove.entrywise.corners import Shape, whole
from odespec.prove.entrywise.data import letters_data, row_data
from odespec.prove.entrywise.forms import Form, Linear, behind, combine, led, unit, used
from odespec.prove.entrywise.forms import Value as Recipe
from odespec.prove.entrywise.known import Known
from odespec.prove.relate.exponentials import exponential, phi, within
from odespec.prove.relate.operators import UNIT, NoRelation, Polynomial
from odespec.prove.relate.words import text

if TYPE_CHECKING:
    from odespec.prove.entrywise.reader import Reader

ONE = Fraction(1)


def applied(reader: Reader, k: int, Z: Expr, z: Form) -> Form:
    """``phi_k(Z)`` of a difference. Raises `NoRelation`."""
    polynomial = reader.algebra.polynomial(Z)
    if all(not word for _, word in polynomial):
        return _scalar(reader, k, polynomial, z)
    rate = _rate(reader, polynomial)
    if rate is None:
        raise NoRelation(f"no bound of the logarithmic norm of `{text(Z)}` is known")
    size = exponential(const(rate), k)
    e = mul(power(size, -ONE), exponential(Z, k))
    one = Known(Shape() if reader.columns else whole(ONE), whole(ONE) if reader.columns else Shape(), _why(k, Z, rate))
    name = reader.letters.operator(f"phi{k}({text(Z, 24)})/norm", one, Linear(reader.algebra.matrix(e), False, False))
    return _scalar(reader, k, {UNIT: rate} if rate else {}, behind((name,), z))


def _why(k: int, Z: Expr, rate: Fraction) -> str:
    return f"phi{k} of {text(Z, 32)} divided by that of its logarithmic norm {rate}"


def _rate(reader: Reader, polynomial: Polynomial) -> Fraction | None:
    """The logarithmic norm, in the norm of the claim."""
    form = reader.apply(polynomial, unit("v"))
    proof = {"norm": "1" if reader.columns else "inf", **letters_data(reader.letters, {n: n for n in used([form])})}
    try:
        return Sums(proof, Ledger()).logarithmic(read_rows([row_data("v", form)], proof))
    except AuditError:
        return None


def _scalar(reader: Reader, k: int, polynomial: Polynomial, z: Form) -> Form:
    """Of a multiple of the identity; ``phi_0(x) = 1 + x phi_1(x)``, so that all terms have one factor in common."""
    if polynomial.keys() <= {UNIT}:
        x = polynomial.get(UNIT, Fraction(0))
        if k == 0:
            return combine((1, z), (x, _scalar(reader, 1, polynomial, z)))
        try:
            low, high = phi(k, x)
        except OverflowError:
            raise NoRelation(f"exp({float(x):.3g}) is too large") from None
        return _factor(reader, k, const(x), Interval(low, high), z)
    total = const(0)
    for (scalars, _), c in polynomial.items():
        product = const(c)
        for atom in scalars:
            assert atom.expr is not None
            product = mul(product, atom.expr)
        total = add(total, product)
    return _factor(reader, k, total, within(k, reader.range(total)), z)


def _factor(reader: Reader, k: int, x: Expr, inside: Interval, z: Form) -> Form:
    words = f"phi{k}({text(x, 24)})"
    recipe = Recipe(exponential(x, k), 0, reader.step)
    return led((reader.letters.factor(words, inside, recipe, f"values of {words}", scalar=True),), z)
