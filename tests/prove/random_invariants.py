"""Random specs with an invariant: fields, constraints, solvers and bounds drawn from what users write."""

from __future__ import annotations

import random

GATES = ("sigmoid(W @ x + b)", "tanh(x)", "relu(x)", "softsign(V @ x)", "cos(t)", "sigmoid(x) * tanh(V @ x)", "1", "s",
         "(1 + sigmoid(x))", "hardtanh(W @ x)", "softmax(V @ x)", "exp(-x)", "q")  # fmt: skip
TERMS = ("x", "A @ x", "D @ x", "W @ x", "V @ tanh(x)", "tanh(V @ x + b)", "sigmoid(W @ x)", "mean(x)", "x^2", "x^3",
         "u", "relu(W @ x)", "S @ x", "x * x", "-V.T @ tanh(V @ x)", "A.T @ x", "B @ x", "M @ x", "ones[3]", "max(x)",
         "softmax(W @ x)", "abs(x)", "K @ x", "q")  # fmt: skip
BOUNDS = ("x in [-1, 1]", "x in [0, 1]", "x >= 0", "x <= 1", "x in [min(x(0)), max(x(0))]", "norm(x) <= 1", "norm(x) <= 2",
          "norm(x, 1) <= 1", "norm(x, inf) <= 2", "sum(x) == 0", "sum(x) <= 1", "sum(x) == sum(x(0))", "x in [-1/2, 2]",
          "dot(x, x) <= 1", "abs(x) <= 2", "max(x) <= 1", "x <= max(x(0))", "norm(x) <= norm(x(0))", "mean(x) in [0, 1]",
          "x >= x(0)", "x^2 <= 1", "x in [0, q]")  # fmt: skip
SOLVERS = ("euler", "euler", "euler", "heun", "midpoint", "ssprk3", "rk4", "ralston", "backward_euler", "trapezoid",
           "implicit_midpoint", "imex_euler", "etd1", "fused_euler", "ab2", "dopri5")  # fmt: skip
CONSTRAINTS = {
    "W": ("norm(W) <= 1", "norm(W, inf) <= 1/2", "norm(W, 1) <= 1", "W in [0, 1/3]", "W in [-1, 1]", "offdiag(W) >= 0"),
    "V": ("norm(V) <= 1", "norm(V, inf) <= 1", "sum(V, 0) == 0", "sum(V, 1) == 0", "V in [-1/3, 1/3]"),
    "b": ("b in [-1, 1]", "norm(b) <= 1"),
    "s": ("s in [0, 1]", "s in [-1, 1]"),
    "q": ("q in [0, 1]", "q in [1, 2]"),
}
DECLARED = {
    "W": "param W[3, 3]", "V": "param V[3, 3]", "b": "param b[3]", "s": "param s", "q": "param q[3]",
    "A": "param A[3, 3] : stochastic", "D": "param D[3, 3] : doubly_stochastic", "S": "param S[3, 3] : skew",
    "B": "param B[3, 3] : psd", "K": "param K[3, 3] : orthogonal", "u": "input u[3]",
    "M": "const M = [[-2, 1, 1], [1, -2, 0], [1, 1, -1]]",
}  # fmt: skip


def random_spec(seed: int) -> str:
    """One spec. Its claim may be true or false."""
    rng = random.Random(seed)
    terms = []
    for _ in range(rng.choice((1, 2, 2, 3))):
        gate = rng.choice(GATES) if rng.random() < 0.5 else rng.choice(("1", "1/2", "2"))
        sign = rng.choice(("", "-"))
        term = rng.choice(TERMS)
        terms.append(f"{sign}{gate} * ({term})" if rng.random() < 0.6 else f"{sign}{gate} * ({term} - x)")
    field = " + ".join(terms)
    bound = rng.choice(BOUNDS)
    lines = ["model Random", "state x[3]"]
    for name, declared in DECLARED.items():
        if any(f" {name} " in f" {part} " for part in _words(field + " " + bound)):
            step = rng.random() < 0.15 and declared.startswith("param") and name in ("W", "b")
            lines.append(declared + (" per step" if step else ""))
            if name in CONSTRAINTS and rng.random() < 0.7:
                lines.append(f"constraint {rng.choice(CONSTRAINTS[name])}")
            if name == "u":
                lines.append("domain u in [0, 1]")
    if rng.random() < 0.25:
        lines.append(rng.choice(("domain x in [0, 1/2]", "domain norm(x) <= 1/2", "domain x in [-1, 1]")))
    elif rng.random() < 0.1:
        lines[1] = "state x[3] = 0"
    steps, length = rng.choice((1, 2, 3)), rng.choice(("1", "2", "1/2", "3"))
    flow = rng.random() < 0.2
    stepped = any(line.endswith("per step") for line in lines)
    if rng.random() < 0.15 and not flow and "t" not in _words(field):
        lines += [f"x+ = {field}", f"solver map(steps = {steps})"]
    else:
        solver = rng.choice(SOLVERS[:-1] if stepped else SOLVERS)
        options = "rtol = 1e-3, atol = 1e-3" if solver == "dopri5" else f"steps = {steps}"
        lines += [f"x' = {field}", f"solver {solver}({options})", f"time 0 .. {length}"]
    lines.append(f"claim invariant {bound}" + (" of flow" if flow else ""))
    return "\n".join(lines) + "\n"


def _words(text: str) -> list[str]:
    word, words = "", []
    for sign in text + " ":
        if sign.isalnum() or sign == "_":
            word += sign
        else:
            words.append(word)
            word = ""
    return words
