"""Tokens to statement lines: where a line ends, given brackets, and what is wrong with a line before it is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from odespec.diagnostics import Note, Report
from odespec.records import dataclass
from odespec.source import Source, Span
from odespec.syntax import characters
from odespec.syntax.tokens import CONTEXTUAL, MISTAKES, TRIVIA, Token, tokenize

MAX_NESTING = 100
MAX_TOKENS = 50_000
"""Of one statement. A 100 x 100 constant array has 20,000."""

_CLOSES = {"RPAR": "LPAR", "RSQB": "LSQB"}

OPERAND_ENDS = frozenset({"NAME", "NUMBER", "RPAR", "RSQB", "PRIMES", "TRANSPOSE"}) | CONTEXTUAL
"""Terminals that can end an operand."""

STATEMENT_KEYWORDS = frozenset(
    ("USE", "MODEL", "NETWORK", "DIM", "CONST", "STATE", "PARAM", "INPUT", "GRAPH", "NOISE", "LET")
    + ("CONSTRAINT", "DOMAIN", "SOLVER", "TIME", "OUTPUT", "CLAIM")
)
"""Terminals that begin a statement; reserved, so none stands inside of an expression."""


@dataclass(slots=True)
class Line:
    """The tokens of one statement. ``broken`` once a diagnostic has been given for it: a second would be a cascade."""

    tokens: list[Token] = field(default_factory=list)
    broken: bool = False


def split(source: Source, report: Report) -> Iterator[Line]:
    """The non-empty statement lines of a text. Mistakes of characters and brackets are reported."""
    splitter = _Splitter(source, report)
    for token in tokenize(source.text):
        if token.type in TRIVIA:
            continue
        goes_on = splitter.take(token)
        yield from splitter.ready()
        if not goes_on:
            break
    splitter.finish()
    yield from splitter.ready()


class _Splitter:
    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.report = report
        self.lines: list[Line] = []
        self.line = Line()
        self.open: list[Token] = []
        self.fresh = -1
        """Index in the line of the first token on a new line of text inside of brackets."""

    def take(self, token: Token) -> bool:
        """Add a token; False where the rest of the text cannot be read."""
        if token.type == "NEWLINE":
            self.fresh = len(self.line.tokens)
            if not self.open:
                self._end()
            return True
        if token.type in MISTAKES:
            return self._mistake(token)
        if self.open and (begun := self._begun(token)) is not None:
            self._unclosed(begun)
        self.line.tokens.append(token)
        if token.type in _CLOSES.values():
            self.open.append(token)
            return len(self.open) <= MAX_NESTING or self._stop("ODE126", token, limit=MAX_NESTING)
        if token.type in _CLOSES:
            self._close(token)
        if len(self.line.tokens) > MAX_TOKENS:
            return self._stop("ODE127", self.line.tokens[0], limit=MAX_TOKENS)
        return True

    def finish(self) -> None:
        if self.open:
            self._unclosed([])
        self._end()

    def ready(self) -> Iterator[Line]:
        """The lines ended since the last call."""
        yield from self.lines
        self.lines.clear()

    def _span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def _text(self, token: Token) -> str:
        return self.source.text[token.start : token.end]

    def _end(self) -> None:
        if self.line.tokens or self.line.broken:
            self.lines.append(self.line)
        self.line = Line()

    def _stop(self, code: str, token: Token, **values: object) -> bool:
        self._break(code, token, (), **values)
        self.open.clear()
        return False

    def _break(self, code: str, token: Token, notes: tuple[Note, ...] = (), **values: object) -> None:
        if not self.line.broken:
            self.report.add(code, self._span(token), notes=notes, suggestion=None, **values)
        self.line.broken = True

    def _mistake(self, token: Token) -> bool:
        if quote := self._quote():
            self._break("ODE118", quote)
        elif not self.line.broken:
            characters.explain(self.source, token, self.report)
        self.line.broken = True
        if token.type == "UNCLOSED_DOC":
            self.open.clear()  # what follows is in the docstring, closing brackets with it
            return False
        return True

    def _quote(self) -> Token | None:
        """A `'` that begins a text: whatever is odd behind it is part of the text."""
        before = ""
        for token in self.line.tokens:
            if token.type == "PRIMES" and before not in OPERAND_ENDS:
                return token
            before = token.type
        return None

    # --- brackets ---

    def _close(self, token: Token) -> None:
        if not self.open:
            self._break("ODE104", token, bracket=self._text(token))
            return
        opening = self.open.pop()
        if opening.type != _CLOSES[token.type]:
            note = Note(f"`{self._text(opening)}` is opened here", self._span(opening))
            self._break("ODE105", token, (note,), opening=self._text(opening), closing=self._text(token))

    def _begun(self, token: Token) -> list[Token] | None:
        """Where a token inside of brackets can only belong to a new statement: that statement's tokens before it."""
        tokens, fresh = self.line.tokens, self.fresh
        if len(tokens) == fresh and (token.type in STATEMENT_KEYWORDS or token.type == "DOC"):
            return []
        if token.type != "EQUAL" or len(tokens) != fresh + 2:
            return None
        return tokens[fresh:] if tokens[-1].type in ("PRIMES", "PLUS") and tokens[-2].type == "NAME" else None

    def _unclosed(self, begun: list[Token]) -> None:
        """Report the innermost open bracket; its line is as good as ended."""
        opening = self.open[-1]
        self._break("ODE103", opening, bracket=self._text(opening))
        self.open.clear()
        self._end()
        self.line.tokens = begun
