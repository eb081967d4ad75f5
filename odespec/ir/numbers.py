"""Exact evaluation of constant expressions: sizes, consts, bounds, times.

Everything here is bounded: a number whose digits or whose roots would grow past the limits is a mistake to report, and
is never computed.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec import exact
from odespec.exact import Irrational, Real
from odespec.ir.walk import children, tree_postorder
from odespec.records import dataclass
from odespec.source import Span
from odespec.syntax import tree

MAX_BITS = 1 << 14
MAX_ROOT = 64
MAX_WEIGHT = 128
MAX_ENTRIES = 1 << 16

Constant = Real | tuple["Constant", ...]
"""A number, or an array of numbers as nested tuples."""


@dataclass(frozen=True, slots=True)
class Mistake(Exception):
    """Why an expression has no exact value: the diagnostic to report."""

    code: str
    span: Span
    values: tuple[tuple[str, str], ...] = ()


class Unknown(Exception):
    """A name in the expression has no value for a reason that is already reported."""


Lookup = Callable[[tree.Name], Constant]
"""The value of a name. Raises `Mistake` or `Unknown`."""


def evaluate(node: tree.Expr, lookup: Lookup) -> Constant:
    """The exact value of a constant expression. Raises `Mistake` and `Unknown`."""
    values: dict[int, Constant] = {}
    for part in tree_postorder(node):
        values[id(part)] = _value(part, [values[id(c)] for c in children(part)], lookup)
    return values[id(node)]


def number(node: tree.Expr, lookup: Lookup) -> Real:
    """As `evaluate`, for a single number. Raises `Mistake` and `Unknown`."""
    value = evaluate(node, lookup)
    if isinstance(value, tuple):
        raise Mistake("ODE211", node.span, (("text", node.span.text[:60]),))
    return value


def _value(node: tree.Expr, args: list[Constant], lookup: Lookup) -> Constant:
    if isinstance(node, tree.Number):
        return node.value
    if isinstance(node, tree.Name):
        return lookup(node)
    if isinstance(node, tree.Array):
        return _array(node, args)
    try:
        return checked(_combined(node, args))
    except Mistake:
        raise
    except ZeroDivisionError:
        raise Mistake("ODE213", node.span, (("why", "it divides by zero"),)) from None
    except exact.Undecided:
        raise Mistake("ODE213", node.span, (("why", "it divides by a number that may be zero"),)) from None
    except ValueError as error:
        raise Mistake("ODE213", node.span, (("why", str(error)),)) from None
    except OverflowError:
        raise Mistake("ODE212", node.span) from None


def _combined(node: tree.Expr, args: list[Constant]) -> Constant:
    if isinstance(node, tree.Negate):
        return each(lambda x: x * -1, args[0])
    if isinstance(node, tree.Binary) and node.operator in BINARY:
        return pairwise(BINARY[node.operator], args[0], args[1])
    if isinstance(node, tree.Call) and not node.keywords and not node.primes:
        scalars = [a for a in args if not isinstance(a, tuple)]
        function = _FUNCTIONS.get((node.name, len(args)))
        if function is not None and len(scalars) == len(args):
            return function(*scalars)
    raise Mistake("ODE211", node.span, (("text", node.span.text[:60]),))


def each(function: Callable[[Real], Real], value: Constant) -> Constant:
    """Apply a function to a number, or to each entry of an array."""
    if isinstance(value, tuple):
        return tuple(each(function, v) for v in value)
    return function(value)


def pairwise(function: Callable[[Real, Real], Real], a: Constant, b: Constant) -> Constant:
    """Entry by entry; a number meets every entry. Raises ValueError where shapes differ."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        if len(a) != len(b):
            raise ValueError("the shapes of its arrays differ")
        return tuple(pairwise(function, x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, tuple):
        return tuple(pairwise(function, x, b) for x in a)
    if isinstance(b, tuple):
        return tuple(pairwise(function, a, y) for y in b)
    return function(a, b)


def quotient(a: Real, b: Real) -> Real:
    """``a / b``. Raises ZeroDivisionError, and `Undecided` where b cannot be told from zero."""
    if isinstance(b, Irrational) and exact.sign(b) == 0:
        raise ZeroDivisionError
    return a / b


def power(base: Real, exponent: Real) -> Real:
    """``base ^ exponent``. Raises ValueError, ZeroDivisionError, and OverflowError for what is too large to compute."""
    if not isinstance(exponent, Fraction):
        raise ValueError("its exponent is not rational")
    if exponent.denominator > MAX_ROOT:
        raise OverflowError
    if isinstance(base, Fraction):
        if base not in (0, 1, -1) and _bits(base) * abs(exponent.numerator) > MAX_BITS:
            raise OverflowError
    elif abs(exponent.numerator) > MAX_ROOT or weight(base) * abs(exponent.numerator) > MAX_WEIGHT:
        raise OverflowError
    return exact.power(base, exponent)


def absolute(x: Real) -> Real:
    return x * -1 if exact.sign(x) < 0 else x


def smaller(x: Real, y: Real) -> Real:
    return y if exact.sign(x - y) > 0 else x


def larger(x: Real, y: Real) -> Real:
    return x if exact.sign(x - y) > 0 else y


BINARY: dict[str, Callable[[Real, Real], Real]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": quotient,
    "^": power,
}

_FUNCTIONS: dict[tuple[str, int], Callable[..., Real]] = {
    ("sqrt", 1): lambda x: exact.root(x, 2),
    ("abs", 1): absolute,
    ("square", 1): lambda x: x * x,
    ("min", 2): smaller,
    ("max", 2): larger,
}


def checked(value: Constant) -> Constant:
    """The value itself. Raises OverflowError where it is past the limits."""
    if isinstance(value, tuple):
        for item in value:
            checked(item)
    elif isinstance(value, Fraction):
        if _bits(value) > MAX_BITS:
            raise OverflowError
    elif weight(value) > MAX_WEIGHT:
        raise OverflowError
    return value


def _bits(x: Fraction) -> int:
    return max(x.numerator.bit_length(), x.denominator.bit_length())


def weight(value: Real) -> int:
    """How many operations an irrational number is written with (0 for a fraction)."""
    pending, count = [value], 0
    while pending and count <= MAX_WEIGHT:
        item = pending.pop()
        if isinstance(item, Irrational):
            count += 1
            pending.extend(item.args)
        elif _bits(item) > MAX_BITS:
            count += MAX_WEIGHT
    return count


def _array(node: tree.Array, items: list[Constant]) -> Constant:
    shapes = {array_shape(item) for item in items}
    if not items or len(shapes) != 1:
        raise Mistake("ODE316", node.span)
    return tuple(items)


def array_shape(value: Constant) -> tuple[int, ...]:
    """The shape of an array of numbers; ``()`` of a number."""
    shape = []
    while isinstance(value, tuple):
        shape.append(len(value))
        value = value[0]
    return tuple(shape)


def show(value: object) -> str:
    """A number as a reader would write it."""
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Irrational):
        return f"{float(value):.6g}"
    return str(value)
