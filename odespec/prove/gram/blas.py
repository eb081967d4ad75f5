"""The linear algebra that Clarabel calls for semidefinite cones, without importing all of scipy.linalg.

Clarabel finds BLAS and LAPACK in the extension modules ``scipy.linalg.cython_blas`` and ``scipy.linalg.cython_lapack``, by
their names, at its first semidefinite problem. Importing them in the ordinary way runs the packages above them, which takes
longer than everything else that a check does. So they are loaded from their files, and stand under their names, below a
bare package, only while Clarabel looks for them. What imports scipy later gets scipy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SHARED = "scipy._cyutility"
"""What extension modules of scipy have in common, from version 1.16 on."""

NAMES = ("scipy.linalg.cython_blas", "scipy.linalg.cython_lapack")


@contextmanager
def provided() -> Iterator[None]:
    """Both modules can be imported inside; where they cannot be loaded alone, Clarabel imports scipy as it would anyway."""
    added = [] if "scipy" in sys.modules or sys.platform == "win32" else _add()
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)


def _add() -> list[str]:
    """Enter the modules; the names under which they stand."""
    scipy = find_spec("scipy")
    if scipy is None or not scipy.submodule_search_locations:
        return []
    folder = Path(scipy.submodule_search_locations[0])
    sys.modules["scipy"] = bare = ModuleType("scipy")
    bare.__path__ = []
    added = ["scipy"]
    for name in (SHARED, *NAMES):
        module = _load(name, folder)
        if module is not None:
            sys.modules[name] = module
            added.append(name)
    if not set(NAMES) <= set(added):
        for name in added:
            del sys.modules[name]
        return []
    return added


def _load(name: str, folder: Path) -> ModuleType | None:
    """The extension module of a name from its file; None where there is none, or it cannot be loaded alone."""
    stem = folder.joinpath(*name.split(".")[1:])
    path = next((p for s in EXTENSION_SUFFIXES if (p := stem.with_name(stem.name + s)).is_file()), None)
    if path is None:
        return None
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError:
        return None
    return module
