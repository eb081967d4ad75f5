"""What a cold process costs, as a ratio to ``python -c pass`` in the same run.

    python benchmarks/startup.py [--runs N]

Commands are interleaved, so that a busy machine slows all of them alike; medians of wall time and of CPU time (user and
system) are compared. Exit status 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

FORMATTED_OTHERWISE = 1
"""The exit status of ``fmt --diff`` where there is a difference; `check` must end with 0."""

SPEC = Path(__file__).resolve().parent.parent / "specs" / "gradient_flow.ode"
ODESPEC = (sys.executable, "-m", "odespec")
BASE = "python -c pass"

COMMANDS: dict[str, tuple[tuple[str, ...], float | None]] = {
    BASE: ((sys.executable, "-c", "pass"), None),
    "import odespec": ((sys.executable, "-c", "import odespec"), None),
    "--version": ((*ODESPEC, "--version"), 5),
    "--help": ((*ODESPEC, "--help"), 5),
    "explain nonexpansive": ((*ODESPEC, "explain", "nonexpansive"), None),
    "explain ODE301": ((*ODESPEC, "explain", "ODE301"), None),
    "solvers": ((*ODESPEC, "solvers"), None),
    "fmt --diff": ((*ODESPEC, "fmt", "--diff", str(SPEC)), None),
    "check": ((*ODESPEC, "check", str(SPEC)), 20),
    "check, no cache": ((*ODESPEC, "check", str(SPEC)), 40),
}
"""Each command with the most that its ratio should be."""


def measure(command: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode not in (0, FORMATTED_OTHERWISE):
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="processes of each kind (default: 9)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        # Bytecode is written, as in any ordinary installation, but not into the checkout.
        warm = {**os.environ, "OMP_NUM_THREADS": "1", "ODESPEC_CACHE_DIR": folder, "PYTHONPYCACHEPREFIX": folder}
        warm.pop("PYTHONDONTWRITEBYTECODE", None)
        # A folder below a file cannot be made, even by root.
        without = {**warm, "ODESPEC_CACHE_DIR": str(SPEC / "cache")}
        for name, (command, _) in COMMANDS.items():
            measure(command, without if "no cache" in name else warm)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(runs):
            for name, (command, _) in COMMANDS.items():
                taken[name].append(measure(command, without if "no cache" in name else warm))
    return report(taken)


def report(taken: dict[str, list[tuple[float, float]]]) -> int:
    wall, cpu = ({name: median(t[i] for t in times) for name, times in taken.items()} for i in (0, 1))
    missed = 0
    print(f"{'':22} {'wall ms':>8} {'ratio':>6} {'cpu ms':>8} {'ratio':>6} {'goal':>5}")
    for name, (_, goal) in COMMANDS.items():
        ratio = wall[name] / wall[BASE]
        missed += goal is not None and ratio > goal
        row = f"{name:22} {wall[name] * 1e3:8.0f} {ratio:6.1f} {cpu[name] * 1e3:8.0f} {cpu[name] / cpu[BASE]:6.1f}"
        print(f"{row} {goal or '':>5}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
