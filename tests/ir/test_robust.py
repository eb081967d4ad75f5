"""No text raises, and the time grows with the length of the text."""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest

from odespec.claims import CLAIMS
from odespec.diagnostics import Report
from odespec.diagnostics.catalogue import codes, page
from odespec.functions import function_names
from odespec.ir.load import load_source
from odespec.solvers import SOLVERS
from odespec.source import Source
from odespec.structures import STRUCTURES

TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|\s+|'+|\.\.|[<>=]=|\S")
WORDS = [
    *function_names(), *SOLVERS, *CLAIMS, *STRUCTURES, "I", "t", "inf", "auto", "some", "x", "W", "d", "u", "per step",
    "norm", "sigma", "eig", "degree", "state", "param", "input", "noise", "graph", "let", "const", "dim", "claim", "of",
    "flow", "output", "not", "in", "0", "1", "-1", "1/2", "9^9^9", "1e300", "10^7", "'", "''", "+", "-", "*", "/", "@",
    "^", "(", ")", "[", "]", ",", "=", "<=", ">=", "==", ":", "..", ".T", "\n",
]  # fmt: skip


def corpus() -> list[str]:
    texts = [p.text for c in codes() for p in (page(c).fails, page(c).passes) if p and p.language == "ode"]
    texts += [p.read_text() for p in sorted((Path(__file__).parents[2] / "specs").glob("*.ode"))]
    return texts


def mutated(text: str, rng: random.Random) -> str:
    tokens = TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 2, 4])):
        i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        kind = rng.choice(["word", "word", "word", "copy", "swap", "delete", "insert", "line"])
        if kind == "word":
            tokens[i] = rng.choice(WORDS)
        elif kind == "copy":
            tokens[i] = tokens[j]
        elif kind == "swap":
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif kind == "delete" and len(tokens) > 3:
            del tokens[i]
        elif kind == "insert":
            tokens.insert(i, rng.choice(WORDS))
        else:
            lines = "".join(tokens).splitlines(keepends=True)
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            tokens = TOKEN.findall("".join(lines)) or ["\n"]
    return "".join(tokens)


def run(text: str) -> Report:
    report = Report()
    spec = load_source(Source("t.ode", text), {}, report, Path("/nonexistent"))
    assert (spec is None) == report.failed
    for diagnostic in report:
        assert diagnostic.message and diagnostic.code in codes()
    return report


@pytest.mark.parametrize("seed", range(8))
def test_mutated_specs_never_raise(seed: int) -> None:
    rng = random.Random(int(os.environ.get("ODESPEC_FUZZ_SEED", "0")) * 1000 + seed)
    texts = corpus()
    for _ in range(int(os.environ.get("ODESPEC_FUZZ_RUNS", "60"))):
        text = mutated(rng.choice(texts), rng)
        try:
            run(text)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error


# --- time ------------------------------------------------------------------------------

HEAD = "model A\ndim d = 3\nstate x[d]\nparam W[d, d]\n"
TAIL = "\nsolver euler(steps = 4)\ntime 0 .. 1\n"


def chain(n: int, step: str) -> str:
    lets = "\n".join(f"let a{i} = " + step.replace("a_", f"a{i - 1}") for i in range(1, n))
    return f"{HEAD}let a0 = x\n{lets}\nx' = a{n - 1}{TAIL}"


def gradient(n: int) -> str:
    text = chain(n, "tanh(W @ a_) + a_").replace("x' = ", "let V = sum(logcosh(x)) + sum(")
    return text.replace(TAIL, ")\nx' = -grad(V, x)" + TAIL)


def backwards(n: int) -> str:
    lets = "\n".join(f"let a{i} = tanh(W @ a{i - 1}) + a{i - 1}" for i in range(n - 1, 0, -1))
    return f"{HEAD}{lets}\nlet a0 = x\nx' = a{n - 1}{TAIL}"


def unknown(n: int) -> str:
    return HEAD + "\n".join(f"let a{i} = q{i} + x" for i in range(n)) + "\nx' = -x" + TAIL


def cycle(n: int) -> str:
    return HEAD + "\n".join(f"let a{i} = a{(i + 1) % n} + x" for i in range(n)) + "\nx' = -x" + TAIL


def wide(n: int) -> str:
    params = "\n".join(f"param V{i}[d, d] : skew\nconstraint norm(V{i}) <= 1" for i in range(n // 2))
    return HEAD + params + "\nx' = W @ x + " + " + ".join(f"V{i} @ x" for i in range(n // 2)) + TAIL


def layers(n: int) -> str:
    block = "model B\ndim d = 2\nstate x[d]\nx' = -x\nsolver euler(steps = 2)\ntime 0 .. 1\n"
    return (
        block
        + "network N\ninput u[4]\nh = B(u)\n"
        + "\n".join("h = B(h)" if i % 2 else "h = tanh(h)" for i in range(n))
    )


SHAPES = {
    "lets": lambda n: chain(n, "tanh(W @ a_) + a_"),
    "doubling": lambda n: chain(n, "a_ * a_"),
    "gradient": gradient,
    "backwards": backwards,
    "unknown": unknown,
    "cycle": cycle,
    "wide": wide,
    "layers": layers,
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear(shape: str) -> None:
    def seconds(n: int) -> float:
        text = SHAPES[shape](n)
        start = time.process_time()
        run(text)
        return time.process_time() - start

    seconds(50)
    small = min(seconds(400) for _ in range(3))
    assert seconds(3200) < 8 * 3 * max(small, 0.02)


def test_five_thousand_lines() -> None:
    assert not run(chain(5000, "tanh(W @ a_) + a_")).failed


def test_numbers_that_would_grow_are_not_computed() -> None:
    squares = "const c0 = 3\n" + "\n".join(f"const c{i} = c{i - 1} * c{i - 1}" for i in range(1, 400))
    assert [d.code for d in run(f"{HEAD}{squares}\nx' = W @ x * c399{TAIL}").errors] == ["ODE212"]
    roots = "const c0 = 3\n" + "\n".join(f"const c{i} = sqrt(c{i - 1} + {i})" for i in range(1, 400))
    assert [d.code for d in run(f"{HEAD}{roots}\nx' = W @ x * c399{TAIL}").errors] == ["ODE212"]
    lets = "let a0 = 3\n" + "\n".join(f"let a{i} = a{i - 1} * a{i - 1}" for i in range(1, 400))
    assert [d.code for d in run(f"{HEAD}{lets}\nx' = W @ x * a399{TAIL}").errors] == ["ODE212"]


def test_names_are_only_data() -> None:
    text = 'model __import__\n"""\\"\\"\\"; import os"""\nstate __class__[2]\n__class__\' = -__class__' + TAIL
    assert not run(text).failed
