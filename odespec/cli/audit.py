"""``odespec audit``: re-prove certificates with the independent checker."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from odespec.cli.common import add_definitions, fail, load, show
from odespec.diagnostics.render import printable
from odespec.diagnostics.style import style_for

DESCRIPTION = """Re-prove a certificate with nothing but exact rational arithmetic.

Plain `audit` speaks of the relations and the ratio that the certificate states. With --against SPEC it also compares the
certificate's text with the spec's and tests every relation on the actual differences of runs with extreme weights."""
EXAMPLES = """examples:
  odespec check specs/gradient_flow.ode --certificates proofs
  odespec audit proofs/*.json
  odespec audit proofs/*.json --against specs/gradient_flow.ode

exit status: 0 every certificate is accepted; 1 one is rejected; 2 a file cannot be read
"""
MAX_BYTES = 32 * 1024 * 1024
"""The auditor takes no certificate as long as this; what is longer need not be read to the end."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "certificates", nargs="+", metavar="CERT", help="certificates written by `check --certificates`"
    )
    parser.add_argument("--against", metavar="SPEC", help="the spec that the certificates must belong to")
    parser.add_argument("--json", action="store_true", help="print a JSON list with an object for each certificate")
    add_definitions(parser)


def run(options: argparse.Namespace) -> int:
    if options.against:
        spec, report = load(options.against, options)
        if spec is None:
            show(report)
            return 2
    status, found = 0, []
    for name in options.certificates:
        text = _read(name)
        if text is None:
            status = 2
            continue
        result = _audit(name, text, options)
        status = max(status, int(not result["ok"]))
        found.append(result)
        if not options.json:
            _print(result)
    if options.json:
        print(json.dumps(found, indent=2))
    return status


def _read(name: str) -> str | None:
    try:
        with open(name, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return data.decode("utf-8")
        fail(f"{name} is too long for a certificate")
    except UnicodeDecodeError:
        fail(f"cannot read {name}: not UTF-8")
    except (OSError, ValueError) as error:
        fail(f"cannot read {name}: {getattr(error, 'strerror', None) or error}")
    return None


def _audit(name: str, text: str, options: argparse.Namespace) -> dict[str, Any]:
    from odespec.certificate.auditor import audit_text

    result = audit_text(text)
    reasons = list(result.reasons)
    if result.ok and options.against:
        from odespec.prove.against import against

        reasons = against(text, Path(options.against), dict(options.definitions))
    ok = result.ok and not reasons
    statement = result.statement if ok else None
    return {"file": name, "ok": ok, "statement": statement, "against": options.against, "reasons": reasons}


def _print(result: dict[str, Any]) -> None:
    style = style_for(sys.stdout)
    word = style.good("accepted") if result["ok"] else style.error("rejected")
    told = result["statement"].splitlines() if result["ok"] else result["reasons"]
    print(f"{printable(result['file'])}: {word}")
    for line in told:
        print(f"  {printable(line)}")
    if result["ok"] and result["against"]:
        print(f"  every relation was tested on actual differences of {printable(result['against'])}")
