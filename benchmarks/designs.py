"""Random designs: specs of small networks, drawn from the whole of the language, each with one claim."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from odespec.records import dataclass

Rng = np.random.Generator

ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "gelu", "silu", "elu", "leaky_relu", "softsign", "arctan")
ONE_STEP = (
    "euler", "heun", "midpoint", "ralston", "ssprk3", "rk3", "rk4", "rk38", "bosh3", "dopri5", "backward_euler",
    "implicit_midpoint", "trapezoid", "sdirk2", "gauss2",
)  # fmt: skip
TWO_STEP = ("leapfrog", "ab2", "ab3", "bdf2")
SPLIT = ("imex_euler", "etd1", "etdrk4")
PARTITIONED = ("symplectic_euler", "verlet", "yoshida4")

CONSTRAINTS = {
    "W": ("norm(W) <= {c}", "norm(W, inf) <= {c}", "norm(W, 1) <= {c}", "sigma(W) in [{a}, {c}]", "W in [-{a}, {a}]"),
    "V": ("norm(V) <= {c}", "norm(V, inf) <= {c}"),
    "S": ("norm(S) <= {c}",),
    "P": ("eig(P) in [{a}, {c}]", "norm(P) <= {c}"),
}
DECLARED = {"W": "param W[d, d]", "V": "param V[d, d]", "S": "param S[d, d] : skew", "P": "param P[d, d] : symmetric"}
FIELDS = (
    ("W", "-W.T @ {s}(W @ x + b)"),
    ("WV", "V @ {s}(W @ x + b)"),
    ("W", "{s}(W @ x + b) - x"),
    ("S", "S @ x - {g} * x"),
    ("S", "{s}((S - {g}*I) @ x + b)"),
    ("SW", "S @ x - {g} * x - W.T @ {s}(W @ x + b)"),
    ("P", "-P @ x + b"),
    ("P", "-P @ {s}(x + b)"),
    ("W", "sigmoid(W @ x + b) * (tanh(x) - x)"),
    ("W", "-{g} * x + {s}(W @ x + b)"),
    ("W", "-x + 0.5 * {s}(W.T @ {s}(W @ x + b))"),
)
PAIRS = (
    ("W", "W.T @ {s}(W @ z + b)", "-W.T @ {s}(W @ x + b)"),
    ("W", "z", "-W.T @ {s}(W @ x + b) - {g} * z"),
    ("S", "S @ z", "S @ x"),
    ("P", "P @ z", "-P @ x"),
)
STATES = (
    "stable", "stable of flow", "invariant x in [-1, 1]", "invariant x in [0, 1]", "invariant norm(x) <= 1", "conserves(dot(x, x))",
    "dissipates(dot(x, x))", "conserves(sum(x))", "dissipates(dot(x, x)) of flow", "invertible", "reversible",
)  # fmt: skip
"""Claims that are about the states of one run."""


@dataclass(frozen=True, slots=True)
class Design:
    """The text up to its claim, and claims from the strongest on: the first that is proved is attacked."""

    text: str
    claims: tuple[str, ...]


def designs(seed: int) -> Iterator[Design]:
    """Endless, the same for the same seed."""
    rng = np.random.default_rng(seed)
    while True:
        yield _pair(rng) if rng.random() < 0.25 else _single(rng)


def _single(rng: Rng) -> Design:
    names, field = FIELDS[rng.integers(len(FIELDS))]
    family = [ONE_STEP, ONE_STEP, ONE_STEP, TWO_STEP, SPLIT][rng.integers(5)]
    body = f"x' = {_filled(field, rng)}"
    return _design(rng, names, "state x[d]\n", body, str(rng.choice(family)))


def _pair(rng: Rng) -> Design:
    names, first, second = PAIRS[rng.integers(len(PAIRS))]
    family = PARTITIONED if rng.random() < 0.7 else ONE_STEP
    body = f"x' = {_filled(first, rng)}\nz' = {_filled(second, rng)}"
    return _design(rng, names, "state x[d]\nstate z[d]\n", body, str(rng.choice(family)))


def _filled(text: str, rng: Rng) -> str:
    activation = str(rng.choice(ACTIVATIONS))
    text = text.replace("{s}", activation).replace("{g}", str(rng.choice(["0.1", "0.5", "1", "2"])))
    return _leaky(text)


def _leaky(text: str) -> str:
    """leaky_relu takes its slope as second argument: it is written where its bracket closes."""
    name = "leaky_relu("
    while (at := text.find(name)) >= 0 and not text[at:].startswith("leaky_relu(#"):
        depth, i = 1, at + len(name)
        while depth:
            depth += {"(": 1, ")": -1}.get(text[i], 0)
            i += 1
        text = f"{text[:at]}leaky_relu(#{text[at + len(name) : i - 1]}, 0.2){text[i:]}"
    return text.replace("leaky_relu(#", "leaky_relu(")


def _design(rng: Rng, names: str, states: str, body: str, solver: str) -> Design:
    a, c = sorted(rng.choice(["0.25", "0.5", "1", "1.5", "2"], size=2, replace=False), key=float)
    step = " per step" if rng.random() < 0.3 else ""
    params = "".join(f"{DECLARED[n]}{step}\n" for n in names) + (f"param b[d]{step}\n" if "+ b" in body else "")
    limits = "".join(f"constraint {str(rng.choice(CONSTRAINTS[n])).format(a=a, c=c)}\n" for n in names)
    steps, h = int(rng.integers(1, 6)), float(rng.choice([0.05, 0.1, 0.25, 0.5, 1, 1.5, 2]))
    domain = "domain x in [-1, 1]\n" if rng.random() < 0.2 else ""
    text = (
        f"model Design\ndim d = 3\n{states}{params}{body}\n{limits}{domain}"
        f"solver {solver}(steps = {steps})\ntime 0 .. {steps * h:g}\n"
    )
    return Design(text, _claims(rng))


def _claims(rng: Rng) -> tuple[str, ...]:
    if rng.random() < 0.35:
        return (str(rng.choice(STATES)),)
    norm = str(rng.choice(["", "", "norm = inf", "norm = 1", "metric = some"]))
    inside = f"({norm})" if norm else ""
    subject = "" if rng.random() < 0.7 or norm == "metric = some" else " of flow"
    ladder = [f"lipschitz{inside} <= {bound}{subject}" for bound in ("0.5", "0.9")]
    ladder += [f"nonexpansive{inside}{subject}"]
    if norm != "metric = some":
        ladder += [
            f"lipschitz{inside} <= {bound}{subject}"
            for bound in ("1.02", "1.1", "1.3", "1.7", "2.5", "4", "8", "20", "100")
        ]
    return tuple(ladder)
