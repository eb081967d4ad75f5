"""The folder of ``check --certificates``: what each verdict rests on, one file each."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.files import write_atomic
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.prove.verdict import Checked


@dataclass(slots=True)
class Folder:
    """``taken`` are the names that this run has given, so that two specs with equal names do not share a file."""

    path: Path
    taken: set[str] = field(default_factory=set)

    def write(self, spec: str, checked: tuple[Checked, ...]) -> dict[int, Path]:
        """Write certificates and counterexamples; the paths by the identity of the verdict. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        written = {}
        for result in checked:
            for number, verdict in enumerate(result.verdicts, start=1):
                stem = f"{result.model.name}-{number}-{verdict.claim.name}"
                if verdict.certificate is not None:
                    suffix, data = ".json", verdict.certificate.text().encode()
                elif verdict.counterexample is not None:
                    suffix, data = ".safetensors", verdict.counterexample.data()
                else:
                    continue
                written[id(verdict)] = path = self.path / self._free(spec, stem, suffix)
                write_atomic(path, data)
        return written

    def _free(self, spec: str, stem: str, suffix: str) -> str:
        """A name that this run has not used: with the spec's name in front, or a number behind, only where needed."""
        choices = [f"{stem}{suffix}", f"{spec}-{stem}{suffix}"]
        name = next((c for c in choices if c not in self.taken), None)
        number = 2
        while name is None:
            choice = f"{spec}-{stem}-{number}{suffix}"
            name = None if choice in self.taken else choice
            number += 1
        self.taken.add(name)
        return name
