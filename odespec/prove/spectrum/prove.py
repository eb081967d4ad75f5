"""A proof of `stable`: for each component a region of eigenvalues within what the method allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from math import isfinite
from typing import Any

from odespec.activations import Interval
from odespec.certificate.auditor import regions
from odespec.certificate.auditor.characteristic import characteristic
from odespec.certificate.auditor.core import AuditError, Ledger
from odespec.certificate.auditor.rootset import Family, Region, inside
from odespec.certificate.auditor.spectrum import edges_allowed
from odespec.certificate.gram import state
from odespec.exact import enclose
from odespec.ir.expr import Expr, Shape, leaf
from odespec.ir.model import Model
from odespec.program.lower import NotLowered
from odespec.program.splitting import parts
from odespec.prove.gram.exact import Proof
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation
from odespec.prove.relate.reader import Reader
from odespec.prove.spectrum.components import Component, Small, components, damped, implicit_components, strong
from odespec.prove.spectrum.constant import constant
from odespec.prove.spectrum.enclose import ROOM, Bound, Encloser, rounded
from odespec.prove.spectrum.factor import Form, forms
from odespec.prove.spectrum.frozen import Frozen, freeze
from odespec.prove.spectrum.scheme import NoScheme, asked
from odespec.prove.spectrum.sums import Sums, sums_of
from odespec.prove.spectrum.words import Block, Entry, Operators, described, read_block
from odespec.records import dataclass

Shapes = tuple[Shape, ...]
ZERO = Fraction(0)
MAX_FORMS = 12


@dataclass(frozen=True, slots=True)
class Linear:
    """The linearised field as a block of words. ``know`` makes what is known of its weights, anew.

    ``implicit``: of an implicit-explicit step the part of the field that it treats implicitly.
    """

    frozen: Frozen
    block: Block
    know: Callable[[], Knowledge]
    implicit: Block | None = None

    @property
    def model(self) -> Model:
        return self.frozen.model

    @property
    def shapes(self) -> Shapes:
        return tuple(s.shape for s in self.model.states)

    def groups(self) -> list[tuple[int, ...]]:
        """The states in groups that depend on each other."""
        return strong(self.block, self.implicit or self.block)

    @property
    def operators(self) -> Operators:
        return Operators(self.know().algebra)


@dataclass(frozen=True, slots=True)
class Proved:
    """A component whose eigenvalues are where they may be; ``form`` and ``bounds`` say why (None: it is all numbers)."""

    component: Component
    form: Form | None
    bounds: tuple[Bound, ...]
    linear: Small = ()
    sums: Sums | None = None
    damping: tuple[Form, tuple[Bound, ...]] | None = None

    def stated(self, model: Model, family: str, parts: list[Proof]) -> dict[str, Any]:
        """The component as the auditor reads it; the proofs of its bounds are added to ``parts``."""
        names = [model.states[i].name for i in self.component.states]
        return {
            "states": names,
            "roles": _roles(self.component, family),
            "matrix": [[list(map(str, p)) for p in row] for row in self.component.matrix],
            "linear": [[list(map(str, p)) for p in row] for row in self.linear],
            "operator": operator(self.form, self.bounds, parts, self.sums),
            "damping": None if self.damping is None else {"factor": "1", "operator": operator(*self.damping, parts)},
        }


def read(frozen: Frozen, linear: tuple[Expr, ...] | None = None) -> Linear | None:
    """The linearised field in words; None where it has a part that is none. Raises `NoRelation`.

    ``linear``: the part of the field that is treated implicitly.
    """
    model = frozen.model
    time = Interval(None, None)
    if model.time is not None:
        time = Interval(enclose(model.time.start)[0], enclose(model.time.end)[1])

    def know() -> Knowledge:
        return Knowledge(model, time)

    block = words_of(model, know(), model.field)
    part = None if linear is None else words_of(model, know(), linear)
    if block is None or (part is None) != (linear is None):
        return None
    return Linear(frozen, block, know, part)


def linearised(model: Model, family: str) -> Linear | None:
    """The linearised field of a model, with the implicit part of an implicit-explicit step. Raises `NoScheme`."""
    frozen = freeze(asked(model, family))
    if family != "imex":
        return read(frozen)
    try:
        return read(frozen, parts(model)[0])
    except NotLowered as error:
        raise NoScheme(error.what) from None


def words_of(model: Model, knowledge: Knowledge, field: tuple[Expr, ...]) -> Block | None:
    """Expressions that are linear in the states as words applied to them."""
    reader = Reader(knowledge)
    states = [leaf("state", s.name, s.shape) for s in model.states]
    vectors = [reader.leaf(s, f"d {s.data}") for s in states]
    reader.moving = dict(zip(states, vectors, strict=True))
    return read_block(reader, vectors, list(reader.read(field)))


# --- components --------------------------------------------------------------------


def prove_components(linear: Linear, scheme: dict[str, Any], late: Callable[[], bool]) -> tuple[Proved, ...] | str:
    """A proof for every component, or the names of the states of one that has none."""
    found: list[Proved] = []
    for group in linear.groups():
        proved = _component(linear, scheme, group, late)
        if proved is None:
            return ", ".join(f"`{linear.model.states[i].name}`" for i in group)
        found += proved
    return tuple(found)


def _component(
    linear: Linear, scheme: dict[str, Any], group: tuple[int, ...], late: Callable[[], bool]
) -> tuple[Proved, ...] | None:
    for way in ways(linear, scheme["family"], group):
        found: list[Proved] = []
        for component, split in way:
            proved = None if late() else _attempted(linear, scheme, component, split)
            if proved is None:
                break
            found.append(proved)
        else:
            return tuple(found)
    return None


def ways(linear: Linear, family: str, group: tuple[int, ...]) -> Iterator[list[tuple[Component, Small]]]:
    """The ways to see a group of states: as components whose eigenvalues together are those of the group."""
    shapes = linear.shapes
    if linear.implicit is not None:
        yield from ([pair] for pair in implicit_components(linear.block, linear.implicit, group, shapes))
        return
    entries = constant(linear.model, group)
    if entries is not None and family != "partitioned":
        yield [(component, ()) for component in entries]
    for component in components(linear.block, group, shapes, linear.operators):
        if family != "partitioned" or not component.joint:
            yield [(component, ())]
    for component in damped(linear.block, group, shapes):
        yield [(component, ())]


def _attempted(linear: Linear, scheme: dict[str, Any], component: Component, split: Small) -> Proved | None:
    try:
        return prove_component(linear, scheme, component, split)
    except (AuditError, NoRelation):
        return None


def prove_component(linear: Linear, scheme: dict[str, Any], component: Component, split: Small = ()) -> Proved | None:
    """A region of the operator's eigenvalues for which the step's are within the unit disc. Raises `AuditError`."""
    if component.damping is not None:
        return _damped(linear, scheme, component, component.damping)
    stated = Proved(component, None, (), split).stated(linear.model, scheme["family"], [])
    family = characteristic(scheme, stated, Ledger())
    if component.operator is None or all(len(p) <= 1 for p in family):
        whole = regions.rectangle(ZERO, ZERO, ZERO)
        return Proved(component, None, (), split) if inside(family, whole, Ledger()) else None
    found = list(_first(forms(component.operator, component.shapes, linear.know(), zero=component.zero)))
    for form in found:
        bounds = _bounds(form, linear.know, family, Fraction(scheme["h"]))
        if bounds is not None:
            return Proved(component, form, bounds, split)
    for form in found:
        for sums in sums_of(form, linear.know()):
            region = regions.region(operator(form, (), [], sums), [])
            if allowed(family, region):
                return Proved(component, form, (), split, sums)
    return None


def _damped(linear: Linear, scheme: dict[str, Any], component: Component, damping: Entry) -> Proved | None:
    """Intervals of two symmetric operators with which every edge keeps its roots. Raises `AuditError`."""
    assert component.operator is not None
    pairs = []
    for block in (component.operator, ((damping,),)):
        form = next((f for f in forms(block, component.shapes, linear.know()) if _plain(f)), None)
        if form is None:
            return None
        pairs.append((form, Encloser(form, linear.know)))
    for room in ROOM:
        bounds = [_interval(encloser, room) for _, encloser in pairs]
        if bounds[0] is not None and bounds[1] is not None:
            found = Proved(component, pairs[0][0], bounds[0], damping=(pairs[1][0], bounds[1]))
            parts: list[Proof] = []
            stated = found.stated(linear.model, scheme["family"], parts)
            if edges_allowed(scheme, stated, [state(p) for p in parts]):
                return found
    return None


def _plain(form: Form) -> bool:
    return form.kind == "symmetric" and form.factor is None and form.shift == 0


def _interval(encloser: Encloser, room: float) -> tuple[Bound, ...] | None:
    found = []
    for name in ("low", "high"):
        value = encloser.value(name)
        bound = encloser.proved(name, _number(name, value, room)) if isfinite(value) else None
        if bound is None:
            return None
        found.append(bound)
    return tuple(found)


def _first(found: Iterator[Form]) -> Iterator[Form]:
    for k, form in enumerate(found):
        if k == MAX_FORMS:
            return
        yield form


# --- bounds ------------------------------------------------------------------------


def _bounds(form: Form, know: Callable[[], Knowledge], family: Family, h: Fraction) -> tuple[Bound, ...] | None:
    """Proved bounds of the form with which the roots stay in the unit disc."""
    encloser = Encloser(form, know)
    names = {"symmetric": ("low", "high"), "skew": ("size",), "any": ("low", "high", "size")}[form.kind]
    values = {name: encloser.value(name) for name in names}
    finite = [name for name in names if isfinite(values[name])]
    for chosen in _choices(finite, form):
        for room in ROOM:
            numbers = {n: _number(n, values[n], room) for n in chosen}
            if not _suits(form, numbers, family):
                continue
            found = [encloser.proved(n, x) for n, x in numbers.items()]
            if all(b is not None for b in found):
                return tuple(b for b in found if b is not None)
    if form.kind == "any" and form.factor is None:
        return _discs(encloser, family, h, values)
    return None


def _choices(finite: list[str], form: Form) -> Iterator[tuple[str, ...]]:
    """Fewer bounds first: they are the easier to prove."""
    sets = {(), ("high",), ("low", "high"), ("high", "size"), ("size",), ("low", "high", "size")}
    for chosen in sorted(sets, key=lambda s: (len(s), s)):
        if set(chosen) <= set(finite) and (form.kind != "symmetric" or "size" not in chosen):
            yield chosen


def _number(name: str, value: float, room: float) -> Fraction:
    number = rounded(value, -1 if name == "low" else 1, room)
    return max(number, ZERO) if name == "size" else number


def _suits(form: Form, numbers: dict[str, Fraction], family: Family) -> bool:
    region = region_of(form, [Bound(n, x, None) for n, x in numbers.items()])  # type: ignore[arg-type]
    return region is not None and allowed(family, region)


def allowed(family: Family, region: Region) -> bool:
    try:
        return inside(family, region, Ledger())
    except AuditError:
        return False


def _discs(encloser: Encloser, family: Family, h: Fraction, values: dict[str, float]) -> tuple[Bound, ...] | None:
    """A disc about a centre: the one that touches zero within the method's disc, or the middle of the real parts."""
    centres = [-1 / h * r for r in (1, Fraction(1, 2))]
    if isfinite(values["low"]) and isfinite(values["high"]):
        centres.append(rounded((values["low"] + values["high"]) / 2, 1, 0.0))
    for centre, room in product(dict.fromkeys([*centres, ZERO]), ROOM):
        value = encloser.value("disc", centre)
        if not isfinite(value):
            continue
        radius = max(rounded(value, 1, room), ZERO)
        bound = Bound("disc", radius, None, centre)  # type: ignore[arg-type]
        region = region_of(encloser.form, [bound])
        if region is not None and allowed(family, region):
            proved = encloser.proved("disc", radius, centre)
            if proved is not None:
                return (proved,)
    return None


