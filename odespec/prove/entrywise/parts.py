"""The parts of a proof as plain data: the step, the stages of a tableau, the field, the map from the free states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

from odespec.activations import Interval
from odespec.certificate.auditor.core import AuditError, Ledger
from odespec.certificate.auditor.entrywise import part_bound
from odespec.certificate.auditor.rowsums import Sums
from odespec.exact import Real, enclose
from odespec.ir.expr import TIME, Expr, const, depends_on, mul, substitute
from odespec.ir.model import Claim, Model, Spec
from odespec.program.lower import state_leaves
from odespec.program.step import StepProgram
from odespec.prove.boxes import Boxes, boxes
from odespec.prove.entrywise.data import letters_data, row_data
from odespec.prove.entrywise.fold import fixed, simplified
from odespec.prove.entrywise.forms import Form, Letters, unit, used
from odespec.prove.entrywise.reader import Reader
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.operators import NoRelation
from odespec.records import dataclass
from odespec.solvers import RungeKutta, get, tableau

Data = dict[str, Any]
BITS = 96
WORK = 60_000
"""A second or two: what a try may cost, in the units of the auditor's ledger."""


@dataclass(frozen=True, slots=True)
class Part:
    """``forms`` are those of its rows and equations, for the letters that they use."""

    data: Data
    forms: tuple[Form, ...]
    bound: Fraction | None = None


