"""The independent checker of certificates: the standard library and exact rational arithmetic, nothing else.

Every certificate has a header (the text of the spec, the claim), checked in `core`, and a proof of some kind, checked
by the file of that name: ``gram`` by inner products, and so on. The folder imports nothing from outside itself, so it
can be copied and run alone: ``python -m auditor CERTIFICATE…``.

What it cannot see is whether the facts that a proof starts from are those of the network in the text;
`odespec audit --against` tests that.
"""

from importlib import import_module
from typing import Any

from .core import MAX_CHARACTERS, Audit, AuditError, Ledger, check_spec, conform, digest, parse, require, text_hash

__all__ = ["KINDS", "Audit", "AuditError", "audit_text", "digest", "main", "text_hash"]

KINDS = (
    "gram",
    "network",
    "invariant",
    "lyapunov",
    "energy",
    "structure",
    "order",
    "entrywise",
    "spectrum",
    "multistep",
    "endpoint",
    "exponential",
)
"""The kinds of proof. Each is a file here with the ``SCHEMA`` of its data, and ``check(certificate, ledger)``, which
returns what is proved in words, line by line, and raises `AuditError` where nothing is."""

CONDITION = "if the facts stated below are those of the spec (which `audit --against` tests)"


def audit_text(text: str) -> Audit:
    """Check a certificate, given as the text of its JSON file. Never raises; ends after a bounded amount of work."""
    try:
        return Audit(True, _audit(parse(text)), [])
    except AuditError as reason:
        return Audit(False, "", [str(reason)])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        return Audit(False, "", [f"malformed: {type(error).__name__}"])


def _audit(c: dict[str, Any]) -> str:
    check_spec(c)
    require(c["kind"] in KINDS, "a kind of proof that this auditor does not know")
    kind = import_module(f".{c['kind']}", __name__)
    conform(c["proof"], kind.SCHEMA, "proof")
    lines = kind.check(c, Ledger())
    assumed = "assumed: " + "; ".join(c["assumptions"])
    return "\n".join([f"{c['model']}: {c['claim']['resolved']}, {CONDITION}", *lines, assumed])


def main(paths: list[str]) -> int:
    """Audit files; 0 where all are accepted."""
    results = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as stream:
                results.append(audit_text(stream.read(MAX_CHARACTERS + 1)))
        except (OSError, ValueError) as error:
            results.append(Audit(False, "", [f"cannot be read: {type(error).__name__}"]))
        verdict = "accepted" if results[-1].ok else "rejected"
        print(f"{path}: {verdict}", results[-1].statement, *results[-1].reasons, sep="\n")
    return int(not results or not all(r.ok for r in results))
