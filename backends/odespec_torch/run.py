"""Running an emitted file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.backends import load_emitted
from odespec.program.names import Names
from odespec_torch.solve import RESERVED
from odespec_torch.support import names

if TYPE_CHECKING:
    import numpy as np


def run(
    path: Path,
    model: str,
    weights: Mapping[str, np.ndarray],
    states: Sequence[np.ndarray],
    inputs: Sequence[np.ndarray],
) -> tuple[np.ndarray, ...]:
    """The final states in float64 (see `odespec.backends.Backend.run`)."""
    import torch

    name = Names(RESERVED | names()).declare(model)
    made = getattr(load_emitted(path), name, None)
    if made is None:
        raise ValueError(f"{path} has no model {model}")
    module = made(dtype=torch.float64).eval()
    module.load_weights(weights)
    with torch.no_grad():
        found = module.solve(*(torch.as_tensor(x, dtype=torch.float64) for x in (*states, *inputs)))
    return tuple(x.numpy() for x in found)
