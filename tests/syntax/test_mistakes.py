"""Mistakes of the text: what is said, where, once each, and how many in one run."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import pytest

from odespec.diagnostics import Diagnostic, Report
from odespec.source import Source
from odespec.syntax import tree
from odespec.syntax.build import MAX_DIGITS, MAX_EXPONENT
from odespec.syntax.lines import MAX_NESTING, MAX_TOKENS
from odespec.syntax.parser import MAX_ERRORS, parse
from odespec.syntax.tokens import reserved

Mistakes = Callable[[str], list[Diagnostic]]
Parsed = Callable[[str], tree.File]

# A line in a model: the code, the text marked, and a part of the suggestion or message.
LINES = {
    "stat x[d]": ("ODE108", "stat", "`state`"),
    "Claim stable": ("ODE108", "Claim", "`claim`"),
    "constrain norm(W) <= 1": ("ODE108", "constrain", "`constraint`"),
    "dx/dt = -x": ("ODE108", "dx", "x' = …"),
    "x[t+1] = x": ("ODE108", "x", "x+ = …"),
    "for i in range(3):": ("ODE108", "for", "keyword"),
    "x_dot = -x": ("ODE123", "x_dot = -x", "x' = …"),
    "dxdt = -x": ("ODE123", "dxdt = -x", "x' = …"),
    "y = W @ x": ("ODE123", "y = W @ x", "let y"),
    "x'(t) = -x": ("ODE101", "(", "x' = …"),
    "x' = * x": ("ODE101", "*", "an expression"),
    "x' = +x": ("ODE101", "+", "an expression"),
    "x' = x +": ("ODE102", "", "an expression"),
    "constraint norm(W)": ("ODE102", "", "an operator, `<=`, `==`, `>=` or `in`"),
    "claim": ("ODE102", "", "a claim"),
    "param": ("ODE102", "", "a name"),
    "x' = f(a, (b + c": ("ODE103", "(", "never closed"),
    "param W[m, d": ("ODE103", "[", "never closed"),
    "x' = a) + b": ("ODE104", ")", "closes nothing"),
    "x' = f(a]": ("ODE105", "]", "`(` is closed by `]`"),
    'use "b.ode': ("ODE107", '"', "never closed"),
    "x' = a; y' = b": ("ODE109", ";", "one statement a line"),
    "x' = a − b": ("ODE109", "−", "MINUS SIGN (U+2212)"),
    "x' = \u00a0a": ("ODE109", "\u00a0", "ordinary space"),
    "x' = |x|": ("ODE109", "|", "norm(x)"),
    "x' = \x07a": ("ODE109", "\x07", "U+0007"),
    "constraint norm(W) ≤ 1": ("ODE109", "≤", "`<=`"),
    "x' = x\u0430": ("ODE110", "x\u0430", "only looks like the ASCII `a`"),
    "const γ = 1": ("ODE110", "γ", "`gamma`"),
    "const é = 1": ("ODE110", "é", "`e`"),
    "x' = 変*x": ("ODE110", "変", "letters a to z"),
    "x' = .5*x": ("ODE113", ".5", "`0.5`"),
    "x' = 1.*x": ("ODE113", "1.", "`1.0`"),
    "dim d = 4,": ("ODE114", ",", "comma"),
    "x' = f(a,)": ("ODE114", ",", "comma"),
    "const a = [1, 2,]": ("ODE114", ",", "comma"),
    "domain 0 <= x <= 1": ("ODE115", "<=", "`x in [0, 1]`"),
    "domain 2*a >= norm(x) >= -1": ("ODE115", ">=", "`norm(x) in [-1, 2*a]`"),
    "claim not invariant 0 <= x <= 1": ("ODE115", "<=", "`x in [0, 1]`"),
    "dim d == 4": ("ODE116", "==", "`=`"),
    "constraint sum(B, 0) = 0": ("ODE116", "=", "`==`"),
    "x' = x**2": ("ODE117", "**", "`^`"),
    "constraint norm(W) < 1": ("ODE117", "<", "`<=`"),
    "x' := -x": ("ODE117", ":=", "`=`"),
    "time 0 ... 4": ("ODE117", "...", "0 .. 4"),
    "use 'other.ode'": ("ODE118", "'", "does not begin"),
    "x' = 'a'": ("ODE118", "'", "double quotes"),
    "x' = input*x": ("ODE125", "input", "keyword"),
    "time = 4": ("ODE125", "time", "keyword"),
    "output' = 4": ("ODE125", "output", "keyword"),
    "x''' = x": ("ODE128", "'''", "3 primes"),
    "solver rk4(steps = 3, 4)": ("ODE129", "4", "`4`"),
    "solver rk4(steps = 3, steps = 4)": ("ODE130", "steps = 4", "`steps`"),
    "claim conserves H": ("ODE132", "H", "`conserves(H)`"),
    "solver rk4 steps = 3": ("ODE132", "steps", "`(`"),
    "let a = 1, b = 2": ("ODE132", ",", "one statement a line"),
    "model A:": ("ODE132", ":", "colon"),
    "param W[m, d] per step, b[m]": ("ODE133", "per step", "last on the line"),
    "param W[m, d] per step : skew": ("ODE133", "per step", "last on the line"),
    "state x[d] per step": ("ODE133", "per", "`param`"),
    "param S[d, d] : skew, T[d, d] : skew": ("ODE135", ",", "last name"),
    "claim stable of flow of flow": ("ODE136", "of flow", "of flow"),
    "x' = 2x": ("ODE137", "2x", "`2*x`"),
    "x' = W x": ("ODE137", "W x", "`W @ x`"),
    "x' = 1_000*x": ("ODE137", "1_000", "`1000`"),
    "x' = (a)(b)": ("ODE137", ")(", "`@`"),
    "domain x in (0, 1)": ("ODE138", "(", "[a, b]"),
    'model A """doc"""': ("ODE122", '"""doc"""', "line behind"),
}


@pytest.mark.parametrize(("line", "facts"), LINES.items())
def test_one_diagnostic_for_a_line(line: str, facts: tuple[str, str, str], mistakes: Mistakes) -> None:
    """The lines around it are well: the mistake is reported once, at its place, and nothing else is."""
    (found,) = mistakes(f"model M\nstate x[d]\n{line}\nclaim stable\n")
    code, marked, words = facts
    assert found.code == code
    assert found.span is not None
    assert (found.span.text, found.span.line) == (marked, 3)
    assert words in f"{found.message} {found.suggestion}"
    assert found.severity == "error"
    assert "ANON" not in found.message
    assert "__" not in found.message


@pytest.mark.parametrize("line", LINES)
def test_the_same_at_the_end_of_the_file(line: str, mistakes: Mistakes) -> None:
    assert [d.code for d in mistakes(f"model M\nstate x[d]\n{line}")] == [LINES[line][0]]


def test_all_mistakes_in_one_run(mistakes: Mistakes) -> None:
    lines = [line for line in LINES if "model" not in line]
    found = mistakes("model M\n" + "\n".join(lines[:40]))
    assert [d.code for d in found if d.code != "ODE123"] == [
        LINES[line][0] for line in lines[:40] if LINES[line][0] != "ODE123"
    ]
    places = [d.span.line for d in found if d.span]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("word", sorted(reserved()))
def test_keywords_are_reserved(word: str, mistakes: Mistakes) -> None:
    texts = (
        f"state {word}[d]",
        f"let {word} = 1",
        f"dim {word} = 1",
        f"param {word}",
        f"model {word}",
        f"dim a = 1, {word} = 2",
    )
    for text in texts:
        (found,) = mistakes(f"model M\n{text}\n")
        assert (found.code, found.span and found.span.text) == ("ODE125", word)


def test_an_unclosed_bracket_spares_the_next_statement(mistakes: Mistakes) -> None:
    for following in ("constraint norm(W) <= 1", "y' = a +", "y+ = a +", '"""doc"""', "model N", "output y = x"):
        found = mistakes(f"model M\nx' = -W.T @ relu(W @ x + b\n{following}\nclaim = 3\n")
        assert found[0].code == "ODE103"
        assert found[0].span is not None
        assert (found[0].span.line, found[0].span.column) == (2, 17)
        assert found[-1].code == "ODE125"
        assert len(found) == (3 if "+" in following else 2)


def test_keyword_arguments_on_new_lines_end_nothing(parsed: Parsed) -> None:
    parsed("model M\nsolver rk4(\nsteps = 3,\n  rtol = 2,\n)".replace(",\n)", "\n)"))


def test_an_unclosed_docstring_hides_the_rest(mistakes: Mistakes) -> None:
    found = mistakes('model M\nx = = 3\n"""What it is.\ndim d = 3\nx = = 4\n')
    assert [(d.code, d.span and d.span.line) for d in found] == [("ODE101", 2), ("ODE106", 3)]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["ODE120"]),
        ("# nothing\n", ["ODE120"]),
        ('use "a.ode"\n', ["ODE120"]),
        ("dim d = 3\nstate x\n", ["ODE119"]),
        ("dim d = 3\nmodel A\nclaim stable\n", ["ODE119"]),
        ("modle A\ndim d = 3\nclaim stable\n", ["ODE108"]),
        ("modle A\ndim d = 3\nmodel B\nx = 3\n", ["ODE108", "ODE123"]),
        ('model A\nclaim stable\nuse "b.ode"\n', ["ODE121"]),
        ('model A\nclaim stable\n"""doc"""\n', ["ODE122"]),
        ('model A\n"""one"""\n"""two"""\n', ["ODE122"]),
        ('"""doc"""\nmodel A\n', ["ODE122"]),
        ("network A\nstate x\nsolver euler\ntime 0 .. 1\nx' = x\ngraph G[n]\nu = 3\n", ["ODE124"] * 5),
    ],
)
def test_what_may_stand_where(text: str, codes: list[str], mistakes: Mistakes) -> None:
    assert [d.code for d in mistakes(text)] == codes


