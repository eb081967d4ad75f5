"""How each parameter is kept within its structure and constraints: stored tensors, and steps from them to the weight.

Every plan is onto the closed set that the spec allows and leaves its members as they are: loading a weight stores its
preimage under the steps (the inverses below) and computing the weight again gives it back up to rounding.
A back end prints each step as one call. ``v`` is the tensor so far; all act on the last axes, under any batch axes.

=============  =============  ====================================================  ================================
step           numbers        weight                                                stored for a given weight w
=============  =============  ====================================================  ================================
``skew``                      ``(v - v.T) / 2``                                     w
``symmetric``                 ``(v + v.T) / 2``                                     w
``outer``                     ``v @ v.T``                                           symmetric square root of w
``diagonal``                  the matrix with diagonal v                            the diagonal of w
``rotation``                  m >= n: ``expm(clip(skew(generator))) @ factor``,     generator 0, factor w
                              else ``factor @ expm(…)``; ``clip`` scales its
                              argument to Frobenius norm <= pi sqrt(size): onto
                              SO(size), and exact for huge generators too
``polar``      a, b           like ``rotation`` with a symmetric matrix p, eig(p)   polar factors of w
                              in [a, b], on its short side: ``q @ p``, ``p @ q``
``simplex``                   each row (last axis) projected onto the simplex       w
``fold``       a, b           each entry reflected into [a, b] (None: no bound):    w
                              identity inside, slope -1 or 1 outside, so that no
                              gradient dies as with a clamp
``fixed``      c              every entry c                                         w
``centre``     c              ``v`` with its sums over ``axes`` moved to c          w
``spectral``   c              ``v * min(1, c / largest singular value)``            w
``rows``       c              the same with the largest sum of a row (norm inf)     w
``columns``    c              the same with the largest sum of a column (norm 1)    w
``euclid``     c              the same with the Euclidean norm of all entries       w
``absolute``   c              the same with the sum of all absolute values          w
``conv``       c              the same with the norm of the circular convolution    w
``eigenvalues``  a, b         symmetric v: ``(a + b) / 2 * I`` plus v scaled to a   ``w - (a + b) / 2 * I``
                              largest singular value of at most (b - a) / 2
``parts``      a, b           the symmetric part scaled until norm(v + v.T) <= a,    w
                              the skew one until norm(v - v.T) <= b (None: free)
``shift``      s, c           ``s * v + c * I`` with s = 1 or -1                    ``s * (w - c * I)``
=============  =============  ====================================================  ================================
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.exact import Real
from odespec.ir.expr import Convolution, Shape
from odespec.ir.model import Model, Network, Param, Relation
from odespec.program.limits import Limit, Limits, least, most, read_limits
from odespec.records import dataclass
from odespec.source import Span

NORM_STEPS = ("spectral", "rows", "columns", "euclid", "absolute", "conv")


@dataclass(frozen=True, slots=True)
class Raw:
    """A stored tensor: ``value``, ``generator`` or ``factor``. The shape is that of one copy."""

    role: str
    shape: Shape
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the table above. ``axes``: of ``centre``; ``convolution``: of ``conv``."""

    op: str
    numbers: tuple[Real | None, ...] = ()
    axes: tuple[int, ...] = ()
    convolution: Convolution | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What `load_weights` verifies: a structure, or a limit; ``text`` names it as the spec does."""

    text: str
    quantity: str
    lower: Real | None = None
    upper: Real | None = None
    axes: tuple[int, ...] = ()
    convolution: Convolution | None = None


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The plan of one parameter; ``param.per_step`` adds a leading axis to every stored tensor and to the weight."""

    param: Param
    raw: tuple[Raw, ...]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Unenforced:
    """A constraint or structure that no parametrisation enforces; ``what`` completes "cannot enforce …"."""

    span: Span
    what: str


@dataclass(frozen=True, slots=True)
class _Built:
    raw: tuple[Raw, ...]
    steps: tuple[Step, ...]
    failed: tuple[Limit, ...] = ()


def plan(model: Model | Network) -> tuple[Enforcement, ...]:
    """One plan for each parameter, in the order of declaration; what `unenforced` names is left out of the steps."""
    limits, _ = read_limits(model.constraints)
    return tuple(
        Enforcement(p, built.raw, built.steps, _checks(p, own))
        for p in model.params
        for own in (limits.get(p.name, Limits()),)
        for built in (_build(p, own),)
    )


def unenforced(model: Model | Network) -> tuple[Unenforced, ...]:
    """Every constraint and structure that `plan` cannot hold. Nothing may be emitted unless this is empty."""
    limits, unread = read_limits(model.constraints)
    found = [Unenforced(r.span, f"`{_text(r)}`: {why}") for r, why in unread]
    for p in model.params:
        if p.structure == "doubly_stochastic":
            found.append(Unenforced(p.span, f"the structure doubly_stochastic of `{p.name}`"))
            continue
        own = limits.get(p.name, Limits())
        built = _build(p, own)
        failed = built.failed or (own.all if any(_empty(step) for step in built.steps) else ())
        found += [Unenforced(f.relation.span, _reason(p, f, own)) for f in failed]
    return tuple(found)


