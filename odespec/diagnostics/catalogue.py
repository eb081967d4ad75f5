"""The catalogue of diagnostics: one Markdown page each in ``pages/``, read when it is needed.

A page ``ODE201-unknown-name.md`` reads::

    # ODE201: unknown name
    severity: error
    message: unknown {kind} `{name}`

    Free text: why this is a mistake and what to do instead.

    ## Fails
    ```ode
    …
    ```

    ## Passes
    ```ode
    …
    ```

An example that is not a spec (a missing file, invalid UTF-8) stands in a fence ```` ```python ```` which builds the bytes
of the file in a variable ``data``, or is described in words with a fence ```` ```text ````.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from odespec.records import dataclass

_FENCE = re.compile(r"^## (Fails|Passes)\n+```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One kind of diagnostic."""

    code: str
    title: str
    severity: str
    message: str
    explanation: str
    fails: Example | None
    passes: Example | None


@cache
def page(code: str) -> Page:
    """The page of a code. Raises KeyError for a code that does not exist."""
    return _parse(_paths()[code].read_text(encoding="utf-8"))


def codes() -> tuple[str, ...]:
    """All codes, sorted."""
    return tuple(sorted(_paths()))


@cache
def _paths() -> dict[str, Path]:
    folder = Path(__file__).with_name("pages")
    return {p.name.split("-")[0]: p for p in folder.iterdir() if p.name.endswith(".md")}


def _parse(text: str) -> Page:
    head, _, rest = text.partition("\n\n")
    title_line, *fields = head.splitlines()
    code, _, title = title_line.removeprefix("# ").partition(": ")
    values = dict(line.split(": ", 1) for line in fields)
    examples = {kind: Example(language, body) for kind, language, body in _FENCE.findall(rest)}
    explanation = rest.split("\n## ", 1)[0].strip()
    return Page(
        code, title, values["severity"], values["message"], explanation, examples.get("Fails"), examples.get("Passes")
    )
