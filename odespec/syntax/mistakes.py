"""Why a line does not parse, in the terms of the one who wrote it.

Each function below knows one mistake: given the line and where the parser got stuck, it reports the mistake and returns
True, or returns False. The first that answers wins; the last always does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from odespec.diagnostics import Report
from odespec.diagnostics.suggest import nearest
from odespec.records import dataclass
from odespec.source import Source, Span
from odespec.syntax.lalr import END, Stuck
from odespec.syntax.lines import OPERAND_ENDS, STATEMENT_KEYWORDS
from odespec.syntax.tokens import Token, keywords, reserved
from odespec.syntax.words import describe, expectation

_COMPARISONS = ("LE", "GE", "EQ")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that does not parse: its tokens, and the ``index`` of the first that does not fit."""

    source: Source
    tokens: Sequence[Token]
    index: int
    expected: frozenset[str]
    report: Report

    def kind(self, offset: int = 0) -> str:
        """The type of the token at an offset from the one that does not fit; "" in front of the line."""
        i = self.index + offset
        return "" if i < 0 else self.tokens[i].type if i < len(self.tokens) else END

    def span(self, offset: int = 0) -> Span:
        i = self.index + offset
        if i < len(self.tokens):
            return Span(self.source, self.tokens[i].start, self.tokens[i].end)
        end = self.tokens[-1].end if self.tokens else 0
        return Span(self.source, end, end)

    def text(self, offset: int = 0) -> str:
        return _short(self.span(offset).text)

    def between(self, first: int, last: int) -> str:
        """The text of the tokens from one index to another (exclusive), counted from the start of the line."""
        return self.source.text[self.tokens[first].start : self.tokens[last - 1].end] if first < last else ""

    def add(self, code: str, span: Span | None = None, suggestion: str | None = None, **values: object) -> bool:
        self.report.add(code, span or self.span(), notes=(), suggestion=suggestion, **values)
        return True


def explain(source: Source, tokens: Sequence[Token], stuck: Stuck, report: Report) -> None:
    """Report why the tokens of one line do not parse: exactly one diagnostic."""
    line = _Line(source, tokens, stuck.index, stuck.expected, report)
    for recognise in _RECOGNISERS:
        if recognise(line):
            return


def _keyword_as_name(line: _Line) -> bool:
    """``state time[d]``, ``time' = …``, ``x' = input * 2``."""
    if line.index == 1 and line.kind() in ("EQUAL", "PRIMES") and line.text(-1) in reserved():
        return line.add("ODE125", line.span(-1), word=line.text(-1))
    declares = "NAME" in line.expected and "NUMBER" not in line.expected and line.index > 0
    if line.text() in reserved() and (declares or (line.kind() in STATEMENT_KEYWORDS and "NAME" in line.expected)):
        return line.add("ODE125", word=line.text())
    return False


def _chained_comparison(line: _Line) -> bool:
    """``0 <= x <= 1``."""
    places = [i for i, token in enumerate(line.tokens[: line.index]) if token.type in _COMPARISONS]
    if line.kind() not in _COMPARISONS or not places or line.tokens[0].type not in ("CONSTRAINT", "DOMAIN", "CLAIM"):
        return False
    leading = ("CONSTRAINT", "DOMAIN", "CLAIM", "NOT", "INVARIANT")
    first = next(i for i, token in enumerate(line.tokens) if token.type not in leading)
    outer, middle = line.between(first, places[0]), line.between(places[0] + 1, line.index)
    other = line.between(line.index + 1, len(line.tokens))
    kinds = (line.tokens[places[0]].type, line.kind())
    ends = {("LE", "LE"): (outer, other), ("GE", "GE"): (other, outer)}.get(kinds)
    suggestion = f"write `{_short(middle)} in [{_short(ends[0])}, {_short(ends[1])}]`" if ends else None
    return line.add("ODE115", suggestion=suggestion or "write each relation on a line of its own")


def _equals(line: _Line) -> bool:
    """``dim d == 4``, ``constraint sum(B, 0) = 0``."""
    wanted = {"EQ": "EQUAL", "EQUAL": "EQ"}.get(line.kind())
    if wanted is None or wanted not in line.expected:
        return False
    signs = {"EQ": "==", "EQUAL": "="}
    use = "defines, `==` states an equation" if wanted == "EQUAL" else "defines; a relation is written with `==`"
    return line.add("ODE116", found=signs[line.kind()], wanted=signs[wanted], suggestion=f"`=` {use}")


def _trailing_comma(line: _Line) -> bool:
    if line.kind(-1) != "COMMA" or line.kind() not in ("RPAR", "RSQB", END, "PER", "COLON"):
        return False
    return line.add("ODE114", line.span(-1), suggestion="leave out the comma")


def _quoted(line: _Line) -> bool:
    """``use 'other.ode'``: the first ``'`` stands where no derivative can."""
    if line.kind() != "PRIMES" or line.kind(-1) in OPERAND_ENDS:
        return False
    return line.add("ODE118", suggestion='texts stand in double quotes, "…"')


