"""Expressions as a reader of the spec would write them, shortened, for reasons and for the names of vectors."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.ir.expr import Expr

if TYPE_CHECKING:
    from odespec.prove.relate.operators import Atom

MAX_DEPTH = 6
MAX_LENGTH = 72
SUM, PRODUCT, ATOM = 0, 1, 2


def text(e: Expr, limit: int = MAX_LENGTH) -> str:
    """The expression on one line; what is nested deeper than a few levels becomes an ellipsis."""
    words = _text(e, MAX_DEPTH)[0]
    return words if len(words) <= limit else words[: limit - 1] + "…"


def atom_text(atom: Atom) -> str:
    """How an operator is called in the name of a vector."""
    copy = f"[{atom.copy}]" if atom.copy else ""
    if atom.expr is None:
        return f"{atom.kind}{list(atom.axes)}"
    words = text(atom.expr, 24)
    return (f"diag({words})" if atom.kind == "entries" else words) + copy


def _text(e: Expr, depth: int) -> tuple[str, int]:
    """The text and how tightly it binds."""
    if depth == 0 and e.args:
        return "…", ATOM
    rule = _RULES.get(e.op)
    if rule is not None:
        return rule(e, depth - 1)
    if not e.args:
        return str(e.data) if e.data is not None else e.op, ATOM
    return f"{e.op}({', '.join(_text(a, depth - 1)[0] for a in e.args)})", ATOM


def _part(e: Expr, depth: int, level: int) -> str:
    words, binds = _text(e, depth)
    return words if binds >= level else f"({words})"


def _number(e: Expr, depth: int) -> tuple[str, int]:
    value = e.data
    if not isinstance(value, Fraction):
        return f"{float(value):.6g}", ATOM  # type: ignore[arg-type]
    return str(value), ATOM if value >= 0 and value.denominator == 1 else PRODUCT


def _add(e: Expr, depth: int) -> tuple[str, int]:
    a, b = _part(e.args[0], depth, SUM), _part(e.args[1], depth, SUM)
    return (f"{a} - {b[1:]}" if b.startswith("-") else f"{a} + {b}"), SUM


def _infix(operator: str) -> Callable[[Expr, int], tuple[str, int]]:
    def write(e: Expr, depth: int) -> tuple[str, int]:
        a, b = e.args
        if e.op == "mul" and a.op == "const" and a.data == -1:
            return "-" + _part(b, depth, PRODUCT), PRODUCT
        return f"{_part(a, depth, PRODUCT)} {operator} {_part(b, depth, ATOM)}", PRODUCT

    return write


def _power(e: Expr, depth: int) -> tuple[str, int]:
    exponent = str(e.data)
    return f"{_part(e.args[0], depth, ATOM)}^{exponent if exponent.isdigit() else f'({exponent})'}", PRODUCT


def _activation(e: Expr, depth: int) -> tuple[str, int]:
    assert isinstance(e.data, tuple)
    name, parameters = e.data
    return f"{name}({', '.join([_text(e.args[0], depth)[0], *map(str, parameters)])})", ATOM


_RULES: dict[str, Callable[[Expr, int], tuple[str, int]]] = {
    "const": _number,
    "full": _number,
    "eye": lambda e, depth: ("I", ATOM),
    "time": lambda e, depth: ("t", ATOM),
    "array": lambda e, depth: ("a constant array", ATOM),
    "stage": lambda e, depth: (f"Y{e.data}", ATOM),
    "add": _add,
    "mul": _infix("*"),
    "div": _infix("/"),
    "matmul": _infix("@"),
    "apply": _infix("@"),
    "pow": _power,
    "transpose": lambda e, depth: (f"{_part(e.args[0], depth, ATOM)}.T", ATOM),
    "act": _activation,
    "bound": lambda e, depth: (f"norm({_text(e.args[0], depth)[0]})", ATOM),
    "opnorm": lambda e, depth: (f"norm({_text(e.args[0], depth)[0]})", ATOM),
}
