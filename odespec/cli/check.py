"""``odespec check``: decide every claim."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odespec.cli.common import add_definitions, add_format, fail, load, show
from odespec.diagnostics import Diagnostic, Report
from odespec.diagnostics.render import printable
from odespec.diagnostics.style import Style, style_for

if TYPE_CHECKING:
    from odespec.ir.model import Spec
    from odespec.prove.remedy import Remedy
    from odespec.prove.verdict import Checked, Verdict

DESCRIPTION = """Decide every claim of a spec, for all weights and inputs that it allows, before any training.

  proved    there is a certificate in exact arithmetic (write it with --certificates, re-prove it with `odespec audit`)
  refuted   there are concrete weights and inputs that break the claim (replay them with `odespec replay`)
  unknown   neither was found; the interval says what was attained and what is certified"""
EXAMPLES = """examples:
  odespec check specs/gradient_flow.ode
  odespec check specs/*.ode --json
  odespec check specs/gradient_flow.ode --explain
  odespec check specs/gradient_flow.ode -D d=256 --certificates proofs
  odespec check - < draft.ode

exit status: 0 every claim came out as the spec asks; 1 one did not; 2 the spec has errors
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="an .ode spec, or - for standard input")
    add_definitions(parser)
    add_format(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    parser.add_argument("--explain", action="store_true", help="print each proof as a person would read it")
    parser.add_argument("--certificates", metavar="DIR", help="write certificates and counterexamples into a folder")
    parser.add_argument(
        "--slack", type=_slack, default=Fraction(0), metavar="S", help="accept a bound weaker by this factor, as 1e-9"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="S",
        default=5.0,
        help="cut the search for each claim after this time; it can only turn a verdict into unknown (default: 5)",
    )


def _slack(text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number such as 1e-9, got {text!r}") from None
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("the slack lies between 0 and 1")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return value


def run(options: argparse.Namespace) -> int:
    folder = _folder(options.certificates) if options.certificates else None
    status, models, counts = 0, [], [0, 0]
    for name in options.files:
        code, described = _check(name, options, folder)
        status = max(status, code)
        models.extend(described)
        for claim in (c for m in described for c in m["claims"]):
            counts[claim["ok"]] += 1
    if options.json:
        from odespec import __version__

        print(json.dumps({"odespec": __version__, "models": models}, indent=2))
    elif len(models) > 1:
        print(f"{counts[1]} of {sum(counts)} claims in {len(models)} sections came out as asked")
    return status


def _folder(path: str) -> Any:
    from odespec.cli.folder import Folder

    return Folder(Path(path))


def _check(name: str, options: argparse.Namespace, folder: Any) -> tuple[int, list[dict[str, Any]]]:
    from odespec import api
    from odespec.cli.progress import Progress
    from odespec.prove.verdict import Options

    spec, report = load(name, options)
    if not options.json:
        show(report, options.format)
    if spec is None:
        return 2, [_described(name, None, report, {}, {})]
    with Progress() as progress:
        watch = lambda model, claim: progress.say(f"{name}: {model.name}: claim {claim.text}")  # noqa: E731
        budget = Options(slack=options.slack, seconds=options.seconds, attain=options.json)
        checked = api.check(spec, budget, watch)
        progress.say(f"{name}: looking for remedies")
        remedies = {id(v): api.remedies(spec, c, v, budget) for c in checked for v in c.verdicts if not v.ok}
    status, written = int(not all(result.ok for result in checked)), {}
    if folder is not None:
        try:
            written = folder.write(Path(name).stem, checked)
        except OSError as error:
            status = fail(f"cannot write into {options.certificates}: {error.strerror}")
    if not options.json:
        for result in checked:
            _print(name, result, written, remedies, explain=options.explain)
            _say_chosen(spec, result)
    shares = _shares(report, checked)
    return status, [_described(name, c, d, written, remedies) for c, d in zip(checked, shares, strict=True)]


def _shares(report: Report, checked: tuple[Checked, ...]) -> list[list[Diagnostic]]:
    """The warnings that belong to each section: those behind its first line; the rest goes to the first."""
    shares: list[list[Diagnostic]] = [[] for _ in checked]
    for diagnostic in report:
        place = diagnostic.span
        begun = [
            i
            for i, c in enumerate(checked)
            if place and place.source is c.model.source and place.start >= c.model.span.start
        ]
        shares[begun[-1] if begun else 0].append(diagnostic)
    return shares


# --- output --------------------------------------------------------------------


Remedies = dict[int, tuple["Remedy", ...]]
"""Remedies by the identity of the verdict."""


def _print(name: str, result: Checked, written: dict[int, Path], remedies: Remedies, *, explain: bool) -> None:
    style = style_for(sys.stdout)
    print(f"{style.bold(result.model.name)} {style.dim(f'({printable(name)})')}")
    if not result.verdicts:
        print("  no claims")
    for verdict in result.verdicts:
        print(_line(verdict, style))
        if path := written.get(id(verdict)):
            verb = "audit" if verdict.certificate is not None else "replay"
            print(f"      {style.dim(f'odespec {verb} {printable(str(path))}')}")
        elif verdict.verdict == "refuted" and not verdict.ok:
            print(f"      {style.dim('--certificates DIR writes these weights to a file that `odespec replay` runs')}")
        if explain:
            _narrate(verdict)
        for remedy in remedies.get(id(verdict), ()):
            print(f"      {printable(remedy.sentence())}")


def _narrate(verdict: Verdict) -> None:
    from odespec.certificate.narrate import narrate

    if verdict.certificate is not None:
        for line in narrate(verdict.certificate):
            print(f"        {printable(line)}")


def _say_chosen(spec: Spec, result: Checked) -> None:
    """What `steps = auto` came to."""
    from odespec.ir.model import Model
    from odespec.prove.auto import is_open

    opened = any(is_open(s) and s.name == result.model.name for s in spec.sections)
    if opened and isinstance(result.model, Model) and not is_open(result.model):
        print(f"  steps = auto: {result.model.solver.steps} steps are the fewest that were found")


def _line(verdict: Verdict, style: Style) -> str:
    paint = {"proved": style.good, "refuted": style.error, "unknown": style.warning}[verdict.verdict]
    if verdict.ok:
        paint = style.good
    claim = ("not " if verdict.claim.negated else "") + verdict.claim.text
    slack = f" (slack {float(verdict.slack):g})" if verdict.slack else ""
    head = f"  {paint(_mark(verdict))} {claim}: {paint(verdict.verdict)}{slack} {style.dim(f'{verdict.seconds:.2f} s')}"
    return f"{head}\n      {printable(verdict.reason)}"


def _mark(verdict: Verdict) -> str:
    mark, plain = ("✓", "+") if verdict.ok else ("?", "?") if verdict.verdict == "unknown" else ("✗", "x")
    try:
        mark.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return plain
    return mark


def _described(
    name: str,
    result: Checked | None,
    diagnostics: Iterable[Diagnostic],
    written: dict[int, Path],
    remedies: Remedies,
) -> dict[str, Any]:
    """The object of one section for ``--json``."""
    from odespec.diagnostics.render import as_json

    return {
        "file": name,
        "name": result.model.name if result else None,
        "diagnostics": [as_json(d) for d in diagnostics],
        "claims": [_claim(v, written.get(id(v)), remedies.get(id(v), ())) for v in result.verdicts] if result else [],
    }


def _claim(verdict: Verdict, path: Path | None, remedies: tuple[Remedy, ...]) -> dict[str, Any]:
    return {
        "text": verdict.claim.text,
        "line": verdict.claim.span.line,
        "negated": verdict.claim.negated,
        "verdict": verdict.verdict,
        "slack": float(verdict.slack),
        "ok": verdict.ok,
        "lower": _finite(verdict.lower),
        "upper": _finite(verdict.upper),
        "method": verdict.method,
        "reason": verdict.reason,
        "certificate": str(path) if path and verdict.certificate is not None else None,
        "counterexample": str(path) if path and verdict.counterexample is not None else None,
        "remedies": [r.line for r in remedies],
        "seconds": round(verdict.seconds, 4),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity; a bound that is not finite is none."""
    return value if value is not None and math.isfinite(value) else None