def region_of(form: Form, bounds: list[Bound]) -> Region | None:
    """The region as the auditor forms it."""
    stated = operator(form, bounds, [])
    parts = [
        {"role": "flow" if b.what in ("low", "high") else "step", "sense": "lower" if b.what == "low" else "upper"}
        | {"tau": str(b.number if b.what in ("low", "high") else b.number**2)}
        for b in bounds
    ]
    for k, b in enumerate(bounds):
        stated[b.what] = {"part": k, "number": str(b.number)}
    try:
        return regions.region(stated, parts)
    except AuditError:
        return None


# --- data ---------------------------------------------------------------------------


def operator(
    form: Form | None, bounds: tuple[Bound, ...] | list[Bound], parts: list[Proof], sums: Sums | None = None
) -> dict[str, Any]:
    """What the auditor reads of the operator: the proofs are added to the parts."""
    stated: dict[str, Any] = {
        "name": "none" if form is None else described(form.inner),
        "kind": "any" if form is None else form.kind,
        "low": None,
        "high": None,
        "size": None,
        "disc": None,
        "sums": None if sums is None else {"p": sums.p, "words": [[str(c), list(map(str, n))] for c, n in sums.words]},
        "centre": str(next((b.centre for b in bounds), ZERO)),
        "factor": [] if form is None or form.factor is None else [None if x is None else str(x) for x in form.factor],
        "shift": "0" if form is None else str(form.shift),
    }
    for bound in bounds:
        stated[bound.what] = {"part": len(parts), "number": str(bound.number)}
        parts.append(bound.proof)
    return stated


def _roles(component: Component, family: str) -> list[str]:
    rows = len(component.matrix)
    if family != "partitioned":
        return ["state"] * rows
    return ["momentum" if i else "position" for i in component.states][:rows]


__all__ = ["Linear", "Proved", "linearised", "prove_component", "prove_components", "read", "ways", "words_of"]
