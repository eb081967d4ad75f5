"""``odespec report``: a page about a spec, in Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from odespec.cli.common import STDIN, add_definitions, add_format, emit, fail, load, show
from odespec.diagnostics.render import printable

if TYPE_CHECKING:
    from odespec.ir.model import Model, Network, Spec
    from odespec.prove.verdict import Checked, Verdict

DESCRIPTION = """Decide every claim of a spec and write a page about it in Markdown: what the network is, each claim with its
verdict, the proof or the weights that break it, what it assumes, and what would make it come out."""
EXAMPLES = """examples:
  odespec report specs/gradient_flow.ode -o gradient_flow.md
  odespec report specs/antisymmetric_euler.ode -D d=8 > report.md

exit status: 0 written; 2 the spec has errors, or the page cannot be written. Verdicts are the page's content and do not
change the exit status.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an .ode spec, or - for standard input")
    parser.add_argument("-o", dest="output", metavar="OUT", help="the file to write (default, or -: standard output)")
    add_definitions(parser)
    add_format(parser)


def run(options: argparse.Namespace) -> int:
    from odespec import api
    from odespec.cli.progress import Progress
    from odespec.files import write_atomic

    spec, report = load(options.file, options)
    show(report, options.format)
    if spec is None:
        return 2
    with Progress() as progress:
        watch = lambda model, claim: progress.say(f"{model.name}: claim {claim.text}")  # noqa: E731
        page = "\n".join(lines(spec, api.check(spec, watch=watch))) + "\n"
    if options.output in (None, STDIN):
        emit(page)
        return 0
    try:
        write_atomic(Path(options.output), page)
    except (OSError, ValueError) as error:
        return fail(f"cannot write {options.output}: {getattr(error, 'strerror', None) or error}")
    print(f"wrote {printable(options.output)}")
    return 0


def lines(spec: Spec, checked: Sequence[Checked]) -> Iterator[str]:
    """The page, line by line."""
    from odespec import __version__

    yield f"# {Path(spec.source.name).name}"
    yield ""
    yield f"Decided by odespec {__version__}, for all weights and inputs that the spec allows, in exact arithmetic."
    for result in checked:
        yield from ("", f"## {result.model.name}", "")
        if result.model.doc:
            yield from (result.model.doc.strip(), "")
        yield from _facts(result.model)
        yield from _table(result)
        for verdict in result.verdicts:
            yield from _claim(spec, result, verdict)
    yield from ("", "## The spec", "", "```ode", spec.source.text.rstrip(), "```")


def _facts(model: Model | Network) -> Iterator[str]:
    from odespec.ir.model import Model

    if not isinstance(model, Model):
        return
    yield "* states: " + ", ".join(f"`{s.name}{_sizes(s.shape)}`" for s in model.states)
    if model.params:
        own = (f"`{p.name}{_sizes(p.shape)}`" + (" per step" if p.per_step else "") for p in model.params)
        yield "* weights: " + ", ".join(own)
    yield f"* solver: `{model.solver.name}`, steps: {model.solver.steps or 'adaptive'}"
    yield ""


def _sizes(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]" if shape else ""


def _table(result: Checked) -> Iterator[str]:
    if not result.verdicts:
        yield "No claims."
        return
    yield "| claim | verdict | as asked | least | most | seconds |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for v in result.verdicts:
        bounds = (f"{b:.6g}" if b is not None else "" for b in (v.lower, v.upper))
        yield f"| `{_text(v)}` | {v.verdict} | {'yes' if v.ok else 'no'} | {' | '.join(bounds)} | {v.seconds:.2f} |"


def _text(verdict: Verdict) -> str:
    return ("not " if verdict.claim.negated else "") + " ".join(verdict.claim.text.split())


def _claim(spec: Spec, result: Checked, verdict: Verdict) -> Iterator[str]:
    from odespec import api
    from odespec.certificate.narrate import narrate

    yield from ("", f"### `{_text(verdict)}`: {verdict.verdict}", "", verdict.reason + ".")
    if verdict.certificate is not None:
        yield from ("", "```text", *narrate(verdict.certificate), "```")
    remedies = api.remedies(spec, result, verdict)
    if remedies:
        yield ""
    for remedy in remedies:
        yield f"* {remedy.sentence()}"