def test_limits_of_numbers(parsed: Parsed, mistakes: Mistakes) -> None:
    parsed(f"model M\nconst a = {'9' * MAX_DIGITS}, b = 1e{MAX_EXPONENT}, c = 1e-{MAX_EXPONENT}, d = 1e0000004\n")
    for number in ("9" * (MAX_DIGITS + 1), f"1e{MAX_EXPONENT + 1}", f"1e-{MAX_EXPONENT + 1}", "1e" + "9" * 5000):
        (found,) = mistakes(f"model M\nconst a = {number}\n")
        assert found.code == "ODE111"


def test_limits_of_nesting(parsed: Parsed, mistakes: Mistakes) -> None:
    parsed(f"model M\nx' = {'(' * MAX_NESTING}x{')' * MAX_NESTING}\n")
    (found,) = mistakes(f"model M\nx' = {'(' * (MAX_NESTING + 1)}x{')' * (MAX_NESTING + 1)}\n")
    assert found.code == "ODE126"


CHAINS = {
    "sum": "x" + " + x" * 5000,
    "product": "x" + "@x" * 5000,
    "signs": "-" * 5000 + "x",
    "power": "x" + "^x" * 5000,
    "transposes": "x" + ".T" * 5000,
    "arguments": "f(" + "x, " * 5000 + "x)",
}


