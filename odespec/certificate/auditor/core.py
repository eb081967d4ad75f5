"""What all kinds of proof share: strict reading, the spec and the claim, exact arithmetic that counts its work."""

import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

FORMAT = 1
MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS = 4_000_000, 16, 2_000
MAX_BITS, MAX_WORK = 20_000, 2_000_000

Interval = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Audit:
    """``ok``: the certificate is a proof of ``statement``. Otherwise ``reasons`` say why not."""

    ok: bool
    statement: str
    reasons: list[str]


class AuditError(Exception):
    """A reason to reject the certificate."""


def require(condition: object, reason: str) -> None:
    if not condition:
        raise AuditError(reason)


# --- strict reading ------------------------------------------------------------------


def number(text: Any) -> Fraction:
    """A fraction in lowest terms, written ``3`` or ``-3/4``."""
    require(isinstance(text, str) and len(text) <= MAX_DIGITS, "a number is not a short string")
    require(re.fullmatch(r"-?[0-9]+(/[0-9]+)?", text), f"{text[:40]} is not a fraction")
    value = Fraction(text)
    require(str(value) == text, f"{text[:40]} is not in lowest terms")
    return value


def bits_of(x: Fraction) -> int:
    return x.numerator.bit_length() + x.denominator.bit_length()


def line(value: Any) -> None:
    require(isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable(), "not a line of text")


def text(value: Any) -> None:
    require(isinstance(value, str), "not a text")


def count(value: Any) -> None:
    require(type(value) is int and 0 <= value <= 10**9, "not a count")


def anything(value: Any) -> None:
    """What the kind of proof has its own schema for."""


HEADER = {
    "format": {FORMAT},
    "odespec": line,
    "spec": {"files": [{"name": line, "text": text}], "overrides": [(line, line)], "sha256": line},
    "model": line,
    "claim": {"text": text, "negated": {True, False}, "resolved": line},
    "verdict": {"proved"},
    "slack": number,
    "steps": count,
    "time": number,
    "kind": line,
    "proof": anything,
    "assumptions": [line],
    "digest": line,
}


def parse(source: str) -> dict[str, Any]:
    """The certificate as plain data, its header of the right shape, its digest right."""
    require(len(source) <= MAX_CHARACTERS, "the file is too large")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"[^"\\]*(?:\\.[^"\\]*)*"?', "", source, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        require(depth <= MAX_DEPTH, "nested too deeply")
    data = json.loads(source, object_pairs_hook=_unique)
    conform(data, HEADER, "certificate")
    require(data["digest"] == digest(data), "the digest does not match: the file was changed or damaged")
    return data  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    require(len({key for key, _ in pairs}) == len(pairs), "a key stands twice")
    return dict(pairs)


def conform(value: Any, schema: Any, where: str) -> None:
    """Whether data has the shape of a schema.

    A dict has exactly the keys of the schema's, {str: …} any; a list has items of one kind, a tuple these; a set is one
    of its values; a function raises `AuditError` for what it does not take.
    """
    if isinstance(schema, set):
        require(any(type(value) is type(s) and value == s for s in schema), f"{where} is not one of its values")
    elif isinstance(schema, dict):
        require(isinstance(value, dict), f"{where} is not an object")
        require(str in schema or value.keys() == schema.keys(), f"{where} has not the fields it must have")
        for key, item in value.items():
            conform(item, schema[str] if str in schema else schema[key], f"{where}.{key[:40]}")
    elif isinstance(schema, list | tuple):
        require(isinstance(value, list), f"{where} is not a list")
        require(isinstance(schema, list) or len(value) == len(schema), f"{where} has the wrong length")
        for k, item in enumerate(value):
            conform(item, schema[0] if isinstance(schema, list) else schema[k], f"{where}[{k}]")
    else:
        try:
            schema(value)
        except AuditError as reason:
            raise AuditError(f"{where}: {reason}") from None


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of everything but the digest. It finds damage; it proves nothing."""
    body = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def text_hash(texts: list[str], overrides: list[list[str]]) -> str:
    """SHA-256 over the texts of all files of a spec and its overrides, each preceded by its length."""
    total = hashlib.sha256()
    for part in (*texts, *(f"{name}={value}" for name, value in overrides)):
        total.update(len(part).to_bytes(8, "big") + part.encode())
    return total.hexdigest()


# --- the spec and the claim ----------------------------------------------------------


def check_spec(c: dict[str, Any]) -> None:
    """The hash is that of the text, and the claim and the model stand in it."""
    texts, overrides = [f["text"] for f in c["spec"]["files"]], c["spec"]["overrides"]
    require(text_hash(texts, overrides) == c["spec"]["sha256"], "the hash is not that of the spec")
    words = ["claim", *(["not"] if c["claim"]["negated"] else []), *c["claim"]["text"].split()]
    for pattern in (r"\s+".join(map(re.escape, words)), rf"(?:model|network)[ \t]+{re.escape(c['model'])}"):
        found = any(re.search(rf"(?m)^[ \t]*{pattern}[ \t\r]*(?:#.*)?$", t) for t in texts)
        require(found, "the claim or the model does not stand in the spec")
    require(0 <= number(c["slack"]) <= Fraction(1, 1000), "the slack is not small")


def check_assumptions(c: dict[str, Any], needed: list[str]) -> None:
    require(c["assumptions"] == needed, "not the assumptions that such a proof makes")


LITERAL = r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:e-?[0-9]{1,3})?(?:/[0-9]{1,400})?"


def plain(written: str) -> Fraction:
    """A number as a spec writes it: ``-1.5``, ``1e-3``, ``2/3``."""
    require(re.fullmatch(LITERAL, written), f"{written[:40]} is not a number")
    top, _, bottom = written.partition("/")
    return Fraction(top) / Fraction(bottom or 1)


# --- exact arithmetic ----------------------------------------------------------------


class Ledger:
    """Counts the work, so that a hostile file cannot run for long."""

    def __init__(self) -> None:
        self.work = 0

    def charge(self, amount: int) -> None:
        self.work += amount
        require(self.work <= MAX_WORK, "too much work for an honest certificate")

    def spend(self, value: Fraction) -> Fraction:
        """The value, after its size was charged."""
        require(bits_of(value) <= MAX_BITS, "a number grows too long for an honest certificate")
        self.charge(1 + bits_of(value) // 64)
        return value

    def is_psd(self, m: list[list[Fraction]]) -> bool:
        """Exact LDL^T of a symmetric matrix: pivots are never negative, and a zero pivot has a zero row."""
        m = [list(row) for row in m]
        for k, top in enumerate(m):
            if top[k] < 0 or (top[k] == 0 and any(top[k + 1 :])):
                return False
            for i in range(k + 1, len(m)):
                for j in range(i, len(m)) if top[i] else ():
                    m[i][j] = self.spend(m[i][j] - top[i] * top[j] / top[k])
        return True
