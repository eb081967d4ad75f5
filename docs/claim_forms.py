"""What the page of claims tries: small networks, families of solvers, and forms of claims with what is tried for each.

Nothing here knows a verdict: that a try is listed among the true or the false ones only sets the order of work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

STEPS = 4


@dataclass(frozen=True, slots=True)
class Design:
    """A field: the right-hand side of each state, and its other statements."""

    fields: tuple[tuple[str, str], ...]
    statements: str = ""

    @property
    def paired(self) -> bool:
        return len(self.fields) > 1


def plain(field: str, statements: str = "") -> Design:
    return Design((("x", field),), statements)


def pair(position: str, momentum: str, statements: str = "") -> Design:
    return Design((("q", position), ("p", momentum)), statements)


WEIGHTS = "param W[d, d], b[d]\nconstraint norm(W) <= 1"
DESIGNS = {
    "gradient": plain("-W.T @ relu(W @ x + b)", WEIGHTS),
    "gradient and decay": plain("-x - W.T @ relu(W @ x + b)", WEIGHTS),
    "no bias": plain("-W.T @ relu(W @ x)", "param W[d, d]\nconstraint norm(W) <= 1"),
    "decay": plain("-x"),
    "growth": plain("x/2"),
    "residual": plain("tanh(W @ x + b)", WEIGHTS),
    "residual, rows": plain("tanh(W @ x + b)", "param W[d, d], b[d]\nconstraint norm(W, inf) <= 1"),
    "residual, columns": plain("tanh(W @ x + b)", "param W[d, d], b[d]\nconstraint norm(W, 1) <= 1"),
    "leaky, rows": plain("tanh(W @ x + b) - x", "param W[d, d], b[d]\nconstraint norm(W, inf) <= 1"),
    "leaky, columns": plain("tanh(W @ x + b) - x", "param W[d, d], b[d]\nconstraint norm(W, 1) <= 1"),
    "half leaky, rows": plain("tanh(W @ x + b)/2 - x", "param W[d, d], b[d]\nconstraint norm(W, inf) <= 1"),
    "half leaky, columns": plain("tanh(W @ x + b)/2 - x", "param W[d, d], b[d]\nconstraint norm(W, 1) <= 1"),
    "leaky": plain("tanh(W @ x + b) - x", "param W[d, d], b[d]"),
    "loud leaky": plain("2*tanh(W @ x + b) - x", "param W[d, d], b[d]"),
    "skew": plain("S @ x", "param S[d, d] : skew\nconstraint norm(S) <= 1"),
    "rotation": plain("M @ x", "const M = [[-1, 2], [-4, -1]], P = [[2, 0], [0, 1]]"),
    "shear and decay": plain("M @ x", "const M = [[-1, 3], [0, -1]]"),
    "growth, P": plain("x/2", "const P = [[2, 0], [0, 1]]"),
    "decay, P": plain("-x", "const P = [[2, 0], [0, 1]]"),
    "driven": plain("B @ u - x", "param B[d, d]\ninput u[d]\nconstraint norm(B) <= 1"),
    "read out": plain("-x - W.T @ relu(W @ x + b)", f"{WEIGHTS}\nparam C[d, d]\nconstraint norm(C) <= 1\noutput y = C @ x"),
    "grown, read out": plain("x/2", "param C[d, d]\nconstraint norm(C) <= 1\noutput y = C @ x"),
    "averaging": plain("A @ x - x", "param A[d, d] : stochastic"),
    "mixing": plain("W @ x - x", "param W[d, d]\nconstraint norm(W) <= 1"),
    "balanced": plain("B @ tanh(x)", "param B[d, d]\nconstraint sum(B, 0) == 0\nconstraint norm(B) <= 1"),
    "balanced and decay": plain("B @ x", "param B[d, d]\nconstraint sum(B, 0) == 0\nconstraint norm(B) <= 1"),
    "oscillator": pair("p", "-q"),
    "potential": pair("p", "-W.T @ tanh(W @ q)", "param W[d, d]\nconstraint norm(W) <= 1"),
    "drift": pair("W.T @ tanh(W @ p + b)", "0*q", WEIGHTS),
    "damped": pair("-q/2", "-p/2"),
    "driven pair": pair("p", "B @ u - q", "param B[d, d]\ninput u[d]\nconstraint norm(B) <= 1"),
    "pair, read out": pair("p", "-q", "param C[d, d]\nconstraint norm(C) <= 1\noutput y = C @ q"),
    "exchange, P": pair("p", "-q", "const P = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"),
    "damped, P": pair("-q/2", "-p/2", "const P = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"),
    "noisy decay": plain("-x + tanh(x)*w/2", "noise w[d]"),
    "noisy growth": plain("x/2 + tanh(x)*w/2", "noise w[d]"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """``solvers`` are tried in turn; ``{steps}`` in them stands for the number of steps. ``order`` is what is claimed."""

    name: str
    solvers: tuple[str, ...]
    order: int = 0
    kind: str = "field"


FAMILIES = (
    Family("explicit", ("rk4(steps = {steps})", "euler(steps = {steps})"), 4),
    Family("adaptive tableau, fixed step", ("bosh3(steps = {steps})",), 3),
    Family("adaptive", ("dopri5(rtol = 1e-5, atol = 1e-7)",), 5),
    Family("implicit", ("implicit_midpoint(steps = {steps})", "backward_euler(steps = {steps})"), 2),
    Family("partitioned", ("verlet(steps = {steps})", "symplectic_euler(steps = {steps})"), 2, "pair"),
    Family("multistep", ("bdf2(steps = {steps})", "leapfrog(steps = {steps})", "ab2(steps = {steps})"), 2),
    Family("splitting", ("imex_euler(steps = {steps})", "etd1(steps = {steps})"), 1),
    Family("stochastic", ("euler_maruyama(steps = {steps})",), 1, "noise"),
    Family("map", ("map(steps = {steps})",), 0, "map"),
    Family("flow", ("rk4(steps = {steps})",), 0, "flow"),
)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a claim: what is tried, in order, as (design, length of the time, claim); ``{order}`` is the family's."""

    name: str
    tries: tuple[tuple[str, str, str], ...]