@pytest.mark.parametrize("name", CHAINS)
def test_long_chains_parse(name: str, parsed: Parsed) -> None:
    parsed(f"model M\nx' = {CHAINS[name]}\n")


HOSTILE = {
    "brackets": "(" * 1_000_000,
    "closing brackets": ")" * 1_000_000,
    "pairs of brackets": "()" * 500_000,
    "a long name": "x" * 1_000_000,
    "a long number": "1" * 1_000_000,
    "a long exponent": "1e" + "1" * 1_000_000,
    "quotes": '"' * 1_000_000,
    "an open docstring": '"""' + 'a"\\' * 300_000,
    "primes": "x" + "'" * 1_000_000,
    "points": "1." * 500_000,
    "words": "x " * 500_000,
    "letters": "\u0430" * 500_000,
    "open brackets on many lines": "\nx' = (" * 200_000,
    "mistakes on many lines": "\nx' = = 3" * 100_000,
    "a sum": "x" + " + x" * MAX_TOKENS,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_answered(name: str, mistakes: Mistakes) -> None:
    begin = perf_counter()
    found = mistakes(f"model M\nx' = {HOSTILE[name]}\n")
    assert len(found) <= MAX_ERRORS + 1
    assert all(len(d.message) + len(d.suggestion or "") < 400 for d in found)
    assert perf_counter() - begin < 20  # seconds: a hang, not a budget


def test_too_many_errors(mistakes: Mistakes) -> None:
    found = mistakes("model M\n" + "x' = = 3\n" * (MAX_ERRORS + 10))
    assert [d.code for d in found] == ["ODE101"] * MAX_ERRORS + ["ODE134"]


def test_time_is_linear_in_length() -> None:
    """Five times the lines take about five times as long; a quadratic parser would take twenty-five times."""

    def seconds(lines: int) -> float:
        text = "model M\n" + "".join(f"let y{i} = W{i}.T @ tanh(W{i} @ x + b{i}) + 0.1*x\n" for i in range(lines))
        best = float("inf")
        for _ in range(3):
            begin = perf_counter()
            assert parse(Source("a", text), Report()) is not None
            best = min(best, perf_counter() - begin)
        return best

    seconds(10)
    assert seconds(5000) / seconds(1000) < 12
