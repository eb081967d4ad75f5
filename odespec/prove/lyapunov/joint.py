"""A form that a step does not let grow, sought together with the multipliers that prove it.

``V = sum theta_k <p_a, p_b>`` over pairs of probes. With a fixed rate tau everything is linear in theta, in the
multipliers and in c:

=========  ==============================================================================================
role       what is proved
=========  ==============================================================================================
``step``   ``V(after a step) <= tau V(before)``
``flow``   ``sum theta_k (<p_a, p_b'> + <p_a', p_b>) / 2 <= tau V``: half the derivative of V by time
``below``  ``|e|^2 <= tau V``
``above``  ``V <= tau |e|^2`` at the start
=========  ==============================================================================================

so that ``|e|`` grows at most by ``sqrt(tau_below tau_above)`` times the rate to the power of the steps. This is the dual of
a performance estimation problem with an unknown Lyapunov function (Taylor, Van Scoy & Lessard, "Lyapunov functions for
first-order methods", ICML 2018; Upadhyaya, Banert, Taylor & Giselsson, "Automated tight Lyapunov analysis", 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from odespec.prove.gram.exact import DEPTH, arranged, candidates, verify
from odespec.prove.gram.expand import Terms, inner
from odespec.prove.gram.pencil import CONSTANT, Affine, Layout, Pencil, add_to, assemble, lay_out
from odespec.prove.gram.problem import Vector
from odespec.prove.lyapunov.probes import Pair
from odespec.prove.lyapunov.reading import Lifted
from odespec.records import dataclass

PROGRAMS = 40
ONE, HALF = Fraction(1), Fraction(1, 2)

Coefficients = tuple[Fraction, ...]
"""The theta of each pair."""

Multipliers = tuple[tuple[tuple[Fraction, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A role of what was read, with its tau; None: tau is unknown (of ``above`` only)."""

    lifted: Lifted
    tau: Fraction | None


@dataclass(frozen=True, slots=True)
class PartProof:
    """A role proved with tau and multipliers (as in `odespec.prove.gram.exact.Proof`)."""

    lifted: Lifted
    tau: Fraction
    multipliers: Multipliers


@dataclass(frozen=True, slots=True)
class FormProof:
    """The form and the proofs of all roles asked for."""

    theta: Coefficients
    parts: tuple[PartProof, ...]


@dataclass(frozen=True, slots=True)
class Joint:
    """``fixed``: the coefficients where the form is given, else None. The unknowns are theta, c, then multipliers."""

    pairs: tuple[Pair, ...]
    asked: tuple[Asked, ...]
    fixed: Coefficients | None

    @property
    def bound(self) -> int:
        """The number of the unknown c."""
        return len(self.pairs)

    def layouts(self) -> list[Layout]:
        result, count = [], self.bound + 1
        for a in self.asked:
            result.append(lay_out(a.lifted.relations, count))
            count = result[-1].count
        return result

    def pencil(self, plans: Sequence[Layout]) -> Pencil:
        parts = [assemble(a.lifted.basis, self._terms(a), plan) for a, plan in zip(self.asked, plans, strict=True)]
        whole = Pencil([], [], {})
        for part in parts:
            whole.blocks += part.blocks
            whole.kept += part.kept
            whole.solved.update(part.solved)
        return whole

    def prove(self, programs: int = PROGRAMS, depth: int = DEPTH) -> FormProof | None:
        """Exact coefficients and multipliers, or None where none were found.

        With ``depth`` 0 no null spaces are guessed: only what holds with room is found.
        """
        plans = self.layouts()
        pencil = self.pencil(plans)
        count = plans[-1].count
        for reduced, chosen in candidates(self.pencil(plans), [programs], depth):
            values = reduced.values(chosen, count)
            if verify(pencil, values):
                return self._proof(values, plans)
        return None

    def _proof(self, values: list[Fraction], plans: Sequence[Layout]) -> FormProof:
        theta = self.fixed or tuple(values[: len(self.pairs)])
        parts = [
            PartProof(a.lifted, values[self.bound] if a.tau is None else a.tau, _scaled(a, arranged(plan, values)))
            for a, plan in zip(self.asked, plans, strict=True)
        ]
        return FormProof(theta, tuple(parts))

    # --- forms ---------------------------------------------------------------------

    def _terms(self, asked: Asked) -> dict[tuple[int, int], Affine]:
        """The slack of a role without its relations."""
        x, tau = asked.lifted, asked.tau
        terms: dict[tuple[int, int], Affine] = {}
        if x.role == "step":
            self._add(terms, x.before, x.before, tau)
            self._add(terms, x.after, x.after, -ONE)
        elif x.role == "flow":
            self._add(terms, x.before, x.before, tau)
            self._add(terms, x.before, x.after, -HALF)
            self._add(terms, x.after, x.before, -HALF)
        elif x.role == "below":
            assert tau is not None, "only the tau of `above` may be unknown"
            self._add(terms, x.before, x.before, ONE)  # all by 1/tau: numbers of one size
            _square(terms, x.distance, CONSTANT, -1 / tau)
        else:
            _square(terms, x.distance, self.bound if tau is None else CONSTANT, ONE if tau is None else tau)
            self._add(terms, x.before, x.before, -ONE)
        return terms

    def _add(
        self,
        terms: dict[tuple[int, int], Affine],
        left: tuple[Vector, ...],
        right: tuple[Vector, ...],
        c: Fraction | None,
    ) -> None:
        """``c sum theta_k <left_a, right_b>``."""
        assert c is not None, "only the tau of `above` may be unknown"
        for k, (a, b) in enumerate(self.pairs):
            key, scale = (k, c) if self.fixed is None else (CONSTANT, c * self.fixed[k])
            _spread(terms, inner(left[a], right[b]), key, scale)


def _scaled(asked: Asked, multipliers: Multipliers) -> Multipliers:
    """Those of the identity as a certificate states it."""
    if asked.lifted.role != "below" or asked.tau is None:
        return multipliers
    return tuple(tuple(tuple(asked.tau * x for x in m) for m in group) for group in multipliers)


def _square(terms: dict[tuple[int, int], Affine], vectors: tuple[Vector, ...], key: int, scale: Fraction) -> None:
    for v in vectors:
        _spread(terms, inner(v, v), key, scale)


def _spread(terms: dict[tuple[int, int], Affine], form: Terms, key: int, scale: Fraction) -> None:
    for pair, c in form.items():
        if c and scale:
            add_to(terms.setdefault(pair, {}), key, scale * c)
