"""odespec: specs of differential-equation-inspired networks, proved before training and compiled to PyTorch and JAX.

>>> import odespec
>>> spec = odespec.load("specs/gradient_flow.ode")
>>> for result in odespec.check(spec):
...     print(result.model.name, [(v.claim.text, v.verdict) for v in result.verdicts])
>>> odespec.compile(spec, "torch").write("gradient_flow.py")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odespec.api import audit as audit
    from odespec.api import check as check
    from odespec.api import compile as compile
    from odespec.api import load as load
    from odespec.diagnostics import SpecError as SpecError

__version__ = "0.1.0"
__all__ = ["SpecError", "__version__", "audit", "check", "compile", "load"]


def __getattr__(name: str) -> object:
    """Import a public function when it is first used: `import odespec` stays cheap."""
    if name == "SpecError":
        from odespec.diagnostics import SpecError

        return SpecError
    if name in __all__:
        from odespec import api

        return getattr(api, name)
    raise AttributeError(f"module 'odespec' has no attribute {name!r}")
