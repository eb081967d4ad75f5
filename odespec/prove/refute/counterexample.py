"""Counterexamples as values and as files: one safetensors file, its header a JSON text; nothing in it is ever run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odespec.files import write_atomic
from odespec.ir.model import Spec
from odespec.prove.refute.quantities import QUANTITIES
from odespec.records import dataclass

if TYPE_CHECKING:
    from odespec.ir.model import Model
    from odespec.program.step import StepProgram
    from odespec.weights.arithmetic import Array

FORMAT = 1
KIND = "odespec counterexample"
LARGEST_FILE = 1 << 31


class BadCounterexample(Exception):
    """The file is no counterexample that this version can read; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """Weights and two initial states that break a claim.

    ``weights`` and ``inputs`` by name, at the sizes of the spec (``per step`` ones with the steps as leading axis),
    ``x`` and ``y`` the free states in order of declaration. The ratio of the distances after and before, in norm ``p``,
    is ``measured``; the claim has it at most ``bound`` (side ``upper``) or at least (``lower``). ``subject``: "map",
    "output" or "flow" (then ``measured`` is the ratio nearest to the bound that the enclosure of both exact solutions
    leaves possible). ``spec``: the text of the file, ``files`` the others that it uses as (name, text),
    ``definitions`` its ``-D`` values.

    For a claim ``by`` an input, ``x`` and ``y`` are the two values of that input, ``states`` is its name, and the free
    states, common to both runs, are among the ``inputs``.

    ``quantity`` is what is measured: "ratio", or another entry of `odespec.prove.refute.quantities`. For those about
    single steps, ``step`` is the number of the step, and ``x`` (and ``y``, where there is a second) has all states.
    """

    model: str
    claim: str
    subject: str
    side: str
    p: int | str
    bound: float
    measured: float
    sentence: str
    weights: dict[str, Array]
    inputs: dict[str, Array]
    x: tuple[Array, ...]
    y: tuple[Array, ...]
    states: tuple[str, ...]
    spec: str
    spec_name: str
    files: tuple[tuple[str, str], ...] = ()
    definitions: tuple[tuple[str, str], ...] = field(default=())
    quantity: str = "ratio"
    step: int = 0

    def with_spec(self, spec: Spec) -> Counterexample:
        """The same with the spec's whole text, used files and definitions."""
        return replace(
            self,
            spec=spec.source.text,
            spec_name=spec.source.name,
            files=tuple((f.name, f.text) for f in spec.files[1:]),
            definitions=spec.overrides,
        )

    def data(self) -> bytes:
        """The file's bytes."""
        return data(self)

    def violated(self, ratio: float) -> bool:
        """Whether a measured ratio breaks the claim."""
        return ratio > self.bound if self.side == "upper" else ratio < self.bound

    def arguments(self, model: Model) -> tuple[tuple[list[Array], list[Array]], tuple[list[Array], list[Array]]]:
        """The free states and the inputs, in order of declaration, of either run. Raises `BadCounterexample`."""
        free = [s.name for s in model.free_states]
        runs = []
        for values in (self.x, self.y):
            given = dict(self.inputs) | dict(zip(self.states, values, strict=True))
            missing = [n for n in (*free, *(u.name for u in model.inputs)) if n not in given]
            if missing:
                raise BadCounterexample(f"`{missing[0]}` is missing")
            runs.append(([given[n] for n in free], [given[u.name] for u in model.inputs]))
        return runs[0], runs[1]

    def ratio(self, after_x: Sequence[Array], after_y: Sequence[Array]) -> float:
        """The ratio of distances for the images of x and y: the final states (or the output) of any back end."""
        import numpy as np

        def distance(a: Sequence[Array], b: Sequence[Array]) -> float:
            difference = np.concatenate([np.ravel(v).astype(float) - np.ravel(u) for u, v in zip(a, b, strict=True)])
            return float(np.linalg.norm(difference, {2: 2, 1: 1, "inf": np.inf}[self.p]))

        return distance(after_x, after_y) / distance(self.x, self.y)