def _per_step(line: _Line) -> bool:
    behind = [token.type for token in line.tokens[max(0, line.index - 2) : line.index]]
    if line.kind() in ("COMMA", "COLON") and behind == ["PER", "STEP"]:
        suggestion = "write it once, last on the line; it holds for every name of the line"
        return line.add("ODE133", line.span(-2).to(line.span(-1)), suggestion=suggestion)
    if line.kind() == "PER" and line.tokens[0].type not in ("PARAM", "INPUT"):
        return line.add("ODE133", suggestion="only a `param` and an `input` have one value for each step")
    return False


def _structure(line: _Line) -> bool:
    """``param S[d, d] : skew, T[d, d] : skew``."""
    kinds = [token.type for token in line.tokens[: line.index]]
    if line.kind() not in ("COMMA", "LSQB", "LPAR") or kinds[-2:-1] != ["COLON"]:
        return False
    suggestion = "a structure is one word, behind the last name; it holds for every name of the line"
    return line.add("ODE135", suggestion=suggestion, found=describe(line.kind()))


def _unknown_statement(line: _Line) -> bool:
    """A line that begins with a word which begins no statement."""
    if not line.tokens or line.tokens[0].type != "NAME" or line.index != 1:
        return False
    word, text = line.text(-1), line.between(0, len(line.tokens))
    if word.startswith("d") and "SLASH" in line.kind() and "/dt" in text.replace(" ", ""):
        suggestion = f"a vector field is written `{word[1:] or 'x'}' = …`"
    elif line.kind() == "LSQB" and "=" in text:
        suggestion = f"a discrete map is written `{word}+ = …`, a field `{word}' = …`"
    elif meant := nearest(word, starters()):
        suggestion = f"did you mean `{meant}`?"
    else:
        suggestion = "a statement begins with a keyword (`param`, `claim`, …) or is an equation `x' = …`"
    return line.add("ODE108", line.span(-1), suggestion=suggestion, word=word)


def starters() -> list[str]:
    """The words that begin a statement."""
    return [text for text, name in keywords().items() if name in STATEMENT_KEYWORDS]


def _time_argument(line: _Line) -> bool:
    """``x'(t) = …``."""
    if line.index != 2 or line.kind() != "LPAR" or line.kind(-1) != "PRIMES" or line.kind(-2) != "NAME":
        return False
    field = line.text(-2) + line.text(-1)
    return line.add("ODE101", suggestion=f"write `{field} = …`", found="`(`", expected="`=`")


def _missing_operator(line: _Line) -> bool:
    """``2x``, ``W x``, ``1_000``."""
    if "STAR" not in line.expected or line.kind() not in ("NAME", "NUMBER", "LPAR"):
        return False
    left, right = line.text(-1), line.text()
    if line.kind(-1) == "NUMBER" and right.startswith("_") and line.span(-1).end == line.span().start:
        suggestion = f"write `{_short(left + right.replace('_', ''))}`, without the underscore"
    elif line.kind() == "LPAR":
        suggestion = "write `*`, or `@` for a matrix product"
    else:
        suggestion = f"write `{left}*{right}`, or `{left} @ {right}` for a matrix product"
    return line.add("ODE137", line.span(-1).to(line.span()), suggestion=suggestion, left=left, right=right)


def _interval(line: _Line) -> bool:
    """``x in (0, 1)``."""
    if line.kind(-1) != "IN" or line.kind() not in ("LPAR", "NAME", "NUMBER", "MINUS"):
        return False
    return line.add("ODE138", suggestion="an interval is closed: `in [a, b]`", found=line.text())


def _documented_header(line: _Line) -> bool:
    """A docstring on the line of ``model NAME``, or of a statement."""
    return line.kind() == "DOC" and line.add("ODE122")


def _ends_early(line: _Line) -> bool:
    return line.kind() == END and line.add("ODE102", expected=expectation(line.expected))


def _goes_on(line: _Line) -> bool:
    """The statement was complete before the token that does not fit."""
    if END not in line.expected:
        return False
    suggestion = None
    if line.tokens[0].type == "CLAIM" and line.kind() == "NAME" and line.kind(-1) == "NAME":
        suggestion = f"what a claim is about stands in parentheses: `{line.text(-1)}({line.text()})`"
    elif line.kind() == "COMMA":
        suggestion = "write one statement a line"
    elif line.kind() == "COLON" and line.tokens[0].type in ("MODEL", "NETWORK"):
        suggestion = "leave out the colon; a section needs no indentation either"
    others = line.expected - {END}
    rest = f"; only {expectation(others)} could follow" if others else ""
    return line.add("ODE132", suggestion=suggestion, found=_found(line), rest=rest)


def _unexpected(line: _Line) -> bool:
    return line.add("ODE101", found=_found(line), expected=expectation(line.expected))


def _found(line: _Line) -> str:
    """The token that does not fit, as it stands in the text."""
    if line.kind() in (END, "DOC", "STRING"):
        return describe(line.kind())
    return f"`{line.text()}`"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:39] + "…"


_RECOGNISERS: tuple[Callable[[_Line], bool], ...] = (
    _keyword_as_name,
    _chained_comparison,
    _equals,
    _trailing_comma,
    _quoted,
    _per_step,
    _structure,
    _unknown_statement,
    _time_argument,
    _missing_operator,
    _interval,
    _documented_header,
    _ends_early,
    _goes_on,
    _unexpected,
)
