"""The Python API: load, check, compile, audit."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from odespec.diagnostics import Report, SpecError
from odespec.files import write_atomic
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.prove.verdict import Checked, Options
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.auditor import Audit
    from odespec.prove.remedy import Remedy
    from odespec.prove.verdict import Verdict


def load(path: str | Path, definitions: Mapping[str, str] | None = None) -> Spec:
    """Read and check a spec. ``definitions`` override dims and consts, as ``-D`` does.

    Raises `SpecError` with every diagnostic where the spec has errors.
    """
    from odespec.ir.load import load as load_spec

    report = Report()
    spec = load_spec(Path(path), dict(definitions or {}), report)
    if spec is None or report.failed:
        raise SpecError(report.errors)
    return spec


Watch = Callable[[Model | Network, Claim], None]


def check(spec: Spec, options: Options | None = None, watch: Watch | None = None) -> tuple[Checked, ...]:
    """Decide every claim of a spec. ``watch`` is called before each claim, to show progress.

    Where a model leaves its steps open (``steps = auto``), the sections of the results have the steps that were found.
    """
    from odespec.prove.auto import settled
    from odespec.prove.decide import decide

    options = options or Options()
    results = []
    for section in settled(spec, options).sections:
        verdicts = []
        for claim in section.claims:
            if watch:
                watch(section, claim)
            verdicts.append(decide(spec, section, claim, options))
        results.append(Checked(section, tuple(verdicts)))
    return tuple(results)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Emitted code. ``source`` is its text."""

    source: str
    target: str

    def write(self, path: str | Path) -> None:
        """Write the file; what was there stays until the new text is complete. Raises OSError."""
        write_atomic(Path(path), self.source)

    def load(self) -> ModuleType:
        """Import the emitted module (imports its framework), without leaving a file in the working directory."""
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="odespec-"))
        path = folder / f"emitted_{sha256(self.source.encode()).hexdigest()[:12]}.py"
        self.write(path)
        return import_file(path)


def import_file(path: Path) -> ModuleType:
    """Import a Python file as a module of its own name."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    return module


def compile(spec: Spec, target: str, *, checked: Sequence[Checked] | None = None, force: bool = False) -> Compiled:
    """Emit code for a back end (``torch``, ``jax``, or an installed one).

    Claims are decided first unless ``checked`` has their verdicts. A spec with a claim that was decided against what it
    asks is refused unless ``force``; an unknown claim is written into the header as unknown.
    Raises `SpecError` (refused claims, what the back end cannot emit or enforce) and `odespec.backends.UnknownBackend`.
    """
    from odespec.emit import emit
    from odespec.prove.auto import settled

    spec = settled(spec)
    checked = check(spec) if checked is None else checked
    return Compiled(emit(spec, target, checked, force), target)


def remedies(spec: Spec, checked: Checked, verdict: Verdict, options: Options | None = None) -> tuple[Remedy, ...]:
    """Changes of the spec with which a claim that did not come out does: each was found by proving it.

    Empty for a claim that came out, and where nothing was found.
    """
    from odespec.prove.remedy import remedies as found

    return found(spec, checked.model, verdict, options or Options())


def audit(text: str) -> Audit:
    """Re-prove a certificate (the text of the JSON file) in exact arithmetic. Never raises on malformed input."""
    from odespec.certificate.auditor import audit_text

    return audit_text(text)
