"""The formatter: one layout, the same meaning, the same comments, and nothing left to do the second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from odespec.diagnostics import Report
from odespec.diagnostics.catalogue import codes, page
from odespec.source import Source
from odespec.syntax.compare import same
from odespec.syntax.formatter import format_source
from odespec.syntax.parser import parse
from odespec.syntax.tokens import tokenize


def form(text: str) -> str:
    return format_source(Source("a.ode", text))


def comments(text: str) -> list[str]:
    return [text[t.start : t.end].rstrip() for t in tokenize(text) if t.type == "COMMENT"]


def check(text: str) -> str:
    """Format a text, and compare the result with it."""
    result = form(text)
    before, after = (parse(Source("a.ode", t), Report()) for t in (text, result))
    assert before is not None
    assert after is not None
    assert same(before.uses, after.uses)
    assert same(before.sections, after.sections)
    assert comments(result) == comments(text)
    assert form(result) == result
    assert all(line == line.rstrip() for line in result.splitlines() if '"' not in line)
    return result


BEFORE = '''

# A head.


model   A    # named
"""Two  lines,
   as they are."""
dim d=64,m = 2 * d
state x [d]   # a state
state x' [d] , a[p]=0


param W[m,d] ,b[m]:skew   per   step
x''=-W.T@relu( W @ x+b )*2 - 1 / 3 + 2 *(a - - b) ^ - 2
let y = a @ b*c + x ' (0)+f (x, k=- 1) / 2
  # indented
solver tableau( A=[[0,0],  # first

  [1 , 0]
], b=[1/2,1 / 2],
 # on its own
 steps=10)
time 0..4 save 9
domain x in[0,1]
claim   not invariant (x + y) in [ min( x(0) ),mean (x) ]
claim invariant(x)<=1
network B
use_of = head@mean(u,[1,2])
a,b=M (a,b)'''

AFTER = '''# A head.

model A  # named
"""Two  lines,
   as they are."""
dim    d = 64, m = 2*d
state  x[d]  # a state
state  x'[d], a[p] = 0

param  W[m, d], b[m] : skew per step
x'' = -W.T @ relu(W @ x + b) * 2 - 1/3 + 2*(a - -b)^-2
let    y = a @ b * c + x'(0) + f(x, k = -1)/2
# indented
solver tableau(A = [[0, 0],  # first
        [1, 0]
    ], b = [1/2, 1/2],
    # on its own
    steps = 10)
time   0 .. 4 save 9
domain x in [0, 1]
claim not invariant (x + y) in [min(x(0)), mean(x)]
claim invariant (x) <= 1

network B
use_of = head @ mean(u, [1, 2])
a, b = M(a, b)
'''


def test_layout() -> None:
    assert check(BEFORE) == AFTER


@pytest.mark.parametrize("text", [BEFORE.replace("\n", "\r\n"), "\ufeff" + BEFORE])
def test_marks_and_newlines_go(text: str) -> None:
    assert form(text) == AFTER


def test_a_map_is_no_sum() -> None:
    assert check("model A\nx+=x+1\n") == "model A\nx+ = x + 1\n"


@pytest.mark.parametrize("text", ["", "model\n", "x = (", "model A\nx = = 3\n"])
def test_a_text_with_mistakes_stays(text: str) -> None:
    assert form(text) == text


SPECS = [p for folder in ("specs", "examples") for p in sorted((Path(__file__).parents[2] / folder).rglob("*.ode"))]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.name)
def test_shipped_specs(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", codes())
def test_examples_of_diagnostics(code: str) -> None:
    example = page(code).passes
    if example and example.language == "ode":
        check(example.text)