# --- files ---------------------------------------------------------------------

_TEXTS = ("model", "claim", "subject", "side", "sentence", "spec", "spec_name", "quantity")


def data(c: Counterexample) -> bytes:
    """A counterexample as the bytes of a safetensors file."""
    from safetensors.numpy import save as pack

    header = {key: getattr(c, key) for key in (*_TEXTS, "p", "bound", "measured", "step")}
    header |= {"kind": KIND, "format": FORMAT, "spec_sha256": sha256(c.spec.encode()).hexdigest()}
    header |= {"states": list(c.states), "files": c.files, "definitions": c.definitions}
    tensors = {f"weights/{n}": w for n, w in c.weights.items()} | {f"inputs/{n}": u for n, u in c.inputs.items()}
    for side, values in (("x", c.x), ("y", c.y)):
        tensors |= {f"{side}/{n}": v for n, v in zip(c.states, values, strict=bool(values))}
    packed: bytes = pack({n: v.copy() for n, v in tensors.items()}, {"odespec": json.dumps(header)})
    return packed


def save(c: Counterexample, path: Path) -> None:
    """Write the file; what was there stays until the new one is complete. Raises OSError."""
    write_atomic(path, data(c))


def load(path: Path) -> Counterexample:
    """Read a file. Raises `BadCounterexample`, and OSError where it cannot be read."""
    if path.stat().st_size > LARGEST_FILE:
        raise BadCounterexample(f"{path.name} is larger than any counterexample")
    return parse(path.read_bytes())


