"""The grammar file by itself: lark accepts it in strict mode, and reads a whole file as the parser does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from odespec.resources import data_dir

GRAMMAR = data_dir("grammar").joinpath("ode.lark").read_text(encoding="utf-8")

SPEC = '''# A residual network.
use "other.ode"
model GradientFlow
"""What it is."""

dim    d = 64, m = 128
state  x[d], a = 0
param  S[d, d], W[m, d] : skew per step
input  u[m]

x' = (-W.T @ relu(
    W @ x + b, steps = 2^-1))
solver euler(steps = 32)
time   0 .. 32 save 3
constraint sigma(W) in [0, 1]  # bounded
claim not lipschitz(norm = inf) <= 1 of flow in mean square
claim invariant mean(x)/square(step) >= 1
network N
v, w = M(v, w[2].T)
output y = [v, w]'''.replace("w[2].T", "ones[2].T")


def test_strict_mode_accepts_it() -> None:
    pytest.importorskip("interegular")
    from lark import Lark

    for lexer in ("basic", "contextual"):
        Lark(GRAMMAR, parser="lalr", lexer=lexer, strict=True)


def test_lark_reads_a_whole_file() -> None:
    """Newlines inside of brackets are dropped, as the grammar says that its user does; all else is in the grammar."""
    from lark import Lark, Token
    from lark.lark import PostLex

    class Brackets(PostLex):
        always_accept = ("_NEWLINE",)

        def process(self, stream: Iterator[Token]) -> Iterator[Token]:
            depth = 0
            for token in stream:
                depth += {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}.get(token.type, 0)
                if token.type != "_NEWLINE" or not depth:
                    yield token

    tree: Any = Lark(GRAMMAR, parser="lalr", strict=False, postlex=Brackets(), maybe_placeholders=False).parse(SPEC)
    assert [str(line.data) for line in tree.children] == [
        *("use", "header", "doc", "dim", "state", "trainable", "trainable", "equation", "solver", "time", "constraint"),
        *("claim", "claim", "header", "layer", "output"),
    ]


def test_every_rule_has_a_callback() -> None:
    from odespec.syntax.build import Builder
    from odespec.syntax.table import load_table

    called = {rule.callback for rule in load_table().rules if rule.callback and rule.origin != "start"}
    assert called
    assert all(callable(getattr(Builder, name, None)) for name in called)
