"""What to say about text that is no token: look-alike letters, signs of other languages, quotes that never close."""

from __future__ import annotations

from odespec.diagnostics import Report
from odespec.source import Source, Span
from odespec.syntax.tokens import Token

_OPERATORS = {
    "**": "a power is written `^`",
    ":=": "write `=`",
    "!=": "relations are `<=`, `>=`, `==` and `in [a, b]`",
    "<>": "relations are `<=`, `>=`, `==` and `in [a, b]`",
    "<": "write `<=`; the language has no strict inequalities",
    ">": "write `>=`; the language has no strict inequalities",
    "=<": "write `<=`",
    "=>": "write `>=`",
    "->": "the language has no arrows; a vector field is written `x' = …`",
    "&&": "write one relation a line",
    "||": "the language has no `or`; a norm is written `norm(x)`",
    "//": "a comment starts with `#`, a division is written `/`",
    "...": "an interval of time is written `0 .. 4`",
}

_CHARACTERS = {
    ";": "write one statement a line",
    "{": "arrays and intervals stand in `[ ]`, arguments in `( )`",
    "}": "arrays and intervals stand in `[ ]`, arguments in `( )`",
    "%": "a comment starts with `#`",
    "!": "a negated claim is written `claim not …`",
    "|": "a norm is written `norm(x)`",
    "\\": "a line may be broken inside of brackets, without a `\\`",
    ".": "a transpose is written `.T`, an interval of time `0 .. 4`",
    "\r": "end lines with a line feed, or carriage return and line feed",
    "−": "write `-`",
    "–": "write `-`",
    "—": "write `-`",
    "‐": "write `-`",
    "×": "write `*`, or `@` for a matrix product",
    "·": "write `*`, or `@` for a matrix product",
    "⋅": "write `*`, or `@` for a matrix product",
    "∗": "write `*`",
    "÷": "write `/`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "relations are `<=`, `>=`, `==` and `in [a, b]`",
    "∈": "write `in`",
    "√": "write `sqrt(x)`",
    "‖": "a norm is written `norm(x)`",
    "∥": "a norm is written `norm(x)`",
    "∞": "write `inf`",
    "∇": "write `grad(V, x)`",
    "′": "write `'`",
    "’": "write `'`",
    "‘": "write `'`",
    "“": 'write `"`',
    "”": 'write `"`',
    "…": "write `..`",
    "\u00a0": "write an ordinary space",
    "\ufeff": "delete it; a byte order mark stands at the start of a file only",
}

_LOOK_ALIKE = dict(
    zip(
        "аеорсухкмтнвАВЕКМНОРСТУХіІјЈѕЅԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧοıℓ",
        "aeopcyxkmthBABEKMHOPCTYXiIjJsSdqwABEZHIKMNOPTYXoil",
        strict=True,
    )
)
"""Cyrillic, Greek and other letters that readers take for an ASCII one."""


def explain(source: Source, token: Token, report: Report) -> None:
    """Report a token of a type in `odespec.syntax.tokens.MISTAKES`."""
    span = Span(source, token.start, token.end)
    text = span.text
    if token.type == "UNCLOSED_DOC":
        report.add("ODE106", span)
    elif token.type == "UNCLOSED_STRING":
        report.add("ODE107", Span(source, token.start, token.start + 1))
    elif token.type == "ODD_NUMBER":
        report.add("ODE113", span, suggestion=f"write `{_whole(text)}`", text=_short(text))
    elif token.type == "ODD_OPERATOR":
        report.add("ODE117", span, suggestion=_OPERATORS[text], operator=text)
    elif token.type == "ODD_NAME":
        _name(span, report)
    else:
        report.add("ODE109", span, suggestion=_CHARACTERS.get(text), character=describe(text))


def describe(character: str) -> str:
    """A character in words: ``CYRILLIC SMALL LETTER A (U+0430)``; visible ASCII as it is."""
    import unicodedata

    if " " < character < "\x7f":
        return f"`{character}`"
    name = unicodedata.name(character, "")
    return f"{name} (U+{ord(character):04X})" if name else f"U+{ord(character):04X}"


def _name(span: Span, report: Report) -> None:
    text = span.text
    ascii_name = "".join(map(_ascii, text))
    odd = next(c for c in text if not c.isascii())
    suggestion = "use the letters a to z and A to Z, digits and _"
    if ascii_name.isidentifier() and ascii_name.isascii():
        suggestion = f"write `{_short(ascii_name)}`"
        if odd in _LOOK_ALIKE:
            suggestion += f"; the letter only looks like the ASCII `{_LOOK_ALIKE[odd]}`"
    report.add("ODE110", span, suggestion=suggestion, name=_short(text), character=describe(odd))


def _ascii(character: str) -> str:
    """The ASCII spelling of a character: what it looks like, a Greek letter's name, a letter without its accent."""
    import unicodedata

    if character.isascii() or character in _LOOK_ALIKE:
        return _LOOK_ALIKE.get(character, character)
    words = unicodedata.name(character, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        name = words[words.index("LETTER") + 1]
        return name.lower() if "SMALL" in words else name.capitalize()
    return "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))


def _whole(number: str) -> str:
    number = "0" + number if number.startswith(".") else number + "0"
    return _short(number)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
