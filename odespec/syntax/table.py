"""The LALR table of the grammar: built by lark once, then read from the user's cache.

Building takes lark about a tenth of a second, and importing lark takes nearly as long; a command that parses twenty
lines wants neither. What is cached is plain JSON; lark's own saved form is a pickle, which would run whatever it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from odespec.records import dataclass
from odespec.resources import data_dir

FORMAT = 1
STARTS = ("start", "line", "expr")
"""`start` is a whole file. The parser runs the other two, so that a mistake in one line leaves the others readable."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One production.

    ``kept`` are the positions of the symbols whose values reach the callback, each with whether its value is a list
    that is spliced in; ``callback`` is None where the values go on as they are: a list, or if ``single`` the one value.
    """

    origin: str
    length: int
    kept: tuple[tuple[int, bool], ...]
    callback: str | None
    single: bool


@dataclass(frozen=True, slots=True)
class Table:
    """``actions[state][symbol]`` is the next state, or ``~rule`` to reduce; ``start`` and ``end`` are states by rule.

    ``patterns`` are the terminals that are regular expressions, ``literals`` the others, text to name.
    """

    actions: tuple[dict[str, int], ...]
    rules: tuple[Rule, ...]
    start: dict[str, int]
    end: dict[str, int]
    patterns: dict[str, str]
    literals: dict[str, str]


@cache
def load_table() -> Table:
    """The table of ``grammar/ode.lark``, from the cache if it holds a sound one."""
    grammar = data_dir("grammar").joinpath("ode.lark").read_text(encoding="utf-8")
    path = _cache_path(grammar)
    plain = _read(path) if path else None
    if plain is None:
        plain = build(grammar)
        if path:
            _write(path, plain)
    return _table(plain)


def build(grammar: str) -> dict[str, Any]:
    """The table as plain data. Imports lark."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import Lexer, TerminalDef

    class Unused(Lexer):
        """Its lexers are not used, and making one takes longer than the table where terminals are compared."""

        def __init__(self, conf: object) -> None:
            pass

        def lex(self, lexer_state: object, parser_state: object) -> Any:
            raise NotImplementedError

    parser = Lark(grammar, parser="lalr", lexer=Unused, start=list(STARTS), maybe_placeholders=False)
    # The form that lark's stand-alone generator writes: rules and terminals are in ``memo``, by number.
    data, memo = parser.memo_serialize([TerminalDef, LarkRule])
    lalr = data["parser"]["parser"]
    numbers = [reference["@"] for reference in data["rules"]]
    index = {number: i for i, number in enumerate(numbers)}
    names = lalr["tokens"]
    states = sorted(lalr["states"])
    order = {state: i for i, state in enumerate(states)}
    return {
        "actions": [
            {
                names[symbol]: ~index[to["@"]] if reduces else order[to]
                for symbol, (reduces, to) in lalr["states"][state].items()
            }
            for state in states
        ],
        "rules": [_rule(memo[number]) for number in numbers],
        "start": {name: order[state] for name, state in lalr["start_states"].items()},
        "end": {name: order[state] for name, state in lalr["end_states"].items()},
        "patterns": _terminals(data, memo, "PatternRE"),
        "literals": {text: name for name, text in _terminals(data, memo, "PatternStr").items()},
    }


def _rule(rule: dict[str, Any]) -> list[Any]:
    origin: str = rule["origin"]["name"]
    symbols = rule["expansion"]
    kept = [(i, s["name"].startswith("_")) for i, s in enumerate(symbols) if not s.get("filter_out")]
    single = rule["options"]["expand1"] and not rule["alias"]
    callback = None if single or origin.startswith("_") else rule["alias"] or origin
    return [origin, len(symbols), kept, callback, single]


def _terminals(data: dict[str, Any], memo: dict[int, Any], kind: str) -> dict[str, str]:
    terminals = [memo[reference["@"]] for reference in data["parser"]["lexer_conf"]["terminals"]]
    return {t["name"]: t["pattern"]["value"] for t in terminals if t["pattern"]["__type__"] == kind}


def _table(plain: dict[str, Any]) -> Table:
    rules = tuple(
        Rule(origin, length, tuple((i, splice) for i, splice in kept), callback, single)
        for origin, length, kept, callback, single in plain["rules"]
    )
    return Table(tuple(plain["actions"]), rules, plain["start"], plain["end"], plain["patterns"], plain["literals"])


# --- the cache ------------------------------------------------------------------


def cache_dir() -> Path | None:
    """``ODESPEC_CACHE_DIR``, else ``odespec`` in ``XDG_CACHE_HOME`` or ``~/.cache``; None where there is no home."""
    if chosen := os.environ.get("ODESPEC_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    home = os.path.expanduser("~")
    if not base and home == "~":
        return None
    return Path(base or os.path.join(home, ".cache"), "odespec")


def _cache_path(grammar: str) -> Path | None:
    folder = cache_dir()
    key = f"{FORMAT} {sys.version_info[:3]} {_lark_version()}\n{grammar}"
    return folder and folder / f"grammar-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _lark_version() -> str:
    """The folder that holds lark and its metadata's name, found without importing either lark or importlib.metadata."""
    from importlib.util import find_spec

    spec = find_spec("lark")
    if spec is None or spec.origin is None:
        return ""
    site = Path(spec.origin).parent.parent
    return ",".join(sorted(path.name for path in site.glob("lark-*.dist-info")))


def _read(path: Path) -> dict[str, Any] | None:
    """The cached table; None unless the file is this user's own and whole."""
    try:
        with open(path, "rb") as stream:
            if hasattr(os, "getuid") and os.fstat(stream.fileno()).st_uid != os.getuid():
                return None
            digest, _, body = stream.read().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    plain: dict[str, Any] = json.loads(body)
    return plain


def _write(path: Path, plain: dict[str, Any]) -> None:
    """Write the cache; a folder that cannot be written costs time, not the run."""
    from odespec.files import write_atomic

    body = json.dumps(plain, separators=(",", ":")).encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
