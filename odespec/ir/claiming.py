"""Claims: from ``claim not lipschitz(norm = inf) <= 2 of flow`` to a typed claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from fractions import Fraction
from typing import Any

from odespec.claims import CLAIMS, ClaimKind
from odespec.diagnostics.suggest import nearest
from odespec.exact import Irrational, Real
from odespec.ir.calls import unknown_keyword
from odespec.ir.context import Context, quoted
from odespec.ir.declare import Draft
from odespec.ir.infer import infer_sized
from odespec.ir.metric import metric
from odespec.ir.misplaced import check_kinds
from odespec.ir.model import Claim
from odespec.ir.numbers import show
from odespec.ir.relations import not_less, relation
from odespec.ir.rules import order_of
from odespec.ir.values import Value, show_shape
from odespec.records import dataclass
from odespec.syntax import tree


@dataclass(frozen=True, slots=True)
class Asked:
    """What the checks of claims need to know of the section that makes them."""

    network: bool
    discrete: bool
    has_output: bool


@dataclass(slots=True)
class Line:
    """One claim while it is worked out; ``given`` collects the fields of the result."""

    decl: tree.ClaimDecl
    kind: ClaimKind
    draft: Draft
    asked: Asked
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        return self.draft.context

    def wrong(self, code: str, span: object, **values: object) -> bool:
        self.context.error(code, span, name=self.kind.name, **values)  # type: ignore[arg-type]
        return False


def claim(decl: tree.ClaimDecl, draft: Draft, asked: Asked) -> Claim | None:
    """The typed claim; None where a mistake was reported."""
    kind = CLAIMS.get(decl.name)
    if kind is None:
        close = nearest(decl.name, CLAIMS)
        advice = f"did you mean `{close}`?" if close else f"claims are {', '.join(sorted(CLAIMS))}"
        draft.context.error("ODE414", decl.name_span, suggestion=advice, name=decl.name)
        return None
    line = Line(decl, kind, draft, asked)
    steps: tuple[Callable[[Line], bool], ...] = (_subject, _keywords, _numbers, _argument, _relation)
    good = [step(line) for step in steps] if _allowed(line) and _form(line) else [False]
    if not all(good):
        return None
    text = " ".join(decl.span.source.text[decl.name_span.start : decl.span.end].split())
    return replace(Claim(decl.name, decl.negated, text, decl.span), **line.given)


def _allowed(line: Line) -> bool:
    if line.asked.network and not line.kind.networks:
        known = ", ".join(f"`{k.name}`" for k in CLAIMS.values() if k.networks)
        return line.wrong("ODE419", line.decl.name_span, why=f"is not asked of a network; there are {known}")
    return True


def _form(line: Line) -> bool:
    """The operator behind the name, and the expressions in its parentheses."""
    decl, kind = line.decl, line.kind
    if decl.operator != kind.operator or (decl.relation is None) == (kind.name == "invariant"):
        why = f"is written `{kind.signature}`"
        return line.wrong("ODE417", decl.span, why=why)
    if len(decl.args) != kind.args:
        return line.wrong("ODE417", decl.span, why=f"is written `{kind.signature}`")
    return True


def _subject(line: Line) -> bool:
    decl = line.decl
    if decl.mean_square:
        line.given["mean_square"] = True
        if not line.kind.mean_square:
            return line.wrong("ODE419", decl.span, why="has no meaning in mean square")
        if not line.draft.noises:
            return line.wrong("ODE425", decl.span)
    if decl.subject is None:
        return True
    span = decl.subject_span or decl.span
    if decl.subject not in ("flow", "output"):
        close = nearest(decl.subject, ("flow", "output"))
        advice = f"did you mean `{close}`?" if close else "a claim is `of flow` or `of output`"
        line.context.error(
            "ODE419", span, suggestion=advice, name=line.kind.name, why=f"is not asked of `{decl.subject}`"
        )
        return False
    line.given["subject"] = decl.subject
    if decl.subject not in line.kind.subjects or (line.asked.network and decl.subject == "flow"):
        return line.wrong("ODE419", span, why=f"is not asked of the {decl.subject}")
    if decl.subject == "flow" and line.asked.discrete:
        return line.wrong("ODE419", span, why="is asked of the flow, and a discrete map has none")
    if decl.subject == "output" and not line.asked.has_output:
        return line.wrong("ODE419", span, why="is asked of the output, and there is no `output`")
    return True


# --- keywords --------------------------------------------------------------------


def _keywords(line: Line) -> bool:
    good = True
    for keyword in line.decl.keywords:
        if keyword.name not in line.kind.keywords:
            unknown_keyword(line.context, keyword, line.kind.name, line.kind.keywords)
            good = False
        else:
            good &= _READERS[keyword.name](line, keyword)
    missing = [k for k in line.kind.needed if k not in {w.name for w in line.decl.keywords}]
    if missing and good:
        return line.wrong("ODE417", line.decl.span, why=f"needs `{missing[0]}`: it is written `{line.kind.signature}`")
    return good


def _norm(line: Line, keyword: tree.Keyword) -> bool:
    order = order_of(line.context, keyword.value)
    line.given["norm"] = order
    return order is not None


def _rate(line: Line, keyword: tree.Keyword) -> bool:
    rate = _number(line, keyword.value)
    line.given["lower"] = rate
    if rate is not None and not_less(Fraction(0), rate):
        return line.wrong("ODE418", keyword.value.span, why=f"has a rate below zero, {show(rate)}")
    return rate is not None


def _by(line: Line, keyword: tree.Keyword) -> bool:
    name = keyword.value.name if isinstance(keyword.value, tree.Name) else quoted(keyword.value)
    inputs = [i.name for i in line.draft.inputs]
    if name in inputs:
        line.context.used.add(name)
        line.given["by"] = name
        return True
    if name in line.context.declared:
        if any(isinstance(s, tree.VariableDecl) and s.kind == "input" and any(d.name == name for d in s.declarators)
               for s in line.draft.variables()):  # fmt: skip
            return False
        kind = line.context.declared[name].kind
        notes = line.context.declaration(name)
        line.context.error("ODE424", keyword.value.span, notes=notes, name=name, what=f"a {kind}")
        return False
    line.context.unknown(name, keyword.value.span, "input", inputs)
    return False


def _metric(line: Line, keyword: tree.Keyword) -> bool:
    value = metric(keyword.value, line.draft)
    line.given["metric"] = value
    return value is not None


_READERS: dict[str, Callable[[Line, tree.Keyword], bool]] = {"norm": _norm, "rate": _rate, "by": _by, "metric": _metric}


# --- numbers, scalars, relations ---------------------------------------------------


def _number(line: Line, node: tree.Expr) -> Real | None:
    value = line.context.number(node)
    return value if isinstance(value, (Fraction, Irrational)) else None


def _numbers(line: Line) -> bool:
    """The bounds behind ``<=``, ``>=`` and ``in``."""
    if line.kind.operator is None:
        return True
    ends = {}
    for end, node in (("lower", line.decl.lower), ("upper", line.decl.upper)):
        if node is None:
            continue
        ends[end] = value = _number(line, node)
        if value is None:
            return False
        if not_less(Fraction(0), value):
            return line.wrong("ODE418", node.span, why=f"has a bound below zero, {show(value)}")
    line.given.update(ends)
    if len(ends) == 2 and not_less(ends["lower"], ends["upper"]):  # type: ignore[arg-type]
        why = f"has an empty interval: {show(ends['lower'])} is above {show(ends['upper'])}"
        return line.wrong("ODE418", line.decl.span, why=why)
    if line.kind.name == "order":
        p = ends.get("lower")
        if not isinstance(p, Fraction) or p.denominator != 1 or p < 1:
            return line.wrong("ODE418", line.decl.span, why=f"is a whole number from 1 on, not {show(p)}")
    return True


def _argument(line: Line) -> bool:
    """The scalar of ``conserves`` and ``dissipates``."""
    if not line.kind.args:
        return True
    node, context = line.decl.args[0], line.context
    value = infer_sized(node, context)
    allowed = frozenset({"state", "param", "input", "graph"})
    value = check_kinds(node, value, allowed, f"`{line.kind.name}`", line.draft)
    if not isinstance(value, Value):
        return False
    if value.shape:
        context.error("ODE317", node.span, notes=context.origins(node), text=quoted(node), shape=show_shape(value),
                      what=f"`{line.kind.name}` is about")  # fmt: skip
        return False
    if "state" not in value.kinds:
        context.error("ODE422", node.span, text=quoted(node), where=f"`{line.kind.name}`", wanted="a state")
        return False
    line.given["scalar"] = value.expr
    return True


def _relation(line: Line) -> bool:
    if line.decl.relation is None:
        return True
    found = relation(line.decl.relation, "invariant", line.draft)
    if not found:
        return False
    line.given["relation"] = found[0]
    return True