def _empty(step: Step) -> bool:
    """Whether nothing obeys the numbers of a step."""
    if step.op in (*NORM_STEPS, "parts"):
        return any(n is not None and n < 0 for n in step.numbers)
    lower, upper = step.numbers if len(step.numbers) == 2 and step.op != "shift" else (None, None)
    return lower is not None and upper is not None and lower > upper


def _reason(param: Param, limit: Limit, own: Limits) -> str:
    kind = f"a {param.structure} parameter" if param.structure else "a parameter"
    together = " together with its other constraints" if len(own.all) > 1 else ""
    return f"`{_text(limit.relation)}` on {kind}{together}"


def _text(relation: Relation) -> str:
    return " ".join(relation.span.text.split()).removeprefix("constraint ")


def _checks(param: Param, own: Limits) -> tuple[Check, ...]:
    structure = (Check(f"{param.name} : {param.structure}", param.structure),) if param.structure else ()
    return structure + tuple(
        Check(_text(x.relation), x.quantity, x.lower, x.upper, x.axes, x.convolution) for x in own.all
    )


# --- one rule for each structure -----------------------------------------------


def _build(param: Param, own: Limits) -> _Built:
    """The plan by the rule of its structure. A limit that the rule does not speak of has failed."""
    if param.structure not in RULES:
        return _Built(_value(param), (), own.all)
    rule, quantities = RULES[param.structure]
    strange = tuple(x for x in own.all if x.quantity not in quantities)
    built = rule(param, Limits(tuple(x for x in own.all if x.quantity in quantities)))
    return _Built(built.raw, built.steps, built.failed + strange)


def _value(param: Param) -> tuple[Raw, ...]:
    return (Raw("value", param.shape),)


def _general(param: Param, own: Limits) -> _Built:
    """Entries, then linear equations, then norms; each keeps what the ones before it made."""
    if own.of("sigma"):
        return _polar(param, own)
    if own.of("symmetric_part") or own.of("skew_part"):
        return _parts(param, own)
    steps, sums = list(_entries(own)), own.of("sum")
    failed = sums if steps or len(sums) > 1 else ()
    if not failed:
        steps += [Step("centre", (s.lower,), s.axes) for s in sums]
    if _keeps_scaling(own) and all(s.lower == 0 for s in sums):
        return _Built(_value(param), (*steps, *_norms(own)), failed)
    return _Built(_value(param), tuple(steps), failed + own.norms)


def _keeps_scaling(own: Limits) -> bool:
    """Whether every tensor within the entry bounds stays so when it is scaled down: zero lies between them."""
    lower, upper = own.interval("entries")
    return (lower is None or lower <= 0) and (upper is None or upper >= 0)


def _entries(own: Limits) -> tuple[Step, ...]:
    return _fold(*own.interval("entries"))


def _fold(lower: Real | None, upper: Real | None) -> tuple[Step, ...]:
    if lower is None and upper is None:
        return ()
    return (Step("fixed", (lower,)),) if lower == upper else (Step("fold", (lower, upper)),)


def _norms(own: Limits, spectral: Real | None = None) -> tuple[Step, ...]:
    """Scaling steps: each shrinks the tensor, so none undoes the others. ``spectral``: a further bound of that norm."""
    bounds: dict[str, Real] = {} if spectral is None else {"spectral": spectral}
    steps = []
    for limit in own.norms:
        assert limit.upper is not None
        if limit.quantity == "conv":
            steps.append(_scale("conv", limit.upper, limit.convolution))
        else:
            before = bounds.get(limit.quantity, limit.upper)
            bounds[limit.quantity] = before if before <= limit.upper else limit.upper
    return (*(_scale(op, c) for op, c in bounds.items()), *steps)


def _scale(op: str, bound: Real, convolution: Convolution | None = None) -> Step:
    return Step("fixed", (bound,)) if bound == 0 else Step(op, (bound,), (), convolution)


def _polar(param: Param, own: Limits) -> _Built:
    """Singular values in [a, b], a > 0: an orthogonal factor by a symmetric one with its eigenvalues in [a, b]."""
    lower, upper = own.interval("sigma")
    rest = tuple(x for x in own.all if x.quantity not in ("sigma", "spectral"))
    for limit in own.of("spectral"):
        upper = least(upper, limit.upper)
    long, short = max(param.shape), min(param.shape)
    raw = (Raw("value", (short, short)), Raw("generator", (long, long)), Raw("factor", param.shape, False))
    return _Built(raw, (Step("polar", (lower, upper)),), rest)


def _parts(param: Param, own: Limits) -> _Built:
    """The symmetric and the skew part of a matrix are free of each other."""
    bounds = (own.interval("symmetric_part")[1], own.interval("skew_part")[1])
    rest = tuple(x for x in own.all if x.quantity not in ("symmetric_part", "skew_part"))
    return _Built(_value(param), (Step("parts", bounds),), rest)


