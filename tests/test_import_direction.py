"""Imports go one way: syntax, ir, program, prove; back ends see step programs; the auditor sees the standard library."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = frozenset({"exact", "source", "files", "resources", "diagnostics", "claims", "structures", "elementary"})
"""What may be used anywhere: it uses nothing above it."""

REGISTRIES = frozenset({"activations", "functions", "solvers"})

MAY_IMPORT: dict[str, frozenset[str]] = {
    "records": frozenset(),
    "exact": frozenset(),
    "source": frozenset(),
    "files": frozenset(),
    "resources": frozenset(),
    "claims": frozenset(),
    "structures": frozenset(),
    "vocabulary": frozenset(),
    "elementary": frozenset({"exact"}),
    "diagnostics": frozenset({"source"}),
    "solvers": frozenset({"exact"}),
    "activations": frozenset({"exact", "elementary", "ir.expr"}),
    "functions": frozenset({"activations"}),
    "syntax": frozenset({"source", "diagnostics", "files", "resources"}),
    "ir": BASE | REGISTRIES | {"syntax"},
    "program": BASE | REGISTRIES | {"ir"},
    "weights": BASE | REGISTRIES | {"ir", "program"},
    "certificate": BASE | {"__version__", "ir", "prove"},
    "prove": BASE | REGISTRIES | {"ir", "program", "weights", "certificate"},
    "backends": frozenset({"program", "source"}),
    "emit": frozenset({"__version__", "backends", "diagnostics", "ir", "program", "prove", "api"}),
    "replay": frozenset({"backends", "diagnostics", "ir", "program", "prove", "emit", "weights"}),
    "api": frozenset({"diagnostics", "files", "ir", "prove", "certificate", "emit"}),
    "reference": BASE | REGISTRIES | {"vocabulary"},
}
"""Under ``odespec``: each part, and what it may import besides itself and `records`. A dot: that module only."""

AUDITOR = ROOT / "odespec" / "certificate" / "auditor"

BACK_ENDS = {"backends", "program", "exact", "source", "activations", "ir.expr", "ir.model"}
FRAMEWORKS = {"torch", "jax", "triton", "scipy", "sympy", "sklearn", "matplotlib"}
OUTSIDE: dict[str, set[str]] = {
    "numpy": {"activations", "backends", "program", "weights", "prove", "certificate"},
    "clarabel": {"prove"},
    "lark": {"syntax"},
    "pydantic": {"certificate"},
    "rich": {"cli"},
    "safetensors": {"prove"},
}
"""Which parts of odespec may import a library."""


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1 and path.parent == AUDITOR:
                continue  # the auditor's folder can be copied and run alone
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            if node.module in ("odespec", "odespec.ir"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def parts() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "odespec").rglob("*.py")):
        inside = path.relative_to(ROOT / "odespec").with_suffix("").parts
        yield inside[0], path


def allowed(module: str, names: frozenset[str] | set[str]) -> bool:
    inside = module.removeprefix("odespec.")
    return any(inside == name or inside.startswith(name + ".") for name in names)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_stands_below(part: str) -> None:
    found = False
    for own, path in parts():
        if own != part:
            continue
        found = True
        for module in imported(path):
            if module == "odespec" or module.startswith("odespec."):
                assert allowed(module, MAY_IMPORT[part] | {part, "records"}), f"{path} imports {module}"
    assert found, f"there is no {part}"


def test_every_part_has_a_rule() -> None:
    assert {part for part, _ in parts()} - set(MAY_IMPORT) == {"__init__", "__main__", "cli"}


def test_nothing_but_the_command_line_imports_it() -> None:
    for part, path in parts():
        if part not in ("cli", "__main__"):
            assert not any(m.startswith("odespec.cli") for m in imported(path)), path


def test_libraries_stay_where_they_belong() -> None:
    for part, path in parts():
        for module in imported(path):
            top = module.split(".")[0]
            assert top not in FRAMEWORKS, f"{path} imports {module}"
            if top != "odespec" and top not in sys.stdlib_module_names:
                assert part in OUTSIDE[top], f"{path} imports {module}"


def test_the_auditor_imports_the_standard_library_alone() -> None:
    modules = {m for path in AUDITOR.glob("*.py") for m in imported(path)}
    assert {m.split(".")[0] for m in modules} <= sys.stdlib_module_names
    assert "fractions" in modules


def test_the_package_above_the_auditor_is_empty() -> None:
    assert not list(imported(ROOT / "odespec" / "certificate" / "__init__.py"))


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_back_ends_see_step_programs(name: str) -> None:
    package = f"odespec_{name}"
    for path in sorted((ROOT / "backends" / package).rglob("*.py")):
        for module in imported(path):
            if module == "odespec" or module.startswith("odespec."):
                assert allowed(module, BACK_ENDS), f"{path} imports {module}"
            if module.startswith("odespec_"):
                assert module.split(".")[0] == package


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_finding_a_back_end_imports_no_framework(name: str) -> None:
    code = f"import sys, odespec.backends as b; b.get({name!r}); print(sorted({{'torch', 'jax', 'triton'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


# --- what the start costs -------------------------------------------------------------

HEAVY = {"numpy", "scipy", "torch", "jax", "sympy", "pydantic", "clarabel", "lark", "rich", "jinja2", "safetensors"}


def heavy_after(code: str) -> set[str]:
    """The heavy libraries in memory after some code has run in a process of its own."""
    told = f"import sys\n{code}\nprint('\\n' + ' '.join(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.splitlines()[-1].split())


def command(*arguments: str) -> str:
    return f"from odespec.cli import main\ntry: main({list(arguments)!r})\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import odespec", "import odespec.api", "from odespec import load, check, SpecError"])
def test_importing_is_light(code: str) -> None:
    assert heavy_after(code) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("check", "--help"),
        ("explain", "rk4"),
        ("explain", "gelu"),
        ("explain", "ODE301"),
        ("explain", "--list"),
        ("solvers",),
        ("new", "-"),
    ],
)
def test_light_verbs_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert heavy_after(command(*arguments)) == set()


def test_reading_and_reporting_import_no_prover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lark is imported once, to make the table of the grammar that the cache then has."""
    path = tmp_path / "a.ode"
    path.write_text("model A\nstate x[2]\nx' = -y\nsolver euler(steps = 2)\ntime 0 .. 1\n")
    monkeypatch.setenv("ODESPEC_CACHE_DIR", str(tmp_path))
    assert heavy_after(command("fmt", "--check", str(path))) == {"lark"}
    assert heavy_after(command("fmt", "--check", str(path))) == set()
    assert heavy_after(command("check", str(path))) == set()


def test_a_check_imports_neither_frameworks_nor_scipy() -> None:
    spec = str(ROOT / "specs" / "gradient_flow.ode")
    assert heavy_after(command("check", spec)) <= {"numpy", "clarabel", "pydantic"}
