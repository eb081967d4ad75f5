"""Everything that has a name in the language, collected from the registries: what `odespec explain` and the docs say of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from odespec.diagnostics import catalogue
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.activations import Activation, Interval
    from odespec.claims import ClaimKind
    from odespec.functions import Function
    from odespec.solvers import Method
    from odespec.structures import Structure
    from odespec.vocabulary import Word


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing with a name.

    ``form`` is how it is written, ``summary`` a sentence, ``facts`` labelled values, ``text`` paragraphs, ``examples``
    titled pieces of text. ``others``: further names under which it is found.
    """

    name: str
    kind: str
    form: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()
    text: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()


def lookup(name: str) -> tuple[Entry, ...]:
    """Everything of a name, in any case; a name may be of two kinds (`norm`: a function and a relation)."""
    wanted = name.strip().lower()
    if code := wanted.upper() if wanted.upper() in catalogue.codes() else None:
        return (_diagnostic(code),)
    found = tuple(e for e in language() if wanted in (n.lower() for n in (e.name, *e.others)))
    return tuple(_measured(e) if e.kind == "solver" else e for e in found)


def entries() -> Iterator[Entry]:
    """All entries, the diagnostics last. The computed facts of solvers are only in what `lookup` returns."""
    yield from language()
    yield from map(_diagnostic, catalogue.codes())


def names() -> tuple[str, ...]:
    """Every name that `lookup` knows, sorted."""
    return tuple(sorted({n for e in language() for n in (e.name, *e.others)} | set(catalogue.codes())))


def language() -> Iterator[Entry]:
    """The entries of the language itself."""
    from odespec.activations import ACTIVATIONS
    from odespec.claims import CLAIMS
    from odespec.functions import FUNCTIONS
    from odespec.solvers import SOLVERS
    from odespec.structures import STRUCTURES
    from odespec.vocabulary import RELATIONS, STATEMENTS, WORDS

    for kind, words in (("statement", STATEMENTS), ("relation", RELATIONS), ("word", WORDS)):
        yield from (_word(kind, word) for word in words)
    yield from map(_structure, STRUCTURES.values())
    yield from map(_function, FUNCTIONS.values())
    yield from (_activation(a) for a in ACTIVATIONS.values() if a.nameable)
    yield from map(_claim, CLAIMS.values())
    yield from map(_solver, SOLVERS.values())


# --- an entry for each kind ----------------------------------------------------


def _diagnostic(code: str) -> Entry:
    page = catalogue.page(code)
    examples = ((title, example.text) for title, example in (("fails", page.fails), ("passes", page.passes)) if example)
    facts = (("severity", page.severity), ("message", page.message))
    return Entry(code, "diagnostic", page.message, page.title, facts, page.explanation, tuple(examples))


def _word(kind: str, word: Word) -> Entry:
    summary, _, rest = word.doc.partition(". ")
    return Entry(word.name, kind, word.form, summary.rstrip("."), (), rest, (("example", word.example),), word.others)


def _structure(structure: Structure) -> Entry:
    facts = [("square", "required" if structure.square else "not required")]
    return Entry(
        structure.name,
        "structure",
        f"param W[m, d] : {structure.name}" if not structure.square else f"param S[d, d] : {structure.name}",
        structure.doc,
        tuple(facts),
        "A parameter of this structure is held to it by construction in emitted code; an input of it is the caller's promise.",
    )


def _function(function: Function) -> Entry:
    facts = [("kind", function.kind)]
    if function.keywords:
        facts.append(("keywords", ", ".join(function.keywords)))
    return Entry(function.name, "function", function.signature, function.doc, tuple(facts))


def _activation(activation: Activation) -> Entry:
    example = tuple(Fraction(1, 10) for _ in activation.parameters)
    given = "".join(f" at {name} = 1/10" for name in activation.parameters)
    facts = [
        (f"slopes{given}", written(activation.slope(example))),
        (f"values{given}", written(activation.range(example))),
        ("odd", _yes(activation.odd)),
        ("convex", _yes(activation.convex)),
    ]
    form = f"{activation.name}({', '.join(('x', *activation.parameters))})"
    text = (
        "The slopes are those of all difference quotients (f(x) - f(y)) / (x - y), enclosed outward in rational numbers: "
        "these are what proofs use. At an infinite end no bound holds for all x; a `domain` may give one."
    )
    return Entry(activation.name, "activation", form, activation.doc, tuple(facts), text)


