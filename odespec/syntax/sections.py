"""Lines to a file: which lines may stand where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from odespec.diagnostics import Note, Report
from odespec.records import dataclass
from odespec.source import Source, Span
from odespec.syntax import tree
from odespec.syntax.build import Doc, Header

LineNode = tree.Statement | tree.Use | Header | Doc
OF_NETWORKS = (
    tree.DimDecl
    | tree.ConstDecl
    | tree.LetDecl
    | tree.ConstraintDecl
    | tree.DomainDecl
    | tree.ClaimDecl
    | tree.OutputDecl
    | tree.Layer
)


@dataclass(slots=True)
class _Open:
    header: Header
    doc: Doc | None = None
    statements: list[tree.Statement] = field(default_factory=list)

    def close(self) -> tree.Section:
        last = self.statements[-1] if self.statements else self.doc or self.header
        header, doc = self.header, self.doc
        span = header.span.to(last.span)
        text = doc.text if doc else None
        return tree.Section(span, header.kind, header.name, header.name_span, text, tuple(self.statements))


def assemble(source: Source, nodes: Sequence[LineNode | None], report: Report) -> tree.File:
    """Group lines into sections. None stands for a line that is broken: what depends on it is not reported again."""
    uses: list[tree.Use] = []
    sections: list[_Open] = []
    certain = True
    for node in nodes:
        if node is None:
            certain = False
        elif isinstance(node, Header):
            sections.append(_Open(node))
            certain = True
        elif isinstance(node, tree.Use):
            _use(node, uses, sections, report)
        elif isinstance(node, Doc):
            _doc(node, sections, certain, report)
        elif sections:
            _statement(node, sections[-1], certain, report)
        elif certain:
            report.add("ODE119", node.span)
            certain = False
    if not sections and certain:
        report.add("ODE120", Span(source, 0, 0))
    return tree.File(source, tuple(uses), tuple(section.close() for section in sections))


def _use(node: tree.Use, uses: list[tree.Use], sections: list[_Open], report: Report) -> None:
    if sections:
        note = Note("the first section begins here", sections[0].header.span)
        report.add("ODE121", node.span, notes=(note,))
    uses.append(node)


def _doc(node: Doc, sections: list[_Open], certain: bool, report: Report) -> None:
    if sections and not sections[-1].statements and sections[-1].doc is None:
        sections[-1].doc = node
    elif certain:
        report.add("ODE122", node.span)


def _statement(node: tree.Statement, section: _Open, certain: bool, report: Report) -> None:
    section.statements.append(node)
    if not certain:
        return
    if isinstance(node, tree.Layer) and section.header.kind == "model":
        names = ", ".join(target.name for target in node.targets)
        report.add("ODE123", node.span, suggestion=_field(node), names=names)
    elif section.header.kind == "network" and not _of_network(node):
        statement = "an equation" if isinstance(node, tree.Equation) else f"`{node.span.text.split()[0]}`"
        report.add("ODE124", node.span, statement=statement)


def _field(node: tree.Layer) -> str:
    """What an assignment in a model was meant to be: ``x_dot``, ``dxdt`` and ``dx`` are names for x'."""
    name = node.targets[0].name
    value = "…"
    for prefix, suffix in (("", "_dot"), ("", "dot"), ("d", "_dt"), ("d", "dt"), ("d", "")):
        stem = name.removeprefix(prefix).removesuffix(suffix)
        if name == prefix + stem + suffix and stem and stem != name:
            return f"a vector field is written `{stem}' = {value}`"
    return f"a vector field is written `{name}' = {value}`, a name for an expression `let {name} = {value}`"


def _of_network(node: tree.Statement) -> bool:
    if isinstance(node, tree.VariableDecl):
        return node.kind in ("param", "input")
    return isinstance(node, OF_NETWORKS)
