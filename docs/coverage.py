"""The page of claims: for each form of a claim and each family of solvers a spec that is proved and one that is refuted.

Every spec of `claim_forms` is decided by the prover, in order, until both are found; where it decides one neither way,
its reason stands in the cell.

    python docs/generate.py --claims            write docs/claims.md
"""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from claim_forms import FAMILIES, FORMS, Family, Form, texts

from odespec.diagnostics import Report
from odespec.ir.load import load_source
from odespec.prove.decide import decide
from odespec.prove.verdict import Options
from odespec.source import Source


@dataclass(frozen=True, slots=True)
class Decided:
    """A spec with the prover's verdict on its one claim (``proved``, ``refuted``, ``unknown``) and its reason."""

    text: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of a form and a family: the first spec of each verdict, and why the claim cannot be asked, if so."""

    form: str
    family: str
    shown: tuple[Decided, ...]
    none: str = ""


def decided(text: str) -> Decided | str:
    """The verdict on a spec, found without a limit of time; the message, where the claim cannot be asked."""
    report = Report()
    found = load_source(Source("cell.ode", text), {}, report)
    if found is None or report.failed:
        return report.errors[0].message
    section = found.sections[0]
    verdict = decide(found, section, section.claims[0], Options(seconds=None))
    return Decided(text, verdict.verdict, " ".join(verdict.reason.split()))


def cell(form: Form, family: Family) -> Cell:
    """Tries until one spec is proved and one refuted."""
    shown: dict[str, Decided] = {}
    none = "the claim has no meaning here"
    for text in texts(form, family):
        if "proved" in shown and "refuted" in shown:
            break
        found = decided(text)
        if isinstance(found, str):
            none = found
        else:
            shown.setdefault(found.verdict, found)
    if "proved" in shown and "refuted" in shown:
        shown.pop("unknown", None)
    order = [shown[v] for v in ("proved", "refuted", "unknown") if v in shown]
    return Cell(form.name, family.name, tuple(order), "" if order else none)


def _at(place: tuple[int, int]) -> Cell:
    return cell(FORMS[place[0]], FAMILIES[place[1]])


def cells() -> list[Cell]:
    """Every cell, row by row, on all processors."""
    places = [(i, j) for i in range(len(FORMS)) for j in range(len(FAMILIES))]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(_at, places))


# --- the page ------------------------------------------------------------------

HEAD = """# Claims and solvers

For each form of a claim and each family of solvers: a spec that is proved, and one that is refuted. Where there is only
one of them, no spec that was tried came out the other way; where there is an unknown, the prover's reason stands with it.
A dash: the claim cannot be asked there. Every verdict on this page was found by the prover and holds for its spec in
full, at the sizes, steps and times that it states; other specs of the same cell may come out otherwise.

This page is generated: `python docs/generate.py --claims`. The verdicts are found again by the tests.

| claim | {families} |
| --- |{rules}
"""


def page(found: list[Cell]) -> str:
    """The page in Markdown: the table, and below it the specs."""
    head = HEAD.format(families=" | ".join(f.name for f in FAMILIES), rules=" --- |" * len(FAMILIES))
    width = len(FAMILIES)
    rows = [found[i : i + width] for i in range(0, len(found), width)]
    table = "".join(
        f"| `{row[0].form}` | {' | '.join(_links(c, i, j) for j, c in enumerate(row))} |\n"
        for i, row in enumerate(rows)
    )
    return head + table + "".join(_section(row, i) for i, row in enumerate(rows))


def _links(of: Cell, i: int, j: int) -> str:
    return "<br>".join(f"[{d.verdict}](#c{i}-{j}-{d.verdict})" for d in of.shown) or "—"


def _section(row: list[Cell], i: int) -> str:
    parts = [f"\n## {row[0].form}\n"]
    for j, of in enumerate(row):
        parts += [_block(d, of.family, f"c{i}-{j}-{d.verdict}") for d in of.shown]
        if not of.shown:
            parts.append(f"\n{of.family}: cannot be asked: {of.none}.\n")
    return "".join(parts)


def _block(shown: Decided, family: str, anchor: str) -> str:
    reason = shown.reason.replace("<", "&lt;")
    return f'\n<a id="{anchor}"></a>\n{family}, **{shown.verdict}**: {reason}.\n\n```ode\n{shown.text}```\n'


BLOCK = re.compile(r'^<a id="c(\d+)-(\d+)-(\w+)"></a>\n[^\n]*\n\n```ode\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def stated(text: str) -> list[tuple[Form, Family, str, str]]:
    """What a page states: form, family, verdict and spec."""
    return [(FORMS[int(m[1])], FAMILIES[int(m[2])], m[3], m[4]) for m in BLOCK.finditer(text)]
