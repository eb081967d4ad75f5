"""Random trees and random text."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from odespec.diagnostics import Report
from odespec.source import Source, Span
from odespec.syntax import tree
from odespec.syntax.compare import same
from odespec.syntax.formatter import format_source
from odespec.syntax.parser import parse, parse_expression, read_bytes
from odespec.syntax.tokens import keywords, reserved

NOWHERE = Span(Source("", ""), 0, 0)
NAMES = st.sampled_from(["x", "W", "b_1", "step", "mean", "square", "invariant", "T", "I", "e5", "_", "inf"])
PRIMES = st.integers(0, 2)


def numbers() -> st.SearchStrategy[tree.Expr]:
    texts = st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
    return texts.map(lambda text: tree.Number(NOWHERE, Fraction(text), text))


def keyword(name: str, value: tree.Expr) -> tree.Keyword:
    return tree.Keyword(NOWHERE, name, NOWHERE, value)


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[tree.Expr]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    named = st.dictionaries(NAMES, inner, max_size=2).map(lambda d: tuple(keyword(k, v) for k, v in d.items()))
    positional = st.lists(inner, max_size=2).map(tuple)
    calls = st.tuples(NAMES, positional, named, PRIMES)
    return st.one_of(
        st.tuples(st.sampled_from("+-*/@^"), inner, inner).map(
            lambda p: tree.Binary(NOWHERE, p[0], NOWHERE, p[1], p[2])
        ),
        inner.map(lambda e: tree.Negate(NOWHERE, e)),
        inner.map(lambda e: tree.Transpose(NOWHERE, e)),
        several.map(lambda items: tree.Array(NOWHERE, items)),
        st.tuples(NAMES, several).map(lambda p: tree.Sized(NOWHERE, p[0], NOWHERE, p[1])),
        calls.map(lambda p: tree.Call(NOWHERE, p[0], NOWHERE, *p[1:])),
    )


EXPRESSIONS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(numbers(), st.tuples(NAMES, PRIMES).map(lambda p: tree.Name(NOWHERE, *p))), composed, max_leaves=12
)

LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "^": 4}


def level(node: tree.Expr) -> int:
    """How tightly an expression holds together: 1 a sum … 5 a postfix, 6 an atom."""
    match node:
        case tree.Binary():
            return LEVEL[node.operator]
        case tree.Negate():
            return 3
        case tree.Transpose():
            return 5
    return 6


def write(node: Any, at_least: int = 0) -> str:
    """An expression as text, with the parentheses that it needs."""
    text = write_plain(node)
    return f"({text})" if level(node) < at_least else text


def write_plain(node: Any) -> str:
    match node:
        case tree.Number():
            return node.text
        case tree.Name():
            return node.name + "'" * node.primes
        case tree.Negate():
            return f"-{write(node.operand, 3)}"
        case tree.Transpose():
            return f"{write(node.operand, 5)}.T"
        case tree.Binary() if node.operator == "^":
            return f"{write(node.left, 5)}^{write(node.right, 3)}"
        case tree.Binary():
            own = LEVEL[node.operator]
            return f"{write(node.left, own)} {node.operator} {write(node.right, own + 1)}"
        case tree.Array():
            return f"[{', '.join(map(write, node.items))}]"
        case tree.Sized():
            return f"{node.name}[{', '.join(map(write, node.sizes))}]"
        case tree.Call():
            parts = [*map(write, node.args), *(f"{k.name} = {write(k.value)}" for k in node.keywords)]
            return f"{node.name}{chr(39) * node.primes}({', '.join(parts)})"
    raise AssertionError(node)


@given(EXPRESSIONS)
def test_a_tree_written_and_parsed_is_the_tree(expression: tree.Expr) -> None:
    report = Report()
    parsed = parse_expression(Source("a", write(expression)), report)
    assert same(parsed, expression), write(expression)


def bounds(e: str, f: str) -> list[str]:
    return [f"in [{e}, {f}]", f"<= {e}", f">= {e}", f"== {e}"]


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A statement of a model, as text."""
    name, other = draw(NAMES), draw(NAMES)
    e, f = write(draw(EXPRESSIONS)), write(draw(EXPRESSIONS))
    bound = draw(st.sampled_from(bounds(e, f)))
    modifiers = draw(st.sampled_from(["", " of flow", " in mean square", " of output in mean square"]))
    forms = (
        [f"dim {name} = {e}, {other} = {f}", f"const {name} = {e}", f"let {name} = {e}", f"output {name} = {e}"]
        + [f"state {name}'[{e}, {f}] = {e}, {other}", f"param {name}[{e}], {other} : skew per step"]
        + [f"input {name}[{e}]", f"graph {name}[{e}]", f"noise {name}"]
        + [f"{name}' = {e}", f"{name}'' = {e}", f"{name}+ = {e}"]
        + [f"solver {name}({e}, {other} = {f})", f"time {e} .. {f}", f"time {e} .. {f} save {e}"]
        + [f"constraint {f} {bound}", f"domain {f} {bound}", f"claim not invariant {f} {bound}{modifiers}"]
        + [f"claim {name if name != 'invariant' else 'x'}({e}) {bound}{modifiers}"]
    )
    return draw(st.sampled_from(forms))


SPACE = st.sampled_from([" ", "  ", "\t", "   "])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file, with odd spacing, blank lines and comments, and lines broken at commas inside of brackets."""
    lines = ["model M"]
    if draw(st.booleans()):
        lines.append('"""A  \\"doc\\"\n # no comment"""')
    for text in draw(st.lists(statements(), max_size=6)):
        depth, spread = 0, ""
        for character in text:
            depth += (character in "([") - (character in ")]")
            breaks = character == "," and depth and draw(st.booleans())
            spread += draw(SPACE) if character == " " else ",  # why\n\n" if breaks else character
        lines.append(spread + draw(st.sampled_from(["", "  # c", "#c", "\n", "\n\n\n# own"])))
    return draw(st.sampled_from(["", "\n\n", "# head\n"])) + "\n".join(lines)


@settings(max_examples=150, deadline=None)
@given(files())
def test_formatting_keeps_meaning_and_comments(text: str) -> None:
    before = parse(Source("a", text), Report())
    assert before is not None, text
    result = format_source(Source("a", text))
    after = parse(Source("a", result), Report())
    assert after is not None, result
    assert same(before.sections, after.sections)
    assert result.count("#") == text.count("#")
    assert format_source(Source("a", result)) == result


PIECES = st.one_of(
    st.sampled_from([*keywords(), *reserved(), *"()[],=+-*/^@:'\"#.<>;\\\n\r\t ", '"""', "<=", "==", "..", ".T", ".5"]),
    st.sampled_from(["x", "relu", "1", "1e9999", "а", "−", "\0", "\ufeff", "\u2028", "²", "\ud800"]),
    st.text(max_size=3),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join), st.booleans())
def test_random_text_is_answered(text: str, opened: bool) -> None:
    """Either a tree or diagnostics whose messages can be written; never an exception."""
    source = Source("a", "model M\n" * opened + text)
    report = Report()
    assert (parse(source, report) is None) == (len(report) > 0)
    for diagnostic in report:
        assert diagnostic.message
        assert diagnostic.span is None or 0 <= diagnostic.span.start <= diagnostic.span.end <= len(source.text)
    assert isinstance(format_source(source), str)
    parse_expression(source, Report())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_answered(data: bytes) -> None:
    report = Report()
    source = read_bytes("a", data, report)
    assert (source is None) == (len(report) > 0)
    if source is not None:
        assert (parse(source, report) is None) == (len(report) > 0)
