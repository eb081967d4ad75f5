"""Letters and forms as the plain data of a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from odespec.prove.entrywise.corners import Shape
from odespec.prove.entrywise.forms import Form, Letters

Data = dict[str, Any]


def letters_data(letters: Letters, names: Mapping[str, str]) -> Data:
    """What is known of the letters whose names are given, each under its new name."""
    factors = {new: letters.factors[n] for n, new in names.items() if n in letters.factors}
    operators = {new: letters.operators[n] for n, new in names.items() if n in letters.operators}
    return {
        "scalars": [name for name, f in factors.items() if f.scalar],
        "factors": {n: [_end(f.inside.lower, "-inf"), _end(f.inside.upper, "inf"), f.why] for n, f in factors.items()},
        "operators": {
            name: {
                "rows": _shape(o.known.rows),
                "columns": _shape(o.known.columns),
                "why": o.known.why or "what is known of it",
            }
            for name, o in operators.items()
        },
    }


def row_data(vector: str, form: Form) -> list[Any]:
    return [vector, [[str(c), list(lead), list(word), v] for (lead, word, v), c in form.items()]]


def _end(value: Fraction | None, without: str) -> str:
    return without if value is None else str(value)


def _shape(shape: Shape) -> Data:
    pairs = (("corners", shape.corners), ("rays", shape.rays))
    return {name: [[str(w), str(r)] for w, r in found] for name, found in pairs}
