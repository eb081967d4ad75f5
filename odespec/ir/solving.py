"""The solver and the time of a model."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec import exact
from odespec.diagnostics import Note
from odespec.diagnostics.suggest import nearest
from odespec.exact import Irrational, Real
from odespec.ir.calls import unknown_keyword
from odespec.ir.context import Context, quoted
from odespec.ir.declare import Draft
from odespec.ir.infer import infer_sized
from odespec.ir.misplaced import check_kinds
from odespec.ir.model import Solver, Time
from odespec.ir.numbers import Constant, array_shape, show
from odespec.ir.values import Value
from odespec.solvers import SOLVERS, Method
from odespec.syntax import tree

MAX_STEPS = 10**7
MAX_STAGES = 32

Options = dict[str, object]
Tableau = tuple[tuple[tuple[Real, ...], ...], tuple[Real, ...]]


def solver(draft: Draft) -> tuple[Solver, Method] | None:
    """The one solver of a model; None where a mistake was reported."""
    context, lines = draft.context, draft.of(tree.SolverDecl)
    if not lines:
        context.error("ODE405", draft.section.name_span, name=draft.section.name, what="solver")
        return None
    _once(context, lines, "solver")
    line = lines[0]
    assert isinstance(line, tree.SolverDecl)
    method = SOLVERS.get(line.name)
    if method is None:
        close = nearest(line.name, SOLVERS)
        advice = f"did you mean `{close}`?" if close else "`odespec solvers` lists them all"
        context.error("ODE401", line.name_span, suggestion=advice, name=line.name)
        return None
    options = _options(line, method, draft)
    if options is None:
        return None
    return _built(line, method, options, context)


def _once(context: Context, lines: list[tree.Statement], what: str) -> None:
    for extra in lines[1:]:
        context.error("ODE222", extra.span, notes=(Note("the first one is here", lines[0].span),), what=what)


def _options(line: tree.SolverDecl, method: Method, draft: Draft) -> Options | None:
    """The values of the keywords; None where a mistake was reported."""
    context, options, good = draft.context, {}, True
    for extra in line.args:
        context.error("ODE403", extra.span, name=quoted(extra), why="a solver takes keywords only, `steps = 32`")
        good = False
    for keyword in line.keywords:
        if keyword.name not in method.keywords:
            unknown_keyword(context, keyword, method.name, method.keywords)
            good = False
            continue
        value = _READERS.get(keyword.name, _positive)(keyword, draft)
        good &= value is not None
        options[keyword.name] = value
    return options if good else None


def _built(line: tree.SolverDecl, method: Method, options: Options, context: Context) -> tuple[Solver, Method] | None:
    """The solver from its options: the steps that it needs, and the user's own tableau."""
    steps = options.pop("steps", None)
    if steps is None and method.family != "adaptive":
        context.error("ODE404", line.span, name=method.name)
        return None
    own = None
    if method.family == "custom":
        own = _tableau(line, options, context)
        if own is None:
            return None
    if method.family == "adaptive" and steps is not None and options:
        span = next(k.name_span for k in line.keywords if k.name != "steps")
        context.error("ODE403", span, name=next(iter(options)), why="has no meaning at a fixed step (`steps` is given)")
        return None
    assert steps is None or isinstance(steps, (int, str))
    return Solver(method.name, steps, tuple(options.items()), line.span, own), method


def _tableau(line: tree.SolverDecl, options: Options, context: Context) -> Tableau | None:
    """``A`` and ``b`` of ``solver tableau(…)``, checked for their sizes."""
    A, b = options.pop("A", None), options.pop("b", None)
    for name, value in (("A", A), ("b", b)):
        if value is None:
            context.error("ODE411", line.span, why=f"`{name}` is missing")
            return None
    stages = array_shape(b)  # type: ignore[arg-type]
    shape = array_shape(A)  # type: ignore[arg-type]
    span = next(k.value.span for k in line.keywords if k.name == "A")
    if len(stages) != 1:
        span = next(k.value.span for k in line.keywords if k.name == "b")
        context.error("ODE411", span, why="`b` is a list of numbers, one for each stage")
    elif shape != stages * 2:
        context.error(
            "ODE411", span, why=f"`b` has {stages[0]} stages, so `A` is {list(stages * 2)}, not {list(shape)}"
        )
    elif stages[0] > MAX_STAGES:
        context.error("ODE411", span, why=f"it has {stages[0]} stages, more than {MAX_STAGES}")
    else:
        return A, b  # type: ignore[return-value]
    return None