def _tries(claim: str, true: str, false: str) -> tuple[tuple[str, str, str], ...]:
    """``true`` and ``false``: designs with their times, ``name @ time``, between semicolons: two lists, one claim."""
    return tuple((name, time, claim) for name, time in _split(f"{true}; {false}"))


def _split(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(";"):
        name, _, time = part.partition("@")
        yield name.strip(), time.strip()


BOTH = (("2", ""), ("inf", ", rows"), ("1", ", columns"))


def _distances() -> Iterator[Form]:
    for norm, kind in BOTH:
        inner = "" if norm == "2" else f"norm = {norm}"
        behind, word = (f"({inner})", f" in the norm {norm}") if inner else ("", "")
        leaky = f"leaky{kind} @ 2; half leaky{kind} @ 2" if kind else "gradient @ 2; gradient and decay @ 1"
        yield Form(f"nonexpansive{behind}", _tries(f"nonexpansive{behind}", f"{leaky}; decay @ 1; damped @ 1",
                   f"gradient @ 16; residual{kind} @ 2; growth @ 2; oscillator @ 8"))  # fmt: skip
        rate = f"rate = 1/4{', ' + inner if inner else ''}"
        leaky = f"half leaky{kind} @ 2" if kind else "gradient and decay @ 1"
        yield Form(f"contractive(rate = r{', ' + inner if inner else ''})", _tries(f"contractive({rate})",
                   f"{leaky}; decay @ 1; damped @ 1", f"gradient @ 1; residual{kind} @ 2; oscillator @ 1"))  # fmt: skip
        yield Form(f"lipschitz{behind} <= L", (
            *_tries(f"lipschitz{behind} <= 2", f"residual{kind} @ 1/2; oscillator @ 1/2; half leaky, rows @ 1/2", "growth @ 4"),
            *_tries(f"lipschitz{behind} <= 11/10", f"residual{kind} @ 1/2", "oscillator @ 4; potential @ 4")))  # fmt: skip
        yield Form(f"gradient in [a, b]{word}", (
            *_tries(f"gradient{behind} in [1/10, 2]", f"residual{kind} @ 1/2; oscillator @ 1/2", "half leaky, rows @ 1/2"),
            *_tries(f"gradient{behind} in [9/10, 2]", f"residual{kind} @ 1/2", "oscillator @ 8; growth @ 4")))  # fmt: skip


def _metrics() -> Iterator[Form]:
    for metric in ("P", "some"):
        for name, extra in (("nonexpansive", ""), ("contractive", "rate = 1/4, ")):
            claim = f"{name}({extra}metric = {metric})"
            true = (
                "rotation @ 1; decay, P @ 1; damped, P @ 1"
                if metric == "P"
                else "shear and decay @ 1; oscillator @ 1; damped @ 1"
            )
            false = "growth, P @ 2; exchange, P @ 16" if metric == "P" else "growth @ 2; oscillator @ 16"
            yield Form(claim.replace("1/4", "r"), _tries(claim, true, false))
        grow = "growth, P" if metric == "P" else "growth"
        held = "exchange, P" if metric == "P" else "oscillator"
        claim = f"lipschitz(metric = {metric}) <= 2"
        yield Form(claim.replace("2", "L"), _tries(claim, f"{grow} @ 1/2; {held} @ 1/2", f"{grow} @ 8; {held} @ 32"))


FORMS = (
    *_distances(),
    *_metrics(),
    Form(
        "lipschitz(by = u) <= L",
        (
            *_tries("lipschitz(by = u) <= 2", "driven @ 1", "driven pair @ 1"),
            *_tries("lipschitz(by = u) <= 1/10", "driven @ 1", "driven pair @ 1"),
        ),
    ),
    Form(
        "nonexpansive of output",
        _tries("nonexpansive of output", "read out @ 1; pair, read out @ 1", "grown, read out @ 1; pair, read out @ 8"),
    ),
    Form(
        "lipschitz <= L of output",
        (
            *_tries("lipschitz <= 2 of output", "read out @ 1", "pair, read out @ 1/2"),
            *_tries("lipschitz <= 1/10 of output", "read out @ 1", "pair, read out @ 1/2"),
        ),
    ),
    Form("nonexpansive in mean square", _tries("nonexpansive in mean square", "noisy decay @ 1", "noisy growth @ 1")),
    Form(
        "contractive(rate = r) in mean square",
        _tries("contractive(rate = 1/4) in mean square", "noisy decay @ 1", "noisy growth @ 1"),
    ),
    Form(
        "lipschitz <= L in mean square",
        _tries("lipschitz <= 3/2 in mean square", "noisy decay @ 1", "noisy growth @ 4"),
    ),
    Form(
        "stable",
        _tries(
            "stable",
            "gradient @ 2; gradient and decay @ 1; oscillator @ 1",
            "residual @ 2; oscillator @ 16; growth @ 2",
        ),
    ),
    Form(
        "invariant, box",
        _tries("invariant x in [-1, 1]", "leaky @ 2; decay @ 1", "loud leaky @ 2; growth @ 2")
        + _tries("invariant q in [-1, 1]", "damped @ 1", "oscillator @ 4"),
    ),
    Form(
        "invariant, ball",
        _tries("invariant norm(x) <= 1", "decay @ 1; skew @ 1", "residual @ 2; growth @ 2")
        + _tries("invariant norm(q) <= 1", "damped @ 1", "oscillator @ 4"),
    ),
    Form(
        "invariant, maximum principle",
        _tries("invariant x in [min(x(0)), max(x(0))]", "averaging @ 1; averaging @ 4", "mixing @ 1")
        + _tries("invariant q in [min(q(0)), max(q(0))]", "drift @ 1", "oscillator @ 4"),
    ),
    Form(
        "conserves, linear",
        _tries("conserves(sum(x))", "balanced @ 1; balanced and decay @ 1", "gradient @ 1; decay @ 1")
        + _tries("conserves(sum(p))", "drift @ 1", "oscillator @ 1"),
    ),
    Form(
        "conserves, quadratic",
        _tries("conserves(dot(x, x))", "skew @ 1", "decay @ 1")
        + _tries("conserves(dot(q, p))", "damped @ 1", "oscillator @ 1")
        + _tries("conserves(dot(p, p))", "drift @ 1", "damped @ 1"),
    ),
    Form(
        "conserves, neither",
        _tries("conserves(dot(p, p)/2 + sum(logcosh(W @ q)))", "potential @ 1", "potential @ 4")
        + _tries("conserves(sum(logcosh(p)))", "drift @ 1", "damped @ 1"),
    ),
    Form(
        "dissipates",
        _tries("dissipates(dot(x, x))", "no bias @ 2; decay @ 1", "residual @ 1; growth @ 1")
        + _tries("dissipates(dot(p, p))", "drift @ 1; damped @ 1", "oscillator @ 1"),
    ),
    Form("symplectic", _tries("symplectic", "potential @ 1; oscillator @ 1; drift @ 1", "damped @ 1")),
    Form(
        "invertible",
        _tries(
            "invertible",
            "gradient and decay @ 1; gradient @ 2; potential @ 1",
            "gradient @ 4; gradient @ 16; damped @ 16",
        ),
    ),
    Form("reversible", _tries("reversible", "potential @ 1; gradient @ 2; decay @ 1", "damped @ 8; residual @ 8")),
    Form(
        "order >= p",
        _tries("order >= {order}", "leaky @ 1", "potential @ 1")
        + _tries("order >= {next}", "leaky @ 1", "potential @ 1"),
    ),
)
"""The rows of the table. Whether a try is listed among the true ones decides nothing: only the order of work."""


def spec(design: Design, family: Family, solver: str, time: str, claim: str) -> str:
    """The text of a spec; a map is Euler's step of the field."""
    step = Fraction(time) / STEPS
    if family.kind == "flow" and "noise" in design.statements:
        solver = "euler_maruyama(steps = {steps})"  # the flow is the same with every solver that knows noise
    noisy = family.kind == "noise" and "noise" not in design.statements
    lines = ["model Cell", "dim d = 2", *(f"state {s}[d]" for s, _ in design.fields)]
    lines += [*design.statements.splitlines(), *(["noise w[d]"] if noisy else [])]
    for k, (state, field) in enumerate(design.fields):
        if family.kind == "map":
            lines.append(f"{state}+ = {state} + {step}*({field})")
        else:
            lines.append(f"{state}' = {field}{' + w/10' if noisy and k == 0 else ''}")
    lines += [f"solver {solver.format(steps=STEPS)}", *([] if family.kind == "map" else [f"time 0 .. {time}"])]
    claim = claim.format(order=family.order, next=family.order + 1)
    return "\n".join([*lines, f"claim {claim}{' of flow' if family.kind == 'flow' else ''}"]) + "\n"


def texts(form: Form, family: Family) -> list[str]:
    """The specs that are tried for a cell, in order."""
    return [
        spec(DESIGNS[name], family, solver, time, claim)
        for name, time, claim in form.tries
        for solver in family.solvers
        if _fits(DESIGNS[name], family, claim)
    ]


def _fits(design: Design, family: Family, claim: str) -> bool:
    if "noise" in design.statements and family.kind not in ("noise", "flow"):
        return False
    if (family.kind == "pair" and not design.paired) or ("order" in claim and not family.order):
        return False
    return not (family.kind == "flow" and " of output" in claim)
