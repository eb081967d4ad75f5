"""``steps = auto``: the fewest steps with which every claim of a model comes out as the spec asks."""

from __future__ import annotations

from dataclasses import replace

from odespec.ir.model import Model, Section, Spec
from odespec.prove.verdict import Options


def settled(spec: Spec, options: Options | None = None) -> Spec:
    """The spec with a number of steps in every model that left it open.

    Where no number that was tried proves every claim, the model keeps ``auto``, and its claims are undecided.
    """
    if not any(is_open(s) for s in spec.sections):
        return spec
    sections = tuple(_settled(spec, s, options or Options()) for s in spec.sections)
    return replace(spec, sections=sections)


def is_open(section: Section) -> bool:
    """Whether the compiler is to choose the steps."""
    return isinstance(section, Model) and section.solver.steps == "auto"


def _settled(spec: Spec, section: Section, options: Options) -> Section:
    from odespec.prove.decide import decide
    from odespec.prove.remedy import divisor, fewest, with_steps

    if not isinstance(section, Model) or not is_open(section):
        return section
    unit = divisor(section)

    def holds(count: int) -> bool:
        model = with_steps(section, count * unit)
        return all(decide(spec, model, claim, _quick(claim.negated, options)).ok for claim in model.claims)

    count = 1 if holds(1) else fewest(holds, 1)
    return section if count is None else with_steps(section, count * unit)


def _quick(negated: bool, options: Options) -> Options:
    """Counterexamples are looked for only where the spec asks for one."""
    return replace(options, refute=negated)
