"""Decide every claim of a folder of specs with known truth, and say how many come out right, and how fast.

``python benchmarks/claims.py FOLDER…`` with an ``expected.jsonl`` in each: one JSON object a line with ``file``,
``claim`` and ``truth``. Exit status 1 where a verdict is wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.prove.decide import decide
from odespec.prove.verdict import Options


def decided(folder: Path, entry: dict[str, Any]) -> tuple[str, float, str]:
    """The verdict on one entry, the seconds it took, and the reason."""
    started = time.perf_counter()
    report = Report()
    spec = load(folder / entry["file"], {}, report)
    if spec is None or report.failed:
        return "error", 0.0, "; ".join(d.message for d in report.errors)
    section = next(s for s in reversed(spec.sections) if s.claims)
    verdict = decide(spec, section, section.claims[0], Options())
    return verdict.verdict, time.perf_counter() - started, verdict.reason


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--verbose", action="store_true", help="also print the claims that are not decided")
    arguments = parser.parse_args()
    counts: Counter[tuple[bool, str]] = Counter()
    seconds, wrong = [], 0
    for folder in arguments.folders:
        for line in (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            verdict, took, reason = decided(folder, entry)
            counts[entry["truth"], verdict] += 1
            seconds.append(took)
            right = "proved" if entry["truth"] else "refuted"
            if verdict not in (right, "unknown"):
                wrong += 1
                print(f"WRONG {entry['file']}: {entry['claim']} is {entry['truth']}, the verdict {verdict}: {reason}")
            elif verdict != right and arguments.verbose:
                print(f"{verdict} {entry['file']} ({took:.2f} s): {entry['claim']}, wanted {right}: {reason}")
    for truth, right in ((True, "proved"), (False, "refuted")):
        total = sum(n for (t, _), n in counts.items() if t == truth)
        print(f"{'true' if truth else 'false'} claims: {counts[truth, right]} of {total} {right}")
    print(f"wrong verdicts: {wrong}; seconds a claim: median {statistics.median(seconds):.3f}, most {max(seconds):.2f}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
