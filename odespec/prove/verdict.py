"""What comes out of deciding a claim."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.ir.model import Claim, Model, Network, Spec
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.certificate.build import Draft
    from odespec.prove.refute.counterexample import Counterexample


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a claim without its ``not``.

    ``lower`` and ``upper`` enclose the worst case of the quantity that the claim bounds, as far as it is known: ``upper`` is
    certified, ``lower`` was attained by weights that the spec allows. Of ``gradient in`` both are certified, and enclose
    the factors on distances. ``reason`` says why a claim is unknown, or what was found. ``method`` names the engine.
    ``slack`` is positive where only a weaker bound was proved and accepted.
    """

    claim: Claim
    verdict: str
    reason: str
    method: str | None = None
    lower: float | None = None
    upper: float | None = None
    slack: Fraction = Fraction(0)
    certificate: Draft | None = None
    counterexample: Counterexample | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether this is what the spec asks for."""
        return self.verdict == ("refuted" if self.claim.negated else "proved")


SECONDS = 5.0
"""The search for a counterexample of one claim is cut after this time."""


@dataclass(frozen=True, slots=True)
class Options:
    """How hard to try. Work is budgeted by counts, so verdicts do not depend on the machine as far as time allows.

    ``seconds`` only cuts a search (and can only turn a verdict into unknown; None: never); ``slack`` is the relative weakening of a
    bound that still counts as proved. ``refute``: whether counterexamples are looked for; without, a claim that is not
    proved is unknown. ``attain``: whether a factor that is attained is looked for beside a proved bound on distances.
    ``quick``: distance claims are tried by one step in one problem only.
    """

    slack: Fraction = Fraction(0)
    seconds: float | None = SECONDS
    seed: int = 0
    refute: bool = True
    attain: bool = False
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One claim of one model, with everything an engine may need. ``deadline`` is on the monotonic clock, or None."""

    spec: Spec
    model: Model
    claim: Claim
    options: Options
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A section with the verdicts on its claims, in the order of the spec."""

    model: Model | Network
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        """Whether every claim came out as the spec asks."""
        return all(v.ok for v in self.verdicts)
