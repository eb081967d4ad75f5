"""Running an emitted file in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odespec.backends import load_emitted

if TYPE_CHECKING:
    import numpy as np


def run(
    path: Path,
    model: str,
    weights: Mapping[str, np.ndarray],
    states: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
) -> tuple[np.ndarray, ...]:
    """The final states in float64; see `odespec_jax.backend`."""
    import numpy as np

    owner = load_emitted(path).MODELS.get(model)
    if owner is None:
        raise LookupError(f"{path} has no model `{model}`")
    with _float64():
        params = owner.load_weights(weights, dtype=np.float64)
        given = [np.asarray(a, np.float64) for a in (*states, *inputs)]
        found = owner.solve(owner.weights(params), *given)
        return tuple(np.asarray(a) for a in found)


def _float64() -> Any:
    """64-bit types for a while, whatever the process has set."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]

    return enable_x64(True)
