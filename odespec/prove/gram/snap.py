"""From floating point to fractions: null vectors of a singular slack, and unknowns of a definite one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from odespec.prove.gram.conic import Array
from odespec.prove.gram.pencil import Direction, Pencil
from odespec.prove.gram.simplest import simplest
from odespec.prove.gram.spectral import Floats, Margin

MAX_NUMERATOR = 10**6
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
GAPS = 3
LARGEST_NULL = 1e-2
DENOMINATORS = (*(2**k for k in range(13)), *(10**k for k in range(4, 13)))


def null_spaces(pencil: Pencil, data: Floats, margin: Margin) -> Iterator[list[Direction]]:
    """Guesses of the null space of the blocks, the likeliest first, without repetition."""
    spectra = [np.linalg.eigh(x) for x in data.at(margin.w)]
    seen: set[object] = set()
    for limit in _gaps(np.sort(np.concatenate([values for values, _ in spectra]))):
        for tolerance in TOLERANCES:
            guess: list[Direction] = []
            for block, (values, vectors) in zip(data.blocks, spectra, strict=True):
                for row in _reduced(vectors[:, values < limit].T, tolerance):
                    guess.append((block, {pencil.kept[block][i]: c for i, c in row.items()}))
            key = tuple((b, tuple(v.items())) for b, v in guess)
            if guess and key not in seen and all(c.numerator < MAX_NUMERATOR for _, v in guess for c in v.values()):
                seen.add(key)
                yield guess


def _gaps(values: Array) -> list[float]:
    """Limits between small and large eigenvalues, at the largest ratios of neighbours."""
    logs = np.log(np.maximum(values, 1e-13))
    jumps = np.diff(logs)
    order = [int(k) for k in np.argsort(-jumps, kind="stable") if values[k] < LARGEST_NULL * max(values[-1], 1.0)]
    return [float(np.exp((logs[k] + logs[k + 1]) / 2)) for k in order[:GAPS] if jumps[k] > 0]


def _reduced(vectors: Array, tolerance: float) -> list[dict[int, Fraction]]:
    """A basis of the row space in echelon form with complete pivoting, entries snapped."""
    m = vectors.copy()
    free = list(range(m.shape[1]))
    for k in range(len(m)):
        rest = np.abs(m[k:][:, free])
        i, j = divmod(int(np.argmax(rest)), len(free))
        column = free.pop(j)
        m[[k, k + i]] = m[[k + i, k]]
        m[k] /= m[k, column]
        others = [r for r in range(len(m)) if r != k]
        m[others] -= np.outer(m[others, column], m[k])
    snapped = [{n: simplest(float(x), tolerance) for n, x in enumerate(row)} for row in m]
    return [{n: c for n, c in row.items() if c} for row in snapped]


def roundings(data: Floats, w: Array) -> Iterator[dict[int, Fraction]]:
    """Values of the unknowns with ever larger denominators, where the blocks are still definite in floating point."""
    for denominator in DENOMINATORS:
        scaled = np.round(w * denominator)
        if all(np.linalg.eigvalsh(x)[0] > 0 for x in data.at(scaled / denominator)):
            yield {k: Fraction(int(n), denominator) for k, n in zip(data.unknowns, scaled, strict=True)}
