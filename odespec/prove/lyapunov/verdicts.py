"""The verdict ``proved`` on growth by a form, with its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from odespec.certificate.lyapunov import Form, build
from odespec.program.step import StepProgram
from odespec.prove.gram.exact import Proof
from odespec.prove.gram.solve import finite
from odespec.prove.gram.threshold import Target
from odespec.prove.lyapunov.joint import FormProof
from odespec.prove.lyapunov.probes import base_names
from odespec.prove.lyapunov.settings import Setting
from odespec.prove.relate.relations import NoRelation, solvability_problem
from odespec.prove.relate.words import atom_text
from odespec.prove.sides import Horizon
from odespec.prove.verdict import Task, Verdict


def certified(
    task: Task,
    program: StepProgram,
    target: Target,
    horizon: Horizon,
    setting: Setting,
    proof: FormProof,
    *,
    coordinates: bool,
) -> Verdict | None:
    """None where an implicit step is not shown to be solvable, or the auditor does not accept the certificate.

    ``program`` is that of the model, also where the setting has its entries.
    """
    solvability = () if horizon.flow else solvable(program)
    if solvability is None:
        return None
    form = _form(setting, proof.theta, coordinates)
    try:
        draft = build(
            task.spec,
            task.model,
            task.claim,
            target,
            form,
            proof.parts,
            steps=horizon.steps,
            time=horizon.length,
            implicit=bool(solvability),
            solvability=solvability,
        )
    except ValueError:  # an irrational time that cannot be written down
        return None
    if not draft.accepted():
        return None
    upper = factor(proof, horizon, metric=task.claim.metric is not None)
    words = sentence(form, proof, horizon, metric=task.claim.metric is not None)
    return Verdict(task.claim, "proved", words, "lyapunov", upper=upper, slack=task.options.slack, certificate=draft)


def solvable(program: StepProgram) -> tuple[Proof, ...] | None:
    """Proofs that the equations of a step have one solution (none for an explicit one), None where none was found."""
    try:
        problem = solvability_problem(program)
    except NoRelation:
        return None
    proof = None if problem is None else finite(problem)
    return () if problem is None else None if proof is None else (proof,)


def _form(setting: Setting, theta: Sequence[Fraction], coordinates: bool) -> Form:
    names = probe_names(setting)
    terms = tuple((names[a], names[b], c) for (a, b), c in zip(setting.pairs, theta, strict=True) if c)
    return Form(names, terms, lift_names(setting), coordinates)


def probe_names(setting: Setting) -> tuple[str, ...]:
    """The names of the probes, made distinct by numbers."""
    bases = base_names([s.name for s in setting.program.model.states], setting.lift)
    found: list[str] = []
    for probe in setting.probes:
        name, k = probe.name(bases), 2
        while name in found:
            name, k = f"{probe.name(bases)} ({k})", k + 1
        found.append(name)
    return tuple(found)


def lift_names(setting: Setting) -> tuple[str, ...]:
    return tuple("-" if a is None else atom_text(a) for a in setting.lift)


def factor(proof: FormProof, horizon: Horizon, *, metric: bool) -> float:
    """The factor on distances over the whole horizon, rounded upward."""
    taus = {p.lifted.role: float(p.tau) for p in proof.parts}
    changes = replace(horizon, steps=horizon.steps // _span(proof))
    whole = changes.growth(taus["flow" if horizon.flow else "step"])
    constant = 1.0 if metric else (taus["below"] * taus["above"]) ** 0.5
    return whole * constant * (1 + 1e-12)


def _span(proof: FormProof) -> int:
    return max(p.lifted.span for p in proof.parts)


def sentence(form: Form, proof: FormProof, horizon: Horizon, *, metric: bool) -> str:
    taus = {p.lifted.role: p.tau for p in proof.parts}
    shown = " + ".join(f"{float(c):.6g} <{a}, {b}>" for a, b, c in form.terms[:6])
    shown += " + …" if len(form.terms) > 6 else ""
    if horizon.flow:
        grows = f"never grows faster than exp({2 * float(taus['flow']):.6g} t)"
    else:
        span = _span(proof)
        over = "a step" if span == 1 else f"{span} steps"
        grows = f"is multiplied by at most {float(taus['step']):.9g} in {over}"
    whole = factor(proof, horizon, metric=metric)
    return f"V = {shown} {grows}: distances{' in it' if metric else ''} are multiplied by at most {whole:.9g} in all"
