"""A file, and those that it uses, to a checked spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from odespec.diagnostics import Note, Report
from odespec.diagnostics.suggest import nearest
from odespec.ir.declare import Overrides
from odespec.ir.model import Model, Network, Section, Spec
from odespec.ir.networks import resolve_network
from odespec.ir.resolve import resolve_model
from odespec.records import dataclass
from odespec.source import Source, Span
from odespec.syntax import tree
from odespec.syntax.parser import parse, parse_expression, read_source

MAX_FILES = 256


def load(path: Path, overrides: Mapping[str, str], report: Report) -> Spec | None:
    """Read and check a file. None where it cannot be read or has errors, which are in the report.

    ``overrides`` are the texts of ``-D name=value``, for dims and consts of every section.
    """
    source = read_source(path, report)
    return None if source is None else load_source(source, overrides, report, path.parent, path)


def load_source(
    source: Source, overrides: Mapping[str, str], report: Report, base: Path | None = None, path: Path | None = None
) -> Spec | None:
    """As `load`, of a text; used files are looked for in ``base`` (None: there are none)."""
    before = len(report.errors)
    files = _Files(report)
    main = files.read_all(source, base, path)
    if main is None or len(report.errors) > before:
        return None
    values = _overrides(overrides, files, report)
    known = files.sections(main)
    if len(report.errors) > before:
        return None
    sections = _resolve(main, known, values, report)
    if len(report.errors) > before:
        return None
    texts = tuple(f.source for f in files.order)
    return Spec(source, tuple(sections), texts, tuple(overrides.items()))


# --- files -----------------------------------------------------------------------


@dataclass(slots=True)
class _Files:
    """The files of a spec, the main one first. ``order`` is that in which they were met."""

    report: Report
    order: list[tree.File] = field(default_factory=list)
    uses: dict[str, list[str]] = field(default_factory=dict)
    read: dict[str, tree.File | None] = field(default_factory=dict)

    def read_all(self, source: Source, base: Path | None, path: Path | None) -> tree.File | None:
        """Parse the main file and, breadth first, every file that is used; report what is missing and cycles."""
        main_key = _identity(path) if path is not None else "\0main"
        main = self._parse(main_key, source)
        waiting: list[tuple[str, tree.File, Path | None]] = [(main_key, main, base)] if main else []
        spans: dict[tuple[str, str], Span] = {}
        while waiting:
            name, file, folder = waiting.pop(0)
            for use in file.uses:
                target = self._target(use, folder)
                if target is None:
                    continue
                known = _identity(target)
                self.uses[name].append(known)
                spans.setdefault((name, known), use.span)
                used = self._open(known, target, use)
                if used is not None:
                    waiting.append((known, used, target.parent))
        self._cycles(main_key, spans)
        return main

    def _parse(self, name: str, source: Source) -> tree.File | None:
        file = self.read[name] = parse(source, self.report)
        self.uses[name] = []
        if file is not None:
            self.order.append(file)
        return file

    def _target(self, use: tree.Use, folder: Path | None) -> Path | None:
        why = _unusable(use.path, folder)
        if why is None and folder is not None:
            return folder / use.path
        self.report.add("ODE223", use.span, path=use.path, why=why)
        return None

    def _open(self, name: str, path: Path, use: tree.Use) -> tree.File | None:
        """A file that is met for the first time."""
        if name in self.read:
            return None
        if len(self.read) >= MAX_FILES:
            self.report.add("ODE223", use.span, path=use.path, why=f"a spec uses at most {MAX_FILES} files")
            return None
        self.read[name], self.uses[name] = None, []
        own = Report()
        source = read_source(path, own)
        if source is None:
            why = "; ".join(d.message for d in own.errors)
            self.report.add("ODE223", use.span, path=use.path, why=why)
            return None
        return self._parse(name, source)

    def _cycles(self, main: str, spans: Mapping[tuple[str, str], Span]) -> None:
        """Report the first chain of uses that comes back to where it began."""
        done: set[str] = set()
        path = {main: iter(self.uses.get(main, []))}
        while path:
            name = next(reversed(path))
            below = next(path[name], None)
            if below is None:
                del path[name]
                done.add(name)
            elif below in path:
                chain = [*list(path)[list(path).index(below) :], below]
                shown = " -> ".join(Path(n).name if n != "\0main" else "this file" for n in chain)
                self.report.add("ODE224", spans[name, below], chain=shown)
                return
            elif below not in done:
                path[below] = iter(self.uses.get(below, []))

    def sections(self, main: tree.File) -> dict[str, tree.Section]:
        """All sections by name; a name that stands twice is reported."""
        known: dict[str, tree.Section] = {}
        for file in [main, *(f for f in self.order if f is not main)]:
            for section in file.sections:
                first = known.setdefault(section.name, section)
                if first is not section:
                    note = Note("first declared here", first.name_span)
                    self.report.add("ODE202", section.name_span, notes=(note,), name=section.name)
        return known


def _unusable(path: str, folder: Path | None) -> str | None:
    """Why a path cannot be that of a used file. Only specs are read: nothing of the reader's other files is shown."""
    if folder is None:
        return "there is no file beside which it could lie"
    if "\0" in path or not path.endswith(".ode"):
        return "it is not a file `….ode`"
    if Path(path).is_absolute() or "\\" in path:
        return "the path is relative to this file, with `/` between its parts"
    try:
        target = folder / path
        return "it is not a regular file" if target.exists() and not target.is_file() else None
    except (OSError, ValueError):
        return "this is not a possible path"


def _identity(path: Path) -> str:
    """One text for one file, whatever way leads there."""
    try:
        return str(path.resolve())
    except (OSError, RuntimeError, ValueError):
        return str(path)


# --- overrides -------------------------------------------------------------------


def _overrides(texts: Mapping[str, str], files: _Files, report: Report) -> Overrides:
    """The values of ``-D``, each the name of a dim or const somewhere."""
    names: dict[str, None] = {}
    for file in files.order:
        for section in file.sections:
            for line in section.statements:
                if isinstance(line, (tree.DimDecl, tree.ConstDecl)):
                    names.update(dict.fromkeys(b.name for b in line.bindings))
    values: dict[str, tree.Expr] = {}
    for name, text in texts.items():
        if name not in names:
            close = nearest(name, names)
            advice = f"did you mean `{close}`?" if close else None
            report.add("ODE207", None, suggestion=advice, name=name)
            continue
        own = Report()
        value = parse_expression(Source(f"-D {name}", text), own)
        if value is None:
            report.add(
                "ODE208", None, name=name, text=text[:40], why="; ".join(d.message for d in own.errors) or "it is empty"
            )
            continue
        values[name] = value
    return values


# --- sections --------------------------------------------------------------------


def _resolve(main: tree.File, known: Mapping[str, tree.Section], overrides: Overrides, report: Report) -> list[Section]:
    """The main file's sections, models first resolved so that networks can use them."""
    models = frozenset(n for n, s in known.items() if s.kind == "model")
    own = {s.name for s in main.sections}
    resolved: dict[str, Model | None] = {}
    networks: dict[str, Network | None] = {}
    for section in main.sections:
        if section.kind == "model":
            resolved[section.name] = resolve_model(section, overrides, models, report)
    usable = {
        n: (s, resolved.get(n)) for n, s in known.items() if s.kind == "model" and (n not in own or resolved.get(n))
    }
    for section in main.sections:
        if section.kind == "network":
            networks[section.name] = resolve_network(section, overrides, models, usable, report)
    found = {**resolved, **networks}
    return [s for section in main.sections if (s := found[section.name]) is not None]