class Limited(Ledger):
    """Allows less work than the auditor would."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def charge(self, amount: int) -> None:
        super().charge(amount)
        if self.work > self.most:
            raise AuditError("too much work for a try")


class Parts:
    """Makes the parts of one claim's proof; all share their letters."""

    def __init__(self, model: Model, norm: int | str, time: Interval, inside: Boxes | None = None) -> None:
        self.model = model
        self.columns = norm == 1
        self.letters = Letters()
        self.boxed = bool(inside)
        knowledge = Knowledge(model, time)
        for state, box in (inside or {}).items():
            knowledge.intervals.assume(state, box)
        self.reader = Reader(model, knowledge, self.letters, columns=self.columns)
        self.states = state_leaves(model)
        self.names = [s.name for s in model.states]

    @property
    def size(self) -> int:
        """The number of entries of all states."""
        return sum(prod(s.shape) for s in self.model.states)

    # --- reading ---------------------------------------------------------------------

    def _start(self) -> dict[Expr, Form]:
        return {leaf: unit(name) for leaf, name in zip(self.states, self.names, strict=True)}

    def step(self, program: StepProgram, sense: str, *, steps: int = 1, at: int | None = None) -> Part:
        """One step, or several explicit ones as one; ``at``: the number of the first, for times that are known.

        A multistep method is read from its first step on, as its memory begins with nothing.
        """
        if steps > 1 and (program.solves or (program.begin is not None and program.begin.solves)):
            raise NoRelation("several implicit steps are not taken together")
        forms = tuple(unit(n) for n in self.names)
        past: dict[Expr, Form] = {m.past: {} for m in program.memory} if at == 0 else {}
        solves: list[list[tuple[str, Form]]] = []
        for k in range(steps):
            moving = dict(zip(self.states, forms, strict=True)) | past
            solves = self._solves(program, moving)
            self.reader.begin(moving, k)
            after = tuple(m.after for m in program.memory) if past else ()
            update = program.update if at is None else program.at(at + k)[1]
            read = self.reader.read(_timed(program, (*update, *after), at, k))
            found = tuple(simplified(f, self.letters, self.reader.facts) for f in read)
            forms, past = found[: len(update)], dict(zip(past, found[len(update) :], strict=True))
        return self._part("step", sense, list(zip(self.names, forms, strict=True)), solves, steps=steps, at=at)

    def constant(self, program: StepProgram) -> bool:
        """Whether a step is the same linear map in all runs: then any number of steps is one too."""
        one = self.step(program, "upper")
        names = set(used(one.forms))
        return not program.solves and all(fixed(self.letters, n) for n in names)

    def _solves(self, program: StepProgram, moving: dict[Expr, Form]) -> list[list[tuple[str, Form]]]:
        found = []
        for group in program.solves:
            names = [self._unknown(u) for u in group.unknowns]
            moving |= {u: unit(n) for u, n in zip(group.unknowns, names, strict=True)}
            self.reader.begin(moving)
            found.append(list(zip(names, self.reader.read(group.values), strict=True)))
        return found

    def _unknown(self, u: Expr) -> str:
        assert isinstance(u.data, int)
        number, state = divmod(u.data, len(self.names))
        return f"Y{number + 1}[{self.names[state]}]"

    def field(self, role: str, sense: str, scale: Real = Fraction(1)) -> Part:
        """The field, or with ``scale`` h times it. Raises `NoRelation`."""
        if self.boxed:
            raise NoRelation("the states are bounded at the start of a step, not at its stages")
        self.reader.begin(self._start())
        forms = self.reader.read(mul(const(scale), f) for f in self.model.field)
        return self._part(role, sense, list(zip(self.names, forms, strict=True)), steps=int(role == "tableau"))

    def start(self) -> Part | None:
        """The map from the free states to all of them; None where the given ones are the same in both runs."""
        initial = {s.name: s.initial for s in self.model.states if s.initial is not None}
        moving = {e: unit(n) for e, n in zip(self.states, self.names, strict=True) if n not in initial}
        free = list(moving.values())
        rows: list[tuple[str, Form]] = []
        for leaf, state in zip(self.states, self.model.states, strict=True):
            if state.initial is not None:
                self.reader.begin(moving)
                (moving[leaf],) = self.reader.read((state.initial,))
            rows.append((state.name, moving[leaf]))
        if all(not form for name, form in rows if name in initial):
            return None
        names = [v for form in free for _, _, v in form]
        return self._part("map", "upper", rows, states=names, steps=0)

    def output(self) -> Part:
        """The map from the final states to the output."""
        assert self.model.output is not None
        name, e = self.model.output
        if depends_on(e, "time"):
            raise NoRelation("the output depends on the time")
        self.reader.begin(self._start())
        (form,) = self.reader.read((e,))
        return self._part("map", "upper", [(name, form)], steps=0)

    # --- data --------------------------------------------------------------------------

    def _part(
        self,
        role: str,
        sense: str,
        rows: list[tuple[str, Form]],
        solves: Sequence[list[tuple[str, Form]]] = (),
        *,
        states: list[str] | None = None,
        steps: int,
        at: int | None = None,
    ) -> Part:
        solves, rows = [self._simplified(group) for group in solves], self._simplified(rows)
        forms = tuple(form for group in (*solves, rows) for _, form in group)
        self._bounded(forms)
        data = {
            "role": role,
            "sense": sense,
            "bound": "0",
            "steps": steps,
            "at": [] if at is None else [at],
            "states": self.names if states is None else states,
            "solves": [[row_data(v, form) for v, form in group] for group in solves],
            "rows": [row_data(v, form) for v, form in rows],
            "A": [],
            "b": [],
            "radius": "0",
            "error": "0",
        }
        return Part(data, forms)

    def _simplified(self, rows: list[tuple[str, Form]]) -> list[tuple[str, Form]]:
        return [(v, simplified(form, self.letters, self.reader.facts)) for v, form in rows]

    def _bounded(self, forms: Iterable[Form]) -> None:
        """Raises `NoRelation` for an operator of whose rows (or columns) nothing is known."""
        for name in used(forms):
            operator = self.letters.operators.get(name)
            if operator is not None and not operator.side(self.columns).corners:
                side = "columns" if self.columns else "rows"
                raise NoRelation(f"no bound of the {side} of `{name}` is known")

    def proof(self, parts: Sequence[Part], *, implicit: bool, conclusion: Sequence[Data]) -> Data:
        """The whole proof, with the letters that the parts use, named by their order in them."""
        names = _renamed(used(f for p in parts for f in p.forms))
        return {
            "norm": "1" if self.columns else "inf",
            "implicit": implicit,
            **letters_data(self.letters, names),
            "parts": [_named(p.data, names) for p in parts],
            "conclusion": list(conclusion),
        }

    def bounded(self, part: Part, work: int = WORK) -> Part | None:
        """The part with the bound that follows of it; None where none does with so much work."""
        proof = self.proof([part], implicit=False, conclusion=())
        try:
            bound = part_bound(proof["parts"][0], proof, Sums(proof, Limited(work)))
        except AuditError:
            return None
        return Part({**part.data, "bound": str(bound)}, part.forms, bound)


