"""Where the grammar and the shipped specs lie, in a checkout and in a wheel."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def data_dir(name: str) -> Traversable:
    """Return ``odespec/_data/<name>`` (wheel), else ``<checkout>/<name>``."""
    packaged = files("odespec").joinpath("_data", name)
    return packaged if packaged.is_dir() else _CHECKOUT / name
