"""From a proof that a relation stays true to its certificate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from odespec.certificate.auditor.invariant import NO_EXCESS, assumptions
from odespec.certificate.auditor.relation import asked
from odespec.certificate.build import Draft, draft, write_number
from odespec.certificate.gram import state
from odespec.exact import Real, enclose
from odespec.ir.expr import Expr
from odespec.ir.model import Claim, Relation
from odespec.prove.invariant.bernstein import Tree
from odespec.prove.invariant.cases import Case
from odespec.prove.invariant.polynomial import Polynomial, constant
from odespec.prove.invariant.prove import EntryProof

if TYPE_CHECKING:
    from odespec.prove.gram.exact import Proof
    from odespec.prove.invariant.balls import Growth, Products
    from odespec.prove.invariant.triangle import Ball
    from odespec.prove.invariant.tube import Tube
    from odespec.prove.verdict import Task


def resolved(claim: Claim) -> str:
    """The claim with its numbers written out."""
    assert claim.relation is not None
    return f"invariant {relation_text(claim.relation, claim.text)}" + (" of flow" if claim.subject == "flow" else "")


def relation_text(relation: Relation, claim_text: str | None = None) -> str:
    """A relation as it is written, without blanks around its parts, its numbers written out."""
    written = claim_text or f"invariant {' '.join(relation.span.text.split())}"
    subject, operator, ends, _ = asked(written)
    if operator == "in":
        low, high = (
            _bound(b, w, above)
            for b, w, above in zip((relation.lower, relation.upper), ends, (True, False), strict=True)
        )
        return f"{subject} in [{low}, {high}]"
    value = relation.lower if operator == ">=" else relation.upper
    return f"{subject} {operator} {_bound(value, ends[0], operator == '>=')}"


def _bound(value: Real | Expr | None, written: str, above: bool) -> str:
    return written if isinstance(value, Expr) or value is None else write_number(value, above=above)


# --- the data of a proof ---------------------------------------------------------


def entries_data(proof: EntryProof, solvability: tuple[Proof, ...], once: tuple[Case, ...] = ()) -> dict[str, Any]:
    """``once``: the cases that show that the equations of a step have one solution."""
    relations = proof.setting.relations
    sides: list[dict[str, Any]] = [{"text": relation_text(r), "lower": None, "upper": None} for r in relations]
    for c in proof.cases:
        sides[c.relation][c.side] = polynomial_data(c.bound)
    return {
        "implicit": bool(proof.setting.program.solves) and not proof.setting.flow,
        "shape": "entries",
        "relations": sides,
        "cases": [case_data(c) for c in (*proof.cases, *once)],
        "boxes": [],
        "balls": [],
        "parts": [state(p) for p in solvability],
    }


def rates_data(claim: Claim, cases: list[Case], solvability: tuple[Proof, ...], implicit: bool) -> dict[str, Any]:
    assert claim.relation is not None
    sides: dict[str, Any] = {"text": relation_text(claim.relation, claim.text), "lower": None, "upper": None}
    sides |= {c.side: polynomial_data(c.bound) for c in cases}
    parts = [state(p) for p in solvability]
    return EMPTY | {
        "implicit": implicit,
        "shape": "rates",
        "relations": [sides],
        "cases": [*map(case_data, cases)],
        "parts": parts,
    }


def tube_data(claim: Claim, tube: Tube, names: list[str]) -> dict[str, Any]:
    assert claim.relation is not None
    sides: dict[str, Any] = {"text": relation_text(claim.relation, claim.text), "lower": None, "upper": None}
    sides |= {c.side: polynomial_data(c.bound) for _, c in tube.cases if c.relation == 0}
    boxes = [
        [{"state": n, "low": _end(b.lower), "high": _end(b.upper)} for n, b in zip(names, box, strict=True)]
        for box in tube.boxes
    ]
    cases = [case_data(c, k) for k, c in tube.cases]
    return EMPTY | {"shape": "tube", "relations": [sides], "cases": cases, "boxes": boxes}


EMPTY: dict[str, Any] = {"implicit": False, "relations": [], "cases": [], "boxes": [], "balls": [], "parts": []}


def case_data(c: Case, at: int = 0) -> dict[str, Any]:
    return {
        "at": at,
        "role": c.role,
        "side": c.side,
        "relation": c.relation,
        "entry": c.entry,
        "variables": [
            {"name": n, "low": _end(v.inside.lower), "high": _end(v.inside.upper), "why": v.why} for n, v in c.variables
        ],
        "top": polynomial_data(c.value.top),
        "bottom": polynomial_data(c.value.bottom),
        "room": str(c.room),
        "bound": polynomial_data(c.bound),
        "excess": c.excess or NO_EXCESS,
        "splits": tree_data(c.splits),
        "positive": tree_data(c.positive),
    }


def _end(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def polynomial_data(p: Polynomial) -> list[Any]:
    return [[str(c), [[n, k] for n, k in m]] for m, c in sorted(p.items())]


def tree_data(tree: Tree) -> list[Any]:
    """The splits in preorder."""
    pending: list[Tree] = [tree]
    flat: list[Any] = []
    while pending:
        node = pending.pop()
        if node is None:
            flat.append(None)
            continue
        name, at, below, above = node
        flat.append([name, str(at)])
        pending += [above, below]
    return flat


def ball_data(claim: Claim, shape: str, balls: Sequence[Ball]) -> dict[str, Any]:
    """``shape``: "triangle" (one ball) or "radii" (one for each step)."""
    assert claim.relation is not None and isinstance(claim.relation.upper, Fraction)
    return EMPTY | {"shape": shape, "relations": [_upper(claim)], "balls": [_ball(b) for b in balls]}


def _upper(claim: Claim) -> dict[str, Any]:
    assert claim.relation is not None and isinstance(claim.relation.upper, Fraction)
    text = relation_text(claim.relation, claim.text)
    return {"text": text, "lower": None, "upper": polynomial_data(constant(claim.relation.upper))}


def _ball(ball: Ball) -> dict[str, Any]:
    terms = [{"factor": str(c), "size": str(size), "why": why} for c, size, why in ball.terms]
    return {"radius": str(ball.radius), "own": str(ball.own), "terms": terms}


def growth_data(claim: Claim, growth: Growth, implicit: bool) -> dict[str, Any]:
    ball = {"radius": str(growth.start), "own": "1", "terms": []}
    parts = [state(p) for p in (growth.proof, *growth.solvability)]
    return EMPTY | {
        "implicit": implicit,
        "shape": "growth",
        "relations": [_upper(claim)],
        "balls": [ball],
        "parts": parts,
    }


def products_data(claim: Claim, products: Products, implicit: bool) -> dict[str, Any]:
    assert claim.relation is not None
    sides = {s: polynomial_data(products.bounds[s]) if s in products.bounds else None for s in ("lower", "upper")}
    return {
        "implicit": implicit,
        "shape": "products",
        "relations": [{"text": relation_text(claim.relation, claim.text), **sides}],
        "cases": [],
        "boxes": [],
        "balls": [],
        "parts": [state(p) for p in (*products.proofs, *products.solvability)],
    }


def certificate(task: Task, data: dict[str, Any], *, steps: int) -> Draft | None:
    """The certificate, if the independent auditor accepts it."""
    model, claim = task.model, task.claim
    time = Fraction(steps) if model.time is None else model.time.end - model.time.start
    names = {v["name"] for c in data["cases"] for v in c["variables"]}
    degrees = any(re.match("degree in ", n) for n in names)
    made = draft(
        task.spec,
        model,
        claim,
        "invariant",
        data,
        resolved=resolved(claim),
        steps=steps,
        time=str(enclose(time)[1]),
        assumptions=assumptions(data["shape"], claim.subject == "flow", data["implicit"], degrees),
    )
    return made if made.accepted() else None
