"""The three forms of a diagnostic, letter by letter."""

from __future__ import annotations

import json

import pytest

from odespec.diagnostics import Diagnostic, Note, Report
from odespec.diagnostics.render import MAX_EXCERPT, as_json, concise, printable, summary, text
from odespec.diagnostics.style import Style
from odespec.ir.load import load_source
from odespec.source import Source, Span

UNKNOWN = """model A
dim d = 2
state x[d]
param Weight[d, d]
x' = -Wieght @ x
solver euler(steps = 2)
time 0 .. 1
"""
UNKNOWN_TEXT = """\
error[ODE201]: unknown name `Wieght`
  --> a.ode:5:7
   |
 5 | x' = -Wieght @ x
   |       ^^^^^^
   = note: `Weight` is declared here
  --> a.ode:4:7
   |
 4 | param Weight[d, d]
   |       ^^^^^^
   = help: did you mean `Weight`?"""

SHAPES = """model A
state x[2]
param W[3, 4]

# a comment
let z = W
x' = z @ x
solver euler(steps = 2)
time 0 .. 1
"""


def diagnostics(source: str) -> list[Diagnostic]:
    report = Report()
    load_source(Source("a.ode", source), {}, report)
    return list(report)


def only(source: str) -> Diagnostic:
    (found,) = diagnostics(source)
    return found


def test_text() -> None:
    assert text(diagnostics(UNKNOWN)[0]) == UNKNOWN_TEXT


def test_concise() -> None:
    told = "a.ode:5:7: error[ODE201]: unknown name `Wieght` (did you mean `Weight`?)"
    assert concise(diagnostics(UNKNOWN)[0]) == told
    assert concise(Diagnostic("ODE001", None, {"path": "b.ode"})) == "error[ODE001]: there is no file `b.ode`"


def test_json() -> None:
    told = as_json(diagnostics(UNKNOWN)[0])
    assert told == {
        "code": "ODE201", "severity": "error", "message": "unknown name `Wieght`", "suggestion": "did you mean `Weight`?",
        "file": "a.ode", "line": 5, "column": 7, "end_line": 5, "end_column": 13,
        "notes": [{"text": "`Weight` is declared here", "file": "a.ode", "line": 4, "column": 7, "end_line": 4, "end_column": 13}],
    }  # fmt: skip
    json.dumps(told)
    nowhere = as_json(Diagnostic("ODE001", None, {"path": "b.ode"}, (Note("a remark"),)))
    assert (nowhere["line"], nowhere["notes"][0]["text"]) == (None, "a remark")


def test_shapes_point_at_both_declarations() -> None:
    found = text(only(SHAPES))
    assert " 7 | x' = z @ x" in found
    assert "[3, 4]" in found
    assert "[2]" in found


def test_summary() -> None:
    error, warning = Diagnostic("ODE001", None), Diagnostic("ODE204", None)
    assert summary([]) == ""
    assert summary([error]) == "1 error"
    assert summary([error, warning, error]) == "2 errors, 1 warning"
    assert summary([warning, warning]) == "2 warnings"


def test_colours() -> None:
    painted = text(diagnostics(UNKNOWN)[0], Style(colour=True))
    assert painted.startswith("\x1b[1;31merror[ODE201]\x1b[0m\x1b[1m: unknown name `Wieght`\x1b[0m\n")
    assert "\x1b[1;31m^^^^^^\x1b[0m" in painted
    warning = diagnostics(UNKNOWN.replace("Wieght", "Weight").replace("dim d = 2", "dim d = 2, e = 3"))
    assert text(warning[0], Style(colour=True)).startswith("\x1b[1;33mwarning[ODE204]")


def at(line: str, start: int, end: int) -> list[str]:
    source = Source("a.ode", line)
    return text(Diagnostic("ODE201", Span(source, start, end), {"kind": "name", "name": "x"})).splitlines()


def test_tabs_are_kept_under_the_caret() -> None:
    assert at("a\t\tbc d", 3, 5)[3:] == [" 1 | a\t\tbc d", "   |  \t\t^^"]


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "y" * 5000 + "BAD" + "z" * 5000
    excerpt, caret = at(line, 5000, 5003)[3:]
    assert len(excerpt) < MAX_EXCERPT + 10
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == "BAD"
    assert excerpt.count("…") == 2


def test_a_span_over_lines_is_marked_on_its_first() -> None:
    assert at("ab(\ncd)\n", 2, 6)[3:] == [" 1 | ab(", "   |   ^"]


def test_an_empty_span_at_the_end_has_a_caret() -> None:
    assert at("abc", 3, 3)[3:] == [" 1 | abc", "   |    ^"]


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x07", "\x9b", "\u202e", "\r", "\x7f", "\u2028"])
def test_nothing_unprintable_reaches_the_output(hostile: str) -> None:
    source = Source(f"a{hostile}.ode", f"x' = {hostile} y")
    found = Diagnostic(
        "ODE201",
        Span(source, 0, 4),
        {"kind": "name", "name": f"b{hostile}"},
        (Note(f"c{hostile}", Span(source, 0, 2)),),
        f"d{hostile}",
    )
    assert hostile not in text(found)
    assert hostile not in concise(found)
    assert printable(hostile) == hostile.replace(hostile[0], "�")
    assert "\n" not in concise(found)
