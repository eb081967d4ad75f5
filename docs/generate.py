"""Write the generated parts of the documentation from the registries.

    python docs/generate.py            write them
    python docs/generate.py --check    exit 1 where a file is stale
    python docs/generate.py --claims   decide every cell of the page of claims anew, and write it (minutes)

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; everything else is written by hand.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

from odespec.reference import Entry, language

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def of_kind(kind: str) -> list[Entry]:
    return [e for e in language() if e.kind == kind]


def words(kind: str) -> str:
    rows = (
        (f"`{e.form}`", f"{e.summary}.{' ' + e.text if e.text else ''}", f"`{e.examples[0][1]}`") for e in of_kind(kind)
    )
    return table(("form", "meaning", "example"), rows)


def functions() -> str:
    return table(
        ("form", "kind", "meaning"), ((f"`{e.form}`", dict(e.facts)["kind"], e.summary) for e in of_kind("function"))
    )


def activations() -> str:
    from odespec.activations import ACTIVATIONS

    def short(end: Fraction | None, infinite: str) -> str:
        return infinite if end is None else str(end) if len(str(end)) <= 8 else f"{float(end):.9f}"

    rows = []
    for entry in of_kind("activation"):
        found = ACTIVATIONS[entry.name]
        at = tuple(Fraction(1, 10) for _ in found.parameters)
        slope, values = found.slope(at), found.range(at)
        cells = (f"[{short(i.lower, '-inf')}, {short(i.upper, 'inf')}]" for i in (slope, values))
        rows.append((f"`{entry.form}`", entry.summary, *cells))
    note = "\nRounded for reading; `odespec explain NAME` has the exact rational ends. Parameters are taken at 1/10.\n"
    return table(("form", "meaning", "slopes", "values"), rows) + note


def structures() -> str:
    from odespec.structures import STRUCTURES

    rows = ((f"`{s.name}`", s.doc, "yes" if s.square else "no") for s in STRUCTURES.values())
    return table(("structure", "meaning", "must be square"), rows)


def claims() -> str:
    rows = (
        (f"`{e.form.removeprefix('claim ')}`", e.summary, e.text, dict(e.facts)["asked of"]) for e in of_kind("claim")
    )
    return table(("claim", "what it says", "remarks", "asked of"), rows)


def solvers() -> str:
    from odespec.solvers import SOLVERS

    rows = (
        (
            f"`{m.name}`",
            m.family,
            "" if m.order is None else str(m.order),
            f"{m.doc} ({m.reference})",
            ", ".join(m.keywords),
        )
        for m in SOLVERS.values()
    )
    return table(("solver", "family", "order", "what it is", "options"), rows)


def facts() -> str:
    from odespec.solvers import SOLVERS, RungeKutta
    from odespec.solvers.summary import summarise

    def shown(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else ""
        if value == math.inf:
            return "infinite"
        return f"{float(value):.6g}" if isinstance(value, Fraction) else str(value)

    rows = []
    for method in SOLVERS.values():
        if isinstance(method.scheme, RungeKutta):
            s = summarise(method)
            values = (
                s.order,
                s.stages,
                s.real_axis,
                s.imag_axis,
                s.circle_radius,
                s.ssp,
                s.a_stable,
                s.l_stable,
                s.b_stable,
            )
            rows.append((f"`{s.name}`", *map(shown, (*values, s.symplectic, s.symmetric))))
    head = (
        "solver",
        "order",
        "stages",
        "real axis",
        "imaginary axis",
        "circle",
        "SSP",
        "A",
        "L",
        "B",
        "symplectic",
        "symmetric",
    )
    return table(head, rows)


def diagnostics() -> str:
    from odespec.diagnostics.catalogue import codes, page

    pages = [page(code) for code in codes()]
    groups = {
        "ODE0": "Files", "ODE1": "Syntax", "ODE2": "Names and declarations", "ODE3": "Shapes and types",
        "ODE4": "Solvers, constraints and claims", "ODE5": "Compiling",
    }  # fmt: skip
    parts = []
    for start, title in groups.items():
        rows = ((p.code, p.severity, p.title, f"`{p.message}`") for p in pages if p.code.startswith(start))
        parts.append(f"\n## {title}\n\n{table(('code', 'severity', 'title', 'message'), rows)}")
    return "".join(parts) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "statements": lambda: words("statement"),
    "relations": lambda: words("relation"),
    "words": lambda: words("word"),
    "functions": functions,
    "activations": activations,
    "structures": structures,
    "claims": claims,
    "solvers": solvers,
    "facts": facts,
    "diagnostics": diagnostics,
}


def generated(text: str) -> str:
    """A page with its generated parts made anew. Raises KeyError for a part that does not exist."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}{m[3]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is stale")
    parser.add_argument("--claims", action="store_true", help="decide the page of claims anew (minutes)")
    arguments = parser.parse_args()
    check = arguments.check
    if arguments.claims and not check:
        import coverage

        (DOCS / "claims.md").write_text(coverage.page(coverage.cells()), encoding="utf-8")
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        new = generated(old)
        if new != old:
            stale.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
