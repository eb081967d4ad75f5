"""The registry of claims: what each asks, and how it is written."""

from __future__ import annotations

from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class ClaimKind:
    """One kind of claim.

    ``asks`` completes "the claim holds when …". ``operator`` is what must follow the name (``<=``, ``>=``, ``in``),
    None where nothing may. ``args``: how many expressions stand in its parentheses. ``needed``: the keywords that must
    be given. ``subjects``: besides the discrete map (``flow``, ``output``). ``norms``: empty where it is about no
    distance.
    """

    name: str
    signature: str
    asks: str
    doc: str
    keywords: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    operator: str | None = None
    args: int = 0
    subjects: tuple[str, ...] = ("flow",)
    norms: tuple[int | str, ...] = ()
    mean_square: bool = False
    networks: bool = False


NORMS: tuple[int | str, ...] = (2, 1, "inf")
DISTANCE = ("flow", "output")

CLAIMS: dict[str, ClaimKind] = {}


def register(kind: ClaimKind) -> ClaimKind:
    """Make a claim known under its name. Raises ValueError where the name is taken."""
    if kind.name in CLAIMS:
        raise ValueError(f"there is already a claim `{kind.name}`")
    CLAIMS[kind.name] = kind
    return kind


register(ClaimKind(
    "nonexpansive", "nonexpansive(norm = 2, metric = P)", "any two initial states end no farther apart than they began",
    "In the 2-norm, or in `norm = 1` or `norm = inf`; with `metric = P` in the norm of a positive definite matrix; "
    "with `metric = some` there is an inner product, which may depend on the weights, in which it holds.",
    ("norm", "metric"), subjects=DISTANCE, norms=NORMS, mean_square=True, networks=True,
))  # fmt: skip
register(ClaimKind(
    "contractive", "contractive(rate = r)", "distances shrink by exp(-r T) or more over the whole time of length T",
    "For a discrete map T is the number of steps.",
    ("rate", "norm", "metric"), ("rate",), subjects=DISTANCE, norms=NORMS, mean_square=True,
))  # fmt: skip
register(ClaimKind(
    "lipschitz", "lipschitz(norm = 2, by = u) <= L", "distances grow L-fold at most",
    "`by = u` asks it of an input in place of the initial states (of a `per step` input: the whole sequence).",
    ("norm", "by", "metric"), operator="<=", subjects=DISTANCE, norms=NORMS, mean_square=True, networks=True,
))  # fmt: skip
register(ClaimKind(
    "gradient", "gradient in [a, b]", "distances grow b-fold at most and shrink to a-fold at least",
    "For a smooth map: every singular value of its derivative lies in [a, b].",
    ("norm",), operator="in", subjects=DISTANCE, norms=NORMS, networks=True,
))  # fmt: skip
register(ClaimKind(
    "stable", "stable", "every frozen linearised step has its eigenvalues where the method allows them",
    "The eigenvalue test of the literature. It does not imply `nonexpansive`.",
))  # fmt: skip
register(ClaimKind(
    "invariant", "invariant R", "a relation on the states, true at the start, is true after every step",
    "Its bounds may be expressions, and may name the start: `invariant x in [min(x(0)), max(x(0))]`.",
))  # fmt: skip
register(ClaimKind(
    "conserves", "conserves(V)", "the scalar V of the states is the same after every step", "", args=1,
))  # fmt: skip
register(ClaimKind(
    "dissipates", "dissipates(V)", "the scalar V of the states never grows from step to step", "", args=1,
))  # fmt: skip
register(ClaimKind(
    "symplectic", "symplectic", "the map preserves the canonical two-form of position and momentum", "",
))  # fmt: skip
register(ClaimKind("invertible", "invertible", "the map is a bijection", ""))
register(ClaimKind(
    "reversible", "reversible", "the map has a closed-form inverse, which the emitted code offers", "", subjects=(),
))  # fmt: skip
register(ClaimKind(
    "order", "order >= p", "the method converges with order p for every smooth field of this form",
    "With this splitting and start-up.", operator=">=", subjects=(),
))  # fmt: skip