def scheme_of(program: StepProgram) -> RungeKutta | None:
    """The tableau of the model's solver, where it has one."""
    model = program.model
    if model.discrete:
        return None
    scheme = get(model.solver.name).scheme if model.solver.tableau is None else tableau(*model.solver.tableau)
    return scheme if isinstance(scheme, RungeKutta) else None


def with_tableau(part: Part, scheme: RungeKutta, radius: Fraction | str) -> Part:
    """The part of h times the field with a tableau and a radius; irrational entries are rounded, with their error."""
    ends = [enclose(x, BITS) for row in (*scheme.A, scheme.b) for x in row]
    data = {
        **part.data,
        "A": [[_middle(a) for a in row] for row in scheme.A],
        "b": [_middle(b) for b in scheme.b],
        "radius": str(radius),
        "error": str(max(high - low for low, high in ends)),
    }
    return Part(data, part.forms)


def _middle(x: Real) -> str:
    low, high = enclose(x, BITS)
    return str(low if low == high else (low + high) / 2)


def _renamed(names: Iterable[str]) -> dict[str, str]:
    """Names without the numbers that made them distinct, numbered anew where that is needed."""
    new: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        words, k = name.partition(" #")[0], 2
        new[name] = words
        while new[name] in taken:
            new[name], k = f"{words} #{k}", k + 1
        taken.add(new[name])
    return new


def _named(data: Data, names: dict[str, str]) -> Data:
    def renamed(rows: list[Any]) -> list[Any]:
        return [
            [v, [[c, sorted(names[x] for x in lead), [names[x] for x in word], of] for c, lead, word, of in terms]]
            for v, terms in rows
        ]

    return {**data, "rows": renamed(data["rows"]), "solves": [renamed(group) for group in data["solves"]]}


def _timed(program: StepProgram, roots: tuple[Expr, ...], at: int | None, k: int) -> tuple[Expr, ...]:
    if at is None:
        return roots
    return substitute(roots, {TIME: const(program.start + program.h * (at + k))})


def times(program: StepProgram, flow: bool) -> Interval:
    """The times at which a step begins, or over which a flow runs."""
    model = program.model
    if model.time is None:
        return Interval(Fraction(0), Fraction(program.steps))
    end = model.time.end if flow else program.start + program.h * (program.steps - 1)
    return Interval(enclose(model.time.start)[0], enclose(end)[1])


def parts_of(spec: Spec, program: StepProgram, claim: Claim) -> Parts:
    """What makes the parts of a proof of a claim."""
    flow = claim.subject == "flow"
    return Parts(program.model, claim.norm, times(program, flow), boxes(spec, program, flow))


def reread(spec: Spec, program: StepProgram, claim: Claim, proof: Data) -> tuple[Parts, list[Part]]:
    """The parts of a stated proof, made again from the network, with the bounds that are stated."""
    parts = parts_of(spec, program, claim)
    made = []
    for stated in proof["parts"]:
        part = _again(parts, program, stated)
        if part is None:
            raise NoRelation("a part of the proof speaks of nothing in it")
        made.append(Part({**part.data, "bound": stated["bound"]}, part.forms))
    return parts, made


def _again(parts: Parts, program: StepProgram, stated: Data) -> Part | None:
    sense = str(stated["sense"])
    if stated["role"] == "step":
        at = stated["at"][0] if stated["at"] else None
        return parts.step(program, sense, steps=min(int(stated["steps"]), program.steps), at=at)
    if stated["role"] == "flow":
        return parts.field("flow", sense)
    if stated["role"] == "map":
        output = parts.model.output
        behind = output is not None and [v for v, _ in stated["rows"]] == [output[0]]
        return parts.output() if behind else parts.start()
    scheme = scheme_of(program)
    return None if scheme is None else with_tableau(parts.field("tableau", sense, program.h), scheme, stated["radius"])