def parse(raw: bytes) -> Counterexample:
    """A counterexample from the bytes of its file. Raises `BadCounterexample`."""
    header, tensors = _opened(raw)
    try:
        return _built(header, tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCounterexample(f"its header is not complete: {type(error).__name__} {error}") from None


def _opened(raw: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    try:
        tensors = unpack(raw)
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["odespec"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise BadCounterexample(f"it is no counterexample file ({type(error).__name__})") from None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise BadCounterexample("it is no counterexample file")
    if header.get("format") != FORMAT:
        raise BadCounterexample(f"its format is {header.get('format')!r}, this version reads {FORMAT}")
    return header, tensors


def _built(header: dict[str, Any], tensors: dict[str, Array]) -> Counterexample:
    import numpy as np

    texts = {key: header[key] for key in _TEXTS}
    numbers = {key: header[key] for key in ("bound", "measured")}
    if not all(isinstance(v, str) for v in texts.values()):
        raise TypeError("a text is expected")
    if not all(isinstance(v, (int, float)) and np.isfinite(v) for v in numbers.values()):
        raise TypeError("a number is expected")
    if header["p"] not in (1, 2, "inf") or texts["side"] not in ("upper", "lower"):
        raise ValueError("an unknown norm or side")
    if texts["subject"] not in ("map", "output", "flow"):
        raise ValueError("an unknown subject")
    if texts["quantity"] != "ratio" and texts["quantity"] not in QUANTITIES:
        raise ValueError("an unknown quantity")
    if type(header["step"]) is not int or header["step"] < 0:
        raise ValueError("no number of a step")
    if header.get("spec_sha256") != sha256(texts["spec"].encode()).hexdigest():
        raise ValueError("the hash of the spec differs")
    if any(v.dtype != np.float64 or not np.isfinite(v).all() for v in tensors.values()):
        raise ValueError("an array is not of finite float64 numbers")
    states = tuple(_texts(header["states"]))
    groups: dict[str, dict[str, Array]] = {"weights": {}, "inputs": {}, "x": {}, "y": {}}
    for name, value in tensors.items():
        group, _, own = name.partition("/")
        groups[group][own] = value
    return Counterexample(
        **texts,
        p=header["p"],
        bound=float(numbers["bound"]),
        measured=float(numbers["measured"]),
        weights=groups["weights"],
        inputs=groups["inputs"],
        x=tuple(groups["x"][n] for n in states),
        y=tuple(groups["y"][n] for n in states if texts["quantity"] == "ratio" or groups["y"]),
        states=states,
        files=tuple(_pair(f) for f in header["files"]),
        definitions=tuple(_pair(f) for f in header["definitions"]),
        step=header["step"],
    )


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TypeError("a list of texts is expected")
    return value


def _pair(value: object) -> tuple[str, str]:
    first, second = _texts(value)
    return first, second


# --- replay --------------------------------------------------------------------


def replay_numpy(program: StepProgram, c: Counterexample) -> float:
    """The ratio of distances (or other quantity) as the reference interpreter computes it; of a flow, as enclosed again.

    Raises `BadCounterexample` where the arrays do not fit the program or break its constraints.
    """
    from odespec.weights.membership import violations

    model = program.model
    if c.quantity != "ratio":
        if any(u.name not in c.inputs for u in model.inputs):
            raise BadCounterexample("an input is missing")
        return _replay_quantity(program, c, [c.inputs[u.name] for u in model.inputs])
    for states, given in c.arguments(model):
        broken = violations(model, c.weights, states, given)
        if broken:
            raise BadCounterexample(f"its arrays do not obey the spec: {broken[0]}")
    if c.subject == "flow":
        from odespec.prove.refute.flowpair import replay_flow

        return replay_flow(program, c)
    return _replay_map(program, c)


def _replay_quantity(program: StepProgram, c: Counterexample, inputs: Sequence[Array]) -> float:
    from odespec.prove.refute.onestep import interpreted_map, interpreted_step
    from odespec.weights.membership import violations

    if program.model.graphs:
        program, inputs = _with_matrices(program, c)
    weights_only = replace(program.model, domains=(), states=())
    if broken := violations(weights_only, c.weights, (), inputs):
        raise BadCounterexample(f"its arrays do not obey the spec: {broken[0]}")
    whole = QUANTITIES[c.quantity].whole
    for states in (c.x, c.y) if whole else ():
        if broken := violations(program.model, c.weights, states, inputs):
            raise BadCounterexample(f"its arrays do not obey the spec: {broken[0]}")
    step = interpreted_map(program, c) if whole else interpreted_step(program, c)
    try:
        return QUANTITIES[c.quantity].measure(program.model, c, step)
    except ArithmeticError as error:
        raise BadCounterexample(f"it cannot be run: {error}") from None


def _with_matrices(program: StepProgram, c: Counterexample) -> tuple[StepProgram, list[Array]]:
    """The program with matrices in place of graphs, and all inputs. Raises `BadCounterexample`."""
    from odespec.prove.refute.graphs import as_matrices, graph_violations
    from odespec.weights.evaluate import Unsupported

    if broken := graph_violations(program.model, c.inputs):
        raise BadCounterexample(f"its arrays do not obey the spec: {broken[0]}")
    try:
        model = as_matrices(program.model)
    except Unsupported as error:
        raise BadCounterexample(f"it cannot be run: {error}") from None
    return replace(program, model=model), [c.inputs[u.name] for u in model.inputs]


def _replay_map(program: StepProgram, c: Counterexample) -> float:
    from odespec.program.interpret import run
    from odespec.prove.refute.mapping import network, read
    from odespec.weights.arithmetic import FLOAT

    net = network(program, c.subject)
    images = []
    for states, given in c.arguments(program.model):
        try:
            final = run(program, c.weights, states, given)
        except ArithmeticError as error:
            raise BadCounterexample(f"it cannot be run: {error}") from None
        named = {u.name: v for u, v in zip(program.model.inputs, given, strict=True)}
        images.append([read(net, FLOAT, c.weights, final, named)])
    return c.ratio(*images)
