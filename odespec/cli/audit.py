"""``odespec audit``: re-prove certificates with the independent checker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odespec.cli.common import add_definitions, fail
from odespec.diagnostics.style import style_for

DESCRIPTION = """Re-prove a certificate with nothing but exact rational arithmetic.

Plain `audit` speaks of the relations and the ratio that the certificate states. With --against SPEC it also compares the
certificate's text with the spec's and tests every relation on the actual differences of runs with extreme weights."""
EXAMPLES = """examples:
  odespec check specs/gradient_flow.ode --certificates proofs
  odespec audit proofs/*.json
  odespec audit proofs/*.json --against specs/gradient_flow.ode
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificates", nargs="+", metavar="CERT", help="certificates written by `check --certificates`")
    parser.add_argument("--against", metavar="SPEC", help="the spec that the certificates must belong to")
    add_definitions(parser)


def run(options: argparse.Namespace) -> int:
    statuses = [_audit(Path(name), options) for name in options.certificates]
    return max(statuses)


def _audit(path: Path, options: argparse.Namespace) -> int:
    from odespec.certificate.audit import audit_text

    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return fail(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8'}")
    result = audit_text(text)
    reasons = list(result.reasons)
    if result.ok and options.against:
        from odespec.prove.against import against

        reasons = against(text, Path(options.against), dict(options.definitions))
    style = style_for(sys.stdout)
    word = style.good("accepted") if not reasons else style.error("rejected")
    print(f"{path}: {word}\n  {result.statement if not reasons else '; '.join(reasons)}")
    return int(bool(reasons))