def _claim(claim: ClaimKind) -> Entry:
    facts = []
    if claim.keywords:
        facts.append(("keywords", ", ".join(claim.keywords)))
    facts.append(("asked of", ", ".join(("the discrete map", *(f"`of {s}`" for s in claim.subjects)))))
    if claim.norms:
        facts.append(("norms", ", ".join(map(str, claim.norms))))
    facts.append(("in mean square", _yes(claim.mean_square)))
    facts.append(("of networks", _yes(claim.networks)))
    return Entry(claim.name, "claim", f"claim {claim.signature}", f"holds when {claim.asks}", tuple(facts), claim.doc)


def _solver(method: Method) -> Entry:
    options = ", ".join(f"{keyword} = …" for keyword in method.keywords)
    facts = [("family", method.family), ("reference", method.reference)]
    if method.order is not None:
        facts.append(("order", str(method.order)))
    return Entry(method.name, "solver", f"solver {method.name}({options})", method.doc, tuple(facts))


def _measured(entry: Entry) -> Entry:
    """The entry of a solver with the facts that are computed from its scheme."""
    from odespec.solvers import get
    from odespec.solvers.summary import summarise

    summary = summarise(get(entry.name))
    labelled = (
        ("stages", summary.stages),
        ("explicit", summary.explicit),
        ("order conditions hold exactly", summary.exact),
        ("largest step on the negative real axis, |R(-h)| <= 1", summary.real_axis),
        ("largest step on the imaginary axis, |R(ih)| <= 1", summary.imag_axis),
        ("radius of circle contractivity", summary.circle_radius),
        ("strong stability preserving coefficient", summary.ssp),
        ("A-stable", summary.a_stable),
        ("L-stable", summary.l_stable),
        ("B-stable (algebraically)", summary.b_stable),
        ("symplectic", summary.symplectic),
        ("symmetric", summary.symmetric),
    )
    facts = tuple((label, _fact(value)) for label, value in labelled if value is not None)
    return Entry(entry.name, entry.kind, entry.form, entry.summary, entry.facts + facts, _in_words(entry.name))


def _in_words(name: str) -> str:
    """What the facts of a solver mean for a contractive field."""
    from odespec.solvers import get
    from odespec.solvers.summary import summarise

    summary = summarise(get(name))
    if summary.circle_radius == math.inf:
        return "A step expands no distance where the field is monotone (<f(x) - f(y), x - y> <= 0), at any step size."
    if summary.circle_radius:
        return (
            "A step expands no distance where <f(x) - f(y), x - y> <= -nu |f(x) - f(y)|^2 and "
            f"h <= {_fact(2 * Fraction(summary.circle_radius))} nu (Dahlquist & Jeltsch 1979)."
        )
    if summary.circle_radius == 0:
        return (
            "No step size, however small, makes it non-expansive for all non-linear fields of circle-contractive kind."
        )
    return ""


# --- numbers in words ----------------------------------------------------------


def written(interval: Interval) -> str:
    """``[0, 1]``, with exact fractions; an end without bound is infinite."""
    low = "(-inf" if interval.lower is None else f"[{_number(interval.lower)}"
    high = "inf)" if interval.upper is None else f"{_number(interval.upper)}]"
    return f"{low}, {high}"


def _number(value: Fraction) -> str:
    """A fraction as it is where that is short or decimal, else rounded with its exact value behind it."""
    if len(str(value)) <= 8:
        return str(value)
    decimal = f"{float(value):.12g}"
    return decimal if Fraction(decimal) == value else f"{decimal} (exactly {value})"


def _fact(value: object) -> str:
    if isinstance(value, bool):
        return _yes(value)
    if value == math.inf:
        return "infinite"
    if isinstance(value, Fraction):
        return str(value) if len(str(value)) <= 8 else f"{float(value):.10g}"
    return str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