def _skew(param: Param, own: Limits) -> _Built:
    lower, upper = own.interval("entries")
    sides = [side for side in (upper, None if lower is None else -1 * lower) if side is not None]
    fold = _fold(-1 * min(sides), min(sides)) if sides else ()
    return _Built(_value(param), (Step("skew"), *fold, *_norms(own)))


def _symmetric(param: Param, own: Limits) -> _Built:
    """Eigenvalues in [a, b]: from zero on an outer product, else the middle plus a matrix of norm (b - a) / 2."""
    lower, upper = own.interval("eig")
    if param.structure == "psd":
        lower = most(lower, Fraction(0))
    if lower == 0:
        return _cone(param, own, Step("outer"), upper)
    if lower is None and upper is None:
        return _cone(param, own, Step("symmetric"), None)
    for bound in (x.upper for x in own.of("spectral") if x.upper is not None):
        lower, upper = most(lower, -1 * bound), least(upper, bound)
    if lower is not None and upper is not None and lower == -1 * upper:
        return _cone(param, own, Step("symmetric"), upper)
    others = tuple(x for x in own.norms if x.quantity != "spectral") + own.of("entries")
    return _Built(_value(param), _between(lower, upper), others)


def _between(lower: Real | None, upper: Real | None) -> tuple[Step, ...]:
    if lower is not None and upper is not None:
        return (Step("symmetric"), Step("eigenvalues", (lower, upper)))
    sign = 1 if upper is None else -1
    return (Step("outer"), Step("shift", (Fraction(sign), upper if lower is None else lower)))


def _cone(param: Param, own: Limits, base: Step, cap: Real | None) -> _Built:
    """A set that scaling down keeps; entry bounds only where folding keeps the structure."""
    if base.op == "symmetric" and _keeps_scaling(own):
        return _Built(_value(param), (base, *_entries(own), *_norms(own, cap)))
    if base.op == "symmetric" and not own.norms and cap is None:
        return _Built(_value(param), (base, *_entries(own)))
    return _Built(_value(param), (base, *_norms(own, cap)), own.of("entries"))


def _diagonal(param: Param, own: Limits) -> _Built:
    """All operator norms of a diagonal matrix are its largest entry, and its entries are its eigenvalues."""
    lower, upper = own.interval("entries")
    failed = () if _keeps_scaling(own) or param.shape == (1, 1) else own.of("entries")
    for low, high in (own.interval("eig"), *((-1 * x.upper, x.upper) for x in own.norms if x.upper is not None)):
        lower, upper = most(lower, low), least(upper, high)
    raw = (Raw("value", param.shape[:1]),)
    return _Built(raw, (*_fold(lower, upper), Step("diagonal")), failed)


def _orthogonal(param: Param, own: Limits) -> _Built:
    """Only what every orthogonal matrix obeys can be asked beside it: rows and columns have length at most one."""
    m, n = param.shape
    squares = {"spectral": 1, "rows": n, "columns": m}
    failed = tuple(x for x in own.all if not _holds(x, squares, (-1, 1)))
    raw = (Raw("generator", (max(m, n),) * 2), Raw("factor", param.shape, False))
    return _Built(raw, (Step("rotation"),), failed)


def _stochastic(param: Param, own: Limits) -> _Built:
    rows = param.shape[0]
    squares = {"spectral": rows, "rows": 1, "columns": rows * rows}
    return _Built(_value(param), (Step("simplex"),), tuple(x for x in own.all if not _holds(x, squares, (0, 1))))


def _holds(limit: Limit, squares: dict[str, int], entries: tuple[int, int]) -> bool:
    """Whether a limit is implied by squared bounds of the norms and by the range of the entries."""
    lower, upper = limit.lower, limit.upper
    if limit.quantity in squares and upper is not None:
        return upper >= 0 and upper * upper >= squares[limit.quantity]
    if limit.quantity == "entries":
        return (lower is None or lower <= entries[0]) and (upper is None or upper >= entries[1])
    if limit.quantity == "sigma" and entries == (-1, 1):
        return (lower is None or lower <= 1) and (upper is None or upper >= 1)
    return False


_NORMED = frozenset({"entries", *NORM_STEPS})
RULES: dict[str | None, tuple[Callable[[Param, Limits], _Built], frozenset[str]]] = {
    None: (_general, _NORMED | {"sum", "sigma", "skew_part", "symmetric_part"}),
    "skew": (_skew, _NORMED),
    "symmetric": (_symmetric, _NORMED | {"eig"}),
    "psd": (_symmetric, _NORMED | {"eig"}),
    "diagonal": (_diagonal, _NORMED | {"eig"}),
    "orthogonal": (_orthogonal, _NORMED | {"sigma"}),
    "stochastic": (_stochastic, _NORMED),
}
"""For each structure its rule, and the quantities that the rule speaks of."""
