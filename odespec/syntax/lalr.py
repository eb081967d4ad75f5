"""Runs the LALR table over the tokens of one line.

The stack is a list, so that no expression is too deep for it, and nodes are built as rules are reduced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from odespec.records import dataclass
from odespec.syntax.table import Rule, Table
from odespec.syntax.tokens import CONTEXTUAL, Token

Callback = Callable[[int, int, list[Any]], Any]
END = "$END"


@dataclass(frozen=True, slots=True)
class Stuck:
    """The token at ``index`` (one past the last: the end of the line) does not fit; the terminals ``expected`` do."""

    index: int
    expected: frozenset[str]


def run(table: Table, start: str, tokens: Sequence[Token], callbacks: Mapping[str, Callback]) -> Any:
    """The value of the start rule, or `Stuck`. Callbacks get the first and last offset of the rule and its values."""
    stack = _Stack(table, start, callbacks)
    for index, token in enumerate(tokens):
        if not stack.feed(token):
            return Stuck(index, _expected(table, start, tokens[:index]))
    offset = tokens[-1].end if tokens else 0
    if not stack.feed(Token(END, offset, offset)):
        return Stuck(len(tokens), _expected(table, start, tokens))
    return stack.values[0]


def _expected(table: Table, start: str, tokens: Sequence[Token]) -> frozenset[str]:
    """The terminals that could follow some tokens.

    They are fed again, because the token that did not fit has had reductions made which bar others.
    """
    nothing: dict[str, Callback] = dict.fromkeys((rule.callback or "" for rule in table.rules), lambda *_: None)
    stack = _Stack(table, start, nothing)
    for token in tokens:
        stack.feed(token)
    return frozenset(name for name in table.actions[stack.states[-1]] if name.isupper() and stack.accepts(name))


class _Stack:
    __slots__ = ("callbacks", "end", "ends", "starts", "states", "table", "values")

    def __init__(self, table: Table, start: str, callbacks: Mapping[str, Callback]) -> None:
        self.table = table
        self.callbacks = callbacks
        self.states = [table.start[start]]
        self.end = table.end[start]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def feed(self, token: Token) -> bool:
        """Reduce as the token demands and shift it; False where it fits nowhere."""
        actions, kind = self.table.actions, token.type
        while True:
            state = self.states[-1]
            if kind == END and state == self.end:
                return True
            action = actions[state].get(kind)
            if action is None:
                if kind not in CONTEXTUAL:
                    return False
                kind = "NAME"
            elif action >= 0:
                self._shift(action, token)
                return True
            else:
                self._reduce(self.table.rules[~action])

    def _shift(self, state: int, token: Token) -> None:
        self.states.append(state)
        self.values.append(token)
        self.starts.append(token.start)
        self.ends.append(token.end)

    def _reduce(self, rule: Rule) -> None:
        n = rule.length
        if n == 1 and rule.single:
            self.states.pop()
        else:
            value = self._value(rule, self.values[-n:], self.starts[-n], self.ends[-1])
            del self.states[-n:], self.values[-n:]
            del self.starts[len(self.starts) - n + 1 :], self.ends[-n:-1]
            self.values.append(value)
        self.states.append(self.table.actions[self.states[-1]][rule.origin])

    def _value(self, rule: Rule, values: list[Any], start: int, end: int) -> Any:
        if rule.single:
            return values[rule.kept[0][0]]
        kept: list[Any] = []
        for i, splice in rule.kept:
            if not splice:
                kept.append(values[i])
            elif kept:
                kept.extend(values[i])
            else:
                kept = values[i]  # a list grows in place: copying it for each item would be quadratic
        return kept if rule.callback is None else self.callbacks[rule.callback](start, end, kept)

    def accepts(self, terminal: str) -> bool:
        """Whether a terminal fits. A row can promise what the stack below it denies, so reductions are tried."""
        states = list(self.states)
        while terminal != END or states[-1] != self.end:
            action = self.table.actions[states[-1]].get(terminal)
            if action is None or action >= 0:
                return action is not None
            rule = self.table.rules[~action]
            del states[-rule.length :]
            states.append(self.table.actions[states[-1]][rule.origin])
        return True