def _bad(keyword: tree.Keyword, draft: Draft, why: str) -> None:
    draft.context.error("ODE403", keyword.value.span, name=keyword.name, why=why)


# --- keywords --------------------------------------------------------------------


def _whole(keyword: tree.Keyword, draft: Draft) -> int | None:
    value = draft.context.number(keyword.value)
    if value is None:
        return None
    if not isinstance(value, Fraction) or value.denominator != 1 or not 1 <= value <= MAX_STEPS:
        _bad(keyword, draft, f"is {show(value)}, not a whole number from 1 to {MAX_STEPS:,}")
        return None
    return int(value)


def _steps(keyword: tree.Keyword, draft: Draft) -> int | str | None:
    if isinstance(keyword.value, tree.Name) and keyword.value.name == "auto" and not keyword.value.primes:
        return "auto"
    return _whole(keyword, draft)


def _positive(keyword: tree.Keyword, draft: Draft) -> Real | None:
    value = draft.context.number(keyword.value)
    if not isinstance(value, (Fraction, Irrational)):
        return None
    if not positive_length(Fraction(0), value):
        _bad(keyword, draft, f"is {show(value)}, not positive")
        return None
    return value


def _start(keyword: tree.Keyword, draft: Draft) -> str | None:
    """A one-step method of fixed step."""
    known = [m.name for m in SOLVERS.values() if m.family in ("explicit", "implicit")]
    name = keyword.value.name if isinstance(keyword.value, tree.Name) else quoted(keyword.value)
    if name in known:
        return name
    if name in SOLVERS:
        _bad(keyword, draft, f"is `{name}`, which is no one-step method of fixed step")
        return None
    close = nearest(name, known)
    advice = f"did you mean `{close}`?" if close else None
    draft.context.error("ODE401", keyword.value.span, suggestion=advice, name=name)
    return None


def _linear(keyword: tree.Keyword, draft: Draft) -> object | None:
    """The terms that are taken implicitly or exponentially."""
    value = infer_sized(keyword.value, draft.context)
    allowed = frozenset({"state", "param", "input", "time", "graph"})
    value = check_kinds(keyword.value, value, allowed, "`linear`", draft)
    if not isinstance(value, Value):
        return None
    shapes = {v.shape for n in draft.states if isinstance(v := draft.context.values.get(n), Value)}
    if "state" not in value.kinds or value.shape not in shapes:
        _bad(keyword, draft, "names no terms of a state's equation")
        return None
    return value.expr


def _constant(keyword: tree.Keyword, draft: Draft) -> Constant | None:
    return draft.context.constant(keyword.value)


_READERS: dict[str, Callable[[tree.Keyword, Draft], object | None]] = {
    "steps": _steps,
    "max_steps": _whole,
    "rtol": _positive,
    "atol": _positive,
    "start": _start,
    "linear": _linear,
    "A": _constant,
    "b": _constant,
}


# --- time ------------------------------------------------------------------------


def time(draft: Draft, discrete: bool, method: Method | None) -> Time | None:
    """The interval of integration; None for a discrete map, or where a mistake was reported."""
    context, lines = draft.context, draft.of(tree.TimeDecl)
    if discrete:
        for line in lines if method is None or method.family == "map" else ():
            context.error("ODE410", line.span, why="a discrete map has no `time`: its steps are counted")
        return None
    if not lines:
        context.error("ODE405", draft.section.name_span, name=draft.section.name, what="time")
        return None
    _once(context, lines, "time")
    line = lines[0]
    assert isinstance(line, tree.TimeDecl)
    start, end = (context.number(side) for side in (line.start, line.end))
    save = _save(line, context) if line.save is not None else None
    if not isinstance(start, (Fraction, Irrational)) or not isinstance(end, (Fraction, Irrational)):
        return None
    if not positive_length(start, end):
        context.error("ODE412", line.span, start=show(start), end=show(end))
        return None
    return None if line.save is not None and save is None else Time(start, end, save, line.span)


def positive_length(start: Real, end: Real) -> bool:
    """Whether ``end - start`` is positive for certain."""
    try:
        return exact.sign(end - start) > 0
    except exact.Undecided:
        return False


def _save(line: tree.TimeDecl, context: Context) -> int | None:
    assert line.save is not None
    value = context.number(line.save)
    if value is None:
        return None
    if not isinstance(value, Fraction) or value.denominator != 1 or not 2 <= value <= MAX_STEPS:
        context.error("ODE413", line.save.span, why=f"{show(value)} is not a whole number from 2 on")
        return None
    return int(value)
