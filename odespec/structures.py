"""The registry of structures: what a parameter of ``param S[d, d] : skew`` is held to by construction."""

from __future__ import annotations

from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Structure:
    """``square``: the matrix must have as many rows as columns. ``symmetric``: it equals its transpose."""

    name: str
    doc: str
    square: bool = True
    symmetric: bool = False


STRUCTURES: dict[str, Structure] = {
    s.name: s
    for s in (
        Structure("skew", "S.T = -S"),
        Structure("symmetric", "S.T = S", symmetric=True),
        Structure("psd", "symmetric, no negative eigenvalue", symmetric=True),
        Structure("diagonal", "zero off the diagonal", symmetric=True),
        Structure("orthogonal", "W.T @ W = I with at least as many rows as columns, else W @ W.T = I", square=False),
        Structure("stochastic", "rows non-negative, each summing to one", square=False),
        Structure("doubly_stochastic", "non-negative, rows and columns each summing to one"),
    )
}
