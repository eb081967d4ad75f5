"""``odespec check``: decide every claim."""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odespec.cli.common import add_definitions, add_format, fail, load, show
from odespec.diagnostics import Report
from odespec.diagnostics.style import Style, style_for

if TYPE_CHECKING:
    from odespec.api import Checked
    from odespec.prove.verdict import Verdict

DESCRIPTION = """Decide every claim of a spec, for all weights and inputs that it allows, before any training.

  proved    there is a certificate in exact arithmetic (write it with --certificates, re-prove it with `odespec audit`)
  refuted   there are concrete weights and inputs that break the claim (replay them with `odespec replay`)
  unknown   neither was found; the interval says what was attained and what is certified"""
EXAMPLES = """examples:
  odespec check specs/gradient_flow.ode
  odespec check specs/*.ode --json
  odespec check specs/gradient_flow.ode -D d=256 --certificates proofs

exit status: 0 every claim came out as the spec asks; 1 one did not; 2 the spec has errors
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="an .ode spec")
    add_definitions(parser)
    add_format(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    parser.add_argument("--certificates", metavar="DIR", help="write certificates and counterexamples into a folder")
    parser.add_argument(
        "--slack", type=_slack, default=Fraction(0), metavar="S", help="accept a bound weaker by this factor, as 1e-9"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="cut the search for each claim after this time")


def _slack(text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number such as 1e-9, got {text!r}") from None
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("the slack lies between 0 and 1")
    return value


def run(options: argparse.Namespace) -> int:
    status, models = 0, []
    for name in options.files:
        code, described = _check(name, options)
        status = max(status, code)
        models.extend(described)
    if options.json:
        from odespec import __version__

        print(json.dumps({"odespec": __version__, "models": models}, indent=2))
    return status


def _check(name: str, options: argparse.Namespace) -> tuple[int, list[dict[str, Any]]]:
    from odespec import api
    from odespec.cli.progress import Progress
    from odespec.prove.verdict import Options

    spec, report = load(name, options)
    if not options.json:
        show(report, options.format)
    if spec is None:
        return 2, [_described(name, None, report, {})]
    with Progress(enabled=not options.json) as progress:
        watch = lambda model, claim: progress.say(f"{model.name}: claim {claim.text}")  # noqa: E731
        checked = api.check(spec, Options(slack=options.slack, seconds=options.seconds), watch)
    if options.certificates:
        try:
            written = _write(checked, Path(options.certificates))
        except OSError as error:
            return fail(f"cannot write into {options.certificates}: {error.strerror}"), []
    else:
        written = {}
    if not options.json:
        for result in checked:
            _print(name, result, written)
    described = [_described(name, result, report, written) for result in checked] or [_described(name, None, report, {})]
    return int(not all(result.ok for result in checked)), described


# --- files ---------------------------------------------------------------------


def _write(checked: tuple[Checked, ...], folder: Path) -> dict[int, Path]:
    """Write what each verdict rests on; the paths by the identity of the verdict."""
    from odespec.files import write_atomic

    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for result in checked:
        for number, verdict in enumerate(result.verdicts, start=1):
            stem = f"{result.model.name}-{number}-{verdict.claim.name}"
            if verdict.certificate is not None:
                written[id(verdict)] = folder / f"{stem}.json"
                write_atomic(written[id(verdict)], verdict.certificate.text())
            elif verdict.counterexample is not None:
                written[id(verdict)] = folder / f"{stem}.safetensors"
                write_atomic(written[id(verdict)], verdict.counterexample.data())
    return written


# --- output --------------------------------------------------------------------


def _print(name: str, result: Checked, written: dict[int, Path]) -> None:
    style = style_for(sys.stdout)
    print(f"{style.bold(result.model.name)} {style.dim(f'({name})')}")
    if not result.verdicts:
        print("  no claims")
    for verdict in result.verdicts:
        print(_line(verdict, style))
        if written.get(id(verdict)):
            print(f"      {style.dim('written: ' + str(written[id(verdict)]))}")


def _line(verdict: Verdict, style: Style) -> str:
    paint = {"proved": style.good, "refuted": style.error, "unknown": style.warning}[verdict.verdict]
    if verdict.ok:
        paint = style.good
    mark = "✓" if verdict.ok else "✗" if verdict.verdict != "unknown" else "?"
    claim = ("not " if verdict.claim.negated else "") + verdict.claim.text
    slack = f" (slack {float(verdict.slack):g})" if verdict.slack else ""
    return f"  {paint(mark)} {claim}: {paint(verdict.verdict)}{slack} {style.dim(f'{verdict.seconds:.2f} s')}\n      {verdict.reason}"


def _described(name: str, result: Checked | None, report: Report, written: dict[int, Path]) -> dict[str, Any]:
    """The object of one section for ``--json``."""
    from odespec.diagnostics.render import as_json

    return {
        "file": name,
        "name": result.model.name if result else None,
        "diagnostics": [as_json(d) for d in report],
        "claims": [_claim(v, written.get(id(v))) for v in result.verdicts] if result else [],
    }


def _claim(verdict: Verdict, path: Path | None) -> dict[str, Any]:
    return {
        "text": verdict.claim.text,
        "line": verdict.claim.span.line,
        "negated": verdict.claim.negated,
        "verdict": verdict.verdict,
        "slack": float(verdict.slack),
        "ok": verdict.ok,
        "lower": verdict.lower,
        "upper": verdict.upper,
        "method": verdict.method,
        "reason": verdict.reason,
        "certificate": str(path) if path and verdict.certificate is not None else None,
        "counterexample": str(path) if path and verdict.counterexample is not None else None,
        "seconds": round(verdict.seconds, 4),
    }
